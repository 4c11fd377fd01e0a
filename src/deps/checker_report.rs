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
