//! What was typed, as plain data: no system call is made for it and nothing is looked up.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use super::Started;
use super::option::{self, OPTIONS, OwnOption};
use crate::config::resolve::is_ours;
use crate::config::setting::{SETTINGS, by_flag, by_key};
use crate::config::{suggest, word};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subcommand {
    /// Run a workload: no subcommand was named.
    Run,
    /// Check the image.
    Verify,
    /// Say whether a command would start.
    Explain,
    /// Say what this machine is.
    Platform,
    /// Ask the health endpoint.
    Healthcheck,
    /// Say how the run is.
    Status,
    /// Say what is configured.
    Config,
    /// Say how to use this.
    Help,
    /// Say which version this is.
    Version,
}

/// The subcommands that a first word can name, with their line of help.
pub const SUBCOMMANDS: &[(&str, Subcommand, &str)] = &[
    ("verify", Subcommand::Verify, "Check libraries, Python and the workload; exit code = verdict"),
    (
        "explain",
        Subcommand::Explain,
        "Say whether COMMAND would start here, and if not, why; runs nothing",
    ),
    ("platform", Subcommand::Platform, "Show what this machine is"),
    (
        "healthcheck",
        Subcommand::Healthcheck,
        "Ask the health endpoint: exit 0 or 1, for HEALTHCHECK",
    ),
    ("status", Subcommand::Status, "Show how the workload and its checks are, by the endpoint"),
    (
        "config",
        Subcommand::Config,
        "Show the effective configuration and where each value came from",
    ),
];

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// What is to be done.
    pub subcommand: Subcommand,
    /// Settings: row of the table and word.
    pub settings: Vec<(usize, String)>,
    /// `--config`.
    pub configuration_file: Option<PathBuf>,
    /// Options of the subcommand, by flag; a switch has an empty value.
    pub options: Vec<(&'static str, OsString)>,
    /// The workload, or what follows `--command`.
    pub command: Vec<OsString>,
}

/// Reads the arguments after the program's name. The error is one line for the person.
pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Words, String> {
    let mut words = Words {
        subcommand: Subcommand::Run,
        settings: Vec::new(),
        configuration_file: None,
        options: Vec::new(),
        command: Vec::new(),
    };
    let mut parser = Parser::from_args(arguments);
    loop {
        if takes_a_command(words.subcommand) && next_is(&mut parser, "--") {
            words.command = rest(&mut parser)?.split_off(1);
            refuse_an_empty_command(words.command.first())?;
            break;
        }
        let Some(argument) = parser.next().map_err(|error| error.to_string())? else { break };
        match argument {
            Arg::Short('h') => return Ok(only(Subcommand::Help)),
            Arg::Short('V') => return Ok(only(Subcommand::Version)),
            Arg::Short(letter) => return Err(unknown(&format!("-{letter}"), "")),
            Arg::Long("help") => return Ok(only(Subcommand::Help)),
            Arg::Long("version") => return Ok(only(Subcommand::Version)),
            Arg::Long(flag) => {
                let flag = flag.to_owned();
                take_option(&mut words, &mut parser, &flag)?;
            }
            Arg::Value(word) => take_word(&mut words, &mut parser, word)?,
        }
        if !words.command.is_empty() {
            break;
        }
    }
    check_options(&words)?;
    if words.subcommand == Subcommand::Run {
        take_time_limit(&mut words)?;
    }
    Ok(words)
}

/// `--timeout` of a workload is a setting; of a probe it is not.
fn take_time_limit(words: &mut Words) -> Result<(), String> {
    for (flag, value) in &words.options {
        if *flag == "timeout" {
            let row = by_key("time_limit").unwrap_or_default();
            words.settings.push((row, text(flag, value.clone())?));
        }
    }
    Ok(())
}

impl Words {
    /// The value of an option, from the command line, else from its environment twin.
    pub fn option(&self, started: &Started, flag: &str) -> Option<OsString> {
        let typed = self.options.iter().rev().find(|(known, _)| *known == flag);
        typed.map(|(_, value)| value.clone()).or_else(|| twin(started, flag))
    }

    /// All values of an option that may be repeated; its twin holds them with commas between.
    pub fn all(&self, started: &Started, flag: &str) -> Result<Vec<String>, String> {
        let typed: Vec<OsString> = self
            .options
            .iter()
            .filter(|(known, _)| *known == flag)
            .map(|(_, value)| value.clone())
            .collect();
        if !typed.is_empty() {
            return typed.into_iter().map(|value| text(flag, value)).collect();
        }
        let Some(list) = twin(started, flag) else { return Ok(Vec::new()) };
        let list = text(flag, list)?;
        Ok(list
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// Whether a switch is on.
    pub fn switch(&self, started: &Started, flag: &str) -> Result<bool, String> {
        if self.options.iter().any(|(known, _)| *known == flag) {
            return Ok(true);
        }
        match twin(started, flag) {
            None => Ok(false),
            Some(value) => {
                let named = option::by_flag(flag).map(OwnOption::variable).unwrap_or_default();
                word::switch(&value.to_string_lossy())
                    .map_err(|why| format!("{named}: its value {why}"))
            }
        }
    }
}

/// A value that has to be text.
pub fn text(flag: &str, value: OsString) -> Result<String, String> {
    value.into_string().map_err(|_| format!("--{flag}: the value is not UTF-8 text"))
}

fn twin(started: &Started, flag: &str) -> Option<OsString> {
    if !started.environment.iter().any(|(name, _)| is_ours(name)) {
        return None;
    }
    let variable = option::by_flag(flag)?.variable();
    let found = started.environment.iter().find(|(name, _)| *name == *variable);
    found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
}

fn only(subcommand: Subcommand) -> Words {
    Words {
        subcommand,
        settings: Vec::new(),
        configuration_file: None,
        options: Vec::new(),
        command: Vec::new(),
    }
}

fn next_is(parser: &mut Parser, word: &str) -> bool {
    parser.try_raw_args().is_some_and(|rest| rest.peek() == Some(OsStr::new(word)))
}

fn rest(parser: &mut Parser) -> Result<Vec<OsString>, String> {
    Ok(parser.raw_args().map_err(|error| error.to_string())?.collect())
}

/// The two for which words are a command: it is run, or looked at.
fn takes_a_command(subcommand: Subcommand) -> bool {
    matches!(subcommand, Subcommand::Run | Subcommand::Explain)
}

/// Options that go on with the next word: `--library A B` is `--library A --library B`.
const LISTS: [&str; 2] = ["library", "requirements"];

/// A first word names a subcommand or begins the workload. Most subcommands take no words but
/// the further ones of a list.
fn take_word(words: &mut Words, parser: &mut Parser, word: OsString) -> Result<(), String> {
    let list = words.options.last().map(|(flag, _)| *flag).filter(|flag| LISTS.contains(flag));
    if let Some(flag) = list.filter(|_| words.subcommand == Subcommand::Verify) {
        words.options.push((flag, word));
        return Ok(());
    }
    if !takes_a_command(words.subcommand) {
        return Err(format!("{word:?} is one word too many; see mak-init --help"));
    }
    if words.subcommand == Subcommand::Run
        && let Some((_, subcommand, _)) = SUBCOMMANDS.iter().find(|(name, ..)| word == *name)
    {
        words.subcommand = *subcommand;
        return Ok(());
    }
    refuse_an_empty_command(Some(&word))?;
    words.command.push(word);
    words.command.extend(rest(parser)?);
    Ok(())
}

fn refuse_an_empty_command(first: Option<&OsString>) -> Result<(), String> {
    match first {
        Some(word) if word.is_empty() => {
            Err("the command is an empty word; name a program".to_owned())
        }
        _ => Ok(()),
    }
}

fn take_option(words: &mut Words, parser: &mut Parser, flag: &str) -> Result<(), String> {
    if flag == "config" {
        words.configuration_file = Some(PathBuf::from(value(parser, flag)?));
        return Ok(());
    }
    if flag == "command" {
        words.options.push(("command", OsString::new()));
        words.command = rest(parser)?;
        return match words.command.first() {
            Some(first) if !first.is_empty() => Ok(()),
            _ => Err("--command: nothing follows it; name a program".to_owned()),
        };
    }
    if let Some(row) = by_flag(flag) {
        let word = match SETTINGS[row].value {
            Some(_) => text(flag, value(parser, flag)?)?,
            None => switch_word(parser, flag)?,
        };
        words.settings.push((row, word));
        return Ok(());
    }
    if let Some(own) = option::by_flag(flag) {
        let value = match own.value {
            Some(_) => value(parser, flag)?,
            None => {
                no_value(parser, flag)?;
                OsString::new()
            }
        };
        words.options.push((own.flag, value));
        if own.flag == "exec" {
            words.settings.push((by_key("mode").unwrap_or_default(), "exec".to_owned()));
        }
        return Ok(());
    }
    let known = SETTINGS.iter().map(|s| s.flag).chain(OPTIONS.iter().map(|o| o.flag));
    let known = known.chain(["config", "help", "version"]);
    let near = suggest::nearest(flag, known);
    Err(unknown(
        &format!("--{flag}"),
        &near.map(|near| format!("; did you mean --{near}?")).unwrap_or_default(),
    ))
}

fn unknown(flag: &str, hint: &str) -> String {
    format!(
        "unknown option {flag}{hint} (a workload's own options stand after the workload; see mak-init --help)"
    )
}

fn value(parser: &mut Parser, flag: &str) -> Result<OsString, String> {
    parser.value().map_err(|_| format!("--{flag} needs a value; see mak-init --help"))
}

/// A switch may be given as `--flag` or as `--flag=no`.
fn switch_word(parser: &mut Parser, flag: &str) -> Result<String, String> {
    match parser.optional_value() {
        None => Ok("true".to_owned()),
        Some(value) => text(flag, value),
    }
}

fn no_value(parser: &mut Parser, flag: &str) -> Result<(), String> {
    match parser.optional_value() {
        None => Ok(()),
        Some(_) => Err(format!("--{flag} takes no value")),
    }
}

/// An option of another subcommand is a mistake that must not pass silently.
fn check_options(words: &Words) -> Result<(), String> {
    for (flag, _) in &words.options {
        let Some(own) = option::by_flag(flag) else { continue };
        if !own.of.contains(&words.subcommand) {
            let of: Vec<&str> = SUBCOMMANDS
                .iter()
                .filter(|(_, subcommand, _)| own.of.contains(subcommand))
                .map(|(name, ..)| *name)
                .collect();
            let of = if of.is_empty() { "running a workload".to_owned() } else { of.join(", ") };
            return Err(format!("--{flag} belongs to {of}; see mak-init --help"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(typed: &[&str]) -> Result<Words, String> {
        read(typed.iter().map(OsString::from))
    }

    #[test]
    fn the_workload_begins_with_the_first_word_and_keeps_its_own_options() {
        for typed in [
            ["--grace", "3s", "prog", "--grace", "x"].as_slice(),
            &["--grace=3s", "--", "prog", "--grace", "x"],
        ] {
            let words = words(typed).unwrap();
            assert_eq!(words.subcommand, Subcommand::Run);
            assert_eq!(words.command, ["prog", "--grace", "x"]);
            assert_eq!(words.settings, [(by_flag("grace").unwrap(), "3s".to_owned())]);
        }
    }

    #[test]
    fn a_first_word_can_be_a_subcommand_and_after_dashes_it_is_a_program() {
        assert_eq!(words(&["verify", "--full"]).unwrap().subcommand, Subcommand::Verify);
        assert_eq!(words(&["--profile", "x", "verify"]).unwrap().subcommand, Subcommand::Verify);
        let program = words(&["--", "verify", "--full"]).unwrap();
        assert_eq!(program.subcommand, Subcommand::Run);
        assert_eq!(program.command, ["verify", "--full"]);
        assert_eq!(words(&["--", "--", "x"]).unwrap().command, ["--", "x"]);
    }

    #[test]
    fn explain_takes_a_command_with_the_commands_own_options() {
        for typed in [
            ["explain", "--format", "json", "verify", "--format"].as_slice(),
            &["explain", "--format", "json", "--", "verify", "--format"],
        ] {
            let words = words(typed).unwrap();
            assert_eq!(words.subcommand, Subcommand::Explain);
            assert_eq!(words.command, ["verify", "--format"]);
            assert_eq!(words.options, [("format", "json".into())]);
        }
    }

    #[test]
    fn what_nobody_knows_is_refused_with_the_nearest_name() {
        assert!(words(&["--grac", "3s", "x"]).unwrap_err().contains("--grace"));
        for typed in [
            ["-x", "y"].as_slice(),
            &["--grace"],
            &["--full", "prog"],
            &["healthcheck", "--full"],
            &["verify", "word"],
            &["verify", "--exec"],
            &["verify", "--command"],
            &["--exec=1", "x"],
            &[""],
            &["--", ""],
        ] {
            assert!(words(typed).is_err(), "{typed:?}");
        }
    }

    #[test]
    fn a_list_goes_on_with_the_next_word() {
        let words =
            words(&["verify", "--library", "a", "b", "--full", "--requirements", "r"]).unwrap();
        let flags: Vec<&str> = words.options.iter().map(|(flag, _)| *flag).collect();
        assert_eq!(flags, ["library", "library", "full", "requirements"]);
    }

    #[test]
    fn nothing_typed_is_a_run_without_a_command() {
        let words = words(&[]).unwrap();
        assert_eq!((words.subcommand, words.command.len()), (Subcommand::Run, 0));
    }

    #[test]
    fn options_of_subcommands_are_not_settings_too() {
        for own in OPTIONS {
            assert_eq!(by_flag(own.flag), None, "{}", own.flag);
        }
    }
}
