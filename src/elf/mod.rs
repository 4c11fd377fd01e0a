//! ELF files, as far as a loader looks at them: which machine they are for, what they need and
//! what they offer. `loader` and `python` call this for every shared object they meet.
//!
//! Everything is found through program headers, as the loader does: section headers may be
//! stripped or wrong. The structures are those of the gABI (System V ABI, chapters 4 and 5) and
//! of the LSB for symbol versions.

mod bytes;
mod error;
mod identity;
mod image;
mod object;
mod property;
mod symbols;
mod versions;

pub use error::ElfError;
pub(crate) use identity::endian_of;
pub use identity::{Class, Endian, Identity, Kind, Machine, Mismatch, identify};
pub use object::{Object, read};
pub use property::{Property, x86_64_level};
pub use symbols::exports;
pub use versions::RequiredVersion;
