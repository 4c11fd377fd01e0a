//! Any bytes as an ELF file: its headers, its dynamic section, its versions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init_fuzz::memory_file;

fuzz_target!(|bytes: &[u8]| {
    let file = memory_file(bytes);
    if let Ok(object) = mak_init::elf::read(&file) {
        assert_eq!(mak_init::elf::identify(&file).unwrap(), object.identity);
        let _ = object.identity.to_string();
    }
});
