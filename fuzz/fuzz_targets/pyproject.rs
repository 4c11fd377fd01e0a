//! A `pyproject.toml`, with an extra asked for.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mak_init::python::pyproject::read;
use mak_init_fuzz::OneFile;

static FILE: LazyLock<OneFile> = LazyLock::new(|| OneFile::at("pyproject.toml"));

fuzz_target!(|bytes: &[u8]| {
    let root = FILE.holding(bytes);
    let list = read(&root, Path::new("/pyproject.toml"), &["server".to_owned()]);
    let text = list.errors.iter().map(ToString::to_string).collect::<String>();
    assert!(text.is_empty() || text.contains("/pyproject.toml"));
});
