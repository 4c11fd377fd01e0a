//! Argument vector in, exit code out.
//!
//! There is no `fn main`: std's start-up would change SIGPIPE, install fault handlers, and end
//! the process where descriptors 0 to 2 are closed and /dev/null is missing. A workload has to
//! start with exactly what mak-init was started with.

#![no_main]
#![allow(unsafe_code, reason = "the entry point that libc calls")]

use std::ffi::{c_char, c_int};

use mak_init::cli::{self, Started};
use mak_init::init::memory::SetUpMemory;
use mak_init::init::spawn::exit_now;
use mak_init::init::title;

#[global_allocator]
static MEMORY: SetUpMemory = SetUpMemory;

// SAFETY: the one symbol of this name; libc calls it once, with what the kernel made.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, arguments: *const *const c_char) -> c_int {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: libc has set `environ` before it calls main, and nobody has changed it since.
    let given = unsafe { title::read(arguments, environ) };
    let code = cli::main(Started {
        arguments: given.arguments,
        environment: given.environment,
        title: given.title,
    });
    exit_now(code)
}
