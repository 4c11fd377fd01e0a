//! One requirement: what parses must print as something that parses to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init::python::marker::Environment;
use mak_init::python::requirement::Requirement;

fuzz_target!(|text: &str| {
    let Ok(parsed) = Requirement::parse(text) else { return };
    assert_eq!(Requirement::parse(&parsed.to_string()).as_ref(), Ok(&parsed));
    parsed.specifiers.contains(text);
    if let Some(marker) = &parsed.marker {
        let environment = Environment {
            python_version: vec!["3.11".into()],
            platform_release: vec!["6.1.0-13-amd64".into(), text.into()],
            ..Environment::default()
        };
        marker.evaluate(&environment, text);
    }
});
