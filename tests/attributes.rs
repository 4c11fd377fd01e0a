//! What the workload can be told to be: user, limits, rights, working directory, environment;
//! each read back by the workload itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

use harness::{Ended, Folder, Launch, Place, only_as_root};

const MODES: [&str; 2] = ["supervise", "exec"];
/// A user and a group without a line in any file.
const USER: u32 = 61234;
const GROUP: u32 = 61235;
/// A user who is neither root nor the owner of anything here.
const STRANGER: u32 = 65534;
const SHOW: &str = "cat /proc/self/status /proc/self/limits; \
                    echo oom $(cat /proc/self/oom_score_adj); echo nice $(nice); pwd";

/// Runs a script as PID 1's workload and beside, supervised and by exec.
fn everywhere(flags: &[&str], script: &str, judge: impl Fn(&Ended, &str)) {
    for place in Place::BOTH {
        for mode in MODES {
            let launch = Launch::at(place).arguments(&["--mode", mode]).arguments(flags);
            let launch = launch.variable("SECRETLESS", "1");
            let ended = launch.arguments(&["--", "/bin/sh", "-c", script]).start().end();
            judge(&ended, &format!("{place:?} {mode} {flags:?}"));
        }
    }
}

/// The words of the line that begins with this one.
fn line(ended: &Ended, name: &str) -> String {
    let found = ended.text().lines().find_map(|line| line.strip_prefix(name));
    let rest = found.unwrap_or_else(|| panic!("no line {name:?} in:\n{}", ended.text()));
    rest.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn capabilities(ended: &Ended, set: &str) -> u64 {
    u64::from_str_radix(&line(ended, &format!("{set}:")), 16).unwrap()
}

#[test]
fn every_flag_is_seen_by_the_workload() {
    for (flags, name, expected) in [
        (["--umask", "027"].as_slice(), "Umask:", "0027"),
        (&["--nice", "5"], "nice", "5"),
        (&["--oom-score-adj", "321"], "oom", "321"),
        (&["--rlimit", "nofile=100:200"], "Max open files", "100 200 files"),
        (&["--rlimit", "core=0"], "Max core file size", "0 0 bytes"),
        (&["--rlimit", "core=0", "--rlimit", "nofile=99"], "Max open files", "99 99 files"),
        (&["--no-new-privs"], "NoNewPrivs:", "1"),
        (&["--workdir", "/usr/bin"], "/usr/bin", ""),
    ] {
        everywhere(flags, SHOW, |ended, whose| {
            ended.expect(0);
            assert_eq!(ended.stderr, "", "{whose}");
            assert_eq!(line(ended, name), expected, "{whose}");
        });
    }
}

#[test]
fn the_death_of_our_own_parent_is_told_to_whom_it_concerns() {
    let stranger = STRANGER.to_string();
    // A change of user would take it back: it is asked for behind that.
    let users = [[].as_slice(), &["--user", &stranger]];
    let as_root = only_as_root("taking on a user");
    for flags in users.into_iter().take(if as_root { 2 } else { 1 }) {
        for mode in MODES {
            let program = harness::program();
            // The inner shell is the parent, and ends with the first line.
            let shells = "sh -c '\"$@\" & read line' parent \"$@\"; read line";
            let launch = Launch::beside().program("/bin/sh").arguments(&["-c", shells, "sh"]);
            let launch = launch.argument(program).arguments(&["--mode", mode]).arguments(flags);
            let launch = launch.arguments(&["--parent-death-signal", "USR1"]);
            let mut running = launch.workload(&["print-signals", "10"]).start();
            running.line("ready");
            running.type_in(b"\n");
            running.line("sig 10 ");
            running.type_in(b"\n");
            running.end().expect(0);
        }
    }
}

#[test]
fn the_environment_twins_and_a_file_say_the_same() {
    let folder = Folder::new();
    let text = "[workload]\numask = \"027\"\nnice = 5\nrlimit = [\"core=0\", \"nofile=99\"]\n";
    let file = folder.write("config.toml", 0o644, text);
    for launch in [
        Launch::first().arguments(&["--config", &file]),
        Launch::first()
            .variable("MAK_INIT_UMASK", "027")
            .variable("MAK_INIT_NICE", "5")
            .variable("MAK_INIT_RLIMIT", "core=0,nofile=99"),
    ] {
        let ended = launch.arguments(&["--", "/bin/sh", "-c", SHOW]).start().end();
        ended.expect(0);
        assert_eq!(line(&ended, "Umask:"), "0027");
        assert_eq!(line(&ended, "nice"), "5");
        assert_eq!(line(&ended, "Max core file size"), "0 0 bytes");
        assert_eq!(line(&ended, "Max open files"), "99 99 files");
    }
}

#[test]
fn a_dropped_capability_is_in_no_set_and_all_means_all() {
    if !only_as_root("the sets have to be full to begin with") {
        return;
    }
    const KILL: u64 = 1 << 5;
    const NET_RAW: u64 = 1 << 13;
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    everywhere(&["--cap-drop", "CAP_KILL", "--cap-drop", "net_raw"], SHOW, |ended, whose| {
        ended.expect(0);
        for set in sets {
            assert_eq!(capabilities(ended, set) & (KILL | NET_RAW), 0, "{whose} {set}");
        }
        assert_ne!(capabilities(ended, "CapEff"), 0, "{whose}");
    });
    everywhere(&["--cap-drop", "ALL"], SHOW, |ended, whose| {
        ended.expect(0);
        for set in sets {
            assert_eq!(capabilities(ended, set), 0, "{whose} {set}");
        }
    });
}

#[test]
fn a_user_is_taken_on_with_groups_and_home_and_loses_every_capability() {
    if !only_as_root("another user has to be taken on") {
        return;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = passwd.lines().find_map(|line| line.strip_prefix("nobody:")).unwrap();
    let nobody: Vec<&str> = nobody.split(':').collect();
    let (uid, gid, home) = (nobody[1], nobody[2], nobody[4]);
    let script = format!("{SHOW}; echo who $HOME $USER $LOGNAME");
    let four = |id: &str| [id; 4].join(" ");
    let numbers = format!("{USER}:{GROUP}");
    let number = USER.to_string();
    for (account, uid, gid, who) in [
        ("nobody", uid, gid, format!("{home} nobody nobody")),
        ("nobody:root", uid, "0", format!("{home} nobody nobody")),
        (uid, uid, gid, format!("{home} nobody nobody")),
        (&numbers, &number, &GROUP.to_string(), "/".to_owned()),
        (&number, &number, "0", "/".to_owned()),
    ] {
        everywhere(&["--user", account], &script, |ended, whose| {
            ended.expect(0);
            assert_eq!(ended.stderr, "", "{whose}");
            assert_eq!(line(ended, "Uid:"), four(uid), "{whose}");
            assert_eq!(line(ended, "Gid:"), four(gid), "{whose}");
            assert_eq!(line(ended, "Groups:"), gid, "{whose}");
            assert_eq!(line(ended, "who"), who, "{whose}");
            for set in ["CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(capabilities(ended, set), 0, "{whose} {set}");
            }
        });
    }
}

#[test]
fn all_of_it_at_once_is_applied_in_an_order_that_works() {
    if !only_as_root("another user has to be taken on") {
        return;
    }
    let folder = Folder::new();
    let own = folder.make("own", 0o700);
    chown(&own, Some(USER), Some(GROUP)).unwrap();
    let account = format!("{USER}:{GROUP}");
    let flags = ["--user", &account, "--workdir", &own, "--umask", "077", "--nice", "-3"];
    let more = ["--oom-score-adj", "10", "--rlimit", "nofile=64", "--cap-drop", "ALL"];
    let flags = [&flags[..], &more, &["--no-new-privs"]].concat();
    everywhere(&flags, SHOW, |ended, whose| {
        ended.expect(0);
        for (name, expected) in [
            ("Uid:", format!("{USER} {USER} {USER} {USER}")),
            ("CapBnd:", "0000000000000000".to_owned()),
            ("NoNewPrivs:", "1".to_owned()),
            ("Umask:", "0077".to_owned()),
            ("oom", "10".to_owned()),
            ("nice", "-3".to_owned()),
            ("Max open files", "64 64 files".to_owned()),
            (&own, String::new()),
        ] {
            assert_eq!(line(ended, name), expected, "{whose}");
        }
    });
}

#[test]
fn pid_1_keeps_its_rights_and_its_signals_reach_a_workload_of_another_user() {
    if !only_as_root("another user has to be taken on") {
        return;
    }
    let account = format!("{USER}:{GROUP}");
    let flags = ["--user", &account, "--cap-drop", "ALL", "--rlimit", "nofile=20"];
    let script = "cat /proc/1/status /proc/1/limits; echo ready; exec cat";
    let launch = Launch::first().arguments(&flags).arguments(&["--", "/bin/sh", "-c", script]);
    let mut running = launch.start();
    running.line("ready");
    running.signal(libc::SIGTERM);
    let ended = running.end();
    ended.expect(128 + libc::SIGTERM);
    assert_eq!(line(&ended, "Uid:"), "0 0 0 0");
    assert_ne!(capabilities(&ended, "CapEff"), 0);
    assert_ne!(line(&ended, "Max open files"), "20 20 files");
}

#[test]
fn a_user_can_open_the_standard_streams_by_their_names() {
    if !only_as_root("another user has to be taken on") {
        return;
    }
    let script = "echo out > /dev/stdout; echo err > /dev/stderr";
    let launch = Launch::first().arguments(&["--user", &USER.to_string()]);
    let ended = launch.arguments(&["--", "/bin/sh", "-c", script]).start().end();
    ended.expect(0);
    assert_eq!((ended.text(), ended.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn a_name_that_the_image_does_not_know_is_a_configuration_error() {
    for (account, words) in [
        ("no-such-user", ["no-such-user", "/etc/passwd"]),
        ("root:no-such-group", ["no-such-group", "/etc/group"]),
    ] {
        everywhere(&["--user", account], "echo started", |ended, _| {
            ended.expect(78).one_line(&words);
            assert_eq!(ended.text(), "");
        });
    }
}

#[test]
fn a_working_directory_that_cannot_be_used_is_named() {
    let folder = Folder::new();
    let missing = folder.at("missing");
    let closed = folder.make("closed", 0o700);
    everywhere(&["--workdir", &missing], "echo started", |ended, _| {
        ended.expect(125).one_line(&["cannot work in", &missing, "No such file"]);
        assert_eq!(ended.text(), "");
    });
    if only_as_root("another user has to be taken on") {
        let flags = ["--workdir", &closed, "--user", &USER.to_string()];
        everywhere(&flags, "echo started", |ended, _| {
            ended.expect(125).one_line(&["cannot work in", &closed, &USER.to_string()]);
        });
    }
}

#[test]
fn what_needs_rights_that_are_missing_says_which() {
    if !only_as_root("another user has to be taken on") {
        return;
    }
    let folder = Folder::new();
    let program = folder.program();
    for (flags, words) in [
        (["--user", "0"], ["as 0:", "--user", "CAP_SETUID"]),
        (["--user", "61234:61234"], ["as 61234:61234", "--user", "CAP_SETGID"]),
        (["--nice", "-5"], ["nice", "-5", "CAP_SYS_NICE"]),
        (["--oom-score-adj", "-900"], ["oom_score_adj", "-900", "CAP_SYS_RESOURCE"]),
        (["--rlimit", "nofile=unlimited"], ["nofile", "unlimited", "CAP_SYS_RESOURCE"]),
        (["--cap-drop", "KILL"], ["capabilities", "--cap-drop", "CAP_SETPCAP"]),
    ] {
        for place in Place::BOTH {
            for mode in MODES {
                let launch = Launch::at(place).program(&program).user(STRANGER);
                let launch = launch.arguments(&["--mode", mode]).arguments(&flags);
                let ended = launch.arguments(&["--", "/bin/echo", "started"]).start().end();
                ended.expect(125).one_line(&words);
                assert_eq!(ended.text(), "");
            }
        }
    }
}

#[test]
fn what_is_so_already_needs_no_rights() {
    if !only_as_root("another user has to be taken on") {
        return;
    }
    let folder = Folder::new();
    let program = folder.program();
    let account = format!("{STRANGER}:{STRANGER}");
    for place in Place::BOTH {
        let launch = Launch::at(place).program(&program).user(STRANGER);
        let launch = launch.arguments(&["--user", &account, "--umask", "077", "--no-new-privs"]);
        let ended = launch.arguments(&["--", "/bin/sh", "-c", SHOW]).start().end();
        ended.expect(0);
        assert_eq!(ended.stderr, "");
        assert_eq!(line(&ended, "Umask:"), "0077");
    }
}

#[test]
fn variables_come_from_files_and_what_was_given_stays() {
    let folder = Folder::new();
    let first = folder.write("first", 0o644, "# a comment\nA=first\nB=\"first\"\n");
    let second = folder.write("second", 0o644, "A=second\nSECRETLESS=file\nC\n");
    let flags = ["--env-file", &first, "--env-file", &second];
    everywhere(&flags, "echo $A; echo $B; echo $SECRETLESS; echo ${C-unset}", |ended, whose| {
        ended.expect(0);
        assert_eq!(ended.text(), "second\n\"first\"\n1\nunset\n", "{whose}");
    });
    let wrong = folder.write("wrong", 0o644, "A=1\nhunter2 = 1\n");
    everywhere(&["--env-file", &wrong], "echo started", |ended, _| {
        ended.expect(78).one_line(&[&format!("{wrong}:2:"), "blank"]);
        assert!(!ended.stderr.contains("hunter2"));
    });
    let missing = folder.at("missing");
    everywhere(&["--env-file", &missing], "echo started", |ended, _| {
        ended.expect(78).one_line(&[&missing]);
    });
}

#[test]
fn a_secret_is_read_before_the_user_is_taken_on_and_its_value_is_never_logged() {
    let folder = Folder::new();
    let secret = folder.write("secret", 0o400, "hunter2\n");
    let user = USER.to_string();
    let account: &[&str] = match only_as_root("another user has to be taken on") {
        true => &["--user", &user],
        false => &[],
    };
    let script = "echo got $PASS; echo ${PASS_FILE-unset}";
    for place in Place::BOTH {
        for mode in MODES {
            let launch = || {
                let launch = Launch::at(place).arguments(&["--mode", mode, "--log-level", "trace"]);
                let launch = launch.arguments(&["--secret", "PASS,OTHER"]).arguments(account);
                launch.variable("PASS_FILE", &secret)
            };
            let command = ["--", "/bin/sh", "-c", script];
            let ended = launch().arguments(&command).start().end();
            ended.expect(0);
            assert_eq!(ended.text(), "got hunter2\nunset\n");
            assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
            let ended = launch().variable("PASS", "hunter3").arguments(&command).start().end();
            ended.expect(78).says(&["PASS and PASS_FILE"]);
            assert!(!ended.stderr.contains("hunter"), "{}", ended.stderr);
            let launch = launch().variable("OTHER_FILE", "/no/such/hunter4");
            let ended = launch.arguments(&command).start().end();
            ended.expect(78).says(&["OTHER_FILE", "No such file"]);
            assert!(!ended.stderr.contains("hunter"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_cleared_environment_holds_what_is_kept_and_the_platform() {
    for place in Place::BOTH {
        for mode in MODES {
            let launch = Launch::at(place).arguments(&["--mode", mode, "--clear-env"]);
            let launch = launch.arguments(&["--keep-env", "LANG", "--keep-env", "APP_*"]);
            let launch = launch.variable("LANG", "C").variable("LANGUAGE", "x");
            let launch = launch.variable("APP_A", "1").variable("APP_B", "");
            let ended = launch.workload(&["environment"]).start().end();
            ended.expect(0);
            let theirs = ended.text().lines().filter(|line| !line.starts_with("MAK_"));
            assert_eq!(theirs.collect::<Vec<_>>(), ["LANG=C", "APP_A=1", "APP_B="]);
        }
    }
}

/// A folder with a profile in it that names one directory in it.
fn with_profile(extra: &str) -> (Folder, String, String) {
    let folder = Folder::new();
    let data = folder.at("deep/data");
    let text = format!(
        "prefix = \"X_\"\n[[directory]]\nvariable = \"X_DATA\"\ndefault = \"{data}\"\n{extra}"
    );
    let profile = folder.write("x.toml", 0o644, text);
    (folder, profile, data)
}

#[test]
fn a_directory_that_is_made_belongs_to_the_user_of_the_workload() {
    if !only_as_root("another user has to be taken on") {
        return;
    }
    let account = format!("{USER}:{GROUP}");
    let second = "[[directory]]\nvariable = \"X_LOG\"\ndefault = \"/log\"\n";
    for (extra, owner) in [("", (USER, GROUP)), ("owner = \"61234:7\"\n", (USER, 7))] {
        for place in Place::BOTH {
            let (folder, profile, data) = with_profile(&format!("{extra}{second}"));
            let log = folder.at("log");
            let launch = Launch::at(place).arguments(&["--profile", &profile, "--user", &account]);
            let script = "echo works > \"$X_DATA/file\" && echo works > \"$X_LOG/file\"";
            let launch = launch.variable("X_LOG", &log);
            let ended = launch.arguments(&["--", "/bin/sh", "-c", script]).start().end();
            ended.expect(0);
            assert_eq!(ended.stderr, "");
            let made = fs::metadata(&data).unwrap();
            assert_eq!((made.uid(), made.gid()), owner);
            let log = fs::metadata(&log).unwrap();
            assert_eq!((log.uid(), log.gid()), (USER, GROUP));
            assert_eq!(fs::metadata(folder.at("deep")).unwrap().uid(), 0);
            assert_eq!(fs::metadata(format!("{data}/file")).unwrap().uid(), USER);
        }
    }
}

#[test]
fn a_directory_that_the_user_cannot_write_to_is_found_before_the_start() {
    if !only_as_root("another user has to be taken on") {
        return;
    }
    let account = format!("{USER}:{GROUP}");
    for (owner, mode) in [(0, 0o755), (USER, 0o555)] {
        for place in Place::BOTH {
            let (folder, profile, _) = with_profile("");
            let there = folder.make("there", mode);
            chown(&there, Some(owner), Some(owner)).unwrap();
            let launch = Launch::at(place).arguments(&["--profile", &profile, "--user", &account]);
            let launch = launch.variable("X_DATA", &there);
            let ended = launch.arguments(&["--", "/bin/echo", "started"]).start().end();
            ended.expect(125).one_line(&["X_DATA", &there, "not writable", &account]);
            assert_eq!(ended.text(), "");
            assert_eq!(fs::metadata(&there).unwrap().uid(), owner, "it is left as it was");
        }
    }
}
