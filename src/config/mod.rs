//! Configuration: file, environment and flags become plain data. Nothing here starts anything,
//! and nothing outside `/etc/mak-init` and the named file is read.
//!
//! `setting` is the one table of settings, `workload` what its last part holds; `check` is what
//! health looks at; `document` reads TOML with every error placed; `profile` is the data a profile
//! holds, `package` its part for build hosts; `resolve` lays the layers over each other.

pub mod catalogue;
pub mod check;
pub mod demand;
pub mod document;
pub mod env_file;
#[cfg(feature = "mak")]
pub mod package;
pub mod profile;
pub mod resolve;
pub mod setting;
pub mod signal;
pub mod suggest;
pub mod word;
pub mod workload;

pub use check::CheckEntry;
pub use demand::{Emulated, PlatformEntry};
pub use profile::{Profile, Severity};
pub use resolve::{Effective, Request, resolve};
pub use setting::{LogFormat, LogLevel, Mode, Origin, Policy, Values};
pub use signal::Signal;

use std::fmt;

/// Where programs are looked for where the environment has no PATH.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why there is no configuration to go on with.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Something typed, or an environment variable: exit code 64.
    Usage(String),
    /// A file: exit code 78. One entry for each problem, with path, line and column.
    File(Vec<String>),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Usage(text) => out.write_str(text),
            ConfigError::File(problems) => out.write_str(&problems.join("\n")),
        }
    }
}

impl std::error::Error for ConfigError {}
