//! The version of a root's C library, read from its files: glibc's stands in the banner inside
//! `libc.so.6`, musl's in the package database of Alpine or in the loader itself.

use std::path::{Path, PathBuf};

use memchr::memmem;
use serde::Serialize;

use super::userland::{Family, Userland};
use super::{Arch, Contents, Root};
use crate::elf;

/// A C library; the version is `None` where the files do not tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Libc {
    /// The GNU C Library.
    Glibc {
        /// As in `2.36`.
        version: Option<String>,
    },
    /// musl libc.
    Musl {
        /// As in `1.2.5`.
        version: Option<String>,
    },
}

impl Libc {
    /// One word for people and variables: `glibc-2.36`, `musl`.
    pub fn word(&self) -> String {
        let (name, version) = match self {
            Libc::Glibc { version } => ("glibc", version),
            Libc::Musl { version } => ("musl", version),
        };
        match version {
            Some(version) => [name, "-", version].concat(),
            None => name.to_owned(),
        }
    }
}

/// Where Alpine keeps its package database; the second is the merged-/usr place.
const APK_DATABASES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// No libc.so.6 or loader is near this size.
const MOST_LIBRARY_BYTES: u64 = 16 << 20;
/// A full desktop's database is a few MiB.
const MOST_DATABASE_BYTES: u64 = 16 << 20;
/// A longer "version" is not one.
const MOST_VERSION_BYTES: usize = 32;

/// The C library of a userland, with its version where the files tell it.
pub fn of(root: &Root, userland: &Userland) -> Libc {
    match userland.family {
        Family::Glibc => Libc::Glibc { version: glibc_version(root, userland.arch) },
        Family::Musl => Libc::Musl { version: musl_version(root, &userland.loader) },
    }
}

/// Whether the file at `path` is an ELF file for `arch`.
fn is_for(root: &Root, path: &Path, arch: Arch) -> bool {
    let identity = root.open(path).ok().and_then(|file| elf::identify(&file).ok());
    identity.is_some_and(|identity| identity.runs_on(arch).is_ok())
}

fn glibc_version(root: &Root, arch: Arch) -> Option<String> {
    let triplet = arch.multiarch();
    let folders = [
        PathBuf::from("/lib").join(triplet),
        PathBuf::from("/usr/lib").join(triplet),
        PathBuf::from("/lib64"),
        PathBuf::from("/usr/lib64"),
        PathBuf::from("/lib"),
        PathBuf::from("/usr/lib"),
    ];
    folders
        .iter()
        .map(|folder| folder.join("libc.so.6"))
        .filter(|path| is_for(root, path, arch))
        .find_map(|path| {
            glibc_banner(root, &path)
                .or_else(|| glibc_version_in(&root.read(&path, MOST_LIBRARY_BYTES).ok()?))
        })
}

/// The version in glibc's banner. It stands among the constants, behind the code, so that the
/// file is read from its end: a fifth of its 2 MB instead of all.
fn glibc_banner(root: &Root, path: &Path) -> Option<String> {
    const BLOCK: u64 = 32 << 10;
    /// More than the banner's own words and number.
    const OVERLAP: u64 = 64;
    let file = root.open(path).ok()?;
    let mut end = file.length().ok()?.min(MOST_LIBRARY_BYTES);
    let mut block = vec![0; (BLOCK + OVERLAP) as usize];
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let count = file.read_at(&mut block, start).ok()?;
        let here = block.get(..count)?;
        if let Some(found) = after(here, b"release version ").find_map(|rest| numbers(rest, 2)) {
            return Some(found);
        }
        end = start;
    }
    None
}

/// The version in glibc's own file: its banner ("… stable release version 2.36."), or, where a
/// vendor has changed that text, the newest of its symbol versions ("GLIBC_2.36").
fn glibc_version_in(bytes: &[u8]) -> Option<String> {
    let banner = after(bytes, b"release version ").find_map(|rest| numbers(rest, 2));
    banner.or_else(|| {
        after(bytes, b"GLIBC_")
            .filter_map(|rest| numbers(rest, 2))
            .max_by_key(|version| numeric(version))
    })
}

/// The version of musl: from Alpine's database, else from the loader.
fn musl_version(root: &Root, loader: &Path) -> Option<String> {
    let from_database = APK_DATABASES
        .iter()
        .find_map(|path| apk_version(&root.read(Path::new(path), MOST_DATABASE_BYTES).ok()?));
    from_database.or_else(|| musl_version_in(&root.read(loader, MOST_LIBRARY_BYTES).ok()?))
}

/// The version of the package `musl` in an apk database: blocks of `KEY:value` lines with an
/// empty line between them, `P` the name and `V` the version with the package's revision.
fn apk_version(database: &[u8]) -> Option<String> {
    let mut in_musl = false;
    for line in database.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            in_musl = false;
        } else if let Some(name) = line.strip_prefix(b"P:") {
            in_musl = name == b"musl";
        } else if let (true, Some(version)) = (in_musl, line.strip_prefix(b"V:")) {
            return numbers(version, 3);
        }
    }
    None
}

/// musl's version is a string of its own in its loader, "1.2.5", which the loader prints when it
/// is run by itself. Every release so far begins with 0 or 1.
fn musl_version_in(bytes: &[u8]) -> Option<String> {
    after(bytes, b"\0").find_map(|rest| {
        let version = numbers(rest, 3)?;
        let ends = rest.get(version.len()).is_some_and(|byte| matches!(byte, 0 | b'-' | b'_'));
        let digits: Vec<u32> = numeric(&version);
        (ends && digits.len() == 3 && digits[0] <= 1).then_some(version)
    })
}

/// What follows each occurrence of `mark`, which is not empty.
fn after<'a>(bytes: &'a [u8], mark: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    memmem::find_iter(bytes, mark).filter_map(|at| bytes.get(at + mark.len()..))
}

/// The dotted number at the start of `text`, if it has at least `fewest` parts.
fn numbers(text: &[u8], fewest: usize) -> Option<String> {
    let text = text.get(..MOST_VERSION_BYTES).unwrap_or(text);
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.');
    let text = std::str::from_utf8(&text[..end.unwrap_or(text.len())]).ok()?;
    let text = text.trim_end_matches('.');
    let parts = text.split('.');
    let whole = parts.clone().all(|part| !part.is_empty());
    (whole && parts.count() >= fewest).then(|| text.to_owned())
}

/// The parts of a dotted number, for comparing; a part too large to hold counts as 0.
fn numeric(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::userland::userland;
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn tree(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mak-libc-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn libc(root: &Root, preferred: Option<Arch>) -> Libc {
        of(root, &userland(root, preferred).unwrap())
    }

    /// A file that is ELF as far as its header, with `text` behind it.
    fn elf(base: &Path, path: &str, arch: Arch, text: &[u8]) {
        let path = base.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let big = arch == Arch::S390x;
        let class = if arch.is_64_bit() { 2 } else { 1 };
        let mut bytes = vec![0x7f, b'E', b'L', b'F', class, if big { 2 } else { 1 }];
        bytes.resize(18, 0);
        let machine = arch.elf_machine();
        bytes.extend(if big { machine.to_be_bytes() } else { machine.to_le_bytes() });
        bytes.resize(64, 0);
        bytes.extend(text);
        fs::write(path, bytes).unwrap();
    }

    const BANNER: &[u8] = b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nC";

    #[test]
    fn the_banner_of_glibc_gives_its_version() {
        let base = tree("glibc");
        elf(&base, "lib64/ld-linux-x86-64.so.2", Arch::Amd64, b"");
        elf(&base, "usr/lib/x86_64-linux-gnu/libc.so.6", Arch::Amd64, BANNER);
        let root = Root::at(&base).unwrap();
        assert_eq!(userland(&root, Some(Arch::Arm64)).unwrap().arch, Arch::Amd64);
        assert_eq!(libc(&root, Some(Arch::Arm64)).word(), "glibc-2.36");
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn without_a_banner_the_newest_symbol_version_counts_by_number_not_by_letter() {
        let text = b"GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE\0GLIBC_2.4\0";
        assert_eq!(glibc_version_in(text), Some("2.34".to_owned()));
        assert_eq!(glibc_version_in(b"GLIBC_PRIVATE"), None);
    }

    #[test]
    fn of_several_loaders_the_preferred_architecture_wins() {
        let base = tree("multiarch");
        elf(&base, "lib64/ld-linux-x86-64.so.2", Arch::Amd64, b"");
        elf(&base, "lib/ld-linux-aarch64.so.1", Arch::Arm64, b"");
        elf(&base, "lib/ld-musl-x86_64.so.1", Arch::Amd64, b"\x001.2.3\0");
        let root = Root::at(&base).unwrap();
        assert_eq!(userland(&root, Some(Arch::Arm64)).unwrap().arch, Arch::Arm64);
        let own = userland(&root, Some(Arch::Amd64)).unwrap();
        assert_eq!((own.arch, of(&root, &own)), (Arch::Amd64, Libc::Glibc { version: None }));
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_libc_of_another_architecture_does_not_lend_its_version() {
        let base = tree("foreign");
        elf(&base, "lib64/ld-linux-x86-64.so.2", Arch::Amd64, b"");
        elf(&base, "lib/libc.so.6", Arch::I386, BANNER);
        let root = Root::at(&base).unwrap();
        assert_eq!(libc(&root, None), Libc::Glibc { version: None });
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn alpines_database_is_believed_before_the_loader() {
        let base = tree("alpine");
        elf(&base, "lib/ld-musl-aarch64.so.1", Arch::Arm64, b"\x001.2.3\0");
        let root = Root::at(&base).unwrap();
        assert_eq!(libc(&root, None).word(), "musl-1.2.3");
        fs::create_dir_all(base.join("lib/apk/db")).unwrap();
        let database = "P:musl-utils\nV:9.9.9-r0\n\nC:Q1x\nP:musl\nV:1.2.5-r21\nA:aarch64\n\n";
        fs::write(base.join("lib/apk/db/installed"), database).unwrap();
        assert_eq!(libc(&root, None).word(), "musl-1.2.5");
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn an_address_in_the_loader_is_not_its_version() {
        assert_eq!(
            musl_version_in(b"\x00127.0.0.1\0\x001.2.3.4\0\x001.2.5_git2\0"),
            Some("1.2.5".to_owned())
        );
    }

    #[test]
    fn an_empty_root_and_a_big_endian_one_are_told_apart() {
        let base = tree("s390x");
        let root = Root::at(&base).unwrap();
        assert_eq!(userland(&root, Arch::built_for()), None);
        elf(&base, "lib/ld64.so.1", Arch::S390x, b"");
        assert_eq!(userland(&root, Arch::built_for()).unwrap().arch, Arch::S390x);
        fs::remove_dir_all(base).unwrap();
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_scanners_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = glibc_version_in(&bytes);
            let _ = musl_version_in(&bytes);
            let _ = apk_version(&bytes);
        }

        #[test]
        fn a_version_found_is_digits_and_dots(tail in "[0-9.]{0,40}") {
            let text = format!("release version {tail}\n");
            if let Some(version) = glibc_version_in(text.as_bytes()) {
                prop_assert!(version.split('.').all(|part| !part.is_empty()));
                prop_assert!(version.len() <= MOST_VERSION_BYTES);
            }
        }
    }
}
