//! Starting the workload without a copy of our memory: the child borrows it until execve.
//!
//! A fork copies page tables, and then both sides fault pages in again: half of a start's time.
//! vfork(2) avoids that, but holds the parent in the kernel until the child has executed; a child
//! that is stopped before, or hangs on a file system, would take PID 1 with it. So this is vfork
//! with a deadline: the parent waits on a pipe that execve closes. Where that does not happen in
//! time, the parent goes on, and what the child reads is kept for good.
//!
//! Only `spawn` calls this, for a child with no step before execve that could block.

#![allow(unsafe_code, reason = "a child on a stack of its own in our memory")]

use std::cell::UnsafeCell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::os::fd::OwnedFd;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use nix::unistd::{Pid as NixPid, setpgid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::clock::Moment;
use super::mask::{Inherited, give_back};
use super::memory;
use super::pid::Pid;
use super::spawn::{Program, exit_now};

/// The child makes four kinds of system calls and nothing else.
const STACK: usize = 16 << 10;
/// How long execve may take until the parent goes on without waiting for it.
const LONGEST: Duration = Duration::from_secs(1);

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK]>);

// SAFETY: one child at a time runs on it, and nobody else reads or writes it.
unsafe impl Sync for Stack {}

/// The child's stack. In the shipped program its end, which is all that is used of it, shares a
/// page with other data that a start writes (scripts/hot-code.ld).
#[unsafe(link_section = ".bss.child_stack")]
static ITS_STACK: Stack = Stack(UnsafeCell::new([0; STACK]));

/// All else that the child reads and writes.
struct Lent {
    candidates: Vec<*const c_char>,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    inherited: Inherited,
    /// No candidate could be executed.
    refused: AtomicBool,
}

/// Starts the program in a process group of its own. `None` where fork has to do it: this way is
/// not open (an emulator, not enough room, an earlier child that has not left), or the program was refused and somebody has to say why.
pub fn start(program: &Program, inherited: &Inherited) -> Option<Pid> {
    if memory::is_kept() || !all_stay(program) {
        return None;
    }
    let lent = Box::new(Lent {
        candidates: pointers(&program.candidates),
        arguments: pointers(&program.arguments),
        environment: pointers(&program.environment),
        inherited: *inherited,
        refused: AtomicBool::new(false),
    });
    let (executed, until_execve) = pipe_with(PipeFlags::CLOEXEC).ok()?;
    let pid = clone(&lent)?;
    drop(until_execve);
    if !ends(&executed) {
        // It may not have come so far; without a group it could not be woken.
        let _ = setpgid(NixPid::from_raw(pid.raw()), NixPid::from_raw(pid.raw()));
        memory::keep();
        std::mem::forget(lent);
        return Some(pid);
    }
    if lent.refused.load(Relaxed) {
        let pid = rustix::process::Pid::from_raw(pid.raw());
        let _ = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
        return None;
    }
    Some(pid)
}

/// Whether `memory::keep` keeps everything that the child will read.
fn all_stay(program: &Program) -> bool {
    let mut lists = [&program.candidates, &program.arguments, &program.environment].into_iter();
    lists.all(|list| list.iter().all(|word| memory::keeps(word.as_ptr().cast())))
}

fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([null()]).collect()
}

fn clone(lent: &Lent) -> Option<Pid> {
    let top = ITS_STACK.0.get().cast::<u8>().wrapping_add(STACK);
    let words = (&raw const *lent).cast_mut().cast();
    let flags = libc::CLONE_VM | libc::SIGCHLD;
    // The child shares libc's thread with us, which waits meanwhile; it only makes system calls that
    // keep nothing there.
    // SAFETY: its stack is its own (aligned, growing down): no other child is on it, as one that has
    // not left has `is_kept` say so. `lent` lives until it has left this memory, or for good.
    Pid::new(unsafe { libc::clone(become_it, top.cast(), flags, words) })
}

/// True as soon as the child has executed or ended, which closes its end of the pipe.
fn ends(executed: &OwnedFd) -> bool {
    let late = Moment::now().after(LONGEST);
    loop {
        let left = late.wait_from(Moment::now());
        // Every signal is blocked, but being stopped or traced interrupts this too.
        match poll(&mut [PollFd::new(executed, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            result => return result == Ok(1),
        }
    }
}

/// In the child.
extern "C" fn become_it(lent: *mut c_void) -> c_int {
    // SAFETY: what `clone` passed; see there. The vectors end with a null pointer, and what they
    // point to stays where it is.
    unsafe {
        let lent = &*lent.cast_const().cast::<Lent>();
        libc::setpgid(0, 0);
        give_back(&lent.inherited);
        for candidate in lent.candidates.iter().take_while(|candidate| !candidate.is_null()) {
            libc::execve(*candidate, lent.arguments.as_ptr(), lent.environment.as_ptr());
        }
        lent.refused.store(true, Relaxed);
    }
    exit_now(127)
}
