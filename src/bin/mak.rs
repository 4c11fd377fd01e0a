//! Argument vector in, exit code out: the program for where images are built.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(mak_init::cli::mak::main(std::env::args_os().skip(1)))
}
