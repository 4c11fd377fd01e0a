//! Every child without a parent is reaped, while the workload runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use harness::processes::{children, zombies};
use harness::{Launch, Place};

#[test]
fn orphans_by_the_hundred_are_reaped_while_the_workload_lives() {
    for place in Place::BOTH {
        let mut running = Launch::at(place).workload(&["orphans", "300"]).start();
        running.line("orphans 300 elsewhere 0");
        // All that is left is the workload: no orphan lives, and none waits as a zombie.
        running.until("the end of the last zombie", |running| children(running.pid()).len() == 1);
        assert_eq!(zombies(running.pid()), 0);
        running.signal(libc::SIGTERM);
        running.end().expect(0);
    }
}

#[test]
fn an_orphan_is_no_end_of_the_workload() {
    for place in Place::BOTH {
        let script = "(exit 3) & (sleep 0; exit 4) & wait; (/bin/true &) ; exit 5";
        Launch::at(place).arguments(&["--", "/bin/sh", "-c", script]).start().end().expect(5);
    }
}

#[test]
fn an_inherited_ignored_sigchld_does_not_hang_the_wait() {
    // tini and catatonit wait for ever here: the kernel reaps the child itself.
    for place in Place::BOTH {
        let launch = Launch::at(place).ignored(&[libc::SIGCHLD]).workload(&["exit", "5"]);
        launch.start().end().expect(5);
    }
}

#[test]
fn an_inherited_blocked_sigchld_does_not_hang_the_wait() {
    for place in Place::BOTH {
        let launch = Launch::at(place).blocked(&[libc::SIGCHLD]).workload(&["exit", "5"]);
        launch.start().end().expect(5);
    }
}
