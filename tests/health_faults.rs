//! What goes wrong with the health process is nobody else's trouble, and it comes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::endpoint::{ask, free_address};
use harness::{Folder, Launch, Place, Running, only_on_this_machine, processes};

fn started(launch: Launch, words: &[&str]) -> (Running, SocketAddr) {
    let address = free_address(Place::Beside);
    let launch = launch.arguments(&["--listen", &address.to_string()]);
    let mut running = launch.arguments(&["--"]).arguments(words).start();
    running.line("ready");
    running.until("ready", |running| {
        ask(running, address, "/startupz").is_ok_and(|answer| answer.status == 200)
    });
    (running, address)
}

fn health(running: &Running) -> i32 {
    processes::health(running.pid()).expect("a health process")
}

#[test]
fn a_workload_that_gives_up_is_failed_to_whoever_asks_before_the_end() {
    // The state lasts for as long as the end is explained, which is short: who always asks meets it
    // in one of these rounds.
    let met = (0..200).find_map(|_| {
        let address = free_address(Place::Beside);
        let limits = ["--restart", "on-failure", "--restart-delay", "1ms", "--restart-limit", "2"];
        let launch = Launch::beside().arguments(&limits);
        let launch = launch.arguments(&["--listen", &address.to_string(), "--"]);
        let running = launch.arguments(&["sh", "-c", "exit 5"]).start();
        let lives = || processes::state(running.pid()).is_some_and(|state| state != 'Z');
        let mut met = None;
        while met.is_none() && lives() {
            let answer = ask(&running, address, "/livez").ok();
            // Before it gives up it lives, between two starts too.
            met = answer.filter(|answer| answer.status != 200);
        }
        let ended = running.end();
        ended.expect(5).says(&["3 times in a row", "giving up"]);
        met
    });
    let answer = met.expect("nobody has met the state");
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with("failed: "), "{}", answer.body);
}

const SLEEPER: [&str; 3] = ["sh", "-c", "echo ready; while :; do sleep 1000; done"];

#[test]
fn killed_again_and_again_it_comes_back_after_growing_waits() {
    let (mut running, address) = started(Launch::beside(), &SLEEPER);
    for round in 0..4_u32 {
        let victim = health(&running);
        let killed = Instant::now();
        processes::signal(victim, libc::SIGKILL);
        running.until("another one", |running| {
            processes::health(running.pid()).is_some_and(|found| found != victim)
        });
        // A wait has a least length that no busy machine shortens: 100 ms, then twice as much.
        assert!(killed.elapsed() >= Duration::from_millis(100 << round), "round {round}");
        assert_eq!(ask(&running, address, "/livez").unwrap().status, 200);
    }
    let body = ask(&running, address, "/health").unwrap().body;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["health"]["restarts"], 4, "{body}");
    assert_eq!(body["workload"]["restarts"], 0, "{body}");
}

/// A child of its own that waits for ever, and a wait for any child: what comes back is told.
const WAITER: &str = "import os, signal\n\
    child = os.fork()\n\
    if child == 0:\n\
    \x20   signal.pause()\n\
    print('ready', child, flush=True)\n\
    while True:\n\
    \x20   try:\n\
    \x20       pid, status = os.waitpid(-1, 0)\n\
    \x20   except ChildProcessError:\n\
    \x20       print('nobody left', flush=True)\n\
    \x20       signal.pause()\n\
    \x20   print('waited for', 'the child' if pid == child else pid, flush=True)\n";

#[test]
fn in_exec_mode_a_workload_that_waits_for_anybody_never_sees_it() {
    if !only_on_this_machine("qemu-user knows no exit signal but CHLD") {
        return;
    }
    for place in [Place::Beside, Place::FirstOnOurNetwork] {
        let launch = Launch::at(place).arguments(&["--exec"]);
        let (mut running, address) = started(launch, &["python3", "-c", WAITER]);
        assert_eq!(ask(&running, address, "/livez").unwrap().status, 200);
        let health = health(&running);
        processes::signal(health, libc::SIGKILL);
        // Nobody waits for it: it stays as a zombie, and the workload's wait goes on.
        running.until("a zombie", |_| processes::state(health) == Some('Z'));
        let pid = running.pid();
        let child = processes::children(pid).into_iter().find(|child| *child != health).unwrap();
        processes::signal(child, libc::SIGKILL);
        let line = running.line("");
        assert_eq!(line, "waited for the child", "{place:?}");
        let line = running.line("");
        assert_eq!(line, "nobody left", "{place:?}");
    }
}

#[test]
fn failures_of_an_alive_check_restart_no_oftener_than_the_policy_allows() {
    let folder = Folder::new();
    let check = "[[check]]\nname = \"never\"\nkind = \"file\"\npath = \"/no/such\"\n\
                 interval = \"100ms\"\nfailures = 1\nlevel = \"alive\"\non_failure = \"restart\"\n";
    let config = folder.write("config.toml", 0o644, check);
    let address = free_address(Place::Beside).to_string();
    let launch = Launch::beside().arguments(&["--config", &config, "--listen", &address]);
    let limits = ["--restart", "on-failure", "--restart-delay", "10ms", "--restart-limit", "3"];
    let running = launch.arguments(&limits).arguments(&["--"]).arguments(&SLEEPER).start();
    let ended = running.end();
    // It has ended by itself; a start that is told to end before its first word has none.
    let starts = ended.text().lines().filter(|line| *line == "ready").count();
    assert!((1..=4).contains(&starts), "the first start and three more: {}", ended.text());
}

/// SIGSTOP for everybody, in the order in which nobody has time to react; then on.
#[test]
fn stopped_whole_and_woken_it_begins_a_new_round_and_counts_no_failure() {
    let folder = Folder::new();
    let beat = folder.write("beat", 0o644, "");
    // The workload keeps the file young; while it is stopped the file grows old.
    let workload = format!("echo ready; while :; do touch {beat}; sleep 0.05; done");
    let check = format!(
        "[[check]]\nname = \"beat\"\nkind = \"file\"\npath = {beat:?}\nyounger_than = \"1s\"\n\
         interval = \"200ms\"\nfailures = 1\nlevel = \"alive\"\non_failure = \"restart\"\n"
    );
    let config = folder.write("config.toml", 0o644, check);
    let launch = Launch::beside().arguments(&["--config", &config]);
    let (mut running, address) = started(launch, &["sh", "-c", &workload]);
    // Pending, it counts as alive: only a look that has been taken says that it passes.
    let passes = |running: &mut Running| {
        running.until("a beat", |running| {
            ask(running, address, "/health").is_ok_and(|answer| {
                let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
                told["checks"]["beat"][0]["status"] == "pass"
            })
        });
    };
    passes(&mut running);
    let health = health(&running);
    // Not a child that looks at the file just now: it may be gone when all are woken.
    let is_workload = |pid: &i32| processes::name(*pid) == "sh";
    let workload = processes::children(running.pid()).into_iter().filter(is_workload);
    let everybody: Vec<i32> = [running.pid(), health].into_iter().chain(workload).collect();
    for pid in &everybody {
        processes::signal(*pid, libc::SIGSTOP);
    }
    let age = || std::fs::metadata(&beat).unwrap().modified().unwrap().elapsed().unwrap();
    running.until("old age", |_| age() > Duration::from_millis(1500));
    // The workload last, so that the first look finds the file as old as it is.
    for pid in [health, running.pid()].iter().chain(&everybody) {
        processes::signal(*pid, libc::SIGCONT);
    }
    passes(&mut running);
    let body = ask(&running, address, "/health").unwrap().body;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["workload"]["restarts"], 0, "{body}");
}
