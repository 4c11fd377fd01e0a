//! What can be wrong with an ELF file.

use std::fmt;
use std::io;

/// Why a file could not be read as ELF. The caller knows the path and puts it in front.
#[derive(Debug)]
pub enum ElfError {
    /// The file could not be read.
    Io(io::Error),
    /// The file is empty.
    Empty,
    /// The first bytes are not those of an ELF file.
    NotElf,
    /// The file ends before something that its headers announce.
    Truncated {
        /// What lies beyond the end.
        what: &'static str,
        /// Where it would end, in bytes from the start.
        end: u64,
        /// The file's length in bytes.
        length: u64,
    },
    /// A field holds a value that no valid file has.
    Invalid {
        /// The field or table.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// More entries or longer strings than this program reads.
    TooLarge {
        /// The table or string.
        what: &'static str,
        /// The most that is read.
        limit: u64,
    },
    /// An address that no segment of the file covers.
    Unmapped {
        /// What should be there.
        what: &'static str,
        /// The virtual address.
        address: u64,
    },
}

impl fmt::Display for ElfError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElfError::Io(error) => write!(out, "cannot be read: {error}"),
            ElfError::Empty => out.write_str("is an empty file"),
            ElfError::NotElf => out.write_str("is not an ELF file"),
            ElfError::Truncated { what, end, length } => {
                write!(out, "is cut short: {what} ends at byte {end}, the file has {length}")
            }
            ElfError::Invalid { what, value } => {
                write!(out, "is a broken ELF file: {what} is {value}")
            }
            ElfError::TooLarge { what, limit } => {
                write!(out, "is a broken ELF file: {what} goes over {limit}")
            }
            ElfError::Unmapped { what, address } => {
                write!(out, "is a broken ELF file: {what} at address {address:#x} is in no segment")
            }
        }
    }
}

impl std::error::Error for ElfError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ElfError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ElfError {
    fn from(error: io::Error) -> ElfError {
        ElfError::Io(error)
    }
}
