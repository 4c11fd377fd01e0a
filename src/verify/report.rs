//! The report: one shape for every verdict (docs/report.md). Its order is stable, and so are
//! the identifiers of the checks, of the form part.problem (docs/checks.md).

use std::fmt::{self, Write};

use serde::Serialize;

use crate::platform::Platform;

/// The version of the report's shape.
pub const SCHEMA: u32 = 1;

/// What the whole comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Fit.
    Pass,
    /// Fit, and something optional is wanting.
    Warn,
    /// Not fit.
    Fail,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// Not as it should be, and tolerated.
    Warn,
    /// Not as it should be.
    Fail,
    /// Could not be made.
    Skip,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which problem was looked for.
    pub id: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was looked at: a SONAME, a distribution, a path.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What it was found from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

impl Check {
    /// A check that ended so.
    pub fn new(
        id: &'static str,
        status: Status,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Check {
        Check {
            id,
            status,
            subject: subject.into(),
            message: message.into(),
            remedy: None,
            evidence: Vec::new(),
        }
    }

    /// The same with what to do.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Check {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same with what it was found from.
    pub fn evidence(mut self, evidence: Vec<String>) -> Check {
        self.evidence = evidence;
        self
    }
}

impl fmt::Display for Check {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} [{}]", self.subject, self.message, self.id)?;
        match &self.remedy {
            Some(remedy) => write!(out, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// What verification found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this shape.
    pub schema: u32,
    /// What the whole comes to.
    pub verdict: Verdict,
    /// Where it was found.
    pub platform: Platform,
    /// The checks in their order.
    pub checks: Vec<Check>,
}

impl Report {
    /// The report of these checks.
    pub fn new(platform: Platform, checks: Vec<Check>) -> Report {
        let has = |status| checks.iter().any(|check| check.status == status);
        let verdict = if has(Status::Fail) {
            Verdict::Fail
        } else if has(Status::Warn) {
            Verdict::Warn
        } else {
            Verdict::Pass
        };
        Report { schema: SCHEMA, verdict, platform, checks }
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.status == Status::Fail)
    }

    /// The checks whose failure is tolerated.
    pub fn warned(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.status == Status::Warn)
    }

    /// How many checks ended so.
    pub fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }

    /// As JSON, with a line break at the end.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// For people: problems first, each with what to do.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (status, word) in [
            (Status::Fail, "FAIL"),
            (Status::Warn, "warn"),
            (Status::Skip, "skip"),
            (Status::Pass, "ok"),
        ] {
            for check in self.checks.iter().filter(|check| check.status == status) {
                let _ =
                    writeln!(out, "{word:<5} {}: {} [{}]", check.subject, check.message, check.id);
                if status != Status::Pass {
                    for line in &check.evidence {
                        let _ = writeln!(out, "        {line}");
                    }
                    if let Some(remedy) = &check.remedy {
                        let _ = writeln!(out, "      > {remedy}");
                    }
                }
            }
        }
        let verdict = match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        let _ = writeln!(
            out,
            "{verdict}: {} ok, {} tolerated, {} failed, {} skipped on {}",
            self.count(Status::Pass),
            self.count(Status::Warn),
            self.count(Status::Fail),
            self.count(Status::Skip),
            self.platform.platform
        );
        out
    }
}
