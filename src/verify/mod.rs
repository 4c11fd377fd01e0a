//! Verification: will this image run here, and if not, which file, which name, why, and what to
//! do? `verify` turns a request into a report. It starts no other program, and it runs in a
//! process of its own: what it reads is foreign.

pub mod binary;
pub mod command;
pub mod library;
pub mod module;
pub mod opencl;
pub mod platform;
pub mod python;
pub mod report;
pub mod request;

pub use report::{Check, Report, Status, Verdict};
pub use request::Request;

use crate::config::Severity;
use crate::loader::{Conditions, Loader, Processor};
use crate::platform::userland::root_arch;
use crate::platform::{Arch, Uname, detect, kernel};

/// Makes every check of the request.
pub fn verify(request: &Request) -> Report {
    let platform = detect(&request.root);
    let own = Uname::of_this_process().arch();
    let Some(arch) = request.arch.or_else(|| root_arch(&request.root, own)).or(own) else {
        let check = Check::new(
            "platform.unknown",
            Status::Fail,
            platform.uname.machine.clone(),
            "this architecture is not known: nothing can be said about its files",
        );
        return Report::new(platform, vec![check]);
    };
    let of_machine = platform::check(request, &platform, arch).into_iter();
    let mut checks: Vec<Check> = of_machine.map(|check| check.looked_at(&request.root)).collect();
    checks.extend(self::checks(request, arch));
    settle(&mut checks, &request.severities);
    Report::new(platform, checks)
}

fn checks(request: &Request, arch: Arch) -> Vec<Check> {
    let root = &request.root;
    let loader = Loader::new(root, arch, conditions(request, arch));
    let mut checks: Vec<Check> = Vec::new();
    for library in &request.libraries {
        checks.push(library::check(&loader, library, request.full).looked_at(root));
    }
    // One look answers all of them; the first has its paths.
    let preloads = library::preloads(&loader, request.full).into_iter();
    checks.extend(preloads.map(|check| check.looked_at(root)));
    if let Some(wanted) = &request.opencl {
        let found = opencl::check(&loader, wanted, &request.surroundings, request.full).into_iter();
        checks.extend(found.map(|check| check.looked_at(root)));
    }
    for wanted in &request.binaries {
        checks.push(binary::check(request, wanted, &loader).looked_at(root));
    }
    if let Some(python) = &request.python {
        checks.extend(python::check(request, python, &loader));
    }
    if let Some(command) = &request.command {
        checks.push(command::check(request, command, &loader).looked_at(root));
    }
    let certain = request.command.as_ref().or(request.workload.as_ref());
    let usual = request.usual_command.as_ref().map(|command| (command, Status::Warn));
    if let Some((command, failed)) = certain.map(|command| (command, Status::Fail)).or(usual) {
        let check = module::of_command(request, command, failed);
        checks.extend(check.map(|check| check.looked_at(root)));
    }
    checks
}

/// What the workload would be loaded under, on this machine unless the request says otherwise.
pub fn conditions(request: &Request, arch: Arch) -> Conditions {
    let here = Arch::built_for() == Some(arch) && request.root.is_host();
    let surroundings = &request.surroundings;
    Conditions {
        library_path: surroundings.library_path.clone().unwrap_or_default(),
        preload: surroundings.preload.clone().unwrap_or_default(),
        working_folder: request
            .working_folder
            .clone()
            .or_else(|| std::env::current_dir().ok().filter(|_| request.root.is_host())),
        processor: request.processor.clone().unwrap_or_else(|| Processor::of_this_machine(arch)),
        page_size: request.page_size.or_else(|| here.then(kernel::page_size)),
    }
}

/// Lays the severities of single checks over those of the parts.
pub(crate) fn settle(checks: &mut Vec<Check>, severities: &[(String, Severity)]) {
    for (id, severity) in severities {
        if *severity == Severity::Off {
            checks.retain(|check| check.id != id);
            continue;
        }
        let wrong = |check: &&mut Check| {
            check.id == id && matches!(check.status, Status::Fail | Status::Warn)
        };
        for check in checks.iter_mut().filter(wrong) {
            check.status = request::failure(*severity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_severity_of_a_check_is_stronger_than_that_of_its_part() {
        let check = |id, status| Check::new(id, status, "x", "y");
        let mut checks = vec![
            check("dist.shadowed", Status::Warn),
            check("dist.missing", Status::Fail),
            check("dist.version", Status::Pass),
            check("record.size", Status::Fail),
        ];
        let severities = [
            ("dist.shadowed", Severity::Required),
            ("dist.missing", Severity::Optional),
            ("dist.version", Severity::Required),
            ("record.size", Severity::Off),
        ];
        settle(&mut checks, &severities.map(|(id, severity)| (id.to_owned(), severity)));
        let statuses: Vec<Status> = checks.iter().map(|check| check.status).collect();
        assert_eq!(statuses, [Status::Fail, Status::Warn, Status::Pass]);
    }
}
