//! A terminal: the workload is its foreground and gets what is typed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use harness::{Launch, Place, Running};

fn number(running: &mut Running, name: &str) -> i32 {
    let line = running.line(&format!("{name} "));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_workload_is_a_group_of_its_own_and_the_foreground() {
    for place in Place::BOTH {
        for launch in [Launch::at(place).terminal(), Launch::at(place).terminal_but_stdin()] {
            let mut running = launch.workload(&["status"]).start();
            let pid = number(&mut running, "pid");
            let parent = number(&mut running, "parent");
            let group = number(&mut running, "group");
            let session = number(&mut running, "session");
            let foreground = number(&mut running, "foreground");
            assert_eq!(group, pid, "{place:?}: a group of its own");
            assert_eq!(session, parent, "{place:?}: in the session of mak-init");
            assert_eq!(foreground, group, "{place:?}: in the foreground");
            running.end().expect(0);
        }
    }
}

#[test]
fn the_foreground_is_taken_back_when_the_workload_has_ended() {
    // The shell stays in its group, in which mak-init was started.
    let script = "\"$0\" -- \"$1\" status; \"$1\" status";
    for launch in [Launch::beside().terminal(), Launch::beside().terminal_but_stdin()] {
        let launch = launch.program("/bin/sh").arguments(&["-c", script]);
        let launch = launch.argument(harness::program()).argument(harness::workload());
        let mut running = launch.start();
        let shell = running.pid();
        let [under, beside] = [(); 2].map(|()| {
            let group = number(&mut running, "group");
            (group, number(&mut running, "foreground"))
        });
        assert_eq!(under.0, under.1, "under mak-init it is the foreground");
        assert_ne!(under.0, shell);
        assert_eq!(beside, (shell, shell), "afterwards the shell's group is again");
        running.end().expect(0);
    }
}

#[test]
fn keys_that_send_signals_send_them_to_the_workload() {
    for place in Place::BOTH {
        let mut running = Launch::at(place).terminal().workload(&["print-signals", "15"]).start();
        running.line("ready");
        // Ctrl-C, Ctrl-\ and Ctrl-Z, from the kernel.
        for (key, number) in [(3, libc::SIGINT), (28, libc::SIGQUIT), (26, libc::SIGTSTP)] {
            running.type_in(&[key]);
            running.line(&format!("sig {number} value 0 sender 0"));
        }
        running.signal(libc::SIGTERM);
        running.end().expect(0);
    }
}

#[test]
fn the_workload_can_read_the_terminal() {
    for place in Place::BOTH {
        let mut running = Launch::at(place).terminal().workload(&["read-line"]).start();
        running.line("ready");
        running.type_in(b"hello\n");
        running.line("read hello");
        running.end().expect(0);
    }
}

#[test]
fn in_exec_mode_the_workload_is_the_foreground_too() {
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--exec"]).terminal();
        let mut running = launch.workload(&["read-line"]).start();
        running.line("ready");
        running.type_in(b"hello\n");
        running.line("read hello");
        running.end().expect(0);
    }
}

#[test]
fn without_a_terminal_nothing_is_said_about_it() {
    for place in Place::BOTH {
        let ended = Launch::at(place).workload(&["status"]).start().end();
        ended.expect(0);
        assert!(ended.text().contains("\nforeground -1\n"), "{}", ended.text());
        assert_eq!(ended.stderr, "");
    }
}
