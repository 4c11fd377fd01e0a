//! The help and the manual page, made from the tables they explain.

use std::fmt::Write;

use super::option::{OPTIONS, OwnOption};
use super::words::{SUBCOMMANDS, Subcommand};
use crate::config::resolve::FILE;
use crate::config::setting::{SETTINGS, Values};

/// mak-init's own exit codes and what they mean.
pub const EXIT_CODES: &[(&str, &str)] = &[
    ("N", "the workload ended with code N"),
    ("128+N", "signal N ended the workload, or stopped the start"),
    ("1", "healthcheck: the endpoint is not healthy, or does not answer"),
    ("64", "usage: an option, a word, or an environment variable of mak-init"),
    ("69", "verification failed"),
    ("78", "configuration: a file, a profile, a user or a secret"),
    ("124", "the workload ran for longer than --time-limit"),
    ("125", "mak-init itself failed: a directory, the endpoint, a limit or right for the workload"),
    ("126", "the workload was found and cannot be executed; explain: it would be"),
    ("127", "the workload, or what it needs to start, was not found; explain: it would not be"),
];

/// What `--help` prints.
#[inline(never)]
pub fn text() -> String {
    let mut out = String::from(
        "mak-init: the first process of a container\n\n\
         Usage: mak-init [OPTIONS] [--] COMMAND [ARG…]\n       mak-init SUBCOMMAND [OPTIONS]\n\n\
         Runs COMMAND: forwards signals, reaps, stops in time and returns its exit code. With a\n\
         profile, the image is verified and its directories are made first.\n\nSubcommands:\n",
    );
    for (name, _, line) in SUBCOMMANDS {
        row(&mut out, name, line);
    }
    out.push_str("\nOptions (each has an environment twin: --grace is MAK_INIT_GRACE):\n");
    row(&mut out, "--config FILE", &format!("The configuration file ({FILE})"));
    for setting in SETTINGS {
        let default = (setting.show)(&Values::default());
        let default = if default.is_empty() { default } else { format!(" ({default})") };
        let help = format!("{}{default}", setting.help);
        row(&mut out, &spelled(setting.flag, setting.value), &help);
    }
    for own in OPTIONS.iter().filter(|own| own.of.contains(&Subcommand::Run)) {
        row(&mut out, &spelled(own.flag, own.value), own.help);
    }
    row(&mut out, "-h, --help", "Show this");
    row(&mut out, "-V, --version", "Show the version");
    for (name, subcommand, _) in SUBCOMMANDS {
        let own: Vec<&OwnOption> =
            OPTIONS.iter().filter(|own| own.of.contains(subcommand)).collect();
        if !own.is_empty() {
            let _ = write!(out, "\nOptions of {name}:\n");
        }
        for own in own {
            row(&mut out, &spelled(own.flag, own.value), own.help);
        }
    }
    out.push_str("\nExit codes:\n");
    for (code, meaning) in EXIT_CODES {
        row(&mut out, code, meaning);
    }
    out.push_str(
        "\nIn exec mode the health process stands beside the workload and nobody restarts it.\n",
    );
    out
}

/// The manual page, in the man macros (`man 7 man`).
pub fn manual_page() -> String {
    let mut out = format!(
        ".TH MAK-INIT 8 \"\" \"mak-init {}\"\n.SH NAME\nmak-init \\- the first process of a container\n\
         .SH SYNOPSIS\n.B mak-init\n[\\fIOPTIONS\\fR] [\\-\\-] \\fICOMMAND\\fR [\\fIARG\\fR...]\n.br\n\
         .B mak-init\n\\fISUBCOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH DESCRIPTION\nRuns \\fICOMMAND\\fR: forwards \
         signals, reaps, stops in time and returns its exit code. With a profile, the image is \
         verified and its directories are made first. After \\-\\- a word is always a program.\n",
        env!("CARGO_PKG_VERSION")
    );
    out.push_str(".SH SUBCOMMANDS\n");
    for (name, _, line) in SUBCOMMANDS {
        entry(&mut out, name, line);
    }
    out.push_str(".SH OPTIONS\n");
    entry(&mut out, "--config FILE", &format!("The configuration file ({FILE}). MAK_INIT_CONFIG."));
    for setting in SETTINGS {
        let line = format!(
            "{}. Environment: {}. Key: {}. Default: {}.",
            setting.help,
            setting.variable,
            setting.key,
            Some((setting.show)(&Values::default()))
                .filter(|d| !d.is_empty())
                .as_deref()
                .unwrap_or("none")
        );
        entry(&mut out, &spelled(setting.flag, setting.value), &line);
    }
    for own in OPTIONS {
        let of: Vec<&str> = SUBCOMMANDS
            .iter()
            .filter(|(_, subcommand, _)| own.of.contains(subcommand))
            .map(|(name, ..)| *name)
            .collect();
        let of = if of.is_empty() { String::new() } else { format!(" Of: {}.", of.join(", ")) };
        let line = format!("{}. Environment: {}.{of}", own.help, own.variable());
        entry(&mut out, &spelled(own.flag, own.value), &line);
    }
    out.push_str(".SH EXIT STATUS\n");
    for (code, meaning) in EXIT_CODES {
        entry(&mut out, code, &format!("{meaning}."));
    }
    let _ = writeln!(
        out,
        ".SH FILES\n.TP\n.I {FILE}\nThe configuration.\n.TP\n.I /etc/mak-init/NAME.toml\nA profile."
    );
    out
}

fn spelled(flag: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("--{flag} {value}"),
        None => format!("--{flag}"),
    }
}

/// Name and meaning, the meaning wrapped below itself at 100 columns.
fn row(out: &mut String, name: &str, meaning: &str) {
    const INDENT: usize = 28;
    let _ = write!(out, "  {name:<width$}", width = INDENT - 2);
    let mut column = INDENT.max(name.chars().count() + 2);
    if column > INDENT {
        let _ = write!(out, "\n{:INDENT$}", "");
        column = INDENT;
    }
    for (at, word) in meaning.split(' ').enumerate() {
        let length = word.chars().count() + 1;
        if at > 0 && column + length > 100 {
            let _ = write!(out, "\n{:INDENT$}{word}", "");
            column = INDENT + length;
        } else {
            let _ = write!(out, "{}{word}", if at > 0 { " " } else { "" });
            column += length;
        }
    }
    out.push('\n');
}

fn entry(out: &mut String, name: &str, meaning: &str) {
    let escape = |text: &str| text.replace('\\', "\\e").replace('-', "\\-").replace('…', "...");
    let _ = writeln!(out, ".TP\n.B {}\n{}", escape(name), escape(meaning));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_DOCS=1 cargo test` writes the page that this test then expects.
    #[test]
    fn the_manual_page_in_the_repository_is_the_one_the_tables_make() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mak-init.8");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, manual_page()).unwrap();
        }
        let current = std::fs::read_to_string(path).unwrap_or_default() == manual_page();
        assert!(current, "docs/mak-init.8 is old: UPDATE_DOCS=1 cargo test --lib cli");
    }

    #[test]
    fn the_readme_names_every_option_of_a_run() {
        let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
        let of_run = OPTIONS.iter().filter(|own| own.of.contains(&Subcommand::Run));
        for flag in SETTINGS.iter().map(|setting| setting.flag).chain(of_run.map(|own| own.flag)) {
            assert!(readme.contains(&format!("`--{flag}")), "--{flag}");
        }
    }

    #[test]
    fn the_help_names_everything_and_fits_a_terminal() {
        let text = text();
        for setting in SETTINGS {
            assert!(text.contains(&format!("--{}", setting.flag)));
        }
        for own in OPTIONS {
            assert!(text.contains(&format!("--{}", own.flag)));
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
