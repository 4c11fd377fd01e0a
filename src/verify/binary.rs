//! Programs that a profile names: found, for this machine, and with all that they load.

use std::ffi::OsStr;

use super::command::assess;
use super::report::{Check, Status};
use super::request::{BinaryCheck, Request, failure};
use crate::config::Severity;
use crate::loader::Loader;

/// Checks one program. An optional one that is absent is skipped; one that is there has to be
/// able to start.
pub fn check(request: &Request, binary: &BinaryCheck, loader: &Loader) -> Check {
    let assessment = assess(request, OsStr::new(&binary.name), Some(loader));
    let mut check = assessment.check();
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
