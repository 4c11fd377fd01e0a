//! A source from its opening to its findings: which images are looked at, and what holds of all of
//! them together. `cli/mak/image_verify` calls this.

use std::collections::BTreeSet;

use super::error::{ImageError, Meaning};
use super::findings::Findings;
use super::inspect::{self, Inspected, Wanted};
use super::manifest::Platform;
use super::source::{self, Candidate, Images, Opened, Source};
use crate::platform::userland::root_arch;
use crate::platform::{Platform as Machine, Root, detect};
use crate::verify::{Check, Report, Status};

/// As many differences between platforms as are told.
const MOST_DIFFERENCES: usize = 24;

/// Verifies a source for these platforms, or for all it has.
pub fn verify(
    word: &str,
    source: &Source,
    platforms: &[Platform],
    wanted: &Wanted,
) -> Result<Findings, ImageError> {
    let mut findings = Findings { source: word.to_owned(), checks: Vec::new(), images: Vec::new() };
    let opened = match source::open(source) {
        Ok(opened) => opened,
        Err(error) => return broken(findings, error),
    };
    let outcome = match opened {
        Opened::Root(root) => {
            let platform = of_root(&root, platforms)?;
            findings.images.push(inspect::root(&root, &platform, wanted));
            Ok(())
        }
        Opened::Images(images) => all(&images, platforms, wanted, &mut findings),
    };
    match outcome {
        Ok(()) => Ok(findings),
        Err(error) => broken(findings, error),
    }
}

/// An image that is not whole is an answer, not a failure of mak.
fn broken(mut findings: Findings, error: ImageError) -> Result<Findings, ImageError> {
    if error.meaning != Meaning::Unfit {
        return Err(error);
    }
    let source = findings.source.clone();
    findings.checks.push(
        Check::new("image.layer", Status::Fail, source, error.text)
            .remedy("build or pull it again"),
    );
    Ok(findings)
}

/// What a root without a configuration is held against.
fn of_root(root: &Root, platforms: &[Platform]) -> Result<Platform, ImageError> {
    match platforms {
        [one] => Ok(one.clone()),
        [] => root_arch(root, None)
            .and_then(|arch| Platform::parse(&format!("linux/{}", arch.docker())))
            .ok_or_else(|| {
                ImageError::usage("the folder does not tell its platform: name --platform")
            }),
        _ => Err(ImageError::usage("a folder is for one platform: name one --platform")),
    }
}

fn all(
    images: &Images,
    platforms: &[Platform],
    wanted: &Wanted,
    findings: &mut Findings,
) -> Result<(), ImageError> {
    let mut there: Vec<(&Candidate, Platform)> = Vec::new();
    for candidate in images.candidates.iter().filter(|candidate| images.is_there(candidate)) {
        let platform = images.platform(candidate)?;
        // Two names of one image are one image.
        let known = there.iter().any(|(other, known)| {
            *known == platform && other.digest().is_some() && other.digest() == candidate.digest()
        });
        if !known {
            there.push((candidate, platform));
        }
    }
    if there.is_empty() {
        return Err(ImageError::unfit("there is no image in it"));
    }
    let chosen = match platforms {
        [] => there.iter().map(|(candidate, platform)| (*candidate, platform.clone())).collect(),
        named => choose(&there, named, findings),
    };
    let mut seen: Vec<&Platform> = Vec::new();
    for (_, platform) in &chosen {
        if seen.contains(&platform) {
            let names: BTreeSet<&str> =
                there.iter().filter_map(|(candidate, _)| candidate.name.as_deref()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            return Err(ImageError::usage(format!(
                "it has several images for {platform} ({}): save one of them",
                names.join(", ")
            )));
        }
        seen.push(platform);
    }
    let machine = detect(&Root::of_image(Default::default()));
    for (candidate, platform) in &chosen {
        let found = match images.load(candidate) {
            Ok(image) => inspect::image(&image, platform, wanted),
            Err(error) if error.meaning == Meaning::Unfit => {
                not_whole(candidate, platform, &machine, error.text)
            }
            Err(error) => return Err(error),
        };
        findings.images.push(found);
    }
    findings.checks.extend(same_distributions(&findings.images));
    Ok(())
}

/// The images for the platforms that were named. What is missing is told by name; the one image
/// of a source is held against what was named, whatever it says of itself.
fn choose<'i>(
    there: &[(&'i Candidate, Platform)],
    named: &[Platform],
    findings: &mut Findings,
) -> Vec<(&'i Candidate, Platform)> {
    let mut chosen = Vec::new();
    for wanted in named {
        let fitting: Vec<_> =
            there.iter().filter(|(_, platform)| platform.serves(wanted)).collect();
        for (candidate, _) in &fitting {
            chosen.push((*candidate, wanted.clone()));
        }
        let subject = wanted.to_string();
        if fitting.is_empty() {
            let has: Vec<String> = there.iter().map(|(_, platform)| platform.to_string()).collect();
            let text = format!("is not there; there are images for {}", has.join(", "));
            let check = Check::new("image.platform", Status::Fail, subject, text)
                .remedy(format!("build it too: docker buildx build --platform {wanted}"));
            findings.checks.push(check);
            if let ([(candidate, _)], [_]) = (there, named) {
                chosen.push((*candidate, wanted.clone()));
            }
        } else {
            findings.checks.push(Check::new("image.platform", Status::Pass, subject, "is there"));
        }
    }
    chosen
}

fn not_whole(
    candidate: &Candidate,
    platform: &Platform,
    machine: &Machine,
    text: String,
) -> Inspected {
    let check = Check::new("image.layer", Status::Fail, platform.to_string(), text)
        .remedy("build or pull the image again");
    Inspected {
        platform: platform.clone(),
        name: candidate.name.clone(),
        digest: candidate.digest().map(str::to_owned),
        layers: Vec::new(),
        report: Report::new(machine.clone(), vec![check]),
        distributions: Default::default(),
        packages: Vec::new(),
    }
}

/// Whether all platforms have the same distributions in the same versions.
fn same_distributions(images: &[Inspected]) -> Option<Check> {
    const ID: &str = "image.distributions";
    let (first, rest) = images.split_first()?;
    if rest.is_empty() || images.iter().all(|image| image.distributions.is_empty()) {
        return None;
    }
    let names: BTreeSet<&String> =
        images.iter().flat_map(|image| image.distributions.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        let version = |image: &Inspected| image.distributions.get(name).cloned();
        if rest.iter().any(|image| version(image) != version(first)) {
            let each: Vec<String> = images
                .iter()
                .map(|image| {
                    let version = version(image).unwrap_or_else(|| "none".to_owned());
                    format!("{version} on {}", image.platform)
                })
                .collect();
            differences.push(format!("{name}: {}", each.join(", ")));
        }
    }
    if differences.is_empty() {
        let text = format!("{} are the same on all platforms", first.distributions.len());
        return Some(Check::new(ID, Status::Pass, "distributions", text));
    }
    let text = format!("{} differ between the platforms", differences.len());
    differences.truncate(MOST_DIFFERENCES);
    let check = Check::new(ID, Status::Fail, "distributions", text).evidence(differences);
    Some(check.remedy("install from one lock file on all platforms"))
}
