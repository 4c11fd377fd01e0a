//! The command line where the system is not Linux: mak's alone.

#[cfg(feature = "mak")]
pub mod mak;
