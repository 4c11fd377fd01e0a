//! What came out of a trial: for each platform a check for each category, in the shape that every
//! verdict has (docs/report.md).

use std::fmt::Write;

use serde::Serialize;

use crate::verify::report::{Check, SCHEMA, Status, Verdict};

/// The categories, in the order they are judged, and their names for people.
pub const CATEGORIES: [(&str, &str); 7] = [
    ("trial.architecture", "image architecture"),
    ("trial.startup", "start-up and stop"),
    ("trial.runtime", "runtime architecture"),
    ("trial.process", "process execution"),
    ("trial.network", "network"),
    ("trial.health", "health"),
    ("trial.resources", "resource use"),
];

/// All of it.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// The version of the shape.
    pub schema: u32,
    /// `fail` if anything failed.
    pub verdict: Verdict,
    /// The image.
    pub image: String,
    /// In the order they were asked for.
    pub platforms: Vec<OnPlatform>,
}

/// What was found on one platform.
#[derive(Debug, Serialize)]
pub struct OnPlatform {
    /// `linux/arm64`.
    pub platform: String,
    /// `fail` if any of its checks failed.
    pub verdict: Verdict,
    /// The categories in their order, then what the profile asks for.
    pub checks: Vec<Check>,
}

impl OnPlatform {
    /// Judges the checks: a category that could not be looked at is no success.
    pub fn new(platform: String, checks: Vec<Check>) -> OnPlatform {
        let verdict = worst(checks.iter().map(|check| check.status));
        OnPlatform { platform, verdict, checks }
    }
}

impl Trial {
    /// Of all platforms.
    pub fn new(image: &str, platforms: Vec<OnPlatform>) -> Trial {
        let verdict = worst(platforms.iter().flat_map(|one| &one.checks).map(|check| check.status));
        Trial { schema: SCHEMA, verdict, image: image.to_owned(), platforms }
    }

    /// For programs.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// For people.
    pub fn text(&self, verbose: bool) -> String {
        let mut out = String::new();
        for one in &self.platforms {
            let _ = writeln!(out, "{} on {}: {}", self.image, one.platform, word(one.verdict));
            for check in &one.checks {
                let name = CATEGORIES.iter().find(|(id, _)| *id == check.id);
                let name = name.map_or(check.id, |(_, name)| name);
                let status = match check.status {
                    Status::Pass => "ok  ",
                    Status::Warn => "warn",
                    Status::Fail => "FAIL",
                    Status::Skip => "skip",
                };
                let _ = writeln!(out, "  {status}  {name}: {}", check.message);
                if let Some(remedy) = check.remedy.as_ref().filter(|_| check.status != Status::Pass)
                {
                    let _ = writeln!(out, "        {remedy}");
                }
                if verbose || check.status == Status::Fail {
                    for line in &check.evidence {
                        let _ = writeln!(out, "        | {line}");
                    }
                }
            }
        }
        out
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "pass, with warnings",
        Verdict::Fail => "FAIL",
    }
}

fn worst(all: impl Iterator<Item = Status>) -> Verdict {
    let rank = |status| match status {
        Status::Pass | Status::Skip => Verdict::Pass,
        Status::Warn => Verdict::Warn,
        Status::Fail => Verdict::Fail,
    };
    let all = all.map(rank);
    all.fold(Verdict::Pass, |worst, next| match (worst, next) {
        (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
        (Verdict::Warn, _) | (_, Verdict::Warn) => Verdict::Warn,
        _ => Verdict::Pass,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_category_that_fails_fails_the_whole_whatever_the_others_say() {
        let mut checks: Vec<Check> =
            CATEGORIES.iter().map(|(id, name)| Check::new(id, Status::Pass, "x", *name)).collect();
        assert_eq!(OnPlatform::new("linux/amd64".into(), checks.clone()).verdict, Verdict::Pass);
        for at in 0..checks.len() {
            checks[at].status = Status::Fail;
            assert_eq!(
                OnPlatform::new("linux/amd64".into(), checks.clone()).verdict,
                Verdict::Fail
            );
            checks[at].status = Status::Pass;
        }
    }
}
