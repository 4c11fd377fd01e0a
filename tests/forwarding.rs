//! How signals are sent on: to the group, as others, and with the sockets that were handed over.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use harness::{Launch, Place};

#[test]
fn a_rewritten_signal_arrives_as_the_other_and_a_dropped_one_never() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--rewrite", "HUP:USR2", "--rewrite", "10:0"]);
        let mut running = launch.workload(&["print-signals", "14"]).start();
        running.line("ready");
        running.signal(libc::SIGUSR1);
        running.signal(libc::SIGHUP);
        running.line("sig 12 ");
        running.signal(libc::SIGALRM);
        let ended = running.end();
        ended.expect(0);
        assert!(!ended.text().contains("sig 10 ") && !ended.text().contains("sig 1 "));
    }
}

#[test]
fn a_dropped_stop_signal_asks_for_nothing() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--rewrite", "TERM:0", "--grace", "1ms"]);
        let mut running = launch.workload(&["print-signals", "10"]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        running.signal(libc::SIGUSR2);
        running.line("sig 12 ");
        running.signal(libc::SIGUSR1);
        running.end().expect(0);
    }
}

#[test]
fn the_whole_group_hears_a_signal_where_that_is_asked_for() {
    let script = "trap 'echo leader has it' USR1; \
                  (trap 'echo child has it; exit' USR1; echo ready; while :; do sleep 0.01; done) & \
                  wait; wait; exit 0";
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--group", "--", "/bin/sh", "-c", script]);
        let mut running = launch.start();
        running.line("ready");
        running.signal(libc::SIGUSR1);
        let ended = running.end();
        ended.expect(0);
        for word in ["child has it", "leader has it"] {
            assert!(ended.text().contains(word), "{place:?}: {}", ended.text());
        }
    }
}

#[test]
fn sockets_handed_to_mak_init_are_handed_on_to_the_workload() {
    let script = "[ \"$LISTEN_PID\" = \"$$\" ] && echo \"mine: $LISTEN_FDS\"";
    let launch = Launch::first().variable("LISTEN_PID", "1").variable("LISTEN_FDS", "2");
    let ended = launch.arguments(&["--", "/bin/sh", "-c", script]).start().end();
    assert_eq!(ended.expect(0).text(), "mine: 2\n");
    let foreign = Launch::first().variable("LISTEN_PID", "77");
    let ended = foreign.arguments(&["--", "/bin/sh", "-c", "echo $LISTEN_PID"]).start().end();
    assert_eq!(ended.expect(0).text(), "77\n");
}
