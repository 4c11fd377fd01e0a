//! The report in the shape of the Python checkers that `mak deps` replaces
//! (`--format ipfs-kit`), for those who read it: the same keys and types, and in them what was
//! really found. What its `checks` cannot say stands in `errors`.

use serde_json::{Map, Value, json};

use super::install::Outcome;
use super::manager::{self, Manager};
use super::survey::Survey;
use crate::platform::{Arch, Root};
use crate::verify::Status;

/// As JSON, with a line break at the end.
pub fn json(survey: &Survey, root: &Root, outcome: Option<&Outcome>) -> String {
    let python = survey.checks.iter().find(|check| check.id == "python.version");
    let version = python.map(|check| version_in(&check.message)).unwrap_or_default();
    let mut checks = Map::new();
    if let Some(check) = python {
        let compatible = check.status == Status::Pass;
        checks.insert(
            "python_version".to_owned(),
            json!({"version": version, "compatible": compatible, "recommended": compatible}),
        );
    }
    if let Some((manager, is_there)) = survey.manager {
        if manager == Manager::Brew {
            checks.insert("homebrew".to_owned(), json!(is_there));
        }
        checks.insert("system_packages".to_owned(), by_name(&survey.packages));
    }
    if !survey.distributions.is_empty() {
        checks.insert("python_packages".to_owned(), by_name(&survey.distributions));
    }
    if let Some(engine) = &survey.engine {
        checks.insert("docker".to_owned(), json!(engine.version.is_some()));
        if let Some(version) = &engine.version {
            checks.insert("docker_version".to_owned(), json!(version));
        }
        if let Some(runs) = engine.runs {
            checks.insert("docker_functional".to_owned(), json!(runs));
        }
    }
    let mut installations = Map::new();
    if let Some(outcome) = outcome {
        if !outcome.packages.is_empty() {
            installations.insert("system_packages".to_owned(), json!(outcome.packages));
        }
        if outcome.python {
            installations.insert("python_package".to_owned(), json!(true));
        }
    }
    let failed = survey.checks.iter().filter(|check| check.status == Status::Fail);
    let errors: Vec<String> = failed.map(ToString::to_string).collect();
    let report = json!({
        "platform": platform(survey, root, &version),
        "checks": checks,
        "installations": installations,
        "errors": errors,
    });
    format!("{report:#}\n")
}

fn platform(survey: &Survey, root: &Root, version: &str) -> Value {
    let uname = &survey.platform.uname;
    let machine = uname.machine.to_lowercase();
    // Their words: both 32-bit ARM versions are one, and what they do not know keeps its name.
    let (arch, other) = match uname.arch() {
        Some(Arch::Amd64) => ("amd64", "x86_64"),
        Some(Arch::Arm64) => ("arm64", "aarch64"),
        Some(Arch::ArmV7 | Arch::ArmV6) => ("arm", machine.as_str()),
        _ => (machine.as_str(), machine.as_str()),
    };
    let system = if cfg!(target_os = "macos") { "Darwin" } else { "Linux" };
    let mut platform = json!({
        "system": system,
        "machine": machine,
        "arch": arch,
        "arch_alt": other,
        "python_version": version,
        "platform": format!("{}-{arch}", system.to_lowercase()),
    });
    if system == "Linux" {
        let distribution = manager::distribution(root);
        platform["distro"] = json!(distribution.unwrap_or_else(|| "unknown".to_owned()));
    }
    platform
}

fn by_name(list: &[(String, bool)]) -> Value {
    list.iter().map(|(name, there)| (name.clone(), json!(there))).collect::<Map<_, _>>().into()
}

/// `Python 3.12.4 (…)`.
fn version_in(message: &str) -> String {
    let word = message.strip_prefix("Python ").and_then(|rest| rest.split(' ').next());
    word.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::engine::Found;
    use super::*;
    use crate::platform::detect;
    use crate::verify::Check;

    /// A look that has found something of each kind, and an installation that did something.
    fn full() -> Outcome {
        let python = "Python 3.12.4 at /usr/bin/python3";
        let survey = Survey {
            platform: detect(&Root::host()),
            checks: vec![
                Check::new("python.version", Status::Pass, "python3", python),
                Check::new("package.missing", Status::Fail, "hwloc", "not installed"),
            ],
            manager: Some((Manager::Brew, true)),
            installed: Some(2),
            unfinished: Vec::new(),
            absent: Vec::new(),
            packages: vec![("git".to_owned(), true), ("hwloc".to_owned(), false)],
            downloads: Vec::new(),
            python: None,
            distributions: vec![("requests".to_owned(), true), ("pyyaml".to_owned(), false)],
            engine: Some(Found { version: Some("26.1.5".to_owned()), runs: Some(true) }),
        };
        Outcome {
            survey,
            packages: vec!["git".to_owned()],
            python: true,
            passing: false,
            interrupted: false,
        }
    }

    /// The same keys and types on both sides; a map of packages has names of its own.
    fn same_shape(wanted: &Value, found: &Value, place: &str) {
        match (wanted, found) {
            (Value::Object(wanted), Value::Object(found)) if place.ends_with("_packages") => {
                assert_eq!(wanted.len(), found.len(), "{place}");
                assert!(found.values().all(Value::is_boolean), "{place}: {found:?}");
            }
            (Value::Object(wanted), Value::Object(found)) => {
                assert!(wanted.keys().eq(found.keys()), "{place}: {wanted:?} and {found:?}");
                for (key, value) in wanted {
                    same_shape(value, &found[key], &format!("{place}.{key}"));
                }
            }
            (Value::Array(wanted), Value::Array(found)) => {
                assert!(!found.is_empty(), "{place}");
                let first = wanted.first().unwrap();
                found.iter().for_each(|one| same_shape(first, one, place));
            }
            _ => assert_eq!(
                (wanted.is_string(), wanted.is_boolean()),
                (found.is_string(), found.is_boolean()),
                "{place} is {found}"
            ),
        }
    }

    #[test]
    fn every_key_of_the_checkers_report_is_there_with_its_type_and_no_other() {
        let fixture = include_str!("../../tests/fixtures/dependency_report.json");
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        let outcome = full();
        let report = json(&outcome.survey, &Root::host(), Some(&outcome));
        let report: Value = serde_json::from_str(&report).unwrap();
        same_shape(&fixture, &report, "");
        let checks = &report["checks"];
        assert_eq!(checks["python_version"]["version"], "3.12.4");
        assert_eq!((&checks["docker"], &checks["docker_functional"]), (&true.into(), &true.into()));
        assert_eq!(report["installations"]["system_packages"], json!(["git"]));
        assert_eq!(report["errors"][0].as_str().unwrap().matches("not installed").count(), 1);
    }

    #[test]
    fn what_was_not_looked_at_has_no_key_and_what_did_not_happen_is_no_installation() {
        let mut survey = full().survey;
        survey.engine = Some(Found::default());
        survey.manager = None;
        survey.distributions.clear();
        survey.checks.clear();
        let report: Value = serde_json::from_str(&json(&survey, &Root::host(), None)).unwrap();
        assert_eq!(report["checks"], json!({"docker": false}));
        assert_eq!((&report["installations"], &report["errors"]), (&json!({}), &json!([])));
        assert_eq!(report["platform"]["python_version"], "");
    }
}
