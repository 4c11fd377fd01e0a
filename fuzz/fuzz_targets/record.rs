//! A RECORD file: reading it ends, and no line is made up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init::python::record;

fuzz_target!(|text: &str| {
    assert!(record::entries(text).count() <= text.len());
});
