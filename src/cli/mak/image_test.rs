//! `mak image test`: what was typed becomes a `trial::Request`.

use std::path::PathBuf;
use std::time::Duration;

use super::words::Words;
use super::{Opt, code, print, say, usage};
use crate::build::Platforms;
use crate::config::word;
use crate::engine::process::{self, Fault};
use crate::trial::report::Trial;
use crate::trial::run::{self, TrialError};
use crate::trial::{Limits, Request};
use crate::verify::report::Verdict;

const fn opt(flag: &'static str, value: Option<&'static str>, help: &'static str) -> Opt {
    Opt { flag, short: None, value, help }
}

/// Its options.
pub const OPTIONS: &[Opt] = &[
    opt("platform", Some("LIST"), "On which platforms (linux/amd64,linux/arm64)"),
    opt("name", Some("NAME"), "The containers' name, the architecture behind it"),
    opt("port", Some("PORT"), "The port in the container (the lowest that it exposes, or 8000)"),
    opt("timeout", Some("TIME"), "How long an answer may take to come (60s)"),
    opt("start-wait", Some("TIME"), "How long it has to stay up, unless it answers before (10s)"),
    opt("retries", Some("COUNT"), "How often the network is asked again, 2 s apart (20)"),
    opt("quick", None, "Leave out the full verification and the imports"),
    opt("no-cleanup", None, "Leave the containers, stopped"),
    opt("verbose", None, "Say each step, and all that was seen"),
    opt("test-only", None, "Never fetch the image: test what is here"),
    opt("json", None, "The report as JSON"),
    opt("profile", Some("NAME"), "What to verify inside (what the image names)"),
    opt(
        "mak-init",
        Some("DIR"),
        "The folder with linux_ARCH/mak-init, mounted into the container (dist)",
    ),
    opt(
        "option",
        Some("OPTION"),
        "An option for docker create, as --option=--read-only; may be repeated",
    ),
    opt("memory", Some("SIZE"), "What it may use at rest (512MiB)"),
    opt("processes", Some("COUNT"), "Likewise, processes and threads (256)"),
    opt("processor", Some("PERCENT"), "Likewise, of one processor (80)"),
];

/// Tests; the exit code is the verdict.
pub fn main(words: &Words) -> u8 {
    let request = match request(words) {
        Ok(request) => request,
        Err(why) => return usage(&why),
    };
    let json = match words.switch("json") {
        Ok(json) => json,
        Err(why) => return usage(&why),
    };
    if let Err(error) = process::take_interrupts() {
        say(&format!("cannot take signals: {error}"));
        return code::FAILED;
    }
    let tell = |line: &str| {
        if request.verbose {
            say(line);
        }
    };
    let mut platforms = Vec::new();
    for arch in request.platforms.all() {
        match run::on(&request, *arch, &tell) {
            Ok(found) => platforms.push(found),
            Err(error) => return refuse(&error),
        }
        if process::interrupted() {
            return refuse(&TrialError::Program(Fault::Interrupted));
        }
    }
    show(&Trial::new(&request.image, platforms), json, request.verbose)
}

fn show(trial: &Trial, json: bool, verbose: bool) -> u8 {
    let text = match json {
        true => trial.json(),
        false => Ok(trial.text(verbose)),
    };
    let printed = match text {
        Ok(text) => print(&text),
        Err(error) => {
            say(&format!("cannot write the report: {error}"));
            code::FAILED
        }
    };
    if printed != code::FINE {
        return printed;
    }
    if trial.verdict == Verdict::Fail { code::NOT_VERIFIED } else { code::FINE }
}

fn refuse(error: &TrialError) -> u8 {
    // An engine's command that was cut short fails in its own way.
    if process::interrupted() {
        say(&Fault::Interrupted.to_string());
        return code::INTERRUPTED;
    }
    say(&error.to_string());
    code::FAILED
}

fn request(words: &Words) -> Result<Request, String> {
    let [image] = &words.operands[..] else {
        return Err("name one image: mak image test IMAGE".to_owned());
    };
    let image = image.to_str().filter(|image| !image.is_empty() && !image.starts_with('-'));
    let image = image.ok_or("the image's name is no name")?.to_owned();
    let platforms = words.text("platform")?.unwrap_or_else(|| "linux/amd64,linux/arm64".to_owned());
    let platforms = Platforms::read(&platforms).map_err(|why| format!("--platform: {why}"))?;
    let defaults = Limits::default();
    let memory = words.text("memory")?.map(|size| word::bytes(&size)).transpose();
    let limits = Limits {
        memory: memory
            .map_err(|why| format!("--memory: the value {why}"))?
            .unwrap_or(defaults.memory),
        processes: number(words, "processes")?.unwrap_or(defaults.processes),
        processor: number(words, "processor")?.unwrap_or(defaults.processor),
    };
    let name = words.text("name")?.unwrap_or_else(|| format!("mak-test-{}", std::process::id()));
    Ok(Request {
        image,
        platforms,
        name,
        port: number(words, "port")?,
        timeout: time(words, "timeout", 60)?,
        start_wait: time(words, "start-wait", 10)?,
        retries: number(words, "retries")?.unwrap_or(20),
        quick: words.switch("quick")?,
        cleanup: !words.switch("no-cleanup")?,
        verbose: words.switch("verbose")?,
        pull: !words.switch("test-only")?,
        binaries: words.option("mak-init").map_or_else(|| PathBuf::from("dist"), PathBuf::from),
        profile: words.text("profile")?,
        options: words.all("option")?,
        limits,
    })
}

fn number<N: std::str::FromStr>(words: &Words, flag: &str) -> Result<Option<N>, String> {
    let value = words.text(flag)?;
    value
        .map(|value| value.parse().map_err(|_| format!("--{flag}: {value:?} is not such a number")))
        .transpose()
}

fn time(words: &Words, flag: &str, seconds: u64) -> Result<Duration, String> {
    let Some(value) = words.text(flag)? else { return Ok(Duration::from_secs(seconds)) };
    match word::duration(&value) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err(format!("--{flag}: no time is too short")),
        Err(why) => Err(format!("--{flag}: the value {why}")),
    }
}
