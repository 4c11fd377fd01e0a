//! Python's part: which requirements are not met, and what would install them, by `uv` where it
//! is there, else by the interpreter's own `pip`. An interpreter that belongs to a distribution
//! (PEP 668, a file EXTERNALLY-MANAGED beside its standard library) is left alone; a virtual
//! environment is proposed instead.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::manager::find_program;
use super::step::Step;
use crate::platform::Root;
use crate::python::closure::{self, Depth, Finding, Wanted};
use crate::python::distribution::Installed;
use crate::python::name::normalize;
use crate::python::requirement::Requirement;
use crate::verify::python::{find, profile_list, wanted};
use crate::verify::request::PythonCheck;
use crate::verify::{Check, Request, Status};

/// What pip and uv keep out of (PEP 668).
const MANAGED: &str = "EXTERNALLY-MANAGED";

/// Requirements that are not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanting {
    /// The interpreter that they are for.
    pub interpreter: PathBuf,
    /// What installs them; `None` where neither `uv` nor `pip` is there.
    pub installer: Option<Installer>,
    /// Requirements that have to be met.
    pub required: Vec<String>,
    /// Requirements whose absence is tolerated.
    pub optional: Vec<String>,
    /// The file by which a distribution claims the interpreter.
    pub managed: Option<PathBuf>,
}

/// What installs distributions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installer {
    /// Astral's, by its path.
    Uv(PathBuf),
    /// The interpreter's own module.
    Pip,
}

/// What an installation is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Install.
    Install,
    /// Only say whether there are wheels for all of it.
    AskForWheels,
}

/// What is not met; `None` without an interpreter.
pub fn wanting(request: &Request, python: &PythonCheck) -> Option<Wanting> {
    let found = find(request, python.interpreter.as_deref()).ok()?;
    let root = &request.root;
    let installed = Installed::list(root, &found.site.folders);
    let environment = found.environment();
    let mut unread = Vec::new();
    let lists = wanted(python, &found, Status::Fail, &mut unread);
    let optional = profile_list(&python.optional, Status::Warn, &mut unread);
    let open = |list: &[Wanted]| {
        let outcome =
            closure::check(&installed, &found.version, &environment, list, Depth::Transitive);
        unmet(list, &outcome.findings)
    };
    let required = open(&lists.wanted);
    let mut optional = open(&optional);
    optional.retain(|one| !required.contains(one));
    let search_path = request.surroundings.search_path();
    Some(Wanting {
        installer: installer(root, search_path, &installed),
        required,
        optional,
        managed: managed(root, &found.library).filter(|_| found.virtual_environment.is_none()),
        interpreter: found.path,
    })
}

/// The requirements behind findings that an installation settles: those of the list by what they
/// say, those of distributions by theirs.
fn unmet(list: &[Wanted], findings: &[Finding]) -> Vec<String> {
    let mut unmet: Vec<String> = Vec::new();
    for finding in findings {
        let (name, own) = match finding {
            Finding::Missing { requirement, name, .. } => (name, requirement.clone()),
            Finding::WrongVersion { name, wanted, .. } => (name, format!("{name}{wanted}")),
            Finding::Broken { name, .. } => (name, name.clone()),
            _ => continue,
        };
        let normalized = normalize(name);
        let listed = list.iter().filter(|one| one.requirement.normalized() == normalized);
        let mut texts: Vec<String> = listed.map(|one| without_marker(&one.requirement)).collect();
        if texts.is_empty() {
            texts.push(Requirement::parse(&own).map_or(own, |parsed| without_marker(&parsed)));
        }
        for text in texts {
            if !unmet.contains(&text) {
                unmet.push(text);
            }
        }
    }
    unmet
}

/// Markers are judged already.
fn without_marker(requirement: &Requirement) -> String {
    Requirement { marker: None, ..requirement.clone() }.to_string()
}

fn installer(root: &Root, search_path: &OsStr, installed: &Installed) -> Option<Installer> {
    if let Some(uv) = find_program(root, search_path, "uv") {
        return Some(Installer::Uv(uv));
    }
    matches!(installed.find("pip"), Ok(Some(_))).then_some(Installer::Pip)
}

fn managed(root: &Root, library: &Path) -> Option<PathBuf> {
    Some(library.join(MANAGED)).filter(|path| root.exists(path))
}

impl Wanting {
    /// The command for these requirements; `None` where nothing can install them.
    pub fn step(&self, requirements: &[String], form: Form) -> Option<Step> {
        let interpreter = self.interpreter.display().to_string();
        let start: Vec<String> = match self.installer.as_ref()? {
            Installer::Uv(path) => {
                vec![
                    path.display().to_string(),
                    "pip".into(),
                    "install".into(),
                    "--python".into(),
                    interpreter,
                ]
            }
            Installer::Pip => [&interpreter, "-m", "pip", "install"]
                .into_iter()
                .chain(["--disable-pip-version-check", "--no-input"])
                .map(str::to_owned)
                .collect(),
        };
        let question = ["--dry-run", "--only-binary", ":all:"];
        let more = question.iter().filter(|_| form == Form::AskForWheels);
        let more = more.map(|word| (*word).to_owned());
        let argv = start.into_iter().chain(more).chain(requirements.iter().cloned()).collect();
        Some(Step { argv, environment: Vec::new(), guarded: false })
    }
}

/// How to get an environment that pip may change.
pub fn proposal(wanting: &Wanting) -> String {
    let make = match &wanting.installer {
        Some(Installer::Uv(_)) => {
            format!("uv venv --python {} .venv", wanting.interpreter.display())
        }
        _ => format!("{} -m venv .venv", wanting.interpreter.display()),
    };
    format!(
        "make a virtual environment and run this again in it: {make} && export \
         PATH=\"$PWD/.venv/bin:$PATH\""
    )
}

/// Whether a failed installation says that there is no wheel, as pip and uv have it.
pub fn has_no_wheel(output: &str) -> bool {
    let output = output.to_ascii_lowercase();
    [
        "no matching distribution found",
        "has no wheels",
        "no usable wheels",
        "no wheels with a matching",
        "building from source is disabled",
        "has no usable",
        "no compatible wheel",
        "no binary distribution",
    ]
    .iter()
    .any(|phrase| output.contains(phrase))
}

/// Every requirement of the profile by name, and whether a check has anything against it.
pub fn named(requirements: &[String], checks: &[Check]) -> Vec<(String, bool)> {
    let no_python = checks.iter().any(|check| check.id == "python.missing");
    let mut names: Vec<(String, bool)> = Vec::new();
    for text in requirements {
        let Ok(requirement) = Requirement::parse(text) else { continue };
        let normalized = requirement.normalized();
        let wrong = checks.iter().any(|check| {
            check.id.starts_with("dist.")
                && matches!(check.status, Status::Fail | Status::Warn)
                && normalize(&check.subject) == normalized
        });
        names.push((normalized, !wrong && !no_python));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanting(installer: Option<Installer>) -> Wanting {
        Wanting {
            interpreter: PathBuf::from("/usr/bin/python3"),
            installer,
            required: vec!["a>=1".to_owned()],
            optional: Vec::new(),
            managed: None,
        }
    }

    #[test]
    fn uv_is_asked_for_the_same_interpreter_as_pip() {
        let by_pip = wanting(Some(Installer::Pip));
        let list = by_pip.required.clone();
        assert_eq!(
            by_pip.step(&list, Form::Install).unwrap().argv.join(" "),
            "/usr/bin/python3 -m pip install --disable-pip-version-check --no-input a>=1"
        );
        let by_uv = wanting(Some(Installer::Uv(PathBuf::from("/usr/bin/uv"))));
        assert_eq!(
            by_uv.step(&list, Form::AskForWheels).unwrap().argv.join(" "),
            "/usr/bin/uv pip install --python /usr/bin/python3 --dry-run --only-binary :all: a>=1"
        );
        assert_eq!(wanting(None).step(&list, Form::Install), None);
        assert!(proposal(&by_uv).contains("uv venv --python /usr/bin/python3"));
    }

    #[test]
    fn the_listed_text_of_a_requirement_is_installed_with_all_that_it_says() {
        let list = [Wanted {
            requirement: Requirement::parse("Eth-Hash[pycryptodome]>=0.3; python_version > '3'")
                .unwrap(),
            required_by: "x".to_owned(),
        }];
        let missing = |requirement: &str, name: &str| Finding::Missing {
            requirement: requirement.to_owned(),
            name: name.to_owned(),
            required_by: "x".to_owned(),
        };
        let found = unmet(&list, &[missing("eth-hash", "eth-hash"), missing("idna<4", "idna")]);
        assert_eq!(found, ["Eth-Hash[pycryptodome]>=0.3", "idna<4"]);
    }

    #[test]
    fn pip_and_uv_say_that_there_is_no_wheel() {
        assert!(has_no_wheel("ERROR: No matching distribution found for x"));
        assert!(has_no_wheel("Because x has no usable wheels and you require x, we can conclude"));
        assert!(!has_no_wheel("ERROR: Could not install packages due to an OSError"));
    }
}
