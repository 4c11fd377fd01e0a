//! Where things are missing or too many: it neither hangs nor spins, and the exit code survives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use harness::{Folder, Launch, Place, only_as_root, only_on_this_machine, processes};

#[test]
fn no_process_to_be_had_is_tried_again_until_the_grace_time_and_then_125() {
    if !only_on_this_machine("an emulator needs processes of its own") {
        return;
    }
    if !only_as_root("another user's limit on processes is needed: root has none") {
        return;
    }
    let folder = Folder::new();
    let script = format!("ulimit -u 0 && exec {} --grace 300ms -- /bin/true", folder.program());
    let launch = Launch::beside().user(65534).program("/bin/bash").arguments(&["-c", &script]);
    launch.start().end().expect(125).one_line(&["cannot make a process for the workload"]);
}

#[test]
fn a_stop_while_no_process_can_be_had_ends_with_the_signal() {
    if !only_on_this_machine("an emulator needs processes of its own") {
        return;
    }
    if !only_as_root("another user's limit on processes is needed: root has none") {
        return;
    }
    let folder = Folder::new();
    let script = format!("ulimit -u 0 && exec {} --grace 1h -- /bin/true", folder.program());
    let launch = Launch::beside().user(65534).program("/bin/bash").arguments(&["-c", &script]);
    let mut running = launch.start();
    running.until("its signals to be blocked", |running| {
        processes::status(running.pid(), "SigBlk").is_some_and(|set| set.ends_with("fffbfeff"))
    });
    running.signal(libc::SIGHUP);
    running.signal(libc::SIGTERM);
    running.end().expect(143);
}

#[test]
fn without_proc_and_without_dev_it_runs_reaps_and_stops() {
    if !only_as_root("an empty /proc and /dev are mounted") {
        return;
    }
    for missing in [["/proc"].as_slice(), &["/dev"], &["/proc", "/dev"]] {
        let mut launch = Launch::first();
        for folder in missing {
            launch = launch.tmpfs(folder, true);
        }
        let ended = launch.workload(&["leave-child", "42", "polite"]).start().end();
        assert!(
            ended.expect(42).text().contains("the child that was left has TERM"),
            "{missing:?}"
        );
    }
}

#[test]
fn a_hundred_thousand_signals_neither_hang_nor_lose_the_exit_code() {
    for place in Place::BOTH {
        let launch = Launch::at(place).workload(&["print-signals", "12"]);
        let mut running = launch.start();
        running.line("ready");
        for _ in 0..100_000 {
            running.signal(libc::SIGWINCH);
        }
        running.signal(libc::SIGUSR2);
        running.end().expect(0);
    }
}

#[test]
fn a_workload_that_dies_and_leaves_hundreds_behind_has_them_all_ended() {
    let script = "for i in $(seq 300); do sleep 1000 & done; exit 17";
    for place in Place::BOTH {
        let launch =
            Launch::at(place).arguments(&["--drain", "10s", "--", "/bin/sh", "-c", script]);
        let ended = launch.start().end();
        ended.expect(17);
        assert!(!ended.stderr.contains("killing them"), "TERM was enough: {}", ended.stderr);
    }
}

#[test]
fn a_uid_without_a_name_and_an_empty_environment_are_enough() {
    let folder = Folder::new();
    let program = folder.program();
    let mut launch = Launch::first().program(&program);
    if harness::child::is_root() {
        launch = launch.user(1_234_567);
    }
    launch.arguments(&["--", "/bin/sh", "-c", "exit 3"]).start().end().expect(3);
}
