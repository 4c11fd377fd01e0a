//! A requirements file, which may name itself: reading it ends, and each line is told of once.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mak_init::python::requirement_file::read;
use mak_init_fuzz::OneFile;

static FILE: LazyLock<OneFile> = LazyLock::new(|| OneFile::at("r.txt"));

fuzz_target!(|bytes: &[u8]| {
    let list = read(&FILE.holding(bytes), Path::new("/r.txt"));
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let (required, constrained) = (list.requirements.len(), list.constraints.len());
    // As requirements and, where it names itself with -c, as constraints.
    assert!(required.max(constrained) <= 2 * lines);
    for remark in list.errors.iter().chain(&list.notes) {
        assert!(remark.place.line <= lines, "{remark}");
    }
});
