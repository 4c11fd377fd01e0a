//! `mak build`: from Dockerfiles to images that have been looked into. What was asked for
//! (`Request`) becomes a list of steps (`plan`), which are shown (`--dry-run`) or taken (`run`).

pub mod builder;
pub mod dockerfile;
pub mod hook;
pub mod lint;
pub mod plan;
pub mod platforms;
pub mod run;
pub mod tags;
pub mod transfer;

use std::path::PathBuf;

pub use platforms::Platforms;

/// What becomes of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The engine's own store.
    Load,
    /// A registry, under every name.
    Push,
    /// An archive for transfer, with its checksum beside it.
    File(PathBuf),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The image's name with its registry, without a tag.
    pub image: String,
    /// The tags of the image, and those of each of its platforms.
    pub names: tags::Names,
    /// The Dockerfiles, one at least.
    pub files: Vec<String>,
    /// The build context.
    pub context: String,
    /// The targets; none is the Dockerfile's last stage.
    pub targets: Vec<String>,
    /// `NAME=VALUE`, as they were given.
    pub build_args: Vec<String>,
    /// `NAME=PATH`.
    pub build_contexts: Vec<String>,
    /// What to build for.
    pub platforms: Platforms,
    /// Builds everything anew.
    pub no_cache: bool,
    /// Where layers may come from.
    pub cache_from: Vec<String>,
    /// Where layers are kept.
    pub cache_to: Vec<String>,
    /// What becomes of it.
    pub destination: Destination,
    /// The builder, if not the engine's own.
    pub builder: Option<String>,
    /// Makes the builder where it is missing.
    pub create_builder: bool,
    /// Neither verifies nor runs the hooks.
    pub build_only: bool,
    /// The profile that the image is verified against.
    pub profile: Option<String>,
    /// Run on what was built; a failure stops the push.
    pub scan: Option<hook::Hook>,
    /// Run on what is about to get its names; a failure stops the push.
    pub sign: Option<hook::Hook>,
    /// The revision, for VCS_REF.
    pub revision: Option<String>,
    /// SOURCE_DATE_EPOCH, where it is set: seconds.
    pub epoch: Option<u64>,
    /// When this is, in seconds: SOURCE_DATE_EPOCH, else now.
    pub now: u64,
}
