//! What `ps` and `/proc/PID/cmdline` show of a process that was forked and not executed: its
//! parent's arguments and environment, unless it writes over them.

#![allow(unsafe_code, reason = "the kernel shows the memory that it put the arguments in")]

use std::ffi::{CStr, OsString, c_char};
use std::os::unix::ffi::OsStringExt;

/// The memory in which the kernel put this process's arguments and environment, which lie
/// behind each other (`man 5 proc`, cmdline and environ).
#[derive(Clone, Copy)]
pub struct Title {
    start: *mut u8,
    length: usize,
}

/// Arguments and environment as they were given to `main`, and where they lie.
pub struct Given {
    /// The arguments, the first being the program's name.
    pub arguments: Vec<OsString>,
    /// The environment, in its order; entries without `=` are left out.
    pub environment: Vec<(OsString, OsString)>,
    /// Where they lie.
    pub title: Title,
}

/// Copies what `main` was given.
///
/// # Safety
/// `arguments` and `environment` are the vectors the kernel made: pointers to strings that end
/// with 0, the last pointer null.
pub unsafe fn read(arguments: *const *const c_char, environment: *const *const c_char) -> Given {
    // SAFETY: both are what this function asks its caller for.
    let (arguments, environment) = unsafe { (strings(arguments), strings(environment)) };
    let start = arguments.first().or(environment.first()).map_or(std::ptr::null(), |s| s.as_ptr());
    let end = environment.last().or(arguments.last()).map_or(start, |s| {
        // SAFETY: the string's own end, behind its 0, is at most one past its memory.
        unsafe { s.as_ptr().add(s.to_bytes_with_nul().len()) }
    });
    let length = (end as usize).saturating_sub(start as usize);
    Given {
        arguments: arguments.iter().map(|s| OsString::from_vec(s.to_bytes().to_vec())).collect(),
        environment: environment.iter().filter_map(|s| pair(s.to_bytes())).collect(),
        title: Title { start: start.cast_mut().cast(), length },
    }
}

/// # Safety
/// As `read`.
unsafe fn strings(vector: *const *const c_char) -> Vec<&'static CStr> {
    let mut strings = Vec::new();
    if vector.is_null() {
        return strings;
    }
    // SAFETY: the vector ends with a null pointer, before which every one is a string that
    // lives as long as the process.
    unsafe {
        while !(*vector.add(strings.len())).is_null() {
            strings.push(CStr::from_ptr(*vector.add(strings.len())));
        }
    }
    strings
}

/// `NAME=value`; a name may begin with `=`, as some shells make them.
fn pair(entry: &[u8]) -> Option<(OsString, OsString)> {
    let at = entry.iter().skip(1).position(|byte| *byte == b'=')? + 1;
    let (name, value) = (entry[..at].to_vec(), entry[at + 1..].to_vec());
    Some((OsString::from_vec(name), OsString::from_vec(value)))
}

impl Title {
    /// No memory at all: for a process that is not to be renamed.
    pub const fn none() -> Title {
        Title { start: std::ptr::null_mut(), length: 0 }
    }

    /// Writes `name` over arguments and environment, in a process that needs neither any more:
    /// what the workload was given is not for others to read here.
    pub fn replace(self, name: &str) {
        unsafe extern "C" {
            fn clearenv() -> i32;
        }
        if self.start.is_null() || self.length == 0 {
            return;
        }
        let shown = name.len().min(self.length - 1);
        // SAFETY: this is the memory that `read` measured; it is writable (`man 2 execve` puts
        // it on the stack), and everything in it has been copied. clearenv(3) makes libc forget
        // its pointers into it first.
        unsafe {
            clearenv();
            std::ptr::write_bytes(self.start, 0, self.length);
            std::ptr::copy_nonoverlapping(name.as_ptr(), self.start, shown);
        }
    }
}
