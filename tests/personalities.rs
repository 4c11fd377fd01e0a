//! Called by a peer's name, mak-init keeps the peer's contract.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use harness::{Ended, Launch, Place, only_as_root, only_on_this_machine, processes};

fn run(place: Place, peer: &str, words: &[&str]) -> Ended {
    Launch::at(place).arguments(&["--as", peer]).arguments(words).start().end()
}

#[test]
fn versions_and_help_go_where_the_peer_puts_them() {
    let tini = run(Place::Beside, "tini", &["--version"]);
    assert!(tini.expect(0).text().starts_with("tini version 0.19.0 - git."));
    let commit = tini.text().trim().rsplit("git.").next().unwrap().to_owned();
    assert!(!commit.is_empty() && !commit.contains('.'), "docker info takes no dots: {commit}");
    assert!(run(Place::Beside, "tini", &["-h"]).expect(0).text().contains("Usage"));
    let dumb = run(Place::Beside, "dumb-init", &["--version"]);
    assert_eq!(dumb.expect(0).stderr, "dumb-init v1.2.5\n");
    assert_eq!(dumb.text(), "");
    assert!(run(Place::Beside, "dumb-init", &["-h"]).expect(0).stderr.contains("Usage"));
    let catatonit = run(Place::Beside, "catatonit", &["-V"]);
    assert_eq!(catatonit.expect(0).text(), "tini version 0.2.1_catatonit\n");
}

#[test]
fn usage_errors_have_the_peers_codes_and_messages() {
    for words in [[].as_slice(), &["-x"], &["--"], &["--version", "x"], &["-p", "TERM", "x"]] {
        assert!(run(Place::Beside, "tini", words).expect(1).stderr.contains("Usage"), "{words:?}");
    }
    let none = run(Place::Beside, "dumb-init", &[]);
    assert!(none.expect(1).stderr.starts_with("Usage: dumb-init [option] program [args]\n"));
    assert_eq!(none.stderr.lines().count(), 2);
    let unknown = run(Place::Beside, "dumb-init", &["--yolo", "x"]);
    assert!(unknown.expect(1).stderr.contains("dumb-init: unrecognized option '--yolo'"));
    let pair = run(Place::Beside, "dumb-init", &["-r", "TERM:INT", "x"]);
    assert!(pair.expect(1).stderr.contains("-r option takes <signum>:<signum>"));
    assert_eq!(pair.stderr.lines().count(), 3);
    run(Place::Beside, "catatonit", &[]).expect(1);
}

#[test]
fn a_program_that_cannot_be_executed_has_the_peers_code() {
    for (peer, missing, directory) in [("tini", 127, 126), ("dumb-init", 2, 2), ("catatonit", 1, 1)]
    {
        run(Place::First, peer, &["no-such-program"]).expect(missing);
        run(Place::First, peer, &["/etc"]).expect(directory);
        run(Place::First, peer, &["/etc/passwd/x"]).expect(if peer == "tini" {
            1
        } else {
            missing
        });
    }
    let dumb = run(Place::Beside, "dumb-init", &["no-such-program"]);
    assert_eq!(dumb.stderr, "[dumb-init] no-such-program: No such file or directory\n");
}

#[test]
fn codes_and_deaths_come_through_every_peer() {
    for place in Place::BOTH {
        for peer in ["tini", "dumb-init", "catatonit"] {
            run(place, peer, &["--", "/bin/sh", "-c", "exit 9"]).expect(9);
            run(place, peer, &["--", "/bin/sh", "-c", "kill -KILL $$"]).expect(137);
        }
    }
    run(Place::First, "tini", &["-e", "143", "--", "/bin/sh", "-c", "exit 143"]).expect(0);
}

#[test]
fn a_signal_is_only_forwarded_and_no_grace_period_begins() {
    for peer in ["tini", "dumb-init", "catatonit"] {
        let launch = Launch::first().arguments(&["--as", peer, "--"]);
        let workload = harness::workload().to_str().unwrap();
        let mut running = launch.arguments(&[workload, "print-signals", "10"]).start();
        running.line("ready");
        for _ in 0..3 {
            running.signal(libc::SIGTERM);
            running.line("sig 15 ");
        }
        running.signal(libc::SIGUSR1);
        running.end().expect(0);
    }
}

#[test]
fn tini_says_what_scripts_look_for() {
    let beside = run(Place::Beside, "tini", &["--", "/bin/true"]);
    assert!(beside.expect(0).stderr.contains("zombie reaping won't work"));
    assert_eq!(run(Place::Beside, "tini", &["-s", "--", "/bin/true"]).expect(0).stderr, "");
    assert_eq!(run(Place::First, "tini", &["--", "/bin/true"]).expect(0).stderr, "");
    let silent = Launch::beside().variable("TINI_VERBOSITY", "0");
    assert_eq!(silent.arguments(&["--as", "tini", "/bin/true"]).start().end().expect(0).stderr, "");
    let watchful = Launch::first().arguments(&["--as", "tini", "-w"]);
    let mut running = watchful.workload(&["orphans", "1"]).start();
    running.line("orphans 1 elsewhere 0");
    running.until("the orphan's end", |running| processes::children(running.pid()).len() == 1);
    running.signal(libc::SIGTERM);
    let warned = running.end();
    assert!(
        warned.expect(0).stderr.contains("Reaped zombie process with pid="),
        "{}",
        warned.stderr
    );
    let verbose = Launch::first().variable("TINI_VERBOSITY", "3");
    let ended = verbose.arguments(&["--as", "tini", "/bin/true"]).start().end();
    assert!(ended.expect(0).text().contains("Received SIGCHLD"));
}

#[test]
fn tini_dies_with_its_parent_only_where_it_is_told_to() {
    let script = "trap 'echo told; exit 3' USR1; echo ready; while :; do sleep 0.01; done";
    let parent = format!(
        "({} --as tini -s -p SIGUSR1 -- /bin/sh -c \"{script}\" & read go); read end",
        harness::program().display()
    );
    let mut running = Launch::beside().program("/bin/sh").arguments(&["-c", &parent]).start();
    running.line("ready");
    running.type_in(b"go\n");
    running.line("told");
    running.type_in(b"end\n");
    running.end().expect(0);
}

#[test]
fn dumb_init_gives_the_program_a_session_of_its_own_and_tells_all_of_it() {
    let session = r#"[ "$(ps -o sid= -p $$ | tr -d ' ')" = "$$" ] && echo own || echo shared"#;
    for (words, said) in [([].as_slice(), "own\n"), (&["-c"], "shared\n")] {
        let words = [words, &["--", "/bin/sh", "-c", session]].concat();
        assert_eq!(run(Place::First, "dumb-init", &words).expect(0).text(), said);
    }
    let script = "trap 'echo leader has it' USR1; \
                  (trap 'echo child has it; exit' USR1; echo ready; while :; do sleep 0.01; done) & \
                  wait; wait; exit 0";
    let launch = Launch::first().arguments(&["--as", "dumb-init", "/bin/sh", "-c", script]);
    let mut running = launch.start();
    running.line("ready");
    running.signal(libc::SIGUSR1);
    let ended = running.end();
    assert!(ended.text().contains("child has it") && ended.text().contains("leader has it"));
}

/// Matches lines in order, a `#` standing for a number.
#[track_caller]
fn said_in_order(stderr: &str, lines: &[&str]) {
    let mut rest = stderr.lines();
    for line in lines {
        let (before, after) = line.split_once('#').unwrap_or((line, ""));
        let is_it = |said: &str| {
            let number = said.strip_prefix(before).and_then(|said| said.strip_suffix(after));
            number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        assert!(rest.any(is_it), "{line:?} is not there, or not in its place:\n{stderr}");
    }
}

#[test]
fn dumb_init_says_what_happens_in_the_words_that_scripts_know() {
    for (flags, session) in [(["-v"].as_slice(), true), (&["--verbose", "-c"], false)] {
        let ended = run(Place::Beside, "dumb-init", &[flags, &["echo", "oh"]].concat());
        assert_eq!(ended.expect(0).text(), "oh\n");
        assert_eq!(ended.stderr.contains("[dumb-init] setsid complete.\n"), session);
        let lines = [
            "[dumb-init] Child spawned with PID #.",
            "[dumb-init] Received signal 17.",
            "[dumb-init] A child with PID # exited with exit status 0.",
            "[dumb-init] Forwarded signal 15 to children.",
            "[dumb-init] Child exited with status 0. Goodbye.",
        ];
        said_in_order(&ended.stderr, &lines);
    }
}

#[test]
fn dumb_init_that_led_a_terminals_session_keeps_the_first_hup_and_cont_to_itself() {
    let launch = Launch::beside().terminal().arguments(&["--as", "dumb-init", "-v"]);
    let workload = harness::workload().to_str().unwrap();
    let mut running = launch.arguments(&[workload, "print-signals", "1"]).start();
    running.lines(&[
        &format!("Ignoring tty hand-off signal {}.", libc::SIGHUP),
        &format!("Ignoring tty hand-off signal {}.", libc::SIGCONT),
        "ready",
    ]);
    running.signal(libc::SIGHUP);
    let ended = running.end();
    let text = ended.expect(0).text();
    assert!(text.contains("sig 1 ") && !text.contains("sig 18 "), "{text}");
}

#[test]
fn dumb_init_and_catatonit_leave_their_folder_before_the_program_runs_in_it() {
    let folder = harness::Folder::new();
    let script = "readlink /proc/$PPID/cwd; pwd";
    for (peer, left) in [("dumb-init", true), ("catatonit", true), ("tini", false)] {
        let launch = Launch::at(Place::Beside).folder(folder.path()).arguments(&["--as", peer]);
        let ended = launch.arguments(&["--", "/bin/sh", "-c", script]).start().end();
        let here = folder.path().display();
        let expected = if left { format!("/\n{here}\n") } else { format!("{here}\n{here}\n") };
        assert_eq!(ended.expect(0).text(), expected, "{peer}");
    }
}

#[test]
fn dumb_init_refuses_with_the_usage_that_scripts_know() {
    let ended = run(Place::Beside, "dumb-init", &[]);
    let usage = "Usage: dumb-init [option] program [args]\nTry dumb-init --help for full usage.\n";
    assert_eq!(ended.expect(1).stderr, usage);
    for words in
        [["-r", "x"].as_slice(), &["-r", "", "x"], &["-r", "15::12", "x"], &["-r15:12", "-r0"]]
    {
        let ended = run(Place::Beside, "dumb-init", words);
        let usage = "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n\
                     This option can be specified multiple times.\nUse --help for full usage.\n";
        assert_eq!(ended.expect(1).stderr, usage, "{words:?}");
    }
}

#[test]
fn tini_that_is_a_subreaper_already_warns_of_nothing() {
    let launch = Launch::beside().subreaper().arguments(&["--as", "tini", "--", "/bin/true"]);
    assert_eq!(launch.start().end().expect(0).stderr, "");
}

#[test]
fn dumb_init_rewrites_and_drops_by_number() {
    let workload = harness::workload().to_str().unwrap();
    let launch = Launch::first().arguments(&["--as", "dumb-init", "-r", "15:12", "-r", "1:0"]);
    let mut running = launch.arguments(&[workload, "print-signals", "10"]).start();
    running.line("ready");
    running.signal(libc::SIGHUP);
    running.signal(libc::SIGTERM);
    running.line("sig 12 ");
    running.signal(libc::SIGUSR1);
    assert!(!running.end().expect(0).text().contains("sig 1 "));
}

#[test]
fn dumb_init_suspends_the_session_and_itself_and_both_go_on() {
    // No shell: one that is stopped while it starts a program waits for that and is never "T".
    let workload = harness::workload().to_str().unwrap();
    let launch =
        Launch::beside().arguments(&["--as", "dumb-init", workload, "print-signals", "15"]);
    let mut running = launch.start();
    running.line("ready");
    let workload = processes::children(running.pid())[0];
    running.signal(libc::SIGTSTP);
    running.until("both to stop", |running| {
        processes::state(workload) == Some('T') && processes::state(running.pid()) == Some('T')
    });
    running.signal(libc::SIGCONT);
    running.until("both to go on", |running| {
        processes::state(workload) != Some('T') && processes::state(running.pid()) != Some('T')
    });
    running.signal(libc::SIGTERM);
    running.end().expect(0);
}

#[test]
fn catatonit_pauses_until_term_or_int() {
    if !only_on_this_machine("the system call that is waited for is the emulator's") {
        return;
    }
    for number in [libc::SIGTERM, libc::SIGINT] {
        let mut running = Launch::first().arguments(&["--as", "catatonit", "-P"]).start();
        running.until("it to wait", |running| processes::waits_for_signals(running.pid()));
        running.signal(libc::SIGUSR1);
        running.signal(number);
        running.end().expect(0);
    }
}

#[test]
fn tini_says_once_that_it_has_spawned_what_is_refused() {
    for place in Place::BOTH {
        let ended = run(place, "tini", &["-s", "-v", "--", "/no/such/program"]);
        ended.expect(127);
        assert_eq!(ended.text().matches("Spawned child process").count(), 1, "{}", ended.text());
        assert_eq!(ended.stderr.matches("exec /no/such/program failed").count(), 1);
    }
}

#[test]
fn a_peers_name_is_enough() {
    if !only_as_root("the program is called through links that root may make") {
        return;
    }
    let folder = harness::Folder::new();
    for (name, code) in [("tini", 127), ("docker-init", 127), ("dumb-init", 2), ("podman-init", 1)]
    {
        let link = folder.at(name);
        std::os::unix::fs::symlink(harness::program(), &link).unwrap();
        Launch::beside().program(&link).arguments(&["no-such-program"]).start().end().expect(code);
    }
}
