//! The steps of a build, as data: shown by `--dry-run`, taken by `run`. The order is the promise:
//! nothing gets a name in a registry before it was built, looked into, scanned and signed.

use super::builder::Driver;
use super::dockerfile::Dockerfile;
use super::hook::Hook;
use super::platforms::word;
use super::{Destination, Request, tags};
use crate::engine::quote;
use crate::platform::Arch;

/// One Dockerfile and target of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The Dockerfile.
    pub file: String,
    /// The target, if not the last stage.
    pub target: Option<String>,
    /// The image's name; with several units each has its own.
    pub image: String,
}

/// A step. Words may hold places: `{digest}`, `{digest:linux/arm64}`, `{work}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Builds, and learns the digest.
    Build(Vec<String>),
    /// Runs a command of the engine.
    Run(Vec<String>),
    /// Learns the digests of the platforms from the index.
    Index(Vec<String>),
    /// Looks into the image.
    Verify(String),
    /// Asks another program: scan or sign.
    Hook(&'static str, Hook, String),
    /// Compresses the archive and writes the checksum.
    Pack(String),
}

/// The units of a request, in the order they were asked for.
pub fn units(request: &Request) -> Vec<Unit> {
    let targets: Vec<Option<&String>> = if request.targets.is_empty() {
        vec![None]
    } else {
        request.targets.iter().map(Some).collect()
    };
    let mut units = Vec::new();
    for file in &request.files {
        for target in &targets {
            let mut image = request.image.clone();
            if request.files.len() > 1 {
                image = format!("{image}-{}", stem(file));
            }
            if let Some(target) = target.filter(|_| targets.len() > 1) {
                image = format!("{image}-{}", target.to_lowercase());
            }
            units.push(Unit { file: file.clone(), target: target.cloned(), image });
        }
    }
    units
}

/// What tells a Dockerfile from the others: `Dockerfile.gpu` → gpu, `gpu.Dockerfile` → gpu,
/// `gpu/Dockerfile` → gpu.
fn stem(file: &str) -> String {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let folder = folder.rsplit('/').next().unwrap_or_default();
    let own = name.strip_prefix("Dockerfile.").or_else(|| name.strip_suffix(".Dockerfile"));
    let stem = own.unwrap_or(if folder.is_empty() || folder == "." { "default" } else { folder });
    stem.to_lowercase()
}

/// The steps of one unit.
pub fn steps(request: &Request, unit: &Unit, file: &Dockerfile, driver: Driver) -> Vec<Step> {
    let several = request.platforms.several();
    let mut names: Vec<String> = request.names.whole.clone();
    if !several {
        names.extend(request.names.each.iter().flat_map(|(_, names)| names.clone()));
    }
    let full = |tag: &String| format!("{}:{tag}", unit.image);
    let names: Vec<String> = names.iter().map(full).collect();
    let each: Vec<(Arch, Vec<String>)> = request
        .names
        .each
        .iter()
        .filter(|_| several)
        .map(|(arch, names)| (*arch, names.iter().map(full).collect()))
        .collect();
    let building = Building { request, unit, file };
    match (&request.destination, driver) {
        (Destination::File(file), _) => building.archived(&file.to_string_lossy()),
        (Destination::Push, Driver::Apart) => building.by_digest(&names, &each),
        (destination, driver) => {
            building.within_engine(&names, &each, *destination == Destination::Push, driver)
        }
    }
}

struct Building<'a> {
    request: &'a Request,
    unit: &'a Unit,
    file: &'a Dockerfile,
}

impl Building<'_> {
    /// Into the engine's store, looked at there, then pushed from there.
    fn within_engine(
        &self,
        names: &[String],
        each: &[(Arch, Vec<String>)],
        push: bool,
        driver: Driver,
    ) -> Vec<Step> {
        // The classic store knows no attestations; a builder apart has to send the image over.
        let output = match driver {
            Driver::Engine => ["--provenance", "mode=max", "--output", "type=image"].as_slice(),
            Driver::Classic | Driver::Apart => ["--provenance", "false", "--load"].as_slice(),
        };
        let platforms = self.request.platforms.words();
        let mut steps = vec![Step::Build(self.words(&platforms, names, output, true))];
        // Everything is in the cache by now: these only give names to parts of the index.
        for (arch, names) in each {
            steps.push(Step::Run(self.words(&word(*arch), names, output, false)));
        }
        let Some(first) = names.first() else { return steps };
        self.look(&mut steps, &format!("docker:{first}"), first);
        let sign = self.request.sign.as_ref().filter(|_| push && !self.request.build_only);
        if let Some(hook) = sign {
            // A signature is stored beside what it signs, so that has to be there first, under a
            // name that nobody pulls.
            let candidate = format!("{}:candidate-{}", self.unit.image, self.request.now);
            steps.push(run(&["docker", "tag", first, &candidate]));
            steps.push(run(&["docker", "push", &candidate]));
            steps.push(run(&["docker", "rmi", &candidate]));
            steps.push(Step::Hook("sign", hook.clone(), format!("{}@{{digest}}", self.unit.image)));
        }
        if push {
            let all = names.iter().chain(each.iter().flat_map(|(_, names)| names));
            steps.extend(all.map(|name| run(&["docker", "push", name])));
        }
        steps
    }

    /// Into the registry without a name, looked at there, then named.
    fn by_digest(&self, names: &[String], each: &[(Arch, Vec<String>)]) -> Vec<Step> {
        let image = &self.unit.image;
        let mut output =
            format!("type=image,name={image},push-by-digest=true,name-canonical=true,push=true");
        output.push_str(self.rewrite());
        let platforms = self.request.platforms.words();
        let output = ["--provenance", "mode=max", "--output", &output];
        let mut steps = vec![Step::Build(self.words(&platforms, &[], &output, true))];
        let reference = format!("{image}@{{digest}}");
        self.look(&mut steps, &format!("registry:{reference}"), &reference);
        if let Some(hook) = self.request.sign.as_ref().filter(|_| !self.request.build_only) {
            steps.push(Step::Hook("sign", hook.clone(), reference.clone()));
        }
        let imagetools = ["docker", "buildx", "imagetools"];
        let create = |names: &[String], from: &str| {
            let mut words: Vec<String> = imagetools.map(String::from).to_vec();
            words.push("create".to_owned());
            for name in names {
                words.extend(["--tag".to_owned(), name.clone()]);
            }
            words.push(from.to_owned());
            Step::Run(words)
        };
        if !names.is_empty() {
            steps.push(create(names, &reference));
        }
        if !each.is_empty() {
            let words = imagetools.into_iter().chain(["inspect", "--raw", &reference]);
            steps.push(Step::Index(words.map(ToOwned::to_owned).collect()));
        }
        for (arch, names) in each {
            steps.push(create(names, &format!("{image}@{{digest:{}}}", word(*arch))));
        }
        steps
    }

    /// Into an OCI archive, looked at, compressed.
    fn archived(&self, file: &str) -> Vec<Step> {
        let output = format!("type=oci,dest={{work}}/image.tar{}", self.rewrite());
        let output = ["--provenance", "mode=max", "--output", &output];
        let name = self.request.names.whole.first();
        let name: Vec<String> =
            name.map(|tag| format!("{}:{tag}", self.unit.image)).into_iter().collect();
        let platforms = self.request.platforms.words();
        let mut steps = vec![Step::Build(self.words(&platforms, &name, &output, true))];
        self.look(&mut steps, "{work}/image.tar", "{work}/image.tar");
        if let Some(hook) = self.request.sign.as_ref().filter(|_| !self.request.build_only) {
            steps.push(Step::Hook("sign", hook.clone(), "{work}/image.tar".to_owned()));
        }
        steps.push(Step::Pack(file.to_owned()));
        steps
    }

    /// The engine's own exporter unpacks what it builds, and so cannot rewrite times.
    fn rewrite(&self) -> &'static str {
        if self.request.epoch.is_some() { ",rewrite-timestamp=true" } else { "" }
    }

    fn look(&self, steps: &mut Vec<Step>, source: &str, reference: &str) {
        if self.request.build_only {
            return;
        }
        steps.push(Step::Verify(source.to_owned()));
        if let Some(hook) = &self.request.scan {
            steps.push(Step::Hook("scan", hook.clone(), reference.to_owned()));
        }
    }

    /// `docker buildx build …`; `first`: the build itself, not one that names a part of it.
    fn words(
        &self,
        platforms: &str,
        names: &[String],
        output: &[&str],
        first: bool,
    ) -> Vec<String> {
        let request = self.request;
        let mut words = Vec::new();
        let mut add = |all: &[&str]| words.extend(all.iter().map(|word| (*word).to_owned()));
        add(&["docker", "buildx", "build"]);
        if let Some(builder) = &request.builder {
            add(&["--builder", builder]);
        }
        add(&["--file", &self.unit.file]);
        if let Some(target) = &self.unit.target {
            add(&["--target", target]);
        }
        add(&["--platform", platforms]);
        for (name, value) in self.arguments() {
            add(&["--build-arg", &format!("{name}={value}")]);
        }
        for argument in &request.build_args {
            add(&["--build-arg", argument]);
        }
        for context in &request.build_contexts {
            add(&["--build-context", context]);
        }
        for from in &request.cache_from {
            add(&["--cache-from", from]);
        }
        if first {
            for to in &request.cache_to {
                add(&["--cache-to", to]);
            }
            if request.no_cache {
                add(&["--no-cache"]);
            }
            add(&["--metadata-file", "{work}/metadata.json"]);
        }
        for name in names {
            add(&["--tag", name]);
        }
        add(output);
        add(&[&request.context]);
        words
    }

    /// The arguments that are filled in where the Dockerfile declares them and nobody gave them.
    fn arguments(&self) -> Vec<(&'static str, String)> {
        let request = self.request;
        let version = request.names.whole.first().or(request
            .names
            .each
            .first()
            .and_then(|(_, names)| names.first()));
        let mut known = vec![("BUILD_DATE", tags::rfc3339(request.now))];
        known.extend(request.revision.clone().map(|revision| ("VCS_REF", revision)));
        known.extend(version.map(|tag| ("VERSION", tag.clone())));
        known.extend(request.epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch.to_string())));
        let given =
            |name: &str| request.build_args.iter().any(|one| one.split('=').next() == Some(name));
        // BuildKit takes SOURCE_DATE_EPOCH for itself, declared or not.
        let wanted = |name: &str| name == "SOURCE_DATE_EPOCH" || self.file.declares(name);
        known.retain(|(name, _)| wanted(name) && !given(name));
        known
    }
}

fn run(words: &[&str]) -> Step {
    Step::Run(words.iter().map(|word| (*word).to_owned()).collect())
}

/// The steps as lines for `--dry-run`.
pub fn show(request: &Request, steps: &[Step]) -> String {
    let platforms: Vec<String> = request.platforms.all().iter().map(|arch| word(*arch)).collect();
    let mut lines = String::new();
    for step in steps {
        let commands = match step {
            Step::Build(words) | Step::Run(words) | Step::Index(words) => vec![words.clone()],
            Step::Verify(source) => vec![verify_words(request, source)],
            Step::Hook(_, hook, reference) => hook.commands(&super::hook::Subject {
                reference,
                digest: "{digest}",
                platforms: &platforms,
            }),
            Step::Pack(file) => vec![
                ["zstd", "-q", "-T0", "{work}/image.tar", "-o", file].map(String::from).to_vec(),
                ["sha256sum", file].map(String::from).to_vec(),
            ],
        };
        for words in commands {
            lines.push_str(&quote::show(&words));
            lines.push('\n');
        }
    }
    lines
}

/// What looks into the image, as a command.
pub fn verify_words(request: &Request, source: &str) -> Vec<String> {
    let platforms = request.platforms.words();
    let mut words: Vec<String> =
        ["mak", "image", "verify", source, "--platform", &platforms].map(String::from).to_vec();
    if let Some(profile) = &request.profile {
        words.extend(["--profile".to_owned(), profile.clone()]);
    }
    words
}
