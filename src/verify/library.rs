//! Shared libraries: found as the root's dynamic loader finds them, for the right machine, and
//! in the full form with everything they need.

use std::path::Path;

use super::report::{Check, Status};
use super::request::{LibraryCheck, failure};
use crate::config::Severity;
use crate::loader::{Closure, Loader, PRELOAD_FILE, Problem, Resolution, highest_version};

/// As many folders or problems as a check lists.
const MOST_EVIDENCE: usize = 12;

/// Checks one library.
pub fn check(loader: &Loader, library: &LibraryCheck, full: bool) -> Check {
    let failed = failure(library.severity);
    let soname = library.soname.as_str();
    let check = match loader.find(soname, None) {
        Resolution::Found { file, .. } => {
            let path = file.path.display();
            if let Some(why) = symbol_version(loader, library, &file.path) {
                let message = format!("found at {path}, but {why}");
                return with_remedy(Check::new("lib.version", failed, soname, message), library);
            }
            let problems = if full { problems(loader, soname) } else { Vec::new() };
            match problems.split_first() {
                None => {
                    return Check::new(
                        "lib.missing",
                        Status::Pass,
                        soname,
                        format!("found at {path}"),
                    );
                }
                Some(((id, first), rest)) => {
                    let message = format!("found at {path}, but it cannot be loaded: {first}");
                    let evidence = rest.iter().map(|(_, text)| text.clone()).collect();
                    Check::new(id, failed, soname, message).evidence(evidence)
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
        Resolution::Missing { searched, notes, generations } => {
            let looked = searched.iter().take(MOST_EVIDENCE).map(|path| looked_in(path));
            let (id, message) = match generations.first() {
                None => ("lib.missing", missing(library)),
                Some(found) => ("lib.generation", format!("{}; {found}", missing(library))),
            };
            let others = generations.iter().skip(1).map(ToString::to_string);
            let evidence = notes.into_iter().chain(others).chain(looked).collect();
            Check::new(id, failed, soname, message).evidence(evidence)
        }
    };
    with_remedy(check, library)
}

fn with_remedy(check: Check, library: &LibraryCheck) -> Check {
    match &library.remedy {
        Some(remedy) => check.remedy(remedy.clone()),
        None => check.remedy("install the package that holds it, for this platform"),
    }
}

/// What keeps a file from being loaded, each with the identifier of its check.
fn problems(loader: &Loader, soname: &str) -> Vec<(&'static str, String)> {
    fatal(&loader.closure(soname, None))
}

/// The fatal problems of a closure with the identifiers of their checks.
pub fn fatal(closure: &Closure) -> Vec<(&'static str, String)> {
    let fatal = closure.problems.iter().filter(|problem| problem.is_fatal());
    fatal.take(MOST_EVIDENCE).map(|problem| (identifier(problem), problem.to_string())).collect()
}

fn identifier(problem: &Problem) -> &'static str {
    match problem {
        Problem::Level { .. } => "cpu.level",
        Problem::Alignment { .. } => "elf.alignment",
        _ => "lib.closure",
    }
}

/// Why the file does not define the version that is wanted. A newer library defines its older
/// versions too, so that the least one is looked for by its name.
fn symbol_version(loader: &Loader, library: &LibraryCheck, path: &Path) -> Option<String> {
    let wanted = library.symbol_version.as_deref()?;
    let object = match loader.object(path) {
        Ok(object) => object,
        Err(error) => return Some(error.to_string()),
    };
    if object.defined_versions.iter().any(|version| version == wanted) {
        return None;
    }
    Some(match (highest_version(&object, wanted), object.defined_versions.is_empty()) {
        (Some(highest), _) => format!("it defines up to {highest}, and {wanted} is wanted"),
        (None, true) => format!("it defines no symbol versions, and {wanted} is wanted"),
        (None, false) => format!("it does not define {wanted}"),
    })
}

/// What is to be loaded before everything else and cannot be: nothing where all is well.
pub fn preloads(loader: &Loader, full: bool) -> Vec<Check> {
    let mut checks = Vec::new();
    for name in loader.preloads() {
        let subject = name.to_string_lossy();
        let closure = loader.closure(name, None);
        let start = closure.nodes.first();
        let own = closure.problems.iter().find(|problem| problem.is_fatal());
        match (start, own) {
            // Loaders go on without it.
            (None, Some(problem)) => checks.push(
                Check::new("loader.preload", Status::Warn, subject, problem.to_string()).remedy(
                    format!("correct LD_PRELOAD or {PRELOAD_FILE}: it is left out at every start"),
                ),
            ),
            // It is there, so that it is loaded into every program, which then ends.
            (Some(_), Some(problem)) if full => checks.push(
                Check::new("loader.preload", Status::Fail, subject, problem.to_string())
                    .remedy("no program starts while it is preloaded; install what it needs"),
            ),
            _ => {}
        }
    }
    checks
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
