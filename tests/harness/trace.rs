//! Tracing a started program up to the moment at which it makes a process (ptrace(2)).

#![allow(unsafe_code, reason = "ptrace and waitpid")]

use std::ptr::null_mut;

use super::Running;

/// From a program that was started `traced`: runs it until it has made its first process, stops
/// that by SIGSTOP before its first instruction, and lets both go. The result is its number.
///
/// Only in the thread that has started the program.
pub fn stop_first_child(running: &Running) -> i32 {
    let parent = running.pid();
    let stopped = wait_for_stop(parent);
    assert_eq!(libc::WSTOPSIG(stopped), libc::SIGTRAP, "behind exec");
    let options = libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK | libc::PTRACE_O_TRACECLONE;
    let mut child = 0_u64;
    // SAFETY: our own tracee, which stands still; the message is one number.
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_SETOPTIONS, parent, null_mut::<u8>(), options), 0);
        assert_eq!(libc::ptrace(libc::PTRACE_CONT, parent, null_mut::<u8>(), 0), 0);
        let event = wait_for_stop(parent) >> 16;
        assert!(event != 0, "the first stop is the one for a new process");
        let told = libc::ptrace(libc::PTRACE_GETEVENTMSG, parent, null_mut::<u8>(), &raw mut child);
        assert_eq!(told, 0);
    }
    let child = child as i32;
    wait_for_stop(child);
    // SAFETY: both stand still and are traced by this thread.
    unsafe {
        // Let go with a signal, it has that signal at once.
        assert_eq!(libc::ptrace(libc::PTRACE_DETACH, child, null_mut::<u8>(), libc::SIGSTOP), 0);
        assert_eq!(libc::ptrace(libc::PTRACE_DETACH, parent, null_mut::<u8>(), 0), 0);
    }
    child
}

/// Stops a running program of ours and lets it go on, as a debugger does that looks at it: the system
/// call it sleeps in is interrupted. Nothing happens where it has ended.
pub fn interrupt(pid: i32) {
    let mut status = 0;
    // SAFETY: plain numbers; waitpid(2) writes one.
    unsafe {
        if libc::ptrace(libc::PTRACE_SEIZE, pid, null_mut::<u8>(), 0) != 0 {
            return;
        }
        libc::ptrace(libc::PTRACE_INTERRUPT, pid, null_mut::<u8>(), 0);
        // Its end is left to whoever waits for it.
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT | libc::__WALL;
        libc::waitid(libc::P_PID, pid as libc::id_t, &raw mut info, options);
        if info.si_code == libc::CLD_TRAPPED || info.si_code == libc::CLD_STOPPED {
            libc::waitpid(pid, &raw mut status, libc::__WALL);
            libc::ptrace(libc::PTRACE_DETACH, pid, null_mut::<u8>(), 0);
        }
    }
}

/// Has a running program of ours execute what is at address 0, where nothing is: a real fault.
#[cfg(target_arch = "x86_64")]
pub fn make_fault(pid: i32) {
    // SAFETY: plain numbers, of which every value is one.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: our own child, which stands still from the first stop on; the kernel fills and reads
    // the registers as they are declared.
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, pid, null_mut::<u8>(), 0), 0);
        assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, pid, null_mut::<u8>(), 0), 0);
        wait_for_stop(pid);
        assert_eq!(libc::ptrace(libc::PTRACE_GETREGS, pid, 0, &raw mut registers), 0);
        // No system call is to be gone on with.
        (registers.rip, registers.orig_rax) = (0, u64::MAX);
        assert_eq!(libc::ptrace(libc::PTRACE_SETREGS, pid, 0, &raw const registers), 0);
        assert_eq!(libc::ptrace(libc::PTRACE_DETACH, pid, null_mut::<u8>(), 0), 0);
    }
}

fn wait_for_stop(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: waitpid(2) writes one number.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    assert_eq!(waited, pid, "waitpid: {}", std::io::Error::last_os_error());
    assert!(libc::WIFSTOPPED(status), "{pid} ended instead: {status:#x}");
    status
}
