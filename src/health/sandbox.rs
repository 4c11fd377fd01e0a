//! The kernel's two fences that a process puts up around itself, where there are any: landlock
//! closes the file system (`man 7 landlock`), a seccomp filter closes system calls (`man 2
//! seccomp`). Both are inherited and cannot be taken down. `confine` puts them up last.

#![allow(unsafe_code, reason = "system calls that no crate here wraps")]

use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// All rights to files of landlock's first version; later versions add some, named below.
const FIRST_RIGHTS: u64 = (1 << 13) - 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
/// REFER, TRUNCATE, IOCTL_DEV, by the version that brought them.
const LATER_RIGHTS: [(u32, u64); 3] = [(2, 1 << 13), (3, 1 << 14), (5, 1 << 15)];
/// Abstract sockets of, and signals to, processes outside: since version 6.
const SCOPES: u64 = 0b11;

/// Where figures are read; nothing else of the file system is left.
const READABLE: [&str; 2] = ["/proc", "/sys/fs/cgroup"];

#[repr(C)]
struct Ruleset {
    files: u64,
    network: u64,
    scopes: u64,
}

#[repr(C, packed)]
struct BelowPath {
    rights: u64,
    folder: i32,
}

/// Leaves reading [`READABLE`] and nothing else; the version of landlock, 0 where there is none.
pub fn close_files() -> u32 {
    // SAFETY: with this flag the call takes no structure and gives the version.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1_u32) };
    let Ok(version) = u32::try_from(version) else { return 0 };
    let later = LATER_RIGHTS.iter().filter(|(since, _)| *since <= version);
    let files = later.fold(FIRST_RIGHTS, |rights, (_, right)| rights | right);
    let scopes = if version >= 6 { SCOPES } else { 0 };
    let rules = Ruleset { files, network: 0, scopes };
    // Kernels that know less of the structure take it as long as what they do not know is 0; the
    // shorter form is for those that look at its length.
    let size = if version >= 6 { size_of::<Ruleset>() } else { size_of::<u64>() };
    // SAFETY: the kernel reads `size` bytes of a live structure.
    let set =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const rules, size, 0_u32) };
    if set < 0 {
        return 0;
    }
    // SAFETY: the kernel has just given us this descriptor.
    let set = unsafe { OwnedFd::from_raw_fd(set as i32) };
    for path in READABLE {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let Ok(folder) = rustix::fs::open(path, flags, Mode::empty()) else { continue };
        let rule = BelowPath { rights: READ_FILE | READ_DIR, folder: folder.as_raw_fd() };
        // SAFETY: rule type 1 is LANDLOCK_RULE_PATH_BENEATH, whose structure this is.
        unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                set.as_raw_fd(),
                1_u32,
                &raw const rule,
                0_u32,
            );
        }
    }
    // SAFETY: two numbers.
    let put_up = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, set.as_raw_fd(), 0_u32) };
    if put_up == 0 { version } else { 0 }
}

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// Every call that the health process makes once it serves, and those by which libc, std and tokio
/// make up for a refused one. A list of what is allowed needs no knowledge of what kernels to come
/// will offer. What is not on it fails as on a kernel that does not have it (ENOSYS), so that a
/// libc to come falls back where it can; nothing is killed by it. tests/health_fence.rs follows
/// the process through all its work and finds no call refused.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const ALLOWED: &[libc::c_long] = &[
    // Bytes, in and out.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_ioctl,
    // Connections; socket with a condition, below. No bind and no listen: what it serves on was made before.
    libc::SYS_connect,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    // Files, of which landlock leaves /proc and /sys/fs/cgroup.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_getdents64,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    // Memory; mmap and mprotect with a condition, below.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Itself.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // The older forms that this machine has beside them.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Puts a filter up that knows only the calls of `ALLOWED`, and signals to this process alone.
/// tkill(2) is not among them: after the raw clone of exec mode, libc's abort would send it to the
/// thread that it remembers, which is the workload. True where it stands.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub fn close_calls() -> bool {
    let filter = filter(std::process::id());
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel reads as many instructions as `len` says from a live vector.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, 1_u32, 0_u32, &raw const program) };
    result == 0
}

/// The filter is written for two machines only; elsewhere there is none.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn close_calls() -> bool {
    false
}

/// The filter as classic BPF: load, compare, jump forwards, return.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn filter(own: u32) -> Vec<libc::sock_filter> {
    const LOAD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const JUMP_AT_LEAST: u16 = 0x35;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    // Places in struct seccomp_data: nr, arch, and the low halves of two arguments.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    const FIRST_ARGUMENT: u32 = 16;
    const THIRD_ARGUMENT: u32 = 32;
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    // x32, whose calls have other numbers (`man 2 seccomp`, caveats); no aarch64 call reaches it.
    const X32: u32 = 0x4000_0000;
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut lines = vec![
        line(LOAD, 0, 0, ARCH),
        line(JUMP_EQUAL, 1, 0, AUDIT_ARCH),
        line(RETURN, 0, 0, REFUSE),
        line(LOAD, 0, 0, NUMBER),
        line(JUMP_AT_LEAST, 0, 1, X32),
        line(RETURN, 0, 0, REFUSE),
    ];
    for number in [libc::SYS_kill, libc::SYS_tgkill] {
        lines.push(line(JUMP_EQUAL, 0, 4, number as u32));
        lines.push(line(LOAD, 0, 0, FIRST_ARGUMENT));
        lines.push(line(JUMP_EQUAL, 0, 1, own));
        lines.push(line(RETURN, 0, 0, ALLOW));
        lines.push(line(RETURN, 0, 0, REFUSE));
    }
    // Memory that can be run is made by no honest code here.
    for number in [libc::SYS_mmap, libc::SYS_mprotect] {
        lines.push(line(JUMP_EQUAL, 0, 4, number as u32));
        lines.push(line(LOAD, 0, 0, THIRD_ARGUMENT));
        lines.push(line(JUMP_IF_SET, 0, 1, libc::PROT_EXEC as u32));
        lines.push(line(RETURN, 0, 0, REFUSE));
        lines.push(line(RETURN, 0, 0, ALLOW));
    }
    // The network, and no socket that a path or an abstract name could reach.
    lines.push(line(JUMP_EQUAL, 0, 5, libc::SYS_socket as u32));
    lines.push(line(LOAD, 0, 0, FIRST_ARGUMENT));
    lines.push(line(JUMP_EQUAL, 1, 0, libc::AF_INET as u32));
    lines.push(line(JUMP_EQUAL, 0, 1, libc::AF_INET6 as u32));
    lines.push(line(RETURN, 0, 0, ALLOW));
    lines.push(line(RETURN, 0, 0, REFUSE));
    for number in ALLOWED {
        lines.push(line(JUMP_EQUAL, 0, 1, *number as u32));
        lines.push(line(RETURN, 0, 0, ALLOW));
    }
    lines.push(line(RETURN, 0, 0, UNKNOWN));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `check` behind both fences, in a process of its own.
    fn behind(check: fn() -> bool) -> bool {
        // SAFETY: the child makes system calls and leaves by _exit.
        unsafe {
            let pid = libc::fork();
            if pid == 0 {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                let landlock = close_files();
                let seccomp = close_calls();
                libc::_exit(i32::from(!(seccomp && (landlock == 0 || check()))));
            }
            let mut status = 0;
            libc::waitpid(pid, &raw mut status, 0);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }

    #[test]
    fn files_are_closed_but_for_the_figures() {
        assert!(behind(|| {
            std::fs::read_to_string("/proc/self/stat").is_ok()
                && std::fs::read("/etc/passwd").is_err()
                && std::fs::write("/tmp/mak-sandbox", "x").is_err()
        }));
    }

    #[test]
    fn nobody_else_is_signalled_and_nothing_is_started() {
        assert!(behind(|| {
            // SAFETY: system calls with numbers; signal 0 only asks.
            unsafe {
                libc::kill(libc::getppid(), 0) == -1
                    && libc::kill(-1, 0) == -1
                    && libc::kill(libc::getpid(), 0) == 0
                    && libc::syscall(libc::SYS_tkill, libc::getppid(), 0) == -1
                    && libc::syscall(libc::SYS_ptrace, libc::PTRACE_ATTACH, libc::getppid(), 0, 0)
                        == -1
                    && libc::fork() == -1
                    && libc::syscall(libc::SYS_bpf, 0, 0, 0) == -1
                    && libc::listen(0, 1) == -1
                    && libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) == -1
                    && libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) != -1
                    && libc::mmap(
                        std::ptr::null_mut(),
                        4096,
                        libc::PROT_READ | libc::PROT_EXEC,
                        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                        -1,
                        0,
                    ) == libc::MAP_FAILED
            }
        }));
    }
}
