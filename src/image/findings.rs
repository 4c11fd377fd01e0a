//! What `mak image verify` found in all: for people, as JSON, as JUnit XML. Of each image the
//! report has the one shape that every verdict has (docs/report.md).

use std::fmt::Write;

use serde_json::{Value, json};

use super::inspect::Inspected;
use crate::verify::{Check, Report, Status, Verdict};

/// All of it.
pub struct Findings {
    /// SOURCE as it was typed.
    pub source: String,
    /// What holds of the source as a whole.
    pub checks: Vec<Check>,
    /// The images that were looked at.
    pub images: Vec<Inspected>,
}

impl Findings {
    /// What it all comes to.
    pub fn verdict(&self) -> Verdict {
        let of_whole = self.checks.iter().map(|check| check.status);
        let mut all = of_whole.chain(
            self.images.iter().flat_map(|image| image.report.checks.iter().map(|c| c.status)),
        );
        let mut verdict = Verdict::Pass;
        all.by_ref().for_each(|status| match status {
            Status::Fail => verdict = Verdict::Fail,
            Status::Warn if verdict == Verdict::Pass => verdict = Verdict::Warn,
            _ => {}
        });
        verdict
    }

    /// For people.
    pub fn text(&self, verbose: bool) -> String {
        let mut out = String::new();
        for image in &self.images {
            let name = image.name.as_deref().unwrap_or(&self.source);
            let digest =
                image.digest.as_ref().map(|digest| format!(" ({digest})")).unwrap_or_default();
            let _ = writeln!(out, "{name}, {}{digest}", image.platform);
            out.push_str(&image.report.text(verbose));
            out.push('\n');
        }
        for check in &self.checks {
            let word = if check.status == Status::Pass { "ok" } else { "FAIL" };
            let _ = writeln!(out, "{word:<5} {check}");
            for line in check.evidence.iter().filter(|_| check.status != Status::Pass) {
                let _ = writeln!(out, "        {line}");
            }
        }
        let word = match self.verdict() {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        let _ = writeln!(out, "{}: {word}", self.source);
        out
    }

    /// As JSON, with a line break at the end.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        let images = self.images.iter().map(image).collect::<Result<Vec<Value>, _>>()?;
        let whole = json!({
            "schema": crate::verify::report::SCHEMA,
            "verdict": serde_json::to_value(self.verdict())?,
            "source": self.source,
            "checks": serde_json::to_value(&self.checks)?,
            "images": images,
        });
        Ok(format!("{whole:#}\n"))
    }

    /// As JUnit XML: the suites of each image's report, named by its platform.
    pub fn junit(&self) -> String {
        let mut suites = String::new();
        let mut counts = [0; 3];
        let mut add = |report: &Report, prefix: &str| {
            report.suites(&mut suites, prefix);
            counts[0] += report.checks.len();
            counts[1] += report.count(Status::Fail);
            counts[2] += report.count(Status::Skip);
        };
        for image in &self.images {
            add(&image.report, &format!("{} ", image.platform));
        }
        if let (Some(first), false) = (self.images.first(), self.checks.is_empty()) {
            add(&Report::new(first.report.platform.clone(), self.checks.clone()), "index ");
        } else if !self.checks.is_empty() {
            let platform = crate::platform::detect(&crate::platform::Root::host());
            add(&Report::new(platform, self.checks.clone()), "index ");
        }
        let [tests, failures, skipped] = counts;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"mak image verify\" \
             tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">\n{suites}</testsuites>\n"
        )
    }
}

fn image(image: &Inspected) -> Result<Value, serde_json::Error> {
    let layers: Vec<Value> = image
        .layers
        .iter()
        .map(|(digest, size, unpacked)| json!({"digest": digest, "size": size, "unpacked": unpacked}))
        .collect();
    Ok(json!({
        "platform": image.platform.to_string(),
        "name": image.name,
        "digest": image.digest,
        "size": image.layers.iter().map(|(_, size, _)| size).sum::<u64>(),
        "layers": layers,
        "distributions": image.distributions,
        "report": serde_json::to_value(&image.report)?,
    }))
}
