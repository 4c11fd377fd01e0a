//! Programs that a profile names: found, for this machine, and with all that they load.

use std::ffi::OsStr;
use std::path::Path;

use super::command::assess;
use super::report::{Check, Status};
use super::request::{BinaryCheck, Request, failure};
use crate::config::Severity;
use crate::elf::{self, Mismatch};
use crate::loader::Loader;
use crate::platform::emulation::runs_natively;

/// Checks one program. An optional one that is absent is skipped; one that is there has to be
/// able to start.
pub fn check(request: &Request, binary: &BinaryCheck, loader: &Loader) -> Check {
    let assessment = assess(request, OsStr::new(&binary.name), Some(loader));
    let mut check = assessment.check();
    if check.status == Status::Pass
        && let Some(path) = &assessment.path
        && let Some(foreign) = foreign(loader, path)
    {
        let message = format!("{}: it {foreign}", path.display());
        check = Check::new("command.machine", Status::Fail, check.subject, message)
            .remedy("install it for this platform");
    }
    if assessment.path.is_none() && check.id == "command.missing" {
        check.id = "binary.missing";
        if let Some(purpose) = &binary.purpose {
            check.message = format!("{} ({purpose})", check.message);
        }
        if binary.severity == Severity::Optional {
            check.status = Status::Skip;
            check.remedy = None;
            return check;
        }
    }
    check.id = identifier(check.id);
    if check.status == Status::Fail {
        check.status = failure(binary.severity);
        check.remedy = binary.remedy.clone().or(check.remedy);
    }
    check
}

/// What a program is for, where it is not for the image's own machine. An emulator that happens to
/// be registered here makes it start, and not on the next machine.
fn foreign(loader: &Loader, path: &Path) -> Option<Mismatch> {
    let identity = elf::identify(&loader.root().open(path).ok()?).ok()?;
    let mismatch = identity.runs_on(loader.arch()).err()?;
    let taken = identity.arch().is_some_and(|arch| runs_natively(loader.arch(), arch));
    (!taken).then_some(mismatch)
}

/// The identifier for a program of a profile, from the one for the workload.
fn identifier(id: &'static str) -> &'static str {
    match id {
        "command.missing" | "binary.missing" => "binary.missing",
        "command.machine" => "binary.machine",
        "command.loader" => "binary.loader",
        "command.closure" => "binary.closure",
        _ => "binary.refused",
    }
}
