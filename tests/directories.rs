//! The directories a profile names, also where somebody has been there before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use harness::{Ended, Folder, Launch, Place, only_as_root};

/// A user who is neither root nor the owner of anything here.
const STRANGER: u32 = 65534;

/// A folder with a profile in it that names one directory, by X_DATA.
fn profile(extra: &str) -> (Folder, String) {
    let folder = Folder::new();
    let default = folder.at("deep/default/data");
    let text = format!(
        "description = \"a test\"\nprefix = \"X_\"\n\n[[directory]]\nvariable = \"X_DATA\"\n\
         default = \"{default}\"\n{extra}"
    );
    let path = folder.write("x.toml", 0o644, text);
    (folder, path)
}

fn refused(ended: &Ended, folder: &Folder, words: &[&str]) {
    ended.expect(125).one_line(words);
    assert!(!folder.path().join("marker").exists(), "the workload was not started");
}

#[test]
fn the_default_is_made_with_its_parents_and_the_workload_is_told() {
    for place in Place::BOTH {
        for mode in ["supervise", "exec"] {
            let (folder, profile) = profile("mode = \"0750\"\n");
            let launch = Launch::at(place).arguments(&["--mode", mode, "--profile", &profile]);
            let ended = launch.workload(&["environment"]).start().end();
            ended.expect(0);
            let data = folder.path().join("deep/default/data");
            assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o7777, 0o750);
            let line = format!("X_DATA={}\n", data.display());
            assert!(ended.text().contains(&line), "{}", ended.text());
            assert_eq!(ended.stderr, "");
        }
    }
}

#[test]
fn a1_another_place_by_its_variable_is_made_and_the_default_is_not() {
    for place in Place::BOTH {
        let as_root = only_as_root("only root gives a folder away");
        let owner = if as_root { "owner = \"0:4711\"\n" } else { "" };
        let (folder, profile) = profile(&format!("mode = \"0750\"\n{owner}"));
        let custom = folder.at("some/where/else");
        let script = "echo works > \"$X_DATA/file\"";
        let launch = Launch::at(place).arguments(&["--profile", &profile]);
        let launch = launch.variable("X_DATA", &custom).arguments(&["--", "/bin/sh", "-c", script]);
        launch.start().end().expect(0);
        assert_eq!(fs::read_to_string(format!("{custom}/file")).unwrap(), "works\n");
        assert!(!folder.path().join("deep").exists());
        let made = fs::metadata(&custom).unwrap();
        assert_eq!(made.permissions().mode() & 0o7777, 0o750);
        assert!(!as_root || made.gid() == 4711, "the group is {}", made.gid());
        let parent = fs::metadata(folder.at("some/where")).unwrap();
        assert_eq!(parent.permissions().mode() & 0o7777, 0o755);
    }
}

#[test]
fn what_is_in_a_directory_already_is_left_alone() {
    let (folder, profile) = profile("");
    let data = folder.make("data", 0o711);
    folder.write("data/kept", 0o640, "kept");
    let launch = Launch::first().arguments(&["--profile", &profile]).variable("X_DATA", &data);
    launch.workload(&["exit", "0"]).start().end().expect(0);
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o7777, 0o711);
    let kept = fs::metadata(format!("{data}/kept")).unwrap();
    assert_eq!(kept.permissions().mode() & 0o7777, 0o640);
    let names: Vec<_> = fs::read_dir(&data).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["kept"], "the proof of writing leaves nothing behind");
}

#[test]
fn a_file_in_the_way_is_named() {
    for place in Place::BOTH {
        let (folder, profile) = profile("");
        let file = folder.write("file", 0o644, "");
        for path in [file.clone(), format!("{file}/below")] {
            let launch = Launch::at(place).arguments(&["--profile", &profile]);
            let launch = launch.variable("X_DATA", &path);
            let ended = launch.workload(&["marker", &folder.at("marker")]).start().end();
            refused(&ended, &folder, &["X_DATA", &file, "file"]);
        }
    }
}

#[test]
fn a_link_that_a_stranger_can_have_planted_is_refused() {
    if !only_as_root("another user's link has to be made") {
        return;
    }
    let (folder, profile) = profile("");
    let theirs = folder.make("theirs", 0o755);
    let target = folder.make("target", 0o755);
    let link = format!("{theirs}/link");
    symlink(&target, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(STRANGER), Some(STRANGER)).unwrap();
    chown(&theirs, Some(STRANGER), Some(STRANGER)).unwrap();
    for place in Place::BOTH {
        for path in [link.clone(), format!("{link}/below")] {
            let launch = Launch::at(place).arguments(&["--profile", &profile]);
            let launch = launch.variable("X_DATA", &path);
            let ended = launch.workload(&["marker", &folder.at("marker")]).start().end();
            refused(&ended, &folder, &["X_DATA", &link, "link"]);
        }
    }
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "nothing was made behind the link");
}

#[test]
fn a_link_of_root_is_followed() {
    if !only_as_root("the link has to be root's") {
        return;
    }
    let (folder, profile) = profile("");
    let target = folder.make("target", 0o755);
    symlink(&target, folder.at("link")).unwrap();
    let launch = Launch::first().arguments(&["--profile", &profile]);
    let launch = launch.variable("X_DATA", folder.at("link/data"));
    launch.workload(&["exit", "0"]).start().end().expect(0);
    assert!(fs::metadata(format!("{target}/data")).unwrap().is_dir());
}

#[test]
fn a1_a_read_only_file_system_is_named_unless_declared() {
    for (extra, code) in [("", 125), ("access = \"read-only\"\n", 0)] {
        let (folder, profile) = profile(extra);
        let fixed = folder.make("fixed", 0o755);
        let launch = Launch::first().tmpfs(&fixed, true).arguments(&["--profile", &profile]);
        let launch = launch.variable("X_DATA", &fixed);
        let ended = launch.workload(&["marker", &folder.at("marker")]).start().end();
        if code == 0 {
            ended.expect(0);
            assert_eq!(ended.stderr, "");
        } else {
            refused(&ended, &folder, &["X_DATA", &fixed, "read-only"]);
        }
    }
}

#[test]
fn a_missing_right_names_the_owner_us_and_the_remedies() {
    if !only_as_root("another user has to be taken on") {
        return;
    }
    for place in Place::BOTH {
        let (folder, profile) = profile("");
        let data = folder.make("data", 0o755);
        let program = folder.program();
        let launch = Launch::at(place).program(&program).user(STRANGER);
        let launch = launch.arguments(&["--profile", &profile]).variable("X_DATA", &data);
        let ended = launch.arguments(&["--", "/bin/echo", "started"]).start().end();
        let us = STRANGER.to_string();
        ended.expect(125).one_line(&["X_DATA", &data, &us, "0:0", "chown", "--user", "fsGroup"]);
        assert_eq!(ended.text(), "", "the workload was not started");
    }
}

#[test]
fn a_user_without_rights_uses_a_directory_of_their_own() {
    if !only_as_root("another user has to be taken on") {
        return;
    }
    for place in Place::BOTH {
        let (folder, profile) = profile("");
        let data = folder.make("data", 0o700);
        chown(&data, Some(STRANGER), Some(STRANGER)).unwrap();
        let program = folder.program();
        let launch = Launch::at(place).program(&program).user(STRANGER);
        let launch = launch.arguments(&["--profile", &profile]);
        let launch = launch.variable("X_DATA", format!("{data}/below"));
        launch.arguments(&["--", "/bin/true"]).start().end().expect(0);
        assert_eq!(fs::metadata(format!("{data}/below")).unwrap().uid(), STRANGER);
    }
}

#[test]
fn a_relative_place_is_refused() {
    let (folder, profile) = profile("");
    let launch = Launch::first().folder(folder.path()).arguments(&["--profile", &profile]);
    let launch = launch.variable("X_DATA", "data");
    let ended = launch.workload(&["marker", &folder.at("marker")]).start().end();
    refused(&ended, &folder, &["X_DATA", "data"]);
    assert!(!folder.path().join("data").exists());
}
