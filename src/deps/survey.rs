//! Looks at everything that a profile needs and changes nothing: verify's checks, packages,
//! tools, downloads, the container engine. Programs are started only where no file tells: `rpm`,
//! a tool whose version is demanded, a look at Python's wheels never.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database::{self, Database};
use super::download::{self, Fetch};
use super::engine;
use super::manager::{self, Manager};
use super::progress::Progress;
use super::python;
use super::step::{self, Step};
use crate::config::package::{Need, PackageEntry};
use crate::config::{Profile, Severity};
use crate::platform::{Arch, Platform, Root, Uname, detect, userland::root_arch};
use crate::python::version::Specifiers;
use crate::verify::request::{LibraryCheck, PythonCheck, failure};
use crate::verify::{Check, Report, Request, Status, verify};

/// What a program has for saying its version.
const VERSION_LIMIT: Duration = Duration::from_secs(5);

/// What to look at.
pub struct Settings {
    /// What is needed.
    pub profile: Profile,
    /// Where.
    pub root: Root,
    /// The environment that decides what is found.
    pub environment: Vec<(OsString, OsString)>,
    /// Whether what only building needs is looked for too.
    pub building: bool,
    /// The extras that are wanted.
    pub extras: Vec<String>,
    /// Further files of Python requirements.
    pub files: Vec<PathBuf>,
    /// How the container engine is looked at.
    pub engine: EngineLook,
    /// Whether the engine is proven by running our own binary.
    pub prove: bool,
    /// The binary that is run for that; the one beside this program where none is named.
    pub own_binary: Option<PathBuf>,
}

/// Whether the container engine is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineLook {
    /// Where the profile has `[engine]`.
    AsProfiled,
    /// Not at all.
    Not,
    /// And at nothing else.
    Only,
}

/// What there is and what there is not.
pub struct Survey {
    /// Where it was found.
    pub platform: Platform,
    /// The checks in their order.
    pub checks: Vec<Check>,
    /// The package manager, and whether its program is there.
    pub manager: Option<(Manager, bool)>,
    /// How many packages are installed, where the database could be read.
    pub installed: Option<usize>,
    /// Packages that an interrupted run has left half-way.
    pub unfinished: Vec<String>,
    /// What packages would bring.
    pub absent: Vec<Absent>,
    /// Every package that was asked for, and whether it is installed.
    pub packages: Vec<(String, bool)>,
    /// Programs that are to be fetched.
    pub downloads: Vec<Fetch>,
    /// Requirements of Python that are not met.
    pub python: Option<python::Wanting>,
    /// Every distribution that is required by name, and whether it is there.
    pub distributions: Vec<(String, bool)>,
    /// What the engine says of itself.
    pub engine: Option<engine::Found>,
}

/// Something that packages would bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// What it is.
    pub what: String,
    /// The packages that are not installed.
    pub packages: Vec<String>,
    /// Whether it has to be there.
    pub required: bool,
}

impl Survey {
    /// As the report that all parts share.
    pub fn report(&self) -> Report {
        Report::new(self.platform.clone(), self.checks.clone())
    }
}

/// Looks.
pub fn survey(settings: &Settings) -> Survey {
    let mut survey = Survey {
        platform: detect(&settings.root),
        checks: Vec::new(),
        manager: None,
        installed: None,
        unfinished: Vec::new(),
        absent: Vec::new(),
        packages: Vec::new(),
        downloads: Vec::new(),
        python: None,
        distributions: Vec::new(),
        engine: None,
    };
    if settings.engine != EngineLook::Only {
        let request = request(settings);
        survey.manager = Manager::of(&settings.root, request.surroundings.search_path());
        let packages = Packages::read(settings, &mut survey);
        survey.checks.extend(verify(&request).checks);
        survey.download(settings, &request);
        packages.explain(&mut survey);
        packages.look(&mut survey, &request);
        survey.ask_python(&request);
    }
    survey.ask_engine(settings);
    survey
}

/// What verify looks at: the profile in its full form, with the extras, without the files of
/// distributions.
fn request(settings: &Settings) -> Request {
    let profile = &settings.profile;
    let mut request = Request::of_profile(profile, true, &settings.environment);
    request.root = settings.root.clone();
    request.leave_files = true;
    for entry in wanted(settings) {
        let Need::Library(soname) = &entry.need else { continue };
        if entry.severity != Severity::Off && !is_named(profile, &entry.need) {
            request.libraries.push(LibraryCheck {
                soname: soname.clone(),
                symbol_version: None,
                severity: entry.severity,
                purpose: entry.purpose.clone(),
                remedy: None,
            });
        }
    }
    for binary in &mut request.binaries {
        let entry = profile.binaries.iter().find(|entry| entry.name == binary.name);
        let download = entry.and_then(|entry| entry.download.as_ref());
        // It need not be in PATH where the profile says where it goes.
        if let Some(download) = download.filter(|one| request.root.exists(&one.destination)) {
            binary.name = download.destination.display().to_string();
        }
    }
    if request.python.is_none() && !settings.files.is_empty() {
        request.python = Some(PythonCheck::of_any());
    }
    if let Some(python) = &mut request.python {
        python.files.extend(settings.files.iter().cloned());
        let extras = profile.python.iter().flat_map(|python| &python.extras);
        for (_, list) in extras.filter(|(name, _)| settings.extras.contains(name)) {
            python.requirements.extend(list.iter().cloned());
        }
    }
    request
}

/// The entries that count here.
fn wanted(settings: &Settings) -> impl Iterator<Item = &PackageEntry> {
    settings.profile.packages.iter().filter(|entry| {
        let asked = entry.extras.iter().any(|extra| settings.extras.contains(extra));
        (entry.extras.is_empty() || asked) && (!entry.for_building || settings.building || asked)
    })
}

/// Whether the profile asks for it in another part: then the entry only says what brings it.
fn is_named(profile: &Profile, need: &Need) -> bool {
    match need {
        Need::Library(soname) => {
            let loads = profile.python.iter().flat_map(|python| &python.loads);
            profile.libraries.iter().any(|library| library.soname == *soname)
                || loads.into_iter().any(|load| load.soname == *soname)
                || (profile.opencl.is_some() && soname.starts_with("libOpenCL."))
        }
        Need::Command(name, _) => {
            profile.binaries.iter().any(|binary| binary.name == *name)
                || (profile.python.is_some() && is_python(name))
        }
        Need::Named(_) | Need::SourceOf(_) => false,
    }
}

fn is_python(name: &str) -> bool {
    name.starts_with("python")
}

impl Survey {
    /// What is to be fetched and is not there.
    fn download(&mut self, settings: &Settings, request: &Request) {
        let arch = arch(&settings.root);
        for entry in &settings.profile.binaries {
            let Some(download) = &entry.download else { continue };
            let Some(wanted) = request
                .binaries
                .iter()
                .find(|one| one.name == entry.name || Path::new(&one.name) == download.destination)
            else {
                continue;
            };
            let absent = self.checks.iter_mut().find(|check| {
                check.id == "binary.missing"
                    && check.subject == wanted.name
                    && check.status != Status::Pass
            });
            let (Some(check), Some(arch)) = (absent, arch) else { continue };
            let severity = wanted.severity;
            *check = match download::of(entry, download, arch, &settings.root, severity) {
                Ok(fetch) => {
                    let message = format!("not there; it is fetched from {}", fetch.url);
                    self.downloads.push(fetch);
                    Check::new("download.missing", failure(severity), &entry.name, message)
                        .remedy("mak deps --install fetches it")
                }
                Err(why) => Check::new("download.platform", failure(severity), &entry.name, why)
                    .remedy("add a [[binary.download]] for this platform to the profile"),
            };
        }
    }

    fn ask_python(&mut self, request: &Request) {
        let Some(check) = &request.python else { return };
        self.distributions = python::named(&check.requirements, &self.checks);
        let is_unmet = |check: &Check| {
            check.id.starts_with("dist.") && matches!(check.status, Status::Fail | Status::Warn)
        };
        // Verify has read every distribution once already.
        if !self.checks.iter().any(is_unmet) {
            return;
        }
        self.python = python::wanting(request, check);
        let Some((wanting, folder)) =
            self.python.as_ref().and_then(|one| Some((one, one.managed.clone()?)))
        else {
            return;
        };
        if wanting.required.is_empty() {
            return;
        }
        self.checks.push(
            Check::new(
                "dist.managed",
                Status::Warn,
                wanting.interpreter.display().to_string(),
                format!(
                    "belongs to the distribution: {} keeps pip out (PEP 668)",
                    folder.display()
                ),
            )
            .remedy(python::proposal(wanting)),
        );
    }

    fn ask_engine(&mut self, settings: &Settings) {
        let entry = settings.profile.engine.as_ref();
        let severity = match settings.engine {
            EngineLook::Not => return,
            EngineLook::Only => Severity::Required,
            EngineLook::AsProfiled => match entry.map(|entry| entry.severities.full) {
                None | Some(Severity::Off) => return,
                Some(severity) => severity,
            },
        };
        let look = engine::Look {
            entry,
            failed: failure(severity),
            environment: &settings.environment,
            proof: settings.prove.then_some(settings.own_binary.as_deref()),
        };
        let (found, checks) = engine::check(&look);
        self.engine = Some(found);
        self.checks.extend(checks);
    }
}

/// The profile's packages against the database.
struct Packages<'s> {
    settings: &'s Settings,
    manager: Option<Manager>,
    database: Option<Database>,
}

impl<'s> Packages<'s> {
    fn read(settings: &'s Settings, survey: &mut Survey) -> Packages<'s> {
        let manager = survey.manager.map(|(manager, _)| manager);
        let mut packages = Packages { settings, manager, database: None };
        if settings.profile.packages.is_empty() {
            return packages;
        }
        let Some(manager) = manager else {
            survey.checks.push(
                Check::new(
                    "package.manager",
                    Status::Skip,
                    "package manager",
                    "none that is known here: no os-release names one and none is in PATH",
                )
                .remedy("install what is missing by hand"),
            );
            return packages;
        };
        match database::read(manager, &settings.root) {
            Ok(database) => {
                survey.installed = Some(database.len());
                survey.unfinished.clone_from(&database.unfinished);
                let message = format!("{} packages are installed", database.len());
                let check = Check::new("package.manager", Status::Pass, manager.name(), message);
                survey.checks.push(match database.unfinished.is_empty() {
                    true => check,
                    false => unfinished(manager, &database.unfinished),
                });
                packages.database = Some(database);
            }
            Err(error) => survey.checks.push(Check::new(
                "package.manager",
                Status::Warn,
                manager.name(),
                error.to_string(),
            )),
        }
        packages
    }

    /// Turns "install the package that holds it" into the command that does, for what verify has
    /// found missing.
    fn explain(&self, survey: &mut Survey) {
        let mut absent = Vec::new();
        for check in &mut survey.checks {
            if matches!(check.status, Status::Pass | Status::Skip) {
                continue;
            }
            let is_wanted = |need: &Need| match (check.id, need) {
                ("opencl.loader" | "opencl.driver", Need::Library(name)) => {
                    name.starts_with("libOpenCL.")
                }
                ("python.missing", Need::Command(name, _)) => is_python(name),
                ("binary.missing", Need::Command(name, _)) => *name == check.subject,
                (id, Need::Library(name)) if of_library(id) => *name == check.subject,
                _ => false,
            };
            let entries = self.settings.profile.packages.iter();
            let entries: Vec<&PackageEntry> =
                entries.filter(|entry| is_wanted(&entry.need)).collect();
            let required = check.status == Status::Fail;
            for entry in entries {
                self.tell(check, entry, required, &mut absent);
            }
        }
        survey.absent.extend(absent);
        for entry in wanted(self.settings) {
            if matches!(entry.need, Need::Library(_)) {
                self.note(survey, entry);
            }
        }
    }

    /// Commands and named packages, which verify knows nothing of.
    fn look(&self, survey: &mut Survey, request: &Request) {
        for entry in wanted(self.settings) {
            if entry.severity == Severity::Off || is_named(&self.settings.profile, &entry.need) {
                continue;
            }
            let mut check = match &entry.need {
                Need::Command(name, version) => {
                    self.command(request, name, version.as_deref(), entry)
                }
                Need::Named(name) => self.named(name, entry),
                Need::Library(_) | Need::SourceOf(_) => continue,
            };
            self.note(survey, entry);
            if !matches!(check.status, Status::Pass | Status::Skip) {
                let required = check.status == Status::Fail;
                self.tell(&mut check, entry, required, &mut survey.absent);
            }
            survey.checks.push(check);
        }
    }

    fn note(&self, survey: &mut Survey, entry: &PackageEntry) {
        let (Some(manager), Some(database)) = (self.manager, &self.database) else { return };
        for name in entry.packages(manager.name()) {
            if !survey.packages.iter().any(|(known, _)| known == name) {
                survey.packages.push((name.clone(), database.has(name)));
            }
        }
    }

    /// Says in a check what would bring what is missing, and remembers it.
    fn tell(
        &self,
        check: &mut Check,
        entry: &PackageEntry,
        required: bool,
        absent: &mut Vec<Absent>,
    ) {
        let Some(manager) = self.manager else { return };
        let names = entry.packages(manager.name());
        let missing: Vec<String> = names.iter().filter(|name| !self.has(name)).cloned().collect();
        if names.is_empty() {
            check
                .evidence
                .push(format!("the profile names no package of {} that brings it", manager.name()));
            return;
        }
        if missing.is_empty() {
            check
                .evidence
                .push(format!("{} is installed, and does not bring it", names.join(", ")));
            return;
        }
        check.remedy = Some(manager.typed(&missing));
        let what = entry.title();
        if !absent.iter().any(|known| known.what == what) {
            absent.push(Absent { what, packages: missing, required });
        }
    }

    fn has(&self, name: &str) -> bool {
        self.database.as_ref().is_some_and(|database| database.has(name))
    }

    fn named(&self, name: &str, entry: &PackageEntry) -> Check {
        let purpose = entry.purpose.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
        let (Some(manager), Some(database)) = (self.manager, &self.database) else {
            let message = "the package database cannot be asked";
            return Check::new("package.missing", Status::Skip, name, message);
        };
        let names = entry.packages(manager.name());
        let missing: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| !database.has(name)).collect();
        if names.is_empty() {
            let message = format!("the profile has no package of {} for it", manager.name());
            return Check::new("package.missing", Status::Skip, name, message);
        }
        if missing.is_empty() {
            let shown = names.iter().map(|name| match database.version(name) {
                Some(version) => format!("{name} {version}"),
                None => name.clone(),
            });
            let message = shown.collect::<Vec<_>>().join(", ");
            return Check::new("package.missing", Status::Pass, name, message);
        }
        let message = format!("not installed: {}{purpose}", missing.join(", "));
        Check::new("package.missing", failure(entry.severity), name, message)
    }

    fn command(
        &self,
        request: &Request,
        name: &str,
        version: Option<&str>,
        entry: &PackageEntry,
    ) -> Check {
        let failed = failure(entry.severity);
        let search_path = request.surroundings.search_path();
        let Some(path) = manager::find_program(&request.root, search_path, name) else {
            let purpose = entry.purpose.as_ref().map(|text| format!(" ({text})"));
            let message = format!("not in PATH{}", purpose.unwrap_or_default());
            return Check::new("tool.missing", failed, name, message);
        };
        let shown = path.display().to_string();
        let Some(wanted) = version.filter(|_| request.root.is_host()) else {
            return Check::new("tool.missing", Status::Pass, name, shown);
        };
        let specifiers = match Specifiers::parse(wanted) {
            Ok(specifiers) => specifiers,
            Err(error) => {
                let message = format!("version = {wanted:?} is not PEP 440: {error}");
                return Check::new("tool.version", failed, name, message);
            }
        };
        match version_of(&path) {
            Some(found) if specifiers.contains(&found) => {
                Check::new("tool.version", Status::Pass, name, format!("{found} at {shown}"))
            }
            Some(found) => {
                let message = format!("{shown} is {found}, and {wanted} is wanted");
                Check::new("tool.version", failed, name, message)
            }
            None => {
                let message = format!("{shown} does not tell its version, {wanted} is wanted");
                Check::new("tool.version", Status::Warn, name, message)
            }
        }
    }
}

/// Identifiers of the checks of a library that installing its package would settle.
fn of_library(id: &str) -> bool {
    matches!(id, "lib.missing" | "lib.generation" | "lib.version" | "lib.broken" | "elf.machine")
}

fn unfinished(manager: Manager, packages: &[String]) -> Check {
    let shown: Vec<&str> = packages.iter().map(String::as_str).take(8).collect();
    let message = format!(
        "an interrupted run has left {} half-way: {}",
        match packages.len() {
            1 => "a package".to_owned(),
            count => format!("{count} packages"),
        },
        shown.join(", ")
    );
    let check = Check::new("package.manager", Status::Warn, manager.name(), message);
    match manager.repair() {
        Some(command) => {
            check.remedy(format!("{} (mak deps --install does it first)", command.join(" ")))
        }
        None => check,
    }
}

/// The first number with dots in what a program prints for `--version`, or for `version`.
fn version_of(path: &Path) -> Option<String> {
    ["--version", "version"].into_iter().find_map(|word| {
        let step = Step {
            argv: vec![path.display().to_string(), word.to_owned()],
            environment: vec![("LC_ALL".to_owned(), "C".to_owned())],
            guarded: false,
        };
        let ended = step::run(&step, VERSION_LIMIT, &mut Progress::silent(), false);
        if ended.fine() { version_in(&ended.output) } else { None }
    })
}

fn version_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    words.map(|word| word.trim_start_matches(|c: char| c.is_ascii_alphabetic())).find_map(|word| {
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let number = word[..end].trim_end_matches('.');
        let dotted = number.contains('.') && number.starts_with(|c: char| c.is_ascii_digit());
        dotted.then(|| number.to_owned())
    })
}

/// The architecture that programs of a root are for.
pub fn arch(root: &Root) -> Option<Arch> {
    let own = Uname::of_this_process().arch();
    root_arch(root, own).or(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (text, version) in [
            ("git version 2.39.5", Some("2.39.5")),
            ("go version go1.22.4 linux/amd64", Some("1.22.4")),
            ("cmake version 3.25.1\n\nCMake suite", Some("3.25.1")),
            ("gcc (Debian 12.2.0-14) 12.2.0", Some("12.2.0")),
            ("v20.1.0-rc1", Some("20.1.0")),
            ("no number 7", None),
        ] {
            assert_eq!(version_in(text).as_deref(), version, "{text}");
        }
    }
}
