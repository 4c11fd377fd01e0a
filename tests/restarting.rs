//! The workload is started again by policy, and its last code is the container's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use harness::{Folder, Launch, Place};

/// A script that appends a line at each start and ends with the code of that line's number.
const COUNTING: &str = r#"echo run >>"$0"; n=$(grep -c run "$0"); echo "start $n"; exit "$n""#;

fn launch(place: Place, words: &[&str]) -> Launch {
    Launch::at(place).arguments(&["--restart-delay", "1ms"]).arguments(words)
}

#[test]
fn a_workload_that_fails_is_started_again_until_the_limit_and_its_last_code_stays() {
    for place in Place::BOTH {
        let folder = Folder::new();
        let launch = launch(place, &["--restart", "on-failure", "--restart-limit", "3"]);
        let words = ["--", "/bin/sh", "-c", COUNTING, &folder.at("runs")];
        let ended = launch.arguments(&words).start().end();
        ended.expect(4).says(&["code 1: starting it again", "4 times in a row", "giving up"]);
        assert_eq!(ended.text(), "start 1\nstart 2\nstart 3\nstart 4\n");
    }
}

#[test]
fn success_ends_a_restart_on_failure() {
    let ended = launch(Place::First, &["--restart", "on-failure", "--", "/bin/true"]).start().end();
    assert_eq!(ended.expect(0).stderr, "");
}

#[test]
fn a_stop_between_two_starts_ends_it_with_the_last_code() {
    for place in Place::BOTH {
        let words = ["--restart", "always", "--restart-delay", "1h", "--restart-max-delay", "1h"];
        let launch = Launch::at(place).arguments(&words);
        let mut running = launch.arguments(&["--", "/bin/sh", "-c", "exit 5"]).start();
        running.said("starting it again");
        running.signal(libc::SIGTERM);
        running.end().expect(5);
    }
}

#[test]
fn a_stop_is_never_followed_by_a_new_start() {
    for place in Place::BOTH {
        let launch = launch(place, &["--restart", "always"]);
        let script = "echo ready; exec sleep 1000";
        let mut running = launch.arguments(&["--", "/bin/sh", "-c", script]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        let ended = running.end();
        ended.expect(143);
        assert!(!ended.text().contains("ready\nready"), "{}", ended.text());
    }
}

#[test]
fn a_stable_run_begins_the_count_anew() {
    let folder = Folder::new();
    let limits = ["--restart", "on-failure", "--restart-limit", "1", "--restart-stable", "0s"];
    let script = r#"echo run >>"$0"; [ "$(grep -c run "$0")" -lt 5 ]; exit $((1 - $?))"#;
    let words = ["--", "/bin/sh", "-c", script, &folder.at("runs")];
    launch(Place::First, &limits).arguments(&words).start().end().expect(0);
}
