//! Every signal that can be forwarded is, with its value, as PID 1 and beside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use harness::{Launch, Place, Running, endpoint, only_on_this_machine};

/// KILL and STOP cannot be caught; CHLD is about children, and mak-init's own.
const NEVER: [i32; 3] = [libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD];

/// What qemu-user keeps for itself: faults that it takes for its own, ABRT, and the signals that
/// the C library it is built with keeps back.
const LOST_BY_AN_EMULATOR: [i32; 8] = [4, 6, 7, 8, 11, 32, 33, 34];

fn listening(place: Place) -> Running {
    // A long grace: four of the signals ask for a stop, and the workload has more to see.
    let launch = Launch::at(place).arguments(&["--grace", "1h"]);
    let mut running = launch.workload(&["print-signals", "15"]).start();
    running.line("ready");
    running
}

#[test]
fn every_signal_is_forwarded_by_pid_1_and_beside() {
    let whole = only_on_this_machine("signals 4, 6, 7, 8, 11, 32, 33 and 34, lost by qemu-user");
    for place in Place::BOTH {
        let mut running = listening(place);
        let forwarded = (1..=64).filter(|number| {
            !NEVER.contains(number) && (whole || !LOST_BY_AN_EMULATOR.contains(number))
        });
        for number in forwarded.filter(|number| *number != libc::SIGTERM) {
            running.signal(number);
            running.line(&format!("sig {number} "));
        }
        running.signal(libc::SIGTERM);
        running.line("sig 15 ");
        running.end().expect(0);
    }
}

#[test]
fn a_queued_signal_keeps_its_value() {
    for place in Place::BOTH {
        let mut running = listening(place);
        let queued = [(40, 7), (63, 4_000_000_000), (libc::SIGUSR1, 1), (34, 2)];
        let whole = only_on_this_machine("signal 34, lost by qemu-user");
        for (number, value) in queued.into_iter().filter(|(number, _)| whole || *number != 34) {
            running.queue(number, value);
            running.line(&format!("sig {number} value {value} "));
        }
        running.signal(libc::SIGTERM);
        running.end().expect(0);
    }
}

#[test]
fn a_value_that_the_workloads_queue_cannot_hold_is_left_out_and_counted() {
    if !only_on_this_machine("an emulator keeps a queue of its own") {
        return;
    }
    for place in Place::BOTH {
        let address = endpoint::free_address(place);
        // The limit is the workload's alone: mak-init itself still gets the value.
        let address_word = address.to_string();
        let flags = ["--rlimit", "sigpending=0", "--grace", "1h", "--listen", &address_word];
        let launch = Launch::at(place).arguments(&flags);
        let mut running = launch.workload(&["print-signals", "10"]).start();
        running.line("ready");
        running.queue(40, 7);
        running.line("sig 40 value 0 ");
        for count in
            ["mak_init_signals_forwarded_total 1\n", "mak_init_signals_without_value_total 1\n"]
        {
            running.until("it to be counted", |running| {
                endpoint::ask(running, address, "/metrics")
                    .is_ok_and(|answer| answer.body.contains(count))
            });
        }
        running.signal(libc::SIGUSR1);
        running.end().expect(0);
    }
}

#[test]
fn a_burst_of_queued_signals_arrives_complete_and_in_order() {
    for place in Place::BOTH {
        let mut running = listening(place);
        for value in 0..100 {
            running.queue(40, value);
        }
        for value in 0..100 {
            running.line(&format!("sig 40 value {value} "));
        }
        running.signal(libc::SIGTERM);
        running.end().expect(0);
    }
}

#[test]
fn a_signal_sent_before_the_workload_runs_is_not_lost() {
    for place in Place::BOTH {
        let launch = Launch::at(place).blocked(&[libc::SIGUSR1]);
        let mut running = launch.workload(&["print-signals", "15"]).start();
        running.signal(libc::SIGUSR1);
        running.line("sig 10 ");
        running.signal(libc::SIGTERM);
        running.end().expect(0);
    }
}

#[test]
fn a_stop_list_of_ones_own_replaces_the_usual_one() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--stop-signals", "USR2", "--grace", "200ms"]);
        let mut running = launch.workload(&["print-signals", "64"]).start();
        running.line("ready");
        for number in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, 37] {
            running.signal(number);
            running.line(&format!("sig {number} "));
        }
        running.signal(libc::SIGUSR2);
        running.line("sig 12 ");
        running.end().expect(137);
    }
}
