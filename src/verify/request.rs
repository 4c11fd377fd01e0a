//! What is to be verified, as plain data: from a profile, or from the words of the command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::report::Status;
use crate::config::profile::LoadEntry;
use crate::config::{Profile, Severity};
use crate::platform::Root;

/// What is to be verified.
pub struct Request {
    /// Where.
    pub root: Root,
    /// Everything, or only what every start can afford.
    pub full: bool,
    /// Also the contents of installed files, by their hashes.
    pub hashes: bool,
    /// Severities of single checks, by identifier; stronger than those of the parts.
    pub severities: Vec<(String, Severity)>,
    /// Shared libraries.
    pub libraries: Vec<LibraryCheck>,
    /// Python and its distributions.
    pub python: Option<PythonCheck>,
    /// A command that has to be able to start.
    pub command: Option<Vec<OsString>>,
    /// The command of a start, which is going to be tried anyway: only the module of a
    /// `python -m` is looked for.
    pub workload: Option<Vec<OsString>>,
    /// The environment it would start in.
    pub surroundings: Surroundings,
}

/// A library to find.
pub struct LibraryCheck {
    /// Its SONAME.
    pub soname: String,
    /// What its absence means; never `Off`.
    pub severity: Severity,
    /// What it is for.
    pub purpose: Option<String>,
    /// What to do where it is missing.
    pub remedy: Option<String>,
}

/// A Python to look at.
pub struct PythonCheck {
    /// The interpreter's name or path.
    pub interpreter: Option<String>,
    /// PEP 440 specifiers for its version.
    pub requires: Option<String>,
    /// PEP 508 requirements.
    pub requirements: Vec<String>,
    /// Files of requirements, on this machine, not in the root; `pyproject.toml` may have extras
    /// behind it, in brackets.
    pub files: Vec<PathBuf>,
    /// Modules that `python -m` must be able to run.
    pub modules: Vec<String>,
    /// Libraries that distributions load by ctypes: the distribution's name and the library.
    pub loads: Vec<(String, LibraryCheck)>,
    /// What a failure means; never `Off`.
    pub severity: Severity,
}

/// The environment variables that decide what is found.
#[derive(Default)]
#[expect(missing_docs, reason = "each is the variable of its name")]
pub struct Surroundings {
    pub path: Option<OsString>,
    pub library_path: Option<OsString>,
    pub python_path: Option<OsString>,
    pub virtual_env: Option<PathBuf>,
    pub home: Option<PathBuf>,
    pub python_version: Option<String>,
}

impl Surroundings {
    /// From an environment.
    pub fn of(environment: &[(OsString, OsString)]) -> Surroundings {
        let value = |name: &str| {
            let found = environment.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        Surroundings {
            path: value("PATH"),
            library_path: value("LD_LIBRARY_PATH"),
            python_path: value("PYTHONPATH"),
            virtual_env: value("VIRTUAL_ENV").map(PathBuf::from),
            // PYTHONNOUSERSITE takes the user's own folder out of sys.path (`man 1 python`).
            home: value("HOME").filter(|_| value("PYTHONNOUSERSITE").is_none()).map(PathBuf::from),
            python_version: value("PYTHON_VERSION").and_then(|text| text.into_string().ok()),
        }
    }

    /// PATH, or what execvp(3) takes for it.
    pub fn search_path(&self) -> &OsStr {
        let default = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        self.path.as_deref().unwrap_or(OsStr::new(default))
    }
}

impl Request {
    /// Nothing to verify, in this process's own root.
    pub fn empty(environment: &[(OsString, OsString)]) -> Request {
        Request {
            root: Root::host(),
            full: false,
            hashes: false,
            severities: Vec::new(),
            libraries: Vec::new(),
            python: None,
            command: None,
            workload: None,
            surroundings: Surroundings::of(environment),
        }
    }

    /// What a profile asks for.
    pub fn of_profile(
        profile: &Profile,
        full: bool,
        environment: &[(OsString, OsString)],
    ) -> Request {
        let mut request = Request::empty(environment);
        request.full = full;
        request.severities.clone_from(&profile.severities);
        for entry in &profile.libraries {
            let severity = if full { entry.severities.full } else { entry.severities.quick };
            if severity != Severity::Off {
                request.libraries.push(LibraryCheck {
                    soname: entry.soname.clone(),
                    severity,
                    purpose: entry.purpose.clone(),
                    remedy: entry.remedy.clone(),
                });
            }
        }
        if let Some(entry) = &profile.python {
            let severity = if full { entry.severities.full } else { entry.severities.quick };
            if severity != Severity::Off {
                request.python = Some(PythonCheck {
                    interpreter: entry.interpreter.clone(),
                    requires: entry.requires.clone(),
                    requirements: entry.requirements.clone(),
                    files: Vec::new(),
                    modules: entry.modules.clone(),
                    loads: entry.loads.iter().filter_map(|load| load_check(load, full)).collect(),
                    severity,
                });
            }
        }
        request
    }

    /// Whether there is nothing to verify.
    pub fn is_empty(&self) -> bool {
        self.libraries.is_empty() && self.python.is_none() && self.command.is_none()
    }
}

fn load_check(entry: &LoadEntry, full: bool) -> Option<(String, LibraryCheck)> {
    let severity = if full { entry.severities.full } else { entry.severities.quick };
    let library = LibraryCheck {
        soname: entry.soname.clone(),
        severity,
        purpose: Some(format!("{} loads it when it is imported", entry.distribution)),
        remedy: entry.remedy.clone(),
    };
    (severity != Severity::Off).then(|| (entry.distribution.clone(), library))
}

/// How a check of this severity ends where it fails.
pub fn failure(severity: Severity) -> Status {
    match severity {
        Severity::Required => Status::Fail,
        Severity::Optional | Severity::Off => Status::Warn,
    }
}
