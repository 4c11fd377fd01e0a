//! Verification: will this image run here, and if not, which file, which name, why, and what to
//! do? `verify` turns a request into a report. It starts no other program, and it runs in a
//! process of its own: what it reads is foreign.

pub mod binary;
pub mod command;
pub mod library;
pub mod opencl;
pub mod platform;
pub mod python;
pub mod report;
pub mod request;

pub use report::{Check, Report, Status, Verdict};
pub use request::Request;

use crate::loader::{Conditions, Loader, Processor};
use crate::platform::userland::root_arch;
use crate::platform::{Arch, Uname, detect, kernel};

/// Makes every check of the request.
pub fn verify(request: &Request) -> Report {
    let platform = detect(&request.root);
    let own = Uname::of_this_process().arch();
    let Some(arch) = root_arch(&request.root, own).or(own) else {
        let check = Check::new(
            "platform.unknown",
            Status::Fail,
            platform.uname.machine.clone(),
            "this architecture is not known: nothing can be said about its files",
        );
        return Report::new(platform, vec![check]);
    };
    let mut checks = platform::check(request, &platform, arch);
    checks.extend(self::checks(request, arch));
    Report::new(platform, checks)
}

fn checks(request: &Request, arch: Arch) -> Vec<Check> {
    let loader = Loader::new(&request.root, arch, conditions(request, arch));
    let mut checks: Vec<Check> = request
        .libraries
        .iter()
        .map(|library| library::check(&loader, library, request.full))
        .collect();
    checks.extend(library::preloads(&loader, request.full));
    if let Some(wanted) = &request.opencl {
        checks.extend(opencl::check(&loader, wanted, &request.surroundings, request.full));
    }
    checks.extend(request.binaries.iter().map(|wanted| binary::check(request, wanted, &loader)));
    if let Some(python) = &request.python {
        checks.extend(python::check(request, python, &loader));
    }
    if let Some(command) = &request.command {
        checks.push(command::check(request, command, &loader));
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
        working_folder: std::env::current_dir().ok().filter(|_| request.root.is_host()),
        processor: request.processor.clone().unwrap_or_else(|| Processor::of_this_machine(arch)),
        page_size: request.page_size.or_else(|| here.then(kernel::page_size)),
    }
}
