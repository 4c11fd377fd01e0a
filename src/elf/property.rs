//! The note `.note.gnu.property`, in which linkers say what the code of a file asks of the
//! processor (x86-64 psABI, "Program Property"; AArch64 ELF ABI, "Program Property").

use super::Class;
use super::image::Image;

const PT_GNU_PROPERTY: u32 = 0x6474_e553;
/// NT_GNU_PROPERTY_TYPE_0.
const NOTE: u32 = 5;
const X86_ISA_1_NEEDED: u32 = 0xc000_8002;
const AARCH64_FEATURE_1_AND: u32 = 0xc000_0000;
/// Bytes of a note that is read; real ones have 32 to 96.
const MOST_BYTES: u64 = 4096;

/// What the note says; all zero where there is none, or none that can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Property {
    /// x86: the micro-architecture level 1 to 4 without which glibc refuses the file; 0 is
    /// "not said".
    pub x86_level: u8,
    /// aarch64: the code has landing pads for branch target identification. They are hints, which
    /// a processor without BTI takes as no-operation.
    pub bti: bool,
    /// aarch64: return addresses are signed, also with hints.
    pub pac: bool,
}

/// Reads the note of a file. A broken one is as none: loaders ignore it too.
pub(super) fn read(image: &mut Image<'_>) -> Property {
    walk(image).unwrap_or_default()
}

fn walk(image: &mut Image<'_>) -> Option<Property> {
    const WHAT: &str = "the property note";
    let segment = image.segment(PT_GNU_PROPERTY)?;
    let machine = image.identity.machine.0;
    let align: usize = if image.identity.class == Class::Bits64 { 8 } else { 4 };
    let size = usize::try_from(segment.size.min(MOST_BYTES)).ok()?;
    let bytes = image.table(segment.offset, size, WHAT).ok()?;
    // u32 length of the name, u32 length of the description, u32 type, "GNU\0".
    if bytes.u32(0)? != 4 || bytes.u32(8)? != NOTE || bytes.bytes.get(12..16)? != b"GNU\0" {
        return None;
    }
    let end = 16usize.checked_add(bytes.u32(4)? as usize)?.min(size);
    let mut property = Property::default();
    let mut at = 16;
    while at + 8 <= end {
        let (kind, length) = (bytes.u32(at)?, bytes.u32(at + 4)? as usize);
        let value = if length >= 4 { bytes.u32(at + 8).unwrap_or(0) } else { 0 };
        match (machine, kind) {
            (3 | 62, X86_ISA_1_NEEDED) => property.x86_level = level(value),
            (183, AARCH64_FEATURE_1_AND) => {
                property.bti = value & 1 != 0;
                property.pac = value & 2 != 0;
            }
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(length.checked_next_multiple_of(align)?)?;
    }
    Some(property)
}

/// The highest of the bits baseline 1, v2 2, v3 4, v4 8; others name no level.
fn level(bits: u32) -> u8 {
    let known = bits & 0xf;
    (u32::BITS - known.leading_zeros()) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bit_is_the_level() {
        for (bits, expected) in [(0, 0), (1, 1), (2, 2), (5, 3), (0xf, 4), (0x10, 0)] {
            assert_eq!(level(bits), expected, "{bits:#x}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_level_that_the_linker_was_told_is_read() {
        use crate::loader::fixture::Folder;
        let folder = Folder::new("property");
        for (option, expected) in
            [("-Wl,-z,x86-64-v3", 3), ("-Wl,-z,x86-64-v4", 4), ("-Wl,-z,x86-64-baseline", 1)]
        {
            folder.library("liba.so", "int a;", &[option]);
            let file = std::fs::File::open(folder.path("liba.so")).unwrap();
            assert_eq!(crate::elf::read(&file).unwrap().property.x86_level, expected, "{option}");
        }
    }
}
