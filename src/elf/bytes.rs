//! Numbers out of foreign bytes, in either byte order. A read outside the slice is `None`.

use super::identity::Endian;

/// A slice with the byte order of the file it is from.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a> {
    pub bytes: &'a [u8],
    pub endian: Endian,
}

impl Bytes<'_> {
    pub fn u16(&self, at: usize) -> Option<u16> {
        let raw = self.take::<2>(at)?;
        Some(match self.endian {
            Endian::Little => u16::from_le_bytes(raw),
            Endian::Big => u16::from_be_bytes(raw),
        })
    }

    pub fn u32(&self, at: usize) -> Option<u32> {
        let raw = self.take::<4>(at)?;
        Some(match self.endian {
            Endian::Little => u32::from_le_bytes(raw),
            Endian::Big => u32::from_be_bytes(raw),
        })
    }

    pub fn u64(&self, at: usize) -> Option<u64> {
        let raw = self.take::<8>(at)?;
        Some(match self.endian {
            Endian::Little => u64::from_le_bytes(raw),
            Endian::Big => u64::from_be_bytes(raw),
        })
    }

    /// A field that is as wide as an address of the file's class.
    pub fn word(&self, at: usize, wide: bool) -> Option<u64> {
        if wide { self.u64(at) } else { self.u32(at).map(u64::from) }
    }

    fn take<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }
}
