//! Exec mode: mak-init becomes the workload, which does not notice what lives on beside it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use harness::endpoint::{ask, free_address};
use harness::{Launch, Place, only_on_this_machine, processes};

#[test]
fn the_workload_has_the_process_id_of_mak_init() {
    for place in Place::BOTH {
        for flag in [["--exec"].as_slice(), &["--mode", "exec"]] {
            let mut running = Launch::at(place).arguments(flag).workload(&["status"]).start();
            let seen = if place == Place::First { 1 } else { running.pid() };
            running.line(&format!("pid {seen}"));
            let ended = running.end();
            ended.expect(0);
            assert_eq!(ended.stderr, "");
        }
    }
}

#[test]
fn the_endpoint_answers_beside_a_workload_that_has_no_child() {
    for place in Place::BOTH {
        let address = free_address(place);
        let launch = Launch::at(place).arguments(&["--exec", "--listen", &address.to_string()]);
        let unseen = only_on_this_machine("qemu-user makes no child that waitpid(-1) does not see");
        let words: &[&str] = if unseen { &["wait-for-any"] } else { &["print-signals", "15"] };
        let mut running = launch.workload(words).start();
        // waitpid(-1) must not see the health process, or programs that count their children
        // (PostgreSQL) take its end for a crash of their own.
        running.line(if unseen { "waitpid -1 errno ECHILD" } else { "ready" });
        running.until("a ready endpoint", |running| {
            ask(running, address, "/readyz").is_ok_and(|answer| answer.status == 200)
        });
        let health = processes::health(running.pid()).expect("a health process");
        running.signal(libc::SIGTERM);
        running.end().expect(0);
        // As PID 1 the kernel ends it; beside it watches the workload.
        let mut other = Launch::beside().workload(&["exit", "0"]).start();
        other.until("the end of the health process", |_| {
            processes::state(health).is_none_or(|state| state == 'Z')
        });
    }
}

#[test]
fn the_workload_gets_no_descriptor_of_ours() {
    for place in Place::BOTH {
        let address = free_address(place).to_string();
        let launch = Launch::at(place).arguments(&["--exec", "--listen", &address]).open(7);
        let ended = launch.workload(&["status"]).start().end();
        ended.expect(0);
        assert!(ended.text().contains("\ndescriptors 0 1 2 7\n"), "{}", ended.text());
    }
}

#[test]
fn signals_reach_the_workload_as_they_reach_any_program() {
    for place in Place::BOTH {
        let mut running =
            Launch::at(place).arguments(&["--exec"]).workload(&["ignore-term"]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        running.signal(libc::SIGKILL);
        assert_eq!(running.end().outcome, harness::Outcome::Signal(libc::SIGKILL));
    }
}

#[test]
fn a_program_that_is_not_there_is_named_and_nothing_is_left() {
    for place in Place::BOTH {
        let address = free_address(place).to_string();
        let arguments = ["--exec", "--listen", &address, "--", "/no/such/program"];
        let mut running = Launch::at(place).arguments(&arguments).start();
        running.said("/no/such/program");
        running.end().expect(127).one_line(&["/no/such/program"]);
    }
}
