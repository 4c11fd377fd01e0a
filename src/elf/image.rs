//! An ELF file seen through its segments: bytes and strings at virtual addresses.
//!
//! Two windows of [`WINDOW`] bytes are held, one for tables and one for strings, so that neither
//! a string table of 100 MiB nor a sparse file costs memory. The first one begins as the start of
//! the file, where the headers are and mostly the notes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::ElfError;
use super::bytes::Bytes;
use super::identity::{Class, Endian, HEADER, Identity, header_of, read_up_to};
use crate::platform::Contents;

/// Bytes held of each of the two regions being read.
const WINDOW: usize = 8 * 1024;
/// The longest string that is read; the kernel's longest path is 4096, RUNPATHs hold several.
const LONGEST_STRING: usize = 64 * 1024;
/// Bytes of all strings together that one file may hand out.
const MOST_STRING_BYTES: usize = 1024 * 1024;
/// Bytes of program headers, the limit that Linux sets (`load_elf_phdrs`, fs/binfmt_elf.c).
const MOST_PROGRAM_HEADER_BYTES: usize = 64 * 1024;

/// A program header, as far as it matters here.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub kind: u32,
    pub offset: u64,
    pub address: u64,
    pub size: u64,
    pub alignment: u64,
}

/// PT_LOAD.
pub(super) const LOAD: u32 = 1;

pub(super) struct Image<'f> {
    pub identity: Identity,
    pub segments: Vec<Segment>,
    file: &'f dyn Contents,
    length: u64,
    windows: &'f mut Windows,
    string_bytes: usize,
}

/// What is held of a file; of the caller's, on its stack: thousands of files are looked at, each
/// for a moment.
#[derive(Default)]
pub(super) struct Windows {
    tables: Window,
    strings: Window,
}

/// A stretch of the file held in memory: a window, or in the rare case of a very long string more.
struct Window {
    offset: u64,
    filled: usize,
    bytes: [u8; WINDOW],
    long: Vec<u8>,
}

impl Default for Window {
    fn default() -> Window {
        Window { offset: 0, filled: 0, bytes: [0; WINDOW], long: Vec::new() }
    }
}

impl Window {
    /// The held bytes from `offset` on; empty where it lies outside.
    fn from(&self, offset: u64) -> &[u8] {
        let all = if self.long.is_empty() { self.bytes.as_slice() } else { &self.long };
        let held = all.get(..self.filled).unwrap_or_default();
        let skip = offset.checked_sub(self.offset).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| held.get(skip..)).unwrap_or_default()
    }

    /// `length`: of the file, as far as it is known.
    fn fill(
        &mut self,
        file: &dyn Contents,
        offset: u64,
        size: usize,
        length: u64,
    ) -> std::io::Result<()> {
        self.filled = 0;
        self.offset = offset;
        self.long = if size > WINDOW { vec![0; size] } else { Vec::new() };
        let room = if size > WINDOW { self.long.as_mut_slice() } else { &mut self.bytes };
        // No call that would only say that this is the end.
        let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let most = room.len().min(left);
        let room = room.get_mut(..most).unwrap_or_default();
        self.filled = read_up_to(file, room, offset)?;
        Ok(())
    }
}

impl<'f> Image<'f> {
    /// Reads the file header and the program headers, and checks that the segments that are to be
    /// loaded lie inside the file.
    pub fn open(file: &'f dyn Contents, windows: &'f mut Windows) -> Result<Image<'f>, ElfError> {
        let length = file.length()?;
        windows.tables.fill(file, 0, WINDOW, length)?;
        let start = windows.tables.from(0);
        let (identity, header) = header_of(start)?;
        let segments = segments(file, start, &identity, &header, length)?;
        for segment in segments.iter().filter(|segment| segment.kind == LOAD) {
            inside(segment.offset, segment.size, length, "a loaded segment")?;
        }
        Ok(Image { identity, segments, file, length, windows, string_bytes: 0 })
    }

    pub fn segment(&self, kind: u32) -> Option<Segment> {
        self.segments.iter().copied().find(|segment| segment.kind == kind)
    }

    pub fn wide(&self) -> bool {
        self.identity.class == Class::Bits64
    }

    /// `size` bytes (at most [`WINDOW`]) at the file offset `offset`.
    pub fn table(
        &mut self,
        offset: u64,
        size: usize,
        what: &'static str,
    ) -> Result<Bytes<'_>, ElfError> {
        inside(offset, size as u64, self.length, what)?;
        let tables = &mut self.windows.tables;
        if tables.from(offset).len() < size {
            tables.fill(self.file, offset, WINDOW, self.length)?;
        }
        let held = tables.from(offset);
        let bytes = held.get(..size).ok_or(ElfError::Truncated {
            what,
            end: offset.saturating_add(size as u64),
            length: self.length,
        })?;
        Ok(Bytes { bytes, endian: self.identity.endian })
    }

    /// The zero-terminated string at the file offset `offset`, up to `end`, as text: bytes that
    /// are not UTF-8 are replaced.
    pub fn string(
        &mut self,
        offset: u64,
        end: u64,
        what: &'static str,
    ) -> Result<String, ElfError> {
        Ok(String::from_utf8_lossy(self.bytes(offset, end, what)?).into_owned())
    }

    /// The same as the name of a file, which may have any bytes.
    pub fn name(
        &mut self,
        offset: u64,
        end: u64,
        what: &'static str,
    ) -> Result<OsString, ElfError> {
        Ok(OsString::from_vec(self.bytes(offset, end, what)?.to_vec()))
    }

    fn bytes(&mut self, offset: u64, end: u64, what: &'static str) -> Result<&[u8], ElfError> {
        let room = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let room = room.min(LONGEST_STRING);
        let mut found = self.string_length(offset, room);
        for size in [WINDOW, LONGEST_STRING] {
            if found.is_none() {
                self.windows.strings.fill(self.file, offset, size, self.length)?;
                found = self.string_length(offset, room);
            }
        }
        match found {
            Some(length) => {
                self.count(length)?;
                Ok(&self.windows.strings.from(offset)[..length])
            }
            None if room == LONGEST_STRING && self.windows.strings.from(offset).len() >= room => {
                Err(ElfError::TooLarge { what, limit: LONGEST_STRING as u64 })
            }
            None => Err(ElfError::Truncated { what, end: end.max(offset), length: self.length }),
        }
    }

    fn string_length(&self, offset: u64, room: usize) -> Option<usize> {
        let held = self.windows.strings.from(offset);
        held[..held.len().min(room)].iter().position(|&byte| byte == 0)
    }

    /// Where in the file the byte at a virtual address is.
    pub fn offset_of(&self, address: u64, what: &'static str) -> Result<u64, ElfError> {
        let covers = |segment: &&Segment| {
            segment.kind == LOAD
                && address.checked_sub(segment.address).is_some_and(|skip| skip < segment.size)
        };
        let segment =
            self.segments.iter().find(covers).ok_or(ElfError::Unmapped { what, address })?;
        segment
            .offset
            .checked_add(address - segment.address)
            .ok_or(ElfError::Unmapped { what, address })
    }

    /// A string that is handed out counts, and each copy of it.
    pub fn counted(&mut self, text: String) -> Result<String, ElfError> {
        self.count(text.len())?;
        Ok(text)
    }

    fn count(&mut self, bytes: usize) -> Result<(), ElfError> {
        self.string_bytes += bytes;
        if self.string_bytes > MOST_STRING_BYTES {
            let limit = MOST_STRING_BYTES as u64;
            return Err(ElfError::TooLarge { what: "the length of all names", limit });
        }
        Ok(())
    }
}

fn inside(offset: u64, size: u64, length: u64, what: &'static str) -> Result<(), ElfError> {
    let end = offset.saturating_add(size);
    if end > length { Err(ElfError::Truncated { what, end, length }) } else { Ok(()) }
}

/// Offsets of the fields that matter in one program header of each class (gABI, chapter 5).
struct Layout {
    entry: usize,
    offset: usize,
    address: usize,
    size: usize,
    alignment: usize,
}

const LAYOUT_32: Layout = Layout { entry: 32, offset: 4, address: 8, size: 16, alignment: 28 };
const LAYOUT_64: Layout = Layout { entry: 56, offset: 8, address: 16, size: 32, alignment: 48 };

/// `beginning`: what is held of the file's start.
fn segments(
    file: &dyn Contents,
    beginning: &[u8],
    identity: &Identity,
    header: &[u8; HEADER],
    length: u64,
) -> Result<Vec<Segment>, ElfError> {
    let wide = identity.class == Class::Bits64;
    let layout = if wide { LAYOUT_64 } else { LAYOUT_32 };
    let endian: Endian = identity.endian;
    let fields = Bytes { bytes: header, endian };
    let (start, sizes) = if wide { (32, 54) } else { (28, 42) };
    let (Some(start), Some(entry), Some(count)) =
        (fields.word(start, wide), fields.u16(sizes), fields.u16(sizes + 2))
    else {
        return Err(ElfError::NotElf);
    };
    if count == 0 {
        return Ok(Vec::new());
    }
    if usize::from(entry) != layout.entry {
        let what = "the size of a program header (e_phentsize)";
        return Err(ElfError::Invalid { what, value: entry.into() });
    }
    let size = layout.entry * usize::from(count);
    if size > MOST_PROGRAM_HEADER_BYTES {
        let what = "the number of program headers (e_phnum)";
        return Err(ElfError::Invalid { what, value: count.into() });
    }
    inside(start, size as u64, length, "the table of program headers")?;
    let mut bytes = Vec::new();
    let held = usize::try_from(start).ok().and_then(|start| beginning.get(start..)?.get(..size));
    let held = match held {
        Some(held) => held,
        None => {
            bytes.resize(size, 0);
            let got = read_up_to(file, &mut bytes, start)?;
            bytes.get(..got).unwrap_or_default()
        }
    };
    let table = Bytes { bytes: held, endian };
    let at = |index: usize| {
        let base = index * layout.entry;
        Some(Segment {
            kind: table.u32(base)?,
            offset: table.word(base + layout.offset, wide)?,
            address: table.word(base + layout.address, wide)?,
            size: table.word(base + layout.size, wide)?,
            alignment: table.word(base + layout.alignment, wide)?,
        })
    };
    (0..usize::from(count)).map(at).collect::<Option<Vec<_>>>().ok_or(ElfError::Truncated {
        what: "the table of program headers",
        end: start.saturating_add(size as u64),
        length,
    })
}
