//! What the health process knows at this moment: written by `serve` as frames arrive, read by
//! every connection.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::answer::{self, Answer, Form, Page, State};
use super::confine::Confinement;
use super::figures::{self, Host};
use crate::init::frame::{Frame, Phase};

/// Shared by the tasks of one thread; the lock is never contended.
pub struct Known {
    frame: Mutex<Frame>,
    version: &'static str,
    platform: Vec<(&'static str, String)>,
    confinement: Confinement,
    host: OnceLock<Option<Host>>,
}

impl Known {
    /// Before the first frame: starting, since now.
    pub fn new(
        version: &'static str,
        platform: Vec<(&'static str, String)>,
        confinement: Confinement,
    ) -> Known {
        let frame = Mutex::new(Frame::starting(clock::boottime()));
        Known { frame, version, platform, confinement, host: OnceLock::new() }
    }

    /// PID 1 said something new.
    pub fn learn(&self, frame: Frame) {
        *self.frame.lock().unwrap_or_else(PoisonError::into_inner) = frame;
    }

    /// Exec mode: PID 1 has become the workload, process `pid`, and says nothing any more.
    pub fn became_workload(&self, pid: u32) {
        let frame = self.frame();
        if !matches!(frame.phase, Phase::Stopping | Phase::Failed) {
            self.learn(Frame { phase: Phase::Running, workload: pid, ..frame });
        }
    }

    /// The answer at `path`.
    pub fn answer(&self, path: &str, form: Form) -> Answer {
        let Some(page) = Page::at(path) else {
            return Answer::text(404, "not found; there are /livez /readyz /startupz /health\n");
        };
        answer::answer(page, form, &self.state(page))
    }

    fn frame(&self) -> Frame {
        *self.frame.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self, page: Page) -> State<'_> {
        let frame = self.frame();
        let full = page == Page::Health;
        State {
            frame,
            version: self.version,
            platform: &self.platform,
            confinement: self.confinement,
            uptime: clock::boottime().saturating_sub(frame.started) / 1000,
            workload: full.then(|| figures::workload(frame.workload)).flatten(),
            // Totals do not change: read once, when first asked for.
            host: full.then(|| *self.host.get_or_init(figures::host)).flatten(),
        }
    }
}

mod clock {
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

    fn known() -> Known {
        let confinement = Confinement { uid: 0, no_new_privs: false, capabilities_dropped: false };
        Known::new("0.1.0", Vec::new(), confinement)
    }

    #[test]
    fn exec_mode_runs_when_pid_1_has_become_the_workload() {
        let known = known();
        assert_eq!(known.answer("/readyz", Form::Text).status, 503);
        known.became_workload(std::process::id());
        assert_eq!(known.answer("/readyz", Form::Text).status, 200);
    }

    #[test]
    fn a_failed_start_is_not_taken_for_a_running_workload() {
        let known = known();
        known.learn(Frame { phase: Phase::Failed, ..Frame::starting(0) });
        known.became_workload(1);
        assert_eq!(known.answer("/livez", Form::Text).status, 503);
    }

    #[test]
    fn health_counts_the_seconds_since_the_start() {
        let known = known();
        known.learn(Frame::starting(clock::boottime() - 61_500));
        let body = known.answer("/health", Form::Json).body;
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["uptime_seconds"], 61);
    }

    #[test]
    fn an_unknown_path_is_told_which_there_are() {
        assert_eq!(known().answer("/metrics", Form::Json).status, 404);
    }
}
