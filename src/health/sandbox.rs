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

/// Starting programs and processes, tracing, other processes' memory and descriptors, namespaces,
/// mounts, the kernel itself, and the calls by which filters are gone around.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const REFUSED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_setpriority,
    libc::SYS_sched_setaffinity,
    libc::SYS_prlimit64,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tkill,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// Puts a filter up that refuses (EPERM) every call of `REFUSED`, and signals to anybody but
/// this process. tkill(2) is refused altogether: after the raw clone of exec mode, libc's abort
/// would send it to the thread that it remembers, which is the workload. True where it stands.
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
    const RETURN: u16 = 0x06;
    // Places in struct seccomp_data: nr, arch, and the low half of the first argument.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    const FIRST_ARGUMENT: u32 = 16;
    const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
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
    for number in REFUSED {
        lines.push(line(JUMP_EQUAL, 0, 1, *number as u32));
        lines.push(line(RETURN, 0, 0, REFUSE));
    }
    for number in [libc::SYS_kill, libc::SYS_tgkill] {
        lines.push(line(JUMP_EQUAL, 0, 4, number as u32));
        lines.push(line(LOAD, 0, 0, FIRST_ARGUMENT));
        lines.push(line(JUMP_EQUAL, 0, 1, own));
        lines.push(line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
        lines.push(line(RETURN, 0, 0, REFUSE));
    }
    lines.push(line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
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
            }
        }));
    }
}
