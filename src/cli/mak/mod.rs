//! The command line of `mak`, the program for where images are built: what was typed becomes one
//! call into `image`, `build` or `deps`, and its result an exit code. Each subcommand has a file
//! with its table of options; `words` reads what was typed, `help` says the tables back.

pub mod build;
pub mod deps;
pub mod help;
pub mod image_test;
pub mod image_verify;
pub mod words;

use std::ffi::OsString;
use std::io::Write;

use words::{Typed, Words};

/// mak's exit codes.
pub mod code {
    /// All is well.
    pub const FINE: u8 = 0;
    /// Something typed makes no sense.
    pub const USAGE: u8 = 64;
    /// Something that is required is not so.
    pub const NOT_VERIFIED: u8 = 69;
    /// A failure that may pass: a lock, a network.
    pub const PASSING: u8 = 75;
    /// A profile makes no sense.
    pub const CONFIGURATION: u8 = 78;
    /// mak itself could not do its work.
    pub const FAILED: u8 = 125;
    /// Somebody pressed Ctrl-C, or sent TERM or HUP; everything begun is undone.
    pub const INTERRUPTED: u8 = 130;
}

/// A subcommand: its words, and what it does with what was typed behind them.
pub struct Subcommand {
    /// The words that name it: `image verify`.
    pub name: &'static str,
    /// What the help calls its operands; empty where it has none.
    pub operands: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// Its options.
    pub options: &'static [Opt],
    /// Does it; the result is the exit code.
    pub main: fn(&Words) -> u8,
}

/// An option of a subcommand. Its environment twin is `MAK_` and its name in capitals.
pub struct Opt {
    /// The long flag, without dashes.
    pub flag: &'static str,
    /// The short flag.
    pub short: Option<char>,
    /// What the help calls its value; `None` for a switch.
    pub value: Option<&'static str>,
    /// One line of help.
    pub help: &'static str,
}

/// All of them.
pub const SUBCOMMANDS: &[Subcommand] = &[
    image_verify::SUBCOMMAND,
    Subcommand {
        name: "build",
        operands: "",
        help: "Builds images for their platforms, looks into them, and only then pushes them",
        options: build::OPTIONS,
        main: build::main,
    },
    Subcommand {
        name: "image test",
        operands: "IMAGE",
        help: "Runs an image and finds out whether it starts, answers and stops, on every platform",
        options: image_test::OPTIONS,
        main: image_test::main,
    },
    Subcommand {
        name: "deps",
        operands: "",
        help: "What a profile needs, against this machine; --install puts it right",
        options: deps::OPTIONS,
        main: deps::main,
    },
];

/// Runs what was asked for; the result is the exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> u8 {
    match words::read(arguments) {
        Ok(Typed::Help(subcommand)) => print(&help::text(subcommand)),
        Ok(Typed::Version) => print(concat!("mak ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Typed::Words(subcommand, words)) => (subcommand.main)(&words),
        Err(why) => usage(&why),
    }
}

/// Says why what was typed makes no sense.
pub fn usage(why: &str) -> u8 {
    say(why);
    code::USAGE
}

/// One line on stderr. Where nobody reads it, there is nobody to tell.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "mak: {line}");
}

/// What was asked for, on stdout.
pub fn print(text: &str) -> u8 {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code::FINE,
        Err(error) => {
            say(&format!("cannot write to stdout: {error}"));
            code::FAILED
        }
    }
}
