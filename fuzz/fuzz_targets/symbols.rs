//! `cargo +nightly fuzz run symbols`: any bytes as a library whose exports are looked up.
#![no_main]

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let fd: OwnedFd = rustix::fs::memfd_create("elf", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(fd);
    file.write_all(bytes).unwrap();
    if let Ok(found) = mak_init::elf::exports(&file, &["one", "clGetExtensionFunctionAddress"]) {
        assert_eq!(found.len(), 2);
    }
});
