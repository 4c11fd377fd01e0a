//! The GNU property note: which level of the x86-64 instruction set a file says it needs
//! (x86-64 psABI, 5.1.1, `GNU_PROPERTY_X86_ISA_1_NEEDED`; gABI, "Note Section").

use std::fs::File;

use super::image::Image;
use super::{ElfError, Machine};

/// PT_GNU_PROPERTY.
const SEGMENT: u32 = 0x6474_e553;
/// NT_GNU_PROPERTY_TYPE_0.
const PROPERTIES: u32 = 5;
/// GNU_PROPERTY_X86_ISA_1_NEEDED.
const ISA_NEEDED: u32 = 0xc000_8002;
const X86_64: Machine = Machine(62);
/// Real notes have some 64 bytes.
const MOST_BYTES: u64 = 4096;

/// The x86-64 level 1 to 4 that the file asks for; `None` where it asks for none, or is for
/// another processor.
pub fn x86_64_level(file: &File) -> Result<Option<u8>, ElfError> {
    let mut image = Image::open(file)?;
    let Some(segment) = image.segment(SEGMENT).filter(|_| image.identity.machine == X86_64) else {
        return Ok(None);
    };
    let size = segment.size.min(MOST_BYTES) as usize;
    let align = if image.wide() { 8 } else { 4 };
    let note = image.table(segment.offset, size, "the property note")?;
    Ok(needed(|at| note.u32(at), size, align).and_then(level))
}

/// Walks the properties of a note: type, size, data, padding.
fn needed(word: impl Fn(usize) -> Option<u32>, size: usize, align: usize) -> Option<u32> {
    let (name, descriptor, kind) = (word(0)?, word(4)?, word(8)?);
    if (name, kind) != (4, PROPERTIES) {
        return None;
    }
    // The header has 12 bytes, the name `GNU` and its NUL 4.
    let end = 16_usize.checked_add(descriptor as usize)?.min(size);
    let mut at = 16;
    while at + 8 <= end {
        if word(at)? == ISA_NEEDED {
            return word(at + 8);
        }
        let data = (word(at + 4)? as usize).checked_next_multiple_of(align)?;
        at = at.checked_add(8)?.checked_add(data)?;
    }
    None
}

/// The highest level of a bit set: bit 0 is the baseline, bit 3 is version 4.
fn level(bits: u32) -> Option<u8> {
    (1..=4).rev().find(|level| bits >> (level - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn note(words: &[u32]) -> Option<u8> {
        let word = |at: usize| words.get(at / 4).copied().filter(|_| at.is_multiple_of(4));
        needed(word, words.len() * 4, 8).and_then(level)
    }

    #[test]
    fn the_highest_level_of_the_note_counts() {
        let gnu = 0x0055_4e47;
        assert_eq!(note(&[4, 32, 5, gnu, 0xc000_0002, 4, 3, 0, ISA_NEEDED, 4, 0b101, 0]), Some(3));
        assert_eq!(note(&[4, 16, 5, gnu, ISA_NEEDED, 4, 0b1000, 0]), Some(4));
        assert_eq!(note(&[4, 16, 5, gnu, ISA_NEEDED, 4, 0, 0]), None);
        assert_eq!(note(&[4, 16, 5, gnu, 0xc000_0002, 4, 3, 0]), None);
        assert_eq!(note(&[4, 16, 3, gnu, ISA_NEEDED, 4, 1, 0]), None);
    }

    proptest! {
        #[test]
        fn any_note_ends(words in proptest::collection::vec(any::<u32>(), 0..64)) {
            let level = note(&words);
            prop_assert!(level.is_none_or(|level| (1..=4).contains(&level)));
        }
    }
}
