//! The judgement of each category, from what was seen: no engine is asked here.

use std::collections::BTreeMap;

use super::Limits;
use super::container::{Config, Known, Use};
use crate::platform::Arch;
use crate::verify::report::{Check, Status};

/// Codes of a HEALTHCHECK that could not be run: the engine's -1, and what a shell or exec gives.
const NOT_RUN: [i32; 3] = [-1, 126, 127];
/// How a killed process ends.
const KILLED: i32 = 137;

fn good(id: &'static str, subject: &str, message: impl Into<String>) -> Check {
    Check::new(id, Status::Pass, subject, message)
}

fn bad(id: &'static str, subject: &str, message: impl Into<String>, remedy: &str) -> Check {
    Check::new(id, Status::Fail, subject, message).remedy(remedy)
}

/// A category that could not be looked at.
pub fn skipped(id: &'static str, subject: &str, why: &str) -> Check {
    Check::new(id, Status::Skip, subject, why)
}

/// What the engine says when it is asked for the image on a platform: an error, or nothing.
pub fn architecture(image: &str, platform: &str, refused: Option<&str>, labelled: &str) -> Check {
    let id = "trial.architecture";
    match refused {
        None => good(id, image, format!("there is an image for {platform}")),
        Some(why) => {
            let message = format!("its label says {labelled} and not {platform}");
            let remedy = format!("build it with mak build --platform {platform}");
            bad(id, image, message, &remedy).evidence(vec![why.to_owned()])
        }
    }
}

/// How the container was after its start, and how it ended when it was stopped.
pub enum Start {
    /// The engine could not start it.
    Refused(String),
    /// It ended by itself.
    Ended(i32, bool),
    /// It ran, then was stopped.
    Stopped {
        /// How it was just before.
        before: Box<Known>,
        /// Its code.
        code: i32,
        /// How long that took.
        seconds: f64,
    },
}

/// Whether it starts, stays, and ends when it is told to.
pub fn startup(image: &str, start: &Start, log: Vec<String>) -> Check {
    let id = "trial.startup";
    let check = match start {
        Start::Refused(why) => bad(
            id,
            image,
            format!("it cannot be started: {why}"),
            "mak image verify names the file",
        ),
        Start::Ended(_, true) => {
            bad(id, image, "it was killed for its memory", "raise --memory, or let it use less")
        }
        Start::Ended(code, false) => bad(
            id,
            image,
            format!("it ended by itself with code {code}"),
            "the lines of its log say why; mak image verify looks for the cause in the files",
        ),
        Start::Stopped { before, .. } if before.restart_count > 0 => bad(
            id,
            image,
            format!("it was started again {} times", before.restart_count),
            "the lines of its log say why",
        ),
        Start::Stopped { code: KILLED, seconds, .. } => bad(
            id,
            image,
            format!("it starts, but did not stop: it was killed after {seconds:.1} s"),
            "as PID 1 a program without a handler ignores TERM; ENTRYPOINT [\"/mak-init\"] passes it on",
        ),
        Start::Stopped { code, seconds, .. } => {
            good(id, image, format!("it starts, and stops in {seconds:.1} s with code {code}"))
        }
    };
    check.evidence(log)
}

/// The machine of the programs that were started, and of the image's userland.
pub fn runtime(
    image: &str,
    arch: Arch,
    userland: Option<&str>,
    programs: &[(String, u16)],
) -> Check {
    let id = "trial.runtime";
    let remedy = "install it for this platform: mak image verify lists every file";
    if let Some((file, machine)) =
        programs.iter().find(|(_, machine)| *machine != arch.elf_machine())
    {
        let other = Arch::ALL.into_iter().find(|arch| arch.elf_machine() == *machine);
        let other = other.map_or(format!("machine {machine}"), |arch| arch.docker().to_owned());
        return bad(
            id,
            image,
            format!("{file} is for {other} and not for {}", arch.docker()),
            remedy,
        );
    }
    match userland {
        Some(userland) if userland != arch.docker() => {
            bad(id, image, format!("its userland is for {userland}"), remedy)
        }
        _ if userland.is_none() && programs.is_empty() => bad(
            id,
            image,
            "no file of it says which machine it is for",
            "name a command that the image has",
        ),
        _ => {
            let files: Vec<&str> = programs.iter().map(|(file, _)| file.as_str()).collect();
            let files = if files.is_empty() { "its userland".to_owned() } else { files.join(", ") };
            good(id, image, format!("{files}: for {}", arch.docker()))
        }
    }
}

/// Whether programs can be run inside: ours, those that PATH finds, and the image's own check.
pub fn process(
    image: &str,
    ran: Result<i32, String>,
    config: &Config,
    health: Option<&(Vec<String>, String)>,
    looks: Option<&[super::container::Look]>,
) -> Check {
    let id = "trial.process";
    match ran {
        Err(why) => return bad(id, image, why, "look at the container's limits and log"),
        Ok(0) => {}
        Ok(code) => {
            return bad(
                id,
                image,
                format!("a program run inside ends with {code}"),
                "look at the container's limits and log",
            );
        }
    }
    let path = config.variable("PATH").unwrap_or_default();
    if config.variable("PATH").is_some() && !path.split(':').any(|folder| folder.starts_with('/')) {
        return bad(
            id,
            image,
            format!("PATH is {path:?}"),
            "ENV PATH=/usr/local/bin:/usr/bin:/bin",
        );
    }
    if let Some((words, why)) = health {
        return bad(
            id,
            image,
            format!("its HEALTHCHECK cannot run {}: {why}", words.join(" ")),
            "HEALTHCHECK CMD [\"/mak-init\", \"healthcheck\"] needs no shell and no curl",
        );
    }
    if let Some(look) =
        looks.and_then(|looks| looks.iter().find(|look| NOT_RUN.contains(&look.exit_code)))
    {
        return bad(
            id,
            image,
            format!("its HEALTHCHECK cannot be run: {}", look.output.trim()),
            "HEALTHCHECK CMD [\"/mak-init\", \"healthcheck\"] needs no shell and no curl",
        );
    }
    good(id, image, "programs can be run inside")
}

/// What the published port answered, by path.
pub fn network(image: &str, port: u16, answer: &Result<u16, String>) -> Check {
    let id = "trial.network";
    match answer {
        Ok(status) => good(id, image, format!("port {port} answers from outside: {status}")),
        Err(why) => bad(
            id,
            image,
            format!("port {port} does not answer from outside: {why}"),
            "listen on 0.0.0.0, and name the port with EXPOSE or --port",
        ),
    }
}

/// The paths that a health answer is looked for at.
pub const HEALTH_PATHS: [&str; 2] = ["/health", "/api/healthchecker"];

/// What the two paths answered inside (by their status; `None`: nothing came in time), and what
/// the image's own HEALTHCHECK says.
pub fn health(
    image: &str,
    answers: &BTreeMap<&str, bool>,
    refused: &[String],
    status: Option<&str>,
) -> Check {
    let id = "trial.health";
    let remedy = "answer /health or /api/healthchecker with 2xx within 10 s";
    let fine: Vec<&str> =
        answers.iter().filter(|(_, good)| **good).map(|(path, _)| *path).collect();
    let check = if fine.is_empty() {
        bad(
            id,
            image,
            format!("none of {} answers 2xx within 10 s", HEALTH_PATHS.join(", ")),
            remedy,
        )
    } else if status == Some("unhealthy") {
        bad(id, image, "its own HEALTHCHECK says unhealthy", "docker inspect shows what it said")
    } else {
        let own = if status == Some("healthy") { ", and its HEALTHCHECK says healthy" } else { "" };
        good(id, image, format!("2xx from {}{own}", fine.join(" and ")))
    };
    check.evidence(refused.to_vec())
}

/// What it uses against the limits.
pub fn resources(image: &str, used: Result<Use, String>, limits: &Limits) -> Check {
    let id = "trial.resources";
    let used = match used {
        Ok(used) => used,
        Err(why) => return bad(id, image, why, "docker stats has to be able to measure it"),
    };
    let over = if used.memory > limits.memory {
        Some(("memory", "--memory"))
    } else if used.processes > limits.processes {
        Some(("processes", "--processes"))
    } else if used.processor > limits.processor {
        Some(("processor time", "--processor"))
    } else {
        None
    };
    let message = format!(
        "{:.1} of {:.0} MiB, {} of {} processes, {:.1} of {:.0} % of a processor",
        used.memory as f64 / 1_048_576.0,
        limits.memory as f64 / 1_048_576.0,
        used.processes,
        limits.processes,
        used.processor,
        limits.processor
    );
    match over {
        None => good(id, image, message),
        Some((what, flag)) => bad(
            id,
            image,
            format!("it uses too much {what}: {message}"),
            &format!("{flag} names another limit"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_program_is_named_whatever_the_label_says() {
        let programs = [("/mak-init".to_owned(), 183), ("/usr/bin/python3".to_owned(), 62)];
        let check = runtime("x", Arch::Arm64, Some("arm64"), &programs);
        assert_eq!(check.status, Status::Fail);
        assert_eq!(check.message, "/usr/bin/python3 is for amd64 and not for arm64");
        assert_eq!(runtime("x", Arch::Arm64, Some("arm64"), &programs[..1]).status, Status::Pass);
        assert_eq!(runtime("x", Arch::Arm64, None, &[]).status, Status::Fail);
        assert_eq!(runtime("x", Arch::Arm64, Some("amd64"), &[]).status, Status::Fail);
    }

    #[test]
    fn one_health_path_is_enough_and_none_is_a_failure() {
        let both = |a, b| BTreeMap::from([(HEALTH_PATHS[0], a), (HEALTH_PATHS[1], b)]);
        assert_eq!(health("x", &both(false, true), &[], None).status, Status::Pass);
        assert_eq!(health("x", &both(false, false), &[], None).status, Status::Fail);
        assert_eq!(health("x", &both(true, true), &[], Some("unhealthy")).status, Status::Fail);
    }

    #[test]
    fn each_limit_can_be_passed_by_itself() {
        let limits = Limits::default();
        let used = Use { memory: 1 << 20, processes: 2, processor: 0.1 };
        assert_eq!(resources("x", Ok(used), &limits).status, Status::Pass);
        for over in [
            Use { memory: 1 << 30, ..used },
            Use { processes: 300, ..used },
            Use { processor: 99.0, ..used },
        ] {
            assert_eq!(resources("x", Ok(over), &limits).status, Status::Fail);
        }
        assert_eq!(resources("x", Err("--".into()), &limits).status, Status::Fail);
    }

    #[test]
    fn being_killed_at_the_stop_is_a_failed_start_and_a_code_of_its_own_is_not() {
        let stopped = |code| Start::Stopped { before: Box::default(), code, seconds: 1.0 };
        assert_eq!(startup("x", &stopped(137), vec![]).status, Status::Fail);
        assert_eq!(startup("x", &stopped(143), vec![]).status, Status::Pass);
        assert_eq!(startup("x", &Start::Ended(0, false), vec![]).status, Status::Fail);
    }
}
