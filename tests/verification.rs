//! Verification before a start, and as a subcommand: what a failed check stops, and how to get in
//! all the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::fs;

use harness::endpoint::{ask, free_address, until_nobody_listens};
use harness::{Ended, Folder, Launch, Place, processes};

/// No machine has it.
const NOWHERE: &str = "libmak-init-nowhere.so.9";

/// A profile with one library that is nowhere, of these severities.
fn profile(quick: &str, full: &str) -> (Folder, String) {
    let folder = Folder::new();
    let text = format!(
        "description = \"a test\"\nprefix = \"X_\"\n\n[[library]]\nsoname = \"{NOWHERE}\"\n\
         quick = \"{quick}\"\nfull = \"{full}\"\nremedy = \"install nowhere\"\n"
    );
    let path = folder.write("x.toml", 0o644, text);
    (folder, path)
}

/// A start with this profile of a workload that leaves a marker.
fn start(place: Place, folder: &Folder, profile: &str, words: &[(&str, &str)]) -> Ended {
    let mut launch = Launch::at(place).arguments(&["--profile", profile]);
    for (name, value) in words {
        launch = launch.variable(name, value);
    }
    launch.workload(&["marker", &folder.at("marker")]).start().end()
}

fn was_started(folder: &Folder) -> bool {
    let marker = folder.at("marker");
    let there = fs::exists(&marker).unwrap();
    if there {
        fs::remove_file(marker).unwrap();
    }
    there
}

#[test]
fn a2_a_required_library_that_is_missing_stops_the_start_with_69() {
    for place in Place::BOTH {
        for mode in ["supervise", "exec"] {
            let (folder, profile) = profile("required", "required");
            let ended = start(place, &folder, &profile, &[("MAK_INIT_MODE", mode)]);
            ended.expect(69).says(&[NOWHERE, "install nowhere", "MAK_INIT_VERIFY=warn"]);
            assert!(!was_started(&folder), "{place:?} {mode}");
        }
    }
}

#[test]
fn a2_the_way_in_that_is_named_works() {
    for place in Place::BOTH {
        let (folder, profile) = profile("required", "required");
        let ended = start(place, &folder, &profile, &[("MAK_INIT_VERIFY", "warn")]);
        ended.expect(0).says(&["WARN", NOWHERE]);
        assert!(was_started(&folder));
        let ended = start(place, &folder, &profile, &[("MAK_INIT_VERIFY", "off")]);
        assert_eq!(ended.expect(0).stderr, "");
        assert!(was_started(&folder));
    }
}

#[test]
fn an_optional_library_that_is_missing_is_one_line() {
    for place in Place::BOTH {
        let (folder, profile) = profile("optional", "optional");
        start(place, &folder, &profile, &[]).expect(0).one_line(&[NOWHERE]);
        assert!(was_started(&folder));
    }
}

#[test]
fn a3_the_words_of_verify_deps_mean_what_they_say() {
    // Nothing quick, but a full form that fails: the word decides.
    let (folder, profile) = profile("off", "required");
    for place in Place::BOTH {
        for word in ["1", "true", "yes", "on", "YES"] {
            start(place, &folder, &profile, &[("X_VERIFY_DEPS", word)]).expect(69);
            assert!(!was_started(&folder), "{word}");
        }
        for word in ["0", "false", "no", "off", ""] {
            let ended = start(place, &folder, &profile, &[("X_VERIFY_DEPS", word)]);
            assert_eq!(ended.expect(0).stderr, "", "{word}");
            assert!(was_started(&folder), "{word}");
        }
        for word in ["maybe", "2", " 1"] {
            let ended = start(place, &folder, &profile, &[("X_VERIFY_DEPS", word)]);
            ended.expect(64).one_line(&["X_VERIFY_DEPS"]);
            assert!(!was_started(&folder), "{word}");
        }
        start(place, &folder, &profile, &[]).expect(0);
        assert!(was_started(&folder));
    }
}

#[test]
fn no_word_turns_the_quick_form_off() {
    let (folder, profile) = profile("required", "required");
    start(Place::First, &folder, &profile, &[]).expect(69);
    start(Place::First, &folder, &profile, &[("X_VERIFY_DEPS", "0")]).expect(0);
    assert!(was_started(&folder));
}

#[test]
fn a_word_for_a_profile_that_has_nothing_to_verify_is_78() {
    let folder = Folder::new();
    let text = "description = \"a test\"\nprefix = \"X_\"\n";
    let profile = folder.write("x.toml", 0o644, text);
    let ended = start(Place::First, &folder, &profile, &[("X_VERIFY_DEPS", "1")]);
    ended.expect(78).one_line(&["X_VERIFY_DEPS"]);
    assert!(!was_started(&folder));
}

#[test]
fn a_command_that_cannot_start_keeps_its_code_after_verification() {
    let (_folder, profile) = profile("optional", "optional");
    for place in Place::BOTH {
        for mode in ["supervise", "exec"] {
            let arguments = ["--mode", mode, "--profile", &profile, "--", "/no/such/program"];
            let ended = Launch::at(place).arguments(&arguments).start().end();
            ended.expect(127).says(&["/no/such/program"]);
        }
    }
}

#[test]
fn verification_that_failed_leaves_no_process_and_no_endpoint() {
    let (folder, profile) = profile("required", "required");
    let address = free_address(Place::Beside);
    let listen = address.to_string();
    let launch = Launch::beside().arguments(&["--profile", &profile, "--listen", &listen]);
    let ended = launch.workload(&["marker", &folder.at("marker")]).start().end();
    ended.expect(69);
    until_nobody_listens(address);
}

#[test]
fn a_stop_signal_before_the_workload_runs_ends_the_start() {
    // The signal is pending when the program begins, so that it comes before any workload.
    let (folder, profile) = profile("optional", "optional");
    for place in Place::BOTH {
        let launch =
            Launch::at(place).blocked(&[libc::SIGTERM]).arguments(&["--profile", &profile]);
        let running = launch.workload(&["marker", &folder.at("marker")]).start();
        running.signal(libc::SIGTERM);
        // Either it was in time for verification, or the workload had been started: it ends.
        let ended = running.end();
        match ended.code() {
            143 => assert!(!was_started(&folder)),
            code => assert!(code == 0 && was_started(&folder), "{code}: {}", ended.stderr),
        }
    }
}

#[test]
fn the_endpoint_tells_what_verification_came_to() {
    let (_folder, profile) = profile("optional", "required");
    for place in Place::BOTH {
        let address = free_address(place);
        let launch = Launch::at(place).arguments(&["--profile", &profile]);
        let launch = launch.arguments(&["--listen", &address.to_string()]);
        let mut running = launch.workload(&["print-signals", "15"]).start();
        running.line("ready");
        running.until("a ready endpoint", |running| {
            ask(running, address, "/readyz").is_ok_and(|answer| answer.status == 200)
        });
        let answer = ask(&running, address, "/health").unwrap();
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &body["verification"]["outcome"]), (200, &"warn".into()));
        assert!(processes::health(running.pid()).is_some());
    }
}

#[test]
fn the_subcommand_needs_no_profile_and_its_code_is_its_verdict() {
    for format in ["text", "json"] {
        let arguments = ["verify", "--library", NOWHERE, "--format", format];
        let ended = Launch::beside().arguments(&arguments).start().end();
        ended.expect(69);
        assert!(ended.text().contains(NOWHERE) && ended.stderr.is_empty());
        let arguments = ["verify", "--format", format, "--command", "/bin/sh", "-c", "exit 1"];
        Launch::beside().arguments(&arguments).start().end().expect(0);
    }
    let ended = Launch::beside().arguments(&["verify"]).start().end();
    ended.expect(64).one_line(&["nothing to verify"]);
}

#[test]
fn the_report_has_its_shape_on_stdout_and_in_a_file() {
    let folder = Folder::new();
    let file = folder.at("report.json");
    let arguments = ["verify", "--library", NOWHERE, "--format", "json", "--report", &file];
    let ended = Launch::beside().arguments(&arguments).start().end();
    ended.expect(69);
    let report: serde_json::Value = serde_json::from_str(ended.text()).unwrap();
    assert_eq!((&report["schema"], &report["verdict"]), (&1.into(), &"fail".into()));
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["id"] == "lib.missing").unwrap();
    assert_eq!(check["id"], "lib.missing");
    assert_eq!(check["status"], "fail");
    assert_eq!(check["subject"], NOWHERE);
    assert!(check["message"].is_string() && check["remedy"].is_string(), "{check}");
    assert!(report["platform"].is_object());
    assert_eq!(fs::read_to_string(&file).unwrap(), ended.text());
}
