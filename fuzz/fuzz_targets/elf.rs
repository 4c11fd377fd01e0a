//! `cargo +nightly fuzz run elf`: any bytes as an ELF file.
#![no_main]

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The reader wants a file that can be read at any offset; this one lives in memory.
    let fd: OwnedFd = rustix::fs::memfd_create("elf", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(fd);
    file.write_all(bytes).unwrap();
    if let Ok(object) = mak_init::elf::read(&file) {
        assert_eq!(mak_init::elf::identify(&file).unwrap(), object.identity);
        let _ = object.identity.to_string();
    }
});
