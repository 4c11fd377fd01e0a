//! The library behind `mak-init`, the first process of a container.
//!
//! Dependencies point downwards only:
//! `cli → {death, init, verify, health, deps} → {loader, python, directories} → {elf, platform} → config`.
//! The whole picture is in `docs/architecture.md`.

#[cfg(feature = "mak")]
pub mod build;
#[cfg(target_os = "linux")]
pub mod cli;
// mak stays where images are built, which may be a Mac; mak-init is Linux's.
#[cfg(not(target_os = "linux"))]
#[path = "cli/elsewhere.rs"]
pub mod cli;
pub mod config;
#[cfg(target_os = "linux")]
pub mod death;
#[cfg(feature = "mak")]
pub mod deps;
#[cfg(target_os = "linux")]
pub mod directories;
pub mod elf;
#[cfg(feature = "mak")]
pub mod engine;
#[cfg(target_os = "linux")]
pub mod health;
#[cfg(feature = "mak")]
pub mod image;
#[cfg(target_os = "linux")]
pub mod init;
pub mod loader;
pub mod platform;
pub mod python;
#[cfg(feature = "mak")]
pub mod trial;
pub mod verify;
