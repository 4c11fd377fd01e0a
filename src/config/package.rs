//! The part of a profile that only build hosts read (`mak deps`): which packages bring what is
//! needed (`[[package]]`), where programs are fetched from (`[[binary]]` with `download`), and
//! what is expected of the container engine (`[engine]`).

use std::path::PathBuf;

use super::Severity;
use super::document::{Document, Placed, Section};
use super::profile::{Severities, read_severities, severity};
use super::word;

/// The package managers that a profile has names for.
pub const MANAGERS: [&str; 7] = ["apt", "dnf", "yum", "apk", "pacman", "zypper", "brew"];

/// What packages are needed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// A shared library, by its SONAME.
    Library(String),
    /// A program in PATH, and PEP 440 specifiers for the version that it prints.
    Command(String, Option<String>),
    /// Something that only the package database tells, as headers, under a name for people.
    Named(String),
    /// Building these Python distributions from source.
    SourceOf(Vec<String>),
}

/// Packages and what they are needed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageEntry {
    /// What they bring.
    pub need: Need,
    /// What its absence means, where the profile says it nowhere else.
    pub severity: Severity,
    /// Needed where software is built only.
    pub for_building: bool,
    /// Needed with one of these extras only; always where there are none.
    pub extras: Vec<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// The packages by manager, in the order of [`MANAGERS`].
    packages: [Vec<String>; MANAGERS.len()],
}

impl PackageEntry {
    /// The packages of a manager; yum takes dnf's where it has none of its own.
    pub fn packages(&self, manager: &str) -> &[String] {
        let of = |name| MANAGERS.iter().position(|known| *known == name);
        let own = of(manager).map_or(&[][..], |at| self.packages[at].as_slice());
        match own.is_empty() && manager == "yum" {
            true => of("dnf").map_or(own, |at| self.packages[at].as_slice()),
            false => own,
        }
    }

    /// What it is called before people.
    pub fn title(&self) -> String {
        match &self.need {
            Need::Library(name) | Need::Command(name, _) | Need::Named(name) => name.clone(),
            Need::SourceOf(names) => names.join(", "),
        }
    }
}

/// A program that is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Where it goes.
    pub destination: PathBuf,
    /// Where it comes from, by platform.
    pub sources: Vec<Source>,
}

/// One platform's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// In Docker's words: `linux/arm64`.
    pub platform: String,
    /// An http or https URL.
    pub url: String,
    /// The hash of the file that is fetched.
    pub sha256: [u8; 32],
    /// Where that is an archive: the program's name in it.
    pub member: Option<String>,
}

/// What is expected of the container engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineEntry {
    /// What a failure means.
    pub severities: Severities,
    /// The least memory in bytes.
    pub memory: Option<u64>,
    /// Platforms that it has to run, in Docker's words.
    pub platforms: Vec<String>,
    /// Whether buildx has to be there.
    pub buildx: bool,
}

pub(super) fn read_packages(doc: &mut Document, top: &mut Section) -> Vec<PackageEntry> {
    top.tables(doc, "package").into_iter().filter_map(|table| read_package(doc, table)).collect()
}

fn read_package(doc: &mut Document, mut table: Section) -> Option<PackageEntry> {
    let need = read_need(doc, &mut table);
    let severity = match table.string(doc, "need") {
        None => Severity::Required,
        Some(text) => severity(&text.value).unwrap_or_else(|| {
            doc.problem(text.at, "need must be required, optional or off");
            Severity::Required
        }),
    };
    let for_building = table.string(doc, "for").is_some_and(|text| match text.value.as_str() {
        "build" => true,
        "run" => false,
        _ => {
            doc.problem(text.at, "for must be \"run\" or \"build\"");
            false
        }
    });
    let extras = plain(table.strings(doc, "extras"));
    let purpose = table.string(doc, "purpose").map(|text| text.value);
    let packages = MANAGERS.map(|manager| {
        let names = table.strings(doc, manager).unwrap_or_default();
        for name in names.iter().filter(|name| !is_package_name(&name.value)) {
            doc.problem(name.at, format!("{manager}: {:?} is no package name", name.value));
        }
        plain(Some(names))
    });
    table.finish(doc);
    Some(PackageEntry { need: need?, severity, for_building, extras, purpose, packages })
}

fn read_need(doc: &mut Document, table: &mut Section) -> Option<Need> {
    let version = table.string(doc, "version").map(|text| text.value);
    let library = table.string(doc, "library").map(|text| Need::Library(text.value));
    let command = table.string(doc, "command").map(|text| Need::Command(text.value, version));
    let named = table.string(doc, "name").map(|text| Need::Named(text.value));
    let source = table.strings(doc, "source_of").map(|list| Need::SourceOf(plain(Some(list))));
    let mut needs: Vec<Need> = [library, command, named, source].into_iter().flatten().collect();
    if needs.len() != 1 {
        doc.problem(
            table.at(),
            "a [[package]] has one of library, command, name and source_of: what it is needed for",
        );
    }
    needs.pop()
}

/// No name may be taken for an option by a package manager.
fn is_package_name(name: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "+._:@/-".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(inside)
}

pub(super) fn read_download(doc: &mut Document, table: &mut Section) -> Option<Download> {
    let destination = table.string(doc, "destination");
    let sources: Vec<Source> = table
        .tables(doc, "download")
        .into_iter()
        .filter_map(|source| read_source(doc, source))
        .collect();
    let destination = match destination {
        Some(path) if path.value.starts_with('/') => PathBuf::from(path.value),
        Some(path) => {
            doc.problem(path.at, format!("destination: {:?} does not begin with /", path.value));
            return None;
        }
        None if sources.is_empty() => return None,
        None => {
            doc.problem(table.at(), "a [[binary]] with downloads needs a destination");
            return None;
        }
    };
    Some(Download { destination, sources })
}

fn read_source(doc: &mut Document, mut table: Section) -> Option<Source> {
    let platform = table.required_string(doc, "platform").value;
    let url = table.required_string(doc, "url");
    if !url.value.starts_with("https://") && !url.value.starts_with("http://") {
        doc.problem(url.at, format!("url: {:?} is neither https:// nor http://", url.value));
    }
    let text = table.required_string(doc, "sha256");
    let sha256 = hash(&text.value);
    if sha256.is_none() {
        doc.problem(text.at, "sha256 must be 64 hexadecimal digits");
    }
    let member = table.string(doc, "member");
    if let Some(path) = member.as_ref().filter(|path| !is_member(&path.value)) {
        let why = "is no path inside of an archive (FOLDER/NAME, without . and ..)";
        doc.problem(path.at, format!("member: {:?} {why}", path.value));
    }
    table.finish(doc);
    let member = member.map(|path| path.value);
    Some(Source { platform, url: url.value, sha256: sha256?, member })
}

/// As archives name their members.
fn is_member(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0')
}

fn hash(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(hash)
}

pub(super) fn read_engine(doc: &mut Document, mut table: Section) -> EngineEntry {
    let severities = read_severities(doc, &mut table);
    let memory = table.word(doc, "memory").and_then(|text| match word::bytes(&text.value) {
        Ok(bytes) => Some(bytes),
        Err(why) => {
            doc.problem(text.at, format!("memory: {:?} {why}", text.value));
            None
        }
    });
    let platforms = plain(table.strings(doc, "platforms"));
    let buildx = table.word(doc, "buildx").is_some_and(|text| {
        word::switch(&text.value).unwrap_or_else(|why| {
            doc.problem(text.at, format!("buildx: {why}"));
            false
        })
    });
    table.finish(doc);
    EngineEntry { severities, memory, platforms, buildx }
}

fn plain(list: Option<Vec<Placed<String>>>) -> Vec<String> {
    list.unwrap_or_default().into_iter().map(|word| word.value).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Profile;
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Profile, Vec<String>> {
        Profile::read("x", Path::new("/x.toml"), &format!("prefix = \"X_\"\n{text}"))
    }

    #[test]
    fn packages_downloads_and_the_engine_are_read() {
        let hash = "ab".repeat(32);
        let profile = read(&format!(
            "[[package]]\ncommand = \"go\"\nversion = \">=1.21\"\nfor = \"build\"\nextras = [\"dev\"]\n\
             need = \"optional\"\napt = [\"golang-go\"]\ndnf = [\"golang\"]\n\
             [[binary]]\nname = \"ipfs\"\ndestination = \"/opt/ipfs\"\n\
             [[binary.download]]\nplatform = \"linux/amd64\"\nurl = \"http://x/y\"\nsha256 = \"{hash}\"\n\
             [engine]\nmemory = \"6GiB\"\nplatforms = [\"linux/arm64\"]\nbuildx = true\n"
        ))
        .unwrap();
        let package = &profile.packages[0];
        assert_eq!(package.need, Need::Command("go".to_owned(), Some(">=1.21".to_owned())));
        assert!(package.for_building && package.severity == Severity::Optional);
        assert_eq!(package.packages("yum"), ["golang"]);
        assert_eq!(package.packages("apt"), ["golang-go"]);
        assert!(package.packages("brew").is_empty());
        let download = profile.binaries[0].download.as_ref().unwrap();
        assert_eq!(download.sources[0].sha256, [0xab; 32]);
        let engine = profile.engine.unwrap();
        assert_eq!((engine.memory, engine.buildx), (Some(6 << 30), true));
    }

    #[test]
    fn what_would_be_taken_for_an_option_is_no_package_name() {
        let text = "[[package]]\nlibrary = \"libx.so.1\"\napt = [\"--purge\"]\nname = \"x\"\n\
            [[binary]]\nname = \"y\"\n[[binary.download]]\nplatform = \"linux/amd64\"\n\
            url = \"ftp://x\"\nsha256 = \"12\"\nmember = \"../ipfs\"\n";
        let problems = read(text).unwrap_err();
        for wanted in [
            "is no package name",
            "one of library, command, name and source_of",
            "neither https:// nor http://",
            "64 hexadecimal digits",
            "\"../ipfs\" is no path inside of an archive",
        ] {
            assert!(problems.iter().any(|line| line.contains(wanted)), "{wanted}: {problems:#?}");
        }
    }
}
