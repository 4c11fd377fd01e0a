//! The scene of a death: what has to be known of the start to explain the workload's end, and all
//! of the start that lives on beside the loop.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::Start;
use crate::cli::environment::find;
use crate::death;
use crate::init::death::Death;
use crate::init::frame::Cause;
use crate::init::last_words::LastWords;
use crate::init::spawn::Program;
use crate::platform::{Root, oom};
use crate::verify;

/// What explaining the workload's end needs of the start: all that lives on of it.
pub(super) struct Scene {
    name: OsString,
    search_path: Option<OsString>,
    termination_message: Option<PathBuf>,
    last_words: Option<LastWords>,
    oom_kills: Option<u64>,
}

impl Scene {
    /// In the child, after the workload's end.
    pub(super) fn explain(&self, death: &Death) -> Cause {
        let program = || {
            let path = self.search_path.clone().map(|path| ("PATH".into(), path));
            let request = verify::Request::empty(path.as_slice());
            verify::command::locate(&request, &self.name)
        };
        let before = death::Before {
            refused: self.last_words.and_then(|words| words.take()),
            oom_kills: self.oom_kills,
            program: &program,
            termination_message: self.termination_message.as_deref(),
        };
        death::explain(death, &before)
    }
}

impl Start<'_> {
    pub(super) fn scene(&self, program: Option<&Program>) -> Scene {
        Scene {
            name: self.command.first().cloned().unwrap_or_default(),
            search_path: find(&self.environment, "PATH").map(OsStr::to_owned),
            termination_message: self.effective.values.termination_message.clone(),
            last_words: program.and_then(|program| program.last_words),
            oom_kills: self.look_at_memory(),
        }
    }

    /// What the out-of-memory killer has done so far. Only read where more is asked for than to
    /// run a command: the fast path opens no file.
    fn look_at_memory(&self) -> Option<u64> {
        if tracing::enabled!(tracing::Level::DEBUG) && oom::kills_the_whole_group(&Root::host()) {
            tracing::debug!(
                "memory.oom.group is 1: where memory runs out, mak-init is killed with the workload"
            );
        }
        let values = &self.effective.values;
        let is_fast = self.effective.profile.is_none() && values.listen.is_none();
        if is_fast { None } else { oom::kills(&Root::host()) }
    }
}
