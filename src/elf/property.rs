//! The note `.note.gnu.property`, in which linkers say what the code of a file asks of the
//! processor (x86-64 psABI, "Program Property"; AArch64 ELF ABI, "Program Property").

use super::image::{Image, Windows};
use super::{ElfError, Machine};
use crate::platform::Contents;

const I386: Machine = Machine(3);
const X86_64: Machine = Machine(62);
const AARCH64: Machine = Machine(183);
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

/// The x86-64 level 1 to 4 that a file asks for; `None` where it asks for none, or is for another
/// processor.
pub fn x86_64_level(file: &dyn Contents) -> Result<Option<u8>, ElfError> {
    let mut windows = Windows::default();
    let mut image = Image::open(file, &mut windows)?;
    let level = read(&mut image).x86_level;
    Ok((image.identity.machine == X86_64 && level > 0).then_some(level))
}

fn walk(image: &mut Image<'_>) -> Option<Property> {
    let segment = image.segment(PT_GNU_PROPERTY)?;
    let machine = image.identity.machine;
    let align = if image.wide() { 8 } else { 4 };
    let size = segment.size.min(MOST_BYTES) as usize;
    let note = image.table(segment.offset, size, "the property note").ok()?;
    properties(|at| note.u32(at), size, align, machine)
}

/// Walks the properties of a note: type, size, data, padding.
fn properties(
    word: impl Fn(usize) -> Option<u32>,
    size: usize,
    align: usize,
    machine: Machine,
) -> Option<Property> {
    let (name, descriptor, kind) = (word(0)?, word(4)?, word(8)?);
    if (name, kind) != (4, NOTE) {
        return None;
    }
    // The header has 12 bytes, the name `GNU` and its NUL 4.
    let end = 16_usize.checked_add(descriptor as usize)?.min(size);
    let mut property = Property::default();
    let mut at = 16;
    while at + 8 <= end {
        let (kind, length) = (word(at)?, word(at + 4)? as usize);
        let value = if length >= 4 { word(at + 8)? } else { 0 };
        match (machine, kind) {
            (X86_64 | I386, X86_ISA_1_NEEDED) => property.x86_level = level(value),
            (AARCH64, AARCH64_FEATURE_1_AND) => {
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
    use proptest::prelude::*;

    fn note(words: &[u32], machine: Machine) -> Option<Property> {
        let word = |at: usize| words.get(at / 4).copied().filter(|_| at.is_multiple_of(4));
        properties(word, words.len() * 4, 8, machine)
    }

    #[test]
    fn the_properties_of_a_note_are_walked_and_another_note_has_none() {
        let level = |words: &[u32]| note(words, X86_64).map(|found| found.x86_level);
        let needed = X86_ISA_1_NEEDED;
        let gnu = 0x0055_4e47;
        assert_eq!(level(&[4, 32, 5, gnu, 0xc000_0002, 4, 3, 0, needed, 4, 0b101, 0]), Some(3));
        assert_eq!(level(&[4, 16, 5, gnu, needed, 4, 0b1000, 0]), Some(4));
        assert_eq!(level(&[4, 16, 5, gnu, 0xc000_0002, 4, 3, 0]), Some(0));
        assert_eq!(level(&[4, 16, 3, gnu, needed, 4, 1, 0]), None);
        let arm = note(&[4, 16, 5, gnu, AARCH64_FEATURE_1_AND, 4, 3, 0], AARCH64).unwrap();
        assert!(arm.bti && arm.pac && arm.x86_level == 0);
    }

    proptest! {
        #[test]
        fn any_note_ends(words in proptest::collection::vec(any::<u32>(), 0..64)) {
            let level = note(&words, X86_64).unwrap_or_default().x86_level;
            prop_assert!(level <= 4);
        }
    }

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
