//! `mak deps`: what a profile needs, against this machine; `--install` puts it right.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::words::Words;
use super::{Opt, code, print, say, usage};
use crate::config::document::LARGEST;
use crate::config::resolve::{BUILT_IN, load_profile};
use crate::config::{ConfigError, Profile, suggest, word};
use crate::deps::install::Limits;
use crate::deps::survey::EngineLook;
use crate::deps::{Outcome, Plan, Settings, Survey, checker_report, install, summary, survey};
use crate::engine::process;
use crate::platform::{Root, read_regular};
use crate::verify::{Check, Verdict};

/// 128 and SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;
/// A package lock that somebody has is waited for.
const LOCK_LIMIT: Duration = Duration::from_secs(60);
/// One command or download.
const STEP_LIMIT: Duration = Duration::from_secs(600);
/// The extra where none is named.
const DEFAULT_EXTRA: &str = "full";

/// Its options.
pub const OPTIONS: &[Opt] = &[
    opt(
        "profile",
        None,
        Some("NAME"),
        "What is needed: a profile in /etc/mak-init, a built-in one, or a path",
    ),
    opt("install", None, None, "Install what is missing, then look again"),
    opt(
        "dry-run",
        None,
        None,
        "Print the commands of --install and change nothing; no container is run",
    ),
    opt(
        "extras",
        None,
        Some("NAME,..."),
        "Extras of the profile and of pyproject.toml (default <PREFIX>EXTRAS, else full)",
    ),
    opt("build", None, None, "Also what only building software needs"),
    opt("requirements", None, Some("FILE"), "Also these Python requirements; may be repeated"),
    opt("docker-only", None, None, "Look at the container engine and at nothing else"),
    opt("without-engine", None, None, "Do not look at the container engine"),
    opt(
        "mak-init",
        None,
        Some("FILE"),
        "The static binary that proves the engine (default: the one beside mak)",
    ),
    opt("root", None, Some("DIR"), "Look at this root by its files; it cannot be installed into"),
    opt("format", None, Some("FORMAT"), "text, json, junit, or ipfs-kit (the Python checker's)"),
    opt("report", None, Some("FILE"), "Write the report there too: JSON, or what --format says"),
    opt("verbose", Some('v'), None, "Show all that is as it should be, and what commands print"),
    opt("sudo", None, None, "Use sudo where root is needed and this user is not root"),
    opt("lock-timeout", None, Some("TIME"), "Wait so long for a package lock (default 60s)"),
    opt("time-limit", None, Some("TIME"), "What one command or download may take (default 10m)"),
];

const fn opt(
    flag: &'static str,
    short: Option<char>,
    value: Option<&'static str>,
    help: &'static str,
) -> Opt {
    Opt { flag, short, value, help }
}

/// Runs it; the result is the exit code.
pub fn main(words: &Words) -> u8 {
    match read(words) {
        Ok(asked) => run(&asked),
        Err(code) => code,
    }
}

/// What was asked for.
struct Asked {
    settings: Settings,
    limits: Limits,
    format: Format,
    report: Option<PathBuf>,
    install: bool,
    dry_run: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Junit,
    Checker,
}

fn run(asked: &Asked) -> u8 {
    let settings = &asked.settings;
    // Before the first look: a Ctrl-C between two steps is one too.
    if asked.install
        && let Err(error) = process::take_interrupts()
    {
        say(&format!("cannot take signals: {error}"));
        return code::FAILED;
    }
    let first = survey(settings);
    if !asked.install {
        let ended = show(asked, &first, None, None);
        let plan = Plan::of(&first, asked.limits.sudo && !asked.limits.root);
        if asked.dry_run {
            show_plan(asked, &plan);
        }
        return if ended == code::FINE { verdict(&first, false) } else { ended };
    }
    if Plan::of(&first, false).is_empty() {
        let ended = show(asked, &first, None, None);
        return if ended == code::FINE { verdict(&first, false) } else { ended };
    }
    // The second look starts from nothing; of the first only the checks are counted.
    let before = first.checks.clone();
    let outcome = install(settings, first, asked.limits);
    let ended = show(asked, &outcome.survey, Some(&before), Some(&outcome));
    if outcome.interrupted {
        return INTERRUPTED;
    }
    if ended == code::FINE { verdict(&outcome.survey, outcome.passing) } else { ended }
}

fn verdict(survey: &Survey, passing: bool) -> u8 {
    match survey.report().verdict {
        Verdict::Pass | Verdict::Warn => code::FINE,
        Verdict::Fail if passing => code::PASSING,
        Verdict::Fail => code::NOT_VERIFIED,
    }
}

fn show_plan(asked: &Asked, plan: &Plan) {
    let mut text = match plan.is_empty() {
        true => "nothing would be done\n".to_owned(),
        false => "these commands would be run:\n".to_owned(),
    };
    for command in plan.commands() {
        text.push_str(&format!("  {command}\n"));
    }
    // A program that reads the report from stdout reads nothing else there.
    if asked.format == Format::Text {
        print(&text);
    } else {
        text.lines().for_each(say);
    }
}

fn show(asked: &Asked, survey: &Survey, before: Option<&[Check]>, outcome: Option<&Outcome>) -> u8 {
    let report = survey.report();
    let verbose = asked.limits.verbose;
    let (json, shown) = match report.json() {
        Ok(json) => {
            let shown = match asked.format {
                Format::Text => {
                    format!("{}\n{}", report.text(verbose), summary::table(survey, before, outcome))
                }
                Format::Json => json.clone(),
                Format::Junit => report.junit("mak deps"),
                Format::Checker => checker_report::json(survey, &asked.settings.root, outcome),
            };
            (json, shown)
        }
        Err(error) => {
            say(&format!("cannot show the report as JSON: {error}"));
            return code::FAILED;
        }
    };
    if let Some(path) = &asked.report {
        let text = if asked.format == Format::Text { &json } else { &shown };
        if let Err(error) = std::fs::write(path, text) {
            say(&format!("cannot write the report to {}: {error}", path.display()));
            return code::FAILED;
        }
    }
    print(&shown)
}

fn read(words: &Words) -> Result<Asked, u8> {
    let bad = |why: String| usage(&why);
    if let Some(operand) = words.operands.first() {
        return Err(usage(&format!("deps takes no operand, and {operand:?} is one")));
    }
    let install = words.switch("install").map_err(bad)?;
    let dry_run = words.switch("dry-run").map_err(bad)?;
    let only = words.switch("docker-only").map_err(bad)?;
    let without = words.switch("without-engine").map_err(bad)?;
    if only && without {
        return Err(usage("--docker-only and --without-engine leave nothing to look at"));
    }
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let profile = profile(words, only)?;
    let root = match words.option("root") {
        None => Root::host(),
        Some(path) if install => {
            return Err(usage(&format!(
                "--root {}: only this machine can be installed into; run mak in that root (chroot)",
                Path::new(&path).display()
            )));
        }
        Some(path) => Root::at(Path::new(&path))
            .map_err(|error| usage(&format!("--root: {}: {error}", Path::new(&path).display())))?,
    };
    let format = match words.option("format").as_deref().map(OsStr::to_str) {
        None | Some(Some("text")) => Format::Text,
        Some(Some("json")) => Format::Json,
        Some(Some("junit")) => Format::Junit,
        Some(Some("ipfs-kit")) => Format::Checker,
        Some(_) => return Err(usage("--format: the value is none of text, json, junit, ipfs-kit")),
    };
    let (extras, files) = extras(words, &profile, &environment)?;
    let limits = Limits {
        lock: time(words, "lock-timeout", LOCK_LIMIT)?,
        step: time(words, "time-limit", STEP_LIMIT)?,
        verbose: words.switch("verbose").map_err(bad)?,
        sudo: words.switch("sudo").map_err(bad)?,
        root: nix::unistd::geteuid().is_root(),
    };
    let engine = match (only, without) {
        (true, _) => EngineLook::Only,
        (_, true) => EngineLook::Not,
        _ => EngineLook::AsProfiled,
    };
    let settings = Settings {
        profile,
        root,
        environment,
        building: words.switch("build").map_err(bad)?,
        extras,
        files,
        engine,
        prove: !dry_run,
        own_binary: words.option("mak-init").map(PathBuf::from),
    };
    let report = words.option("report").map(PathBuf::from);
    // A dry run is never anything else, whatever else is typed.
    Ok(Asked { settings, limits, format, report, install: install && !dry_run, dry_run })
}

/// The profile that is named; the engine can be looked at without one.
fn profile(words: &Words, only_engine: bool) -> Result<Profile, u8> {
    let named = words.text("profile").map_err(|why| usage(&why))?;
    let read = match named {
        Some(name) => load_profile(&name),
        None if only_engine => Profile::read("none", Path::new("none"), "prefix = \"MAK_\"\n")
            .map_err(ConfigError::File),
        None => {
            let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            return Err(usage(&format!(
                "there is nothing to look for: name a profile with --profile (built in: {})",
                known.join(", ")
            )));
        }
    };
    read.map_err(|error| {
        say(&error.to_string());
        match error {
            ConfigError::Usage(_) => code::USAGE,
            ConfigError::File(_) => code::CONFIGURATION,
        }
    })
}

/// The extras, and the files of requirements; a project's file takes the extras that it offers.
fn extras(
    words: &Words,
    profile: &Profile,
    environment: &[(OsString, OsString)],
) -> Result<(Vec<String>, Vec<PathBuf>), u8> {
    let files = words.all("requirements").map_err(|why| usage(&why))?;
    for file in &files {
        let path = crate::python::pyproject::split(Path::new(file));
        let path = path.map_or_else(|| PathBuf::from(file), |(path, _)| path);
        std::fs::File::open(&path)
            .map_err(|error| usage(&format!("--requirements: cannot read {file}: {error}")))?;
    }
    let typed = words.text("extras").map_err(|why| usage(&why))?;
    let variable = format!("{}EXTRAS", profile.prefix);
    let from_variable = environment.iter().find(|(name, _)| *name == *variable);
    let from_variable = from_variable.and_then(|(_, value)| value.to_str()).map(str::to_owned);
    let named = typed.or(from_variable);
    let text = named.as_deref().unwrap_or(DEFAULT_EXTRA);
    let extras: Vec<String> =
        text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect();
    let mut known: Vec<&str> =
        profile.packages.iter().flat_map(|entry| &entry.extras).map(String::as_str).collect();
    known.extend(
        profile.python.iter().flat_map(|python| &python.extras).map(|(name, _)| name.as_str()),
    );
    let unknown = extras.iter().find(|extra| !known.contains(&extra.as_str()));
    if let Some(extra) = unknown.filter(|_| named.is_some() && files.is_empty()) {
        let hint = suggest::hint(extra, known.iter().copied());
        return Err(usage(&format!("profile {:?} has no extra {extra:?}{hint}", profile.name)));
    }
    let with_extras = |file: String| {
        let is_project = file.ends_with("pyproject.toml") && !extras.is_empty();
        match is_project && (named.is_some() || offers(&file, DEFAULT_EXTRA)) {
            true => PathBuf::from(format!("{file}[{}]", extras.join(","))),
            false => PathBuf::from(file),
        }
    };
    let files = files.into_iter().map(with_extras).collect();
    Ok((extras, files))
}

/// Whether a project has this extra.
fn offers(file: &str, extra: &str) -> bool {
    let bytes = read_regular(Path::new(file), LARGEST).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let (table, _) = toml::de::DeTable::parse_recoverable(&text);
    let project = table.get_ref().get("project").and_then(|value| value.get_ref().as_table());
    let offered = project.and_then(|one| one.get("optional-dependencies")?.get_ref().as_table());
    offered.is_some_and(|offered| offered.contains_key(extra))
}

fn time(words: &Words, flag: &str, default: Duration) -> Result<Duration, u8> {
    match words.text(flag).map_err(|why| usage(&why))? {
        None => Ok(default),
        Some(text) => {
            word::duration(&text).map_err(|why| usage(&format!("--{flag}: {text:?} {why}")))
        }
    }
}
