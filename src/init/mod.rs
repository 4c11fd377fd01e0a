//! PID 1: signals, spawn, reap, shutdown, exit code.
//!
//! It splits in two. Set-up (`preparation`, `spawn`, `health_process` at its first start) may
//! fail with a code. The loop (`event_loop`) may not: it parses nothing and waits for nothing
//! but a signal, a deadline it set itself, or room in the health process's socket. What happens
//! when is in `stage`, as data.
//!
//! Nothing here depends on the parsers, on async code, or on `std::process::Command`: what the
//! workload starts with is exactly what mak-init was started with, but for the `attributes` that
//! were asked for.

pub mod ancestry;
pub mod attributes;
pub mod board;
pub mod clock;
pub mod death;
pub mod descendants;
pub mod drain;
pub mod event_loop;
pub mod forward;
pub mod frame;
pub mod health_process;
pub mod hygiene;
pub mod identity;
pub mod inquiry;
pub mod last_words;
pub mod look;
pub mod mask;
pub mod memory;
pub mod pid;
pub mod preparation;
pub mod reap;
pub mod receive;
pub mod restart;
mod shared_spawn;
pub mod spawn;
pub mod stage;
pub mod terminal;
pub mod title;
pub mod zombies;

pub use event_loop::run;
pub use health_process::HealthProcess;
pub use pid::Pid;
pub use spawn::Program;
