//! `mak-init config`: the effective configuration and where each value came from.

use std::fmt::Write;

use serde::Serialize;

use super::words::Words;
use super::{Started, code, configuration, print, refuse, say, usage};
use crate::config::Effective;
use crate::config::resolve::Form;
use crate::config::setting::{Origin, SETTINGS};

/// One value.
#[derive(Serialize)]
struct Line {
    key: &'static str,
    value: String,
    origin: String,
}

/// All of them.
#[derive(Serialize)]
struct Shown {
    settings: Vec<Line>,
    profile: Option<String>,
    command: Option<Vec<String>>,
    checks: Vec<String>,
    verification: &'static str,
    warnings: Vec<String>,
}

/// Prints it in the form asked for.
#[inline(never)]
pub fn main(started: &Started, words: &Words) -> u8 {
    let effective = match configuration(started, words) {
        Ok(effective) => effective,
        Err(error) => return refuse(&error),
    };
    let shown = show(&effective);
    match words.option(started, "format").unwrap_or("text".into()).to_str() {
        Some("text") => print(&as_text(&shown)),
        Some("json") => match serde_json::to_string_pretty(&shown) {
            Ok(json) => print(&(json + "\n")),
            Err(error) => {
                say(&format!("cannot show the configuration as JSON: {error}"));
                code::FAILED
            }
        },
        _ => usage("--format: the value is neither text nor json"),
    }
}

fn show(effective: &Effective) -> Shown {
    let settings = SETTINGS
        .iter()
        .enumerate()
        .map(|(row, setting)| Line {
            key: setting.key,
            value: (setting.show)(&effective.values),
            origin: from(effective.origin(row)),
        })
        .collect();
    Shown {
        settings,
        profile: effective.profile.as_ref().map(|profile| profile.name.clone()),
        command: effective.command.clone(),
        checks: effective.checks.iter().map(|check| check.name.clone()).collect(),
        verification: match effective.form {
            Form::Off => "off",
            Form::Quick => "quick",
            Form::Full => "full",
        },
        warnings: effective.warnings.clone(),
    }
}

fn from(origin: &Origin) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::Profile(name) => format!("profile {name}"),
        Origin::File(path, line) => format!("{}:{line}", path.display()),
        Origin::Environment(variable) => format!("environment {variable}"),
        Origin::Flag(flag) => format!("--{flag}"),
    }
}

fn as_text(shown: &Shown) -> String {
    let mut out = String::new();
    for line in &shown.settings {
        let value = if line.value.is_empty() { "none" } else { &line.value };
        let _ = writeln!(out, "{:<16} = {value:<28} # {}", line.key, line.origin);
    }
    let profile = shown.profile.as_deref().unwrap_or("none");
    let _ = writeln!(out, "{:<16} = {profile}", "active profile");
    let _ = writeln!(out, "{:<16} = {}", "verification", shown.verification);
    let command = shown.command.as_ref().map(|words| words.join(" ")).unwrap_or("none".to_owned());
    let _ = writeln!(out, "{:<16} = {command}", "default command");
    let checks = if shown.checks.is_empty() { "none".to_owned() } else { shown.checks.join(", ") };
    let _ = writeln!(out, "{:<16} = {checks}", "checks");
    for warning in &shown.warnings {
        let _ = writeln!(out, "# warning: {warning}");
    }
    out
}
