//! `/etc/ld.so.cache`, the table that ldconfig writes and glibc's loader looks names up in.
//!
//! There are two formats (glibc, sysdeps/generic/dl-cache.h). The new one starts with
//! `glibc-ld.so.cache1.1`; the old one starts with `ld.so-1.7.0` and mostly carries a new one
//! after its entries. The bytes are kept and looked into; nothing is copied out in advance, so
//! the memory needed is the file's size, which [`MOST_BYTES`] bounds.

use std::fmt;

use crate::elf::Endian;
use crate::platform::Arch;

/// The largest cache that is read. A full desktop has 200 KiB.
pub const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// The longest path that the kernel takes (PATH_MAX). Without it, very many entries that share one
/// very long string would take very long.
const LONGEST_STRING: usize = 4096;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const NEW_HEADER: usize = 48;
const NEW_ENTRY: usize = 24;
/// `cache_extension_magic`.
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
/// `cache_extension_tag_glibc_hwcaps`.
const TAG_HWCAPS: u32 = 1;
/// `DL_CACHE_HWCAP_EXTENSION`: the low 32 bits are an index into the table of hwcaps names.
const HWCAP_IS_INDEX: u64 = 1 << 62;

/// Why a cache cannot be used; glibc's loader then goes on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheError {
    /// It starts with neither magic.
    NotACache,
    /// It ends before the entries that its header announces.
    Truncated {
        /// Entries announced.
        entries: u32,
        /// Length in bytes.
        length: usize,
    },
    /// ldconfig marked it as invalid.
    MarkedInvalid,
}

impl fmt::Display for CacheError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CacheError::NotACache => out.write_str("is not a loader cache"),
            CacheError::Truncated { entries, length } => {
                write!(out, "is cut short: {entries} entries do not fit in {length} bytes")
            }
            CacheError::MarkedInvalid => out.write_str("is marked as invalid"),
        }
    }
}

impl std::error::Error for CacheError {}

/// A parsed cache.
#[derive(Clone, Debug)]
pub struct Cache {
    bytes: Vec<u8>,
    endian: Endian,
    new_format: bool,
    /// Where the entries start.
    entries: usize,
    count: usize,
    /// What the entries' string offsets count from.
    strings: usize,
    /// Where the names of the glibc-hwcaps sub-directories start, as u32 string offsets.
    hwcaps: usize,
    hwcaps_count: usize,
}

/// What a processor must have for an entry to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hwcap<'a> {
    /// Nothing special.
    Any,
    /// A glibc-hwcaps sub-directory, as `x86-64-v3` (glibc 2.33 and later).
    Named(&'a [u8]),
    /// A mask of AT_HWCAP bits and platforms (until glibc 2.36).
    Mask(u64),
}

/// One line of the cache.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The soname.
    pub name: &'a [u8],
    /// The file's path.
    pub path: &'a [u8],
    /// For which libc and ABI the file is (`FLAG_*` of ldconfig.h).
    pub flags: u32,
    /// What the processor must have.
    pub hwcap: Hwcap<'a>,
}

impl Entry<'_> {
    /// Whether the loader of an `arch` userland considers this entry: the low byte is
    /// FLAG_ELF_LIBC6, the next one the ABI (`_DL_CACHE_DEFAULT_ID` of each port).
    pub fn is_for(&self, arch: Arch) -> bool {
        let wanted: &[u32] = match arch {
            Arch::Amd64 => &[0x0303],
            Arch::S390x => &[0x0403],
            Arch::Ppc64le => &[0x0503],
            Arch::ArmV7 => &[0x0903],
            Arch::ArmV6 => &[0x0903, 0x0b03, 0x0003],
            Arch::Arm64 => &[0x0a03],
            Arch::Riscv64 => &[0x1003],
            Arch::I386 => &[0x0003],
        };
        wanted.contains(&self.flags)
    }
}

impl Cache {
    /// Parses a cache of either format and byte order.
    pub fn parse(bytes: Vec<u8>) -> Result<Cache, CacheError> {
        if bytes.starts_with(NEW_MAGIC) {
            return new_format(bytes, 0);
        }
        if !bytes.starts_with(OLD_MAGIC) {
            return Err(CacheError::NotACache);
        }
        let (endian, count) = fitting_count(&bytes, 12, OLD_HEADER, OLD_ENTRY)?;
        let end = OLD_HEADER + count * OLD_ENTRY;
        let aligned = end.next_multiple_of(8);
        if bytes.get(aligned..).is_some_and(|rest| rest.starts_with(NEW_MAGIC)) {
            return new_format(bytes, aligned);
        }
        Ok(Cache {
            bytes,
            endian,
            new_format: false,
            entries: OLD_HEADER,
            count,
            strings: end,
            hwcaps: 0,
            hwcaps_count: 0,
        })
    }

    /// The byte order it was written in.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Every entry whose strings lie inside the file, in the file's order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.count).filter_map(|index| {
            let name = self.string(self.strings, self.key(index)?)?;
            self.entry(index, name)
        })
    }

    /// The entries for one soname, in the file's order.
    pub fn lookup<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = Entry<'a>> {
        (0..self.count).filter_map(move |index| {
            let at = self.strings.checked_add(self.key(index)? as usize)?;
            let rest = self.bytes.get(at..)?.strip_prefix(name)?;
            if rest.first() != Some(&0) {
                return None;
            }
            self.entry(index, name)
        })
    }

    fn entry<'a>(&'a self, index: usize, name: &'a [u8]) -> Option<Entry<'a>> {
        let at = self.at(index);
        let path = self.string(self.strings, self.u32(at + 8)?)?;
        let hwcap = if self.new_format { self.hwcap(at)? } else { Hwcap::Any };
        Some(Entry { name, path, flags: self.u32(at)?, hwcap })
    }

    fn hwcap(&self, entry: usize) -> Option<Hwcap<'_>> {
        let raw: [u8; 8] = self.bytes.get(entry + 16..entry + 24)?.try_into().ok()?;
        let value = match self.endian {
            Endian::Little => u64::from_le_bytes(raw),
            Endian::Big => u64::from_be_bytes(raw),
        };
        if value == 0 {
            return Some(Hwcap::Any);
        }
        // Bits above the flag hold the ISA level that ldconfig of glibc 2.33 and later notes.
        if value & HWCAP_IS_INDEX == 0 {
            return Some(Hwcap::Mask(value));
        }
        let index = (value & 0xffff_ffff) as usize;
        if index >= self.hwcaps_count {
            return None;
        }
        Some(Hwcap::Named(self.string(self.strings, self.u32(self.hwcaps + 4 * index)?)?))
    }

    fn at(&self, index: usize) -> usize {
        self.entries + index * if self.new_format { NEW_ENTRY } else { OLD_ENTRY }
    }

    fn key(&self, index: usize) -> Option<u32> {
        self.u32(self.at(index) + 4)
    }

    fn string(&self, base: usize, offset: u32) -> Option<&[u8]> {
        let rest = self.bytes.get(base.checked_add(offset as usize)?..)?;
        let rest = &rest[..rest.len().min(LONGEST_STRING)];
        let length = rest.iter().position(|&byte| byte == 0)?;
        Some(&rest[..length])
    }

    fn u32(&self, at: usize) -> Option<u32> {
        u32_at(&self.bytes, at, self.endian)
    }
}

fn u32_at(bytes: &[u8], at: usize, endian: Endian) -> Option<u32> {
    let raw: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(match endian {
        Endian::Little => u32::from_le_bytes(raw),
        Endian::Big => u32::from_be_bytes(raw),
    })
}

/// The number of entries at `at`, in the byte order in which they fit into the file.
fn fitting_count(
    bytes: &[u8],
    at: usize,
    header: usize,
    entry: usize,
) -> Result<(Endian, usize), CacheError> {
    let cut = |entries| CacheError::Truncated { entries, length: bytes.len() };
    let room = bytes.len().saturating_sub(header) / entry;
    for endian in [Endian::Little, Endian::Big] {
        let count = u32_at(bytes, at, endian).ok_or(cut(0))? as usize;
        if count <= room && bytes.len() >= header {
            return Ok((endian, count));
        }
    }
    Err(cut(u32_at(bytes, at, Endian::Little).unwrap_or(0)))
}

/// A cache of the new format that starts at `base`.
fn new_format(bytes: Vec<u8>, base: usize) -> Result<Cache, CacheError> {
    let header = &bytes[base..];
    // cache_file_new_flags_endian_*: 0 is from before glibc 2.33, when nothing was said.
    let said = match header.get(28).copied().unwrap_or(0) & 3 {
        1 => return Err(CacheError::MarkedInvalid),
        2 => Some(Endian::Little),
        3 => Some(Endian::Big),
        _ => None,
    };
    let (endian, count) = match said {
        None => fitting_count(header, 20, NEW_HEADER, NEW_ENTRY)?,
        Some(endian) => {
            let entries = u32_at(header, 20, endian).unwrap_or(0);
            let room = header.len().saturating_sub(NEW_HEADER) / NEW_ENTRY;
            if header.len() < NEW_HEADER || entries as usize > room {
                return Err(CacheError::Truncated { entries, length: bytes.len() });
            }
            (endian, entries as usize)
        }
    };
    // Before glibc 2.33 the field was unused and zero.
    let extension = u32_at(header, 32, endian).unwrap_or(0) as usize;
    let (hwcaps, hwcaps_count) = hwcaps_table(&bytes, extension, endian).unwrap_or((0, 0));
    Ok(Cache {
        endian,
        new_format: true,
        entries: base + NEW_HEADER,
        count,
        strings: base,
        hwcaps,
        hwcaps_count,
        bytes,
    })
}

/// Where the extension has the table of hwcaps names, and how many there are. Its own offsets
/// count from the start of the file, those in the table from the new header.
fn hwcaps_table(bytes: &[u8], extension: usize, endian: Endian) -> Option<(usize, usize)> {
    const SECTION: usize = 16;
    if extension == 0 || u32_at(bytes, extension, endian)? != EXTENSION_MAGIC {
        return None;
    }
    let room = bytes.len().checked_sub(extension.checked_add(8)?)? / SECTION;
    let count = (u32_at(bytes, extension + 4, endian)? as usize).min(room);
    let section = (0..count)
        .map(|index| extension + 8 + index * SECTION)
        .find(|&at| u32_at(bytes, at, endian) == Some(TAG_HWCAPS))?;
    let offset = u32_at(bytes, section + 8, endian)? as usize;
    let size = u32_at(bytes, section + 12, endian)? as usize;
    bytes.get(offset..offset.checked_add(size)?)?;
    Some((offset, size / 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A cache of the new format, one entry a line: flags, hwcap, name, path.
    fn new_cache(entries: &[(u32, u64, &str, &str)], big: bool, hwcaps: &[&str]) -> Vec<u8> {
        let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let long = |value: u64| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let base = NEW_HEADER + NEW_ENTRY * entries.len();
        let mut strings = Vec::new();
        let mut keep = |text: &str| {
            let at = base + strings.len();
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at as u32
        };
        let mut table = Vec::new();
        for (flags, hwcap, name, path) in entries {
            table.extend(word(*flags));
            table.extend(word(keep(name)));
            table.extend(word(keep(path)));
            table.extend(word(0));
            table.extend(long(*hwcap));
        }
        let names: Vec<u8> = hwcaps.iter().flat_map(|name| word(keep(name))).collect();
        let extension = (base + strings.len()).next_multiple_of(4);
        let mut bytes = NEW_MAGIC.to_vec();
        bytes.extend(word(entries.len() as u32));
        bytes.extend(word(strings.len() as u32));
        bytes.extend([if big { 3 } else { 2 }, 0, 0, 0]);
        bytes.extend(word(if hwcaps.is_empty() { 0 } else { extension as u32 }));
        bytes.extend([0; 12]);
        bytes.extend(table);
        bytes.extend(strings);
        if !hwcaps.is_empty() {
            bytes.resize(extension, 0);
            for value in [EXTENSION_MAGIC, 1, TAG_HWCAPS, 0] {
                bytes.extend(word(value));
            }
            bytes.extend(word(extension as u32 + 24));
            bytes.extend(word(names.len() as u32));
            bytes.extend(names);
        }
        bytes
    }

    fn old_cache(entries: &[(u32, &str, &str)]) -> Vec<u8> {
        let mut bytes = OLD_MAGIC.to_vec();
        bytes.push(0);
        bytes.extend((entries.len() as u32).to_le_bytes());
        let mut strings = Vec::new();
        for (flags, name, path) in entries {
            bytes.extend(flags.to_le_bytes());
            for text in [name, path] {
                bytes.extend((strings.len() as u32).to_le_bytes());
                strings.extend_from_slice(text.as_bytes());
                strings.push(0);
            }
        }
        bytes.extend(strings);
        bytes
    }

    fn paths(cache: &Cache, name: &str) -> Vec<String> {
        cache
            .lookup(name.as_bytes())
            .map(|one| String::from_utf8_lossy(one.path).into_owned())
            .collect()
    }

    const TWO: [(u32, u64, &str, &str); 3] = [
        (0x0303, HWCAP_IS_INDEX | 1, "liba.so.1", "/lib/glibc-hwcaps/x86-64-v3/liba.so.1"),
        (0x0303, 0, "liba.so.1", "/lib/liba.so.1"),
        (0x0a03, 0, "liba.so.10", "/arm/liba.so.10"),
    ];

    #[test]
    fn both_byte_orders_of_the_new_format_give_names_paths_and_hwcaps() {
        for big in [false, true] {
            let cache = Cache::parse(new_cache(&TWO, big, &["x86-64-v2", "x86-64-v3"])).unwrap();
            assert_eq!(cache.endian(), if big { Endian::Big } else { Endian::Little });
            assert_eq!(cache.len(), 3);
            assert_eq!(
                paths(&cache, "liba.so.1"),
                ["/lib/glibc-hwcaps/x86-64-v3/liba.so.1", "/lib/liba.so.1"]
            );
            let hwcaps: Vec<_> = cache.entries().map(|entry| entry.hwcap).collect();
            assert_eq!(hwcaps, [Hwcap::Named(b"x86-64-v3"), Hwcap::Any, Hwcap::Any]);
            let last = cache.lookup(b"liba.so.10").next().unwrap();
            assert!(last.is_for(Arch::Arm64) && !last.is_for(Arch::Amd64));
            assert_eq!(cache.lookup(b"liba.so").count(), 0);
        }
    }

    #[test]
    fn an_old_cache_is_read_and_one_that_carries_a_new_one_gives_way_to_it() {
        let old = old_cache(&[(3, "libz.so.1", "/old/libz.so.1")]);
        let cache = Cache::parse(old.clone()).unwrap();
        assert_eq!(paths(&cache, "libz.so.1"), ["/old/libz.so.1"]);
        assert!(cache.lookup(b"libz.so.1").next().unwrap().is_for(Arch::I386));

        // As ldconfig -c compat writes it: the new header stands between entries and strings.
        let mut both = old[..OLD_HEADER + OLD_ENTRY].to_vec();
        both.resize(both.len().next_multiple_of(8), 0);
        both.extend(new_cache(&TWO[1..], false, &[]));
        let cache = Cache::parse(both).unwrap();
        assert_eq!(paths(&cache, "liba.so.1"), ["/lib/liba.so.1"]);
        assert_eq!(cache.lookup(b"libz.so.1").count(), 0);
    }

    #[test]
    fn ldconfigs_own_files_are_read_in_every_format() {
        use crate::loader::fixture::{Folder, arch};
        let ldconfig = ["/sbin/ldconfig", "/usr/sbin/ldconfig"];
        let Some(ldconfig) = ldconfig.into_iter().find(|path| std::path::Path::new(path).exists())
        else {
            // Not a glibc machine; the formats written by hand above are still checked.
            assert!(!std::path::Path::new("/etc/ld.so.cache").exists());
            return;
        };
        let folder = Folder::new("ldconfig");
        folder.write("etc/ld.so.conf", "/opt/lib\n");
        folder.library("opt/lib/libone.so.1", "int one;", &["-Wl,-soname,libone.so.1"]);
        // ldconfig takes any name of a glibc-hwcaps sub-directory.
        folder.copy(&folder.path("opt/lib/libone.so.1"), "opt/lib/glibc-hwcaps/fast/libone.so.1");
        for format in ["new", "compat", "old"] {
            let made = std::process::Command::new(ldconfig)
                .args(["-X", "-c", format, "-r"])
                .arg(&folder.0)
                .status()
                .unwrap();
            assert!(made.success(), "{format}");
            let bytes = std::fs::read(folder.path("etc/ld.so.cache")).unwrap();
            let cache = Cache::parse(bytes.clone()).unwrap();
            let found: Vec<_> =
                cache.lookup(b"libone.so.1").map(|one| (one.path, one.hwcap)).collect();
            let fast: (&[u8], _) =
                (b"/opt/lib/glibc-hwcaps/fast/libone.so.1", Hwcap::Named(b"fast"));
            let plain: (&[u8], _) = (b"/opt/lib/libone.so.1", Hwcap::Any);
            // The old format has no room for the name of the sub-directory.
            let fast = if format == "old" { (fast.0, Hwcap::Any) } else { fast };
            assert_eq!(found, [fast, plain], "{format}");
            assert_eq!(cache.new_format, format != "old");
            assert!(cache.lookup(b"libone.so.1").all(|entry| entry.is_for(arch())), "{format}");
            for length in 0..bytes.len() {
                if let Ok(cache) = Cache::parse(bytes[..length].to_vec()) {
                    assert!(cache.entries().count() <= 2);
                }
            }
        }
    }

    #[test]
    fn a_broken_cache_says_what_is_wrong() {
        assert_eq!(Cache::parse(Vec::new()).unwrap_err(), CacheError::NotACache);
        assert_eq!(Cache::parse(vec![0; 4096]).unwrap_err(), CacheError::NotACache);
        let mut marked = new_cache(&TWO, false, &[]);
        marked[28] = 1;
        assert_eq!(Cache::parse(marked).unwrap_err(), CacheError::MarkedInvalid);
        let mut many = new_cache(&TWO, false, &[]);
        many[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(
            Cache::parse(many).unwrap_err(),
            CacheError::Truncated { entries: u32::MAX, .. }
        ));
        let long = "x".repeat(LONGEST_STRING);
        let long = Cache::parse(new_cache(&[(3, 0, "liba.so.1", &long)], false, &[])).unwrap();
        assert_eq!(long.entries().count(), 0);
        // An entry whose strings lie outside is left out, the others are kept.
        let mut outside = new_cache(&TWO, false, &[]);
        outside[NEW_HEADER + 8..NEW_HEADER + 12].copy_from_slice(&u32::MAX.to_le_bytes());
        outside[NEW_HEADER + 16..NEW_HEADER + 24].fill(0);
        assert_eq!(Cache::parse(outside).unwrap().entries().count(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_behind_a_magic_are_parsed_or_refused(bytes: Vec<u8>, old: bool) {
            let mut file = if old { OLD_MAGIC.to_vec() } else { NEW_MAGIC.to_vec() };
            file.extend(bytes);
            if let Ok(cache) = Cache::parse(file) {
                prop_assert!(cache.entries().count() <= cache.len());
            }
        }

        #[test]
        fn a_changed_cache_is_parsed_or_refused(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = new_cache(&TWO, false, &["x86-64-v2", "x86-64-v3"]);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(cache) = Cache::parse(bytes) {
                prop_assert!(cache.entries().count() <= cache.len());
                prop_assert!(cache.lookup(b"liba.so.1").count() <= cache.len());
            }
        }
    }
}
