//! A pyvenv.cfg, and the file that says how an interpreter was built.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init::python::pyvenv::PyvenvConfig;
use mak_init::python::sysconfig::BuildConfig;

fuzz_target!(|bytes: &[u8]| {
    let _ = PyvenvConfig::parse(bytes);
    let _ = BuildConfig::parse(&String::from_utf8_lossy(bytes));
});
