//! Why the workload ended. A child of PID 1 calls [`explain`] after the fact: it collects what
//! the kernel shows, judges it, logs one line, and leaves the same line in Kubernetes' termination
//! message file. Nothing here runs in PID 1.
//!
//! | file | idea |
//! |---|---|
//! | `facts` | what is known, as plain data |
//! | `collect` | reading it |
//! | `judge` | facts → cause and line, pure |
//! | `core_dump` | where a core file went |
//! | `termination_message` | the file for Kubernetes |

mod collect;
mod core_dump;
mod facts;
mod judge;
mod termination_message;

use std::path::{Path, PathBuf};

pub use facts::Facts;
pub use judge::{Judgement, judge};

use crate::init::death::{Death, begin_to_speak};
use crate::init::frame::Cause;

/// What was known before the death.
pub struct Before<'a> {
    /// Where execve was refused: the reason, which has been logged.
    pub refused: Option<String>,
    /// The out-of-memory killer's count at the start; `None` where it was not read.
    pub oom_kills: Option<u64>,
    /// The program that ran; a function, since finding it reads files.
    pub program: &'a dyn Fn() -> Option<PathBuf>,
    /// Kubernetes' termination message file.
    pub termination_message: Option<&'a Path>,
}

/// Says why the workload ended.
pub fn explain(death: &Death, before: &Before) -> Cause {
    if let Some(refused) = &before.refused {
        leave(before, refused);
        return Cause::NotStarted;
    }
    let judgement = judge(&collect::collect(death, before));
    let line = &judgement.line;
    begin_to_speak();
    match judgement.cause {
        // We have said ourselves that we kill it.
        Cause::Asked if death.killed_by_us => tracing::debug!("{line}"),
        Cause::Asked => tracing::info!("{line}"),
        _ => tracing::warn!("{line}"),
    }
    leave(before, line);
    judgement.cause
}

fn leave(before: &Before, line: &str) {
    if let Some(path) = before.termination_message
        && let Err(error) = termination_message::leave(path, line)
    {
        tracing::debug!("cannot write the termination message to {}: {error}", path.display());
    }
}
