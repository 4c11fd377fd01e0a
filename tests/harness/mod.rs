//! Runs the built program as a true PID 1 in namespaces of its own, and beside them as any other
//! process, and says what came out. Every file in `tests/` uses it.
//!
//! `Launch` says what to start; `Running` waits for its lines, sends it signals and gives its
//! end. Nothing here sleeps: every wait is a poll on a descriptor, with a deadline that fails the
//! test and shows what was printed until then.
//!
//! The program is the one cargo has built, or the one `MAK_INIT_BIN` names; if that is for
//! another architecture it runs emulated (binfmt_misc), beside workloads of this machine.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of the harness")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a failed step is a failed test"
)]

pub mod child;
pub mod control_group;
pub mod dynamic_loader;
pub mod endpoint;
pub mod filter;
pub mod folder;
pub mod installation;
pub mod launch;
pub mod processes;
pub mod program;
pub mod running;
pub mod terminal;
pub mod trace;

pub use control_group::ControlGroup;
pub use folder::Folder;
pub use installation::Installation;
pub use launch::{Launch, Place};
pub use program::{emulated, has_compilers, only_as_root, only_on_this_machine, program, workload};
pub use running::{Ended, Outcome, Running};

use std::time::Duration;

/// How long an event may take before the test fails. An emulator makes everything slower.
pub fn patience() -> Duration {
    Duration::from_secs(if emulated() { 40 } else { 20 })
}
