//! Takes the steps of a build. The first that fails ends its unit; the other units are tried all
//! the same, and the worst code is mak's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::builder::{BUILDER_REMEDY, Builder, Driver, emulation_remedy};
use super::dockerfile::{self, Dockerfile};
use super::hook::{Hook, Subject};
use super::plan::{self, Step, Unit};
use super::platforms::word;
use super::{Destination, Request, lint, transfer};
use crate::engine::known;
use crate::engine::process::{self, Fault, Program};
use crate::engine::quote;

/// Why there is no image, or none that may be used.
#[derive(Debug)]
pub enum BuildError {
    /// The Dockerfile cannot be read.
    Dockerfile(String, std::io::Error),
    /// No builder, or not for this.
    Builder(String),
    /// A program gave no result.
    Program(Fault),
    /// A command of the engine failed.
    Command(String, i32, Option<&'static known::Known>),
    /// The image is not what it should be.
    NotVerified(String),
    /// The scanner or signer said no.
    Refused(&'static str, String, i32),
    /// The engine said something that makes no sense.
    Answer(&'static str),
    /// A file of ours.
    File(PathBuf, std::io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Dockerfile(file, error) => write!(f, "cannot read {file}: {error}"),
            BuildError::Builder(why) => write!(f, "{why}"),
            BuildError::Program(fault) => write!(f, "{fault}"),
            BuildError::Command(command, code, known) => {
                write!(f, "failed with code {code}: {command}")?;
                match known {
                    Some(known) => write!(f, "\nmak: {}", known::line(known)),
                    None => Ok(()),
                }
            }
            BuildError::NotVerified(source) => {
                write!(f, "{source} is not what it should be: it is not pushed and gets no file")
            }
            BuildError::Refused(what, command, code) => {
                write!(f, "the {what} failed with code {code}, so no name is pushed: {command}")
            }
            BuildError::Answer(what) => write!(f, "the engine's {what} makes no sense"),
            BuildError::File(file, error) => write!(f, "{}: {error}", file.display()),
        }
    }
}

impl std::error::Error for BuildError {}

/// What the caller gives: how images are verified, and who hears of it.
pub struct Surroundings<'a> {
    /// Looks into `SOURCE`; whether it is what it should be.
    pub verify: &'a dyn Fn(&str) -> bool,
    /// One line for the person.
    pub say: &'a dyn Fn(&str),
}

/// Asks what builder there is, making it first where that was asked for.
pub fn builder(request: &Request) -> Result<Builder, BuildError> {
    let mut inspect = vec!["docker", "buildx", "inspect", "--bootstrap"];
    inspect.extend(request.builder.as_deref());
    let mut inspected = process::run(&Program::new(&inspect)).map_err(BuildError::Program)?;
    if !inspected.well() && request.create_builder {
        let name = request.builder.as_deref().unwrap_or("mak");
        command(&create_words(request, name), true)?;
        inspected = process::run(&Program::new(&inspect)).map_err(BuildError::Program)?;
    }
    if !inspected.well() {
        let known = known::find(&inspected.err).map(|known| format!("; {}", known.remedy));
        return Err(BuildError::Builder(format!(
            "there is no builder: {}{}; --create-builder makes one",
            inspected.last_line(),
            known.unwrap_or_default(),
        )));
    }
    let store = ["docker", "info", "--format", "{{json .DriverStatus}}"];
    let store = process::run(&Program::new(&store)).map_err(BuildError::Program)?;
    Ok(Builder::read(&inspected.out, store.out.contains("io.containerd.snapshotter")))
}

/// Makes a builder for the platforms.
pub fn create_words(request: &Request, name: &str) -> Vec<String> {
    let platforms = request.platforms.words();
    ["docker", "buildx", "create", "--name", name, "--driver", "docker-container", "--platform"]
        .into_iter()
        .chain([platforms.as_str(), "--bootstrap"])
        .map(ToOwned::to_owned)
        .collect()
}

/// Whether this builder can do it.
pub fn fits(request: &Request, builder: &Builder, runs: bool) -> Result<(), BuildError> {
    if builder.driver == Driver::Classic && request.platforms.several() {
        let why = "the engine's own builder holds one platform of an image";
        return Err(BuildError::Builder(format!("{why}: {BUILDER_REMEDY}")));
    }
    if builder.driver == Driver::Apart
        && request.destination == Destination::Load
        && request.platforms.several()
    {
        let why = "a builder apart can load one platform into the engine";
        return Err(BuildError::Builder(format!("{why}: use --push or --output, or one platform")));
    }
    let lacking = builder.lacks(&request.platforms);
    if runs && !lacking.is_empty() {
        let names: Vec<String> = lacking.iter().map(|arch| word(*arch)).collect();
        return Err(BuildError::Builder(format!(
            "the builder cannot run programs for {}, and the Dockerfile does: {}",
            names.join(", "),
            emulation_remedy(&lacking)
        )));
    }
    Ok(())
}

/// Reads the unit's Dockerfile and says what will go wrong with it.
pub fn read(unit: &Unit, around: &Surroundings) -> Result<Dockerfile, BuildError> {
    let failed = |error| BuildError::Dockerfile(unit.file.clone(), error);
    let size = std::fs::metadata(&unit.file).map_err(failed)?.len();
    if size > dockerfile::LONGEST {
        return Err(failed(std::io::Error::other("is longer than 1 MiB")));
    }
    let text = std::fs::read_to_string(&unit.file).map_err(failed)?;
    let file = Dockerfile::read(&text);
    for warning in lint::lint(&file, unit.target.as_deref()) {
        let lint::Warning { rule, line, message } = warning;
        (around.say)(&format!("warning: {}:{line}: {message} [{rule}]", unit.file));
    }
    Ok(file)
}

/// Builds one unit: takes its steps in order.
pub fn build(
    request: &Request,
    unit: &Unit,
    builder: &Builder,
    around: &Surroundings,
) -> Result<(), BuildError> {
    let file = read(unit, around)?;
    fits(request, builder, lint::runs_on_target(&file, unit.target.as_deref()))?;
    let work = Work::new()?;
    let mut course = Course { request, work: &work, digest: String::new(), parts: BTreeMap::new() };
    for step in plan::steps(request, unit, &file, builder.driver) {
        course.take(&step, around)?;
    }
    if !course.digest.is_empty() {
        (around.say)(&format!("built {} {}", unit.image, course.digest));
    }
    Ok(())
}

/// A folder for what is only needed meanwhile; it goes with us.
struct Work(PathBuf);

impl Work {
    fn new() -> Result<Work, BuildError> {
        let name = format!("mak-build-{}-{:?}", std::process::id(), std::time::Instant::now());
        let name: String =
            name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).map_err(|error| BuildError::File(folder.clone(), error))?;
        Ok(Work(folder))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where a unit has come to.
struct Course<'a> {
    request: &'a Request,
    work: &'a Work,
    digest: String,
    parts: BTreeMap<String, String>,
}

/// What `--metadata-file` is asked for.
#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "containerimage.digest")]
    digest: String,
}

/// What an index is asked for.
#[derive(Deserialize)]
struct Index {
    manifests: Vec<Manifest>,
}

#[derive(Deserialize)]
struct Manifest {
    digest: String,
    platform: Option<Part>,
}

#[derive(Deserialize)]
struct Part {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Course<'_> {
    fn take(&mut self, step: &Step, around: &Surroundings) -> Result<(), BuildError> {
        match step {
            Step::Build(words) => {
                command(&self.fill(words), true)?;
                self.digest = self.metadata()?;
                Ok(())
            }
            Step::Run(words) => command(&self.fill(words), true).map(|_| ()),
            Step::Index(words) => {
                let said = command(&self.fill(words), false)?;
                self.parts = parts(&said).ok_or(BuildError::Answer("index"))?;
                Ok(())
            }
            Step::Verify(source) => {
                let source = self.filled(source);
                if (around.verify)(&source) { Ok(()) } else { Err(BuildError::NotVerified(source)) }
            }
            Step::Hook(what, hook, reference) => self.ask(what, hook, reference),
            Step::Pack(file) => self.pack(Path::new(file)),
        }
    }

    fn ask(&self, what: &'static str, hook: &Hook, reference: &str) -> Result<(), BuildError> {
        let reference = self.filled(reference);
        let platforms = self.request.platforms.all();
        let platforms: Vec<String> = platforms.iter().map(|arch| word(*arch)).collect();
        let subject =
            Subject { reference: &reference, digest: &self.digest, platforms: &platforms };
        for words in hook.commands(&subject) {
            let done = process::run(&Program::new(&words).shown()).map_err(BuildError::Program)?;
            if !done.well() {
                return Err(BuildError::Refused(what, quote::show(&words), done.code));
            }
        }
        Ok(())
    }

    fn pack(&self, file: &Path) -> Result<(), BuildError> {
        let partial = transfer::partial(file);
        let from = self.work.0.join("image.tar");
        let words = ["zstd", "-q", "-f", "-T0"].map(String::from).into_iter();
        let paths = [from.display().to_string(), "-o".to_owned(), partial.display().to_string()];
        let packed = command(&words.chain(paths).collect::<Vec<_>>(), true);
        let finished = packed.and_then(|_| {
            transfer::finish(file).map_err(|error| BuildError::File(file.to_owned(), error))
        });
        if finished.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        finished.map(|_| ())
    }

    fn metadata(&self) -> Result<String, BuildError> {
        let path = self.work.0.join("metadata.json");
        let text = std::fs::read_to_string(&path).map_err(|error| BuildError::File(path, error))?;
        let read: Result<Metadata, _> = serde_json::from_str(&text);
        read.map(|metadata| metadata.digest).map_err(|_| BuildError::Answer("metadata file"))
    }

    fn fill(&self, words: &[String]) -> Vec<String> {
        words.iter().map(|word| self.filled(word)).collect()
    }

    fn filled(&self, word: &str) -> String {
        let mut word = word
            .replace("{digest}", &self.digest)
            .replace("{work}", &self.work.0.to_string_lossy());
        for (platform, digest) in &self.parts {
            word = word.replace(&format!("{{digest:{platform}}}"), digest);
        }
        word
    }
}

/// The digests of an index by platform.
fn parts(index: &str) -> Option<BTreeMap<String, String>> {
    let index: Index = serde_json::from_str(index).ok()?;
    let named = index.manifests.into_iter().filter_map(|manifest| {
        let Part { os, architecture, variant } = manifest.platform?;
        let variant = variant.filter(|variant| variant != "v8");
        let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
        Some((format!("{os}/{architecture}{variant}"), manifest.digest))
    });
    Some(named.collect())
}

/// Runs a command of the engine; its stdout.
fn command(words: &[String], shown: bool) -> Result<String, BuildError> {
    let program = Program::new(words);
    let program = if shown { program.shown() } else { program };
    let done = process::run(&program).map_err(BuildError::Program)?;
    if done.well() {
        return Ok(done.out);
    }
    let known = known::find(&done.err).or_else(|| known::find(&done.out));
    Err(BuildError::Command(quote::show(words), done.code, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_taken_apart_by_platform() {
        let index = r#"{"manifests":[
            {"digest":"sha256:a","platform":{"os":"linux","architecture":"arm64","variant":"v8"}},
            {"digest":"sha256:b","platform":{"os":"linux","architecture":"arm","variant":"v7"}},
            {"digest":"sha256:c","platform":{"os":"unknown","architecture":"unknown"}},
            {"digest":"sha256:d"}]}"#;
        let parts = parts(index).unwrap();
        assert_eq!(parts["linux/arm64"], "sha256:a");
        assert_eq!(parts["linux/arm/v7"], "sha256:b");
    }
}
