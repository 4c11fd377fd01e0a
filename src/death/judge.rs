//! From facts to a cause and a line. Everything here is a pure function, and what the facts do
//! not prove is not claimed.

use super::facts::{Facts, OomKills, Sender};
use crate::config::Signal;
use crate::init::frame::Cause;
use crate::init::reap::Ended;

/// What a death comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// In a word.
    pub cause: Cause,
    /// For the log and for Kubernetes.
    pub line: String,
}

/// Tells what the facts mean.
pub fn judge(facts: &Facts) -> Judgement {
    let (cause, what) = match facts.ended.signal() {
        _ if facts.asked.is_some() => (Cause::Asked, asked(facts)),
        None => code(facts),
        Some(number) => signal(facts, number),
    };
    let mut line = format!("the workload (pid {}) {what}", facts.pid);
    if let Some(core) = &facts.core {
        line.push_str("; ");
        line.push_str(core);
    }
    Judgement { cause, line }
}

fn named(number: u8) -> String {
    match Signal::from_number(i32::from(number)) {
        Some(signal) => signal.to_string(),
        None => format!("signal {number}"),
    }
}

fn asked(facts: &Facts) -> String {
    let how = match facts.ended {
        Ended::Code(code) => format!("ended with code {code}"),
        Ended::Signal(_) if facts.killed_by_us => "was killed after its grace period".to_owned(),
        Ended::Signal(number) | Ended::Dumped(number) => {
            format!("was ended by {}", named(number))
        }
    };
    let by = facts.asked.map(|asked| asked.signal.to_string()).unwrap_or_default();
    let from = facts.sender.as_ref().map(|sender| origin(facts, sender)).unwrap_or_default();
    format!("{how}; a stop was asked for: {by}, {from}")
}

/// "sent by process 12 (sh)", "sent from outside the container".
fn origin(facts: &Facts, sender: &Sender) -> String {
    match (sender.pid, &sender.name) {
        (0, _) if facts.is_init => "sent from outside the container".to_owned(),
        (0, _) => "sent by the kernel or from another PID namespace".to_owned(),
        (pid, Some(name)) => format!("sent by process {pid} ({name})"),
        (pid, None) => format!("sent by process {pid}"),
    }
}

fn code(facts: &Facts) -> (Cause, String) {
    let code = facts.ended.exit_code();
    let mut what = format!("ended with code {code}");
    // Shells give 128 and the number for a child that a signal has ended.
    if let Some(number @ 1..=64) = code.checked_sub(128) {
        what = format!("{what}, as a shell says that {} ended a child", named(number));
    }
    // Without a count from the start an older kill could be meant.
    let killed = facts.oom.and_then(|oom| Some(oom.now.saturating_sub(oom.before?)));
    match killed {
        Some(count @ 1..) => {
            let so_many = times(count);
            what = format!(
                "{what}; the out-of-memory killer has killed a process of this container {so_many} \
                 since the start{}",
                limit(facts)
            );
            let its = if code == 137 { Cause::OutOfMemory } else { Cause::Code };
            (its, what)
        }
        _ => (Cause::Code, what),
    }
}

fn signal(facts: &Facts, number: u8) -> (Cause, String) {
    if let Some(sender) = &facts.sender {
        let what = format!("was ended by {}, {}", named(number), origin(facts, sender));
        return (Cause::Signal, what);
    }
    let named = named(number);
    match i32::from(number) {
        libc::SIGKILL => killed(facts),
        libc::SIGILL => (Cause::IllegalInstruction, illegal_instruction(facts)),
        libc::SIGBUS => (Cause::BusError, bus_error(facts)),
        libc::SIGSYS => (Cause::Seccomp, seccomp(facts)),
        libc::SIGSEGV => (Cause::Signal, format!("touched memory that it does not have ({named})")),
        libc::SIGABRT => (Cause::Signal, format!("gave up by itself, as abort() does ({named})")),
        libc::SIGFPE => (Cause::Signal, format!("made an arithmetic error ({named})")),
        libc::SIGPIPE => (Cause::Signal, format!("wrote to a pipe that nobody reads ({named})")),
        libc::SIGXCPU => (Cause::Signal, format!("went over its processor time ({named})")),
        libc::SIGXFSZ => (Cause::Signal, format!("went over its file size limit ({named})")),
        _ => {
            let why = "it did not come through mak-init, so that its sender is not known";
            (Cause::Signal, format!("was ended by {named}; {why}"))
        }
    }
}

fn killed(facts: &Facts) -> (Cause, String) {
    let limit = limit(facts);
    let unknown = "was killed (SIGKILL) by an unknown sender: a KILL goes straight to the \
                   workload, past mak-init";
    match facts.oom {
        Some(OomKills { before: Some(before), now }) if now > before => {
            let what = format!("was killed by the kernel's out-of-memory killer{limit}");
            (Cause::OutOfMemory, what)
        }
        Some(OomKills { before: None, now }) if now > 0 => (
            Cause::OutOfMemory,
            format!(
                "was killed, in all likelihood by the kernel's out-of-memory killer, which has \
                 killed in this container {} since it was made{limit}",
                times(now)
            ),
        ),
        Some(_) => (Cause::Signal, format!("{unknown}; it was not the out-of-memory killer")),
        None => (
            Cause::Signal,
            format!("{unknown}; whether it was the out-of-memory killer cannot be seen here"),
        ),
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn limit(facts: &Facts) -> String {
    match facts.memory_limit {
        Some(bytes) => format!("; the container may have {} of memory", size(bytes)),
        None => String::new(),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn illegal_instruction(facts: &Facts) -> String {
    let what = "met an illegal instruction (SIGILL)";
    let program = match &facts.program {
        Some(path) => path.display().to_string(),
        None => "its program".to_owned(),
    };
    if let Some(level) = facts.level {
        let here = format!("this processor has x86-64-v{level}");
        return match facts.level_needed {
            Some(needed) if needed > level => {
                format!("{what}: {program} asks for x86-64-v{needed}, and {here}")
            }
            Some(needed) => format!(
                "{what}: {program} asks for x86-64-v{needed}, and {here}; a library may ask for more"
            ),
            None => format!("{what}: {program} does not say what it needs; {here}"),
        };
    }
    if facts.features.is_empty() {
        return format!(
            "{what}: {program} was built for another processor than this one, or traps"
        );
    }
    let features = facts.features.join(" ");
    format!("{what}: {program} does not say what it needs; this processor has {features}")
}

fn bus_error(facts: &Facts) -> String {
    let page = facts.page_size;
    let what = format!(
        "met a bus error (SIGBUS): a mapped file is shorter than what was touched of it, or \
         memory cannot be had; pages have {page} bytes"
    );
    match facts.shared_memory {
        // Less than a page is full.
        Some((all, free)) if free < page => format!(
            "{what}; /dev/shm is full ({}): give it more (docker run --shm-size)",
            size(all)
        ),
        Some((all, free)) => {
            format!("{what}; /dev/shm has {} of {} free", size(free), size(all))
        }
        None => what,
    }
}

fn seccomp(facts: &Facts) -> String {
    let what = "made a system call that a seccomp filter forbids (SIGSYS)";
    match facts.filtered {
        Some(true) => {
            format!("{what}: the container has a filter; the host's audit log names the call")
        }
        Some(false) => format!("{what}: a filter of its own, since the container has none"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::death::Asked;
    use std::path::PathBuf;

    fn facts(ended: Ended) -> Facts {
        Facts {
            pid: 7,
            ended,
            asked: None,
            killed_by_us: false,
            sender: None,
            is_init: true,
            oom: None,
            memory_limit: None,
            program: Some(PathBuf::from("/app")),
            level_needed: None,
            level: Some(2),
            features: Vec::new(),
            page_size: 4096,
            shared_memory: None,
            filtered: None,
            core: None,
        }
    }

    fn judged(facts: Facts, cause: Cause, words: &[&str]) {
        let judgement = judge(&facts);
        assert_eq!(judgement.cause, cause, "{}", judgement.line);
        for word in words.iter().chain(&["the workload (pid 7) "]) {
            assert!(judgement.line.contains(word), "{word:?} is not in {:?}", judgement.line);
        }
        assert!(!judgement.line.contains('\n'));
    }

    #[test]
    fn a_kill_is_the_out_of_memory_killers_only_where_its_count_says_so() {
        let with = |oom| Facts { oom, memory_limit: Some(64 << 20), ..facts(Ended::Signal(9)) };
        let oom = |before, now| Some(OomKills { before, now });
        let killer = "killed by the kernel's out-of-memory killer; the container may have 64 MiB";
        judged(with(oom(Some(1), 2)), Cause::OutOfMemory, &[killer]);
        judged(with(oom(None, 1)), Cause::OutOfMemory, &["in all likelihood", "once since"]);
        judged(with(oom(Some(2), 2)), Cause::Signal, &["unknown sender", "not the out-of-memory"]);
        judged(with(oom(None, 0)), Cause::Signal, &["unknown sender", "not the out-of-memory"]);
        judged(with(None), Cause::Signal, &["unknown sender", "cannot be seen"]);
    }

    #[test]
    fn a_sender_is_named_where_it_is_known() {
        let from = |pid, name: Option<&str>, is_init| Facts {
            sender: Some(Sender { pid, name: name.map(str::to_owned) }),
            is_init,
            ..facts(Ended::Signal(10))
        };
        judged(from(12, Some("sh"), true), Cause::Signal, &["SIGUSR1, sent by process 12 (sh)"]);
        judged(from(12, None, true), Cause::Signal, &["sent by process 12"]);
        judged(from(0, None, true), Cause::Signal, &["sent from outside the container"]);
        judged(from(0, None, false), Cause::Signal, &["sent by the kernel"]);
        judged(facts(Ended::Signal(10)), Cause::Signal, &["SIGUSR1; it did not come through"]);
    }

    #[test]
    fn a_stop_that_was_asked_for_says_by_whom() {
        let stop = |ended, killed_by_us| Facts {
            asked: Some(Asked { signal: Signal::TERM, sender: 0 }),
            sender: Some(Sender { pid: 0, name: None }),
            killed_by_us,
            ..facts(ended)
        };
        let outside = "a stop was asked for: SIGTERM, sent from outside the container";
        judged(stop(Ended::Signal(15), false), Cause::Asked, &["by SIGTERM;", outside]);
        judged(stop(Ended::Code(3), false), Cause::Asked, &["with code 3", outside]);
        judged(stop(Ended::Signal(9), true), Cause::Asked, &["after its grace period", outside]);
    }

    #[test]
    fn an_illegal_instruction_names_what_is_asked_and_what_is_there() {
        let needs = |level_needed| Facts { level_needed, ..facts(Ended::Signal(4)) };
        let cause = Cause::IllegalInstruction;
        judged(needs(Some(3)), cause, &["/app asks for x86-64-v3", "this processor has x86-64-v2"]);
        judged(needs(Some(2)), cause, &["a library may ask for more"]);
        judged(needs(None), cause, &["does not say what it needs"]);
        let arm = Facts { level: None, features: vec!["asimd", "aes"], ..facts(Ended::Signal(4)) };
        judged(arm, cause, &["this processor has asimd aes"]);
    }

    #[test]
    fn a_bus_error_tells_a_full_shared_memory() {
        let with = |shared_memory| Facts { shared_memory, ..facts(Ended::Signal(7)) };
        judged(with(Some((64 << 20, 0))), Cause::BusError, &["/dev/shm is full (64 MiB)"]);
        judged(with(Some((64 << 20, 1 << 20))), Cause::BusError, &["1 MiB of 64 MiB free", "4096"]);
        judged(with(None), Cause::BusError, &["pages have 4096 bytes"]);
    }

    #[test]
    fn a_seccomp_kill_and_a_core_are_said() {
        let with = |filtered| Facts { filtered, ..facts(Ended::Signal(31)) };
        judged(with(Some(true)), Cause::Seccomp, &["seccomp filter", "the container has a filter"]);
        judged(with(Some(false)), Cause::Seccomp, &["a filter of its own"]);
        let core = Some("a core was dumped to /core".to_owned());
        let dumped = Facts { core, ..facts(Ended::Dumped(6)) };
        judged(dumped, Cause::Signal, &["(SIGABRT); a core was dumped to /core"]);
    }

    #[test]
    fn a_plain_code_is_said_shortly_and_a_shells_code_is_read() {
        assert_eq!(judge(&facts(Ended::Code(3))).line, "the workload (pid 7) ended with code 3");
        let oom = Some(OomKills { before: Some(0), now: 1 });
        let shell = Facts { oom, ..facts(Ended::Code(137)) };
        judged(shell, Cause::OutOfMemory, &["SIGKILL ended a child", "has killed", "once"]);
        let unread = Some(OomKills { before: None, now: 1 });
        judged(Facts { oom: unread, ..facts(Ended::Code(1)) }, Cause::Code, &["code 1"]);
    }
}
