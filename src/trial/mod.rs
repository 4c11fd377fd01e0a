//! `mak image test`: runs an image and finds out whether it starts, answers and stops. Seven
//! categories, and what the image's profile asks for, for each platform; each is judged by itself,
//! and one that fails is not outweighed by others.

pub mod container;
pub mod http;
pub mod judge;
pub mod program;
pub mod report;
pub mod run;

use std::path::PathBuf;
use std::time::Duration;

use crate::build::Platforms;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The image, as the engine knows it.
    pub image: String,
    /// On which platforms.
    pub platforms: Platforms,
    /// The container's name; the architecture is put behind it.
    pub name: String,
    /// The port in the container; else the lowest that the image exposes, else 8000.
    pub port: Option<u16>,
    /// How long an answer may take to come: from the start, and of each program run inside.
    pub timeout: Duration,
    /// How long it has to stay up before it counts as started, unless it answers before.
    pub start_wait: Duration,
    /// How often an answer over the network is asked for.
    pub retries: u32,
    /// Leaves out what takes long: the full verification and the imports.
    pub quick: bool,
    /// Whether the container is removed at the end.
    pub cleanup: bool,
    /// Says each step.
    pub verbose: bool,
    /// Whether an image that is not here is fetched.
    pub pull: bool,
    /// The folder with `linux_ARCH/mak-init`.
    pub binaries: PathBuf,
    /// The profile; else what the image names.
    pub profile: Option<String>,
    /// Options for `docker create`: `--read-only`, `--env=A=B`.
    pub options: Vec<String>,
    /// What it may use.
    pub limits: Limits,
}

/// What a container may use when nobody asks anything of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Percent of one processor.
    pub processor: f64,
}

impl Default for Limits {
    /// A Python service with IPFS Kit's dependencies uses a tenth of each.
    fn default() -> Limits {
        Limits { memory: 512 << 20, processes: 256, processor: 80.0 }
    }
}
