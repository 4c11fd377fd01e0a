//! Where things are missing or too many: it neither hangs nor spins, and the exit code survives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::time::Duration;

use harness::{
    ControlGroup, Folder, Launch, Outcome, Place, Running, endpoint, filter, only_as_root,
    only_on_this_machine, processes, trace,
};

/// Every call that makes a process.
#[cfg(target_arch = "x86_64")]
const MAKING_PROCESSES: &[i64] =
    &[libc::SYS_clone, libc::SYS_clone3, libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const MAKING_PROCESSES: &[i64] = &[libc::SYS_clone, libc::SYS_clone3];

/// Waits until mak-init is about to make its first process.
fn until_it_handles_signals(running: &mut Running) {
    running.until("it to wait", |running| processes::waits_for_signals(running.pid()));
}

/// Waits until all signals it was sent have been taken from the kernel.
fn until_it_has_taken_its_signals(running: &mut Running) {
    running.until("its signals to be taken", |it| processes::has_taken_its_signals(it.pid()));
}

#[test]
fn no_process_to_be_had_is_tried_again_until_the_grace_time_and_then_125() {
    if !only_on_this_machine("an emulator needs processes of its own") {
        return;
    }
    for place in Place::BOTH {
        for errno in [libc::ENOMEM, libc::EAGAIN] {
            let launch = Launch::at(place).filter(filter::refusing(MAKING_PROCESSES, errno));
            let ended = launch.arguments(&["--grace", "1s"]).workload(&["exit", "3"]).start().end();
            ended.expect(125).one_line(&["cannot make a process for the workload"]);
            // The waits of 10, 20, 40 ms and so on up to 500 ms are few.
            assert!((4..=12).contains(&ended.usage.sleeps), "{:?}", ended.usage);
        }
    }
}

#[test]
fn an_error_that_does_not_pass_is_said_at_once() {
    if !only_on_this_machine("an emulator needs processes of its own") {
        return;
    }
    let launch = Launch::first().filter(filter::refusing(MAKING_PROCESSES, libc::EPERM));
    let ended = launch.arguments(&["--grace", "1h"]).workload(&["exit", "3"]).start().end();
    ended.expect(125).one_line(&["cannot make a process for the workload", "not permitted"]);
}

#[test]
fn signals_that_come_while_there_is_no_workload_go_nowhere() {
    if !only_on_this_machine("an emulator needs processes of its own") {
        return;
    }
    for place in Place::BOTH {
        for errno in [libc::ENOMEM, libc::EAGAIN] {
            let refused = filter::refusing(MAKING_PROCESSES, errno);
            let launch = match place {
                // There PID 1 asks all of its own namespace to end, when everything is over.
                Place::First | Place::FirstOnOurNetwork => Launch::at(place).filter(refused),
                Place::Beside => {
                    let deadly = filter::deadly_kill_of_everybody();
                    Launch::at(place).filter(filter::both(refused, deadly))
                }
            };
            let mut running =
                launch.arguments(&["--grace", "1h", "--group"]).workload(&["exit", "3"]).start();
            until_it_handles_signals(&mut running);
            for number in [libc::SIGHUP, libc::SIGUSR1, libc::SIGCONT, libc::SIGALRM, 34, 64] {
                running.signal(number);
            }
            until_it_has_taken_its_signals(&mut running);
            running.signal(libc::SIGTERM);
            running.end().expect(143);
        }
    }
}

#[test]
fn a_full_process_table_is_waited_for_and_then_the_workload_runs() {
    if !only_as_root("a control group is made") || !only_on_this_machine("it needs threads") {
        return;
    }
    for place in Place::BOTH {
        let Some(group) = ControlGroup::new("pids") else { return };
        group.set("pids.max", "1");
        let launch = Launch::at(place).control_group(&group).arguments(&["--grace", "1h"]);
        let mut running = launch.workload(&["exit", "7"]).start();
        until_it_handles_signals(&mut running);
        running.until("a process to be refused", |_| group.number("pids.events", "max") > 0);
        group.set("pids.max", "10");
        running.end().expect(7);
    }
}

#[test]
fn a_full_process_table_for_all_of_the_grace_time_is_125() {
    if !only_as_root("a control group is made") || !only_on_this_machine("it needs threads") {
        return;
    }
    for place in Place::BOTH {
        let Some(group) = ControlGroup::new("pids") else { return };
        group.set("pids.max", "1");
        let launch = Launch::at(place).control_group(&group).arguments(&["--grace", "300ms"]);
        let ended = launch.workload(&["exit", "7"]).start().end();
        ended.expect(125).one_line(&["cannot make a process for the workload"]);
    }
}

#[test]
fn a_fork_bomb_that_dies_leaves_nobody_and_its_code_survives() {
    if !only_as_root("a control group bounds it") || !only_on_this_machine("it needs threads") {
        return;
    }
    for place in Place::BOTH {
        let Some(group) = ControlGroup::new("pids") else { return };
        group.set("pids.max", "120");
        let launch = Launch::at(place).control_group(&group).arguments(&["--drain", "10s"]);
        let ended = launch.workload(&["fork-bomb", "17"]).start().end();
        ended.expect(17).says(&["ended with code 17"]);
        assert!(group.is_empty(), "{place:?}: somebody is left");
    }
}

#[test]
fn a_limit_on_the_users_processes_is_as_good_as_a_full_table() {
    if !only_on_this_machine("an emulator needs processes of its own") {
        return;
    }
    if !only_as_root("another user's limit on processes is needed: root has none") {
        return;
    }
    let folder = Folder::new();
    let program = folder.program();
    for (grace, stop, code) in [("300ms", false, 125), ("1h", true, 143)] {
        let script = format!("ulimit -u 0 && exec {} --grace {grace} -- /bin/true", program);
        let launch = Launch::beside().user(65534).program("/bin/bash").arguments(&["-c", &script]);
        let mut running = launch.start();
        if stop {
            until_it_handles_signals(&mut running);
            running.signal(libc::SIGHUP);
            running.signal(libc::SIGTERM);
        }
        running.end().expect(code);
    }
}

#[test]
fn without_proc_and_without_dev_it_runs_reaps_and_stops() {
    if !only_as_root("an empty /proc and /dev are mounted") {
        return;
    }
    for missing in [["/proc"].as_slice(), &["/dev"], &["/proc", "/dev"]] {
        let mut launch = Launch::first();
        for folder in missing {
            launch = launch.tmpfs(folder, true);
        }
        let ended = launch.workload(&["leave-child", "42", "polite"]).start().end();
        assert!(
            ended.expect(42).text().contains("the child that was left has TERM"),
            "{missing:?}"
        );
    }
}

#[test]
fn a_read_only_root_and_a_proc_that_hides_processes_are_enough() {
    for read_only in [true, false] {
        let launch = match read_only {
            true => Launch::first().read_only_root(),
            false => Launch::first().proc_options("hidepid=2"),
        };
        let ended = launch.workload(&["leave-child", "42", "polite"]).start().end();
        assert!(ended.expect(42).text().contains("the child that was left has TERM"));
    }
    if !only_as_root("another user is hidden from this one") {
        return;
    }
    let folder = Folder::new();
    let launch = Launch::first().program(&folder.program()).proc_options("hidepid=2").user(61234);
    let script = "ls -d /proc/1 && (sleep 100 & exec 0<&-); exit 9";
    let ended = launch.arguments(&["--", "/bin/sh", "-c", script]).start().end();
    ended.expect(9);
}

#[test]
fn without_newer_system_calls_everything_works_by_older_ones() {
    if !only_on_this_machine("an emulator makes system calls of its own") {
        return;
    }
    let newer = [
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_send_signal,
        libc::SYS_pidfd_getfd,
        libc::SYS_clone3,
        libc::SYS_close_range,
        libc::SYS_openat2,
        libc::SYS_faccessat2,
        libc::SYS_memfd_create,
        libc::SYS_epoll_pwait2,
        libc::SYS_rseq,
        libc::SYS_membarrier,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_madvise,
        libc::SYS_seccomp,
        libc::SYS_landlock_create_ruleset,
        libc::SYS_io_uring_setup,
        libc::SYS_waitid,
    ];
    for place in Place::BOTH {
        for errno in [libc::ENOSYS, libc::EPERM] {
            let refused = || filter::refusing(&newer, errno);
            let launch = Launch::at(place).filter(refused());
            let ended = launch.workload(&["leave-child", "42", "polite"]).start().end();
            assert!(ended.expect(42).text().contains("the child that was left has TERM"));

            let address = endpoint::free_address(place);
            let launch = Launch::at(place).filter(refused());
            let launch = launch.arguments(&["--listen", &address.to_string()]);
            let mut running = launch.workload(&["print-signals", "15"]).start();
            running.line("ready");
            running.queue(40, 7);
            running.line("sig 40 ");
            running.until("it to be ready", |running| {
                endpoint::ask(running, address, "/readyz").is_ok_and(|answer| answer.status == 200)
            });
            running.signal(libc::SIGTERM);
            running.end().expect(0);
        }
        for peer in ["tini", "dumb-init", "catatonit"] {
            let launch = Launch::at(place).filter(filter::refusing(&newer, libc::ENOSYS));
            let launch = launch.arguments(&["--as", peer, "--", "/bin/sh", "-c", "exit 3"]);
            launch.start().end().expect(3);
        }
    }
}

#[test]
fn a_hundred_thousand_signals_neither_hang_nor_spin_nor_lose_the_exit_code() {
    for place in Place::BOTH {
        let launch = Launch::at(place).workload(&["print-signals", "12"]);
        let mut running = launch.start();
        running.line("ready");
        for _ in 0..100_000 {
            running.signal(libc::SIGWINCH);
        }
        running.signal(libc::SIGUSR2);
        let ended = running.end();
        ended.expect(0);
        assert!(ended.usage.processor < Duration::from_secs(10), "{:?}", ended.usage);
    }
}

/// In bursts that the queue of this user can hold, each complete before mak-init sees any of it.
#[test]
fn a_hundred_thousand_queued_signals_arrive_all_and_in_order() {
    if !only_on_this_machine("an emulator keeps a queue of its own") {
        return;
    }
    const ALL: usize = 100_000;
    const BURST: usize = 2_500;
    for place in Place::BOTH {
        let step = BURST.to_string();
        let mut running = Launch::at(place).workload(&["count-signals", "40", &step]).start();
        running.line("ready");
        for first in (0..ALL).step_by(BURST) {
            running.signal(libc::SIGSTOP);
            running
                .until("it to stand still", |running| processes::state(running.pid()) == Some('T'));
            for value in first..first + BURST {
                running.queue(40, value);
            }
            running.signal(libc::SIGCONT);
            running.line(&format!("counted {} wrong 0", first + BURST));
        }
        running.signal(libc::SIGTERM);
        running.end().expect(0);
    }
}

#[test]
fn a_stop_between_spawn_and_exec_holds_up_nothing_and_loses_nothing() {
    if !only_on_this_machine("an emulator is traced, not the program in it") {
        return;
    }
    for place in Place::BOTH {
        // The first shares our memory until execve, the second is a fork.
        for flags in [[].as_slice(), &["--umask", "027"]] {
            for (number, code) in [(libc::SIGCONT, 7), (libc::SIGTERM, 143)] {
                let launch = Launch::at(place).arguments(flags).traced();
                let mut running = launch.workload(&["exit", "7"]).start();
                let workload = trace::stop_first_child(&running);
                running.until("the workload to stand still", |_| {
                    processes::state(workload) == Some('T')
                });
                // Taken by the loop: PID 1 does not wait for the one that stands still.
                running.signal(libc::SIGWINCH);
                until_it_has_taken_its_signals(&mut running);
                assert_eq!(processes::state(workload), Some('T'));
                if number == libc::SIGCONT {
                    processes::signal(workload, libc::SIGCONT);
                } else {
                    // It wakes what stands still.
                    running.signal(number);
                }
                let ended = running.end();
                ended.expect(code);
                assert!(ended.usage.processor < Duration::from_secs(2), "{:?}", ended.usage);
            }
        }
    }
}

#[test]
fn a_debugger_that_interrupts_it_puts_no_deadline_off() {
    if !only_on_this_machine("an emulator is traced, not the program in it") {
        return;
    }
    for place in Place::BOTH {
        let launch = Launch::at(place).arguments(&["--grace", "300ms"]);
        let mut running = launch.workload(&["ignore-term"]).start();
        running.line("ready");
        running.signal(libc::SIGTERM);
        let workload = processes::children(running.pid())[0];
        running.until("the end of the grace period", |running| {
            trace::interrupt(running.pid());
            processes::state(workload).is_none_or(|state| state == 'Z')
        });
        running.end().expect(137);
    }
}

/// Every signal is blocked; what is the processor's own word cannot be.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_fault_of_our_own_ends_us_and_as_pid_1_everything() {
    if !only_on_this_machine("an emulator is traced, not the program in it") {
        return;
    }
    for place in Place::BOTH {
        let mut running = Launch::at(place).workload(&["print-signals", "10"]).start();
        running.line("ready");
        let workload = processes::children(running.pid())[0];
        // From another process it is a signal like any other.
        running.signal(libc::SIGSEGV);
        running.line("sig 11 ");
        trace::make_fault(running.pid());
        if place == Place::Beside {
            running.until("it to have ended", |running| {
                processes::state(running.pid()).is_none_or(|state| state == 'Z')
            });
            processes::signal(workload, libc::SIGUSR1);
        }
        assert_eq!(running.end().outcome, Outcome::Signal(libc::SIGSEGV), "{place:?}");
    }
}

#[test]
fn a_workload_that_dies_and_leaves_hundreds_behind_has_them_all_ended() {
    let script = "for i in $(seq 300); do sleep 1000 & done; exit 17";
    for place in Place::BOTH {
        let launch =
            Launch::at(place).arguments(&["--drain", "10s", "--", "/bin/sh", "-c", script]);
        let ended = launch.start().end();
        ended.expect(17);
        assert!(!ended.stderr.contains("killing them"), "TERM was enough: {}", ended.stderr);
    }
}

#[test]
fn a_uid_without_a_name_and_an_empty_environment_are_enough() {
    let folder = Folder::new();
    let program = folder.program();
    let mut launch = Launch::first().program(&program);
    if harness::child::is_root() {
        launch = launch.user(1_234_567);
    }
    launch.arguments(&["--", "/bin/sh", "-c", "exit 3"]).start().end().expect(3);
}
