//! The command line: what was typed becomes one call into the parts, and its result an exit
//! code. `words` reads what was typed, `help` says it back, and each subcommand has a file.

pub mod attributes;
pub mod config;
pub mod environment;
pub mod explain;
pub mod healthcheck;
pub mod help;
pub mod logs;
#[cfg(feature = "mak")]
pub mod mak;
pub mod option;
pub mod personality;
pub mod platform;
pub mod run;
pub mod status;
pub mod verify;
pub mod words;

use std::ffi::OsString;
use std::io::Write;

use crate::config::{ConfigError, Effective, Request, resolve};
use crate::init::title::Title;
use words::{Subcommand, Words};

/// mak-init's own exit codes (docs/exit-codes.md). The workload's are its own.
pub mod code {
    /// All is well.
    pub const FINE: u8 = 0;
    /// `healthcheck`: not healthy.
    pub const UNHEALTHY: u8 = 1;
    /// Something typed, or an environment variable of ours, makes no sense.
    pub const USAGE: u8 = 64;
    /// A required check failed.
    pub const NOT_VERIFIED: u8 = 69;
    /// A configuration file or profile makes no sense.
    pub const CONFIGURATION: u8 = 78;
    /// mak-init itself could not do its work.
    pub const FAILED: u8 = 125;
}

/// What this process was started with.
pub struct Started {
    /// The arguments, the first being the program's name.
    pub arguments: Vec<OsString>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Where the kernel shows them.
    pub title: Title,
}

/// Runs what was asked for; the result is the exit code. PID 1 stays above this frame for good: what
/// it calls is not inlined, so that it has no room for all of that.
pub fn main(started: Started) -> u8 {
    match personality::asked_for(&started.arguments) {
        Ok(None) => {}
        Ok(Some((peer, arguments))) => return personality::main(&started, peer, arguments),
        Err(why) => return usage(&why),
    }
    let words = match words::read(started.arguments.iter().skip(1).cloned()) {
        Ok(words) => words,
        Err(why) => return usage(&why),
    };
    match words.subcommand {
        Subcommand::Help => print(&help::text()),
        Subcommand::Version => print(&version()),
        Subcommand::Run => run::run(started, words),
        Subcommand::Verify => verify::main(&started, &words),
        Subcommand::Explain => explain::main(&started, words),
        Subcommand::Platform => platform::main(&started, &words),
        Subcommand::Healthcheck => healthcheck::main(&started, &words),
        Subcommand::Status => status::main(&started, &words),
        Subcommand::Config => config::main(&started, &words),
    }
}

/// In the form that `docker info` reads of an engine's init.
fn version() -> String {
    format!("mak-init version {} - git.{}\n", env!("CARGO_PKG_VERSION"), personality::COMMIT)
}

/// The configuration that these words and this environment make.
#[inline(never)]
fn configuration(started: &Started, words: &Words) -> Result<Box<Effective>, ConfigError> {
    resolve(&Request {
        flags: words.settings.clone(),
        file: words.configuration_file.clone(),
        environment: &started.environment,
    })
}

/// Says what is wrong with the configuration; the result is the exit code.
fn refuse(error: &ConfigError) -> u8 {
    match error {
        ConfigError::Usage(why) => usage(why),
        ConfigError::File(problems) => {
            for problem in problems {
                say(problem);
            }
            code::CONFIGURATION
        }
    }
}

fn usage(why: &str) -> u8 {
    say(why);
    code::USAGE
}

/// One line on stderr, in one piece. Where nobody reads it, there is nobody to tell.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("mak-init: {line}\n").as_bytes());
}

/// What was asked for, on stdout.
fn print(text: &str) -> u8 {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code::FINE,
        Err(error) => {
            say(&format!("cannot write to stdout: {error}"));
            code::FAILED
        }
    }
}
