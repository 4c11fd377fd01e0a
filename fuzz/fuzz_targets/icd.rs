//! Any bytes as a file of `/etc/OpenCL/vendors`.
#![no_main]

use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use mak_init::verify::opencl::library_named_in;

fuzz_target!(|bytes: &[u8]| {
    if let Some(name) = library_named_in(bytes) {
        assert!(!name.is_empty() && !name.as_bytes().contains(&b'\n'));
    }
});
