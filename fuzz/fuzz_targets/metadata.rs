//! A METADATA or PKG-INFO file, and every requirement that it yields.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init::python::metadata::Metadata;
use mak_init::python::name::normalize;
use mak_init::python::requirement::Requirement;
use mak_init::python::version::{Specifiers, parse_version};

fuzz_target!(|bytes: &[u8]| {
    let metadata = Metadata::parse(bytes);
    for text in &metadata.requires {
        let _ = Requirement::parse(text);
    }
    let name = normalize(metadata.name.as_deref().unwrap_or_default());
    assert_eq!(normalize(&name), name);
    let version = metadata.version.unwrap_or_default();
    let _ = parse_version(&version);
    if let Some(Ok(specifiers)) = metadata.requires_python.as_deref().map(Specifiers::parse) {
        specifiers.contains(&version);
    }
});
