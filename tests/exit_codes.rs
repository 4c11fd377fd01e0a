//! The exit code: the workload's own, 128+N for a signal, 126 and 127 with a line that says why.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use harness::{Folder, Launch, Place, only_on_this_machine, workload};

#[test]
fn every_exit_code_is_handed_on() {
    for place in Place::BOTH {
        for code in 0..=255 {
            let ended = Launch::at(place).workload(&["exit", &code.to_string()]).start().end();
            ended.expect(code);
            match code {
                0 => assert_eq!(ended.stderr, ""),
                _ => {
                    ended.one_line(&[&format!("ended with code {code}")]);
                }
            }
        }
    }
}

#[test]
fn death_by_a_signal_is_128_and_its_number() {
    // The others do not kill by default: CHLD CONT URG WINCH are ignored, STOP TSTP TTIN TTOU stop.
    let whole = only_on_this_machine("32 to 64, which qemu-user shows as other numbers");
    let deadly = (1..=if whole { 64 } else { 31 })
        .filter(|number| ![17, 18, 19, 20, 21, 22, 23, 28].contains(number));
    let deadly: Vec<i32> = deadly.collect();
    for place in Place::BOTH {
        for number in &deadly {
            let launch = Launch::at(place).workload(&["die-by", &number.to_string()]);
            launch.start().end().expect(128 + number);
        }
    }
}

/// What cannot be executed: the name in the folder, its mode, its bytes, the code.
const REFUSED: [(&str, u32, &[u8], i32); 5] = [
    ("without-x", 0o644, b"#!/bin/sh\nexit 0\n", 126),
    ("empty", 0o755, b"", 126),
    ("text-without-shebang", 0o755, b"exit 0\n", 126),
    // As ENOENT of execve has it, and as tini, dash and the engines report it.
    ("interpreter-missing", 0o755, b"#!/no/such/interpreter\n", 127),
    ("interpreter-is-a-folder", 0o755, b"#!/etc\n", 126),
];

#[test]
fn what_cannot_be_executed_ends_with_one_line_that_names_it() {
    let folder = Folder::new();
    for (name, mode, bytes, _) in REFUSED {
        folder.write(name, mode, bytes);
    }
    folder.make("folder", 0o755);
    folder.write("file", 0o644, "");
    for place in Place::BOTH {
        for mode in ["supervise", "exec"] {
            let launch = |path: &str| {
                Launch::at(place).arguments(&["--mode", mode, "--", path]).start().end()
            };
            for (name, _, _, code) in REFUSED {
                let path = folder.at(name);
                launch(&path).expect(code).one_line(&[&path]);
            }
            launch(&folder.at("folder")).expect(126).one_line(&[&folder.at("folder")]);
        }
    }
}

#[test]
fn a_missing_interpreter_is_named() {
    let folder = Folder::new();
    let path = folder.write("script", 0o755, "#!/no/such/interpreter -x\n");
    let ended = Launch::first().arguments(&["--", &path]).start().end();
    ended.expect(127).one_line(&[&path, "/no/such/interpreter"]);
}

#[test]
fn a_program_of_another_machine_is_126_and_said_to_be_one() {
    // A 64-bit big-endian s390x header and nothing else.
    let mut header = [0_u8; 64];
    header[..8].copy_from_slice(b"\x7fELF\x02\x02\x01\x00");
    header[16..24].copy_from_slice(&[0, 2, 0, 22, 0, 0, 0, 1]);
    let folder = Folder::new();
    let path = folder.write("foreign", 0o755, header);
    for place in Place::BOTH {
        let ended = Launch::at(place).arguments(&["--", &path]).start().end();
        ended.expect(126).one_line(&[&path, "s390"]);
    }
}

#[test]
fn what_is_not_there_is_127_with_one_line_that_names_it() {
    let folder = Folder::new();
    let beyond_a_file = format!("{}/x", folder.write("file", 0o644, ""));
    for place in Place::BOTH {
        for mode in ["supervise", "exec"] {
            for name in ["no-such-program", "/no/such/program", "./no-such", &beyond_a_file] {
                let launch = Launch::at(place).arguments(&["--mode", mode, "--", name]);
                launch.start().end().expect(127).one_line(&[name]);
            }
        }
    }
}

#[test]
fn path_is_searched_as_execvp_does() {
    let folder = Folder::new();
    let first = folder.make("first", 0o755);
    let second = folder.make("second", 0o755);
    folder.write("first/tool", 0o644, "");
    folder.write("second/tool", 0o755, "#!/bin/sh\nexit 33\n");
    folder.write("first/only-here", 0o644, "");
    let path = format!("PATH={first}:/no/such/folder:{second}");
    let launch = |name: &str| {
        let words = ["/usr/bin/env", &path, "/bin/sh", "-c", "exec \"$0\" -- \"$1\""];
        let program = harness::program();
        Launch::beside().arguments(&["--"]).arguments(&words).argument(program).argument(name)
    };
    launch("tool").start().end().expect(33);
    launch("only-here").start().end().expect(126).says(&["only-here"]);
    launch("nowhere").start().end().expect(127).says(&["nowhere"]);
}

#[test]
fn a_relative_program_is_found_from_the_working_directory() {
    let name = workload().file_name().unwrap().to_str().unwrap();
    for place in Place::BOTH {
        let launch = Launch::at(place).folder(workload().parent().unwrap());
        launch.arguments(&["--", &format!("./{name}"), "exit", "9"]).start().end().expect(9);
    }
}

/// What is executable and no program ends the search, whatever process looks for it.
#[test]
fn what_ends_the_search_in_path_is_the_same_however_it_is_started() {
    let (first, second) = (Folder::new(), Folder::new());
    first.write("x", 0o755, [7; 64]);
    second.write("x", 0o755, "#!/bin/sh\nexit 0\n");
    let path = format!("PATH={}:{}", first.path().display(), second.path().display());
    for place in Place::BOTH {
        for flags in [[].as_slice(), &["--nice", "10"], &["--exec"]] {
            let launch = Launch::at(place).program("/usr/bin/env").arguments(&[&path]);
            let launch = launch.argument(harness::program()).arguments(flags);
            launch.arguments(&["--", "x"]).start().end().expect(126);
        }
    }
}
