//! Python: the interpreter that would run, its version, and the distributions it would find;
//! in the full form also what these require and brought along.

use std::path::Path;

use super::report::{Check, Status};
use super::request::{PythonCheck, Request, failure};
use crate::elf;
use crate::loader::{Closure, Libc, Loader};
use crate::platform::Root;
use crate::python::closure::{self, Depth, Finding, Wanted, supports};
use crate::python::distribution::{Distribution, Installed};
use crate::python::interpreter::{self, Interpreter, Search};
use crate::python::marker::Truth;
use crate::python::record::{self, Difference, RecordEntry};
use crate::python::requirement::Requirement;
use crate::python::version::Specifiers;
use crate::python::wheel_tag::{self, Runtime};
use crate::python::{extension, requirement_file};

/// As many problems as one distribution's check lists.
const MOST_EVIDENCE: usize = 12;
/// WHEEL is a dozen lines.
const LARGEST_WHEEL: u64 = 1 << 20;

/// Checks one Python.
pub fn check(request: &Request, python: &PythonCheck, loader: &Loader) -> Vec<Check> {
    let failed = failure(python.severity);
    let found = match find(request, python) {
        Ok(found) => found,
        Err(error) => {
            let subject = python.interpreter.clone().unwrap_or_else(|| "python3".to_owned());
            let check = Check::new("python.missing", failed, subject, error.to_string());
            return vec![check.remedy(error.remedy())];
        }
    };
    let mut checks = vec![version(&found, python, failed), machine(&found, loader, failed)];
    let wanted = wanted(python, failed, &mut checks);
    let installed = Installed::list(&request.root, &found.site.folders);
    let depth = if request.full { Depth::Transitive } else { Depth::Direct };
    let outcome = closure::check(&installed, &found.version, &found.environment(), &wanted, depth);
    checks.extend(outcome.findings.iter().map(|finding| judged(finding, failed)));
    checks.extend(satisfied(&wanted, &outcome));
    if request.full {
        let files = Files::new(&request.root, &found, loader, failed);
        checks.extend(outcome.reached.iter().map(|distribution| files.check(distribution)));
    }
    checks
}

fn find(request: &Request, python: &PythonCheck) -> Result<Interpreter, interpreter::PythonError> {
    let around = &request.surroundings;
    let search = Search {
        path: around.search_path(),
        named: python.interpreter.as_deref(),
        virtual_env: around.virtual_env.as_deref(),
        python_path: around.python_path.as_deref(),
        home: around.home.as_deref(),
        version_hint: around.python_version.as_deref(),
    };
    interpreter::find(&request.root, &search)
}

fn version(found: &Interpreter, python: &PythonCheck, failed: Status) -> Check {
    let subject = found.path.display().to_string();
    let about = format!("Python {} ({})", found.version, found.version_source);
    let Some(requires) = &python.requires else {
        return Check::new("python.version", Status::Pass, subject, about);
    };
    let specifiers = match Specifiers::parse(requires) {
        Ok(specifiers) => specifiers,
        Err(error) => {
            let message = format!("the profile's requires = {requires:?} is not PEP 440: {error}");
            return Check::new("requirement.invalid", failed, subject, message);
        }
    };
    match supports(&specifiers, &found.version) {
        Truth::True => Check::new("python.version", Status::Pass, subject, about),
        Truth::False => {
            let message = format!("Python {} is not {requires}", found.version);
            Check::new("python.version", failed, subject, message)
                .remedy(format!("build the image on a Python {requires}"))
                .evidence(vec![format!("version from {}", found.version_source)])
        }
        Truth::Unknown => {
            let message = format!(
                "no file tells the patch level of Python {}, {requires} may not hold",
                found.version
            );
            Check::new("python.version", Status::Warn, subject, message)
        }
    }
}

fn machine(found: &Interpreter, loader: &Loader, failed: Status) -> Check {
    let subject = found.real_path.display().to_string();
    match found.arch() {
        Some(arch) if arch == loader.arch() => {
            Check::new("elf.machine", Status::Pass, subject, format!("for {arch}"))
        }
        Some(arch) => {
            let message = format!("the interpreter is for {arch}, this image is {}", loader.arch());
            Check::new("elf.machine", failed, subject, message)
                .remedy("install the interpreter for this platform")
        }
        None => Check::new("elf.machine", failed, subject, "for a machine that is not known here"),
    }
}

/// The requirements of the profile and of the files; what cannot be read becomes a check.
fn wanted(python: &PythonCheck, failed: Status, checks: &mut Vec<Check>) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for text in &python.requirements {
        match Requirement::parse(text) {
            Ok(requirement) => {
                wanted.push(Wanted { requirement, required_by: "the profile".to_owned() });
            }
            Err(error) => {
                let message = format!("not a requirement (PEP 508): {error}");
                checks.push(Check::new("requirement.invalid", failed, text.clone(), message));
            }
        }
    }
    for file in &python.files {
        let path = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        let list = requirement_file::read(&Root::host(), &path);
        for remark in &list.errors {
            let subject = remark.place.to_string();
            checks.push(Check::new("requirement.invalid", failed, subject, remark.text.clone()));
        }
        for remark in &list.notes {
            let subject = remark.place.to_string();
            checks.push(Check::new("requirement.note", Status::Skip, subject, remark.text.clone()));
        }
        for (requirement, place) in list.requirements {
            wanted.push(Wanted { requirement, required_by: place.to_string() });
        }
    }
    wanted
}

/// A finding as a check. What is odd without being wrong is a warning.
fn judged(finding: &Finding, failed: Status) -> Check {
    let message = finding.to_string();
    match finding {
        Finding::Missing { requirement, name, .. } => {
            Check::new("dist.missing", failed, name.clone(), message)
                .remedy(format!("pip install '{requirement}' when the image is built"))
        }
        Finding::WrongVersion { name, wanted, location, .. } => {
            Check::new("dist.version", failed, name.clone(), message)
                .remedy(format!("pip install '{name}{wanted}' when the image is built"))
                .evidence(vec![location.display().to_string()])
        }
        Finding::RequiresPython { name, certain, .. } => {
            let status = if *certain { failed } else { Status::Warn };
            Check::new("dist.python", status, name.clone(), message)
        }
        Finding::Unparsable { of, .. } => {
            Check::new("dist.metadata", Status::Warn, of.clone(), message)
        }
        Finding::UnknownMarker { requirement, .. } => {
            Check::new("dist.marker", Status::Warn, requirement.clone(), message)
        }
        Finding::UnknownExtra { name, .. } => {
            Check::new("dist.extra", Status::Warn, name.clone(), message)
        }
        Finding::Broken { name, location, .. } => {
            Check::new("dist.broken", failed, name.clone(), message)
                .remedy(format!("pip install --force-reinstall {name} when the image is built"))
                .evidence(vec![location.display().to_string()])
        }
        Finding::Shadowed { name, others, .. } => {
            Check::new("dist.shadowed", Status::Warn, name.clone(), message)
                .evidence(others.iter().map(|other| other.display().to_string()).collect())
        }
    }
}

/// The requirements of which there is nothing bad to say.
fn satisfied(wanted: &[Wanted], outcome: &closure::Outcome) -> Vec<Check> {
    let mut checks = Vec::new();
    for one in wanted {
        let name = one.requirement.normalized();
        let Some(distribution) = outcome.reached.iter().find(|d| d.normalized == name) else {
            continue;
        };
        if one.requirement.specifiers.contains(&distribution.version) {
            let message = format!(
                "{} satisfies {}{}",
                distribution.version, name, one.requirement.specifiers
            );
            checks.push(Check::new(
                "dist.version",
                Status::Pass,
                distribution.name.clone(),
                message,
            ));
        }
    }
    checks
}

/// What distributions brought along, against the interpreter and the platform.
struct Files<'a> {
    root: &'a Root,
    interpreter: &'a Interpreter,
    loader: &'a Loader<'a>,
    /// What the interpreter itself loads: its modules are loaded into that.
    program: Closure,
    runtime: Runtime,
    failed: Status,
}

impl<'a> Files<'a> {
    fn new(
        root: &'a Root,
        interpreter: &'a Interpreter,
        loader: &'a Loader<'a>,
        failed: Status,
    ) -> Files<'a> {
        let libc = match loader.libc() {
            Libc::Glibc => wheel_tag::Libc::Glibc(glibc_version(loader)),
            Libc::Musl => wheel_tag::Libc::Musl(None),
        };
        Files {
            root,
            interpreter,
            loader,
            program: loader.closure(&interpreter.real_path, None),
            runtime: Runtime::of(interpreter, libc),
            failed,
        }
    }

    /// One check for one distribution: its first problem, and the others as evidence.
    fn check(&self, distribution: &Distribution) -> Check {
        let subject = distribution.name.clone();
        let entries = match record::read(self.root, distribution) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Packages of a Linux distribution have no RECORD.
                return Check::new("record.none", Status::Skip, subject, "has no RECORD to go by");
            }
            Err(error) => {
                let message = format!("its RECORD cannot be read: {error}");
                return Check::new("record.unreadable", self.failed, subject, message);
            }
        };
        let mut problems = self.differences(distribution, &entries);
        problems.extend(self.wheel(distribution));
        problems.extend(self.native_files(distribution, &entries));
        let Some((id, first)) = problems.first().cloned() else {
            let message = format!("{} files as recorded", entries.len());
            return Check::new("record.missing", Status::Pass, subject, message);
        };
        let others = problems.into_iter().skip(1);
        let evidence = others.take(MOST_EVIDENCE).map(|(_, text)| text).collect();
        Check::new(id, self.failed, subject, first)
            .remedy(format!(
                "install {} {} for this platform when the image is built",
                distribution.name, distribution.version
            ))
            .evidence(evidence)
    }

    fn differences(
        &self,
        distribution: &Distribution,
        entries: &[RecordEntry],
    ) -> Vec<(&'static str, String)> {
        let differences = record::missing_or_resized(self.root, distribution, entries);
        differences
            .iter()
            .map(|difference| match difference {
                Difference::Missing { path } => {
                    ("record.missing", format!("{} is gone", path.display()))
                }
                Difference::Resized { path, recorded, found } => (
                    "record.size",
                    format!("{} has {found} bytes, installed were {recorded}", path.display()),
                ),
                Difference::NotAFile { path } => {
                    ("record.missing", format!("{} is no regular file", path.display()))
                }
            })
            .collect()
    }

    fn wheel(&self, distribution: &Distribution) -> Option<(&'static str, String)> {
        let bytes = self.root.read(&distribution.location.join("WHEEL"), LARGEST_WHEEL).ok()?;
        let tags = wheel_tag::tags(&String::from_utf8_lossy(&bytes));
        let problem = wheel_tag::problem(&tags, &self.runtime)?;
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        Some(("wheel.tag", format!("its wheel is {}: {}", tags.join(", "), misfit(problem))))
    }

    fn native_files(
        &self,
        distribution: &Distribution,
        entries: &[RecordEntry],
    ) -> Vec<(&'static str, String)> {
        record::native_files(distribution, entries)
            .iter()
            .filter_map(|file| {
                if let Some(problem) = self.machine(&file.path) {
                    return Some(problem);
                }
                let name = file.path.file_name().unwrap_or_default().to_string_lossy();
                if file.is_module
                    && let Err(invisible) = extension::check(&name, self.interpreter)
                {
                    let path = file.path.display();
                    let expected = invisible.expected.join(", ");
                    let text = format!(
                        "{path}: this interpreter does not look for {}, but for {expected}",
                        invisible.suffix
                    );
                    return Some(("extension.suffix", text));
                }
                self.closure(&file.path)
            })
            .collect()
    }

    /// A file that is gone has been said already.
    fn machine(&self, path: &Path) -> Option<(&'static str, String)> {
        let file = self.root.open(path).ok()?;
        match elf::identify(&file) {
            Ok(identity) => {
                let mismatch = identity.runs_on(self.loader.arch()).err()?;
                Some(("elf.machine", format!("{} {mismatch}", path.display())))
            }
            Err(error) => Some(("elf.broken", format!("{} {error}", path.display()))),
        }
    }

    fn closure(&self, path: &Path) -> Option<(&'static str, String)> {
        if !self.root.exists(path) {
            return None;
        }
        let closure = self.loader.closure(path, Some(&self.program));
        let problem = closure.problems.iter().find(|problem| problem.is_fatal())?;
        Some(("extension.closure", problem.to_string()))
    }
}

/// What does not fit about a wheel's tags.
fn misfit(problem: wheel_tag::Problem) -> String {
    match problem {
        wheel_tag::Problem::Python => "made for another Python".to_owned(),
        wheel_tag::Problem::System => "made for another operating system".to_owned(),
        wheel_tag::Problem::Arch => "made for another processor".to_owned(),
        wheel_tag::Problem::OtherLibc => "made for another libc".to_owned(),
        wheel_tag::Problem::NewerLibc(major, minor) => {
            format!("needs a libc of at least {major}.{minor}")
        }
    }
}

/// The version of glibc: the highest of its own symbol versions.
fn glibc_version(loader: &Loader) -> Option<(u32, u32)> {
    let closure = loader.closure("libc.so.6", None);
    let libc = closure.nodes.get(closure.start)?;
    let versions = libc.object.defined_versions.iter();
    versions
        .filter_map(|version| {
            let (major, minor) = version.strip_prefix("GLIBC_")?.split_once('.')?;
            Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
        })
        .max()
}
