//! Whether what an image says would start inside of it: entrypoint and command, and the health
//! check, as the image's user, in its working folder, with its environment. Nothing is run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::manifest::Run;
use crate::config::workload;
use crate::loader::Loader;
use crate::platform::{Root, users};
use crate::verify::command::{self, Credentials};
use crate::verify::{Check, Request, Status, module};

/// Where a shell-form command's shell is, unless the image names another.
const SHELL: &str = "/bin/sh";

/// First processes that start the words behind them, and their options that take a word.
const INITS: &[(&str, &[&str])] = &[
    (
        "mak-init",
        &["--profile", "--config", "--user", "--workdir", "--log-level", "--health", "--grace"],
    ),
    ("tini", &["-p", "-e", "-l"]),
    ("tini-static", &["-p", "-e", "-l"]),
    ("docker-init", &["-p", "-e", "-l"]),
    ("dumb-init", &["-r", "--rewrite"]),
    ("catatonit", &["-L"]),
];

/// The image's environment as pairs.
pub fn environment(run: &Run) -> Vec<(OsString, OsString)> {
    let lines = run.env.iter().flatten();
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            (name.into(), value.into())
        })
        .collect()
}

/// As whom it would be started, or why that is nobody.
pub fn user(root: &Root, run: &Run) -> Result<Credentials, Box<Check>> {
    let refused = |why: String| {
        let check = Check::new("image.user", Status::Fail, run.user.clone(), why);
        Box::new(check.remedy("add the user to the image, or name it by its number"))
    };
    let account = match workload::account(&run.user) {
        Ok(None) => return Ok(Credentials::root()),
        Ok(Some(account)) => account,
        Err(why) => return Err(refused(why)),
    };
    let user = users::find(root, &account, 0).map_err(|error| refused(error.to_string()))?;
    Ok(Credentials { uid: user.uid, gid: user.gid, overrides: user.uid == 0, groups: user.groups })
}

/// Where it would start.
pub fn folder(run: &Run) -> PathBuf {
    Path::new("/").join(&run.working_dir)
}

/// Checks what `docker run` without arguments would start.
pub fn command(request: &Request, run: &Run, loader: &Loader) -> Vec<Check> {
    let words = run.entrypoint.iter().flatten().chain(run.cmd.iter().flatten());
    let words: Vec<OsString> = words.map(OsString::from).collect();
    if words.is_empty() {
        let text = "the image has neither entrypoint nor command: it is for others to build on";
        return vec![Check::new("image.entrypoint", Status::Skip, "entrypoint", text)];
    }
    let mut checks = Vec::new();
    let mut rest: &[OsString] = &words;
    for _ in 0..3 {
        let check = command::check(request, rest, loader);
        let failed = check.status == Status::Fail;
        let shown: Vec<_> = rest.iter().map(|word| word.to_string_lossy()).collect();
        checks.push(match failed {
            true => Check { subject: shown.join(" "), ..check },
            false => Check::new("image.entrypoint", Status::Pass, shown.join(" "), check.message),
        });
        match behind_init(rest) {
            Some(behind) if !failed => rest = behind,
            _ => break,
        }
    }
    checks.extend(module::of_command(request, rest, Status::Fail));
    checks
}

/// The words that a first process would start; `None` where it is none, or has no such words.
fn behind_init(words: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = words.split_first()?;
    let name = Path::new(program).file_name()?.to_str()?;
    let (_, with_value) = INITS.iter().find(|(known, _)| *known == name)?;
    if let Some(at) = rest.iter().position(|word| word == "--") {
        return rest.get(at + 1..).filter(|rest| !rest.is_empty());
    }
    let mut at = 0;
    while let Some(word) = rest.get(at) {
        let word = word.to_str()?;
        if !word.starts_with('-') {
            // A subcommand of mak-init starts nothing.
            let own = ["verify", "platform", "explain", "healthcheck", "config", "status"];
            let starts = name != "mak-init" || !own.contains(&word);
            return rest.get(at..).filter(|_| starts);
        }
        at += if with_value.contains(&word) { 2 } else { 1 };
    }
    None
}

/// Checks that the health check can be started.
pub fn healthcheck(request: &Request, run: &Run, loader: &Loader) -> Option<Check> {
    const ID: &str = "image.healthcheck";
    let test = run.healthcheck.as_ref()?.test.as_ref()?;
    let (form, rest) = test.split_first()?;
    let (subject, words): (String, Vec<OsString>) = match form.as_str() {
        "NONE" | "" => return None,
        "CMD-SHELL" => {
            let line = rest.join(" ");
            if !request.root.is_file(Path::new(SHELL)) {
                let text = format!(
                    "is written for a shell ({line}), and the image has no {SHELL}: the container \
                     stays unhealthy"
                );
                let fix = "write it as a list: HEALTHCHECK CMD [\"/program\", \"argument\"]";
                return Some(Check::new(ID, Status::Fail, "health check", text).remedy(fix));
            }
            (line.clone(), vec![SHELL.into(), "-c".into(), line.into()])
        }
        _ => (rest.join(" "), rest.iter().map(OsString::from).collect()),
    };
    if words.is_empty() {
        let text = "has no program";
        return Some(Check::new(ID, Status::Fail, "health check", text));
    }
    let found = command::check(request, &words, loader);
    Some(match found.status {
        Status::Fail => {
            let text = format!("cannot be started: {} [{}]", found.message, found.id);
            let check = Check::new(ID, Status::Fail, subject, text);
            match found.remedy {
                Some(remedy) => check.remedy(remedy),
                None => check,
            }
        }
        _ => Check::new(ID, Status::Pass, subject, found.message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_behind_a_first_process_is_found() {
        let behind = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let found = behind_init(&words).map(<[OsString]>::to_vec);
            found.map(|words| words.join(std::ffi::OsStr::new(" ")).into_string().unwrap())
        };
        assert_eq!(behind("/mak-init --profile x -- python -m y").as_deref(), Some("python -m y"));
        assert_eq!(behind("tini -g -p TERM /app x").as_deref(), Some("/app x"));
        assert_eq!(behind("/mak-init /app").as_deref(), Some("/app"));
        assert_eq!(behind("/mak-init verify --full"), None);
        assert_eq!(behind("/mak-init"), None);
        assert_eq!(behind("/bin/sh -c x"), None);
    }
}
