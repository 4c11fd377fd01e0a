//! The library behind `mak-init`, the first process of a container.
//!
//! Dependencies point downwards only:
//! `cli → {death, init, verify, health, deps} → {loader, python, directories} → {elf, platform} → config`.
//! The whole picture is in `docs/architecture.md`.

#[cfg(feature = "mak")]
pub mod build;
pub mod cli;
pub mod config;
pub mod death;
#[cfg(feature = "mak")]
pub mod deps;
pub mod directories;
pub mod elf;
#[cfg(feature = "mak")]
pub mod engine;
pub mod health;
#[cfg(feature = "mak")]
pub mod image;
pub mod init;
pub mod loader;
pub mod platform;
pub mod python;
#[cfg(feature = "mak")]
pub mod trial;
pub mod verify;
