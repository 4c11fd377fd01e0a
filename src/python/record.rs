//! RECORD, the list of the files that a distribution was installed with (PEP 376, PEP 427):
//! which of them are gone or have another size, and which are native code.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::distribution::Distribution;
use crate::platform::file::{self, Place};
use crate::platform::{Meta, Root};

/// The largest seen, of a distribution with 12,000 files, has 1.4 MB.
const LARGEST_RECORD: u64 = 16 << 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordEntry<'a> {
    /// Relative to the site folder; may climb with `..`, or be absolute.
    pub path: Cow<'a, str>,
    /// As written: `sha256=` and base64. RECORD itself and compiled files have none.
    pub hash: Option<Cow<'a, str>>,
    /// In bytes.
    pub size: Option<u64>,
}

/// Reads the lines of a RECORD; a line without a path is passed over.
pub fn entries(text: &str) -> impl Iterator<Item = RecordEntry<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let [path, hash, size] = row(&mut rest);
            if path.is_empty() {
                continue;
            }
            let hash = Some(hash).filter(|hash| !hash.is_empty());
            return Some(RecordEntry { path, hash, size: size.parse().ok() });
        }
        None
    })
}

/// Takes one row of comma-separated values, its first three fields; a quote anywhere makes it
/// the slow way.
fn row<'a>(rest: &mut &'a str) -> [Cow<'a, str>; 3] {
    let text = *rest;
    let mut fields = [""; 3];
    let (mut at_field, mut start) = (0, 0);
    let mut end = text.len();
    // All that can end a field is found in one go: these are thousands of lines.
    for at in memchr::memchr3_iter(b',', b'"', b'\n', text.as_bytes()) {
        match text.as_bytes().get(at) {
            Some(b'"') => return quoted_row(rest).map(Cow::Owned),
            Some(b',') => {
                if let Some(field) = fields.get_mut(at_field) {
                    *field = text.get(start..at).unwrap_or_default();
                }
                (at_field, start) = (at_field + 1, at + 1);
            }
            _ => {
                end = at;
                break;
            }
        }
    }
    if let Some(field) = fields.get_mut(at_field) {
        *field = text.get(start..end).unwrap_or_default();
    }
    // At the end of a line only, and nearly never.
    if let Some(field) = fields.get_mut(at_field.min(2))
        && field.as_bytes().last() == Some(&b'\r')
    {
        *field = field.trim_end_matches('\r');
    }
    *rest = text.get(end + 1..).unwrap_or_default();
    fields.map(Cow::Borrowed)
}

/// A row in which fields may be quoted, over line breaks too; `""` is a quote.
fn quoted_row(rest: &mut &str) -> [String; 3] {
    let mut fields = [const { String::new() }; 3];
    let mut at_field = 0;
    let mut quoted = false;
    let mut letters = rest.char_indices().peekable();
    let mut end = rest.len();
    while let Some((at, letter)) = letters.next() {
        let mut push = |letter| {
            if let Some(field) = fields.get_mut(at_field) {
                field.push(letter);
            }
        };
        match letter {
            '"' if quoted && letters.peek().is_some_and(|&(_, next)| next == '"') => {
                letters.next();
                push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => at_field += 1,
            '\n' if !quoted => {
                end = at + 1;
                break;
            }
            '\r' if !quoted => {}
            letter => push(letter),
        }
    }
    *rest = rest.get(end..).unwrap_or("");
    fields
}

/// Reads the RECORD of a distribution, whose lines are [`entries`], into `room`, which serves for
/// the next one too. One without it, as distribution packages make, is an error of kind
/// `NotFound`.
pub fn read<'r>(
    root: &Root,
    distribution: &Distribution,
    room: &'r mut Vec<u8>,
) -> io::Result<Cow<'r, str>> {
    let record = root.open(&distribution.location.join("RECORD"))?;
    record.read_into(room, LARGEST_RECORD)?;
    Ok(file::text(room))
}

/// A file that is not as RECORD has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Gone.
    Missing {
        /// Inside the root.
        path: PathBuf,
        /// Whether it was to lie outside of the site folder, as scripts do. What is there depends
        /// on the kind of installation: `pip --target` puts scripts elsewhere than it records.
        is_outside: bool,
    },
    /// Of another size.
    Resized {
        /// Inside the root.
        path: PathBuf,
        /// By RECORD, in bytes.
        recorded: u64,
        /// In bytes.
        found: u64,
        /// Whether it lies outside of the site folder, as scripts do: their first line is written
        /// anew when an environment moves.
        is_outside: bool,
    },
    /// The user that this process runs as may not read it, or not search (x) a folder above it.
    Forbidden {
        /// Inside the root.
        path: PathBuf,
        /// Whether it lies outside of the site folder.
        is_outside: bool,
    },
    /// Something other than a file.
    NotAFile {
        /// Inside the root.
        path: PathBuf,
    },
}

/// A folder to begin at, not to be read.
#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::RDONLY;

/// The files of one site folder, looked at with as few calls as there can be.
pub struct Files<'a> {
    root: &'a Root,
    folder: &'a Path,
    /// The site folder itself, in this process's own root: the kernel begins there.
    open: Option<Arc<OwnedFd>>,
    /// In another root, folders with their links followed: there are thousands of files in a few.
    folders: BTreeMap<PathBuf, Option<PathBuf>>,
}

impl<'a> Files<'a> {
    /// Those of `folder`, where the paths in RECORD begin.
    pub fn of(root: &'a Root, folder: &'a Path) -> Files<'a> {
        let flags = FOLDER | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = match root.is_host() {
            true => rustix::fs::open(folder, flags, Mode::empty()).ok().map(Arc::new),
            false => None,
        };
        Files { root, folder, open, folders: BTreeMap::new() }
    }

    /// Whether they are those of `folder`.
    pub fn are_of(&self, folder: &Path) -> bool {
        self.folder == folder
    }

    /// Where the bytes of a file of RECORD are.
    pub fn place(&self, path: &str) -> io::Result<Place> {
        let inside = || self.folder.join(path);
        let Some(open) = &self.open else { return self.root.place(&inside()) };
        self.root.note_with(inside);
        Ok(Place::Below(Arc::clone(open), Path::new(path).into()))
    }

    /// Whether a file is gone or has another size. Compiled files (`.pyc`) come and go and do not
    /// count; contents are not read.
    pub fn difference(&mut self, entry: &RecordEntry<'_>) -> Option<Difference> {
        if entry.path.ends_with(".pyc") {
            return None;
        }
        let path = || self.folder.join(&*entry.path);
        let is_outside = || entry.path.starts_with("../") || !path().starts_with(self.folder);
        self.root.note_with(path);
        let looked = match &self.open {
            Some(open) => {
                let stat = rustix::fs::statat(&**open, &*entry.path, AtFlags::empty());
                if !may_read(open, &entry.path, &stat) {
                    let is_outside = is_outside();
                    return Some(Difference::Forbidden { path: path(), is_outside });
                }
                stat.ok().map(|stat| {
                    let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                    (plain, u64::try_from(stat.st_size).unwrap_or_default())
                })
            }
            None => {
                look(self.root, &mut self.folders, &path()).map(|meta| (meta.is_file(), meta.size))
            }
        };
        let (plain, found) = match looked {
            None => {
                return Some(Difference::Missing { path: path(), is_outside: is_outside() });
            }
            Some(looked) => looked,
        };
        if !plain {
            return Some(Difference::NotAFile { path: path() });
        }
        let recorded = entry.size?;
        let resized =
            || Difference::Resized { path: path(), recorded, found, is_outside: is_outside() };
        (recorded != found).then(resized)
    }
}

/// Whether rights are not what stands between this process and a file. Files that everybody may
/// read are not asked about again.
fn may_read(folder: &OwnedFd, path: &str, stat: &Result<Stat, Errno>) -> bool {
    let by_all = Mode::RUSR | Mode::RGRP | Mode::ROTH;
    match stat {
        Ok(stat) if Mode::from_raw_mode(stat.st_mode).contains(by_all) => true,
        Ok(_) => {
            let asked = rustix::fs::accessat(folder, path, Access::READ_OK, AtFlags::empty());
            asked != Err(Errno::ACCESS)
        }
        Err(error) => *error != Errno::ACCESS,
    }
}

/// The file behind `path` in a root that is not this process's own.
fn look(
    root: &Root,
    folders: &mut BTreeMap<PathBuf, Option<PathBuf>>,
    path: &Path,
) -> Option<Meta> {
    let (folder, name) = (path.parent()?, path.file_name()?);
    if !folders.contains_key(folder) {
        folders.insert(folder.to_owned(), root.locate(folder).ok());
    }
    let file = folders.get(folder)?.as_ref()?.join(name);
    let meta = root.meta_at(&file).ok()?;
    if meta.is_symlink() { root.metadata(path).ok() } else { Some(meta) }
}

/// A file of native code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeFile {
    /// Inside the root.
    pub path: PathBuf,
    /// Whether Python imports it; otherwise it is a library that modules bring along.
    pub is_module: bool,
}

impl NativeFile {
    /// Its file name.
    pub fn name(&self) -> Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }
}

/// The file of an entry, where it is native: `*.so`, and what is bundled in `*.libs/` (auditwheel).
pub fn native_file(distribution: &Distribution, entry: &RecordEntry<'_>) -> Option<NativeFile> {
    let plain = entry.path.ends_with(".so");
    if !plain && !numbered(&entry.path) {
        return None;
    }
    let folders = entry.path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let bundled = folders.split('/').any(|part| part.ends_with(".libs"));
    Some(NativeFile { path: distribution.folder.join(&*entry.path), is_module: plain && !bundled })
}

/// `libz.so.1`, `libz-1a2b.so.1.2.13`.
fn numbered(path: &str) -> bool {
    // Asked of every file that is installed: most answers need one look.
    path.as_bytes().last().is_some_and(u8::is_ascii_digit)
        && path.rsplit_once(".so.").is_some_and(|(_, number)| {
            number
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::distribution::Installed;
    use crate::python::tree::{Tree, paths};
    use proptest::prelude::*;

    fn entry(path: &str, size: Option<u64>) -> RecordEntry<'_> {
        RecordEntry { path: path.into(), hash: None, size }
    }

    #[test]
    fn quoted_fields_and_missing_ones_are_read() {
        let text = "a/b.py,sha256=xyz,12\r\n\"with,\"\"comma\"\"\n.txt\",,\n\n,,\nRECORD,,\nlast,sha256=0,x";
        let read: Vec<RecordEntry> = entries(text).collect();
        assert_eq!(
            read[0],
            RecordEntry { path: "a/b.py".into(), hash: Some("sha256=xyz".into()), size: Some(12) }
        );
        assert_eq!(read[1], entry("with,\"comma\"\n.txt", None));
        assert_eq!(read[2], entry("RECORD", None));
        assert_eq!((&*read[3].path, read[3].size), ("last", None));
        assert_eq!(read.len(), 4);
    }

    #[test]
    fn files_gone_resized_or_replaced_are_told_and_compiled_ones_are_not() {
        let tree = Tree::new("record");
        let site = "/v/lib/python3.11/site-packages";
        tree.distribution(site, "x", "1", "");
        tree.file(&format!("{site}/x/good.py"), "12345");
        tree.file(&format!("{site}/x/short.py"), "1");
        tree.file(&format!("{site}/x/folder.py/inside"), "");
        tree.file("/v/bin/x", "123");
        tree.link(&format!("{site}/x/linked.py"), "/v/bin/x");
        tree.link(&format!("{site}/x/dangling.py"), "/etc/passwd");
        tree.file(
            &format!("{site}/x-1.dist-info/RECORD"),
            "x/good.py,,5\nx/short.py,,5\nx/gone.py,,1\nx/c.pyc,,9\nx/folder.py,,1\n../../../bin/x,,3\n\
             x/linked.py,,3\nx/dangling.py,,1\nno/such/folder.so,,1\nx/unsized.py,,\n\
             ../../../bin/gone,,3\n/v/bin/none,,3\n",
        );
        let root = tree.root();
        let x = Installed::list(&root, &paths(&[site])).find("x").unwrap().unwrap();
        let mut room = Vec::new();
        let text = read(&root, &x, &mut room).unwrap();
        let mut files = Files::of(&root, &x.folder);
        let differences: Vec<Difference> =
            entries(&text).filter_map(|entry| files.difference(&entry)).collect();
        let at = |path: &str| Path::new(site).join(path);
        let missing = |path, is_outside| Difference::Missing { path: at(path), is_outside };
        assert_eq!(
            differences,
            [
                Difference::Resized {
                    path: at("x/short.py"),
                    recorded: 5,
                    found: 1,
                    is_outside: false,
                },
                missing("x/gone.py", false),
                Difference::NotAFile { path: at("x/folder.py") },
                missing("x/dangling.py", false),
                missing("no/such/folder.so", false),
                missing("x/unsized.py", false),
                missing("../../../bin/gone", true),
                missing("/v/bin/none", true),
            ]
        );
    }

    #[test]
    fn modules_and_bundled_libraries_are_told_apart() {
        let tree = Tree::new("native");
        tree.distribution("/s", "x", "1", "");
        let x = Installed::list(&tree.root(), &paths(&["/s"])).find("x").unwrap().unwrap();
        let entries: Vec<RecordEntry> = [
            "_x.cpython-311-x86_64-linux-gnu.so",
            "x/_y.abi3.so",
            "x.libs/libz-1a2b.so.1.2.13",
            "x.libs/libq.so",
            "x/data.so.txt",
            "x/so.py",
        ]
        .map(|path| entry(path, None))
        .to_vec();
        let found: Vec<(PathBuf, bool)> = entries
            .iter()
            .filter_map(|entry| native_file(&x, entry))
            .map(|file| (file.path, file.is_module))
            .collect();
        assert_eq!(
            found,
            [
                ("/s/_x.cpython-311-x86_64-linux-gnu.so".into(), true),
                ("/s/x/_y.abi3.so".into(), true),
                ("/s/x.libs/libz-1a2b.so.1.2.13".into(), false),
                ("/s/x.libs/libq.so".into(), false),
            ]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_ends(text in "[a\",\r\n0-9é]{0,60}|\\PC*") {
            prop_assert!(entries(&text).count() <= text.len());
        }

        #[test]
        fn a_quoted_path_comes_back(path in "[a-z\",\n é]{1,20}", size in any::<u64>()) {
            let line = format!("\"{}\",,{size}\n", path.replace('"', "\"\""));
            let read: Vec<RecordEntry> = entries(&line).collect();
            prop_assert_eq!(read, [entry(&path, Some(size))]);
        }
    }
}
