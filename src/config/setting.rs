//! The one table of settings. Each row gives the key in a file, the flag, the environment
//! variable, the help, and how a word is read and shown: adding a setting touches one row.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::signal::Signal;
use super::word;
use super::workload::{self, Workload};

/// Where a value came from, from the weakest to the strongest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The active profile.
    Profile(String),
    /// A configuration file, with the line.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(&'static str),
    /// A flag on the command line.
    Flag(&'static str),
}

/// What mak-init is beside the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It stays, as the workload's parent.
    Supervise,
    /// It becomes the workload.
    Exec,
}

/// What a failed required check means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The workload is not started.
    Enforce,
    /// It is said, and the workload is started.
    Warn,
    /// Nothing is checked.
    Off,
}

/// The least severe log lines that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// From the names that programs of this field use for `LOG_LEVEL`, in any case.
    pub fn parse(word: &str) -> Result<LogLevel, String> {
        Ok(match word.to_ascii_lowercase().as_str() {
            "error" | "critical" | "fatal" => LogLevel::Error,
            "warning" | "warn" => LogLevel::Warn,
            "info" | "notice" => LogLevel::Info,
            "debug" => LogLevel::Debug,
            "trace" => LogLevel::Trace,
            _ => return Err("is not one of ERROR, WARNING, INFO, DEBUG, TRACE".to_owned()),
        })
    }

    const fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warning",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When the workload is started again after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Its end is the container's.
    Never,
    /// After any end but code 0.
    OnFailure,
    /// After every end.
    Always,
}

/// Where the health endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On a port.
    Tcp(SocketAddr),
    /// On a socket in the file system.
    Unix(PathBuf),
}

impl Listen {
    fn parse(word: &str) -> Result<Listen, String> {
        match word.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') && path.len() < 108 => {
                Ok(Listen::Unix(PathBuf::from(path)))
            }
            Some(_) => Err("needs an absolute path of at most 107 bytes behind unix:".to_owned()),
            None => word.parse().map(Listen::Tcp).map_err(|_| {
                "is not IP:PORT (127.0.0.1:9808, [::1]:9808), not unix:/PATH and not off".to_owned()
            }),
        }
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(out),
            Listen::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

/// The value of every setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// The profile's name or path.
    pub profile: Option<String>,
    /// Stay, or become the workload.
    pub mode: Mode,
    /// From the first stop signal to KILL.
    pub grace: Duration,
    /// From the TERM for what is left to its KILL.
    pub drain: Duration,
    /// The signals that ask for a stop.
    pub stop_signals: Vec<Signal>,
    /// What a stop sends to the workload; the signal that asked for it where there is none.
    pub stop_signal: Option<Signal>,
    /// From the first stop signal to the one for the workload.
    pub stop_delay: Duration,
    /// How long the workload may run at all.
    pub time_limit: Option<Duration>,
    /// Whether signals go to the workload's process group.
    pub group: bool,
    /// Signals that are forwarded as others; `None` drops them.
    pub rewrite: Vec<(Signal, Option<Signal>)>,
    /// Exit codes that become others.
    pub expect_exit: Vec<(u8, u8)>,
    /// Whether orphans come to mak-init where it is not PID 1.
    pub subreaper: bool,
    /// The signal that mak-init gets when its own parent dies.
    pub parent_death_signal: Option<Signal>,
    /// When the workload is started again.
    pub restart: Restart,
    /// The wait before the first new start; each further one doubles it.
    pub restart_delay: Duration,
    /// The longest wait.
    pub restart_max_delay: Duration,
    /// Having run this long, the workload counts as stable.
    pub restart_stable: Duration,
    /// New starts in a row without a stable time; 0 is no limit.
    pub restart_limit: u32,
    /// The address of the health endpoint.
    pub listen: Option<Listen>,
    /// The file whose first line is the endpoint's bearer token.
    pub token_file: Option<PathBuf>,
    /// Whether a health endpoint that cannot be opened stops the start.
    pub health_required: bool,
    /// What a failed required check means.
    pub verify_policy: Policy,
    /// How long verification may take.
    pub verify_deadline: Duration,
    /// The platform this image is meant for, as in `linux/arm64`.
    pub expect_platform: Option<String>,
    /// Kubernetes' termination message file.
    pub termination_message: Option<PathBuf>,
    /// The least severe lines that are logged.
    pub log_level: LogLevel,
    /// Their form.
    pub log_format: LogFormat,
    /// What the workload is to be.
    pub workload: Workload,
}

impl Default for Values {
    fn default() -> Values {
        Values {
            profile: None,
            mode: Mode::Supervise,
            // Grace and drain together stay below the ten seconds an engine waits by default.
            grace: Duration::from_secs(7),
            drain: Duration::from_secs(2),
            stop_signals: vec![Signal::TERM, Signal::INT, Signal::QUIT, Signal::HALT],
            stop_signal: None,
            stop_delay: Duration::ZERO,
            time_limit: None,
            group: false,
            rewrite: Vec::new(),
            expect_exit: Vec::new(),
            subreaper: true,
            parent_death_signal: None,
            restart: Restart::Never,
            restart_delay: Duration::from_millis(500),
            restart_max_delay: Duration::from_secs(30),
            restart_stable: Duration::from_secs(60),
            restart_limit: 5,
            listen: None,
            token_file: None,
            health_required: false,
            verify_policy: Policy::Enforce,
            verify_deadline: Duration::from_secs(30),
            expect_platform: None,
            termination_message: Some(PathBuf::from("/dev/termination-log")),
            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            workload: Workload::default(),
        }
    }
}

/// A row of the table.
pub struct Setting {
    /// The key in a file; its part before the dot is the table.
    pub key: &'static str,
    /// The long flag, without dashes.
    pub flag: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// What the help calls the value; `None` for a switch.
    pub value: Option<&'static str>,
    /// One line of help.
    pub help: &'static str,
    /// Reads a word into the values; the error goes on after the word: "is not a time".
    pub set: fn(&mut Values, &str) -> Result<(), String>,
    /// Shows the value as `set` would read it; empty where there is none.
    pub show: fn(&Values) -> String,
}

/// The settings that are lists: a flag may be repeated and adds to what was typed before.
pub const LISTS: &[&str] = &[
    "stop_signals",
    "rewrite",
    "expect_exit",
    "workload.rlimit",
    "workload.cap_drop",
    "workload.env_file",
    "workload.secret",
    "workload.keep_env",
];

/// All settings, in the order in which help and `mak-init config` show them.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "profile",
        flag: "profile",
        variable: "MAK_INIT_PROFILE",
        value: Some("NAME"),
        help: "What to verify and prepare: a profile in /etc/mak-init, a built-in one, or a path",
        set: |values, word| {
            values.profile = (!word.is_empty()).then(|| word.to_owned());
            Ok(())
        },
        show: |values| values.profile.clone().unwrap_or_default(),
    },
    Setting {
        key: "mode",
        flag: "mode",
        variable: "MAK_INIT_MODE",
        value: Some("MODE"),
        help: "supervise: stay as the workload's parent; exec: become the workload",
        set: |values, word| {
            values.mode = match word {
                "supervise" => Mode::Supervise,
                "exec" => Mode::Exec,
                _ => return Err("is neither supervise nor exec".to_owned()),
            };
            Ok(())
        },
        show: |values| match values.mode {
            Mode::Supervise => "supervise".to_owned(),
            Mode::Exec => "exec".to_owned(),
        },
    },
    Setting {
        key: "grace",
        flag: "grace",
        variable: "MAK_INIT_GRACE",
        value: Some("TIME"),
        help: "How long the workload may take to end after a stop signal, before it is killed",
        set: |values, word| word::duration(word).map(|time| values.grace = time),
        show: |values| word::show_duration(values.grace),
    },
    Setting {
        key: "drain",
        flag: "drain",
        variable: "MAK_INIT_DRAIN",
        value: Some("TIME"),
        help: "How long all other processes may take to end after the workload has",
        set: |values, word| word::duration(word).map(|time| values.drain = time),
        show: |values| word::show_duration(values.drain),
    },
    Setting {
        key: "stop_signals",
        flag: "stop-signals",
        variable: "MAK_INIT_STOP_SIGNALS",
        value: Some("LIST"),
        help: "The signals that ask for a stop; all others are only forwarded",
        set: |values, word| {
            let signals = Signal::parse_list(word)?;
            if signals.is_empty() {
                return Err("is empty; at least one signal has to ask for a stop".to_owned());
            }
            if let Some(signal) =
                signals.iter().find(|s| [Signal::KILL, Signal::STOP, Signal::CHLD].contains(s))
            {
                return Err(format!("names {signal}, which never reaches an init as a request"));
            }
            values.stop_signals = signals;
            Ok(())
        },
        show: |values| {
            let names: Vec<String> = values.stop_signals.iter().map(Signal::to_string).collect();
            names.join(",")
        },
    },
    Setting {
        key: "stop_signal",
        flag: "stop-signal",
        variable: "MAK_INIT_STOP_SIGNAL",
        value: Some("SIGNAL"),
        help: "What a stop sends to the workload, instead of the signal that asked for it",
        set: |values, word| optional_signal(word).map(|signal| values.stop_signal = signal),
        show: |values| values.stop_signal.map(|signal| signal.to_string()).unwrap_or_default(),
    },
    Setting {
        key: "stop_delay",
        flag: "stop-delay",
        variable: "MAK_INIT_STOP_DELAY",
        value: Some("TIME"),
        help: "How long a stop waits before the workload hears of it, for load balancers",
        set: |values, word| word::duration(word).map(|time| values.stop_delay = time),
        show: |values| word::show_duration(values.stop_delay),
    },
    Setting {
        key: "time_limit",
        flag: "time-limit",
        variable: "MAK_INIT_TIME_LIMIT",
        value: Some("TIME"),
        help: "How long the workload may run: then it is stopped, and the exit code is 124",
        set: |values, word| {
            let limit = if word.is_empty() { None } else { Some(word::duration(word)?) };
            values.time_limit = limit.filter(|limit| !limit.is_zero());
            Ok(())
        },
        show: |values| values.time_limit.map(word::show_duration).unwrap_or_default(),
    },
    Setting {
        key: "group",
        flag: "group",
        variable: "MAK_INIT_GROUP",
        value: None,
        help: "Send signals to the workload's whole process group",
        set: |values, word| word::switch(word).map(|on| values.group = on),
        show: |values| values.group.to_string(),
    },
    Setting {
        key: "rewrite",
        flag: "rewrite",
        variable: "MAK_INIT_REWRITE",
        value: Some("A:B"),
        help: "Forward signal A as B, or drop it where B is 0; may be repeated",
        set: |values, word| {
            values.rewrite = split(word).map(rewrite).collect::<Result<_, _>>()?;
            Ok(())
        },
        show: |values| {
            let show = |(from, to): &(Signal, Option<Signal>)| match to {
                Some(to) => format!("{from}:{to}"),
                None => format!("{from}:0"),
            };
            values.rewrite.iter().map(show).collect::<Vec<_>>().join(",")
        },
    },
    Setting {
        key: "expect_exit",
        flag: "expect-exit",
        variable: "MAK_INIT_EXPECT_EXIT",
        value: Some("N=M"),
        help: "Exit with M where the workload ended with N (143=0); may be repeated",
        set: |values, word| {
            values.expect_exit = split(word).map(exit_pair).collect::<Result<_, _>>()?;
            Ok(())
        },
        show: |values| {
            let show = |(from, to): &(u8, u8)| format!("{from}={to}");
            values.expect_exit.iter().map(show).collect::<Vec<_>>().join(",")
        },
    },
    Setting {
        key: "subreaper",
        flag: "subreaper",
        variable: "MAK_INIT_SUBREAPER",
        value: None,
        help: "Where mak-init is not PID 1: take the workload's orphans and reap them",
        set: |values, word| word::switch(word).map(|on| values.subreaper = on),
        show: |values| values.subreaper.to_string(),
    },
    Setting {
        key: "parent_death_signal",
        flag: "parent-death-signal",
        variable: "MAK_INIT_PARENT_DEATH_SIGNAL",
        value: Some("SIGNAL"),
        help: "The signal that mak-init gets when its own parent dies",
        set: |values, word| optional_signal(word).map(|signal| values.parent_death_signal = signal),
        show: |values| {
            values.parent_death_signal.map(|signal| signal.to_string()).unwrap_or_default()
        },
    },
    Setting {
        key: "restart.policy",
        flag: "restart",
        variable: "MAK_INIT_RESTART",
        value: Some("POLICY"),
        help: "Start the workload again: never, on-failure, always",
        set: |values, word| {
            values.restart = match word {
                "never" => Restart::Never,
                "on-failure" => Restart::OnFailure,
                "always" => Restart::Always,
                _ => return Err("is not one of never, on-failure, always".to_owned()),
            };
            Ok(())
        },
        show: |values| {
            match values.restart {
                Restart::Never => "never",
                Restart::OnFailure => "on-failure",
                Restart::Always => "always",
            }
            .to_owned()
        },
    },
    Setting {
        key: "restart.delay",
        flag: "restart-delay",
        variable: "MAK_INIT_RESTART_DELAY",
        value: Some("TIME"),
        help: "The wait before the first new start; each further one doubles it",
        set: |values, word| word::duration(word).map(|time| values.restart_delay = time),
        show: |values| word::show_duration(values.restart_delay),
    },
    Setting {
        key: "restart.max_delay",
        flag: "restart-max-delay",
        variable: "MAK_INIT_RESTART_MAX_DELAY",
        value: Some("TIME"),
        help: "The longest wait before a new start",
        set: |values, word| word::duration(word).map(|time| values.restart_max_delay = time),
        show: |values| word::show_duration(values.restart_max_delay),
    },
    Setting {
        key: "restart.stable",
        flag: "restart-stable",
        variable: "MAK_INIT_RESTART_STABLE",
        value: Some("TIME"),
        help: "Having run this long, the workload is stable: waits and count begin anew",
        set: |values, word| word::duration(word).map(|time| values.restart_stable = time),
        show: |values| word::show_duration(values.restart_stable),
    },
    Setting {
        key: "restart.limit",
        flag: "restart-limit",
        variable: "MAK_INIT_RESTART_LIMIT",
        value: Some("COUNT"),
        help: "New starts in a row without a stable time, before its end is final; 0 for no limit",
        set: |values, word| {
            values.restart_limit = word.parse().map_err(|_| "is not a count".to_owned())?;
            Ok(())
        },
        show: |values| values.restart_limit.to_string(),
    },
    Setting {
        key: "health.listen",
        flag: "listen",
        variable: "MAK_INIT_LISTEN",
        value: Some("ADDRESS"),
        help: "Where the health endpoint listens, as IP:PORT or unix:/PATH; off for none",
        set: |values, word| {
            values.listen = match word {
                "" | "off" => None,
                _ => Some(Listen::parse(word)?),
            };
            Ok(())
        },
        show: |values| values.listen.as_ref().map_or("off".to_owned(), Listen::to_string),
    },
    Setting {
        key: "health.token_file",
        flag: "token-file",
        variable: "MAK_INIT_TOKEN_FILE",
        value: Some("FILE"),
        help: "A bearer token, in its first line, for all but the plain /livez, /readyz, /startupz",
        set: |values, word| {
            values.token_file = (!word.is_empty()).then(|| PathBuf::from(word));
            Ok(())
        },
        show: |values| {
            values.token_file.as_ref().map(|p| p.display().to_string()).unwrap_or_default()
        },
    },
    Setting {
        key: "health.required",
        flag: "health-required",
        variable: "MAK_INIT_HEALTH_REQUIRED",
        value: None,
        help: "Do not start the workload if the health endpoint cannot be opened",
        set: |values, word| word::switch(word).map(|on| values.health_required = on),
        show: |values| values.health_required.to_string(),
    },
    Setting {
        key: "verify.policy",
        flag: "verify",
        variable: "MAK_INIT_VERIFY",
        value: Some("POLICY"),
        help: "A failed required check: enforce (do not start), warn (start all the same); or off",
        set: |values, word| {
            values.verify_policy = match word {
                "enforce" => Policy::Enforce,
                "warn" => Policy::Warn,
                "off" => Policy::Off,
                _ => return Err("is not one of enforce, warn, off".to_owned()),
            };
            Ok(())
        },
        show: |values| {
            match values.verify_policy {
                Policy::Enforce => "enforce",
                Policy::Warn => "warn",
                Policy::Off => "off",
            }
            .to_owned()
        },
    },
    Setting {
        key: "verify.deadline",
        flag: "verify-deadline",
        variable: "MAK_INIT_VERIFY_DEADLINE",
        value: Some("TIME"),
        help: "How long verification may take; past it, it has failed",
        set: |values, word| word::duration(word).map(|time| values.verify_deadline = time),
        show: |values| word::show_duration(values.verify_deadline),
    },
    Setting {
        key: "expect_platform",
        flag: "expect-platform",
        variable: "MAK_INIT_EXPECT_PLATFORM",
        value: Some("OS/ARCH"),
        help: "The platform this image is meant for, as in linux/arm64; another one is a failure",
        set: |values, word| {
            let known = word.is_empty() || word.split('/').count() <= 3 && !word.contains(' ');
            if !known || word.split('/').any(str::is_empty) && !word.is_empty() {
                return Err("is not a platform; write linux/amd64 or linux/arm/v7".to_owned());
            }
            values.expect_platform = (!word.is_empty()).then(|| word.to_owned());
            Ok(())
        },
        show: |values| values.expect_platform.clone().unwrap_or_default(),
    },
    Setting {
        key: "termination_message",
        flag: "termination-message",
        variable: "MAK_INIT_TERMINATION_MESSAGE",
        value: Some("FILE"),
        help: "Where the cause of death goes if that file exists and is empty; off for nowhere",
        set: |values, word| {
            values.termination_message = match word {
                "" | "off" => None,
                _ => Some(PathBuf::from(word)),
            };
            Ok(())
        },
        show: |values| match &values.termination_message {
            Some(path) => path.display().to_string(),
            None => "off".to_owned(),
        },
    },
    Setting {
        key: "log.level",
        flag: "log-level",
        variable: "MAK_INIT_LOG_LEVEL",
        value: Some("LEVEL"),
        help: "error, warning, info, debug or trace; LOG_LEVEL is honoured where this is not set",
        set: |values, word| LogLevel::parse(word).map(|level| values.log_level = level),
        show: |values| values.log_level.name().to_owned(),
    },
    Setting {
        key: "log.format",
        flag: "log-format",
        variable: "MAK_INIT_LOG_FORMAT",
        value: Some("FORMAT"),
        help: "text or json",
        set: |values, word| {
            values.log_format = match word {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err("is neither text nor json".to_owned()),
            };
            Ok(())
        },
        show: |values| match values.log_format {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
        },
    },
    Setting {
        key: "workload.user",
        flag: "user",
        variable: "MAK_INIT_USER",
        value: Some("USER[:GROUP]"),
        help: "Whom the workload runs as, by name or number, with its groups",
        set: |values, word| {
            workload::account(word).map(|account| values.workload.account = account)
        },
        show: |values| values.workload.account.as_ref().map(|a| a.to_string()).unwrap_or_default(),
    },
    Setting {
        key: "workload.workdir",
        flag: "workdir",
        variable: "MAK_INIT_WORKDIR",
        value: Some("DIR"),
        help: "The workload's working directory",
        set: |values, word| workload::folder(word).map(|folder| values.workload.folder = folder),
        show: |values| {
            let folder = values.workload.folder.as_ref();
            folder.map(|folder| folder.display().to_string()).unwrap_or_default()
        },
    },
    Setting {
        key: "workload.umask",
        flag: "umask",
        variable: "MAK_INIT_UMASK",
        value: Some("MASK"),
        help: "The workload's umask, octal with a 0 in front: 027",
        set: |values, word| workload::umask(word).map(|mask| values.workload.umask = mask),
        show: |values| values.workload.umask.map(|mask| format!("0{mask:o}")).unwrap_or_default(),
    },
    Setting {
        key: "workload.nice",
        flag: "nice",
        variable: "MAK_INIT_NICE",
        value: Some("NUMBER"),
        help: "The workload's nice value, -20 to 19",
        set: |values, word| workload::whole(word, -20, 19).map(|nice| values.workload.nice = nice),
        show: |values| values.workload.nice.map(|nice| nice.to_string()).unwrap_or_default(),
    },
    Setting {
        key: "workload.oom_score_adj",
        flag: "oom-score-adj",
        variable: "MAK_INIT_OOM_SCORE_ADJ",
        value: Some("NUMBER"),
        help: "How readily the kernel kills the workload when memory is out, -1000 to 1000",
        set: |values, word| {
            workload::whole(word, -1000, 1000).map(|score| values.workload.oom_score_adj = score)
        },
        show: |values| {
            values.workload.oom_score_adj.map(|score| score.to_string()).unwrap_or_default()
        },
    },
    Setting {
        key: "workload.rlimit",
        flag: "rlimit",
        variable: "MAK_INIT_RLIMIT",
        value: Some("NAME=SOFT[:HARD]"),
        help: "A resource limit of the workload, such as nofile=1024:4096; may be repeated",
        set: |values, word| workload::limits(word).map(|limits| values.workload.limits = limits),
        show: |values| workload::show_list(&values.workload.limits),
    },
    Setting {
        key: "workload.no_new_privs",
        flag: "no-new-privs",
        variable: "MAK_INIT_NO_NEW_PRIVS",
        value: None,
        help: "No program the workload starts gains rights, by set-user-ID or otherwise",
        set: |values, word| word::switch(word).map(|on| values.workload.no_new_privs = on),
        show: |values| values.workload.no_new_privs.to_string(),
    },
    Setting {
        key: "workload.cap_drop",
        flag: "cap-drop",
        variable: "MAK_INIT_CAP_DROP",
        value: Some("LIST"),
        help: "Capabilities the workload never gets, as ALL or CAP_X,CAP_Y; may be repeated",
        set: |values, word| workload::capabilities(word).map(|set| values.workload.dropped = set),
        show: |values| workload::show_capabilities(values.workload.dropped),
    },
    Setting {
        key: "workload.env_file",
        flag: "env-file",
        variable: "MAK_INIT_ENV_FILE",
        value: Some("FILE"),
        help: "A file of KEY=VALUE lines for the workload, where nothing is set; may be repeated",
        set: |values, word| {
            values.workload.environment_files = workload::paths(word);
            Ok(())
        },
        show: |values| {
            let files = values.workload.environment_files.iter();
            files.map(|file| file.display().to_string()).collect::<Vec<_>>().join(",")
        },
    },
    Setting {
        key: "workload.secret",
        flag: "secret",
        variable: "MAK_INIT_SECRET",
        value: Some("NAME,…"),
        help: "Variables whose value comes from the file that NAME_FILE names; may be repeated",
        set: |values, word| workload::names(word).map(|names| values.workload.secrets = names),
        show: |values| workload::show_list(&values.workload.secrets),
    },
    Setting {
        key: "workload.clear_env",
        flag: "clear-env",
        variable: "MAK_INIT_CLEAR_ENV",
        value: None,
        help: "Start the workload without the environment given, but for --keep-env",
        set: |values, word| word::switch(word).map(|on| values.workload.clear_environment = on),
        show: |values| values.workload.clear_environment.to_string(),
    },
    Setting {
        key: "workload.keep_env",
        flag: "keep-env",
        variable: "MAK_INIT_KEEP_ENV",
        value: Some("NAME,PREFIX_*"),
        help: "What stays of an environment that is cleared; may be repeated",
        set: |values, word| workload::patterns(word).map(|kept| values.workload.kept = kept),
        show: |values| workload::show_list(&values.workload.kept),
    },
];

/// The parts of a list with commas.
fn split(word: &str) -> impl Iterator<Item = &str> {
    word.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn optional_signal(word: &str) -> Result<Option<Signal>, String> {
    if word.is_empty() { Ok(None) } else { Signal::parse(word).map(Some) }
}

/// `TERM:QUIT`, `15:3`, `USR1:0`.
fn rewrite(pair: &str) -> Result<(Signal, Option<Signal>), String> {
    let (from, to) = pair.split_once(':').ok_or("is not A:B, two signals by name or number")?;
    let to = if to == "0" { None } else { Some(Signal::parse(to)?) };
    Ok((Signal::parse(from)?, to))
}

/// `143=0`.
fn exit_pair(pair: &str) -> Result<(u8, u8), String> {
    let refused = || "is not N=M, two exit codes from 0 to 255".to_owned();
    let (from, to) = pair.split_once('=').ok_or_else(refused)?;
    Ok((from.parse().map_err(|_| refused())?, to.parse().map_err(|_| refused())?))
}

/// The row with this key in a file.
pub fn by_key(key: &str) -> Option<usize> {
    SETTINGS.iter().position(|setting| setting.key == key)
}

/// The row of this flag.
pub fn by_flag(flag: &str) -> Option<usize> {
    SETTINGS.iter().position(|setting| setting.flag == flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_setting_shows_it_also_reads() {
        for setting in SETTINGS {
            let mut values = Values::default();
            (setting.set)(&mut values, &(setting.show)(&Values::default())).unwrap();
            assert_eq!(values, Values::default(), "{}", setting.key);
        }
    }

    #[test]
    fn what_is_known_of_the_workload_is_shown_as_it_was_written() {
        for (key, word) in [
            ("workload.user", "app:0"),
            ("workload.workdir", "/srv"),
            ("workload.umask", "027"),
            ("workload.nice", "-5"),
            ("workload.oom_score_adj", "300"),
            ("workload.rlimit", "nofile=1:2,core=unlimited:unlimited"),
            ("workload.no_new_privs", "true"),
            ("workload.cap_drop", "CAP_CHOWN,CAP_KILL"),
            ("workload.env_file", "/a,/b"),
            ("workload.secret", "A,B"),
            ("workload.clear_env", "true"),
            ("workload.keep_env", "A,B_*"),
        ] {
            let setting = &SETTINGS[by_key(key).unwrap()];
            let mut values = Values::default();
            (setting.set)(&mut values, word).unwrap();
            assert_ne!(values, Values::default(), "{key}");
            assert_eq!((setting.show)(&values), word, "{key}");
        }
    }

    #[test]
    fn names_follow_from_each_other_and_are_unique() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            let twin = setting.flag.to_uppercase().replace('-', "_");
            assert_eq!(setting.variable, format!("MAK_INIT_{twin}"));
            assert_eq!(by_key(setting.key), Some(at));
            assert_eq!(by_flag(setting.flag), Some(at));
        }
    }

    #[test]
    fn words_that_mean_nothing_are_refused() {
        let mut values = Values::default();
        for (key, word) in [
            ("mode", "fork"),
            ("grace", "soon"),
            ("stop_signals", ""),
            ("stop_signals", "KILL"),
            ("health.listen", "8080"),
            ("health.listen", "localhost:80"),
            ("health.listen", "unix:relative"),
            ("verify.policy", "maybe"),
            ("log.level", "loud"),
            ("log.format", "xml"),
            ("health.required", "perhaps"),
            ("workload.user", "a:b:c"),
            ("workload.workdir", "data"),
            ("workload.umask", "22"),
            ("workload.nice", "20"),
            ("workload.oom_score_adj", "1001"),
            ("workload.rlimit", "nofile"),
            ("workload.no_new_privs", "perhaps"),
            ("workload.cap_drop", "CAP_NOTHING"),
            ("workload.secret", "A=b"),
            ("workload.keep_env", "A*B"),
            ("rewrite", "TERM"),
            ("rewrite", "TERM:NONE"),
            ("expect_exit", "256=0"),
            ("expect_exit", "1"),
            ("restart.policy", "sometimes"),
            ("restart.limit", "-1"),
            ("stop_signal", "NONE"),
        ] {
            let setting = &SETTINGS[by_key(key).unwrap()];
            assert!((setting.set)(&mut values, word).is_err(), "{key} = {word}");
        }
        assert_eq!(values, Values::default());
    }
}
