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
    /// The address of the health endpoint.
    pub listen: Option<SocketAddr>,
    /// Whether a health endpoint that cannot be opened stops the start.
    pub health_required: bool,
    /// What a failed required check means.
    pub verify_policy: Policy,
    /// How long verification may take.
    pub verify_deadline: Duration,
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
            listen: None,
            health_required: false,
            verify_policy: Policy::Enforce,
            verify_deadline: Duration::from_secs(30),
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
        key: "health.listen",
        flag: "listen",
        variable: "MAK_INIT_LISTEN",
        value: Some("ADDRESS"),
        help: "Where the health endpoint listens, as IP:PORT; off for none",
        set: |values, word| {
            values.listen = match word {
                "" | "off" => None,
                _ => Some(word.parse().map_err(|_| {
                    "is not IP:PORT (127.0.0.1:9808, [::1]:9808) and not off".to_owned()
                })?),
            };
            Ok(())
        },
        show: |values| values.listen.map(|a| a.to_string()).unwrap_or_else(|| "off".to_owned()),
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

/// Settings that are lists: given several times on the command line, they are one list.
const LISTS: &[&str] = &[
    "workload.rlimit",
    "workload.cap_drop",
    "workload.env_file",
    "workload.secret",
    "workload.keep_env",
];

/// Whether the setting in this row is a list.
pub fn is_list(row: usize) -> bool {
    SETTINGS.get(row).is_some_and(|setting| LISTS.contains(&setting.key))
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
        ] {
            let setting = &SETTINGS[by_key(key).unwrap()];
            assert!((setting.set)(&mut values, word).is_err(), "{key} = {word}");
        }
        assert_eq!(values, Values::default());
    }
}
