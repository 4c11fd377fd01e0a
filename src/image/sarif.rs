//! Findings as SARIF 2.1.0 (OASIS), which code-scanning services show: what failed is an error,
//! what is tolerated a warning, what is well is left out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::findings::Findings;
use super::percent::encoded;
use crate::config::catalogue;
use crate::verify::{Check, Status};

/// The log, with a line break at its end.
pub fn log(findings: &Findings) -> String {
    let of_whole =
        findings.checks.iter().map(|check| (check, findings.source.as_str(), String::new()));
    let of_images = findings.images.iter().flat_map(|image| {
        let name = image.name.as_deref().unwrap_or(&findings.source);
        image.report.checks.iter().map(move |check| (check, name, image.platform.to_string()))
    });
    let all: Vec<(&Check, &str, String)> =
        of_whole.chain(of_images).filter(|(check, ..)| is_finding(check)).collect();
    let ids: BTreeSet<&str> = all.iter().map(|(check, ..)| check.id).collect();
    let rules: Vec<Value> = ids.iter().map(|id| rule(id)).collect();
    let index = |id: &str| ids.iter().position(|known| *known == id).unwrap_or(0);
    let results: Vec<Value> = all
        .iter()
        .map(|(check, name, platform)| result(check, index(check.id), name, platform))
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "mak", "version": env!("CARGO_PKG_VERSION"), "rules": rules,
            }},
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn is_finding(check: &Check) -> bool {
    matches!(check.status, Status::Fail | Status::Warn)
}

fn rule(id: &str) -> Value {
    match catalogue::find(id) {
        Some(page) => json!({
            "id": id,
            "shortDescription": {"text": page.looks_for},
            "fullDescription": {"text": page.why},
            "help": {"text": page.fix},
        }),
        None => json!({"id": id}),
    }
}

fn result(check: &Check, index: usize, name: &str, platform: &str) -> Value {
    let mut text = format!("{}: {}", check.subject, check.message);
    if let Some(remedy) = &check.remedy {
        text.push_str(&format!("; {remedy}"));
    }
    for line in &check.evidence {
        text.push('\n');
        text.push_str(line);
    }
    let path = if check.subject.starts_with('/') { check.subject.as_str() } else { name };
    let mut location = json!({
        "physicalLocation": {"artifactLocation": {"uri": uri(path)}},
    });
    if let (false, Some(fields)) = (platform.is_empty(), location.as_object_mut()) {
        let logical =
            json!([{"name": platform, "fullyQualifiedName": format!("{name} {platform}")}]);
        fields.insert("logicalLocations".to_owned(), logical);
    }
    json!({
        "ruleId": check.id,
        "ruleIndex": index,
        "level": if check.status == Status::Fail { "error" } else { "warning" },
        "message": {"text": text},
        "locations": [location],
    })
}

/// A path as a relative reference (RFC 3986, 4.2): without a leading slash or a colon.
fn uri(path: &str) -> String {
    encoded(path.trim_start_matches('/'), b"/")
}
