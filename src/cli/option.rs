//! The options that only some subcommands know. Each has an environment twin like a setting's:
//! `MAK_INIT_` and its name in capitals.

use super::words::Subcommand;

/// A row of the table.
pub struct OwnOption {
    /// The long flag, without dashes.
    pub flag: &'static str,
    /// What the help calls its value; `None` for a switch.
    pub value: Option<&'static str>,
    /// The subcommands that know it.
    pub of: &'static [Subcommand],
    /// One line of help.
    pub help: &'static str,
}

impl OwnOption {
    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("MAK_INIT_{}", self.flag.to_uppercase().replace('-', "_"))
    }
}

/// All of them.
pub const OPTIONS: &[OwnOption] = &[
    OwnOption {
        flag: "exec",
        value: None,
        of: &[Subcommand::Run],
        help: "Become the workload instead of staying as its parent: the same as --mode exec",
    },
    OwnOption {
        flag: "pause",
        value: None,
        of: &[Subcommand::Run],
        help: "Run no workload: reap until a stop is asked for, as the first container of a pod",
    },
    OwnOption {
        flag: "library",
        value: Some("SONAME"),
        of: &[Subcommand::Verify],
        help: "Shared libraries that have to be found, one or more",
    },
    OwnOption {
        flag: "requirements",
        value: Some("FILE"),
        of: &[Subcommand::Verify],
        help: "Python requirements that have to be installed: a requirements file, or pyproject.toml with \
               extras in brackets behind it; may be repeated",
    },
    OwnOption {
        flag: "python",
        value: Some("PATH"),
        of: &[Subcommand::Verify],
        help: "The interpreter to look at, by name, path, or the folder of a virtual environment",
    },
    OwnOption {
        flag: "root",
        value: Some("DIR"),
        of: &[Subcommand::Verify, Subcommand::Explain, Subcommand::Platform],
        help: "The folder to take as the root filesystem, of any architecture",
    },
    OwnOption {
        flag: "page-size",
        value: Some("BYTES"),
        of: &[Subcommand::Verify],
        help: "The pages of the kernel it is to run on, where it is another: 4096, 16KiB, 64KiB",
    },
    OwnOption {
        flag: "cpu-level",
        value: Some("LEVEL"),
        of: &[Subcommand::Verify],
        help: "The processor it is to run on, where it is another: x86-64-v2, power9, z15",
    },
    OwnOption {
        flag: "full",
        value: None,
        of: &[Subcommand::Verify],
        help: "Check everything, not only what every start can afford",
    },
    OwnOption {
        flag: "hashes",
        value: None,
        of: &[Subcommand::Verify],
        help: "Also read every installed file and compare its hash; makes the check a full one",
    },
    OwnOption {
        flag: "verbose",
        value: None,
        of: &[Subcommand::Verify],
        help: "Show what is as it should be too, and every path that was looked at",
    },
    OwnOption {
        flag: "explain",
        value: Some("ID"),
        of: &[Subcommand::Verify],
        help: "Show what a check looks for and what to do about it, and check nothing",
    },
    OwnOption {
        flag: "command",
        value: Some("ARG…"),
        of: &[Subcommand::Verify],
        help: "A command that has to be able to start; takes the rest of the line",
    },
    OwnOption {
        flag: "report",
        value: Some("FILE"),
        of: &[Subcommand::Verify],
        help: "Also write the report to this file, as JSON",
    },
    OwnOption {
        flag: "format",
        value: Some("FORMAT"),
        of: &[
            Subcommand::Verify,
            Subcommand::Explain,
            Subcommand::Platform,
            Subcommand::Config,
            Subcommand::Status,
        ],
        help: "text or json; verify also knows junit, platform env",
    },
    OwnOption {
        flag: "url",
        value: Some("URL"),
        of: &[Subcommand::Healthcheck, Subcommand::Status],
        help: "The endpoint to ask, instead of the one this container is configured to have",
    },
    OwnOption {
        flag: "tcp",
        value: Some("HOST:PORT"),
        of: &[Subcommand::Healthcheck],
        help: "Only see whether this port accepts a connection",
    },
    OwnOption {
        flag: "unix",
        value: Some("PATH"),
        of: &[Subcommand::Healthcheck],
        help: "See whether this socket accepts a connection; with --url ask for the URL there",
    },
    OwnOption {
        flag: "expect",
        value: Some("WANTED"),
        of: &[Subcommand::Healthcheck],
        help: "A status (204), a range (200-299), or a text that the body has to contain (200-299)",
    },
    OwnOption {
        flag: "retries",
        value: Some("NUMBER"),
        of: &[Subcommand::Healthcheck],
        help: "Further attempts within the time limit (0)",
    },
    OwnOption {
        flag: "timeout",
        value: Some("TIME"),
        of: &[Subcommand::Run, Subcommand::Healthcheck, Subcommand::Status],
        help: "healthcheck: how long the probe may take (10s); a workload: as --time-limit",
    },
];

/// The row of this flag.
pub fn by_flag(flag: &str) -> Option<&'static OwnOption> {
    OPTIONS.iter().find(|option| option.flag == flag)
}
