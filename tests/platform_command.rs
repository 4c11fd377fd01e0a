//! `mak-init platform`, and what the workload is told about the platform.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::path::Path;

use harness::program::machine;
use harness::{Folder, Launch, Place, program};

/// The architecture of the program under test in Docker's words and in the kernel's, and what
/// the bash entrypoint of IPFS Kit made of it. It is what uname(2) says to it, natively and
/// emulated.
fn expected() -> (&'static str, &'static str, &'static str) {
    match machine(&program()) {
        [62, 0] => ("amd64", "x86_64", "amd64"),
        [183, 0] => ("arm64", "aarch64", "arm64"),
        other => panic!("no test knows machine {other:?}"),
    }
}

fn shown(arguments: &[&str]) -> String {
    let ended = Launch::beside().arguments(&["platform"]).arguments(arguments).start().end();
    ended.expect(0);
    assert_eq!(ended.stderr, "");
    ended.text().to_owned()
}

#[test]
fn json_names_the_architecture_in_both_ways() {
    let (docker, uname, _) = expected();
    let shown: serde_json::Value = serde_json::from_str(&shown(&["--format", "json"])).unwrap();
    assert_eq!(shown["platform"], format!("linux/{docker}"));
    assert_eq!(shown["arch"], docker);
    assert_eq!(shown["uname"]["machine"], uname);
    assert_eq!(shown["built_for"], docker);
    assert!(shown["page_size"].as_u64().is_some_and(|size| size >= 4096), "{shown}");
}

#[test]
fn text_is_the_default_and_env_can_be_sourced_by_a_shell() {
    let (docker, uname, _) = expected();
    assert!(shown(&[]).contains(&format!("arch: {docker}\n")));
    let folder = Folder::new();
    let file = folder.write("platform.env", 0o644, shown(&["--format", "env"]));
    let script = ". \"$0\" && echo \"$MAK_PLATFORM $MAK_ARCH $MAK_MACHINE\"";
    let ended = Launch::beside().arguments(&["--", "/bin/sh", "-euc", script, &file]).start().end();
    ended.expect(0);
    assert_eq!(ended.text(), format!("linux/{docker} {docker} {uname}\n"));
}

#[test]
fn a_root_that_is_not_there_and_a_strange_format_are_64() {
    for arguments in [["--root", "/no/such/root"], ["--format", "xml"]] {
        let launch = Launch::beside().arguments(&["platform"]).arguments(&arguments);
        launch.start().end().expect(64).one_line(&arguments[..1]);
    }
}

#[test]
fn the_workload_is_told_the_platform() {
    let (docker, _, _) = expected();
    for place in Place::BOTH {
        for mode in ["supervise", "exec"] {
            let launch = Launch::at(place).arguments(&["--mode", mode]);
            let ended = launch.workload(&["environment"]).start().end();
            ended.expect(0);
            for line in [format!("MAK_PLATFORM=linux/{docker}\n"), format!("MAK_ARCH={docker}\n")] {
                assert!(ended.text().contains(&line), "{line}{}", ended.text());
            }
        }
    }
}

#[test]
fn under_the_profiles_prefix_it_is_told_what_the_bash_entrypoint_told_it() {
    let (_, uname, normalized) = expected();
    let folder = Folder::new();
    for place in Place::BOTH {
        let mut launch = Launch::at(place).arguments(&["--profile", "ipfs-kit", "--verify", "off"]);
        for variable in ["DATA", "LOG", "CONFIG"] {
            launch = launch.variable(&format!("IPFS_KIT_{variable}_DIR"), folder.at(variable));
        }
        // The profile's endpoint would be asked for on a port of this machine.
        let launch = launch.arguments(&["--listen", "off"]).variable("LOG_LEVEL", "");
        let ended = launch.workload(&["environment"]).start().end();
        ended.expect(0);
        let lines: Vec<&str> = ended.text().lines().collect();
        for line in [
            "IPFS_KIT_PLATFORM=Linux",
            &format!("IPFS_KIT_ARCH={uname}"),
            &format!("IPFS_KIT_ARCH_NORMALIZED={normalized}"),
            "PYTHONUNBUFFERED=1",
            "PYTHONDONTWRITEBYTECODE=1",
            // Set to nothing is set.
            "LOG_LEVEL=",
        ] {
            assert!(lines.contains(&line), "{line} is not in {lines:#?}");
        }
        assert!(Path::new(&folder.at("DATA")).is_dir());
    }
}
