//! `mak-init verify`: the checks, as text or JSON; the exit code is the verdict.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::words::{self, Words};
use super::{Started, code, configuration, print, refuse, say, usage};
use crate::config::Severity;
use crate::config::resolve::Form;
use crate::platform::Root;
use crate::verify::request::{LibraryCheck, PythonCheck};
use crate::verify::{Report, Request, Verdict, verify};

/// Verifies what is named, else what the active profile names.
pub fn main(started: &Started, words: &Words) -> u8 {
    let request = match request(started, words) {
        Ok(request) => request,
        Err(code) => return code,
    };
    let format = words.option(started, "format").unwrap_or("text".into());
    if !["text", "json"].iter().any(|known| format == *known) {
        return usage("--format: the value is neither text nor json");
    }
    let report = verify(&request);
    let json = match report.json() {
        Ok(json) => json,
        Err(error) => {
            say(&format!("cannot show the report as JSON: {error}"));
            return code::FAILED;
        }
    };
    if let Some(path) = words.option(started, "report")
        && let Err(error) = std::fs::write(&path, &json)
    {
        say(&format!("cannot write the report to {}: {error}", Path::new(&path).display()));
        return code::FAILED;
    }
    let printed = if format == "json" { print(&json) } else { print(&report.text()) };
    if printed == code::FINE { exit_code(&report) } else { printed }
}

fn exit_code(report: &Report) -> u8 {
    match report.verdict {
        Verdict::Pass | Verdict::Warn => code::FINE,
        Verdict::Fail => code::NOT_VERIFIED,
    }
}

/// What was named on the command line is checked beside what the profile names.
fn request(started: &Started, words: &Words) -> Result<Request, u8> {
    let bad = |why: String| usage(&why);
    let effective = configuration(started, words).map_err(|error| refuse(&error))?;
    let full = words.switch(started, "full").map_err(bad)? || effective.form == Form::Full;
    let mut request = match &effective.profile {
        Some(profile) => Request::of_profile(profile, full, &started.environment),
        None => Request::empty(&started.environment),
    };
    request.full = full;
    if let Some(path) = words.option(started, "root") {
        request.root = root(&path)?;
    }
    for soname in words.all(started, "library").map_err(bad)? {
        request.libraries.push(LibraryCheck {
            soname,
            severity: Severity::Required,
            purpose: None,
            remedy: None,
        });
    }
    add_python(started, words, &mut request)?;
    if !words.command.is_empty() {
        request.command = Some(words.command.clone());
    }
    if request.is_empty() {
        return Err(usage(
            "there is nothing to verify: name --library, --requirements, --python, --command, \
             or a profile",
        ));
    }
    Ok(request)
}

/// The folder that `--root` names.
pub fn root(path: &OsStr) -> Result<Root, u8> {
    Root::at(Path::new(path))
        .map_err(|error| usage(&format!("--root: {}: {error}", Path::new(path).display())))
}

fn add_python(started: &Started, words: &Words, request: &mut Request) -> Result<(), u8> {
    let files = words.all(started, "requirements").map_err(|why| usage(&why))?;
    let named = match words.option(started, "python") {
        None => None,
        Some(value) => Some(words::text("python", value).map_err(|why| usage(&why))?),
    };
    if files.is_empty() && named.is_none() {
        return Ok(());
    }
    for file in &files {
        std::fs::File::open(file)
            .map_err(|error| usage(&format!("--requirements: cannot read {file}: {error}")))?;
    }
    let python = request.python.get_or_insert_with(|| PythonCheck {
        interpreter: None,
        requires: None,
        requirements: Vec::new(),
        files: Vec::new(),
        severity: Severity::Required,
    });
    python.files.extend(files.into_iter().map(PathBuf::from));
    if named.is_some() {
        python.interpreter = named;
    }
    Ok(())
}
