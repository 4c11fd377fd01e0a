//! Shared libraries: found as the root's dynamic loader finds them, for the right machine, and
//! in the full form with everything they need.

use std::path::Path;

use super::report::{Check, Status};
use super::request::{LibraryCheck, failure};
use crate::config::Severity;
use crate::loader::{Loader, Resolution};

/// As many folders or problems as a check lists.
const MOST_EVIDENCE: usize = 12;

/// Checks one library.
pub fn check(loader: &Loader, library: &LibraryCheck, full: bool) -> Check {
    let failed = failure(library.severity);
    let soname = library.soname.as_str();
    let check = match loader.find(soname, None) {
        Resolution::Found { file, .. } => {
            let problems = if full { problems(loader, soname) } else { Vec::new() };
            let path = file.path.display();
            match problems.first() {
                None => {
                    return Check::new(
                        "lib.missing",
                        Status::Pass,
                        soname,
                        format!("found at {path}"),
                    );
                }
                Some(first) => {
                    let message = format!("found at {path}, but it cannot be loaded: {first}");
                    Check::new("lib.closure", failed, soname, message)
                        .evidence(problems[1..].to_vec())
                }
            }
        }
        Resolution::WrongMachine { candidates, notes } => {
            let found: Vec<String> = candidates
                .iter()
                .take(MOST_EVIDENCE)
                .map(|file| format!("{} is for {}", file.path.display(), file.identity))
                .collect();
            let message = format!("for another machine: {}", found.join(", "));
            Check::new("elf.machine", failed, soname, message).evidence(notes)
        }
        Resolution::Broken { path, reason } => {
            let message = format!("{} {reason}", path.display());
            Check::new("lib.broken", failed, soname, message)
        }
        Resolution::Missing { searched, notes } => {
            let looked = searched.iter().take(MOST_EVIDENCE).map(|path| looked_in(path));
            let evidence = notes.into_iter().chain(looked).collect();
            Check::new("lib.missing", failed, soname, missing(library)).evidence(evidence)
        }
    };
    match &library.remedy {
        Some(remedy) => check.remedy(remedy.clone()),
        None => check.remedy("install the package that holds it, for this platform"),
    }
}

fn problems(loader: &Loader, soname: &str) -> Vec<String> {
    let closure = loader.closure(soname, None);
    let fatal = closure.problems.iter().filter(|problem| problem.is_fatal());
    fatal.take(MOST_EVIDENCE).map(ToString::to_string).collect()
}

fn missing(library: &LibraryCheck) -> String {
    match (&library.purpose, library.severity) {
        (Some(purpose), Severity::Optional) => format!("not found ({purpose})"),
        (Some(purpose), _) => format!("not found, and needed: {purpose}"),
        (None, _) => "not found".to_owned(),
    }
}

fn looked_in(folder: &Path) -> String {
    format!("looked in {}", folder.display())
}
