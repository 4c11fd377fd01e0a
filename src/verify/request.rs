//! What is to be verified, as plain data: from a profile, or from the words of the command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::command::Credentials;
use super::report::Status;
use crate::config::DEFAULT_PATH;
use crate::config::profile::{DirectoryEntry, LoadEntry, Severities};
use crate::config::{PlatformEntry, Profile, Severity};
use crate::loader::Processor;
use crate::platform::{Arch, Root};

/// What is to be verified.
pub struct Request {
    /// Where.
    pub root: Root,
    /// Everything, or only what every start can afford.
    pub full: bool,
    /// Not the files that distributions brought along, even in the full form.
    pub leave_files: bool,
    /// Also the contents of installed files, by their hashes.
    pub hashes: bool,
    /// Severities of single checks, by identifier; stronger than those of the parts.
    pub severities: Vec<(String, Severity)>,
    /// Shared libraries.
    pub libraries: Vec<LibraryCheck>,
    /// OpenCL and its device drivers.
    pub opencl: Option<OpenclCheck>,
    /// Programs that have to be able to start.
    pub binaries: Vec<BinaryCheck>,
    /// What is demanded of the machine.
    pub platform: Option<PlatformCheck>,
    /// The platform the image is meant for, in Docker's words: `linux/arm64`.
    pub expect_platform: Option<String>,
    /// Python and its distributions.
    pub python: Option<PythonCheck>,
    /// A command that has to be able to start.
    pub command: Option<Vec<OsString>>,
    /// The command of a start, which is going to be tried anyway: only the module of a
    /// `python -m` is looked for.
    pub workload: Option<Vec<OsString>>,
    /// What a start without a command would run. Another one may be given, so that a module which
    /// cannot be run is a warning.
    pub usual_command: Option<Vec<OsString>>,
    /// The environment it would start in.
    pub surroundings: Surroundings,
    /// The processor it would run on; this machine's where none is named.
    pub processor: Option<Processor>,
    /// Bytes of a page there; this kernel's where none is named and the root is our own.
    pub page_size: Option<u64>,
    /// The architecture that the root is for, where that is declared; else its own files tell.
    pub arch: Option<Arch>,
    /// As whom the command would be started, where that is declared.
    pub who: Option<Credentials>,
    /// Where the command would be started; `None` is this process's own folder.
    pub working_folder: Option<PathBuf>,
}

/// A library to find.
pub struct LibraryCheck {
    /// Its SONAME.
    pub soname: String,
    /// The least symbol version that it has to define.
    pub symbol_version: Option<String>,
    /// What its absence means; never `Off`.
    pub severity: Severity,
    /// What it is for.
    pub purpose: Option<String>,
    /// What to do where it is missing.
    pub remedy: Option<String>,
}

/// OpenCL to look at.
pub struct OpenclCheck {
    /// What its absence means; never `Off`.
    pub severity: Severity,
    /// What it is for.
    pub purpose: Option<String>,
    /// What to do where it is missing.
    pub remedy: Option<String>,
}

/// A program to look at.
pub struct BinaryCheck {
    /// Its path, or its name in PATH.
    pub name: String,
    /// What a failure means; never `Off`.
    pub severity: Severity,
    /// What it is for.
    pub purpose: Option<String>,
    /// What to do where it is missing.
    pub remedy: Option<String>,
}

/// A machine to look at.
pub struct PlatformCheck {
    /// What is demanded.
    pub demands: PlatformEntry,
    /// What a demand that is not met means; never `Off`.
    pub severity: Severity,
    /// The directories that need the free space.
    pub directories: Vec<PathBuf>,
}

/// A Python to look at.
pub struct PythonCheck {
    /// The interpreter's name or path.
    pub interpreter: Option<String>,
    /// PEP 440 specifiers for its version.
    pub requires: Option<String>,
    /// PEP 508 requirements.
    pub requirements: Vec<String>,
    /// PEP 508 requirements whose absence is tolerated.
    pub optional: Vec<String>,
    /// Files of requirements, on this machine, not in the root; `pyproject.toml` may have extras
    /// behind it, in brackets.
    pub files: Vec<PathBuf>,
    /// Modules that `python -m` must be able to run.
    pub modules: Vec<String>,
    /// Whether every distribution that is installed is looked at, and not only those that are
    /// required (full form).
    pub every: bool,
    /// Libraries that distributions load by ctypes: the distribution's name and the library.
    pub loads: Vec<(String, LibraryCheck)>,
    /// What a failure means; never `Off`.
    pub severity: Severity,
}

impl PythonCheck {
    /// Of whatever Python there is, required, with nothing asked of it yet.
    pub fn of_any() -> PythonCheck {
        PythonCheck {
            interpreter: None,
            requires: None,
            requirements: Vec::new(),
            optional: Vec::new(),
            files: Vec::new(),
            modules: Vec::new(),
            every: false,
            loads: Vec::new(),
            severity: Severity::Required,
        }
    }
}

/// The interpreter's own options that keep something off `sys.path` (`man 1 python`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// `-s`, `-I`: not the user site.
    pub no_user_site: bool,
    /// `-E`, `-I`: none of the variables that the interpreter itself reads.
    pub no_environment: bool,
    /// `-P`, `-I`: not the folder it is started in.
    pub no_start_folder: bool,
}

/// The environment variables that decide what is found.
#[derive(Default)]
#[expect(missing_docs, reason = "each is the variable of its name")]
pub struct Surroundings {
    pub path: Option<OsString>,
    pub library_path: Option<OsString>,
    pub preload: Option<OsString>,
    pub python_path: Option<OsString>,
    pub virtual_env: Option<PathBuf>,
    pub home: Option<PathBuf>,
    pub python_user_base: Option<PathBuf>,
    pub python_no_user_site: bool,
    pub python_version: Option<String>,
    pub opencl_vendor_path: Option<OsString>,
    pub ocl_icd_vendors: Option<OsString>,
    pub ocl_icd_filenames: Option<OsString>,
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
            preload: value("LD_PRELOAD"),
            python_path: value("PYTHONPATH"),
            virtual_env: value("VIRTUAL_ENV").map(PathBuf::from),
            home: value("HOME").map(PathBuf::from),
            python_user_base: value("PYTHONUSERBASE").map(PathBuf::from),
            python_no_user_site: value("PYTHONNOUSERSITE").is_some(),
            python_version: value("PYTHON_VERSION").and_then(|text| text.into_string().ok()),
            opencl_vendor_path: value("OPENCL_VENDOR_PATH"),
            ocl_icd_vendors: value("OCL_ICD_VENDORS"),
            ocl_icd_filenames: value("OCL_ICD_FILENAMES"),
        }
    }

    /// The folder that Python's user site is below (`site.getuserbase`); none where the workload
    /// leaves the user site out.
    pub fn user_base(&self, switches: Switches) -> Option<PathBuf> {
        // site.py reads PYTHONUSERBASE itself and asks nobody whether variables count.
        let left_out = self.python_no_user_site && !switches.no_environment;
        if switches.no_user_site || left_out {
            return None;
        }
        let named = self.python_user_base.clone();
        named.or_else(|| Some(self.home.as_ref()?.join(".local")))
    }

    /// PATH, or what execvp(3) takes for it.
    pub fn search_path(&self) -> &OsStr {
        self.path.as_deref().unwrap_or(OsStr::new(DEFAULT_PATH))
    }
}

impl Request {
    /// Nothing to verify, in this process's own root.
    pub fn empty(environment: &[(OsString, OsString)]) -> Request {
        Request {
            root: Root::host(),
            full: false,
            leave_files: false,
            hashes: false,
            severities: Vec::new(),
            libraries: Vec::new(),
            opencl: None,
            binaries: Vec::new(),
            platform: None,
            expect_platform: None,
            python: None,
            command: None,
            workload: None,
            usual_command: None,
            surroundings: Surroundings::of(environment),
            processor: None,
            page_size: None,
            arch: None,
            who: None,
            working_folder: None,
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
                    symbol_version: entry.symbol_version.clone(),
                    severity,
                    purpose: entry.purpose.clone(),
                    remedy: entry.remedy.clone(),
                });
            }
        }
        request.add_opencl(profile);
        request.add_binaries(profile);
        request.add_platform(profile, environment);
        if let Some(entry) = &profile.python {
            let severity = if full { entry.severities.full } else { entry.severities.quick };
            if severity != Severity::Off {
                request.python = Some(PythonCheck {
                    interpreter: entry.interpreter.clone(),
                    requires: entry.requires.clone(),
                    requirements: entry.requirements.clone(),
                    optional: entry.optional.clone(),
                    files: Vec::new(),
                    modules: entry.modules.clone(),
                    every: false,
                    loads: entry.loads.iter().filter_map(|load| load_check(load, full)).collect(),
                    severity,
                });
            }
        }
        request
    }

    fn add_opencl(&mut self, profile: &Profile) {
        let Some(entry) = &profile.opencl else { return };
        let severity = self.severity(entry.severities);
        let (purpose, remedy) = (entry.purpose.clone(), entry.remedy.clone());
        if severity != Severity::Off {
            self.opencl = Some(OpenclCheck { severity, purpose, remedy });
        }
    }

    fn add_binaries(&mut self, profile: &Profile) {
        for entry in &profile.binaries {
            let severity = self.severity(entry.severities);
            if severity != Severity::Off {
                self.binaries.push(BinaryCheck {
                    name: entry.name.clone(),
                    severity,
                    purpose: entry.purpose.clone(),
                    remedy: entry.remedy.clone(),
                });
            }
        }
    }

    fn add_platform(&mut self, profile: &Profile, environment: &[(OsString, OsString)]) {
        let Some(entry) = &profile.platform else { return };
        let severity = self.severity(entry.severities);
        if severity == Severity::Off {
            return;
        }
        let directory = |entry: &DirectoryEntry| {
            let set = environment.iter().find(|(name, _)| *name == *entry.variable);
            let set = set.map(|(_, value)| PathBuf::from(value));
            set.filter(|path| !path.as_os_str().is_empty()).unwrap_or(entry.default.clone())
        };
        let directories =
            profile.directories.iter().filter(|entry| !entry.read_only).map(directory).collect();
        self.platform = Some(PlatformCheck { demands: entry.clone(), severity, directories });
    }

    fn severity(&self, severities: Severities) -> Severity {
        if self.full { severities.full } else { severities.quick }
    }

    /// Whether there is nothing to verify.
    pub fn is_empty(&self) -> bool {
        self.libraries.is_empty()
            && self.opencl.is_none()
            && self.binaries.is_empty()
            && self.platform.is_none()
            && self.expect_platform.is_none()
            && self.python.is_none()
            && self.command.is_none()
    }
}

fn load_check(entry: &LoadEntry, full: bool) -> Option<(String, LibraryCheck)> {
    let severity = if full { entry.severities.full } else { entry.severities.quick };
    let library = LibraryCheck {
        soname: entry.soname.clone(),
        symbol_version: None,
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
