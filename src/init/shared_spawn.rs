//! Starting the workload without a copy of our memory: the child borrows it until execve.
//!
//! A fork copies page tables, and then both sides fault pages in again: half of a start's time.
//! vfork(2) avoids that, but holds the parent in the kernel until the child has executed; a child
//! that is stopped before, or hangs on a file system, would take PID 1 with it. Here nobody waits:
//! the parent goes on at once, and what the child may read is kept until it has been reaped.
//!
//! Only `spawn` calls this, for a child with no step before execve that could block.

#![allow(unsafe_code, reason = "a child on a stack of its own in our memory")]

use std::cell::UnsafeCell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::ptr::null;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::unistd::{Pid as NixPid, setpgid};

use super::mask::{Inherited, give_back};
use super::pid::Pid;
use super::spawn::{Program, exit_now};

/// The child makes four kinds of system calls and nothing else.
const STACK: usize = 16 << 10;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK]>);

// SAFETY: one child at a time runs on it (`TAKEN`), and nobody else reads or writes it.
unsafe impl Sync for Stack {}

/// The child's stack. In the shipped program its end, which is all that is used of it, shares a
/// page with other data that a start writes (scripts/hot-code.ld).
#[unsafe(link_section = ".bss.child_stack")]
static ITS_STACK: Stack = Stack(UnsafeCell::new([0; STACK]));

/// Whether there is a `Loan`.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// What a child reads and writes of our memory. To be kept until that child has been reaped.
pub struct Loan(Box<Lent>);

struct Lent {
    /// Holds what the others point to.
    program: Rc<Program>,
    candidates: Vec<*const c_char>,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    inherited: Inherited,
    /// No candidate could be executed.
    refused: AtomicBool,
}

impl Loan {
    /// The program, where the child has been refused it and nobody has said why.
    pub fn refused(self) -> Option<Rc<Program>> {
        self.0.refused.load(Relaxed).then(|| Rc::clone(&self.0.program))
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        TAKEN.store(false, Relaxed);
    }
}

/// Starts the program in a process group of its own. `None` where fork has to do it: an earlier
/// child has not been reaped, or there is no such clone (an emulator) or no room for it.
pub fn start(program: &Rc<Program>, inherited: &Inherited) -> Option<(Pid, Loan)> {
    if TAKEN.swap(true, Relaxed) {
        return None;
    }
    let loan = Loan(Box::new(Lent {
        candidates: pointers(&program.candidates),
        arguments: pointers(&program.arguments),
        environment: pointers(&program.environment),
        program: Rc::clone(program),
        inherited: *inherited,
        refused: AtomicBool::new(false),
    }));
    let pid = clone(&loan.0)?;
    // The child does the same; whoever comes first, it is done before either goes on.
    let _ = setpgid(NixPid::from_raw(pid.raw()), NixPid::from_raw(pid.raw()));
    Some((pid, loan))
}

fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([null()]).collect()
}

fn clone(lent: &Lent) -> Option<Pid> {
    let top = ITS_STACK.0.get().cast::<u8>().wrapping_add(STACK);
    let words = (&raw const *lent).cast_mut().cast();
    let flags = libc::CLONE_VM | libc::SIGCHLD;
    // The child shares libc's thread with us. It only makes system calls that keep nothing there
    // but errno, of which the loop reads no more than the text of a message, and never writes what
    // lets the child go on.
    // SAFETY: its stack is its own (aligned, growing down), as there is no other `Loan`, which is
    // kept with all that it points to until the child has been reaped.
    Pid::new(unsafe { libc::clone(become_it, top.cast(), flags, words) })
}

/// Whether the program may be in the next folder of PATH: as `spawn` has it, which says why not.
fn is_elsewhere(refused: &io::Error) -> bool {
    matches!(refused.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::EACCES))
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
            if !is_elsewhere(&io::Error::last_os_error()) {
                break;
            }
        }
        lent.refused.store(true, Relaxed);
    }
    exit_now(127)
}
