//! Any bytes a client may send: parsed, answered and taken off the buffer as a connection does it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init::health::http::{self, After, Parsed};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut out = Vec::new();
    loop {
        match http::parse(rest) {
            Parsed::Partial => break,
            Parsed::Refused(refusal) => {
                http::write(&mut out, &refusal.answer(), false, After::Close);
                break;
            }
            Parsed::Complete(request, used) => {
                assert!(used > 0 && used <= rest.len(), "a request takes bytes that are there");
                assert!(!request.path.contains('?'), "a path has no query");
                rest = &rest[used..];
            }
        }
    }
});
