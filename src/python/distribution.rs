//! What is installed: the `*.dist-info` and `*.egg-info` of the site folders, found and read the
//! way Python's `importlib.metadata` does. Folders are listed once, at the start; the metadata
//! of a distribution is read when somebody asks for it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::metadata::Metadata;
use super::name::normalize;
use crate::platform::Root;

/// `requires.txt` of an egg-info folder is a few lines.
const LARGEST_REQUIRES: u64 = 1 << 20;

/// An installed distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The name as its metadata writes it.
    pub name: String,
    /// The name as PEP 503 compares it.
    pub normalized: String,
    /// The version as its metadata writes it.
    pub version: String,
    /// The `.dist-info` or `.egg-info`, inside the root.
    pub location: PathBuf,
    /// The site folder it is in; paths in its RECORD begin here.
    pub folder: PathBuf,
    /// Every `Requires-Dist`, as written.
    pub requires: Vec<String>,
    /// `Requires-Python`, as written.
    pub requires_python: Option<String>,
    /// Extras that it offers, as written.
    pub provides_extra: Vec<String>,
    /// Further ones of the same name, which Python does not see.
    pub shadowed: Vec<Shadowed>,
}

impl Distribution {
    /// Whether it came in a package of Debian or a descendant: those have folders of their own and
    /// no INSTALLER, which pip and its like write (PEP 376). Such a package moves scripts, strips
    /// libraries and patches files after RECORD was written; `dpkg --verify` is who knows.
    pub fn is_debians(&self, root: &Root) -> bool {
        self.folder.ends_with("dist-packages") && self.is_packaged(root)
    }

    /// Whether no installer of Python's wrote it: then it came in a package of the operating
    /// system, or was copied.
    pub fn is_packaged(&self, root: &Root) -> bool {
        !root.exists(&self.location.join("INSTALLER"))
    }
}

/// A distribution that another of its name hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The `.dist-info` or `.egg-info`, inside the root.
    pub location: PathBuf,
    /// Whether it is in the same folder as the one that counts. Then which of the two counts
    /// hangs on the order of the directory.
    pub same_folder: bool,
    /// Its version, where it can be read.
    pub version: Option<String>,
}

/// A `.dist-info` or `.egg-info` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The folder or file.
    pub location: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot read the distribution {}: {}", self.location.display(), self.problem)
    }
}

impl std::error::Error for Broken {}

/// Where a distribution's metadata is; kept small, since a folder may hold any number of them.
#[derive(Clone, Debug)]
struct Entry {
    /// The site folder, shared by all in it.
    folder: Rc<Path>,
    /// The name in it, as `eth_hash-0.8.0.dist-info`; empty for an egg, which is the folder itself.
    name: Box<str>,
}

impl Entry {
    /// The `.dist-info`, the `.egg-info`, or the egg.
    fn location(&self) -> PathBuf {
        if self.name.is_empty() { self.folder.to_path_buf() } else { self.folder.join(&*self.name) }
    }

    /// Name and version, as the file name has them.
    fn stem(&self) -> &str {
        let own = match self.name.is_empty() {
            true => self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
            false => &self.name,
        };
        let ends = [".dist-info", ".egg-info", ".egg"];
        ends.iter().find_map(|end| own.strip_suffix(end)).unwrap_or(own)
    }
}

/// The distributions of some site folders.
#[derive(Clone, Debug)]
pub struct Installed {
    root: Root,
    /// By the normalized name that the file name tells, in the order of the folders.
    entries: BTreeMap<String, Vec<Entry>>,
}

impl Installed {
    /// Lists the site folders; reads no file.
    pub fn list(root: &Root, folders: &[PathBuf]) -> Installed {
        let mut installed = Installed { root: root.clone(), entries: BTreeMap::new() };
        for folder in folders {
            let shared: Rc<Path> = Rc::from(folder.as_path());
            // An egg's metadata is inside it, and the egg itself stands in sys.path.
            if is_egg(folder) {
                installed.add(Entry { folder: shared, name: "".into() });
                continue;
            }
            for name in root.names(folder) {
                let Some(name) = name.to_str() else { continue };
                let is_one = name.ends_with(".dist-info") || name.ends_with(".egg-info");
                // pip renames what it is about to remove to "~…" and sometimes leaves it.
                if is_one && !name.starts_with('~') {
                    installed.add(Entry { folder: shared.clone(), name: name.into() });
                }
            }
        }
        installed
    }

    /// The same with the zipped eggs among the archives of a path. Of these only the file name is
    /// read, which has name and version.
    pub fn with_archives(mut self, archives: &[PathBuf]) -> Installed {
        for archive in archives.iter().filter(|archive| is_egg(archive)) {
            self.add(Entry { folder: Rc::from(archive.as_path()), name: "".into() });
        }
        self
    }

    fn add(&mut self, entry: Entry) {
        let name = normalize(entry.stem().split('-').next().unwrap_or_default());
        // Nearly always there is one.
        self.entries.entry(name).or_insert_with(|| Vec::with_capacity(1)).push(entry);
    }

    /// How many there are, shadowed ones included.
    pub fn count(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    /// The distribution of a normalized name: the first that can be read.
    /// Fails where there is one and none of that name can be read.
    pub fn find(&self, normalized: &str) -> Result<Option<Distribution>, Broken> {
        let named = self.entries.get(normalized).map(Vec::as_slice).unwrap_or_default();
        if !named.is_empty() {
            return self.first_readable(named, None);
        }
        // Old tools left dashes in the name: python-magic-0.4.27.dist-info.
        let dashed = format!("{normalized}-");
        let like: Vec<Entry> = self
            .entries
            .range(
                normalized.split('-').next().unwrap_or_default().to_owned()..=normalized.to_owned(),
            )
            .flat_map(|(_, entries)| entries)
            .filter(|entry| {
                let stem = normalize(entry.stem());
                stem == normalized || stem.starts_with(&dashed)
            })
            .cloned()
            .collect();
        self.first_readable(&like, Some(normalized))
    }

    /// Every distribution, by name; those that cannot be read apart.
    pub fn all(&self) -> (Vec<Distribution>, Vec<Broken>) {
        let mut found = Vec::new();
        let mut broken = Vec::new();
        for entries in self.entries.values() {
            match self.first_readable(entries, None) {
                Ok(distribution) => found.extend(distribution),
                Err(problem) => broken.push(problem),
            }
        }
        (found, broken)
    }

    /// Reads a file of a distribution's metadata.
    pub(crate) fn read_beside(
        &self,
        distribution: &Distribution,
        name: &str,
        limit: u64,
    ) -> io::Result<Vec<u8>> {
        self.root.read(&distribution.location.join(name), limit)
    }

    fn first_readable(
        &self,
        entries: &[Entry],
        name: Option<&str>,
    ) -> Result<Option<Distribution>, Broken> {
        let mut found: Option<Distribution> = None;
        let mut broken = None;
        for entry in entries {
            match (&mut found, self.read(entry)) {
                (_, Ok(read)) if name.is_some_and(|name| read.normalized != name) => {}
                (None, Ok(read)) => found = Some(read),
                (None, Err(problem)) => broken = broken.or(Some(problem)),
                (Some(found), read) => found.shadowed.push(Shadowed {
                    location: entry.location(),
                    same_folder: *entry.folder == *found.folder,
                    version: read.ok().map(|read| read.version),
                }),
            }
        }
        match (found, broken) {
            (None, Some(problem)) => Err(problem),
            (found, _) => Ok(found),
        }
    }

    fn read(&self, entry: &Entry) -> Result<Distribution, Broken> {
        let location = match entry.name.is_empty() {
            true if !self.root.is_dir(&entry.folder) => return zipped(entry),
            true => entry.folder.join("EGG-INFO"),
            false => entry.location(),
        };
        let broken = |problem: String| Broken { location: location.clone(), problem };
        let is_dist_info = entry.name.ends_with(".dist-info");
        let mut file = location.join(if is_dist_info { "METADATA" } else { "PKG-INFO" });
        let mut read = Metadata::read(&self.root, &file);
        // What distutils writes is a file itself.
        if matches!(&read, Err(error) if error.kind() == io::ErrorKind::NotADirectory) {
            file.clone_from(&location);
            read = Metadata::read(&self.root, &file);
        }
        let metadata = read.map_err(|error| broken(format!("{}: {error}", file.display())))?;
        let Some(name) = metadata.name else {
            return Err(broken(format!("{} has no Name", file.display())));
        };
        let Some(version) = metadata.version else {
            return Err(broken(format!("{} has no Version", file.display())));
        };
        let mut requires = metadata.requires;
        if requires.is_empty() && file.ends_with("PKG-INFO") {
            requires = self.egg_requires(&location);
        }
        Ok(Distribution {
            normalized: normalize(&name),
            name,
            version,
            folder: entry.folder.to_path_buf(),
            location,
            requires,
            requires_python: metadata.requires_python,
            provides_extra: metadata.provides_extra,
            shadowed: Vec::new(),
        })
    }

    fn egg_requires(&self, folder: &Path) -> Vec<String> {
        match self.root.read(&folder.join("requires.txt"), LARGEST_REQUIRES) {
            Ok(bytes) => from_requires_txt(&String::from_utf8_lossy(&bytes)),
            Err(_) => Vec::new(),
        }
    }
}

/// An egg: a folder or an archive that is a site folder of its own.
fn is_egg(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "egg")
}

/// What the name of an archive tells: `six-1.16.0-py3.11.egg`.
fn zipped(entry: &Entry) -> Result<Distribution, Broken> {
    let location = entry.location();
    let mut parts = entry.stem().split('-');
    let (Some(name), Some(version)) = (parts.next(), parts.next()) else {
        return Err(Broken { location, problem: "its name has no version".to_owned() });
    };
    Ok(Distribution {
        name: name.replace('_', "-"),
        normalized: normalize(name),
        // setuptools writes a dash of a version as an underscore.
        version: version.replace('_', "-"),
        location,
        folder: entry.folder.to_path_buf(),
        requires: Vec::new(),
        requires_python: None,
        provides_extra: Vec::new(),
        shadowed: Vec::new(),
    })
}

/// Turns setuptools' `requires.txt`, with its sections `[extra:marker]`, into `Requires-Dist`.
fn from_requires_txt(text: &str) -> Vec<String> {
    let mut condition = String::new();
    let mut requires = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let (extra, marker) = section.split_once(':').unwrap_or((section, ""));
            condition = match (extra.is_empty(), marker.is_empty()) {
                (true, true) => String::new(),
                (true, false) => format!("; {marker}"),
                (false, true) => format!("; extra == \"{extra}\""),
                (false, false) => format!("; ({marker}) and extra == \"{extra}\""),
            };
        } else {
            // An address ends at white space only.
            let gap = if line.contains('@') { " " } else { "" };
            requires.push(format!("{line}{gap}{condition}"));
        }
    }
    requires
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::tree::{Tree, paths};

    #[test]
    fn sections_of_an_egg_become_markers() {
        let requires = from_requires_txt(
            "six\n\n[:python_version < \"3\"]\nenum34\n[test]\npytest>=3\nx @ http://h/x.zip\n\
             [win:os_name == \"nt\"]\npywin32\n",
        );
        assert_eq!(
            requires,
            [
                "six",
                "enum34; python_version < \"3\"",
                "pytest>=3; extra == \"test\"",
                "x @ http://h/x.zip ; extra == \"test\"",
                "pywin32; (os_name == \"nt\") and extra == \"win\"",
            ]
        );
        for line in requires {
            crate::python::requirement::Requirement::parse(&line).unwrap();
        }
    }

    #[test]
    fn distributions_are_found_by_any_spelling_and_the_first_folder_wins() {
        let tree = Tree::new("dists");
        tree.distribution("/a", "Eth.Hash", "0.8.0", "Requires-Dist: x");
        tree.distribution("/b", "eth_hash", "0.7.0", "");
        tree.distribution("/b", "eth-keys", "0.5.0", "");
        tree.file(
            "/a/python-magic-0.4.27.dist-info/METADATA",
            "Name: python-magic\nVersion: 0.4.27\n",
        );
        tree.file("/b/six-1.16.0.egg-info", "Name: six\nVersion: 1.16.0\n\ntext");
        tree.file("/b/dbus_python.egg-info/PKG-INFO", "Name: dbus-python\nVersion: 1.3.2\n");
        tree.file("/b/dbus_python.egg-info/requires.txt", "six\n[doc]\nsphinx\n");
        tree.file("/b/~ip-23.0.dist-info/METADATA", "Name: pip\nVersion: 23.0\n");
        tree.file("/b/old-1.0-py3.11.egg/EGG-INFO/PKG-INFO", "Name: old\nVersion: 1.0\n");
        let folders = paths(&["/a", "/b", "/none", "/b/old-1.0-py3.11.egg"]);
        let installed = Installed::list(&tree.root(), &folders);

        let eth = installed.find("eth-hash").unwrap().unwrap();
        assert_eq!((eth.name.as_str(), eth.version.as_str()), ("Eth.Hash", "0.8.0"));
        assert_eq!((eth.folder.as_path(), eth.requires.len()), (Path::new("/a"), 1));
        assert_eq!(eth.shadowed.len(), 1);
        assert!(!eth.shadowed[0].same_folder);
        assert_eq!(eth.shadowed[0].version.as_deref(), Some("0.7.0"));
        assert_eq!(installed.find("python-magic").unwrap().unwrap().version, "0.4.27");
        assert_eq!(installed.find("six").unwrap().unwrap().version, "1.16.0");
        let dbus = installed.find("dbus-python").unwrap().unwrap();
        assert_eq!(dbus.requires, ["six", "sphinx; extra == \"doc\""]);
        assert_eq!(installed.find("old").unwrap().unwrap().version, "1.0");
        for missing in ["eth", "pip", "magic", "ip", ""] {
            assert_eq!(installed.find(missing).unwrap(), None, "{missing}");
        }
        let (all, broken) = installed.all();
        assert_eq!((all.len(), broken.len()), (6, 0));
    }

    #[test]
    fn a_zipped_egg_tells_name_and_version_by_its_file_name() {
        let tree = Tree::new("zipped");
        let archives = paths(&["/s/Eth_Hash-0.8.0-py3.11.egg", "/s/python311.zip", "/s/x.egg"]);
        let installed = Installed::list(&tree.root(), &[]).with_archives(&archives);
        let eth = installed.find("eth-hash").unwrap().unwrap();
        assert_eq!((eth.name.as_str(), eth.version.as_str()), ("Eth-Hash", "0.8.0"));
        assert_eq!(installed.find("python311").unwrap(), None);
        assert!(installed.find("x").is_err());
    }

    #[test]
    fn a_folder_without_metadata_is_broken_and_a_readable_one_is_preferred() {
        let tree = Tree::new("broken-dist");
        tree.file("/a/x-1.dist-info/RECORD", "");
        tree.file("/a/y-1.dist-info/METADATA", "Version: 1\n");
        tree.file("/a/z-1.dist-info/METADATA/folder", "");
        let installed = Installed::list(&tree.root(), &paths(&["/a"]));
        for (name, problem) in [("x", "METADATA: "), ("y", "has no Name"), ("z", "directory")] {
            let broken = installed.find(name).unwrap_err().to_string();
            assert!(
                broken.contains(problem) && broken.contains(&format!("/a/{name}-1")),
                "{broken}"
            );
        }
        assert_eq!(installed.all().1.len(), 3);
        tree.distribution("/b", "x", "2", "");
        let installed = Installed::list(&tree.root(), &paths(&["/a", "/b"]));
        assert_eq!(installed.find("x").unwrap().unwrap().version, "2");
    }
}
