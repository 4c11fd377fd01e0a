//! Verdicts that are not our own. Versions, specifiers, markers and requirements against
//! `packaging`, the reference, over the texts of its own test tables and ten thousand made cases of
//! each kind; reports against their schema by `jsonschema`.
//!
//! Needs python3 with venv and the index that pip is configured for; what is fetched is kept in
//! cargo's target folder. Differences are bugs, or stand in [`explained`] with the reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use mak_init::python::marker::{Environment, Marker, Truth};
use mak_init::python::requirement::Requirement;
use mak_init::python::version::{Specifiers, parse_version};
use serde_json::Value;

/// The release whose tables and verdicts are taken.
const PACKAGING: &str = "packaging==26.3";
/// The validator of the report's schema.
const JSONSCHEMA: &str = "jsonschema==4.26.0";
const SEED: &str = "440508";
const COUNT: &str = "10000";

/// The standard output of a command that has to succeed.
fn printed(command: &mut Command) -> String {
    let ended = command.output().unwrap_or_else(|why| panic!("cannot run {command:?}: {why}"));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}: {}\n{said}", ended.status);
    String::from_utf8(ended.stdout).unwrap()
}

/// A virtual environment with `packaging` and `jsonschema`, and the folder of the unpacked source
/// of `packaging`; made once for all tests of this process.
fn oracle() -> &'static (PathBuf, PathBuf) {
    static MADE: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(make_oracle);
    &MADE
}

fn make_oracle() -> (PathBuf, PathBuf) {
    let name = format!("oracle-{}", PACKAGING.replace("==", "-"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = folder.join("venv/bin/python");
    let source = folder.join(PACKAGING.replace("==", "-"));
    // What was fetched for an earlier state of this test may lack something.
    let complete = folder.join("complete");
    let wanted = [PACKAGING, JSONSCHEMA].join("\n");
    if fs::read_to_string(&complete).is_ok_and(|made| made == wanted) {
        return (python, source);
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    printed(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")));
    let pip = |arguments: &[&str]| {
        let mut pip = Command::new(&python);
        printed(pip.args(["-m", "pip", "--quiet"]).args(arguments).arg(PACKAGING));
    };
    pip(&["install", JSONSCHEMA]);
    let to = folder.to_str().unwrap();
    pip(&["download", "--no-deps", "--no-binary", ":all:", "--dest", to]);
    let archive = format!("{}.tar.gz", source.display());
    let unpack = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])";
    printed(Command::new(&python).args(["-c", unpack, &archive]).arg(&folder));
    fs::write(complete, wanted).unwrap();
    (python, source)
}

fn environment(values: &Value) -> Environment {
    let one = |name: &str| vec![values[name].as_str().unwrap().to_owned()];
    Environment {
        python_version: one("python_version"),
        python_full_version: one("python_full_version"),
        os_name: one("os_name"),
        sys_platform: one("sys_platform"),
        platform_release: one("platform_release"),
        platform_system: one("platform_system"),
        platform_version: one("platform_version"),
        platform_machine: one("platform_machine"),
        platform_python_implementation: one("platform_python_implementation"),
        implementation_name: one("implementation_name"),
        implementation_version: one("implementation_version"),
    }
}

/// Our verdict, in the form of the case's own.
fn verdict(case: &Value, environments: &[Environment]) -> Value {
    let text = |key: &str| case[key].as_str().unwrap();
    match text("kind") {
        "version" => parse_version(text("text")).map(|version| version.to_string()).into(),
        "order" => {
            let (left, right) = (parse_version(text("left")), parse_version(text("right")));
            match left.unwrap().cmp(&right.unwrap()) {
                Ordering::Less => (-1).into(),
                Ordering::Equal => 0.into(),
                Ordering::Greater => 1.into(),
            }
        }
        "contains" => match Specifiers::parse(text("specifiers")) {
            Ok(specifiers) => specifiers.contains(text("version")).into(),
            Err(_) => Value::Null,
        },
        "marker" => {
            let index = case["environment"].as_u64().unwrap() as usize;
            match Marker::parse(text("text")) {
                Err(_) => "invalid".into(),
                Ok(marker) => match marker.evaluate(&environments[index], text("extra")) {
                    Truth::True => true.into(),
                    Truth::False => false.into(),
                    Truth::Unknown => "undefined".into(),
                },
            }
        }
        "requirement" => match Requirement::parse(text("text")) {
            Err(_) => Value::Null,
            Ok(parsed) => {
                let mut extras = parsed.extras.clone();
                extras.sort();
                extras.dedup();
                serde_json::json!({
                    "name": parsed.name, "extras": extras, "url": parsed.url,
                    "unlimited": parsed.specifiers.is_empty(), "marker": parsed.marker.is_some(),
                })
            }
        },
        kind => panic!("a case of the unknown kind {kind}"),
    }
}

fn expected(case: &Value) -> &Value {
    if case["kind"] == "version" { &case["normal"] } else { &case["expect"] }
}

/// The reason why a difference is meant.
fn explained(case: &Value, ours: &Value) -> Option<&'static str> {
    let text = case["text"].as_str().unwrap_or_default();
    if case["expect"] == "undefined"
        && ours == "invalid"
        && ["extras", "dependency_groups"].iter().any(|name| text.contains(name))
    {
        return Some("these variables stand in lock files only (PEP 751), never in metadata");
    }
    let clauses = text.split(';').next().unwrap_or_default();
    let comma = clauses.split("===").skip(1).any(|behind| behind.contains(','));
    if case["kind"] == "requirement" && case["expect"].is_null() && comma {
        return Some(
            "in a requirement packaging takes a comma behind === as part of its text and refuses \
             the next clause; in its SpecifierSet, and here, it separates clauses",
        );
    }
    let joined = [" and ", " or "].iter().any(|word| text.contains(word));
    if case["expect"] == "undefined" && ours.is_boolean() && joined {
        return Some(
            "packaging gives up on a whole marker where one comparison has no meaning; what \
             the others decide by themselves is answered here",
        );
    }
    None
}

#[test]
fn every_verdict_is_packagings_or_is_explained() {
    let (python, source) = oracle();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/cases.py");
    let cases = printed(Command::new(python).arg(script).arg(source).args([SEED, COUNT]));
    let mut lines = cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let environments: Vec<Environment> =
        lines.next().unwrap().as_array().unwrap().iter().map(environment).collect();
    let (mut count, mut different) = (0, Vec::new());
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for case in lines {
        count += 1;
        let ours = verdict(&case, &environments);
        if ours == *expected(&case) {
            continue;
        }
        match explained(&case, &ours) {
            Some(reason) => *reasons.entry(reason).or_default() += 1,
            None => different.push(format!("{case}\n    ours: {ours}")),
        }
    }
    let known: usize = reasons.values().sum();
    for (reason, times) in &reasons {
        println!("{times}: {reason}");
    }
    println!("cases {count}, differences {}, explained {known}", different.len() + known);
    assert!(count >= 40_000, "only {count} cases");
    let shown: Vec<&String> = different.iter().take(40).collect();
    assert!(different.is_empty(), "{} differences: {shown:#?}", different.len());
}

/// A validator that is not ours, of the published schema: reads reports, one for each line of
/// standard input, and names the first that is not valid.
const VALIDATOR: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
for path in sys.argv[2:]:
    Draft202012Validator(schema).validate(json.load(open(path)))
"#;

#[test]
fn real_reports_are_valid_by_the_published_schema() {
    let (python, _) = oracle();
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.schema.json");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("s-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/requirements.txt");
    let own = python.to_str().unwrap();
    let reports: [&[&str]; 4] = [
        &["--library", "libc.so.6", "--library", "libnowhere.so.9"],
        &["--library", "libc.so.6", "--verbose", "--command", "/bin/sh"],
        &["--python", own, "--requirements", list, "--full"],
        &["--python", "/no/such/python"],
    ];
    let mut paths = Vec::new();
    for (number, arguments) in reports.iter().enumerate() {
        let path = folder.join(format!("{number}.json"));
        let mut program = Command::new(env!("CARGO_BIN_EXE_mak-init"));
        program.args(["verify", "--format", "json", "--report"]).arg(&path).args(*arguments);
        assert!(matches!(program.output().unwrap().status.code(), Some(0 | 69)));
        paths.push(path);
    }
    let validate = |paths: &[PathBuf]| {
        let mut validator = Command::new(python);
        validator.args(["-c", VALIDATOR, schema]).args(paths).output().unwrap()
    };
    let ended = validate(&paths);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let broken = fs::read_to_string(&paths[0]).unwrap().replace("\"fail\"", "\"maybe\"");
    fs::write(&paths[0], broken).unwrap();
    assert!(!validate(&paths).status.success());
    fs::remove_dir_all(folder).unwrap();
}
