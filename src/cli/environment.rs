//! The environment of the workload, in layers. `run` calls it once, before anything is started
//! and while mak-init still has the rights it was started with.
//!
//! What was given is the strongest layer, then come the files, then the profile's defaults. A
//! switched user and the platform set what is theirs. No value ever stands in a message.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::config::workload::Workload;
use crate::config::{Profile, env_file};
use crate::platform::{Uname, User, prefixed_variables, read_regular, variables};

/// The environment as names and values.
pub type Environment = Vec<(OsString, OsString)>;

/// The largest file of variables that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;
/// The longest `NAME=VALUE` that execve(2) takes, its NUL included: MAX_ARG_STRLEN.
const LONGEST_ENTRY: usize = 128 << 10;

/// Why there is no environment to start the workload with.
#[derive(Debug)]
pub enum EnvironmentError {
    /// A file of variables cannot be read.
    File(PathBuf, io::Error),
    /// A line of one makes no sense.
    Line(PathBuf, usize, &'static str),
    /// Both a secret and the name of its file are given.
    BothSet(String),
    /// The file of a secret cannot be read. Its path is a variable's value, and not shown.
    Secret(String, io::Error),
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvironmentError::File(path, error) => {
                write!(out, "cannot read the environment file {}: {error}", path.display())
            }
            EnvironmentError::Line(path, line, why) => {
                write!(out, "{}:{line}: the line {why}", path.display())
            }
            EnvironmentError::BothSet(name) => {
                write!(out, "{name} and {name}_FILE are both set; set one of them")
            }
            EnvironmentError::Secret(name, error) => {
                write!(out, "cannot read the file that {name}_FILE names: {error}")
            }
        }
    }
}

impl std::error::Error for EnvironmentError {}

/// The environment as it was given, or what is kept of it; files and secrets; the user's home
/// and name; the profile's defaults where nothing is set; and the platform's variables.
pub fn workload_environment(
    given: &Environment,
    workload: &Workload,
    user: Option<&User>,
    profile: Option<&Profile>,
    uname: &Uname,
) -> Result<Environment, EnvironmentError> {
    let mut environment = kept(given, workload);
    add_files(&mut environment, given, &workload.environment_files)?;
    for name in &workload.secrets {
        take_secret(&mut environment, name)?;
    }
    if let Some(user) = user {
        tell_user(&mut environment, user);
    }
    if let Some(profile) = profile {
        add_profile(&mut environment, profile, uname);
    }
    for (name, value) in variables(uname) {
        set(&mut environment, name, value.as_ref());
    }
    Ok(environment)
}

/// All of it, or of a cleared one what is named; a secret is named with its file.
fn kept(given: &Environment, workload: &Workload) -> Environment {
    if !workload.clear_environment {
        return given.clone();
    }
    let secret = |name: &OsStr| {
        let name = name.to_str().unwrap_or_default();
        let names_it = |secret: &String| name.strip_prefix(secret.as_str());
        workload.secrets.iter().filter_map(names_it).any(|rest| rest.is_empty() || rest == "_FILE")
    };
    let stays =
        |name: &OsStr| workload.kept.iter().any(|pattern| pattern.matches(name)) || secret(name);
    given.iter().filter(|(name, _)| stays(name)).cloned().collect()
}

/// Adds what the files say where nothing is set; among the files the later one wins.
fn add_files(
    environment: &mut Environment,
    given: &Environment,
    files: &[PathBuf],
) -> Result<(), EnvironmentError> {
    let mut from_files = Environment::new();
    for path in files {
        let bytes = read_regular(path, LARGEST_FILE)
            .map_err(|error| EnvironmentError::File(path.clone(), error))?;
        let lines = env_file::read(&bytes)
            .map_err(|(line, why)| EnvironmentError::Line(path.clone(), line, why))?;
        for line in lines {
            match (line.value, find(given, line.name)) {
                (Some(value), _) => set(&mut from_files, line.name, value.as_ref()),
                (None, Some(value)) => set(&mut from_files, line.name, value),
                (None, None) => {}
            }
        }
    }
    for (name, value) in from_files {
        if !environment.iter().any(|(known, _)| *known == name) {
            environment.push((name, value));
        }
    }
    Ok(())
}

/// `NAME` from the file that `NAME_FILE` names, which the workload then does not see. One newline
/// at the end is an editor's and is left out. Empty counts as not set.
fn take_secret(environment: &mut Environment, name: &str) -> Result<(), EnvironmentError> {
    let variable = format!("{name}_FILE");
    let Some(path) = find(environment, &variable).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    if find(environment, name).is_some_and(|value| !value.is_empty()) {
        return Err(EnvironmentError::BothSet(name.to_owned()));
    }
    let unreadable = |error| EnvironmentError::Secret(name.to_owned(), error);
    // What is left of an entry beside the name, the `=`, and the NUL; and the newline.
    let longest = LONGEST_ENTRY.saturating_sub(name.len() + 2);
    let mut value = read_regular(Path::new(path), longest as u64 + 1).map_err(unreadable)?;
    if value.last() == Some(&b'\n') {
        value.pop();
    }
    if value.contains(&0) {
        return Err(unreadable(io::Error::other("it has a NUL byte, which no variable can hold")));
    }
    if value.len() > longest {
        return Err(unreadable(io::Error::other(format!("is larger than {longest} bytes"))));
    }
    set(environment, name, &OsString::from_vec(value));
    environment.retain(|(known, _)| known != variable.as_str());
    Ok(())
}

/// What login(1) would set: a home that the user can write to, and a name that is not root's.
fn tell_user(environment: &mut Environment, user: &User) {
    set(environment, "HOME", &user.home);
    for variable in ["USER", "LOGNAME"] {
        match &user.name {
            Some(name) => set(environment, variable, name),
            None => environment.retain(|(known, _)| known != variable),
        }
    }
}

/// The profile's defaults where nothing is set, and its names for the platform.
fn add_profile(environment: &mut Environment, profile: &Profile, uname: &Uname) {
    for (name, value) in &profile.environment {
        if find(environment, name).is_none() {
            set(environment, name, value.as_ref());
        }
    }
    for entry in &profile.directories {
        if find(environment, &entry.variable).is_none_or(OsStr::is_empty) {
            set(environment, &entry.variable, entry.default.as_os_str());
        }
    }
    for (name, value) in prefixed_variables(&profile.prefix, uname) {
        set(environment, &name, value.as_ref());
    }
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
        let environment =
            workload_environment(&given, &Workload::default(), None, Some(&profile), &uname)
                .unwrap();
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

    fn variables_of(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// What the workload sees beside the platform's variables, as NAME=VALUE.
    fn seen(
        given: &[(&str, &str)],
        workload: &Workload,
        user: Option<&User>,
    ) -> Result<Vec<String>, String> {
        let uname = Uname::of_this_process();
        let environment = workload_environment(&variables_of(given), workload, user, None, &uname)
            .map_err(|error| error.to_string())?;
        let text = |word: OsString| word.into_string().unwrap();
        Ok(environment
            .into_iter()
            .map(|(name, value)| format!("{}={}", text(name), text(value)))
            .filter(|entry| !entry.starts_with("MAK_"))
            .collect())
    }

    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let name = format!("mak-environment-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn files_fill_what_is_not_set_and_the_later_one_wins() {
        let first = file("first", b"A=file\nB=first\nC=first\n# no\nGIVEN\nABSENT\n");
        let second = file("second", b"C=second\nEMPTY=file\nD= x \n");
        let files = [first.clone(), second.clone()].to_vec();
        let mut workload = Workload { environment_files: files, ..Workload::default() };
        let given = [("A", "given"), ("EMPTY", ""), ("GIVEN", "g")];
        let expected = ["A=given", "EMPTY=", "GIVEN=g", "B=first", "C=second", "D= x "];
        assert_eq!(seen(&given, &workload, None).unwrap(), expected);
        workload.clear_environment = true;
        let expected = ["A=file", "B=first", "C=second", "GIVEN=g", "EMPTY=file", "D= x "];
        assert_eq!(seen(&given, &workload, None).unwrap(), expected);
        for path in [first, second] {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_wrong_or_missing_is_named_without_what_is_in_it() {
        let path = file("wrong", b"A=1\nhunter2 hunter2\n");
        let workload = |path: &Path| Workload {
            environment_files: vec![path.to_owned()],
            ..Workload::default()
        };
        let refused = seen(&[], &workload(&path), None).unwrap_err();
        assert!(refused.contains(&format!("{}:2:", path.display())), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
        std::fs::remove_file(&path).unwrap();
        let refused = seen(&[], &workload(&path), None).unwrap_err();
        assert!(refused.contains(path.to_str().unwrap()), "{refused}");
    }

    #[test]
    fn a_secret_comes_from_its_file_without_one_newline() {
        let secrets = vec!["PASS".to_owned(), "OTHER".to_owned()];
        let mut workload = Workload { secrets, ..Workload::default() };
        for (bytes, value) in [
            (b"s3cret".as_slice(), "s3cret"),
            (b"s3cret\n", "s3cret"),
            (b" a\n\n", " a\n"),
            (b"", ""),
        ] {
            let path = file("secret", bytes);
            let given = [("PASS", ""), ("PASS_FILE", path.to_str().unwrap()), ("X_FILE", "/x")];
            let expected = [format!("PASS={value}"), "X_FILE=/x".to_owned()];
            workload.clear_environment = false;
            assert_eq!(seen(&given, &workload, None).unwrap(), expected);
            workload.clear_environment = true;
            assert_eq!(seen(&given, &workload, None).unwrap(), expected[..1]);
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!(seen(&[("PASS", "p")], &workload, None).unwrap(), ["PASS=p"]);
    }

    #[test]
    fn a_secret_that_cannot_be_taken_is_named_and_neither_value_nor_path_is_told() {
        let workload = Workload { secrets: vec!["PASS".to_owned()], ..Workload::default() };
        let nul = file("nul", b"hunter2\0");
        let large = file("large", &vec![b'x'; LONGEST_ENTRY]);
        for (given, word) in [
            ([("PASS", "hunter2"), ("PASS_FILE", "/hunter2")], "both"),
            ([("A", ""), ("PASS_FILE", "/hunter2")], "PASS_FILE"),
            ([("A", ""), ("PASS_FILE", "/")], "directory"),
            ([("A", ""), ("PASS_FILE", nul.to_str().unwrap())], "NUL"),
            ([("A", ""), ("PASS_FILE", large.to_str().unwrap())], "larger"),
        ] {
            let refused = seen(&given, &workload, None).unwrap_err();
            assert!(refused.contains(word) && !refused.contains("hunter2"), "{refused}");
        }
        for path in [nul, large] {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn the_largest_secret_that_execve_takes_is_taken_with_its_newline() {
        let workload = Workload { secrets: vec!["PASS".to_owned()], ..Workload::default() };
        let mut bytes = vec![b'x'; LONGEST_ENTRY - "PASS=".len() - 1];
        bytes.push(b'\n');
        let path = file("largest", &bytes);
        let entry = seen(&[("PASS_FILE", path.to_str().unwrap())], &workload, None).unwrap();
        assert_eq!(entry[0].len() + 1, LONGEST_ENTRY);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_user_has_a_home_and_a_name_of_their_own() {
        let mut user = User {
            name: Some("app".into()),
            uid: 1000,
            gid: 1000,
            groups: vec![1000],
            home: "/srv/app".into(),
        };
        let given = [("HOME", "/root"), ("USER", "root"), ("A", "1")];
        let expected = ["HOME=/srv/app", "USER=app", "A=1", "LOGNAME=app"];
        assert_eq!(seen(&given, &Workload::default(), Some(&user)).unwrap(), expected);
        (user.name, user.home) = (None, "/".into());
        assert_eq!(seen(&given, &Workload::default(), Some(&user)).unwrap(), ["HOME=/", "A=1"]);
    }
}
