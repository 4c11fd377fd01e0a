//! `mak-init explain COMMAND…`: would this command start here, and if not, why? Nothing is run;
//! the exit code is the one that a start would give: 0, 126 or 127.

use std::ffi::{OsStr, OsString};

use super::words::Words;
use super::{Started, code, configuration, print, refuse, run, say, usage, verify as verifying};
use crate::loader::Loader;
use crate::platform::userland::root_arch;
use crate::platform::{Root, Uname, detect};
use crate::verify::command::{Assessment, assess};
use crate::verify::{Check, Report, Request, Status, conditions, module};

/// Explains the command that was typed, else the configured one.
#[inline(never)]
pub fn main(started: &Started, words: Words) -> u8 {
    let effective = match configuration(started, &words) {
        Ok(effective) => effective,
        Err(error) => return refuse(&error),
    };
    let format = words.option(started, "format").unwrap_or("text".into());
    if !["text", "json"].iter().any(|known| format == *known) {
        return usage("--format: the value is neither text nor json");
    }
    let root = match words.option(started, "root").map(|path| verifying::root(&path)) {
        None => Root::host(),
        Some(Ok(root)) => root,
        Some(Err(code)) => return code,
    };
    let Some(command) = run::command(words, &effective) else {
        return usage("explain: there is no command; name one: mak-init explain COMMAND [ARG…]");
    };
    let uname = Uname::of_this_process();
    let environment = match run::workload(started, &effective, &uname) {
        Ok((_, environment)) => environment,
        Err(error) => {
            say(&error.to_string());
            return code::CONFIGURATION;
        }
    };
    let request = Request { root, ..Request::empty(&environment) };
    let name = command.first().map(OsString::as_os_str).unwrap_or_default();
    let assessment = look(&request, name, &uname);
    // An interpreter starts all the same, and ends at once where it finds no such module.
    let module = module::of_command(&request, &command, Status::Fail)
        .filter(|check| check.status != Status::Pass);
    let printed = match format == "json" {
        true => json(&request, &assessment, module),
        false => text(&assessment, module),
    };
    if printed == code::FINE { assessment.code() } else { printed }
}

fn look(request: &Request, name: &OsStr, uname: &Uname) -> Assessment {
    let arch = root_arch(&request.root, uname.arch()).or_else(|| uname.arch());
    let loader = arch.map(|arch| Loader::new(&request.root, arch, conditions(request, arch)));
    assess(request, name, loader.as_ref())
}

fn json(request: &Request, assessment: &Assessment, module: Option<Check>) -> u8 {
    let checks = std::iter::once(assessment.check()).chain(module).collect();
    let report = Report::new(detect(&request.root), checks);
    match report.json() {
        Ok(json) => print(&json),
        Err(error) => {
            say(&format!("cannot show the report as JSON: {error}"));
            code::FAILED
        }
    }
}

/// The line that a start would log, and a line for everything that could not be loaded.
fn text(assessment: &Assessment, module: Option<Check>) -> u8 {
    let name = match &assessment.path {
        Some(path) => path.display().to_string(),
        None => assessment.name.clone(),
    };
    if let Some(obstacle) = &assessment.obstacle {
        return print(&format!("cannot start {name}: {obstacle}\n"));
    }
    let chain = &assessment.chain;
    if assessment.unloadable.is_empty() {
        let module = module.map(|check| format!("  {}\n", check.message)).unwrap_or_default();
        return print(&format!("{name} would start: {chain}\n{module}"));
    }
    let mut lines = format!("{name} would start and end at once: it cannot be loaded ({chain})\n");
    for problem in &assessment.unloadable {
        lines.push_str("  ");
        lines.push_str(problem);
        lines.push('\n');
    }
    print(&lines)
}
