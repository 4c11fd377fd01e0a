//! `mak-init verify`: the checks, as text, JSON or JUnit XML; the exit code is the verdict.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::words::{self, Words};
use super::{Started, code, configuration, print, refuse, say, usage};
use crate::config::resolve::{Effective, Form};
use crate::config::setting::{Origin, by_key};
use crate::config::{Severity, catalogue, word};
use crate::loader::Processor;
use crate::platform::file::Place;
use crate::platform::userland::root_arch;
use crate::platform::{Root, Uname};
use crate::python::pyproject;
use crate::verify::request::{LibraryCheck, PythonCheck};
use crate::verify::{Report, Request, Verdict, verify};

/// Verifies what is named, else what the active profile names.
#[inline(never)]
pub fn main(started: &Started, words: &Words) -> u8 {
    if let Some(id) = words.option(started, "explain") {
        return explain(&id.to_string_lossy());
    }
    let request = match request(started, words) {
        Ok(request) => request,
        Err(code) => return code,
    };
    let format = match words.option(started, "format").as_deref().map(OsStr::to_str) {
        None | Some(Some("text")) => Format::Text,
        Some(Some("json")) => Format::Json,
        Some(Some("junit")) => Format::Junit,
        Some(_) => return usage("--format: the value is none of text, json and junit"),
    };
    let verbose = match words.switch(started, "verbose") {
        Ok(verbose) => verbose,
        Err(why) => return usage(&why),
    };
    let report = verify(&request);
    let json = || {
        report.json().map_err(|error| {
            say(&format!("cannot show the report as JSON: {error}"));
            code::FAILED
        })
    };
    if let Some(path) = words.option(started, "report") {
        let json = match json() {
            Ok(json) => json,
            Err(code) => return code,
        };
        if let Err(error) = std::fs::write(&path, json) {
            let path = Path::new(&path).display();
            say(&format!("cannot write the report to {path}: {error}"));
            return code::FAILED;
        }
    }
    let printed = match format {
        Format::Text => print(&report.text(verbose)),
        Format::Json => json().map_or_else(|code| code, |json| print(&json)),
        Format::Junit => print(&report.junit()),
    };
    if printed == code::FINE { exit_code(&report) } else { printed }
}

enum Format {
    Text,
    Json,
    Junit,
}

fn explain(id: &str) -> u8 {
    match catalogue::find(id) {
        Some(page) => print(&page.text()),
        None => usage(&format!("--explain: there is no check {id:?}{}", catalogue::hint(id))),
    }
}

fn exit_code(report: &Report) -> u8 {
    match report.verdict {
        Verdict::Pass | Verdict::Warn => code::FINE,
        Verdict::Fail => code::NOT_VERIFIED,
    }
}

/// By when it has to have ended, where that was typed: what the image's own configuration allows a
/// start is not what a build may take that reads every byte.
fn deadline(effective: &Effective) -> Option<Duration> {
    let row = by_key("verify.deadline")?;
    let said = matches!(effective.origin(row), Origin::Flag(_));
    said.then_some(effective.values.verify_deadline)
}

/// Ends this process with the verdict of a missed deadline, whatever it waits for then.
fn end_after(deadline: Duration) {
    let end = move || {
        std::thread::sleep(deadline);
        say(&format!("verification failed: it took longer than {deadline:?} (verify.deadline)"));
        std::process::exit(i32::from(code::NOT_VERIFIED));
    };
    // Where there is no thread to be had, verification goes on without a limit, as by default.
    let _ = std::thread::Builder::new().spawn(end);
}

/// What was named on the command line is checked beside what the profile names.
fn request(started: &Started, words: &Words) -> Result<Request, u8> {
    let bad = |why: String| usage(&why);
    let effective = configuration(started, words).map_err(|error| refuse(&error))?;
    if let Some(deadline) = deadline(&effective) {
        end_after(deadline);
    }
    let full = words.switch(started, "full").map_err(bad)?
        || words.switch(started, "hashes").map_err(bad)?
        || effective.form == Form::Full;
    let mut request = match &effective.profile {
        Some(profile) => Request::of_profile(profile, full, &started.environment),
        None => Request::empty(&started.environment),
    };
    request.hashes = words.switch(started, "hashes").map_err(bad)?;
    request.full = full || request.hashes;
    if let Some(path) = words.option(started, "root") {
        request.root = root(&path)?;
    }
    request.expect_platform = effective.values.expect_platform.clone();
    describe_machine(started, words, &mut request)?;
    if words.switch(started, "verbose").map_err(bad)? {
        request.root = request.root.with_trail();
    }
    for soname in words.all(started, "library").map_err(bad)? {
        request.libraries.push(LibraryCheck {
            soname,
            symbol_version: None,
            severity: Severity::Required,
            purpose: None,
            remedy: None,
        });
    }
    add_python(started, words, &mut request)?;
    if !words.command.is_empty() {
        request.command = Some(words.command.clone());
    } else if let Some(command) = effective.profile.as_ref().and_then(|it| it.command.as_ref()) {
        request.usual_command = Some(command.iter().map(OsString::from).collect());
    }
    if request.is_empty() {
        return Err(usage(
            "there is nothing to verify: name --library, --requirements, --python, --command, \
             --expect-platform, or a profile",
        ));
    }
    Ok(request)
}

/// The folder that `--root` names.
pub fn root(path: &OsStr) -> Result<Root, u8> {
    Root::at(Path::new(path))
        .map_err(|error| usage(&format!("--root: {}: {error}", Path::new(path).display())))
}

/// The machine that the image is meant for, where it is not this one.
fn describe_machine(started: &Started, words: &Words, request: &mut Request) -> Result<(), u8> {
    if let Some(value) = words.option(started, "page-size") {
        let named = words::text("page-size", value).map_err(|why| usage(&why))?;
        let size = word::bytes(&named).ok().filter(|size| size.is_power_of_two() && *size >= 1024);
        let Some(size) = size else {
            return Err(usage(&format!("--page-size: {named:?} is not like 4096 or 64KiB")));
        };
        request.page_size = Some(size);
    }
    if let Some(value) = words.option(started, "cpu-level") {
        let named = words::text("cpu-level", value).map_err(|why| usage(&why))?;
        let own = Uname::of_this_process().arch();
        let arch = root_arch(&request.root, own).or(own);
        let arch = arch.ok_or_else(|| usage("--cpu-level: the architecture is not known"))?;
        let processor = Processor::named(arch, &named);
        request.processor = Some(processor.map_err(|why| usage(&format!("--cpu-level: {why}")))?);
    }
    Ok(())
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
        let path =
            pyproject::split(Path::new(file)).map_or_else(|| PathBuf::from(file), |(path, _)| path);
        Place::Path(path)
            .open()
            .map_err(|error| usage(&format!("--requirements: cannot read {file}: {error}")))?;
    }
    let python = request.python.get_or_insert_with(PythonCheck::of_any);
    python.files.extend(files.into_iter().map(PathBuf::from));
    if named.is_some() {
        python.interpreter = named;
    }
    Ok(())
}
