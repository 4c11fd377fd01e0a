//! Any bytes as `/etc/ld.so.cache`: every entry can be read, and found again by its name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init::loader::Cache;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(cache) = Cache::parse(bytes.to_vec()) {
        assert!(cache.entries().count() <= cache.len());
        if let Some(name) = cache.entries().map(|entry| entry.name).next() {
            assert!(cache.lookup(name).count() >= 1);
        }
    }
});
