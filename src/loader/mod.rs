//! Finding shared objects as the dynamic loader of a root would, without running it.
//!
//! glibc and musl search differently enough that each has its own file. `verify` and `python`
//! make one [`Loader`] for a root and ask it for single names ([`Loader::find`]) or for everything
//! that a file needs ([`Loader::closure`]).

mod cache;
mod closure;
mod conditions;
mod conf;
#[cfg(test)]
pub(crate) mod fixture;
mod glibc;
mod musl;
mod path;
mod preload;
mod search;
mod versions;

pub use crate::platform::userland::Family as Libc;
pub use cache::{Cache, CacheError, Entry, Hwcap};
pub use closure::{Closure, Node, Problem, Program};
pub use conditions::{Conditions, Processor};
pub use conf::directories as conf_directories;
pub use preload::FILE as PRELOAD_FILE;
pub use search::{Candidate, Generation, How, Loader, Requester, Resolution};
pub use versions::highest as highest_version;
