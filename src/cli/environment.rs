//! The environment of the workload, in layers. `run` calls it once, before anything is started.

use std::ffi::{OsStr, OsString};

use crate::config::Profile;
use crate::platform::{Uname, prefixed_variables, variables};

/// The environment as names and values.
pub type Environment = Vec<(OsString, OsString)>;

/// The environment as it was given, with the profile's defaults where nothing is set, and with
/// the platform's variables.
pub fn workload_environment(
    given: &Environment,
    profile: Option<&Profile>,
    uname: &Uname,
) -> Environment {
    let mut environment = given.clone();
    if let Some(profile) = profile {
        for (name, value) in &profile.environment {
            if find(&environment, name).is_none() {
                set(&mut environment, name, value.as_ref());
            }
        }
        for entry in &profile.directories {
            if find(&environment, &entry.variable).is_none_or(OsStr::is_empty) {
                set(&mut environment, &entry.variable, entry.default.as_os_str());
            }
        }
        for (name, value) in prefixed_variables(&profile.prefix, uname) {
            set(&mut environment, &name, value.as_ref());
        }
    }
    for (name, value) in variables(uname) {
        set(&mut environment, name, value.as_ref());
    }
    environment
}

/// The value of a variable.
pub fn find<'e>(environment: &'e Environment, name: &str) -> Option<&'e OsStr> {
    environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
}

/// Sets a variable in its place, a new one at the end.
pub fn set(environment: &mut Environment, name: &str, value: &OsStr) {
    match environment.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value.to_owned(),
        None => environment.push((name.into(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_never_overridden_and_an_empty_directory_takes_its_default() {
        let text = "prefix = \"X_\"\n[environment]\nA = \"1\"\nB = \"2\"\n\
                    [[directory]]\nvariable = \"X_DATA\"\ndefault = \"/data\"\n";
        let profile = Profile::read("x", std::path::Path::new("x"), text).unwrap();
        let given = [("B", ""), ("X_DATA", ""), ("X_ARCH", "old"), ("C", "3")];
        let given: Environment = given.map(|(name, value)| (name.into(), value.into())).into();
        let uname = Uname {
            sysname: "Linux".to_owned(),
            machine: "armv7l".to_owned(),
            release: "6.1".to_owned(),
        };
        let environment = workload_environment(&given, Some(&profile), &uname);
        for (name, value) in [
            ("A", "1"),
            ("B", ""),
            ("C", "3"),
            ("X_DATA", "/data"),
            ("X_PLATFORM", "Linux"),
            ("X_ARCH", "armv7l"),
            ("X_ARCH_NORMALIZED", "arm"),
            ("MAK_PLATFORM", "linux/arm/v7"),
            ("MAK_ARCH", "arm/v7"),
        ] {
            assert_eq!(find(&environment, name), Some(OsStr::new(value)), "{name}");
        }
        assert_eq!(environment.iter().filter(|(name, _)| name == "X_ARCH").count(), 1);
        assert!(environment[0].0 == "B", "the order is kept");
    }
}
