//! From clone to exec. After the clone the child is a copy of one thread of a program with many,
//! so that it may do nothing but system calls: no allocation, no lock, no panic. All it needs has
//! been prepared in `Plan` and in local arrays.

#![allow(unsafe_code, reason = "clone, and system calls where no allocation may happen")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// A tmpfs to be mounted.
pub struct Mount {
    /// Where.
    pub target: CString,
    /// Flags of mount(2).
    pub flags: u64,
}

/// All that the child has to do.
pub struct Plan<'a> {
    /// In namespaces of its own, as their PID 1.
    pub first: bool,
    /// In a network of its own, with the loopback interface up.
    pub own_network: bool,
    /// The program.
    pub program: &'a CStr,
    /// argv.
    pub arguments: &'a [CString],
    /// environ.
    pub environment: &'a [CString],
    /// The working directory.
    pub folder: Option<&'a CStr>,
    /// The signal mask: bit N-1 is signal N.
    pub blocked: u64,
    /// The signals that are ignored.
    pub ignored: u64,
    /// The umask.
    pub umask: u32,
    /// User and group.
    pub user: Option<u32>,
    /// Mounts, where it is the first.
    pub mounts: &'a [Mount],
    /// Descriptors that are opened.
    pub open: &'a [RawFd],
    /// Descriptors that are closed.
    pub closed: &'a [RawFd],
    /// What becomes 0, 1 and 2.
    pub standard: [RawFd; 3],
    /// The terminal that becomes the controlling one.
    pub terminal: Option<RawFd>,
    /// A pidfd, and the kinds of its namespaces that are joined.
    pub join: Option<(RawFd, i32)>,
    /// Files of control groups to put itself into.
    pub groups: &'a [CString],
    /// Whether orphans come to it.
    pub subreaper: bool,
    /// Options of /proc, where it is the first.
    pub proc_options: &'a CStr,
    /// Whether / is read-only, where it is the first.
    pub read_only: bool,
    /// What seccomp allows it.
    pub filter: &'a [libc::sock_filter],
    /// Whether the thread that starts it traces it; it then stands still behind exec.
    pub traced: bool,
}

/// A process that has reached exec.
pub struct Started {
    /// Its number outside of its namespace.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
}

/// Whether the tests have root's rights, so that no user namespace is needed.
pub fn is_root() -> bool {
    // SAFETY: geteuid(2) cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The kernel's struct sigaction: zeros but for the handler, and longer than any machine's.
#[repr(C)]
struct Disposition {
    handler: usize,
    rest: [usize; 15],
}

/// Numbers for the step that failed, told over a pipe.
const STEPS: [&str; 19] = [
    "?",
    "pdeathsig",
    "user map",
    "private mounts",
    "/proc",
    "tmpfs",
    "loopback",
    "session",
    "descriptors",
    "signals",
    "user",
    "chdir",
    "execve",
    "setns",
    "control group",
    "subreaper",
    "read-only root",
    "traceme",
    "seccomp",
];

/// Starts the child and returns once it has reached exec.
pub fn start(plan: &Plan) -> Started {
    let mut argv: Vec<*const c_char> = plan.arguments.iter().map(|word| word.as_ptr()).collect();
    argv.push(ptr::null());
    let mut envp: Vec<*const c_char> = plan.environment.iter().map(|word| word.as_ptr()).collect();
    envp.push(ptr::null());
    let maps = Maps::of_this_user();
    let mut report = [0; 2];
    // SAFETY: pipe2(2) writes two descriptors.
    assert_eq!(unsafe { libc::pipe2(report.as_mut_ptr(), libc::O_CLOEXEC) }, 0, "pipe2");

    let mut flags = libc::SIGCHLD | libc::CLONE_PIDFD;
    if plan.first {
        flags |= libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC;
        if plan.own_network {
            flags |= libc::CLONE_NEWNET;
        }
        if !is_root() {
            flags |= libc::CLONE_NEWUSER;
        }
    }
    let mut pidfd: RawFd = -1;
    let before = swap_mask(u64::MAX);
    // SAFETY: without CLONE_VM this is a fork; the third argument is where the pidfd goes. The
    // child only makes system calls, on memory that stands still.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    if pid == 0 {
        // SAFETY: we are the child, and the arrays live until exec.
        unsafe { run(plan, &maps, argv.as_ptr(), envp.as_ptr(), report[1]) }
    }
    let clone_error = std::io::Error::last_os_error();
    swap_mask(before);
    // SAFETY: our end for writing, used by nobody any more.
    unsafe { libc::close(report[1]) };
    // SAFETY: our end for reading.
    let report = unsafe { OwnedFd::from_raw_fd(report[0]) };
    assert!(pid > 0, "cannot make a child in namespaces of its own: {clone_error}");
    // SAFETY: the kernel has just given us this descriptor.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    wait_for_exec(report);
    Started { pid: pid as i32, pidfd }
}

/// The pipe ends without a byte when exec has closed it.
fn wait_for_exec(report: OwnedFd) {
    let mut told = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::from(report), &mut told).unwrap();
    if let [step, number] = told[..] {
        let step = STEPS[usize::from(step)];
        panic!("{step}: {}", std::io::Error::from_raw_os_error(i32::from(number)));
    }
}

/// Sets this thread's signal mask, all 64 of it, and returns the one before.
fn swap_mask(mask: u64) -> u64 {
    let mut old = 0_u64;
    // SAFETY: both sets are 8 bytes, as the kernel's are on 64-bit machines.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &mask, &raw mut old, 8_usize);
    }
    old
}

/// What goes into uid_map and gid_map: this user and group alone, as themselves.
struct Maps {
    user: CString,
    group: CString,
}

impl Maps {
    fn of_this_user() -> Maps {
        // SAFETY: neither call can fail.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        Maps {
            user: CString::new(format!("0 {user} 1")).unwrap(),
            group: CString::new(format!("0 {group} 1")).unwrap(),
        }
    }
}

/// All that happens in the child.
///
/// # Safety
/// Only in a new process, with arrays that end with null.
unsafe fn run(
    plan: &Plan,
    maps: &Maps,
    argv: *const *const c_char,
    envp: *const *const c_char,
    report: RawFd,
) -> ! {
    // SAFETY: system calls only; every pointer is to prepared memory.
    unsafe {
        // Out of the way of every descriptor that a test wants to have open.
        let report = libc::fcntl(report, libc::F_DUPFD_CLOEXEC, 500);
        let check = |step: u8, ok: bool| {
            if !ok {
                let told = [step, *libc::__errno_location() as u8];
                libc::write(report, told.as_ptr().cast(), 2);
                libc::_exit(121);
            }
        };
        check(1, libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0);
        for group in plan.groups {
            // 0 is the process that writes it.
            check(14, write_map(group, c"0"));
        }
        if plan.subreaper {
            check(15, libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) == 0);
        }
        if plan.first {
            if libc::geteuid() != 0 {
                check(2, write_map(c"/proc/self/setgroups", c"deny"));
                check(2, write_map(c"/proc/self/uid_map", &maps.user));
                check(2, write_map(c"/proc/self/gid_map", &maps.group));
            }
            let private = libc::MS_REC | libc::MS_PRIVATE;
            let null = ptr::null();
            check(3, libc::mount(null, c"/".as_ptr(), null, private, ptr::null()) == 0);
            let name = c"proc".as_ptr();
            let options = plan.proc_options.as_ptr().cast();
            check(4, libc::mount(name, c"/proc".as_ptr(), name, 0, options) == 0);
            for mount in plan.mounts {
                let name = c"tmpfs".as_ptr();
                let at = mount.target.as_ptr();
                check(5, libc::mount(name, at, name, mount.flags, ptr::null()) == 0);
            }
            if plan.own_network {
                check(6, raise_loopback());
            }
            if plan.read_only {
                let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
                check(16, libc::mount(null, c"/".as_ptr(), null, flags, ptr::null()) == 0);
            }
        }
        if let Some((pidfd, kinds)) = plan.join {
            check(13, libc::setns(pidfd, kinds) == 0);
        }
        if let Some(terminal) = plan.terminal {
            check(7, libc::setsid() >= 0);
            check(7, libc::ioctl(terminal, libc::TIOCSCTTY, 0) == 0);
        }
        check(8, place_descriptors(plan));
        check(9, set_signals(plan));
        libc::umask(plan.umask);
        if let Some(id) = plan.user {
            check(10, libc::syscall(libc::SYS_setgroups, 0, ptr::null::<u32>()) == 0);
            check(10, libc::syscall(libc::SYS_setresgid, id, id, id) == 0);
            check(10, libc::syscall(libc::SYS_setresuid, id, id, id) == 0);
            // A change of user takes the death signal away.
            check(1, libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0);
        }
        if let Some(folder) = plan.folder {
            check(11, libc::chdir(folder.as_ptr()) == 0);
        }
        if plan.traced {
            check(17, libc::ptrace(libc::PTRACE_TRACEME) == 0);
        }
        if !plan.filter.is_empty() {
            check(18, install(plan.filter));
        }
        libc::execve(plan.program.as_ptr(), argv, envp);
        check(12, false);
        libc::_exit(121)
    }
}

unsafe fn write_map(path: &CStr, text: &CStr) -> bool {
    // SAFETY: strings that end with NUL; the length is the text's own.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        let bytes = text.to_bytes();
        file >= 0
            && libc::write(file, bytes.as_ptr().cast::<c_void>(), bytes.len())
                == bytes.len() as isize
            && libc::close(file) == 0
    }
}

/// Installs a filter of system calls, which needs no rights where no new ones can be gained.
unsafe fn install(filter: &[libc::sock_filter]) -> bool {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the filter.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    }
}

/// A new network namespace has its loopback interface down.
unsafe fn raise_loopback() -> bool {
    // SAFETY: ifreq is plain data; the name ends with NUL in an array of 16.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as c_char;
        request.ifr_name[1] = b'o' as c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
        socket >= 0
            && libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request) == 0
            && libc::close(socket) == 0
    }
}

/// 0, 1 and 2 as planned, the extra ones open, all others closed by exec.
unsafe fn place_descriptors(plan: &Plan) -> bool {
    // SAFETY: numbers only, and a constant path.
    unsafe {
        let close_on_exec = 4_u32; // CLOSE_RANGE_CLOEXEC
        if libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, close_on_exec) != 0 {
            return false;
        }
        for (number, descriptor) in plan.standard.iter().enumerate() {
            if libc::dup2(*descriptor, number as RawFd) < 0 {
                return false;
            }
        }
        for wanted in plan.open {
            // Not closed by exec, also where it gets the wanted number by chance.
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            if null < 0 || libc::dup2(null, *wanted) < 0 {
                return false;
            }
            if null != *wanted {
                libc::close(null);
            }
        }
        plan.closed.iter().all(|descriptor| libc::close(*descriptor) == 0)
    }
}

/// Every disposition at its default or ignored, then the mask.
unsafe fn set_signals(plan: &Plan) -> bool {
    for number in 1..=64_i32 {
        if number == libc::SIGKILL || number == libc::SIGSTOP {
            continue;
        }
        let ignored = plan.ignored >> (number - 1) & 1 == 1;
        let disposition = Disposition { handler: usize::from(ignored), rest: [0; 15] };
        // SAFETY: the kernel reads a struct sigaction, which is shorter than ours.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                &raw const disposition,
                ptr::null::<c_void>(),
                8_usize,
            )
        };
        if result != 0 {
            return false;
        }
    }
    swap_mask(plan.blocked);
    true
}
