//! What to start and how: plain data, read by `child` between clone and exec.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;

use super::child::{self, Mount, Plan};
use super::control_group::ControlGroup;
use super::program::{program, workload};
use super::running::{Running, pipe};
use super::terminal::Terminal;

/// Held while a child has this process's descriptors, that is from clone until exec, and while a
/// file is written that may be executed.
pub static WRITE_OR_FORK: Mutex<()> = Mutex::new(());

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As PID 1 of a PID namespace of its own, with mounts, network and IPC of its own.
    First,
    /// As PID 1, but on this machine's network.
    FirstOnOurNetwork,
    /// As an ordinary process, beside everything else.
    Beside,
}

impl Place {
    /// Both ways in which it is run.
    pub const BOTH: [Place; 2] = [Place::First, Place::Beside];
}

/// Something to start.
pub struct Launch {
    place: Place,
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    folder: Option<CString>,
    blocked: u64,
    ignored: u64,
    umask: u32,
    user: Option<u32>,
    mounts: Vec<Mount>,
    open: Vec<RawFd>,
    closed: Vec<RawFd>,
    terminal: Option<Terminal>,
    stdin_is_terminal: bool,
    join: Option<OwnedFd>,
    groups: Vec<CString>,
    subreaper: bool,
    proc_options: CString,
    read_only: bool,
    filter: Vec<libc::sock_filter>,
    traced: bool,
}

impl Launch {
    /// mak-init in this place, without arguments, with nothing but PATH in its environment.
    pub fn at(place: Place) -> Launch {
        let program = program();
        Launch {
            place,
            program: text(program.as_os_str()),
            arguments: vec![text(OsStr::new("mak-init"))],
            environment: vec![text(OsStr::new("PATH=/usr/local/bin:/usr/bin:/bin"))],
            folder: None,
            blocked: 0,
            ignored: 0,
            umask: 0o022,
            user: None,
            mounts: Vec::new(),
            open: Vec::new(),
            closed: Vec::new(),
            terminal: None,
            stdin_is_terminal: true,
            join: None,
            groups: Vec::new(),
            subreaper: false,
            proc_options: CString::default(),
            read_only: false,
            filter: Vec::new(),
            traced: false,
        }
    }

    /// mak-init as PID 1.
    pub fn first() -> Launch {
        Launch::at(Place::First)
    }

    /// mak-init as an ordinary process.
    pub fn beside() -> Launch {
        Launch::at(Place::Beside)
    }

    /// mak-init as one more process in the mounts and the network of a running one.
    pub fn inside(running: &Running) -> Launch {
        let mut launch = Launch::at(Place::Beside);
        if running.place() != Place::Beside {
            launch.join = Some(running.pidfd().try_clone_to_owned().expect("a second pidfd"));
        }
        launch
    }

    /// Another file as mak-init: a copy where another user can reach it.
    pub fn program(mut self, path: &str) -> Launch {
        self.program = text(OsStr::new(path));
        self.arguments[0] = self.program.clone();
        self
    }

    /// Adds arguments.
    pub fn arguments(mut self, words: &[&str]) -> Launch {
        self.arguments.extend(words.iter().map(|word| text(OsStr::new(word))));
        self
    }

    /// Adds an argument that need not be text.
    pub fn argument(mut self, word: impl AsRef<OsStr>) -> Launch {
        self.arguments.push(text(word.as_ref()));
        self
    }

    /// Adds `--`, the workload and what it shall do.
    pub fn workload(self, words: &[&str]) -> Launch {
        self.arguments(&["--"]).argument(workload()).arguments(words)
    }

    /// Adds a variable.
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Launch {
        let mut entry = name.to_owned().into_bytes();
        entry.push(b'=');
        entry.extend_from_slice(value.as_ref().as_bytes());
        self.environment.push(text(OsStr::from_bytes(&entry)));
        self
    }

    /// Starts it in this folder.
    pub fn folder(mut self, path: impl AsRef<Path>) -> Launch {
        self.folder = Some(text(path.as_ref().as_os_str()));
        self
    }

    /// Starts it with these signals blocked.
    pub fn blocked(mut self, signals: &[i32]) -> Launch {
        self.blocked = set(signals);
        self
    }

    /// Starts it with these signals ignored.
    pub fn ignored(mut self, signals: &[i32]) -> Launch {
        self.ignored = set(signals);
        self
    }

    /// Starts it with this umask; 022 otherwise.
    pub fn umask(mut self, mask: u32) -> Launch {
        self.umask = mask;
        self
    }

    /// Starts it as this user and group, without other groups.
    pub fn user(mut self, id: u32) -> Launch {
        self.user = Some(id);
        self
    }

    /// Mounts an empty tmpfs there; read-only if `read_only`. Not beside.
    pub fn tmpfs(mut self, at: &str, read_only: bool) -> Launch {
        let flags = if read_only { libc::MS_RDONLY } else { 0 };
        self.mounts.push(Mount { target: text(OsStr::new(at)), flags });
        self
    }

    /// Starts it with /dev/null open on this descriptor.
    pub fn open(mut self, descriptor: RawFd) -> Launch {
        self.open.push(descriptor);
        self
    }

    /// Starts it with this one of the descriptors 0, 1, 2 closed.
    pub fn closed(mut self, descriptor: RawFd) -> Launch {
        self.closed.push(descriptor);
        self
    }

    /// Starts it in this control group.
    pub fn control_group(mut self, group: &ControlGroup) -> Launch {
        self.groups.push(text(group.door().as_os_str()));
        self
    }

    /// Starts it as a process that orphans come to already.
    pub fn subreaper(mut self) -> Launch {
        self.subreaper = true;
        self
    }

    /// Gives /proc these options. Not beside.
    pub fn proc_options(mut self, options: &str) -> Launch {
        self.proc_options = text(OsStr::new(options));
        self
    }

    /// Makes / read-only. Not beside.
    pub fn read_only_root(mut self) -> Launch {
        self.read_only = true;
        self
    }

    /// Starts it under this filter of system calls.
    pub fn filter(mut self, filter: Vec<libc::sock_filter>) -> Launch {
        self.filter = filter;
        self
    }

    /// Starts it traced by this thread, standing still.
    pub fn traced(mut self) -> Launch {
        self.traced = true;
        self
    }

    /// Gives it a terminal as stdin, stdout, stderr and controlling terminal; what it writes
    /// there comes as stdout.
    pub fn terminal(mut self) -> Launch {
        self.terminal = Some(Terminal::open());
        self
    }

    /// The same, but stdin is a pipe.
    pub fn terminal_but_stdin(mut self) -> Launch {
        self.stdin_is_terminal = false;
        self.terminal()
    }

    /// Starts it.
    pub fn start(self) -> Running {
        let (stdin_far, stdin) = pipe();
        let (stdout, stdout_far) = pipe();
        let (stderr, stderr_far) = pipe();
        let standard = match &self.terminal {
            Some(terminal) if self.stdin_is_terminal => [terminal.slave(); 3],
            Some(terminal) => [stdin_far.as_raw_fd(), terminal.slave(), terminal.slave()],
            None => [stdin_far.as_raw_fd(), stdout_far.as_raw_fd(), stderr_far.as_raw_fd()],
        };
        let plan = Plan {
            first: self.place != Place::Beside,
            own_network: self.place == Place::First && child::is_root(),
            program: &self.program,
            arguments: &self.arguments,
            environment: &self.environment,
            folder: self.folder.as_deref(),
            blocked: self.blocked,
            ignored: self.ignored,
            umask: self.umask,
            user: self.user,
            mounts: &self.mounts,
            open: &self.open,
            closed: &self.closed,
            standard,
            terminal: self.terminal.as_ref().map(Terminal::slave),
            join: self.join.as_ref().map(|pidfd| (pidfd.as_raw_fd(), namespaces_to_join())),
            groups: &self.groups,
            subreaper: self.subreaper,
            proc_options: &self.proc_options,
            read_only: self.read_only,
            filter: &self.filter,
            traced: self.traced,
        };
        let started = {
            let _alone = WRITE_OR_FORK.lock().unwrap_or_else(|broken| broken.into_inner());
            child::start(&plan)
        };
        let own_network = plan.own_network;
        drop((stdin_far, stdout_far, stderr_far));
        let (input, output): (OwnedFd, OwnedFd) = match self.terminal {
            Some(terminal) => terminal.into_master(),
            None => (stdin, stdout),
        };
        Running::new(started, self.place, own_network, input, output, stderr)
    }
}

/// With root's rights the network is one of its own; otherwise mounts belong to a user namespace.
fn namespaces_to_join() -> i32 {
    if child::is_root() {
        libc::CLONE_NEWNS | libc::CLONE_NEWNET
    } else {
        libc::CLONE_NEWUSER | libc::CLONE_NEWNS
    }
}

fn text(word: &OsStr) -> CString {
    CString::new(word.as_bytes()).expect("no NUL in a word of a test")
}

fn set(signals: &[i32]) -> u64 {
    signals.iter().fold(0, |set, number| set | 1 << (number - 1))
}
