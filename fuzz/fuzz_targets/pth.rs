//! A `.pth` file: what it adds to the path has no line break in it and is no comment.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init::python::pth::{self, Line};

fuzz_target!(|bytes: &[u8]| {
    for line in pth::lines(bytes) {
        if let Line::Folder(text) = line {
            assert!(!text.is_empty() && !text.starts_with(b"#"));
            assert!(!text.contains(&b'\n') && !text.starts_with(b"import "));
        }
    }
});
