//! What the dynamic section of a file says: names, needs, search paths and versions.
//!
//! Bound of memory for one call of [`read`], whatever the file: 64 KiB of program headers (twice
//! while they are decoded), two windows of 64 KiB, 1 MiB of strings, and at most 16,384 entries
//! of each list; below 4 MiB together, a few KiB for ordinary files.

use std::ffi::OsString;

use super::image::{Image, LOAD, Segment, Windows};
use super::property::{self, Property};
use super::versions::{self, RequiredVersion, Strings};
use super::{ElfError, Identity, Kind};
use crate::platform::Contents;

/// Entries of the dynamic section; real ones have 20 to 300.
const MOST_ENTRIES: u64 = 8 * 1024;

// Program header types and dynamic tags (gABI, chapter 5; glibc's elf.h for the OS range).
pub(super) const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERDEFNUM: u64 = 0x6fff_fffd;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;

/// DF_1_NODEFLIB: the default folders are not searched for what this file needs.
const NODEFLIB: u64 = 0x800;

/// A program or shared object, as the dynamic loader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The file header.
    pub identity: Identity,
    /// PT_INTERP: the dynamic loader that a program asks the kernel for.
    pub interpreter: Option<String>,
    /// Whether there is a dynamic section at all. A file without one is linked statically, or
    /// packed (as by UPX), and nothing can be said about what it needs.
    pub has_dynamic_section: bool,
    /// DT_SONAME.
    pub soname: Option<OsString>,
    /// DT_NEEDED, in the file's order.
    pub needed: Vec<OsString>,
    /// DT_RPATH, not split.
    pub rpath: Option<OsString>,
    /// DT_RUNPATH, not split.
    pub runpath: Option<OsString>,
    /// DT_FLAGS_1.
    pub flags_1: u64,
    /// DT_VERNEED.
    pub required_versions: Vec<RequiredVersion>,
    /// DT_VERDEF, without the entry that names the file itself.
    pub defined_versions: Vec<String>,
    /// The least alignment (p_align) of a loaded segment, in bytes, 0 and 1 left out; 0 where
    /// none is said. A kernel whose pages are larger cannot map the file as it is laid out.
    pub alignment: u64,
    /// What its GNU property note asks of the processor.
    pub property: Property,
}

impl Object {
    /// Whether this is a program that starts without a dynamic loader.
    pub fn is_static_program(&self) -> bool {
        self.interpreter.is_none()
            && (self.identity.kind == Kind::Executable && self.needed.is_empty()
                || !self.has_dynamic_section)
    }

    /// About how many bytes of memory the lists take.
    pub(crate) fn weight(&self) -> usize {
        const EACH: usize = 64;
        let needed = self.needed.iter().map(|name| EACH + name.len());
        let defined = self.defined_versions.iter().map(|name| EACH + name.len());
        let required = self.required_versions.iter();
        let required = required.map(|one| EACH + one.file.len() + one.version.len());
        std::mem::size_of::<Object>() + needed.chain(defined).chain(required).sum::<usize>()
    }

    /// Whether the default folders are left out for what this file needs (DF_1_NODEFLIB).
    pub fn skips_default_folders(&self) -> bool {
        self.flags_1 & NODEFLIB != 0
    }
}

/// Reads the headers and the dynamic section of a file.
pub fn read(file: &dyn Contents) -> Result<Object, ElfError> {
    let mut windows = Windows::default();
    let mut image = Image::open(file, &mut windows)?;
    let mut object = Object {
        identity: image.identity,
        interpreter: None,
        has_dynamic_section: false,
        soname: None,
        needed: Vec::new(),
        rpath: None,
        runpath: None,
        flags_1: 0,
        required_versions: Vec::new(),
        defined_versions: Vec::new(),
        alignment: alignment(&image),
        property: property::read(&mut image),
    };
    if let Some(segment) = image.segment(PT_INTERP) {
        let end = segment.offset.saturating_add(segment.size);
        let path = image.string(segment.offset, end, "the interpreter's path (PT_INTERP)")?;
        object.interpreter = Some(path);
    }
    if let Some(segment) = image.segment(PT_DYNAMIC) {
        object.has_dynamic_section = true;
        let tags = tags(&mut image, segment)?;
        describe(&mut object, &mut image, &tags)?;
    }
    Ok(object)
}

fn alignment(image: &Image<'_>) -> u64 {
    let loaded = image.segments.iter().filter(|segment| segment.kind == LOAD);
    let said = loaded.map(|segment| segment.alignment).filter(|&alignment| alignment > 1);
    said.min().unwrap_or(0)
}

/// The entries of the dynamic section that matter here; of those that stand once, the last one
/// counts, as in glibc's `elf_get_dynamic_info`.
#[derive(Default)]
pub(super) struct Tags {
    needed: Vec<u64>,
    pub strings: Option<u64>,
    strings_size: Option<u64>,
    pub symbols: Option<u64>,
    pub hash: Option<u64>,
    pub gnu_hash: Option<u64>,
    soname: Option<u64>,
    rpath: Option<u64>,
    runpath: Option<u64>,
    flags_1: u64,
    defined: Option<u64>,
    defined_count: u64,
    required: Option<u64>,
    required_count: u64,
}

impl Tags {
    /// The string table; `None` where the dynamic section names none.
    pub fn strings(&self, image: &Image<'_>) -> Result<Option<Strings>, ElfError> {
        let Some(address) = self.strings else { return Ok(None) };
        let start = image.offset_of(address, "the string table")?;
        let end = self.strings_size.map_or(u64::MAX, |size| start.saturating_add(size));
        Ok(Some(Strings { start, end }))
    }
}

/// Reads the dynamic section.
pub(super) fn tags(image: &mut Image<'_>, segment: Segment) -> Result<Tags, ElfError> {
    const WHAT: &str = "the dynamic section";
    let wide = image.wide();
    let word = if wide { 8 } else { 4 };
    // A stripped debug file may keep the header of a dynamic section whose bytes it dropped.
    if segment.size == 0 {
        return Ok(Tags::default());
    }
    let start = image.offset_of(segment.address, WHAT)?;
    let count = segment.size / (2 * word);
    if count > MOST_ENTRIES {
        return Err(ElfError::TooLarge {
            what: "the number of dynamic entries",
            limit: MOST_ENTRIES,
        });
    }
    let mut tags = Tags::default();
    for index in 0..count {
        let at = start.saturating_add(index * 2 * word);
        let fields = image.table(at, 2 * word as usize, WHAT)?;
        let (Some(tag), Some(value)) = (fields.word(0, wide), fields.word(word as usize, wide))
        else {
            break;
        };
        match tag {
            DT_NULL => break,
            DT_NEEDED => tags.needed.push(value),
            DT_STRTAB => tags.strings = Some(value),
            DT_STRSZ => tags.strings_size = Some(value),
            DT_SYMTAB => tags.symbols = Some(value),
            DT_HASH => tags.hash = Some(value),
            DT_GNU_HASH => tags.gnu_hash = Some(value),
            DT_SONAME => tags.soname = Some(value),
            DT_RPATH => tags.rpath = Some(value),
            DT_RUNPATH => tags.runpath = Some(value),
            DT_FLAGS_1 => tags.flags_1 = value,
            DT_VERDEF => tags.defined = Some(value),
            DT_VERDEFNUM => tags.defined_count = value,
            DT_VERNEED => tags.required = Some(value),
            DT_VERNEEDNUM => tags.required_count = value,
            _ => {}
        }
    }
    Ok(tags)
}

fn describe(object: &mut Object, image: &mut Image<'_>, tags: &Tags) -> Result<(), ElfError> {
    object.flags_1 = tags.flags_1;
    let Some(strings) = tags.strings(image)? else { return Ok(()) };
    for &index in &tags.needed {
        object.needed.push(strings.name(image, index, "the name of a needed file (DT_NEEDED)")?);
    }
    object.soname = named(image, strings, tags.soname, "the file's own name (DT_SONAME)")?;
    object.rpath = named(image, strings, tags.rpath, "the search path DT_RPATH")?;
    object.runpath = named(image, strings, tags.runpath, "the search path DT_RUNPATH")?;
    if let Some(address) = tags.required {
        object.required_versions =
            versions::required(image, address, tags.required_count, strings)?;
    }
    if let Some(address) = tags.defined {
        object.defined_versions = versions::defined(image, address, tags.defined_count, strings)?;
    }
    Ok(())
}

fn named(
    image: &mut Image<'_>,
    strings: Strings,
    index: Option<u64>,
    what: &'static str,
) -> Result<Option<OsString>, ElfError> {
    index.map(|index| strings.name(image, index, what)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::{Class, ElfError, Endian};
    use crate::loader::fixture::{Folder, arch, compile};
    use crate::platform::Arch;
    use proptest::prelude::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    fn open(folder: &Folder, name: &str) -> File {
        File::options().read(true).write(true).open(folder.path(name)).unwrap()
    }

    /// A library with all that is read here.
    fn sample(folder: &Folder) {
        let script = "LIBDEP_1.0 { global: dep; }; LIBDEP_1.10 { global: dep2; } LIBDEP_1.0;";
        folder.write("dep.map", script);
        let map = format!("-Wl,--version-script={}", folder.path("dep.map").display());
        let source = "int dep(void){return 1;} int dep2(void){return 2;}";
        folder.library("libdep.so.1", source, &["-Wl,-soname,libdep.so.1", &map]);
        let source = "int dep(void); int dep2(void) __attribute__((weak));
            int top(void){return dep() + dep2();}";
        let dep = folder.path("libdep.so.1");
        folder.library(
            "libtop.so",
            source,
            &[
                "-Wl,-soname,libtop.so.7",
                "-Wl,-rpath,$ORIGIN/../lib:/opt",
                "-Wl,--disable-new-dtags",
                "-Wl,-z,nodefaultlib",
                dep.to_str().unwrap(),
            ],
        );
    }

    #[test]
    fn names_paths_flags_and_versions_are_read_from_a_stripped_library() {
        let folder = Folder::new("sample");
        sample(&folder);
        let top = read(&open(&folder, "libtop.so")).unwrap();
        assert_eq!(top.identity.arch(), Some(arch()));
        assert_eq!(top.identity.kind, Kind::SharedObject);
        assert_eq!(top.soname.as_deref().and_then(|name| name.to_str()), Some("libtop.so.7"));
        assert_eq!(top.needed, ["libdep.so.1"]);
        assert_eq!(
            top.rpath.as_deref().and_then(|name| name.to_str()),
            Some("$ORIGIN/../lib:/opt")
        );
        assert_eq!(top.runpath, None);
        assert!(top.skips_default_folders());
        assert!(top.has_dynamic_section && !top.is_static_program());
        let required = |version: &str, weak| RequiredVersion {
            file: "libdep.so.1".into(),
            version: version.into(),
            weak,
        };
        assert!(top.required_versions.contains(&required("LIBDEP_1.0", false)));
        assert!(top.required_versions.iter().any(|one| one.version == "LIBDEP_1.10"));
        let dep = read(&open(&folder, "libdep.so.1")).unwrap();
        assert_eq!(dep.defined_versions, ["LIBDEP_1.0", "LIBDEP_1.10"]);
    }

    #[test]
    fn this_test_program_names_its_loader_and_a_static_one_names_none() {
        let own = read(&File::open(std::env::current_exe().unwrap()).unwrap()).unwrap();
        let asked = own.interpreter.clone().unwrap();
        assert!(std::path::Path::new(&asked).exists(), "{asked}");
        assert!(own.needed.iter().any(|name| name.as_encoded_bytes().starts_with(b"libc.")));
        assert!(!own.is_static_program());

        let folder = Folder::new("static");
        compile("void _start(void){}", &folder.path("static"), &["-static", "-nostdlib"]);
        let object = read(&open(&folder, "static")).unwrap();
        assert!(object.is_static_program() && !object.has_dynamic_section);
    }

    #[test]
    fn a_file_cut_at_any_byte_is_an_error_and_so_is_what_is_no_elf_file() {
        let folder = Folder::new("cut");
        sample(&folder);
        let file = open(&folder, "libtop.so");
        let mut windows = Windows::default();
        let image = Image::open(&file, &mut windows).unwrap();
        let loaded = |segment: &&Segment| segment.kind == 1;
        let end = image.segments.iter().filter(loaded).map(|one| one.offset + one.size).max();
        let end = end.unwrap();
        drop(image);
        for length in (0..end).rev() {
            file.set_len(length).unwrap();
            assert!(read(&file).is_err(), "{length}");
        }
        assert!(matches!(read(&file), Err(ElfError::Empty)));
        file.write_all_at(b"#!/bin/sh\n", 0).unwrap();
        assert!(matches!(read(&file), Err(ElfError::NotElf)));
    }

    #[test]
    fn a_sparse_file_of_ten_gibibytes_costs_neither_time_nor_memory() {
        let folder = Folder::new("sparse");
        sample(&folder);
        let file = open(&folder, "libtop.so");
        let small = read(&file).unwrap();
        file.set_len(10 << 30).unwrap();
        assert_eq!(read(&file).unwrap(), small);
        folder.write("zeros", "");
        let zeros = open(&folder, "zeros");
        zeros.set_len(10 << 30).unwrap();
        assert!(matches!(read(&zeros), Err(ElfError::NotElf)));
    }

    /// A 32-bit big-endian file, written out by hand: header, PT_LOAD, PT_DYNAMIC, dynamic
    /// section, strings.
    fn big_endian() -> Vec<u8> {
        let mut bytes = vec![0; 256];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, b"\x7fELF\x01\x02\x01");
        put(16, &[0, 3, 0, 8]);
        put(28, &52u32.to_be_bytes());
        put(42, &[0, 32, 0, 2]);
        for (at, word) in [
            (52, 1u32),
            (56, 0),
            (60, 0x1000),
            (68, 256),
            (84, 2),
            (88, 128),
            (92, 0x1080),
            (100, 40),
            (128, 1),
            (132, 1),
            (136, 5),
            (140, 0x10c0),
            (144, 10),
            (148, 16),
            (152, 14),
            (156, 8),
        ] {
            put(at, &word.to_be_bytes());
        }
        put(192, b"\0libx.1\0liby.2\0");
        bytes
    }

    #[test]
    fn a_32_bit_big_endian_file_is_read_like_any_other() {
        let folder = Folder::new("mips");
        folder.write("lib", big_endian());
        let object = read(&open(&folder, "lib")).unwrap();
        assert_eq!((object.identity.class, object.identity.endian), (Class::Bits32, Endian::Big));
        assert_eq!(object.identity.to_string(), "mips (32-bit big-endian)");
        assert_eq!(object.identity.arch(), None);
        assert!(object.identity.runs_on(Arch::Amd64).is_err());
        assert_eq!(object.needed, ["libx.1"]);
        assert_eq!(object.soname.as_deref().and_then(|name| name.to_str()), Some("liby.2"));
    }

    #[test]
    fn absurd_offsets_and_counts_say_what_is_wrong() {
        let folder = Folder::new("absurd");
        for (at, word, expected) in [
            (28, u32::MAX, "the table of program headers ends at byte"),
            (44, 0xffff_0000, "the number of program headers (e_phnum) is 65535"),
            (56, 0xffff_ff00, "a loaded segment ends at byte"),
            (92, 0x9000_0000, "the dynamic section at address 0x90000000 is in no segment"),
            (100, u32::MAX, "the number of dynamic entries goes over"),
            (140, 4, "the string table at address 0x4 is in no segment"),
            (132, 16, "the name of a needed file (DT_NEEDED) ends at byte"),
            (148, 4, "the name of a needed file (DT_NEEDED) ends at byte"),
        ] {
            let mut bytes = big_endian();
            bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
            folder.write("lib", bytes);
            let error = read(&open(&folder, "lib")).unwrap_err().to_string();
            assert!(error.contains(expected), "{at}: {error}");
        }
    }

    #[test]
    fn a_long_name_that_is_needed_many_times_over_does_not_multiply() {
        let folder = Folder::new("multiplied");
        let mut bytes = big_endian();
        let mut put = |at: usize, word: u32| {
            bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
        };
        // DT_VERNEED at 256, right behind the strings, which now reach to the end of the file.
        for (at, word) in [(68, 80_000), (100, 56), (148, 70_000)] {
            put(at, word);
        }
        for (at, word) in
            [(160, 0x6fff_fffe), (164, 0x1100), (168, 0x6fff_ffff), (172, 1), (176, 0)]
        {
            put(at, word);
        }
        let entries: u32 = 100;
        let name = 16 + 16 * entries + 64;
        let mut add = |word: u32| bytes.extend(word.to_be_bytes());
        [0x0001_0000 + entries, name, 16, 0].into_iter().for_each(&mut add);
        for _ in 0..entries {
            [0, 0, 1, 16].into_iter().for_each(&mut add);
        }
        bytes.resize(bytes.len() + 60_000, b'x');
        bytes.resize(80_000, 0);
        folder.write("lib", bytes);
        let error = read(&open(&folder, "lib")).unwrap_err();
        assert!(
            matches!(error, ElfError::TooLarge { what: "the length of all names", .. }),
            "{error}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_behind_the_magic_are_read_or_refused(bytes: Vec<u8>, class in 0u8..4, data in 0u8..4) {
            let folder = Folder::new("any");
            let mut file = b"\x7fELF".to_vec();
            file.extend([class, data]);
            file.extend(bytes);
            folder.write("lib", file);
            let _ = read(&open(&folder, "lib"));
        }

        #[test]
        fn a_changed_file_is_read_or_refused(
            changes in proptest::collection::vec((0usize..256, any::<u8>()), 1..12),
        ) {
            let folder = Folder::new("changed");
            let mut bytes = big_endian();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            folder.write("lib", bytes);
            if let Ok(object) = read(&open(&folder, "lib")) {
                prop_assert!(object.weight() < 1 << 20);
            }
        }
    }
}
