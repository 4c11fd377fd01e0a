//! What was typed after `mak`, as plain data: nothing is looked up for it but the environment
//! twins of options.

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

use super::{SUBCOMMANDS, Subcommand};
use crate::config::{suggest, word};

/// What is to be done.
pub enum Typed {
    /// Say how to use mak, or one of its subcommands.
    Help(Option<&'static Subcommand>),
    /// Say which version this is.
    Version,
    /// Do this.
    Words(&'static Subcommand, Words),
}

/// What was typed after the words of a subcommand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// By flag, in their order; a switch has an empty value.
    options: Vec<(&'static str, OsString)>,
    /// The rest, in its order.
    pub operands: Vec<OsString>,
}

/// Reads the arguments after the program's name. The error is one line for the person.
pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Typed, String> {
    let mut arguments = arguments.peekable();
    let mut name = String::new();
    while let Some(next) = arguments.peek() {
        match next.to_str() {
            Some("-h" | "--help" | "help") if name.is_empty() => return Ok(Typed::Help(None)),
            Some("-V" | "--version") if name.is_empty() => return Ok(Typed::Version),
            _ => {}
        }
        let longer = match next.to_str() {
            Some(word) if name.is_empty() => word.to_owned(),
            Some(word) => format!("{name} {word}"),
            None => return Err(format!("{next:?} is no subcommand; mak --help lists them")),
        };
        if !SUBCOMMANDS.iter().any(|known| begins(known.name, &longer)) {
            return Err(unknown(&longer));
        }
        arguments.next();
        name = longer;
        if let Some(found) = SUBCOMMANDS.iter().find(|known| known.name == name) {
            return after(found, arguments);
        }
    }
    Err(match name.as_str() {
        "" => "a subcommand is missing; mak --help lists them".to_owned(),
        _ => format!("{name:?} is not complete; mak --help lists the subcommands"),
    })
}

/// Whether the words `start` are the first words of `name`.
fn begins(name: &str, start: &str) -> bool {
    name.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn unknown(name: &str) -> String {
    let hint = suggest::hint(name, SUBCOMMANDS.iter().map(|known| known.name));
    format!("{name:?} is no subcommand{hint}; mak --help lists them")
}

fn after(
    subcommand: &'static Subcommand,
    arguments: impl Iterator<Item = OsString>,
) -> Result<Typed, String> {
    let mut words = Words::default();
    // lexopt works with any iterator that it can own.
    let arguments: Vec<OsString> = arguments.collect();
    let mut parser = Parser::from_args(arguments);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        let (opt, spelled) = match arg {
            Arg::Long("help") | Arg::Short('h') => {
                return Ok(Typed::Help(Some(subcommand)));
            }
            Arg::Value(value) => {
                words.operands.push(value);
                continue;
            }
            Arg::Long(flag) => {
                (subcommand.options.iter().find(|opt| opt.flag == flag), { format!("--{flag}") })
            }
            Arg::Short(short) => (
                subcommand.options.iter().find(|opt| opt.short == Some(short)),
                format!("-{short}"),
            ),
        };
        let Some(opt) = opt else { return Err(no_option(subcommand, &spelled)) };
        let value = match opt.value {
            Some(_) => parser.value().map_err(|error| error.to_string())?,
            None => OsString::new(),
        };
        words.options.push((opt.flag, value));
    }
    Ok(Typed::Words(subcommand, words))
}

fn no_option(subcommand: &Subcommand, spelled: &str) -> String {
    let name = subcommand.name;
    let flags = subcommand.options.iter().map(|opt| opt.flag);
    let hint = suggest::hint(spelled.trim_start_matches('-'), flags);
    format!("{name} has no option {spelled}{hint}; mak {name} --help lists them")
}

impl Words {
    /// The last value of an option, else its environment twin's.
    pub fn option(&self, flag: &str) -> Option<OsString> {
        let typed = self.options.iter().rev().find(|(known, _)| *known == flag);
        typed
            .map(|(_, value)| value.clone())
            .or_else(|| std::env::var_os(variable(flag)).filter(|value| !value.is_empty()))
    }

    /// The same as text. The error is one line for the person.
    pub fn text(&self, flag: &str) -> Result<Option<String>, String> {
        self.option(flag).map(|value| into_text(flag, value)).transpose()
    }

    /// Every value of an option that may be repeated, else its environment twin's one.
    pub fn all(&self, flag: &str) -> Result<Vec<String>, String> {
        let typed = self.options.iter().filter(|(known, _)| *known == flag);
        let typed: Vec<OsString> = typed.map(|(_, value)| value.clone()).collect();
        let values = if typed.is_empty() { self.option(flag).into_iter().collect() } else { typed };
        values.into_iter().map(|value| into_text(flag, value)).collect()
    }

    /// Whether a switch is on, by its flag or by its environment twin's word.
    pub fn switch(&self, flag: &str) -> Result<bool, String> {
        if self.options.iter().any(|(known, _)| *known == flag) {
            return Ok(true);
        }
        let Some(value) = std::env::var_os(variable(flag)) else { return Ok(false) };
        let value = into_text(flag, value)?;
        word::switch(&value).map_err(|why| format!("{}: {why}", variable(flag)))
    }
}

/// The environment twin of a flag.
pub fn variable(flag: &str) -> String {
    format!("MAK_{}", flag.to_uppercase().replace('-', "_"))
}

fn into_text(flag: &str, value: OsString) -> Result<String, String> {
    value.into_string().map_err(|value: OsString| {
        format!("--{flag}: {:?} is not text in UTF-8", OsStr::new(&value))
    })
}
