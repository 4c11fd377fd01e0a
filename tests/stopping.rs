//! A stop: the signal is forwarded, the grace period runs, then KILL, then what is left is drained.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::time::{Duration, Instant};

use harness::{Launch, Place, Running, only_on_this_machine, processes};

const STOP_SIGNALS: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, 37];

#[test]
fn a_workload_that_ignores_term_is_killed_after_the_grace_period() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--grace", "300ms"]);
        let mut running = launch.workload(&["ignore-term"]).start();
        running.line("ready");
        let asked = Instant::now();
        running.signal(libc::SIGTERM);
        running.said("killing it");
        assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
        running.end().expect(137).one_line(&["workload", "300ms", "killing"]);
    }
}

#[test]
fn each_of_the_four_stop_signals_begins_the_grace_period() {
    let whole = only_on_this_machine("37 as a stop signal: qemu-user shows it as another number");
    for place in Place::BOTH {
        for number in STOP_SIGNALS.into_iter().filter(|number| whole || *number < 32) {
            let launch = Launch::at(place).arguments(&["--grace", "50ms"]);
            let mut running = launch.workload(&["print-signals", "0"]).start();
            running.line("ready");
            running.signal(number);
            running.line(&format!("sig {number} "));
            running.end().expect(137).one_line(&["killing"]);
        }
    }
}

#[test]
fn other_signals_begin_nothing() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--grace", "1ms"]);
        let mut running = launch.workload(&["print-signals", "64"]).start();
        running.line("ready");
        for number in [libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH, 38] {
            for _ in 0..3 {
                running.signal(number);
                running.line(&format!("sig {number} "));
            }
        }
        running.signal(libc::SIGTERM);
        running.end().expect(137);
    }
}

#[test]
fn a_workload_that_ends_in_time_is_not_waited_for_any_longer() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--grace", "1h", "--drain", "1h"]);
        let mut running = launch.workload(&["print-signals", "15"]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        let ended = running.end();
        ended.expect(0);
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn what_the_workload_leaves_is_asked_to_end_and_its_code_survives() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--drain", "1h"]);
        let ended = launch.workload(&["leave-child", "42", "polite"]).start().end();
        ended.expect(42);
        assert!(ended.text().contains("the child that was left has TERM"), "{place:?}");
        ended.one_line(&["ended with code 42"]);
    }
}

#[test]
fn what_does_not_end_when_asked_is_killed() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--drain", "200ms"]);
        let mut running = launch.workload(&["leave-child", "42", "stubborn"]).start();
        let left = running.line("left ");
        let left: i32 = left.trim_start_matches("left ").parse().unwrap();
        running.line("the child that was left has TERM");
        let ended = running.end();
        ended.expect(42).says(&["ended with code 42", "200ms", "killing"]);
        assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
        if place == Place::Beside {
            assert_eq!(processes::state(left), None, "process {left} is gone");
        }
    }
}

#[test]
fn a_stop_of_a_stubborn_workload_with_a_stubborn_child_ends_both() {
    for place in Place::BOTH {
        let script = "trap '' TERM; (trap '' TERM; exec sleep 1000) & echo ready; \
                      while :; do wait; done";
        let launch = Launch::at(place).arguments(&["--grace", "200ms", "--drain", "200ms"]);
        let mut running = launch.arguments(&["--", "/bin/sh", "-c", script]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        let ended = running.end();
        ended.expect(137).says(&["killing it", "killing them"]);
        assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
    }
}

#[test]
fn a_workload_that_is_suspended_is_woken_by_a_stop_so_that_it_can_end_itself() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--grace", "1h"]);
        let running = suspended(launch, "echo ready; kill -STOP $$; exit 3");
        running.signal(libc::SIGTERM);
        running.end().expect(143).one_line(&["INFO", "a stop was asked for: SIGTERM"]);
    }
}

#[test]
fn a_suspended_workload_that_ignores_term_is_killed_like_any_other() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--grace", "200ms"]);
        let script = "trap '' TERM; echo ready; kill -STOP $$; while :; do kill -STOP $$; done";
        let running = suspended(launch, script);
        running.signal(libc::SIGTERM);
        running.end().expect(137).one_line(&["killing"]);
    }
}

/// A script that has suspended itself, and whose suspension is seen.
fn suspended(launch: Launch, script: &str) -> Running {
    let mut running = launch.arguments(&["--", "/bin/sh", "-c", script]).start();
    running.line("ready");
    let workload = processes::children(running.pid())[0];
    running.until("the stop", |_| processes::state(workload) == Some('T'));
    running
}

#[test]
fn a_second_term_or_int_ends_the_grace_period() {
    for place in Place::BOTH {
        for second in [libc::SIGTERM, libc::SIGINT] {
            let launch = Launch::at(place).arguments(&["--grace", "1h"]);
            let mut running = launch.workload(&["print-signals", "64"]).start();
            running.line("ready");
            running.signal(second);
            running.line(&format!("sig {second} "));
            running.signal(second);
            running.end().expect(137).one_line(&["second time", "killing"]);
        }
    }
}

#[test]
fn the_stop_delay_comes_before_the_workload_hears_of_the_stop() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--stop-delay", "300ms", "--grace", "1h"]);
        let mut running = launch.workload(&["print-signals", "15"]).start();
        running.line("ready");
        let asked = Instant::now();
        running.signal(libc::SIGTERM);
        running.signal(libc::SIGUSR1);
        running.line("sig 10 ");
        assert!(asked.elapsed() < Duration::from_millis(300), "others are forwarded meanwhile");
        running.line("sig 15 ");
        assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
        running.end().expect(0);
    }
}

#[test]
fn a_second_term_ends_the_stop_delay_and_the_workload_still_gets_its_grace() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--stop-delay", "1h", "--grace", "1h"]);
        let mut running = launch.workload(&["print-signals", "15"]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        running.signal(libc::SIGUSR1);
        running.line("sig 10 ");
        // Before that it would be one with the first.
        running.until("TERM to be taken", |it| processes::has_taken_its_signals(it.pid()));
        running.signal(libc::SIGTERM);
        running.line("sig 15 ");
        assert_eq!(running.end().expect(0).stderr, "");
    }
}

#[test]
fn the_stop_signal_stands_for_the_one_that_asked() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--stop-signal", "QUIT"]);
        let mut running = launch.workload(&["print-signals", "3"]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        running.line("sig 3 ");
        running.end().expect(0);
    }
}

#[test]
fn an_expected_exit_code_becomes_another() {
    for (words, code) in [("143=0", 0), ("0=1,143=7", 7), ("1=0", 143)] {
        let launch = Launch::first().arguments(&["--expect-exit", words]);
        let mut running =
            launch.arguments(&["--", "/bin/sh", "-c", "echo ready; exec sleep 1000"]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        running.end().expect(code);
    }
}

#[test]
fn a_workload_that_runs_out_of_time_is_stopped_with_124() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--timeout", "300ms"]);
        let ended = launch.workload(&["print-signals", "15"]).start().end();
        ended.expect(124).one_line(&["all the time it was given"]);
        assert!(ended.text().contains("sig 15 "));
    }
}

#[test]
fn a_pause_reaps_without_a_workload_and_ends_with_0() {
    if !only_on_this_machine("the system call that is waited for is the emulator's") {
        return;
    }
    for place in Place::BOTH {
        for number in [libc::SIGTERM, libc::SIGINT] {
            let mut running = Launch::at(place).arguments(&["--pause"]).start();
            running.until("it to wait", |running| processes::waits_for_signals(running.pid()));
            running.signal(libc::SIGHUP);
            running.signal(number);
            assert_eq!(running.end().expect(0).stderr, "");
        }
    }
}
