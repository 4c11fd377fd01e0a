//! What is installed in an image, from the databases that its package managers keep: dpkg's
//! status (deb-control(5)), apk's list (apk-db), and Python's metadata.

use std::path::{Path, PathBuf};

use super::inspect::name_and_version;
use super::percent::encoded;
use crate::platform::Root;

/// A full desktop's database has a few MiB.
const LARGEST_DATABASE: u64 = 64 << 20;
const LARGEST_TEXT: u64 = 1 << 20;
/// Packages that are listed; a desktop has some thousands.
const MOST_PACKAGES: usize = 100_000;

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Package URL (purl-spec).
    pub purl: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, where the database knows it: an SPDX expression, or any text.
    pub licence: Option<Licence>,
}

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Licence {
    /// `License-Expression` of core metadata 2.4.
    Expression(String),
    /// Any other text.
    Text(String),
}

/// All packages, sorted, each once.
pub fn all(root: &Root, python: &[PathBuf]) -> Vec<Package> {
    let release = release(root);
    let mut found = Vec::new();
    dpkg(root, &release, &mut found);
    apk(root, &release, &mut found);
    for folder in python {
        found.extend(distribution(root, folder));
    }
    found.truncate(MOST_PACKAGES);
    found.sort();
    found.dedup();
    found
}

/// ID and VERSION_ID of os-release(5).
struct Release {
    id: String,
    version: String,
}

fn release(root: &Root) -> Release {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| root.read(Path::new(path), LARGEST_TEXT).ok())
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    Release { id: value("ID"), version: value("VERSION_ID") }
}

fn dpkg(root: &Root, release: &Release, found: &mut Vec<Package>) {
    let mut files = vec![PathBuf::from("/var/lib/dpkg/status")];
    // Images without a package manager have a file for each package.
    let folder = Path::new("/var/lib/dpkg/status.d");
    files.extend(root.names(folder).into_iter().map(|name| folder.join(name)));
    for file in files {
        let Ok(bytes) = root.read(&file, LARGEST_DATABASE) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        for stanza in text.split("\n\n").take(MOST_PACKAGES) {
            let field = |key: &str| {
                let line =
                    stanza.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
                line.map(str::trim).filter(|value| !value.is_empty())
            };
            let (Some(name), Some(version)) = (field("Package"), field("Version")) else {
                continue;
            };
            // A package that was removed keeps its configuration and its stanza.
            if field("Status").is_some_and(|status| !status.ends_with(" ok installed")) {
                continue;
            }
            let id = if release.id.is_empty() { "debian" } else { &release.id };
            let mut purl = format!("pkg:deb/{}/{}@{}", quoted(id), quoted(name), quoted(version));
            let mut mark = '?';
            if let Some(arch) = field("Architecture") {
                purl.push_str(&format!("?arch={}", quoted(arch)));
                mark = '&';
            }
            if !release.version.is_empty() {
                purl.push_str(&format!("{mark}distro={}-{}", quoted(id), quoted(&release.version)));
            }
            let (name, version) = (name.to_owned(), version.to_owned());
            found.push(Package { purl, name, version, licence: None });
        }
    }
}

fn apk(root: &Root, release: &Release, found: &mut Vec<Package>) {
    let bytes = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"]
        .iter()
        .find_map(|path| root.read(Path::new(path), LARGEST_DATABASE).ok());
    let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
    for block in text.split("\n\n").take(MOST_PACKAGES) {
        let field = |key: &str| block.lines().find_map(|line| line.strip_prefix(key));
        let (Some(name), Some(version)) = (field("P:"), field("V:")) else { continue };
        let id = if release.id.is_empty() { "alpine" } else { &release.id };
        let arch = field("A:").map(|arch| format!("?arch={}", quoted(arch))).unwrap_or_default();
        let purl = format!("pkg:apk/{}/{}@{}{arch}", quoted(id), quoted(name), quoted(version));
        let licence = field("L:").filter(|text| !text.is_empty());
        let licence = licence.map(|text| Licence::Text(text.to_owned()));
        found.push(Package { purl, name: name.to_owned(), version: version.to_owned(), licence });
    }
}

fn distribution(root: &Root, folder: &Path) -> Option<Package> {
    let (name, version) = name_and_version(root, folder)?;
    let bytes = root.read(&folder.join("METADATA"), LARGEST_TEXT).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let header = text.split("\n\n").next().unwrap_or_default();
    let field = |key: &str| {
        let line = header.lines().find_map(|line| line.strip_prefix(key));
        line.map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty() && value != "UNKNOWN")
    };
    let licence = field("License-Expression:")
        .map(Licence::Expression)
        .or_else(|| field("License:").map(Licence::Text));
    let plain = crate::python::name::normalize(&name);
    let purl = format!("pkg:pypi/{}@{}", quoted(&plain), quoted(&version));
    Some(Package { purl, name, version, licence })
}

/// What a purl leaves as it is stays.
fn quoted(text: &str) -> String {
    encoded(text, b":")
}
