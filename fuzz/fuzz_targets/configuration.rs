//! A profile: it is one, or every problem is told with file and line.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use mak_init::config::Profile;

fuzz_target!(|text: &str| {
    if let Err(problems) = Profile::read("x", Path::new("/x.toml"), text) {
        assert!(!problems.is_empty());
        assert!(problems.iter().all(|problem| problem.starts_with("/x.toml:")));
    }
});
