//! `mak build`: what was typed becomes a `build::Request`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::words::Words;
use super::{Opt, code, print, say, usage};
use crate::build::builder::Driver;
use crate::build::hook::Hook;
use crate::build::plan;
use crate::build::run::{self, BuildError, Surroundings};
use crate::build::{Destination, Platforms, Request, platforms, tags};
use crate::engine::process::{self, Fault, Program};
use crate::engine::quote;
use crate::platform::Arch;

const fn opt(flag: &'static str, value: Option<&'static str>, help: &'static str) -> Opt {
    Opt { flag, short: None, value, help }
}

const fn short(short: char, flag: &'static str, value: &'static str, help: &'static str) -> Opt {
    Opt { flag, short: Some(short), value: Some(value), help }
}

/// Its options.
pub const OPTIONS: &[Opt] = &[
    short('i', "image", "NAME", "The image's name, without a tag; required but for --check"),
    short('t', "tag", "TAG", "A tag; may be repeated (latest, where nothing else says)"),
    opt(
        "environment",
        Some("ENV"),
        "Tags as deployments pull them: ENV-DATE-TIME, ENV-latest, ENV-ARCH-latest, the revision",
    ),
    opt(
        "production-platform",
        Some("PLATFORM"),
        "The platform that names without architecture stand for (linux/arm64)",
    ),
    opt("revision", Some("SHA"), "The revision; git's short one, where git knows it"),
    short(
        'f',
        "file",
        "FILE",
        "A Dockerfile; may be repeated, each is tried (Dockerfile in the context)",
    ),
    short('c', "context", "DIR", "The build context (.)"),
    opt("target", Some("STAGE"), "A stage to build; may be repeated, each is tried"),
    opt("build-arg", Some("NAME=VALUE"), "A build argument; may be repeated"),
    opt("build-context", Some("NAME=DIR"), "A named context; may be repeated"),
    opt("platform", Some("LIST"), "What to build for (linux/amd64,linux/arm64)"),
    opt("no-cache", None, "Build every step anew"),
    opt("cache-from", Some("CACHE"), "Where layers may come from; may be repeated"),
    opt("cache-to", Some("CACHE"), "Where layers are kept; may be repeated"),
    opt("load", None, "Into the engine's own store (the default)"),
    opt("push", None, "To the registry, after verification, scan and signature"),
    short(
        'o',
        "output",
        "FILE",
        "Into a compressed OCI archive, FILE.tar.zst, and FILE.tar.zst.sha256",
    ),
    opt("registry", Some("HOST[/PATH]"), "Put before the image's name"),
    opt("builder", Some("NAME"), "The builder (the engine's own)"),
    opt("create-builder", None, "Make the builder, if there is none of that name"),
    opt("build-only", None, "Neither verify nor scan nor sign"),
    opt("profile", Some("NAME"), "The profile the image is verified against"),
    opt(
        "scan",
        Some("COMMAND"),
        "Run on what was built, with {ref} {digest} {platform} filled in; a failure stops the push",
    ),
    opt("sign", Some("COMMAND"), "Run before names are pushed, likewise"),
    opt("check", None, "Look at builder, emulation and Dockerfiles; build nothing"),
    opt("dry-run", None, "Print the commands; start nothing"),
];

/// Builds; the result is the worst code of all that was to be built.
pub fn main(words: &Words) -> u8 {
    let (request, mode) = match request(words) {
        Ok(read) => read,
        Err(why) => return usage(&why),
    };
    if mode == Mode::Build
        && let Err(error) = process::take_interrupts()
    {
        say(&format!("cannot take signals: {error}"));
        return code::FAILED;
    }
    let verify = |source: &str| verified(&request, source);
    let around = Surroundings { verify: &verify, say: &say };
    match mode {
        Mode::DryRun => dry_run(&request, &around),
        Mode::Check => check(&request, &around),
        Mode::Build => build(&request, &around),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Build,
    Check,
    DryRun,
}

fn build(request: &Request, around: &Surroundings) -> u8 {
    let builder = match run::builder(request) {
        Ok(builder) => builder,
        Err(error) => return refuse(&error),
    };
    let mut worst = code::FINE;
    for unit in plan::units(request) {
        if let Err(error) = run::build(request, &unit, &builder, around) {
            worst = worst.max(refuse(&error));
        }
        if process::interrupted() {
            return code::INTERRUPTED;
        }
    }
    worst
}

fn check(request: &Request, around: &Surroundings) -> u8 {
    let builder = match run::builder(request) {
        Ok(builder) => builder,
        Err(error) => return refuse(&error),
    };
    say(&format!("the builder runs {}", builder.platforms.join(", ")));
    if let Err(error) = run::fits(request, &builder, true) {
        return refuse(&error);
    }
    let mut worst = code::FINE;
    for unit in plan::units(request) {
        if std::path::Path::new(&unit.file).exists()
            && let Err(error) = run::read(&unit, around)
        {
            worst = worst.max(refuse(&error));
        }
    }
    worst
}

/// Nothing is asked: a named builder is taken for one apart, the engine's own for one that holds
/// several platforms.
fn dry_run(request: &Request, around: &Surroundings) -> u8 {
    let driver = if request.builder.is_some() { Driver::Apart } else { Driver::Engine };
    let mut text = String::new();
    if request.create_builder {
        let name = request.builder.as_deref().unwrap_or("mak");
        text.push_str(&quote::show(&run::create_words(request, name)));
        text.push('\n');
    }
    let mut worst = code::FINE;
    for unit in plan::units(request) {
        match run::read(&unit, around) {
            Ok(file) => {
                text.push_str(&plan::show(request, &plan::steps(request, &unit, &file, driver)));
            }
            Err(error) => worst = worst.max(refuse(&error)),
        }
    }
    worst.max(print(&text))
}

fn refuse(error: &BuildError) -> u8 {
    say(&error.to_string());
    match error {
        BuildError::Program(Fault::Interrupted) => code::INTERRUPTED,
        BuildError::NotVerified(_) | BuildError::Refused(..) => code::NOT_VERIFIED,
        BuildError::Dockerfile(..) => code::USAGE,
        _ => code::FAILED,
    }
}

fn request(words: &Words) -> Result<(Request, Mode), String> {
    let mode = match (words.switch("dry-run")?, words.switch("check")?) {
        (true, _) => Mode::DryRun,
        (false, true) => Mode::Check,
        (false, false) => Mode::Build,
    };
    if let Some(extra) = words.operands.first() {
        return Err(format!("{extra:?}: build takes no operands; the context is --context DIR"));
    }
    let image = match words.text("image")? {
        Some(image) => image,
        None if mode == Mode::Check => "unnamed".to_owned(),
        None => return Err("--image NAME is missing: what to call what is built".to_owned()),
    };
    let image = match words.text("registry")? {
        Some(registry) => format!("{}/{image}", registry.trim_end_matches('/')),
        None => image,
    };
    valid_image(&image)?;
    let context = words.text("context")?.unwrap_or_else(|| ".".to_owned());
    let mut files = words.all("file")?;
    if files.is_empty() {
        files.push(format!("{}/Dockerfile", context.trim_end_matches('/')));
    }
    let targets = words.all("target")?;
    let wanted = words.text("platform")?.unwrap_or_else(|| "linux/amd64,linux/arm64".to_owned());
    let wanted = Platforms::read(&wanted).map_err(|why| format!("--platform: {why}"))?;
    let destination = destination(words)?;
    if matches!(destination, Destination::File(_)) && files.len() * targets.len().max(1) > 1 {
        return Err("--output: one file holds one image; name one Dockerfile and target".to_owned());
    }
    let epoch = epoch()?;
    let now = match epoch {
        Some(epoch) => epoch,
        None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    };
    let revision = words.text("revision")?.or_else(|| revision(&context));
    let tags = words.all("tag")?;
    let names = tags::names(&tags::Source {
        environment: words.text("environment")?.as_deref(),
        tags: &tags,
        revision: revision.as_deref(),
        now,
        platforms: &wanted,
        production: production(words)?,
    })?;
    let request = Request {
        image,
        names,
        files,
        context,
        targets,
        build_args: pairs(words, "build-arg")?,
        build_contexts: pairs(words, "build-context")?,
        platforms: wanted,
        no_cache: words.switch("no-cache")?,
        cache_from: words.all("cache-from")?,
        cache_to: words.all("cache-to")?,
        destination,
        builder: words.text("builder")?,
        create_builder: words.switch("create-builder")?,
        build_only: words.switch("build-only")?,
        profile: words.text("profile")?,
        scan: hook(words, "scan")?,
        sign: hook(words, "sign")?,
        revision,
        epoch,
        now,
    };
    if request.build_only && (request.scan.is_some() || request.sign.is_some()) {
        return Err("--build-only leaves out --scan and --sign: give one or the other".to_owned());
    }
    if request.sign.is_some() && request.destination == Destination::Load {
        return Err("--sign needs --push or --output: what is only here has nobody to show a \
                    signature to"
            .to_owned());
    }
    Ok((request, mode))
}

fn production(words: &Words) -> Result<Arch, String> {
    let Some(word) = words.text("production-platform")? else { return Ok(Arch::Arm64) };
    platforms::read_one(&word).map_err(|why| format!("--production-platform: {why}"))
}

fn destination(words: &Words) -> Result<Destination, String> {
    let file = words.option("output").map(PathBuf::from);
    match (words.switch("load")?, words.switch("push")?, file) {
        (_, false, None) => Ok(Destination::Load),
        (false, true, None) => Ok(Destination::Push),
        (false, false, Some(file)) => {
            let name = file.to_string_lossy().into_owned();
            if name.ends_with(".tar.zst") {
                Ok(Destination::File(file))
            } else {
                Err(format!("--output {name}: the name of the archive ends in .tar.zst"))
            }
        }
        _ => Err("--load, --push and --output: give one of them".to_owned()),
    }
}

fn hook(words: &Words, flag: &str) -> Result<Option<Hook>, String> {
    let line = words.text(flag)?;
    line.map(|line| Hook::read(&line).map_err(|why| format!("--{flag}: {why}"))).transpose()
}

fn pairs(words: &Words, flag: &str) -> Result<Vec<String>, String> {
    let all = words.all(flag)?;
    // An argument without a value takes the environment's, as docker's own does; a context has one.
    match all
        .iter()
        .find(|one| one.starts_with('=') || flag == "build-context" && !one.contains('='))
    {
        Some(wrong) => Err(format!("--{flag} {wrong}: write NAME=VALUE")),
        None => Ok(all),
    }
}

/// What the engine takes for a name, and no more than a name: a tag would get a second one.
fn valid_image(image: &str) -> Result<(), String> {
    let last = image.rsplit('/').next().unwrap_or_default();
    let letters =
        image.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c));
    if last.contains(':') {
        return Err(format!("--image {image}: leave the tag out; --tag names it"));
    }
    let parts = image.split('/').all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()));
    if letters && parts { Ok(()) } else { Err(format!("--image {image}: is no image's name")) }
}

fn epoch() -> Result<Option<u64>, String> {
    let value = std::env::var("SOURCE_DATE_EPOCH").ok().filter(|value| !value.is_empty());
    let read = |value: String| {
        value.parse().map_err(|_| format!("SOURCE_DATE_EPOCH: {value:?} is no number of seconds"))
    };
    value.map(read).transpose()
}

/// Git's word for what is built; nothing where git is not, or knows nothing.
fn revision(context: &str) -> Option<String> {
    let words = ["git", "-C", context, "rev-parse", "--short=12", "HEAD"];
    let done = process::run(&Program::new(&words)).ok()?;
    Some(done.out.trim().to_owned()).filter(|sha| done.well() && !sha.is_empty())
}

/// Looks into an image in a process of its own: what it maps and spools goes with it.
fn verified(request: &Request, source: &str) -> bool {
    let mut words = plan::verify_words(request, source);
    match std::env::current_exe() {
        Ok(program) => words[0] = program.to_string_lossy().into_owned(),
        Err(error) => {
            say(&format!("cannot find mak itself: {error}"));
            return false;
        }
    }
    match process::run(&Program::new(&words).shown()) {
        Ok(done) => done.well(),
        Err(fault) => {
            say(&fault.to_string());
            false
        }
    }
}
