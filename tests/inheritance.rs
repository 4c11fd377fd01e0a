//! What the workload starts with is what mak-init was started with, and nothing of our own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use harness::endpoint::free_address;
use harness::{Folder, Launch, Place, only_on_this_machine};

const MODES: [&str; 2] = ["supervise", "exec"];

#[test]
fn signal_mask_ignored_signals_umask_and_descriptors_are_handed_on() {
    let whole = only_on_this_machine("signals 32, 33 and 34 in the mask, lost by qemu-user");
    let (blocked, shown): (&[i32], &str) = if whole {
        (&[libc::SIGUSR1, libc::SIGTERM, 32, 33, 34, 64], "blocked 8000000380004200")
    } else {
        (&[libc::SIGUSR1, libc::SIGTERM, 64], "blocked 8000000000004200")
    };
    for place in Place::BOTH {
        for mode in MODES {
            for listen in ["off".to_owned(), free_address(place).to_string()] {
                let launch = Launch::at(place)
                    .blocked(blocked)
                    .ignored(&[libc::SIGPIPE, libc::SIGINT, libc::SIGTTOU, 40])
                    .umask(0o027)
                    .open(7)
                    .open(30)
                    .arguments(&["--mode", mode, "--listen", &listen]);
                let ended = launch.workload(&["status"]).start().end();
                ended.expect(0);
                for line in
                    [shown, "ignored 0000008000201002", "umask 0027", "descriptors 0 1 2 7 30"]
                {
                    let whose = format!("{place:?} {mode} {listen}");
                    assert!(ended.text().contains(line), "{whose}: {line}\n{}", ended.text());
                }
            }
        }
    }
}

#[test]
fn an_ignored_sigchld_stays_ignored_for_the_workload() {
    for place in Place::BOTH {
        for mode in MODES {
            let launch = Launch::at(place).ignored(&[libc::SIGCHLD]).arguments(&["--mode", mode]);
            let ended = launch.workload(&["status"]).start().end();
            ended.expect(0);
            assert!(ended.text().contains("ignored 0000000000010000"), "{}", ended.text());
        }
    }
}

#[test]
fn with_nothing_blocked_or_ignored_nothing_is() {
    for place in Place::BOTH {
        for mode in MODES {
            let launch = Launch::at(place).arguments(&["--mode", mode]);
            let ended = launch.workload(&["status"]).start().end();
            ended.expect(0);
            let expected = "blocked 0000000000000000\nignored 0000000000000000\numask 0022\n\
                            descriptors 0 1 2\n";
            assert!(ended.text().starts_with(expected), "{}", ended.text());
        }
    }
}

#[test]
fn closed_standard_descriptors_stay_closed_and_are_used_for_nothing_of_ours() {
    let sets: [(&[i32], &str); 5] =
        [(&[0], "1 2"), (&[1], "0 2"), (&[2], "0 1"), (&[0, 1], "2"), (&[0, 1, 2], "")];
    for place in Place::BOTH {
        for listen in ["off".to_owned(), free_address(place).to_string()] {
            for (closed, left) in sets {
                let folder = Folder::new();
                let file = folder.at("status");
                let mut launch = Launch::at(place).arguments(&["--listen", &listen]);
                for descriptor in closed {
                    launch = launch.closed(*descriptor);
                }
                let launch = launch.variable("STATUS_FILE", &file).workload(&["status"]);
                launch.start().end().expect(0);
                let seen = std::fs::read_to_string(&file).unwrap();
                let found = seen.lines().find_map(|line| line.strip_prefix("descriptors"));
                assert_eq!(found.unwrap().trim(), left, "{place:?} {listen} {closed:?}");
            }
        }
    }
}

#[test]
fn the_environment_is_handed_on_with_the_platform_and_nothing_else() {
    for place in Place::BOTH {
        let launch = Launch::at(place).variable("EMPTY", "").variable("A", "b=c");
        let ended = launch.workload(&["environment"]).start().end();
        ended.expect(0);
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            ended.text().lines().partition(|line| line.starts_with("MAK_"));
        assert_eq!(theirs, ["PATH=/usr/local/bin:/usr/bin:/bin", "EMPTY=", "A=b=c"]);
        let mut names: Vec<&str> = ours.iter().filter_map(|l| Some(l.split_once('=')?.0)).collect();
        names.sort_unstable();
        assert!(names.contains(&"MAK_ARCH") && names.contains(&"MAK_PLATFORM"), "{names:?}");
    }
}

#[test]
fn the_working_directory_is_handed_on() {
    let folder = Folder::new();
    for place in Place::BOTH {
        let launch = Launch::at(place).folder(folder.path()).arguments(&["--", "/bin/pwd"]);
        let ended = launch.start().end();
        ended.expect(0);
        assert_eq!(ended.text().trim_end(), folder.path().to_str().unwrap());
    }
}
