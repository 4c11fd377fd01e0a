//! What the health process knows at this moment: written by `serve` and the checks, read by every
//! connection, which gets its answers here.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::answer::{self, Answer, Form, Page, State};
use super::check::ask::Asker;
use super::check::notice::Notice;
use super::check::tracker::{Finding, Status, Tracker};
use super::confine::Confinement;
use super::figures::{self, Host};
use super::http::Request;
use super::{metrics, page, token};
use crate::config::CheckEntry;
use crate::init::board::Board;
use crate::init::frame::{Frame, Outcome, Phase};
use crate::init::inquiry::Reply;

/// The largest verification report that is handed on, in bytes.
const LONGEST_REPORT: usize = 1 << 20;

/// What does not change.
pub struct About {
    /// mak-init's version.
    pub version: &'static str,
    /// The platform, as names and values.
    pub platform: Vec<(&'static str, String)>,
    /// What the health process gave up.
    pub confinement: Confinement,
    /// What is looked at.
    pub checks: Vec<CheckEntry>,
    /// Where the verification report is, as JSON.
    pub report: Option<OwnedFd>,
    /// The bearer token for all but the three z-paths.
    pub token: Option<Vec<u8>>,
    /// Where PID 1 shows what it has counted.
    pub board: Option<Board>,
}

/// Shared by the tasks of one thread; no lock is ever contended, and none is held over an await.
pub struct Known {
    about: About,
    frame: Mutex<Frame>,
    trackers: Mutex<Vec<Tracker>>,
    notice: Mutex<Notice>,
    noticed: tokio::sync::Notify,
    asker: Asker,
    host: OnceLock<Option<Host>>,
}

impl Known {
    /// Before the first frame: starting, since now. `link` is where PID 1 is asked.
    pub fn new(about: About, link: OwnedFd) -> Known {
        let now = clock::boottime();
        let trackers = about.checks.iter().map(|_| Tracker::new(now)).collect();
        Known {
            asker: Asker::new(link, about.checks.len()),
            about,
            frame: Mutex::new(Frame::starting(now)),
            trackers: Mutex::new(trackers),
            notice: Mutex::default(),
            noticed: tokio::sync::Notify::new(),
            host: OnceLock::new(),
        }
    }

    /// PID 1 said something new; true where a workload has been started that was not there before.
    pub fn learn(&self, frame: Frame) -> bool {
        let before = std::mem::replace(&mut *lock(&self.frame), frame);
        let fresh = frame.phase == Phase::Running
            && (before.phase != Phase::Running || before.workload != frame.workload);
        if fresh {
            let now = clock::boottime();
            lock(&self.trackers).iter_mut().for_each(|tracker| tracker.restart(now));
            *lock(&self.notice) = Notice::default();
        }
        fresh
    }

    /// Exec mode: PID 1 has become the workload, process `pid`, and says nothing any more. True
    /// where that means that the workload runs.
    pub fn became_workload(&self, pid: u32) -> bool {
        let frame = self.frame();
        !matches!(frame.phase, Phase::Stopping | Phase::Failed)
            && self.learn(Frame { phase: Phase::Running, workload: pid, ..frame })
    }

    /// PID 1's newest word, with what it has counted until now.
    pub fn frame(&self) -> Frame {
        let frame = *lock(&self.frame);
        let counts = self.about.board.as_ref().map_or(frame.counts, Board::read);
        Frame { counts, ..frame }
    }

    /// What is looked at.
    pub fn checks(&self) -> &[CheckEntry] {
        &self.about.checks
    }

    /// The way to PID 1.
    pub fn asker(&self) -> &Asker {
        &self.asker
    }

    /// PID 1 replied.
    pub fn take(&self, reply: Reply) {
        self.asker.take(reply);
    }

    /// A check was looked at; true where it has failed by that and had not before.
    pub fn note(&self, index: usize, finding: Finding) -> bool {
        let mut trackers = lock(&self.trackers);
        match (self.about.checks.get(index), trackers.get_mut(index)) {
            (Some(rules), Some(tracker)) => tracker.note(rules, finding),
            _ => false,
        }
    }

    /// Whether this check passes now.
    pub fn passes(&self, index: usize) -> bool {
        lock(&self.trackers).get(index).is_some_and(|tracker| tracker.status() == Status::Pass)
    }

    /// The workload said something on its socket.
    pub fn hear(&self, message: &[u8]) {
        lock(&self.notice).hear(message, clock::boottime());
        self.noticed.notify_waiters();
    }

    /// What it said, as a check takes it.
    pub fn judge_notice(&self, watchdog: Option<Duration>) -> Result<(), String> {
        lock(&self.notice).judge(watchdog, clock::boottime())
    }

    /// Waits until it says something.
    pub async fn notified(&self) {
        self.noticed.notified().await;
    }

    /// The answer to a request.
    pub fn answer(&self, request: &Request) -> Answer {
        let Some((page, one)) = Page::at(request.path) else { return Answer::not_found() };
        let open = page.is_open() && one.is_none() && request.query.is_empty();
        if !open && !token::opens(self.about.token.as_deref(), request.bearer) {
            return Answer::text(401, "this needs the bearer token\n");
        }
        match page {
            Page::Report => self.report_answer(),
            Page::Metrics => {
                let trackers = lock(&self.trackers);
                metrics::answer(request.form, &self.state(page, &trackers))
            }
            Page::Root if request.form != Form::Html => Answer::not_found(),
            Page::Root | Page::Health if request.form == Form::Html => {
                let trackers = lock(&self.trackers);
                let report = self.report();
                let notice = lock(&self.notice).status.clone();
                page::answer(&self.state(Page::Health, &trackers), report.as_deref(), &notice)
            }
            _ => {
                let trackers = lock(&self.trackers);
                let state = self.state(page, &trackers);
                match one {
                    Some(name) => answer::one(page, name, &state),
                    None => answer::answer(page, request.form, request.query, &state),
                }
            }
        }
    }

    fn state<'a>(&'a self, page: Page, trackers: &'a [Tracker]) -> State<'a> {
        let frame = self.frame();
        let full = page.is_full();
        State {
            frame,
            version: self.about.version,
            platform: &self.about.platform,
            confinement: self.about.confinement,
            checks: &self.about.checks,
            trackers,
            now: clock::boottime(),
            workload: full.then(|| figures::workload(frame.workload)).flatten(),
            // Totals do not change: read once, when first asked for.
            host: full.then(|| *self.host.get_or_init(figures::host)).flatten(),
        }
    }

    fn report_answer(&self) -> Answer {
        match self.report() {
            Some(body) => Answer {
                status: 200,
                content_type: "application/json",
                body: std::borrow::Cow::Owned(body),
            },
            None if self.frame().outcome == Outcome::Pending => {
                Answer::text(503, "verification has not ended yet\n")
            }
            None => Answer::text(404, "there is no report: nothing was verified\n"),
        }
    }

    /// The report's bytes, once verification is over.
    fn report(&self) -> Option<Vec<u8>> {
        let file = self.about.report.as_ref()?;
        if matches!(self.frame().outcome, Outcome::Pending | Outcome::NotAsked) {
            return None;
        }
        let size = usize::try_from(rustix::fs::fstat(file).ok()?.st_size).ok()?;
        let mut bytes = vec![0; size.min(LONGEST_REPORT)];
        let count = rustix::io::pread(file, &mut bytes[..], 0).ok()?;
        bytes.truncate(count);
        (!bytes.is_empty()).then_some(bytes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) mod clock {
    #![allow(unsafe_code, reason = "std has no CLOCK_BOOTTIME")]

    /// Milliseconds since the machine started, time asleep included.
    pub fn boottime() -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes one timespec through a valid pointer.
        unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        seconds.saturating_mul(1000) + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::check::tracker::tests::rules;
    use crate::health::http::{Parsed, parse};
    use crate::health::link::tests::pair;

    fn about() -> About {
        About {
            version: "0.1.0",
            platform: Vec::new(),
            confinement: Confinement::default(),
            checks: vec![rules(1, 1)],
            report: None,
            token: None,
            board: None,
        }
    }

    fn known() -> Known {
        Known::new(about(), pair().1)
    }

    fn ask(known: &Known, head: &str) -> Answer {
        let text = format!("GET {head}\r\n\r\n");
        let Parsed::Complete(request, _) = parse(text.as_bytes()) else { panic!("{text}") };
        known.answer(&request)
    }

    fn status(known: &Known, path: &str) -> u16 {
        ask(known, &format!("{path} HTTP/1.1")).status
    }

    fn finding(good: bool) -> Finding {
        let result = if good { Ok(()) } else { Err("down".to_owned()) };
        Finding { at: u64::MAX, took: Duration::ZERO, result, late: false }
    }

    #[test]
    fn exec_mode_runs_when_pid_1_has_become_the_workload() {
        let known = known();
        assert_eq!(status(&known, "/startupz"), 503);
        assert!(known.became_workload(std::process::id()));
        assert_eq!(status(&known, "/startupz"), 200);
    }

    #[test]
    fn a_failed_start_is_not_taken_for_a_running_workload() {
        let known = known();
        known.learn(Frame { phase: Phase::Failed, ..Frame::starting(0) });
        assert!(!known.became_workload(1));
        assert_eq!(status(&known, "/livez"), 503);
    }

    #[test]
    fn a_ready_check_has_to_pass_first_and_again_after_a_restart() {
        let known = known();
        let running = Frame { phase: Phase::Running, workload: 7, ..Frame::starting(0) };
        assert!(known.learn(running));
        assert!(!known.learn(running));
        assert_eq!(status(&known, "/readyz"), 503);
        known.note(0, finding(true));
        assert_eq!(status(&known, "/readyz"), 200);
        assert_eq!(status(&known, "/readyz/x"), 200);
        known.note(0, finding(false));
        assert_eq!([status(&known, "/readyz"), status(&known, "/livez")], [503, 200]);
        assert_eq!(status(&known, "/readyz?exclude=x"), 200);
        known.note(0, finding(true));
        assert!(known.learn(Frame { workload: 8, ..running }));
        assert_eq!(status(&known, "/readyz"), 503);
    }

    #[test]
    fn a_token_opens_all_but_the_plain_z_paths() {
        let token = Some(b"secret".to_vec());
        let known = Known::new(About { token, ..about() }, pair().1);
        for path in ["/livez", "/readyz", "/startupz"] {
            assert_ne!(status(&known, path), 401, "{path}");
        }
        for path in ["/health", "/metrics", "/report", "/livez?verbose", "/readyz/x"] {
            assert_eq!(status(&known, path), 401, "{path}");
            for (word, opens) in [("Bearer secret", true), ("bearer  secret", true)]
                .into_iter()
                .chain([("Bearer secre", false), ("Basic secret", false), ("Bearer ", false)])
            {
                let head = format!("{path} HTTP/1.1\r\nAuthorization: {word}");
                assert_eq!(ask(&known, &head).status != 401, opens, "{path} {word}");
            }
        }
    }

    #[test]
    fn health_counts_the_seconds_since_the_start() {
        let known = known();
        known.learn(Frame::starting(clock::boottime() - 61_500));
        let body = ask(&known, "/health HTTP/1.1").body;
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["uptime_seconds"], 61);
    }

    #[test]
    fn an_unknown_path_is_told_which_there_are() {
        for path in ["/nowhere", "/", "/health/x", "/readyz/", "/readyz/a/b"] {
            assert_eq!(status(&known(), path), 404, "{path}");
        }
        assert_eq!(status(&known(), "/report"), 404);
    }
}
