//! What health may ask of PID 1, and how it is answered. A request is eight bytes: a verb and the
//! index of a check in PID 1's own table, so that nothing else ever crosses the socket. PID 1 does
//! not look itself: a child does, for which one place is kept for each check, and writes its reply
//! into the socket. PID 1 only reaps it.

#![allow(unsafe_code, reason = "fork and signal masks")]

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal as NixSignal, sigprocmask};
use nix::unistd::{ForkResult, Pid as NixPid, fork, setpgid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::clock::Moment;
use super::pid::Pid;
use super::spawn::exit_now;
use crate::config::CheckEntry;
use crate::config::check::OnFailure;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verb {
    /// Look at this check's subject.
    Look = 1,
    /// This check has failed: do what is configured for that.
    Failed = 2,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub verb: Verb,
    /// The check, by its place in the table.
    pub check: u16,
    /// Comes back in the reply, so that a late one is not taken for a newer one.
    pub number: u32,
}

impl Request {
    /// The size of an encoded request, in bytes.
    pub const SIZE: usize = 8;

    /// The bytes on the socket; both ends are the same program on the same machine.
    pub fn encode(&self) -> [u8; Request::SIZE] {
        let mut bytes = [0; Request::SIZE];
        bytes[0] = self.verb as u8;
        bytes[2..4].copy_from_slice(&self.check.to_ne_bytes());
        bytes[4..].copy_from_slice(&self.number.to_ne_bytes());
        bytes
    }

    /// The request in `bytes`; `None` where these are not one.
    pub fn decode(bytes: &[u8]) -> Option<Request> {
        let bytes: &[u8; Request::SIZE] = bytes.try_into().ok()?;
        Some(Request {
            verb: [Verb::Look, Verb::Failed].into_iter().find(|verb| *verb as u8 == bytes[0])?,
            check: u16::from_ne_bytes([bytes[2], bytes[3]]),
            number: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
    }
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The check, by its place in the table.
    pub check: u16,
    /// The request's number.
    pub number: u32,
    /// What was wrong, if something was.
    pub result: Result<(), String>,
}

impl Reply {
    /// The size of an encoded reply, in bytes; no frame is as long.
    pub const SIZE: usize = 168;
    const TEXT: usize = 8;

    /// The bytes on the socket; a long reason is cut.
    pub fn encode(&self) -> [u8; Reply::SIZE] {
        let mut bytes = [0; Reply::SIZE];
        bytes[0] = u8::from(self.result.is_ok());
        bytes[2..4].copy_from_slice(&self.check.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.number.to_ne_bytes());
        if let Err(why) = &self.result {
            let length = why.len().min(Reply::SIZE - Reply::TEXT);
            bytes[Reply::TEXT..Reply::TEXT + length].copy_from_slice(&why.as_bytes()[..length]);
        }
        bytes
    }

    /// The reply in `bytes`; `None` where these are not one.
    pub fn decode(bytes: &[u8]) -> Option<Reply> {
        let bytes: &[u8; Reply::SIZE] = bytes.try_into().ok()?;
        let text = bytes[Reply::TEXT..].split(|byte| *byte == 0).next().unwrap_or_default();
        let result = match bytes[0] {
            0 => Err(String::from_utf8_lossy(text).into_owned()),
            1 => Ok(()),
            _ => return None,
        };
        let check = u16::from_ne_bytes([bytes[2], bytes[3]]);
        let number = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        Some(Reply { check, number, result })
    }
}

/// Looks at a check's subject; it runs in a child.
pub type Look<'a> = &'a dyn Fn(&CheckEntry) -> Result<(), String>;

/// More requests than this within [`WINDOW`] are not an honest health process.
const MOST_REQUESTS: u32 = 400;
const WINDOW: Duration = Duration::from_secs(2);

/// What a turn at the socket came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that concerns the workload.
    Nothing,
    /// A check has failed, and this is configured for it.
    Failed(OnFailure),
    /// Too much, or something that is no request: whoever sends it is not to be listened to.
    Nonsense,
}

/// PID 1's table.
pub struct Inquiries<'a> {
    checks: &'a [CheckEntry],
    look: Look<'a>,
    /// Who looks for each check now.
    lookers: Vec<Option<Pid>>,
    /// When the workload was started.
    since: Moment,
    window: Moment,
    heard: u32,
}

impl<'a> Inquiries<'a> {
    /// The table of these checks.
    pub fn new(checks: &'a [CheckEntry], look: Look<'a>) -> Inquiries<'a> {
        let now = Moment::now();
        let lookers = vec![None; checks.len()];
        Inquiries { checks, look, lookers, since: now, window: now, heard: 0 }
    }

    /// The workload was started.
    pub fn begin(&mut self) {
        self.since = Moment::now();
    }

    /// Takes note of a child's end; false where it was another child.
    pub fn has_ended(&mut self, pid: Pid) -> bool {
        match self.lookers.iter_mut().find(|looker| **looker == Some(pid)) {
            Some(looker) => {
                *looker = None;
                true
            }
            None => false,
        }
    }

    /// Serves all requests that have arrived at `link`.
    pub fn serve(&mut self, link: &OwnedFd) -> Heard {
        let mut bytes = [0_u8; Request::SIZE + 1];
        let mut heard = Heard::Nothing;
        loop {
            let count = match recv(link, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Heard::Nonsense,
                Ok((_, count)) => count,
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => return heard,
                Err(_) => return Heard::Nonsense,
            };
            let Some(request) = Request::decode(&bytes[..count]).filter(|_| self.is_patient())
            else {
                return Heard::Nonsense;
            };
            if let Some(action) = self.act(link, request) {
                heard = Heard::Failed(action);
            }
        }
    }

    fn is_patient(&mut self) -> bool {
        let now = Moment::now();
        if now >= self.window.after(WINDOW) {
            self.window = now;
            self.heard = 0;
        }
        self.heard += 1;
        self.heard <= MOST_REQUESTS
    }

    /// A request that makes no sense here, or comes while its check is being looked at, gets no
    /// reply.
    fn act(&mut self, link: &OwnedFd, request: Request) -> Option<OnFailure> {
        let at = usize::from(request.check);
        let check = self.checks.get(at)?;
        match request.verb {
            Verb::Look => {
                let looker = self.lookers.get_mut(at)?;
                if looker.is_none() && check.subject.needs_init() {
                    *looker = start(link, check, request, self.look);
                }
                None
            }
            Verb::Failed => {
                // No honest report of so many failures in a row can come earlier.
                let least = check.interval.saturating_mul(check.failures.saturating_sub(1));
                let honest = Moment::now() >= self.since.after(least);
                (honest && check.on_failure != OnFailure::None).then_some(check.on_failure)
            }
        }
    }
}

/// A child that looks and replies. Where none can be made, health's own deadline passes.
fn start(link: &OwnedFd, check: &CheckEntry, request: Request, look: Look) -> Option<Pid> {
    // SAFETY: this process has one thread, so that the child may do whatever we may.
    match unsafe { fork() }.ok()? {
        ForkResult::Parent { child } => Pid::new(child.as_raw()),
        ForkResult::Child => {
            // A group of its own, and open for the TERM at mak-init's end; CHLD stays blocked, to
            // be waited for.
            let _ = setpgid(NixPid::from_raw(0), NixPid::from_raw(0));
            let mut only_chld = SigSet::empty();
            only_chld.add(NixSignal::SIGCHLD);
            let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&only_chld), None);
            let result = look(check);
            let reply = Reply { check: request.check, number: request.number, result };
            deliver(link, &reply.encode());
            exit_now(0)
        }
    }
}

/// The socket never blocks, so that room is waited for; one second is more than health needs.
fn deliver(link: &OwnedFd, bytes: &[u8]) {
    while send(link, bytes, SendFlags::NOSIGNAL) == Err(rustix::io::Errno::AGAIN) {
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        let room = PollFd::from_borrowed_fd(link.as_fd(), PollFlags::OUT);
        if poll(&mut [room], Some(&second)) == Ok(0) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::{Level, Subject};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn check(subject: Subject, on_failure: OnFailure) -> CheckEntry {
        CheckEntry {
            name: "x".to_owned(),
            subject,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(1),
            jitter: Duration::ZERO,
            start_period: Duration::ZERO,
            failures: 1,
            successes: 1,
            level: Level::Alive,
            on_failure,
        }
    }

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .unwrap()
    }

    fn ask(link: &OwnedFd, verb: Verb, check: u16) {
        let request = Request { verb, check, number: 7 };
        send(link, &request.encode(), SendFlags::empty()).unwrap();
    }

    #[test]
    fn messages_survive_the_socket_and_anything_else_is_refused() {
        let request = Request { verb: Verb::Failed, check: 3, number: 9 };
        assert_eq!(Request::decode(&request.encode()), Some(request));
        assert_eq!(Request::decode(&[3; 8]), None);
        assert_eq!(Request::decode(&[1; 9]), None);
        for result in [Ok(()), Err("no".to_owned()), Err(String::new())] {
            let reply = Reply { check: 1, number: u32::MAX, result };
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        let long = Reply { check: 1, number: 1, result: Err("é".repeat(200)) };
        assert!(Reply::decode(&long.encode()).unwrap().result.unwrap_err().len() <= 170);
        assert_eq!(Reply::decode(&[2; Reply::SIZE]), None);
    }

    #[test]
    fn a_failure_is_acted_on_only_as_configured_and_not_before_it_can_be_true() {
        let (ours, theirs) = pair();
        let mut slow = check(Subject::Memory(9), OnFailure::Stop);
        slow.failures = 3;
        let checks = [
            check(Subject::Memory(9), OnFailure::Restart),
            check(Subject::Memory(9), OnFailure::None),
            slow,
        ];
        let mut inquiries = Inquiries::new(&checks, &|_| Ok(()));
        for (index, expected) in [
            (0, Heard::Failed(OnFailure::Restart)),
            (1, Heard::Nothing),
            (2, Heard::Nothing),
            (3, Heard::Nothing),
        ] {
            ask(&theirs, Verb::Failed, index);
            assert_eq!(inquiries.serve(&ours), expected, "{index}");
        }
    }

    #[test]
    fn noise_and_floods_and_a_closed_end_are_nonsense() {
        let checks = [check(Subject::Memory(9), OnFailure::None)];
        let (ours, theirs) = pair();
        let mut inquiries = Inquiries::new(&checks, &|_| Ok(()));
        send(&theirs, b"noise", SendFlags::empty()).unwrap();
        assert_eq!(inquiries.serve(&ours), Heard::Nonsense);
        let mut answers = Vec::new();
        for _ in 0..=MOST_REQUESTS {
            ask(&theirs, Verb::Failed, 0);
            answers.push(inquiries.serve(&ours));
        }
        assert_eq!(answers.last(), Some(&Heard::Nonsense));
        drop(theirs);
        assert_eq!(inquiries.serve(&ours), Heard::Nonsense);
    }

    #[test]
    fn what_health_reaches_itself_is_not_looked_at() {
        let (ours, theirs) = pair();
        let checks = [check(Subject::Memory(9), OnFailure::None)];
        let mut inquiries = Inquiries::new(&checks, &|_| Ok(()));
        ask(&theirs, Verb::Look, 0);
        assert_eq!(inquiries.serve(&ours), Heard::Nothing);
        assert_eq!(inquiries.lookers, [None]);
    }
}
