//! One image, its label held against its contents: what `mak image verify` says of a platform.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::manifest::{Config, Platform, Run};
use super::packages::{self, Package};
use super::scan;
use super::source::Image;
use super::start;
use crate::config::Profile;
use crate::loader::{Loader, Processor};
use crate::platform::{Arch, Root, detect};
use crate::python::metadata::Metadata;
use crate::verify::request::PythonCheck;
use crate::verify::{self, Check, Report, Request, Status};

/// What to hold an image against.
pub struct Wanted<'a> {
    /// The profile whose full verification is made.
    pub profile: Option<&'a Profile>,
    /// Folders whose ELF files may be for another machine.
    pub foreign: &'a [PathBuf],
    /// Whether the contents of installed Python files are compared with their hashes.
    pub hashes: bool,
}

/// What was found in one image.
pub struct Inspected {
    /// The platform that it was held against.
    pub platform: Platform,
    /// What it is called.
    pub name: Option<String>,
    /// The digest of its manifest.
    pub digest: Option<String>,
    /// Bytes of each layer: as it lies there, and unpacked.
    pub layers: Vec<(String, u64, u64)>,
    /// The report's one shape.
    pub report: Report,
    /// Python distributions and their versions.
    pub distributions: BTreeMap<String, String>,
    /// What is installed, for an SBOM.
    pub packages: Vec<Package>,
}

/// The architecture of a platform in Docker's words; `None` for one that mak does not know.
pub fn arch_of(platform: &Platform) -> Option<Arch> {
    let word = match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("arm", Some(variant)) => format!("arm{variant}"),
        (other, _) => other.to_owned(),
    };
    Arch::from_machine(&word).or_else(|| Arch::from_machine(&platform.architecture))
}

/// Looks at an image that was loaded for `platform`.
pub fn image(image: &Image, platform: &Platform, wanted: &Wanted) -> Inspected {
    let mut checks = labels(image, platform);
    for (id, subject, text) in &image.troubles {
        let status = Status::Fail;
        checks.push(
            Check::new(id, status, subject.clone(), text.clone())
                .remedy("build or pull the image again"),
        );
    }
    if image.troubles.is_empty() {
        let text = format!("those of {} layers are as promised", image.layers.len());
        checks.push(Check::new("image.digest", Status::Pass, "digests", text));
    }
    let layers: Vec<(String, u64, u64)> = image
        .layers
        .iter()
        .map(|layer| (layer.digest.to_string(), layer.size, layer.unpacked))
        .collect();
    checks.push(size(&layers));
    let empty = Root::of_image(Default::default());
    let root = image.root.as_ref().unwrap_or(&empty);
    let mut found = files(root, &image.config, platform, wanted, checks, image.root.is_some());
    found.name.clone_from(&image.name);
    found.digest = image.digest.map(|digest| digest.to_string());
    found.layers = layers;
    found
}

/// Looks at a root file system that says nothing of itself.
pub fn root(root: &Root, platform: &Platform, wanted: &Wanted) -> Inspected {
    let config = Config { platform: platform.clone(), ..Config::default() };
    files(root, &config, platform, wanted, Vec::new(), true)
}

fn files(
    root: &Root,
    config: &Config,
    platform: &Platform,
    wanted: &Wanted,
    mut checks: Vec<Check>,
    is_whole: bool,
) -> Inspected {
    let mut inspected = Inspected {
        platform: platform.clone(),
        name: None,
        digest: None,
        layers: Vec::new(),
        report: Report::new(detect(root), Vec::new()),
        distributions: BTreeMap::new(),
        packages: Vec::new(),
    };
    // What the report is about is the image; the rest of it stays this machine's.
    let mut about = inspected.report.platform.clone();
    about.platform = platform.to_string();
    about.arch.clone_from(&platform.architecture);
    let Some(arch) = arch_of(platform).filter(|_| platform.os == "linux") else {
        let text = "mak knows no such platform: nothing can be said of its files";
        checks.push(Check::new("image.platform", Status::Fail, platform.to_string(), text));
        inspected.report = Report::new(about, checks);
        return inspected;
    };
    if is_whole {
        let run = config.config.clone().unwrap_or_default();
        let mut request = request(root, &run, arch, wanted);
        match start::user(root, &run) {
            Ok(who) => request.who = Some(who),
            Err(check) => checks.push(*check),
        }
        let scan = scan::scan(root, arch, wanted.foreign);
        checks.extend(scan.checks);
        checks.extend(verify::verify(&request).checks);
        let loader = Loader::new(root, arch, verify::conditions(&request, arch));
        // A folder has no configuration that could name a command.
        if root.is_image() {
            checks.extend(start::command(&request, &run, &loader));
            checks.extend(start::healthcheck(&request, &run, &loader));
        }
        inspected.distributions = distributions(root, &scan.distributions);
        inspected.packages = packages::all(root, &scan.distributions);
        drop_doubles(&mut checks);
        if let Some(profile) = wanted.profile {
            verify::settle(&mut checks, &profile.severities);
        }
    }
    inspected.report = Report::new(about, checks);
    inspected
}

/// What the profile asks for, in this image, as its user; every installed distribution besides.
fn request(root: &Root, run: &Run, arch: Arch, wanted: &Wanted) -> Request {
    let environment = start::environment(run);
    let mut request = match wanted.profile {
        Some(profile) => Request::of_profile(profile, true, &environment),
        None => Request::empty(&environment),
    };
    request.root = root.clone();
    request.full = true;
    request.hashes = wanted.hashes;
    request.arch = Some(arch);
    // What the machine has to be is looked at where it is: here an image is built.
    request.platform = None;
    request.processor = Some(Processor::default());
    request.working_folder = Some(start::folder(run));
    let wants_python = request.python.is_some();
    let python = request.python.get_or_insert_with(PythonCheck::of_any);
    python.every = true;
    // Most images have no Python, and nobody asked for one.
    if !wants_python && verify::python::find(&request, None).is_err() {
        request.python = None;
    }
    request
}

/// Index, configuration and labels against each other.
fn labels(image: &Image, platform: &Platform) -> Vec<Check> {
    const ID: &str = "image.label";
    let said = &image.config.platform;
    let mut wrong = Vec::new();
    if !said.serves(platform) {
        wrong.push(format!("its configuration says {said}"));
    }
    if let Some(indexed) = image.indexed.as_ref().filter(|indexed| !indexed.serves(said)) {
        wrong.push(format!("the index says {indexed}, its configuration {said}"));
    }
    let labels = image.labels();
    if let Some(label) = labels.get("build.architecture")
        && Platform::parse(&format!("linux/{label}"))
            .is_none_or(|it| it.architecture != platform.architecture)
    {
        wrong.push(format!("the label build.architecture says {label}"));
    }
    if let Some(label) = labels.get("build.platform")
        && !label
            .split(',')
            .any(|one| Platform::parse(one.trim()).is_some_and(|it| it.serves(platform)))
    {
        wrong.push(format!("the label build.platform says {label}"));
    }
    let subject = platform.to_string();
    match wrong.split_first() {
        None => {
            vec![Check::new(ID, Status::Pass, subject, "index, configuration and labels agree")]
        }
        Some((first, rest)) => vec![
            Check::new(ID, Status::Fail, subject, first.clone())
                .remedy("build it for this platform, and label it from TARGETARCH")
                .evidence(rest.to_vec()),
        ],
    }
}

fn size(layers: &[(String, u64, u64)]) -> Check {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let (stored, unpacked) =
        layers.iter().fold((0, 0), |(a, b), (_, size, unpacked)| (a + size, b + unpacked));
    let lines = layers.iter().enumerate().map(|(index, (digest, size, unpacked))| {
        let short: String = digest.chars().take(19).collect();
        format!("layer {}: {}, unpacked {} ({short})", index + 1, mib(*size), mib(*unpacked))
    });
    let text = format!("{} in {} layers, unpacked {}", mib(stored), layers.len(), mib(unpacked));
    Check::new("image.size", Status::Pass, "size", text).evidence(lines.collect())
}

/// What two parts have found of the same file is said once.
fn drop_doubles(checks: &mut Vec<Check>) {
    let mut seen = std::collections::HashSet::new();
    checks.retain(|check| seen.insert((check.id, check.subject.clone(), check.message.clone())));
}

/// Names and versions of all Python distributions, wherever they lie.
fn distributions(root: &Root, folders: &[PathBuf]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in folders {
        if let Some((name, version)) = name_and_version(root, folder) {
            found.insert(crate::python::name::normalize(&name), version);
        }
    }
    found
}

/// What the metadata of a distribution calls it.
pub(super) fn name_and_version(root: &Root, folder: &Path) -> Option<(String, String)> {
    let metadata = Metadata::read(root, &folder.join("METADATA")).ok()?;
    Some((metadata.name?, metadata.version?))
}
