//! Why a workload ended: a line on stderr, and the same for Kubernetes. Each death is made.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::{fs, process};

use harness::endpoint::free_address;
use harness::{
    ControlGroup, Ended, Folder, Launch, Place, only_as_root, only_on_this_machine, processes,
    workload,
};

/// A folder with an empty termination message file.
fn with_message_file() -> (Folder, String) {
    let folder = Folder::new();
    let path = folder.write("termination-log", 0o644, "");
    (folder, path)
}

/// Requires the words in one line on stderr and in the file, which is the same line.
#[track_caller]
fn told(ended: &Ended, file: &str, words: &[&str]) {
    ended.says(words);
    let message = fs::read_to_string(file).unwrap();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in the message {message:?}");
    }
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(ended.stderr.contains(message.trim_end()), "{message}\n{}", ended.stderr);
}

fn died(place: Place, words: &[&str], code: i32, phrases: &[&str]) {
    let (folder, file) = with_message_file();
    let launch =
        Launch::at(place).folder(folder.path()).arguments(&["--termination-message", &file]);
    let ended = launch.workload(words).start().end();
    ended.expect(code).one_line(&["WARN", "the workload (pid "]);
    told(&ended, &file, phrases);
}

#[test]
fn a_plain_code_is_a_short_line() {
    for place in Place::BOTH {
        died(place, &["exit", "3"], 3, &["ended with code 3"]);
    }
}

#[test]
fn a_workload_that_ends_by_its_own_0_is_not_spoken_of() {
    for place in Place::BOTH {
        let (_folder, file) = with_message_file();
        let launch = Launch::at(place).arguments(&["--termination-message", &file]);
        let ended = launch.workload(&["exit", "0"]).start().end();
        assert_eq!(ended.expect(0).stderr, "");
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
    }
}

#[test]
fn an_illegal_instruction_is_told_with_the_processor() {
    if !only_on_this_machine("the processor is the emulator's") {
        return;
    }
    let name = workload().display().to_string();
    let has = if cfg!(target_arch = "x86_64") { "x86-64-v" } else { "asimd" };
    for place in Place::BOTH {
        let phrases = ["illegal instruction (SIGILL)", &name, has];
        died(place, &["illegal-instruction"], 132, &phrases);
    }
}

#[test]
fn a_bus_error_is_told_with_the_page_size_and_shared_memory() {
    for place in Place::BOTH {
        let phrases = ["bus error (SIGBUS)", "pages have ", "/dev/shm has "];
        died(place, &["bus-error", "./mapped"], 135, &phrases);
    }
}

#[test]
fn a_seccomp_kill_is_told_from_other_ends() {
    if !only_on_this_machine("an emulator does not pass on a filter of its guest") {
        return;
    }
    for place in Place::BOTH {
        let phrases = ["a seccomp filter forbids (SIGSYS)"];
        died(place, &["break-a-filter"], 159, &phrases);
    }
}

#[test]
fn a_core_dump_is_told_with_its_place() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.trim() != "core" {
        println!("left out: the pattern of this machine leads elsewhere: {pattern}");
        return;
    }
    for place in Place::BOTH {
        let (folder, file) = with_message_file();
        let launch = Launch::at(place).folder(folder.path());
        let launch = launch.arguments(&["--termination-message", &file]);
        let ended = launch.workload(&["dump-core"]).start().end();
        ended.expect(134).one_line(&["SIGABRT"]);
        told(&ended, &file, &["a core was dumped to ", &folder.at("core")]);
    }
}

#[test]
fn a_kill_from_another_process_has_no_known_sender() {
    for place in Place::BOTH {
        let (_folder, file) = with_message_file();
        let launch = Launch::at(place).arguments(&["--termination-message", &file]);
        let mut running = launch.workload(&["ignore-term"]).start();
        running.line("ready");
        processes::signal(processes::children(running.pid())[0], libc::SIGKILL);
        let ended = running.end();
        ended.expect(137).one_line(&["WARN", "(SIGKILL) by an unknown sender"]);
        told(&ended, &file, &["unknown sender", "out-of-memory"]);
    }
}

#[test]
fn a_signal_that_went_through_mak_init_has_a_sender() {
    // From outside of its PID namespace, and from beside.
    for (place, from) in [
        (Place::First, "sent from outside the container".to_owned()),
        (Place::Beside, format!("sent by process {}", process::id())),
    ] {
        let (_folder, file) = with_message_file();
        let launch = Launch::at(place).arguments(&["--termination-message", &file]);
        let mut running = launch.arguments(&["--", "/bin/sh", "-c", "echo ready; read x"]).start();
        running.line("ready");
        running.signal(libc::SIGUSR1);
        let ended = running.end();
        ended.expect(138).one_line(&["WARN"]);
        told(&ended, &file, &["SIGUSR1", &from]);
    }
}

#[test]
fn a_stop_that_was_asked_for_is_no_warning() {
    if !only_on_this_machine("an emulator may take longer to say why than a stop can wait") {
        return;
    }
    for place in Place::BOTH {
        let (_folder, file) = with_message_file();
        let launch = Launch::at(place).arguments(&["--termination-message", &file]);
        let mut running = launch.arguments(&["--", "/bin/sh", "-c", "echo ready; read x"]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        let ended = running.end();
        ended.expect(143).one_line(&["INFO"]);
        told(&ended, &file, &["SIGTERM", "a stop was asked for: SIGTERM, sent "]);
    }
}

#[test]
fn a_start_that_is_refused_is_said_once_and_left_for_kubernetes() {
    for place in Place::BOTH {
        let (_folder, file) = with_message_file();
        let arguments = ["--termination-message", &file, "--", "/no/such/program"];
        let ended = Launch::at(place).arguments(&arguments).start().end();
        ended.expect(127).one_line(&["cannot start /no/such/program"]);
        told(&ended, &file, &["cannot start /no/such/program"]);
    }
}

#[test]
fn a_message_that_the_workload_has_left_itself_stays() {
    for place in Place::BOTH {
        let (folder, file) = with_message_file();
        let script = format!("echo mine > {file}; exit 4");
        let launch = Launch::at(place).arguments(&["--termination-message", &file]);
        launch.arguments(&["--", "/bin/sh", "-c", &script]).start().end().expect(4);
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine\n");
        let absent = folder.at("absent");
        let launch = Launch::at(place).arguments(&["--termination-message", &absent]);
        launch.workload(&["exit", "4"]).start().end().expect(4);
        assert!(!folder.path().join("absent").exists(), "it is never created");
    }
}

#[test]
fn the_explanation_does_not_wait_for_what_the_workload_leaves_and_the_drain_does() {
    for drain in ["0s", "200ms"] {
        let launch = Launch::first().arguments(&["--drain", drain]);
        let ended = launch.workload(&["leave-child", "42", "stubborn"]).start().end();
        ended.expect(42).says(&["ended with code 42", "killing them"]);
    }
}

#[test]
fn the_out_of_memory_killer_is_named_with_the_limit() {
    if !only_as_root("a control group is made") || !only_on_this_machine("its memory is larger") {
        return;
    }
    let Some(group) = ControlGroup::new("memory") else { return };
    group.set("memory.limit_in_bytes", "24M");
    // Without this a machine with swap would only become slow.
    group.try_set("memory.memsw.limit_in_bytes", "24M");
    // First the fast path, where the count at the start is not known; then with an endpoint,
    // where it is.
    for listens in [false, true] {
        for place in Place::BOTH {
            let (_folder, file) = with_message_file();
            let address = free_address(place).to_string();
            let launch = Launch::at(place).control_group(&group);
            let launch = launch.arguments(&["--termination-message", &file]);
            let launch = match listens {
                true => launch.arguments(&["--listen", &address]),
                false => launch,
            };
            let ended = launch.workload(&["eat-memory"]).start().end();
            ended.expect(137);
            told(&ended, &file, &["by the kernel's out-of-memory killer", "24 MiB"]);
            assert_eq!(ended.stderr.contains("in all likelihood"), !listens, "{}", ended.stderr);
        }
    }
}
