//! A WHEEL file: its tags against an interpreter, and written out they are the same tags.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init::platform::Arch;
use mak_init::python::interpreter::Implementation;
use mak_init::python::wheel_tag::{self, Libc, Runtime, WheelTag};

fuzz_target!(|bytes: &[u8]| {
    let tags = wheel_tag::tags(&String::from_utf8_lossy(bytes));
    for libc in [Libc::Glibc(Some((2, 36))), Libc::Musl(Some((1, 2))), Libc::Unknown] {
        for free_threaded in [false, true] {
            let runtime = Runtime {
                version: (3, 13),
                implementation: Implementation::CPython,
                free_threaded,
                arch: Some(Arch::Amd64),
                libc,
            };
            let problem = wheel_tag::problem(&tags, &runtime);
            assert!(problem.is_none() || !tags.is_empty());
        }
    }
    for tag in &tags {
        assert_eq!(WheelTag::parse(&tag.to_string()).as_ref(), Some(tag));
    }
});
