//! Python: the interpreter that would run, its version, and the distributions it would find;
//! in the full form also what these require and brought along.

use std::io;
use std::path::{Path, PathBuf};

use super::report::{Check, Status};
use super::request::{PythonCheck, Request, Switches, failure};
use super::{library, module};
use crate::elf;
use crate::loader::{Libc, Loader, Problem, Program};
use crate::platform::{Root, file};
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
use crate::python::wheel_tag::{self, Runtime, WheelTag};
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
    checks.extend(oddities(&found));
    for name in &python.modules {
        checks.push(module::named(request, &found, name, failed).looked_at(root));
    }
    let lists = wanted(python, &found, failed, &mut checks);
    let installed = Installed::list(root, &found.site.folders).with_archives(&found.site.archives);
    let depth = if request.full { Depth::Transitive } else { Depth::Direct };
    let environment = found.environment();
    let outcome = closure::check(&installed, &found.version, &environment, &lists.wanted, depth);
    let constrained = closure::constrained(&installed, &environment, &lists.constraints);
    let first = checks.len();
    let findings = outcome.findings.iter().chain(&constrained);
    checks.extend(findings.map(|finding| judged(finding, failed)));
    checks.extend(satisfied(&lists.wanted, &outcome));
    let optional = profile_list(&python.optional, Status::Warn, &mut checks);
    if !optional.is_empty() {
        let outcome = closure::check(&installed, &found.version, &environment, &optional, depth);
        checks.extend(outcome.findings.iter().map(|finding| judged(finding, Status::Warn)));
        checks.extend(satisfied(&optional, &outcome));
    }
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
    if request.full && !request.leave_files {
        let files = Files::new(root, &found, loader, failed);
        let every = python.every.then(|| installed.all().0);
        let reached = every.as_ref().unwrap_or(&outcome.reached);
        checks.extend(files.check(reached, request.hashes));
    }
    checks
}

/// The interpreter that would run: one that is named, or the first of PATH.
pub(crate) fn find(
    request: &Request,
    named: Option<&str>,
) -> Result<Interpreter, interpreter::PythonError> {
    find_with(request, named, Switches::default())
}

/// The same for one that is started with options of its own.
pub(super) fn find_with(
    request: &Request,
    named: Option<&str>,
    switches: Switches,
) -> Result<Interpreter, interpreter::PythonError> {
    let around = &request.surroundings;
    let user_base = around.user_base(switches);
    // As the shell that it is typed in has it; in another root there is no such place.
    let is_relative = |name: &&str| name.contains('/') && !name.starts_with('/');
    let here = named.filter(is_relative).and_then(|name| Some(module::start(request)?.join(name)));
    let named = here.as_deref().and_then(Path::to_str).or(named);
    let search = Search {
        path: around.search_path(),
        named,
        virtual_env: around.virtual_env.as_deref(),
        python_path: around.python_path.as_deref().filter(|_| !switches.no_environment),
        user_base: user_base.as_deref(),
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

/// What makes it doubtful that this is the interpreter, or the environment, that was meant.
fn oddities(found: &Interpreter) -> Vec<Check> {
    let subject = found.path.display().to_string();
    let odd = |message: String| Check::new("python.version", Status::Warn, &*subject, message);
    let mut checks: Vec<Check> = found.notes.iter().cloned().map(odd).collect();
    for (folder, problem) in &found.site.unlisted {
        let message = format!(
            "no distribution can be found in {}: it cannot be listed ({problem})",
            folder.display()
        );
        checks.push(odd(message).remedy("let everybody read the folder (chmod a+rx)"));
    }
    if let Some(script) = found.scripts.first() {
        let message = format!(
            "{} comes before it on PATH and is a script: which interpreter that starts cannot be \
             known, and this one was verified",
            script.display()
        );
        checks.push(odd(message).remedy("name the interpreter with --python, or in the profile"));
    }
    checks
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
pub(crate) struct Lists {
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) constraints: Vec<Wanted>,
}

/// The requirements of the profile and of the files; what cannot be read becomes a check.
pub(crate) fn wanted(
    python: &PythonCheck,
    found: &Interpreter,
    failed: Status,
    checks: &mut Vec<Check>,
) -> Lists {
    let mut lists =
        Lists { wanted: profile_list(&python.requirements, failed, checks), ..Lists::default() };
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

/// A list of the profile; what cannot be read becomes a check.
pub(crate) fn profile_list(
    list: &[String],
    failed: Status,
    checks: &mut Vec<Check>,
) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for text in list {
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
    wanted
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
    program: Program,
    runtime: Runtime,
    failed: Status,
}

/// What was seen of a distribution's files.
struct Seen<'d> {
    distribution: &'d Distribution,
    /// Lines of RECORD.
    count: usize,
    troubles: Vec<Trouble>,
    /// Files whose contents are still to be compared.
    hashed: Vec<Hashed>,
    /// What was looked at.
    trail: Vec<PathBuf>,
}

/// A file whose contents are to be compared.
struct Hashed {
    /// As in RECORD.
    path: Box<str>,
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
            program: loader.program(&interpreter.real_path),
            runtime: Runtime::of(interpreter, libc),
            failed,
        }
    }

    /// A check for each kind of trouble that a distribution has, or one that there is none; with
    /// `hashes` also of the contents of its files.
    fn check(&self, distributions: &[Distribution], hashes: bool) -> Vec<Check> {
        let (mut seen, mut checks) = (Vec::new(), Vec::new());
        // One text and one open folder after the other.
        let (mut room, mut files) = (Vec::new(), None);
        for distribution in distributions {
            let folder = distribution.folder.as_path();
            files = files.take().filter(|files: &record::Files<'_>| files.are_of(folder));
            let files = files.get_or_insert_with(|| record::Files::of(self.root, folder));
            match self.look(distribution, files, &mut room, hashes) {
                Ok(one) => seen.push(one),
                Err(error) => {
                    checks.push(self.without_record(distribution, &error).looked_at(self.root));
                }
            }
        }
        let compared = hashes.then(|| self.compare(&mut seen)).flatten();
        checks.extend(seen.into_iter().flat_map(|one| self.concluded(one)));
        checks.extend(compared);
        checks
    }

    /// Looks at every file of RECORD; an error is that it cannot be read.
    fn look<'d>(
        &self,
        distribution: &'d Distribution,
        files: &mut record::Files<'_>,
        room: &mut Vec<u8>,
        hashes: bool,
    ) -> io::Result<Seen<'d>> {
        let text = record::read(self.root, distribution, room)?;
        let (mut count, mut differences) = (0, Vec::new());
        let (mut native, mut hashed) = (Vec::new(), Vec::new());
        for entry in record::entries(&text) {
            count += 1;
            native.extend(record::native_file(distribution, &entry));
            // What is opened for its contents need not be looked at before.
            match hashes.then(|| to_hash(files, &entry)).flatten() {
                Some(file) => hashed.push(file),
                None => differences.extend(files.difference(&entry)),
            }
        }
        let mut troubles = self.differences(distribution, &differences);
        let tags = self.wheel_tags(distribution).unwrap_or_else(|trouble| {
            troubles.push(trouble);
            Vec::new()
        });
        troubles.extend(self.misfit(&tags));
        let for_any = wheel_tag::are_for_any(&tags);
        troubles.extend(native.iter().filter_map(|file| self.native_file(file, &native, for_any)));
        let trail = self.root.take_trail();
        Ok(Seen { distribution, count, troubles, hashed, trail })
    }

    fn without_record(&self, distribution: &Distribution, error: &io::Error) -> Check {
        let subject = distribution.name.clone();
        if is_absent(error) {
            // Packages of a Linux distribution have no RECORD.
            return Check::new("record.none", Status::Skip, subject, "has no RECORD to go by");
        }
        let message = format!("its RECORD cannot be read: {error}");
        Check::new("record.unreadable", self.failed, subject, message)
    }

    fn concluded(&self, seen: Seen<'_>) -> Vec<Check> {
        const OF_FILES: [&str; 3] = ["record.missing", "record.size", "record.unreadable"];
        let is_whole = !seen.troubles.iter().any(|one| OF_FILES.contains(&one.id));
        let mut checks = self.gathered(seen.distribution, seen.troubles);
        if is_whole {
            let subject = seen.distribution.name.clone();
            let message = format!("{} files as recorded", seen.count);
            checks.push(Check::new("record.missing", Status::Pass, subject, message));
        }
        if let Some(check) = checks.pop() {
            checks.push(check.with_paths(&seen.trail));
        }
        checks
    }

    /// One check for each identifier and status: the first of its troubles, the others as
    /// evidence.
    fn gathered(&self, distribution: &Distribution, troubles: Vec<Trouble>) -> Vec<Check> {
        let remedy = |id: &str| match id {
            "record.unreadable" => "give the user that the image runs as access to it, as with \
                                    chmod -R a+rX, when the image is built"
                .to_owned(),
            _ => format!(
                "install {} {} for this platform when the image is built",
                distribution.name, distribution.version
            ),
        };
        let mut checks: Vec<Check> = Vec::new();
        for Trouble { id, is_harmless, text } in troubles {
            let status = if is_harmless { Status::Warn } else { self.failed };
            match checks.iter_mut().find(|check| check.id == id && check.status == status) {
                Some(check) if check.evidence.len() < MOST_EVIDENCE => check.evidence.push(text),
                Some(_) => {}
                None => checks.push(
                    Check::new(id, status, distribution.name.clone(), text).remedy(remedy(id)),
                ),
            }
        }
        checks
    }

    /// Compares the contents of all files that there are hashes for, on all cores. What is wrong
    /// is put to the troubles of their distributions.
    fn compare(&self, seen: &mut [Seen<'_>]) -> Option<Check> {
        let files: Vec<&Expected> =
            seen.iter().flat_map(|one| &one.hashed).map(|file| &file.expected).collect();
        let mut answers = content::compare(&files).into_iter();
        let (mut same, mut changed) = (0, false);
        for one in seen {
            for (file, answer) in std::mem::take(&mut one.hashed).iter().zip(&mut answers) {
                if answer == Content::Same {
                    same += 1;
                    continue;
                }
                let found = self.other_contents(one.distribution, file, answer);
                changed |= found.as_ref().is_some_and(|trouble| trouble.id == "record.hash");
                one.troubles.extend(found);
            }
        }
        // These paths have been noted when they were met in RECORD.
        self.root.take_trail();
        let message = format!("the contents of {same} files are as recorded");
        let check = || Check::new("record.hash", Status::Pass, "installed files", message);
        (!changed).then(check)
    }

    /// What is wrong with a file that has not the contents it should have. That it is gone or of
    /// another size says more.
    fn other_contents(
        &self,
        distribution: &Distribution,
        file: &Hashed,
        answer: Content,
    ) -> Option<Trouble> {
        let size = file.expected.size;
        let entry = RecordEntry { path: (&*file.path).into(), hash: None, size };
        let difference = record::Files::of(self.root, &distribution.folder).difference(&entry);
        if difference.is_some() {
            return self.differences(distribution, difference.as_slice()).pop();
        }
        let inside = distribution.folder.join(&*file.path);
        let path = inside.display();
        let text = match answer {
            // Compiled files come and go.
            Content::Unreadable if !self.root.exists(&inside) => return None,
            Content::Unreadable => format!("{path} cannot be read"),
            _ => format!("{path} has other contents than were installed"),
        };
        let is_harmless = distribution.is_debians(self.root) || !is_code(&inside);
        Some(Trouble { id: "record.hash", is_harmless, text })
    }

    fn differences(&self, distribution: &Distribution, differences: &[Difference]) -> Vec<Trouble> {
        if differences.is_empty() {
            return Vec::new();
        }
        let is_debians = distribution.is_debians(self.root);
        let is_packaged = distribution.is_packaged(self.root);
        // Alpine's packages are stripped after recording too.
        let stripped = |path: &Path, recorded: u64, found: u64| {
            is_packaged && found < recorded && !is_python(path)
        };
        let trouble = |difference: &Difference| match difference {
            Difference::Missing { path, is_outside } => Trouble {
                id: "record.missing",
                is_harmless: *is_outside || (is_debians && !is_imported(path)),
                text: format!("{} is gone", path.display()),
            },
            Difference::Resized { path, recorded, found, is_outside } => Trouble {
                id: "record.size",
                is_harmless: is_debians
                    || *is_outside
                    || !is_code(path)
                    || stripped(path, *recorded, *found),
                text: format!("{} has {found} bytes, installed were {recorded}", path.display()),
            },
            Difference::Forbidden { path, is_outside } => Trouble {
                id: "record.unreadable",
                is_harmless: *is_outside || !is_code(path),
                text: format!(
                    "{} may not be read by this user (permission denied)",
                    path.display()
                ),
            },
            Difference::NotAFile { path } => {
                Trouble::new("record.missing", format!("{} is no regular file", path.display()))
            }
        };
        differences.iter().map(trouble).collect()
    }

    /// The tags of the wheel it came in; none for an egg, or a package of a Linux distribution.
    fn wheel_tags(&self, distribution: &Distribution) -> Result<Vec<WheelTag>, Trouble> {
        match self.root.read(&distribution.location.join("WHEEL"), LARGEST_WHEEL) {
            Ok(bytes) => Ok(wheel_tag::tags(&file::text(&bytes))),
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            Err(error) => {
                Err(Trouble::new("wheel.tag", format!("its WHEEL cannot be read: {error}")))
            }
        }
    }

    fn misfit(&self, tags: &[WheelTag]) -> Option<Trouble> {
        let problem = wheel_tag::problem(tags, &self.runtime)?;
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        let text = format!("its wheel is {}: {}", tags.join(", "), misfit(problem));
        Some(Trouble::new("wheel.tag", text))
    }

    /// `for_any`: the wheel says that it runs on any machine.
    fn native_file(
        &self,
        file: &NativeFile,
        beside: &[NativeFile],
        for_any: bool,
    ) -> Option<Trouble> {
        let closure = self.loader.closure(&file.path, Some(&self.program));
        let problem = closure.problems.iter().find(|problem| problem.is_fatal());
        match problem {
            // Such a wheel may bring a library for each machine, as debuggers do, and load one.
            Some(Problem::Mismatch { .. }) => {
                let is_harmless = for_any || self.stands_for_another(file, beside);
                let text = problem?.to_string();
                return Some(Trouble { id: "elf.machine", is_harmless, text });
            }
            Some(Problem::Unreadable { path, error }) if *path == file.path => {
                // A file that is gone has been said already.
                let gone = !self.root.exists(path);
                let text = format!("{} {error}", path.display());
                return (!gone).then(|| Trouble::new("elf.broken", text));
            }
            _ => {}
        }
        if file.is_module
            && let Err(invisible) = extension::check(&file.name(), self.interpreter)
        {
            if self.stands_for_another(file, beside) {
                return None;
            }
            let path = file.path.display();
            let expected = invisible.expected.join(", ");
            let text = format!(
                "{path}: this interpreter does not look for {}, but for {expected}",
                invisible.suffix
            );
            return Some(Trouble::new("extension.suffix", text));
        }
        let text = problem?.to_string();
        // A library, or a plugin such as a database driver of Qt's: it may never be loaded, and
        // where a module needs it, that one's own closure tells.
        let is_harmless = !(file.is_module && self.is_extension_module(file));
        Some(Trouble { id: "extension.closure", is_harmless, text })
    }

    /// Whether the same module is there for this interpreter too, beside those for others.
    fn stands_for_another(&self, file: &NativeFile, beside: &[NativeFile]) -> bool {
        let name = file.name();
        let stem = extension::stem(&name);
        beside.iter().any(|other| {
            let other_name = other.name();
            other.path != file.path
                && other.path.parent() == file.path.parent()
                && extension::stem(&other_name) == stem
                && extension::check(&other_name, self.interpreter).is_ok()
        })
    }

    /// Whether Python can import it: it has the function that makes the module (PEP 489).
    fn is_extension_module(&self, file: &NativeFile) -> bool {
        let name = file.name();
        let entry = format!("PyInit_{}", extension::stem(&name));
        let found = self.root.open(&file.path).ok();
        let found = found.and_then(|file| elf::exports(&file, &[&entry]).ok());
        found.is_none_or(|found| found.first() == Some(&true))
    }
}

/// The file of an entry, where there is a hash to compare its contents with.
fn to_hash(files: &record::Files<'_>, entry: &RecordEntry) -> Option<Hashed> {
    let digest = content::digest(entry.hash.as_deref()?)?;
    let expected = Expected { place: files.place(&entry.path).ok()?, size: entry.size, digest };
    Some(Hashed { path: (&*entry.path).into(), expected })
}

/// Whether Python would import a file of this name.
fn is_imported(path: &Path) -> bool {
    is_python(path) || path.extension().is_some_and(|extension| extension == "so")
}

fn is_python(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "py")
}

/// Whether a file of this name is run, and not data, such as certificates, that an image may
/// change on purpose.
fn is_code(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    is_imported(path) || name.contains(".so.")
}

/// Whether there is no such file. An `.egg-info` of distutils and a zipped egg are files
/// themselves, in which there is none.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
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
    let libc = closure.nodes.first()?;
    let versions = libc.object.defined_versions.iter();
    versions
        .filter_map(|version| {
            let (major, minor) = version.strip_prefix("GLIBC_")?.split_once('.')?;
            Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
        })
        .max()
}
