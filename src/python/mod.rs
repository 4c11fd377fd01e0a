//! The Python side of an image, read from its files: no interpreter is ever started.
//!
//! `verify` calls from the top: [`interpreter::find`] says which Python would run and where it
//! looks for packages, [`distribution::Installed`] lists what is there, [`requirement_file`] and
//! [`requirement`] read what is wanted, and [`closure::check`] compares the two. [`record`],
//! [`wheel_tag`] and [`extension`] look at what a distribution brought along, and
//! [`entry_module`] at whether `python -m` would find the workload; [`content`] compares hashes.

pub mod closure;
pub mod content;
pub mod direct_url;
pub mod distribution;
pub mod entry_module;
pub mod extension;
pub mod interpreter;
pub mod marker;
pub mod metadata;
pub mod name;
pub mod pth;
pub mod pyproject;
pub mod pyvenv;
pub mod record;
pub mod requirement;
pub mod requirement_file;
pub mod scan;
pub mod site;
pub mod sysconfig;
#[cfg(test)]
mod tree;
pub mod version;
pub mod wheel_tag;
