//! Symbol versions: which ones a file needs from which other file, and which ones it defines.
//!
//! Both tables are lists linked by relative offsets (LSB Core, "Symbol Versioning"), and entries
//! of a broken file may overlap, so that a small file announces very many: steps are bounded.

use std::ffi::OsString;

use super::ElfError;
use super::image::Image;

/// Steps through one table, auxiliary entries included. libstdc++ defines about 60 versions.
const MOST_STEPS: usize = 16 * 1024;
/// VER_FLG_BASE: the entry that names the file itself.
const BASE: u16 = 1;
/// VER_FLG_WEAK: only weak symbols have this version, the loader does not insist on it.
const WEAK: u16 = 2;

/// A version that a file needs another one to define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredVersion {
    /// The soname of the file that has to define it.
    pub file: String,
    /// The version, as `GLIBC_2.34`.
    pub version: String,
    /// Whether it is needed for weak symbols only, so that its absence is no error.
    pub weak: bool,
}

/// A string table: file offsets of its start and its end.
#[derive(Clone, Copy)]
pub(super) struct Strings {
    pub start: u64,
    pub end: u64,
}

impl Strings {
    /// The string `index` bytes into the table.
    pub fn get(
        self,
        image: &mut Image<'_>,
        index: u64,
        what: &'static str,
    ) -> Result<String, ElfError> {
        let offset = self.offset(index, what)?;
        image.string(offset, self.end, what)
    }

    /// The same as the name of a file.
    pub fn name(
        self,
        image: &mut Image<'_>,
        index: u64,
        what: &'static str,
    ) -> Result<OsString, ElfError> {
        let offset = self.offset(index, what)?;
        image.name(offset, self.end, what)
    }

    fn offset(self, index: u64, what: &'static str) -> Result<u64, ElfError> {
        let offset = self.start.saturating_add(index);
        if offset >= self.end {
            let end = offset.saturating_add(1);
            return Err(ElfError::Truncated { what, end, length: self.end });
        }
        Ok(offset)
    }
}

/// Counts steps down to an error.
struct Steps(usize);

impl Steps {
    fn take(&mut self) -> Result<(), ElfError> {
        let limit = MOST_STEPS as u64;
        self.0 =
            self.0.checked_sub(1).ok_or(ElfError::TooLarge { what: "a version table", limit })?;
        Ok(())
    }
}

/// Walks DT_VERNEED, `count` entries (DT_VERNEEDNUM) from the virtual address `address`.
pub(super) fn required(
    image: &mut Image<'_>,
    address: u64,
    count: u64,
    strings: Strings,
) -> Result<Vec<RequiredVersion>, ElfError> {
    const WHAT: &str = "the table of needed versions";
    let mut found = Vec::new();
    let mut steps = Steps(MOST_STEPS);
    let mut entry = image.offset_of(address, WHAT)?;
    for _ in 0..count {
        steps.take()?;
        // Verneed: u16 version, u16 count, u32 file, u32 aux, u32 next.
        let fields = image.table(entry, 16, WHAT)?;
        let (count, file, aux, next) =
            (fields.u16(2), fields.u32(4), fields.u32(8), fields.u32(12));
        let (Some(count), Some(file), Some(aux), Some(next)) = (count, file, aux, next) else {
            break;
        };
        let file = strings.get(image, file.into(), "the file of a needed version")?;
        let mut at = entry.saturating_add(aux.into());
        for _ in 0..count {
            steps.take()?;
            // Vernaux: u32 hash, u16 flags, u16 other, u32 name, u32 next.
            let fields = image.table(at, 16, WHAT)?;
            let (Some(flags), Some(name), Some(next)) =
                (fields.u16(4), fields.u32(8), fields.u32(12))
            else {
                break;
            };
            let version = strings.get(image, name.into(), "the name of a needed version")?;
            let weak = flags & WEAK != 0;
            let file = image.counted(file.clone())?;
            found.push(RequiredVersion { file, version, weak });
            if next == 0 {
                break;
            }
            at = at.saturating_add(next.into());
        }
        if next == 0 {
            break;
        }
        entry = entry.saturating_add(next.into());
    }
    Ok(found)
}

/// Walks DT_VERDEF, `count` entries (DT_VERDEFNUM) from the virtual address `address`. The entry
/// that names the file itself is left out.
pub(super) fn defined(
    image: &mut Image<'_>,
    address: u64,
    count: u64,
    strings: Strings,
) -> Result<Vec<String>, ElfError> {
    const WHAT: &str = "the table of defined versions";
    let mut found = Vec::new();
    let mut steps = Steps(MOST_STEPS);
    let mut entry = image.offset_of(address, WHAT)?;
    for _ in 0..count {
        steps.take()?;
        // Verdef: u16 version, u16 flags, u16 index, u16 count, u32 hash, u32 aux, u32 next.
        let fields = image.table(entry, 20, WHAT)?;
        let (Some(flags), Some(aux), Some(next)) = (fields.u16(2), fields.u32(12), fields.u32(16))
        else {
            break;
        };
        if flags & BASE == 0 {
            // Verdaux: u32 name, u32 next; the first is the version, the others its parents.
            let fields = image.table(entry.saturating_add(aux.into()), 8, WHAT)?;
            let name = fields.u32(0).unwrap_or(0);
            found.push(strings.get(image, name.into(), "the name of a defined version")?);
        }
        if next == 0 {
            break;
        }
        entry = entry.saturating_add(next.into());
    }
    Ok(found)
}
