//! The help of `mak`, made from the tables it explains.

use std::fmt::Write;

use super::{Opt, SUBCOMMANDS, Subcommand};

/// mak's exit codes and what they mean.
pub const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "all is well"),
    ("64", "usage: an option, a word, or an environment variable of mak"),
    ("69", "something that is required is not so: the verdict of verify, test and deps"),
    ("75", "a failure that may pass: a lock that is held, a network that does not answer"),
    ("78", "configuration: a profile makes no sense"),
    ("125", "mak itself failed, or the engine it asked"),
    ("130", "interrupted; what was begun is undone"),
];

/// What `--help` prints: of one subcommand, or of all.
pub fn text(subcommand: Option<&Subcommand>) -> String {
    let mut out = String::new();
    match subcommand {
        Some(one) => {
            let operands = if one.operands.is_empty() { "" } else { " " };
            let _ = write!(
                out,
                "Usage: mak {} [OPTIONS]{operands}{}\n\n{}.\n\n\
                 Options (each has an environment twin: --dry-run is MAK_DRY_RUN):\n",
                one.name, one.operands, one.help
            );
            for opt in one.options {
                row(&mut out, &spelled(opt), opt.help);
            }
            row(&mut out, "-h, --help", "Show this");
        }
        None => {
            out.push_str(
                "mak: images that start, for every platform they are for\n\n\
                 Usage: mak SUBCOMMAND [OPTIONS]\n\nSubcommands:\n",
            );
            for one in SUBCOMMANDS {
                row(&mut out, one.name, one.help);
            }
            out.push_str("\nOptions:\n");
            row(&mut out, "-h, --help", "Show this; behind a subcommand, its options");
            row(&mut out, "-V, --version", "Show the version");
        }
    }
    out.push_str("\nExit codes:\n");
    for (code, meaning) in EXIT_CODES {
        row(&mut out, code, meaning);
    }
    out
}

fn spelled(opt: &Opt) -> String {
    let short = opt.short.map(|short| format!("-{short}, ")).unwrap_or_default();
    let value = opt.value.map(|value| format!(" {value}")).unwrap_or_default();
    format!("{short}--{}{value}", opt.flag)
}

fn row(out: &mut String, left: &str, right: &str) {
    let _ = if left.chars().count() > 26 {
        writeln!(out, "  {left}\n{:30}{right}", "")
    } else {
        writeln!(out, "  {left:<26}  {right}")
    };
}
