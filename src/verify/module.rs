//! `python -m NAME`: whether the workload's own module is there, told before the start. Called
//! for the command that is to be run and for the modules that a profile names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::report::{Check, Status};
use super::request::{Request, Switches};
use crate::python::entry_module::{self, EntryModule};
use crate::python::interpreter::Interpreter;

const ID: &str = "python.module";

/// What a command line says about its module.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    name: String,
    switches: Switches,
}

/// Checks the module that a command runs; `None` for any other command.
pub fn of_command(request: &Request, command: &[OsString], failed: Status) -> Option<Check> {
    let program = command.first()?.to_str()?;
    let name = Path::new(program).file_name()?.to_str()?;
    if !name.starts_with("python") && !name.starts_with("pypy") {
        return None;
    }
    let asked = asked(command.get(1..)?)?;
    // Where there is no interpreter, that is said elsewhere.
    let python = super::python::find_with(request, Some(program), asked.switches).ok()?;
    Some(check(request, &python, &asked, failed))
}

/// Checks a module that a profile names.
pub fn named(request: &Request, python: &Interpreter, name: &str, failed: Status) -> Check {
    let asked = Asked { name: name.to_owned(), switches: Switches::default() };
    check(request, python, &asked, failed)
}

fn check(request: &Request, python: &Interpreter, asked: &Asked, failed: Status) -> Check {
    let name = asked.name.as_str();
    let start = start(request).filter(|_| !asked.switches.no_start_folder);
    // A module's own main file is found as the package that it makes runnable.
    let package = name.strip_suffix(".__main__").unwrap_or(name);
    let found = entry_module::find(&request.root, python, start.as_deref(), package);
    match found {
        EntryModule::Runs(file) => {
            let message = format!("python -m {name} runs {}", file.display());
            Check::new(ID, Status::Pass, name, message)
        }
        EntryModule::NoMain(package) => {
            let message = format!(
                "python -m {name} fails: {} is a package without a __main__.py",
                package.display()
            );
            Check::new(ID, failed, name, message)
                .remedy("add a __main__.py to the package, or run one of its modules or commands")
        }
        EntryModule::NotFound if start.is_none() && !asked.switches.no_start_folder => {
            let message = format!(
                "python -m {name} finds no such module on the path; whether the working directory \
                 has one is not known from outside"
            );
            Check::new(ID, Status::Warn, name, message)
        }
        EntryModule::NotFound => {
            let message = format!("python -m {name} fails: there is no such module on the path");
            let looked = start.into_iter().chain(python.site.folders.iter().cloned());
            Check::new(ID, failed, name, message)
                .remedy("install the distribution that holds it, or correct the name or PYTHONPATH")
                .evidence(looked.map(|folder| format!("looked in {}", folder.display())).collect())
        }
        EntryModule::Unknown => {
            let message = "not in plain folders; archives or start-up code may provide it";
            Check::new(ID, Status::Skip, name, message)
        }
    }
}

/// The folder that the workload starts in, where it is known: that of this process.
pub(super) fn start(request: &Request) -> Option<PathBuf> {
    let here = || request.root.is_host().then(|| std::env::current_dir().ok()).flatten();
    request.working_folder.clone().or_else(here)
}

/// The module behind `-m` in an interpreter's arguments.
fn asked(arguments: &[OsString]) -> Option<Asked> {
    let mut switches = Switches::default();
    let mut words = arguments.iter().map(|word| word.to_str().unwrap_or_default());
    while let Some(word) = words.next() {
        if word == "--check-hash-based-pycs" {
            words.next();
            continue;
        }
        // A script, standard input, or the end of the options.
        let letters = word.strip_prefix('-').filter(|rest| !rest.is_empty())?;
        if letters.starts_with('-') {
            continue;
        }
        for (at, letter) in letters.char_indices() {
            let rest = letters.get(at + 1..).unwrap_or_default();
            match letter {
                'c' => return None,
                'm' => {
                    let name = if rest.is_empty() { words.next()? } else { rest };
                    return Some(Asked { name: name.to_owned(), switches });
                }
                's' => switches.no_user_site = true,
                'E' => switches.no_environment = true,
                'P' => switches.no_start_folder = true,
                'I' => {
                    switches = Switches {
                        no_user_site: true,
                        no_environment: true,
                        no_start_folder: true,
                    };
                }
                // These take the rest of the word, or the next one.
                'W' | 'X' | 'Q' => {
                    if rest.is_empty() {
                        words.next();
                    }
                    break;
                }
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_found_among_the_interpreters_options() {
        let asked = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            asked(&words).map(|asked| (asked.name, asked.switches))
        };
        let none = Switches::default();
        let all = Switches { no_user_site: true, no_environment: true, no_start_folder: true };
        let module = |name: &str, switches| Some((name.to_owned(), switches));
        assert_eq!(asked(&["-m", "a.b", "-c", "x"]), module("a.b", none));
        assert_eq!(asked(&["-um", "a"]), module("a", none));
        assert_eq!(asked(&["-W", "-m", "-Xdev", "-Ima"]), module("a", all));
        assert_eq!(asked(&["-sEPm", "a"]), module("a", all));
        assert_eq!(
            asked(&["--check-hash-based-pycs", "never", "-P", "-m", "a"]),
            module("a", Switches { no_start_folder: true, ..none })
        );
        let switches = Switches { no_user_site: true, ..none };
        assert_eq!(asked(&["-s", "-m", "a"]), module("a", switches));
        for none in [["script.py", "-m"].as_slice(), &["-c", "x"], &["-", "-m", "a"], &["-m"], &[]]
        {
            assert_eq!(asked(none), None, "{none:?}");
        }
    }
}
