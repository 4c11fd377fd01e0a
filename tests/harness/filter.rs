//! Filters of system calls (seccomp(2)) under which a program is started, as plain data.

use libc::{c_long, sock_filter};

/// Where in struct seccomp_data the number and the low half of the first argument are.
const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// These calls fail with this error, all others are made.
pub fn refusing(calls: &[c_long], errno: i32) -> Vec<sock_filter> {
    let refuse = libc::SECCOMP_RET_ERRNO | errno as u32;
    let mut filter = vec![step(LOAD, NUMBER)];
    for call in calls {
        filter.extend([unless_equal(*call as u32, 1), step(RETURN, refuse)]);
    }
    filter.push(step(RETURN, libc::SECCOMP_RET_ALLOW));
    filter
}

/// kill(2) of -1 ends the caller by SIGSYS.
pub fn deadly_kill_of_everybody() -> Vec<sock_filter> {
    vec![
        step(LOAD, NUMBER),
        unless_equal(libc::SYS_kill as u32, 3),
        step(LOAD, FIRST_ARGUMENT),
        unless_equal(u32::MAX, 1),
        step(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        step(RETURN, libc::SECCOMP_RET_ALLOW),
    ]
}

/// Both filters, one after the other: the first that refuses decides.
pub fn both(first: Vec<sock_filter>, second: Vec<sock_filter>) -> Vec<sock_filter> {
    let allows = first.len() - 1;
    first.into_iter().take(allows).chain(second).collect()
}

fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// Leaves out so many of the next steps where what was loaded is something else.
fn unless_equal(k: u32, skipped: u8) -> sock_filter {
    sock_filter { code: IF_EQUAL, jt: 0, jf: skipped, k }
}
