//! Any bytes as `/etc/ld.so.conf`, which may include itself.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mak_init::loader::conf_directories;
use mak_init_fuzz::OneFile;

static FILE: LazyLock<OneFile> = LazyLock::new(|| OneFile::at("etc/ld.so.conf"));

fuzz_target!(|bytes: &[u8]| {
    for folder in conf_directories(&FILE.holding(bytes)) {
        assert!(folder.is_absolute(), "{folder:?}");
    }
});
