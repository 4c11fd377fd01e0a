//! The command line, the environment and the files of configuration: what is read, what is
//! refused, with which code and which one line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use harness::endpoint::free_address;
use harness::{Ended, Folder, Launch, Place};

fn said(arguments: &[&str]) -> Ended {
    Launch::beside().arguments(arguments).start().end()
}

#[test]
fn help_and_version_go_to_stdout_with_code_0() {
    for flag in ["--help", "-h"] {
        let ended = said(&[flag]);
        ended.expect(0);
        assert_eq!(ended.stderr, "");
        for word in ["Usage:", "--grace", "healthcheck", "Exit codes", "exec mode"] {
            assert!(ended.text().contains(word), "{word}");
        }
    }
    for flag in ["--version", "-V"] {
        let ended = said(&[flag]);
        ended.expect(0);
        // The form that an engine reads of its init: a commit without dots.
        let line = ended.text().trim_end();
        let (version, commit) = line.split_once(" - git.").unwrap();
        assert_eq!(version, concat!("mak-init version ", env!("CARGO_PKG_VERSION")));
        assert!(!commit.is_empty() && !commit.contains('.'), "{line}");
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn what_makes_no_sense_is_64_with_one_line_and_nothing_is_started() {
    let folder = Folder::new();
    let marker = folder.at("marker");
    let cases: [(&[&str], &[&str]); 12] = [
        (&["--grac", "1s"], &["--grac", "--grace"]),
        (&["-x"], &["-x"]),
        (&["--grace", "soon"], &["--grace", "soon"]),
        (&["--grace", "-1s"], &["--grace"]),
        (&["--drain", ""], &["--drain"]),
        (&["--mode", "fork"], &["--mode", "fork"]),
        (&["--stop-signals", "SIGNONE"], &["--stop-signals", "SIGNONE"]),
        (&["--stop-signals", "KILL"], &["--stop-signals", "KILL"]),
        (&["--listen", "8080"], &["--listen", "8080"]),
        (&["--verify", "maybe"], &["--verify", "maybe"]),
        (&["--full"], &["--full", "verify"]),
        (&["--log-format", "xml"], &["--log-format", "xml"]),
    ];
    for place in Place::BOTH {
        for (arguments, words) in cases {
            let launch = Launch::at(place).arguments(arguments);
            let ended = launch.workload(&["marker", &marker]).start().end();
            ended.expect(64).one_line(words);
            assert!(!fs::exists(&marker).unwrap(), "{arguments:?}");
        }
    }
}

#[test]
fn no_command_or_an_empty_one_is_64() {
    for place in Place::BOTH {
        for arguments in [[].as_slice(), &["--"], &[""], &["--", ""], &["--grace", "1s"]] {
            let ended = Launch::at(place).arguments(arguments).start().end();
            ended.expect(64).one_line(&["command"]);
        }
    }
}

#[test]
fn a_bad_value_in_the_environment_is_64_and_is_not_shown() {
    for (name, value) in [
        ("MAK_INIT_GRACE", "hunter2"),
        ("MAK_INIT_LISTEN", "hunter2"),
        ("MAK_INIT_VERIFY", "hunter2"),
        ("MAK_INIT_HEALTH_REQUIRED", "hunter2"),
        ("IPFS_KIT_VERIFY_DEPS", "hunter2"),
    ] {
        let ended = Launch::first().variable(name, value).workload(&["exit", "0"]).start().end();
        ended.expect(64).one_line(&[name]);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
}

#[test]
fn a_strange_log_level_of_the_workload_is_only_a_warning() {
    let ended =
        Launch::first().variable("LOG_LEVEL", "hunter2").workload(&["exit", "0"]).start().end();
    ended.expect(0).one_line(&["WARN", "LOG_LEVEL"]);
    assert!(!ended.stderr.contains("hunter2"));
    let quiet = Launch::first().variable("LOG_LEVEL", "ERROR").workload(&["exit", "6"]);
    assert_eq!(quiet.start().end().expect(6).stderr, "");
}

#[test]
fn the_environment_twin_of_a_flag_holds_and_the_flag_is_stronger() {
    let launch = || Launch::first().variable("MAK_INIT_GRACE", "50ms");
    let mut running = launch().workload(&["ignore-term"]).start();
    running.line("ready");
    running.signal(libc::SIGTERM);
    running.end().expect(137).one_line(&["50ms"]);
    let mut running = launch().arguments(&["--grace", "60ms"]).workload(&["ignore-term"]).start();
    running.line("ready");
    running.signal(libc::SIGTERM);
    running.end().expect(137).one_line(&["60ms"]);
}

#[test]
fn every_problem_of_a_file_is_named_at_once_with_its_place() {
    let folder = Folder::new();
    let text = "grase = \"1s\"\n\n[health]\nlisten = \"nowhere\"\n";
    let file = folder.write("config.toml", 0o644, text);
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--config", &file]);
        let ended = launch.workload(&["marker", &folder.at("marker")]).start().end();
        ended.expect(78).says(&[
            &format!("{file}:1:1"),
            "did you mean \"grace\"",
            &format!("{file}:4:10"),
            "nowhere",
        ]);
        assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
        assert!(!folder.path().join("marker").exists());
    }
}

#[test]
fn a_file_or_profile_that_is_not_there_is_78() {
    let missing = "/no/such/config.toml";
    let launch = || Launch::first();
    let from_flag = launch().arguments(&["--config", missing]);
    from_flag.workload(&["exit", "0"]).start().end().expect(78).one_line(&[missing]);
    let from_variable = launch().variable("MAK_INIT_CONFIG", missing);
    from_variable.workload(&["exit", "0"]).start().end().expect(78).one_line(&[missing]);
    let by_path = launch().arguments(&["--profile", "./none.toml"]);
    by_path.workload(&["exit", "0"]).start().end().expect(78).one_line(&["none.toml"]);
    let by_name = launch().arguments(&["--profile", "nonesuch"]);
    by_name.workload(&["exit", "0"]).start().end().expect(78).one_line(&["nonesuch", "ipfs-kit"]);
    let folder = Folder::new();
    let a_folder = launch().arguments(&["--config", folder.path().to_str().unwrap()]);
    a_folder.workload(&["exit", "0"]).start().end().expect(78).one_line(&["cannot read"]);
}

#[test]
fn a_file_sets_values_and_the_command() {
    let folder = Folder::new();
    let text = "grace = \"70ms\"\ncommand = [\"/bin/sh\", \"-c\", \"exit 21\"]\n";
    let file = folder.write("config.toml", 0o644, text);
    for place in Place::BOTH {
        Launch::at(place).arguments(&["--config", &file]).start().end().expect(21);
        let launch = Launch::at(place).arguments(&["--config", &file]);
        let mut running = launch.workload(&["ignore-term"]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        running.end().expect(137).one_line(&["70ms"]);
    }
}

#[test]
fn config_shows_each_value_and_where_it_came_from() {
    let folder = Folder::new();
    let file = folder.write("config.toml", 0o644, "drain = \"3s\"\n");
    let launch = Launch::beside().variable("MAK_INIT_GRACE", "4s");
    let arguments = ["--config", &file, "--listen", "127.0.0.1:1", "config", "--format", "json"];
    let ended = launch.arguments(&arguments).start().end();
    ended.expect(0);
    let shown: serde_json::Value = serde_json::from_str(ended.text()).unwrap();
    let of = |key: &str| {
        let settings = shown["settings"].as_array().unwrap();
        let found = settings.iter().find(|line| line["key"] == key).unwrap();
        (found["value"].as_str().unwrap().to_owned(), found["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("grace"), ("4s".to_owned(), "environment MAK_INIT_GRACE".to_owned()));
    assert_eq!(of("drain"), ("3s".to_owned(), format!("{file}:1")));
    assert_eq!(of("health.listen"), ("127.0.0.1:1".to_owned(), "--listen".to_owned()));
    assert_eq!(of("mode"), ("supervise".to_owned(), "default".to_owned()));
}

#[test]
fn after_two_dashes_a_subcommand_is_a_program() {
    let folder = Folder::new();
    folder.write("verify", 0o755, "#!/bin/sh\necho a program: \"$@\"\nexit 12\n");
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--", "/usr/bin/env"]);
        let path = format!("PATH={}:/usr/bin:/bin", folder.path().display());
        let launch = launch.argument(path).argument(harness::program());
        let ended = launch.arguments(&["--", "verify", "--", "--full"]).start().end();
        ended.expect(12);
        assert_eq!(ended.text(), "a program: -- --full\n");
    }
}

#[test]
fn the_workloads_own_options_and_bytes_that_are_no_text_reach_it_untouched() {
    let strange = OsStr::from_bytes(b"\xff\xfe=\x80\n");
    for place in Place::BOTH {
        for dashes in [true, false] {
            let launch = Launch::at(place).arguments(if dashes { &["--"] } else { &[] });
            let launch = launch.argument(harness::workload()).arguments(&["arguments", "--grace"]);
            let launch = launch.argument(strange).arguments(&["", "--", "-h", "a b"]);
            let ended = launch.start().end();
            ended.expect(0);
            let lines: Vec<&str> = ended.text().lines().skip(1).collect();
            assert_eq!(
                lines,
                [
                    "617267756d656e7473",
                    "2d2d6772616365",
                    "fffe3d800a",
                    "",
                    "2d2d",
                    "2d68",
                    "612062"
                ]
            );
        }
    }
}

#[test]
fn a_variable_that_is_no_text_reaches_the_workload_untouched() {
    let value = OsStr::from_bytes(b"\xff\x80");
    for place in Place::BOTH {
        let launch = Launch::at(place).variable("STRANGE", value);
        let ended = launch.workload(&["environment"]).start().end();
        ended.expect(0);
        let wanted = b"STRANGE=\xff\x80\n";
        assert!(ended.stdout.windows(wanted.len()).any(|window| window == wanted));
    }
}

#[test]
fn with_nothing_wrong_stdout_is_the_workloads_and_stderr_has_at_most_one_line() {
    for place in Place::BOTH {
        for mode in ["supervise", "exec"] {
            let plain = Launch::at(place).arguments(&["--mode", mode]);
            let ended = plain.arguments(&["--", "/bin/echo", "out"]).start().end();
            ended.expect(0);
            assert_eq!((ended.text(), ended.stderr.as_str()), ("out\n", ""));

            let address = free_address(place).to_string();
            let listening = Launch::at(place).arguments(&["--mode", mode, "--listen", &address]);
            let ended = listening.arguments(&["--", "/bin/echo", "out"]).start().end();
            ended.expect(0);
            assert_eq!(ended.text(), "out\n");
            assert!(ended.stderr.lines().count() <= 1, "{}", ended.stderr);
        }
    }
}

#[test]
fn log_lines_can_be_json() {
    let arguments = ["--log-format", "json", "--grace", "50ms"];
    let mut running = Launch::first().arguments(&arguments).workload(&["ignore-term"]).start();
    running.line("ready");
    running.signal(libc::SIGTERM);
    let ended = running.end();
    ended.expect(137);
    let line: serde_json::Value = serde_json::from_str(ended.stderr.trim_end()).unwrap();
    assert_eq!(line["level"], "WARN");
    assert!(line.to_string().contains("killing"), "{line}");
}
