//! The program that a command names, as `init/spawn` takes it, and the reason where the kernel
//! refuses it. Made for the workload, for programs that checks run, and for the personalities.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::Start;
use crate::cli::environment::{Environment, find};
use crate::init::attributes::Attributes;
use crate::init::last_words::LastWords;
use crate::init::spawn::{Program, Refusal, Standing, candidates};
use crate::verify;

impl Start<'_> {
    pub(super) fn program(&self) -> Option<Program> {
        let program = program_of(
            &self.command,
            environment_entries(&self.environment),
            find(&self.environment, "PATH"),
            explain,
            Standing::Foreground,
        )?;
        let attributes = self.attributes.clone();
        Some(Program { last_words: Some(LastWords), attributes, ..program })
    }
}

/// The environment as execve(2) takes it.
pub fn environment_entries(environment: &Environment) -> Vec<CString> {
    let entry = |(name, value): &(OsString, OsString)| {
        let mut entry = name.clone();
        entry.push("=");
        entry.push(value);
        CString::new(entry.into_vec()).ok()
    };
    environment.iter().filter_map(entry).collect()
}

/// The program that this command names, looked for in these folders of PATH.
pub fn program_of(
    command: &[OsString],
    environment: Vec<CString>,
    path: Option<&OsStr>,
    explain: fn(&Program, &CStr, std::io::Error) -> Refusal,
    standing: Standing,
) -> Option<Program> {
    let text = |word: &OsString| CString::new(word.clone().into_vec()).ok();
    let arguments: Vec<CString> = command.iter().map(text).collect::<Option<_>>()?;
    let candidates = candidates(arguments.first()?, path);
    let say = |text: &str| tracing::error!("{text}");
    Some(Program {
        arguments,
        environment,
        candidates,
        last_words: None,
        attributes: Attributes::none(),
        explain,
        say,
        standing,
        folder: None,
    })
}

/// Says why the program was refused.
pub(super) fn explain(program: &Program, candidate: &CStr, error: std::io::Error) -> Refusal {
    let path = |candidate: &'_ CStr| Path::new(OsStr::from_bytes(candidate.to_bytes())).to_owned();
    let paths: Vec<PathBuf> = program.candidates.iter().map(|candidate| path(candidate)).collect();
    let named_by_path = program.arguments.first().is_some_and(|a| a.to_bytes().contains(&b'/'));
    let folders: Vec<&Path> = match named_by_path {
        true => Vec::new(),
        false => paths.iter().filter_map(|path| path.parent()).collect(),
    };
    let attempt = verify::command::Attempt {
        path: &path(candidate),
        folders: &folders,
        arguments: &program.arguments,
        environment: &program.environment,
    };
    let (code, text) = verify::command::explain(&attempt, error);
    Refusal { code, text }
}
