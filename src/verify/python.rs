//! Python: the interpreter that would run, its version, and the distributions it would find;
//! in the full form also what these require and brought along.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::report::{Check, Status};
use super::request::{PythonCheck, Request, failure};
use super::{library, module};
use crate::loader::{Closure, Libc, Loader, Problem};
use crate::platform::Root;
use crate::python::closure::{self, Depth, Finding, Wanted, supports};
use crate::python::content::{self, Content, Expected};
use crate::python::distribution::{Distribution, Installed};
use crate::python::interpreter::{self, Interpreter, Search};
use crate::python::marker::Truth;
use crate::python::name::normalize;
use crate::python::record::{self, Difference, NativeFile, RecordEntry};
use crate::python::requirement::Requirement;
use crate::python::requirement_file::{Place, RequirementList};
use crate::python::version::Specifiers;
use crate::python::wheel_tag::{self, Runtime};
use crate::python::{extension, pyproject, requirement_file};

/// As many problems as one distribution's check lists.
const MOST_EVIDENCE: usize = 12;
/// WHEEL is a dozen lines.
const LARGEST_WHEEL: u64 = 1 << 20;

/// Checks one Python.
pub fn check(request: &Request, python: &PythonCheck, loader: &Loader) -> Vec<Check> {
    let failed = failure(python.severity);
    let root = &request.root;
    let found = match find(request, python.interpreter.as_deref()) {
        Ok(found) => found,
        Err(error) => {
            let subject = python.interpreter.clone().unwrap_or_else(|| "python3".to_owned());
            let check = Check::new("python.missing", failed, subject, error.to_string());
            return vec![check.remedy(error.remedy()).looked_at(root)];
        }
    };
    let mut checks = vec![
        version(&found, python, failed).looked_at(root),
        machine(&found, loader, failed).looked_at(root),
    ];
    for name in &python.modules {
        checks.push(module::named(request, &found, name, failed).looked_at(root));
    }
    let lists = wanted(python, &found, failed, &mut checks);
    let installed = Installed::list(root, &found.site.folders);
    let depth = if request.full { Depth::Transitive } else { Depth::Direct };
    let environment = found.environment();
    let outcome = closure::check(&installed, &found.version, &environment, &lists.wanted, depth);
    let constrained = closure::constrained(&installed, &environment, &lists.constraints);
    let first = checks.len();
    let findings = outcome.findings.iter().chain(&constrained);
    checks.extend(findings.map(|finding| judged(finding, failed)));
    checks.extend(satisfied(&lists.wanted, &outcome));
    // One look through the metadata answers all of them.
    if let Some(check) = checks.get_mut(first) {
        *check = std::mem::replace(check, Check::new("", failed, "", "")).looked_at(root);
    }
    for (distribution, library) in &python.loads {
        let name = normalize(distribution);
        if outcome.reached.iter().any(|reached| reached.normalized == name) {
            checks.push(library::check(loader, library, request.full).looked_at(root));
        }
    }
    if request.full {
        let files = Files::new(root, &found, loader, failed);
        for (index, distribution) in outcome.reached.iter().enumerate() {
            checks.extend(files.check(distribution, request.hashes.then_some(index)));
        }
        if request.hashes {
            checks.extend(files.contents(&outcome.reached));
        }
    }
    checks
}

/// The interpreter that would run: one that is named, or the first of PATH.
pub(super) fn find(
    request: &Request,
    named: Option<&str>,
) -> Result<Interpreter, interpreter::PythonError> {
    let around = &request.surroundings;
    let search = Search {
        path: around.search_path(),
        named,
        virtual_env: around.virtual_env.as_deref(),
        python_path: around.python_path.as_deref(),
        home: around.home.as_deref(),
        version_hint: around.python_version.as_deref(),
    };
    interpreter::find(&request.root, &search)
}

fn version(found: &Interpreter, python: &PythonCheck, failed: Status) -> Check {
    let asked = python.requires.as_deref().map(|requires| (requires, "the profile's requires"));
    version_is(found, asked, failed)
}

/// The interpreter's version, against specifiers and who has them.
fn version_is(found: &Interpreter, asked: Option<(&str, &str)>, failed: Status) -> Check {
    let subject = found.path.display().to_string();
    let about = format!("Python {} ({})", found.version, found.version_source);
    let Some((requires, whose)) = asked else {
        return Check::new("python.version", Status::Pass, subject, about);
    };
    let specifiers = match Specifiers::parse(requires) {
        Ok(specifiers) => specifiers,
        Err(error) => {
            let message = format!("{whose} = {requires:?} is not PEP 440: {error}");
            return Check::new("requirement.invalid", failed, subject, message);
        }
    };
    match supports(&specifiers, &found.version) {
        Truth::True => Check::new("python.version", Status::Pass, subject, about),
        Truth::False => {
            let message = format!("Python {} is not {requires}, as {whose} has it", found.version);
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

/// What is asked for.
#[derive(Default)]
struct Lists {
    wanted: Vec<Wanted>,
    constraints: Vec<Wanted>,
}

/// The requirements of the profile and of the files; what cannot be read becomes a check.
fn wanted(
    python: &PythonCheck,
    found: &Interpreter,
    failed: Status,
    checks: &mut Vec<Check>,
) -> Lists {
    let mut lists = Lists::default();
    for text in &python.requirements {
        match Requirement::parse(text) {
            Ok(requirement) => {
                let required_by = "the profile".to_owned();
                lists.wanted.push(Wanted { requirement, required_by });
            }
            Err(error) => {
                let message = format!("not a requirement (PEP 508): {error}");
                checks.push(Check::new("requirement.invalid", failed, text.clone(), message));
            }
        }
    }
    let with_place = |(requirement, place): (Requirement, Place)| Wanted {
        requirement,
        required_by: place.to_string(),
    };
    for file in &python.files {
        let list = read_list(file);
        for remark in &list.errors {
            let subject = remark.place.to_string();
            checks.push(Check::new("requirement.invalid", failed, subject, remark.text.clone()));
        }
        for remark in &list.notes {
            let subject = remark.place.to_string();
            checks.push(Check::new("requirement.note", Status::Skip, subject, remark.text.clone()));
        }
        if let Some((requires, place)) = &list.requires_python {
            let whose = format!("requires-python in {place}");
            checks.push(version_is(found, Some((requires, &whose)), failed));
        }
        lists.wanted.extend(list.requirements.into_iter().map(with_place));
        lists.constraints.extend(list.constraints.into_iter().map(with_place));
    }
    lists
}

/// A requirements file, or a project. It is on this machine, whatever the root is.
fn read_list(file: &Path) -> RequirementList {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match pyproject::split(file) {
        Some((path, extras)) => pyproject::read(&Root::host(), &absolute(&path), &extras),
        None => requirement_file::read(&Root::host(), &absolute(file)),
    }
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
        Finding::Constrained { name, wanted, location, .. } => {
            Check::new("dist.constraint", failed, name.clone(), message)
                .remedy(format!("pip install '{name}{wanted}' when the image is built"))
                .evidence(vec![location.display().to_string()])
        }
        Finding::OtherSource { name, wanted, .. } => {
            Check::new("dist.source", Status::Warn, name.clone(), message).remedy(format!(
                "pip install --force-reinstall '{name} @ {wanted}' when the image is built"
            ))
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

/// What is wrong with a distribution's files.
struct Trouble {
    id: &'static str,
    /// Whether it says nothing about the distribution's fitness: a warning at most.
    is_harmless: bool,
    text: String,
}

impl Trouble {
    fn new(id: &'static str, text: String) -> Trouble {
        Trouble { id, is_harmless: false, text }
    }
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
    /// Files whose contents are to be compared.
    hashed: RefCell<Vec<Hashed>>,
    /// The checks of distributions of which nothing is wrong so far.
    whole: RefCell<Vec<(usize, Check)>>,
}

/// A file whose contents are to be compared.
struct Hashed {
    /// Its distribution.
    index: usize,
    /// As in RECORD.
    path: String,
    /// In bytes, as in RECORD.
    size: Option<u64>,
    expected: Expected,
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
            hashed: RefCell::default(),
            whole: RefCell::default(),
        }
    }

    /// A check for each kind of trouble that a distribution has, or one that there is none.
    fn check(&self, distribution: &Distribution, hash_as: Option<usize>) -> Vec<Check> {
        let subject = distribution.name.clone();
        let text = match record::read(self.root, distribution) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Packages of a Linux distribution have no RECORD.
                let message = "has no RECORD to go by";
                return vec![Check::new("record.none", Status::Skip, subject, message)];
            }
            Err(error) => {
                let message = format!("its RECORD cannot be read: {error}");
                return vec![Check::new("record.unreadable", self.failed, subject, message)];
            }
        };
        let mut looked = record::Files::of(self.root, &distribution.folder);
        let (mut count, mut differences, mut native) = (0, Vec::new(), Vec::new());
        for entry in record::entries(&text) {
            count += 1;
            native.extend(record::native_file(distribution, &entry));
            // What is opened for its contents need not be looked at before.
            if !hash_as.is_some_and(|index| self.note_hash(index, distribution, &entry)) {
                differences.extend(looked.difference(&entry));
            }
        }
        let whole = differences.is_empty();
        let mut troubles = self.differences(distribution, &differences);
        troubles.extend(self.wheel(distribution));
        troubles.extend(native.iter().filter_map(|file| self.native_file(file)));
        let mut checks = self.gathered(distribution, troubles);
        match hash_as {
            Some(index) if whole && checks.is_empty() => {
                let check = as_recorded(distribution, count).looked_at(self.root);
                self.whole.borrow_mut().push((index, check));
                return checks;
            }
            _ if whole => checks.push(as_recorded(distribution, count)),
            _ => {}
        }
        if let Some(check) = checks.pop() {
            checks.push(check.looked_at(self.root));
        }
        checks
    }

    /// One check for each identifier and status: the first of its troubles, the others as
    /// evidence.
    fn gathered(&self, distribution: &Distribution, troubles: Vec<Trouble>) -> Vec<Check> {
        let remedy = format!(
            "install {} {} for this platform when the image is built",
            distribution.name, distribution.version
        );
        let mut checks: Vec<Check> = Vec::new();
        for Trouble { id, is_harmless, text } in troubles {
            let status = if is_harmless { Status::Warn } else { self.failed };
            match checks.iter_mut().find(|check| check.id == id && check.status == status) {
                Some(check) if check.evidence.len() < MOST_EVIDENCE => check.evidence.push(text),
                Some(_) => {}
                None => checks.push(
                    Check::new(id, status, distribution.name.clone(), text).remedy(remedy.clone()),
                ),
            }
        }
        checks
    }

    /// Notes a file whose contents are to be compared; false where there is nothing to compare.
    fn note_hash(&self, index: usize, distribution: &Distribution, entry: &RecordEntry) -> bool {
        let Some(digest) = entry.hash.as_deref().and_then(content::digest) else { return false };
        let Ok(place) = self.root.place(&distribution.folder.join(&*entry.path)) else {
            return false;
        };
        let (path, size) = (entry.path.clone().into_owned(), entry.size);
        let expected = Expected { place, digest };
        self.hashed.borrow_mut().push(Hashed { index, path, size, expected });
        true
    }

    /// Compares the contents of all files that [`Files::check`] has met.
    fn contents(&self, reached: &[Distribution]) -> Vec<Check> {
        let hashed = self.hashed.take();
        let answers = content::compare(&hashed, |one| &one.expected);
        let same = answers.iter().filter(|answer| **answer == Content::Same).count();
        let mut troubles: BTreeMap<usize, Vec<Trouble>> = BTreeMap::new();
        for (one, answer) in hashed.iter().zip(&answers) {
            if let Some(distribution) = reached.get(one.index)
                && *answer != Content::Same
            {
                let found = self.other_contents(distribution, one, *answer);
                if !found.is_empty() {
                    troubles.entry(one.index).or_default().extend(found);
                }
            }
        }
        let (mut checks, whole) = (Vec::new(), self.whole.take());
        let whole = whole.into_iter().filter(|(index, _)| !troubles.contains_key(index));
        checks.extend(whole.map(|(_, check)| check));
        if troubles.is_empty() {
            let message = format!("the contents of {same} files are as recorded");
            checks.push(Check::new("record.hash", Status::Pass, "installed files", message));
        }
        for (index, troubles) in troubles {
            if let Some(distribution) = reached.get(index) {
                checks.extend(self.gathered(distribution, troubles));
            }
        }
        checks
    }

    /// What is wrong with a file that has not the contents it should have: that it is gone or of
    /// another size says more.
    fn other_contents(
        &self,
        distribution: &Distribution,
        one: &Hashed,
        answer: Content,
    ) -> Vec<Trouble> {
        let entry = RecordEntry { path: one.path.as_str().into(), hash: None, size: one.size };
        let difference = record::Files::of(self.root, &distribution.folder).difference(&entry);
        if let Some(difference) = difference {
            return self.differences(distribution, &[difference]);
        }
        let file = distribution.folder.join(&one.path);
        let path = file.display();
        let text = match answer {
            // Compiled files come and go.
            Content::Unreadable if !self.root.exists(&file) => return Vec::new(),
            Content::Unreadable => format!("{path} cannot be read"),
            Content::Same | Content::Changed => {
                format!("{path} has other contents than were installed")
            }
        };
        vec![Trouble { id: "record.hash", is_harmless: distribution.is_debians(self.root), text }]
    }

    fn differences(&self, distribution: &Distribution, differences: &[Difference]) -> Vec<Trouble> {
        if differences.is_empty() {
            return Vec::new();
        }
        let is_debians = distribution.is_debians(self.root);
        let trouble = |difference: &Difference| match difference {
            Difference::Missing { path, is_outside } => Trouble {
                id: "record.missing",
                is_harmless: *is_outside || (is_debians && !is_imported(path)),
                text: format!("{} is gone", path.display()),
            },
            Difference::Resized { path, recorded, found } => Trouble {
                id: "record.size",
                is_harmless: is_debians,
                text: format!("{} has {found} bytes, installed were {recorded}", path.display()),
            },
            Difference::NotAFile { path } => {
                Trouble::new("record.missing", format!("{} is no regular file", path.display()))
            }
        };
        differences.iter().map(trouble).collect()
    }

    fn wheel(&self, distribution: &Distribution) -> Option<Trouble> {
        let bytes = self.root.read(&distribution.location.join("WHEEL"), LARGEST_WHEEL).ok()?;
        let tags = wheel_tag::tags(&String::from_utf8_lossy(&bytes));
        let problem = wheel_tag::problem(&tags, &self.runtime)?;
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        let text = format!("its wheel is {}: {}", tags.join(", "), misfit(problem));
        Some(Trouble::new("wheel.tag", text))
    }

    fn native_file(&self, file: &NativeFile) -> Option<Trouble> {
        let closure = self.loader.closure(&file.path, Some(&self.program));
        let problem = closure.problems.iter().find(|problem| problem.is_fatal());
        match problem {
            Some(Problem::Mismatch { .. }) => {
                return Some(Trouble::new("elf.machine", problem?.to_string()));
            }
            Some(Problem::Unreadable { path, error }) if *path == file.path => {
                // A file that is gone has been said already.
                let gone = !self.root.exists(path);
                let text = format!("{} {error}", path.display());
                return (!gone).then(|| Trouble::new("elf.broken", text));
            }
            _ => {}
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
            return Some(Trouble::new("extension.suffix", text));
        }
        Some(Trouble::new("extension.closure", problem?.to_string()))
    }
}

/// The check of a distribution whose files are there, with their sizes.
fn as_recorded(distribution: &Distribution, count: usize) -> Check {
    let message = format!("{count} files as recorded");
    Check::new("record.missing", Status::Pass, distribution.name.clone(), message)
}

/// Whether Python would import a file of this name.
fn is_imported(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "py" || extension == "so")
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
