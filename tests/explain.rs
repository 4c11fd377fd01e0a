//! What stands in the way of a start: said after execve was refused, and said before by
//! `mak-init explain`, with the same code and words.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::fs;
use std::os::unix::fs::symlink;

use harness::{Ended, Folder, Launch, Place, only_as_root, only_on_this_machine, workload};

/// Starts it in both places, then asks for it: each says the words and ends with the code.
#[track_caller]
fn refused(prepare: impl Fn(Launch) -> Launch, command: &[&str], code: i32, words: &[&str]) {
    for place in Place::BOTH {
        let launch = prepare(Launch::at(place)).arguments(&["--"]).arguments(command);
        launch.start().end().expect(code).one_line(words);
    }
    let asked = prepare(Launch::first()).arguments(&["explain", "--"]).arguments(command);
    explained(&asked.start().end(), code, words);
}

#[track_caller]
fn explained(ended: &Ended, code: i32, words: &[&str]) {
    ended.expect(code);
    assert_eq!(ended.stderr, "");
    for word in words {
        assert!(ended.text().contains(word), "{word:?} is not in:\n{}", ended.text());
    }
}

fn as_it_is(launch: Launch) -> Launch {
    launch
}

#[test]
fn a_name_that_is_not_in_path_is_told_with_the_path_and_the_slip() {
    let path = "not found in PATH (/usr/local/bin:/usr/bin:/bin)";
    refused(as_it_is, &["no-such-tool"], 127, &["cannot start no-such-tool: ", path]);
    refused(as_it_is, &["sh -c true"], 127, &[path, "sh is there", "words of their own"]);
    let folder = Folder::new();
    folder.write("here", 0o755, "#!/bin/sh\n");
    let inside = |launch: Launch| launch.folder(folder.path());
    refused(inside, &["here"], 127, &[path, "name it as ./here"]);
}

#[test]
fn a_path_that_leads_nowhere_is_told_by_its_first_missing_part() {
    let folder = Folder::new();
    folder.write("file", 0o644, "");
    symlink("/no/such/target", folder.path().join("dangling")).unwrap();
    symlink("circle", folder.path().join("circle")).unwrap();
    let at = |name: &str| folder.at(name);
    refused(as_it_is, &[&at("none")], 127, &["there is no such file"]);
    refused(as_it_is, &[&at("none/of/it")], 127, &[&format!("no folder {}", at("none"))]);
    refused(as_it_is, &[&at("file/x")], 127, &[&format!("{} is no folder", at("file"))]);
    refused(as_it_is, &[&at("dangling")], 127, &["leads to /no/such/target"]);
    refused(as_it_is, &[&at("circle")], 126, &["ELOOP"]);
    refused(as_it_is, &[&at(&"n".repeat(300))], 126, &["300 bytes", "ENAMETOOLONG"]);
    let inside = |launch: Launch| launch.folder(folder.path());
    refused(inside, &["./none"], 127, &["cannot start ./none", "no such file"]);
}

#[test]
fn scripts_are_followed_to_what_is_missing() {
    let folder = Folder::new();
    let script = |name: &str, text: &str| folder.write(name, 0o755, text);
    let inner = script("inner", "#!/no/such/interpreter\n");
    let outer = script("outer", &format!("#!{inner} -x\n"));
    let interpreter = "/no/such/interpreter";
    refused(as_it_is, &[&inner], 127, &["its interpreter", interpreter]);
    refused(as_it_is, &[&outer], 127, &[interpreter, &format!("the interpreter of {inner}")]);
    let dos = script("dos", "#!/bin/sh\r\nexit 0\r\n");
    refused(as_it_is, &[&dos], 127, &["CR LF", "/bin/sh", "LF line ends"]);
    let nothing = script("nothing", "#!\n");
    refused(as_it_is, &[&nothing], 126, &["without an interpreter"]);
    let mut last = script("chain-0", "#!/bin/sh\n");
    for number in 1..=6 {
        last = script(&format!("chain-{number}"), &format!("#!{last}\n"));
    }
    refused(as_it_is, &[&last], 126, &["each other's interpreter", "ELOOP"]);
}

#[test]
fn a_chain_of_scripts_that_the_kernel_takes_is_taken() {
    let folder = Folder::new();
    let mut last = folder.write("chain-0", 0o755, "#!/bin/true\n");
    for number in 1..=4 {
        last = folder.write(&format!("chain-{number}"), 0o755, format!("#!{last}\n"));
    }
    let ended = Launch::first().arguments(&["explain", &last]).start().end();
    explained(&ended, 0, &["would start", "/bin/true"]);
    Launch::first().arguments(&["--", &last]).start().end().expect(0);
}

#[test]
fn what_env_would_not_find_is_told_before_the_start() {
    let folder = Folder::new();
    let missing = folder.write("missing", 0o755, "#!/usr/bin/env no-such-python\n");
    let blank = folder.write("blank", 0o755, "#!/usr/bin/env sh -e\n");
    let split = folder.write("split", 0o755, "#!/usr/bin/env -S sh -e\n");
    let explain = |path: &str| Launch::first().arguments(&["explain", path]).start().end();
    explained(&explain(&missing), 127, &["env for no-such-python", "not found in PATH"]);
    explained(&explain(&blank), 127, &["env for sh -e", "env -S"]);
    explained(&explain(&split), 0, &["/usr/bin/env", "/sh"]);
    // The kernel starts env, and env says it.
    let ended = Launch::first().arguments(&["--", &missing]).start().end();
    ended.expect(127).says(&["no-such-python", "ended with code 127"]);
}

#[test]
fn what_is_no_program_is_told_as_what_it_is() {
    let folder = Folder::new();
    let empty = folder.write("empty", 0o755, "");
    let text = folder.write("text", 0o755, "exit 0\n");
    let broken = folder.write("broken", 0o755, b"\x7fELF\x02\x01\x01");
    refused(as_it_is, &[&empty], 126, &["an empty file"]);
    refused(as_it_is, &[&text], 126, &["begins with #!"]);
    refused(as_it_is, &[&broken], 126, &["cut short"]);
    refused(as_it_is, &[folder.path().to_str().unwrap()], 126, &["a directory"]);
}

#[test]
fn the_x_bit_is_judged_for_the_user_that_starts_it() {
    let folder = Folder::new();
    let plain = folder.write("plain", 0o644, "#!/bin/sh\n");
    refused(as_it_is, &[&plain], 126, &["not executable (mode 0644", "chmod +x"]);
    if !only_as_root("another user starts it") {
        return;
    }
    let private = folder.write("private", 0o750, "#!/bin/sh\n");
    let closed = folder.make("closed", 0o700);
    let program = folder.program();
    folder.write("closed/tool", 0o755, "#!/bin/sh\n");
    let nobody = |launch: Launch| launch.program(&program).user(65534);
    let uid = "uid 65534";
    refused(nobody, &[&private], 126, &["not executable for", uid, "mode 0750, owner 0:0"]);
    refused(nobody, &[&format!("{closed}/tool")], 126, &[uid, "may not pass", &closed, "0700"]);
    // Root needs no more than one x bit.
    let ended = Launch::first().arguments(&["explain", &private]).start().end();
    explained(&ended, 0, &["would start"]);
}

#[test]
fn a_program_of_another_machine_is_named_with_both() {
    // Nobody registers an emulator for this one: a SPARC of 64 bits, big-endian.
    let mut header = [0_u8; 64];
    header[..8].copy_from_slice(b"\x7fELF\x02\x02\x01\x00");
    header[16..24].copy_from_slice(&[0, 2, 0, 43, 0, 0, 0, 1]);
    let folder = Folder::new();
    let path = folder.write("foreign", 0o755, header);
    let here = match cfg!(target_arch = "aarch64") {
        true => "aarch64",
        false => "x86-64",
    };
    if only_on_this_machine("the machine is the emulator's") {
        let phrase = format!("sparc64 program on {here}; no emulator is registered");
        for place in Place::BOTH {
            let ended = Launch::at(place).arguments(&["--", &path]).start().end();
            ended.expect(126).one_line(&[&phrase]);
        }
    }
    let ended = Launch::first().arguments(&["explain", &path]).start().end();
    explained(&ended, 126, &["sparc64 program on"]);
}

#[test]
fn a_dynamic_loader_that_is_not_there_is_named_with_its_libc() {
    // A copy of a dynamic program of this machine, asking for another loader of the same length.
    let mut bytes = fs::read("/bin/ls").unwrap();
    let find = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).position(|at| at == word);
    let Some(at) = find(&bytes, b"/ld-linux-") else {
        println!("left out: /bin/ls is not linked against glibc");
        return;
    };
    let folder = Folder::new();
    bytes[at..at + 10].copy_from_slice(b"/ld-musl-x");
    let path = folder.write("musl", 0o755, &bytes);
    refused(as_it_is, &[&path], 127, &["is a musl program", "ld-musl-x", "the image has glibc"]);
    bytes[at..at + 10].copy_from_slice(b"/ld-linuxx");
    let path = folder.write("glibc", 0o755, &bytes);
    refused(as_it_is, &[&path], 127, &["is a glibc program", "ld-linuxx", "is not in the image"]);
}

#[test]
fn a_file_that_is_open_for_writing_is_busy() {
    let folder = Folder::new();
    let path = folder.write("busy", 0o755, fs::read(workload()).unwrap());
    for place in Place::BOTH {
        // The shell holds it open, and mak-init inherits that.
        let launch = Launch::at(place)
            .program("/bin/sh")
            .arguments(&["-c", "exec 9>>\"$1\"; exec \"$0\" -- \"$1\""]);
        let ended = launch.argument(harness::program()).argument(&path).start().end();
        ended.expect(126).one_line(&["open for writing", "ETXTBSY"]);
    }
}

#[test]
fn what_is_too_long_is_named_and_its_value_is_not_shown() {
    // Nobody could hand them to mak-init; a configuration and a profile can.
    let folder = Folder::new();
    let long = "s".repeat(200_000);
    let command = format!("command = [\"/bin/echo\", \"short\", \"{long}\"]\n");
    let command = folder.write("command.toml", 0o644, command);
    let profile = format!("prefix = \"X_\"\n[environment]\nX_TOKEN = \"{long}\"\n");
    let profile = folder.write("profile.toml", 0o644, profile);
    for place in Place::BOTH {
        let ended = Launch::at(place).arguments(&["--config", &command]).start().end();
        ended.expect(126).one_line(&["its argument 2 has 200000 bytes", "E2BIG"]);
        assert!(!ended.stderr.contains("sss"), "{}", ended.stderr);
        let launch = Launch::at(place).arguments(&["--profile", &profile, "--", "/bin/echo"]);
        let ended = launch.start().end();
        ended.expect(126).one_line(&["environment variable X_TOKEN has 200008 bytes", "E2BIG"]);
        assert!(!ended.stderr.contains("sss"), "{}", ended.stderr);
    }
}

#[test]
fn a_noexec_file_system_is_told_with_its_mount_point() {
    if !only_as_root("a file system is mounted") {
        return;
    }
    let folder = Folder::new();
    let mount = folder.make("mount", 0o755);
    let script = "mount -t tmpfs -o noexec none \"$1\" && cp /bin/true \"$1/tool\" && \
                  exec \"$0\" $2 -- \"$1/tool\"";
    let ask = |what: &str| {
        let launch = Launch::first().program("/bin/sh").arguments(&["-c", script]);
        launch.argument(harness::program()).argument(&mount).argument(what).start().end()
    };
    ask("").expect(126).one_line(&["mounted noexec", &mount]);
    explained(&ask("explain"), 126, &["mounted noexec", &mount]);
}

#[test]
fn explain_runs_nothing_and_reports_as_json() {
    let folder = Folder::new();
    let marker = folder.at("marker");
    let workload = workload().to_str().unwrap();
    let ask = |words: &[&str]| {
        Launch::first().arguments(&["explain", "--format", "json"]).arguments(words).start().end()
    };
    let ended = ask(&["--", workload, "marker", &marker]);
    ended.expect(0);
    assert!(!folder.path().join("marker").exists(), "nothing was run");
    let report: serde_json::Value = serde_json::from_str(ended.text()).unwrap();
    assert_eq!((&report["schema"], &report["verdict"]), (&1.into(), &"pass".into()));
    let ended = ask(&["/no/such/program"]);
    ended.expect(127);
    let report: serde_json::Value = serde_json::from_str(ended.text()).unwrap();
    assert_eq!(report["verdict"], "fail");
    assert_eq!(report["checks"][0]["id"], "command.missing");
    assert_eq!(report["checks"][0]["subject"], "/no/such/program");
}

#[test]
fn a_library_that_a_program_would_miss_is_told() {
    // A copy of a dynamic program that needs a library of another name.
    let mut bytes = fs::read("/bin/ls").unwrap();
    let name = b"libc.so.6\0";
    let Some(at) = bytes.windows(name.len()).position(|at| at == name) else {
        println!("left out: /bin/ls is not linked against glibc");
        return;
    };
    bytes[at..at + 5].copy_from_slice(b"libq.");
    let folder = Folder::new();
    let path = folder.write("program", 0o755, &bytes);
    let ended = Launch::first().arguments(&["explain", &path]).start().end();
    explained(&ended, 127, &["cannot be loaded", "libq.so.6"]);
}

#[test]
fn explain_without_a_command_is_a_usage_error() {
    Launch::first().arguments(&["explain"]).start().end().expect(64).one_line(&["no command"]);
}
