//! What the machine and the root filesystem are: architecture, emulation, kernel, limits.

pub mod arch;
pub mod root;

pub use arch::Arch;
pub use root::Root;
