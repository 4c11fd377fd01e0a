//! A profile: what an image of one kind needs, where it keeps its data, how it starts. Plain
//! data out of `config/NAME.toml` (built in) or `/etc/mak-init/NAME.toml`.

use std::path::{Path, PathBuf};

use super::catalogue;
use super::check::{CheckEntry, read_checks};
use super::demand::{self, PlatformEntry};
use super::document::{Document, Placed, Section};
use super::setting::SETTINGS;

/// What a failed check means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The image is not fit.
    Required,
    /// A feature is missing.
    Optional,
    /// Not looked at.
    Off,
}

/// A check's severity in the quick form (every start) and in the full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Severities {
    /// At every start.
    pub quick: Severity,
    /// Under `<PREFIX>VERIFY_DEPS=1` and `verify --full`.
    pub full: Severity,
}

/// A directory named by an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The variable that names it.
    pub variable: String,
    /// Where it is when the variable is unset or empty.
    pub default: PathBuf,
    /// Its permission bits, where the profile says any.
    pub mode: Option<u32>,
    /// Its owner: user and group by number.
    pub owner: Option<(u32, Option<u32>)>,
    /// Declared read-only: it need not be writable.
    pub read_only: bool,
}

/// A shared library that has to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryEntry {
    /// Its SONAME.
    pub soname: String,
    /// A symbol version that it has to define, as `GLIBC_2.34`: the least one that will do.
    pub symbol_version: Option<String>,
    /// What its absence means.
    pub severities: Severities,
    /// What it is for.
    pub purpose: Option<String>,
    /// What to do where it is missing.
    pub remedy: Option<String>,
}

/// OpenCL: its loader, and at least one device driver that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenclEntry {
    /// What its absence means.
    pub severities: Severities,
    /// What it is for.
    pub purpose: Option<String>,
    /// What to do where it is missing.
    pub remedy: Option<String>,
}

/// A program that has to be able to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinaryEntry {
    /// Its path, or its name in PATH.
    pub name: String,
    /// What a failure means. An optional program that is absent is no failure.
    pub severities: Severities,
    /// What it is for.
    pub purpose: Option<String>,
    /// What to do where it is missing.
    pub remedy: Option<String>,
    /// Where it is fetched from, and where to (`mak deps`).
    #[cfg(feature = "mak")]
    pub download: Option<super::package::Download>,
}

/// The Python that has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonEntry {
    /// The interpreter's name or path; `python3` or `python` of PATH where it is not given.
    pub interpreter: Option<String>,
    /// PEP 440 specifiers for its version.
    pub requires: Option<String>,
    /// PEP 508 requirements.
    pub requirements: Vec<String>,
    /// PEP 508 requirements whose absence is tolerated.
    pub optional: Vec<String>,
    /// Further requirements by the name of an extra (`mak deps --extras`).
    #[cfg(feature = "mak")]
    pub extras: Vec<(String, Vec<String>)>,
    /// Modules that `python -m` must be able to run.
    pub modules: Vec<String>,
    /// Libraries that distributions load by ctypes.
    pub loads: Vec<LoadEntry>,
    /// What a failed one means.
    pub severities: Severities,
}

/// A library that a distribution loads by ctypes, which no metadata shows. It counts where the
/// distribution is required and installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadEntry {
    /// The distribution.
    pub distribution: String,
    /// The library's SONAME.
    pub soname: String,
    /// What its absence means.
    pub severities: Severities,
    /// What to do where it is missing.
    pub remedy: Option<String>,
}

/// A profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// How its environment variables begin, as in `IPFS_KIT_`.
    pub prefix: String,
    /// What is run when no command is given.
    pub command: Option<Vec<String>>,
    /// Defaults for the workload's environment.
    pub environment: Vec<(String, String)>,
    /// Directories to prepare.
    pub directories: Vec<DirectoryEntry>,
    /// Libraries to find.
    pub libraries: Vec<LibraryEntry>,
    /// OpenCL.
    pub opencl: Option<OpenclEntry>,
    /// Programs to find.
    pub binaries: Vec<BinaryEntry>,
    /// What is demanded of the machine.
    pub platform: Option<PlatformEntry>,
    /// Python and its distributions.
    pub python: Option<PythonEntry>,
    /// Severities of single checks, by identifier; stronger than those of the parts.
    pub severities: Vec<(String, Severity)>,
    /// What health looks at.
    pub checks: Vec<CheckEntry>,
    /// What package managers install (`mak deps`).
    #[cfg(feature = "mak")]
    pub packages: Vec<super::package::PackageEntry>,
    /// The container engine of a build host (`mak deps`).
    #[cfg(feature = "mak")]
    pub engine: Option<super::package::EngineEntry>,
    /// Settings: row of the table, word, line.
    pub settings: Vec<(usize, String, usize)>,
}

impl Profile {
    /// Whether there is anything to verify.
    pub fn verifies(&self) -> bool {
        !self.libraries.is_empty()
            || self.opencl.is_some()
            || !self.binaries.is_empty()
            || self.platform.is_some()
            || self.python.is_some()
    }

    /// The variable that asks for its full verification.
    pub fn verify_variable(&self) -> String {
        format!("{}VERIFY_DEPS", self.prefix)
    }

    /// Reads a profile; every problem of the text at once, each with line and column.
    pub fn read(name: &str, path: &Path, text: &str) -> Result<Profile, Vec<String>> {
        let mut document = Document::new(path, text);
        let doc = &mut document;
        let mut top = doc.parse();
        let description = top.string(doc, "description").map(|d| d.value).unwrap_or_default();
        let prefix = top.required_string(doc, "prefix");
        let well_formed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if !prefix.value.ends_with('_') || !prefix.value.chars().all(well_formed) {
            doc.problem(
                prefix.at,
                "prefix must be like \"IPFS_KIT_\": A-Z, 0-9 and _, at the end _",
            );
        }
        let command = read_command(doc, &mut top);
        let environment = match top.table(doc, "environment") {
            Some(table) => table.all_strings(doc).into_iter().map(|(k, v)| (k.value, v)).collect(),
            None => Vec::new(),
        };
        let directories =
            top.tables(doc, "directory").into_iter().map(|t| read_directory(doc, t)).collect();
        let libraries =
            top.tables(doc, "library").into_iter().map(|t| read_library(doc, t)).collect();
        let opencl = top.table(doc, "opencl").map(|table| read_opencl(doc, table));
        let binaries = top.tables(doc, "binary").into_iter().map(|t| read_binary(doc, t)).collect();
        let platform = top.table(doc, "platform").map(|table| demand::read(doc, table));
        let python = top.table(doc, "python").map(|table| read_python(doc, table));
        let severities = match top.table(doc, "severity") {
            Some(table) => read_severity_of_checks(doc, table),
            None => Vec::new(),
        };
        let checks = read_checks(doc, &mut top);
        // What only build hosts need is nothing that a running container reads.
        #[cfg(not(feature = "mak"))]
        ["package", "engine"].into_iter().for_each(|key| top.skip(key));
        #[cfg(feature = "mak")]
        let packages = super::package::read_packages(doc, &mut top);
        #[cfg(feature = "mak")]
        let engine = top.table(doc, "engine").map(|t| super::package::read_engine(doc, t));
        let settings = read_settings(doc, &mut top, &["profile"]);
        top.finish(doc);
        let problems = document.finish();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Profile {
            name: name.to_owned(),
            description,
            prefix: prefix.value,
            command,
            environment,
            directories,
            libraries,
            opencl,
            binaries,
            platform,
            python,
            severities,
            checks,
            #[cfg(feature = "mak")]
            packages,
            #[cfg(feature = "mak")]
            engine,
            settings,
        })
    }
}

/// The command that is run when none is given; an empty one is a problem.
pub(super) fn read_command(doc: &mut Document, top: &mut Section) -> Option<Vec<String>> {
    let words = top.strings(doc, "command")?;
    match words.first() {
        None => doc.problem(top.at(), "command is empty; name a program"),
        Some(first) if first.value.is_empty() => {
            doc.problem(first.at, "the command's first word is empty; name a program");
        }
        Some(_) => {}
    }
    Some(words.into_iter().map(|word| word.value).collect())
}

/// The settings that stand in this file, each tried, so that a bad word is a problem of the
/// file with its place.
pub(super) fn read_settings(
    doc: &mut Document,
    top: &mut Section,
    not_here: &[&str],
) -> Vec<(usize, String, usize)> {
    let mut read = Vec::new();
    let mut tables: Vec<(&str, Section)> = Vec::new();
    for (at, setting) in SETTINGS.iter().enumerate() {
        if not_here.contains(&setting.key) {
            continue;
        }
        let word = match setting.key.split_once('.') {
            None => top.word(doc, setting.key),
            Some((table, key)) => {
                if !tables.iter().any(|(name, _)| *name == table) {
                    let Some(section) = top.table(doc, table) else { continue };
                    tables.push((table, section));
                }
                tables
                    .iter_mut()
                    .find(|(name, _)| *name == table)
                    .and_then(|(_, section)| section.word(doc, key))
            }
        };
        let Some(Placed { value, at: place }) = word else { continue };
        match (setting.set)(&mut super::Values::default(), &value) {
            Ok(()) => read.push((at, value, doc.line(place))),
            Err(why) => doc.problem(place, format!("{}: {value:?} {why}", setting.key)),
        }
    }
    for (_, section) in tables {
        section.finish(doc);
    }
    read
}

fn read_directory(doc: &mut Document, mut table: Section) -> DirectoryEntry {
    let variable = table.required_string(doc, "variable");
    let default = table.required_string(doc, "default");
    if !default.value.is_empty() && !default.value.starts_with('/') {
        doc.problem(default.at, format!("default: {:?} does not begin with /", default.value));
    }
    let mode = table.string(doc, "mode").and_then(|word| match octal(&word.value) {
        Some(mode) => Some(mode),
        None => {
            doc.problem(word.at, format!("mode: {:?} is not like \"0750\"", word.value));
            None
        }
    });
    let owner = table.word(doc, "owner").and_then(|word| match owner(&word.value) {
        Some(owner) => Some(owner),
        None => {
            doc.problem(word.at, format!("owner: {:?} is not UID or UID:GID", word.value));
            None
        }
    });
    let read_only = table.string(doc, "access").is_some_and(|word| match word.value.as_str() {
        "read-only" => true,
        "read-write" => false,
        _ => {
            doc.problem(word.at, "access must be \"read-write\" or \"read-only\"");
            false
        }
    });
    table.finish(doc);
    DirectoryEntry {
        variable: variable.value,
        default: PathBuf::from(default.value),
        mode,
        owner,
        read_only,
    }
}

fn read_library(doc: &mut Document, mut table: Section) -> LibraryEntry {
    let soname = table.required_string(doc, "soname").value;
    let symbol_version = table.string(doc, "symbol_version").map(|text| text.value);
    let severities = read_severities(doc, &mut table);
    let purpose = table.string(doc, "purpose").map(|text| text.value);
    let remedy = table.string(doc, "remedy").map(|text| text.value);
    table.finish(doc);
    LibraryEntry { soname, symbol_version, severities, purpose, remedy }
}

fn read_opencl(doc: &mut Document, mut table: Section) -> OpenclEntry {
    let severities = read_severities(doc, &mut table);
    let purpose = table.string(doc, "purpose").map(|text| text.value);
    let remedy = table.string(doc, "remedy").map(|text| text.value);
    table.finish(doc);
    OpenclEntry { severities, purpose, remedy }
}

/// A program is named by `name` (looked up in PATH) or by `path`.
fn read_binary(doc: &mut Document, mut table: Section) -> BinaryEntry {
    let path = table.string(doc, "path");
    if let Some(path) = path.as_ref().filter(|path| !path.value.starts_with('/')) {
        doc.problem(path.at, format!("path: {:?} does not begin with /", path.value));
    }
    let name = match path {
        Some(path) => {
            if let Some(name) = table.string(doc, "name") {
                doc.problem(name.at, "a [[binary]] has a name or a path, not both");
            }
            path.value
        }
        None => table.required_string(doc, "name").value,
    };
    let severities = read_severities(doc, &mut table);
    let purpose = table.string(doc, "purpose").map(|text| text.value);
    let remedy = table.string(doc, "remedy").map(|text| text.value);
    #[cfg(not(feature = "mak"))]
    ["download", "destination"].into_iter().for_each(|key| table.skip(key));
    #[cfg(feature = "mak")]
    let download = super::package::read_download(doc, &mut table);
    table.finish(doc);
    BinaryEntry {
        name,
        severities,
        purpose,
        remedy,
        #[cfg(feature = "mak")]
        download,
    }
}

fn read_python(doc: &mut Document, mut table: Section) -> PythonEntry {
    let interpreter = table.string(doc, "interpreter").map(|text| text.value);
    let requires = table.string(doc, "requires").map(|text| text.value);
    let requirements = table
        .strings(doc, "requirements")
        .map(|list| list.into_iter().map(|text| text.value).collect())
        .unwrap_or_default();
    let optional = table
        .strings(doc, "optional")
        .map(|list| list.into_iter().map(|text| text.value).collect())
        .unwrap_or_default();
    #[cfg(not(feature = "mak"))]
    table.skip("extras");
    #[cfg(feature = "mak")]
    let extras = table.table(doc, "extras").map(|t| t.all_lists(doc)).unwrap_or_default();
    let modules = table
        .strings(doc, "modules")
        .map(|list| list.into_iter().map(|text| text.value).collect())
        .unwrap_or_default();
    let loads = table.tables(doc, "loads").into_iter().map(|t| read_load(doc, t)).collect();
    let severities = read_severities(doc, &mut table);
    table.finish(doc);
    PythonEntry {
        interpreter,
        requires,
        requirements,
        optional,
        #[cfg(feature = "mak")]
        extras,
        modules,
        loads,
        severities,
    }
}

fn read_load(doc: &mut Document, mut table: Section) -> LoadEntry {
    let distribution = table.required_string(doc, "distribution").value;
    let soname = table.required_string(doc, "soname").value;
    let severities = read_severities(doc, &mut table);
    let remedy = table.string(doc, "remedy").map(|text| text.value);
    table.finish(doc);
    LoadEntry { distribution, soname, severities, remedy }
}

fn read_severity_of_checks(doc: &mut Document, table: Section) -> Vec<(String, Severity)> {
    let mut read = Vec::new();
    for (id, word) in table.all_strings(doc) {
        if catalogue::find(&id.value).is_none() {
            let hint = catalogue::hint(&id.value);
            doc.problem(id.at, format!("there is no check {:?}{hint}", id.value));
        }
        match severity(&word) {
            Some(severity) => read.push((id.value, severity)),
            None => doc.problem(id.at, format!("{}: must be required, optional or off", id.value)),
        }
    }
    read
}

pub(super) fn severity(word: &str) -> Option<Severity> {
    match word {
        "required" => Some(Severity::Required),
        "optional" => Some(Severity::Optional),
        "off" => Some(Severity::Off),
        _ => None,
    }
}

/// `quick` and `full`, both required where the profile does not say.
pub(super) fn read_severities(doc: &mut Document, table: &mut Section) -> Severities {
    let mut read = |key: &str| match table.string(doc, key) {
        None => Severity::Required,
        Some(word) => severity(&word.value).unwrap_or_else(|| {
            doc.problem(word.at, format!("{key} must be required, optional or off"));
            Severity::Required
        }),
    };
    Severities { quick: read("quick"), full: read("full") }
}

fn octal(word: &str) -> Option<u32> {
    u32::from_str_radix(word, 8).ok().filter(|mode| *mode <= 0o7777)
}

fn owner(word: &str) -> Option<(u32, Option<u32>)> {
    // -1 means "leave it" to chown(2), so the highest number names nobody.
    let id = |text: &str| text.parse().ok().filter(|id| *id != u32::MAX);
    match word.split_once(':') {
        None => Some((id(word)?, None)),
        Some((user, group)) => Some((id(user)?, Some(id(group)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_a_profile_is_named_at_once() {
        let text = r#"
prefix = "lower"
command = []
[python]
quick = "perhaps"
[[library]]
sonam = "libx.so"
[[directory]]
variable = "X_DIR"
default = "relative"
mode = "rwx"
owner = "root"
access = "none"
[health]
listen = "nowhere"
"#;
        let problems = Profile::read("x", Path::new("/x.toml"), text).unwrap_err();
        for wanted in [
            "/x.toml:2:10: prefix",
            "command is empty",
            "/x.toml:5:9: quick",
            "unknown key \"sonam\" in [[library]]; did you mean \"soname\"?",
            "[[library]] has no \"soname\"",
            "/x.toml:10:11: default",
            "/x.toml:11:8: mode",
            "/x.toml:12:9: owner",
            "/x.toml:13:10: access",
            "/x.toml:15:10: health.listen",
        ] {
            assert!(problems.iter().any(|line| line.contains(wanted)), "{wanted}: {problems:#?}");
        }
    }

    #[test]
    fn every_built_in_profile_is_sound() {
        for (name, text) in super::super::resolve::BUILT_IN {
            let profile = Profile::read(name, Path::new(name), text).unwrap();
            assert!(profile.verifies() && !profile.description.is_empty());
        }
    }
}
