//! Any bytes as a library whose exports are looked up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init_fuzz::memory_file;

fuzz_target!(|bytes: &[u8]| {
    let file = memory_file(bytes);
    if let Ok(found) = mak_init::elf::exports(&file, &["one", "clGetExtensionFunctionAddress"]) {
        assert_eq!(found.len(), 2);
    }
});
