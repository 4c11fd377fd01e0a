//! What the health process is made from, opened before it is started: the endpoint, the files and
//! sockets it is handed, and what the workload is told of it. `run` makes it.

use std::os::fd::OwnedFd;

use super::{Start, code, failed};
use crate::cli::environment::{Environment, set};
use crate::config::check::Subject;
use crate::config::resolve::Form;
use crate::config::{CheckEntry, Mode};
use crate::health;
use crate::init::board::Board;
use crate::init::clock;
use crate::init::frame::Frame;
use crate::init::health_process::{HealthProcess, Kinship, Serve};
use crate::init::title::Title;
use crate::platform::Uname;

/// What the health process is made from.
pub(super) struct HealthPlan {
    listener: health::Listener,
    platform: Vec<(&'static str, String)>,
    pub(super) checks: Vec<CheckEntry>,
    /// The verification report, which the child that verifies writes.
    pub(super) report: Option<OwnedFd>,
    /// Where the workload may say how it is, and the name of that for its environment.
    notice: Option<(OwnedFd, String)>,
    token: Option<Vec<u8>>,
    lifetime: health::Lifetime,
    /// Where PID 1 shows what it has counted.
    pub(super) board: Option<Board>,
    title: Title,
}

impl HealthPlan {
    /// In the health process.
    pub(super) fn serve(&self, link: OwnedFd) -> i32 {
        self.title.replace("mak-init: health");
        match self.plan(link) {
            Ok(plan) => health::serve(&plan),
            Err(error) => i32::from(failed("health: cannot take its descriptors", &error)),
        }
    }

    fn plan(&self, link: OwnedFd) -> std::io::Result<health::Plan> {
        let copy = |descriptor: &OwnedFd| descriptor.try_clone();
        Ok(health::Plan {
            listener: self.listener.try_clone()?,
            link,
            platform: self.platform.clone(),
            version: env!("CARGO_PKG_VERSION"),
            checks: self.checks.clone(),
            report: self.report.as_ref().map(copy).transpose()?,
            notice: self.notice.as_ref().map(|(socket, _)| copy(socket)).transpose()?,
            token: self.token.clone(),
            lifetime: self.lifetime,
            board: self.board,
            keep_stderr: true,
        })
    }

    /// What the workload has to know to say how it is (`man 3 sd_notify`).
    pub(super) fn announce(&self, environment: &mut Environment) {
        let Some((_, name)) = &self.notice else { return };
        set(environment, "NOTIFY_SOCKET", name.as_ref());
        let watchdogs = self.checks.iter().filter_map(|check| match check.subject {
            Subject::Notify(watchdog) => watchdog,
            _ => None,
        });
        if let Some(shortest) = watchdogs.min() {
            set(environment, "WATCHDOG_USEC", shortest.as_micros().to_string().as_ref());
        }
    }
}

impl Start<'_> {
    /// Opens the endpoint, if one is configured. One that cannot be opened stops the start
    /// only where it is required: the error is then the exit code.
    #[inline(never)]
    pub(super) fn health_plan(&self, uname: &Uname) -> Result<Option<HealthPlan>, u8> {
        let Some(address) = &self.effective.values.listen else { return Ok(None) };
        let token = match &self.effective.values.token_file {
            None => None,
            // Without its token the endpoint would be open to everybody.
            Some(path) => Some(health::token::read(path).map_err(|why| {
                tracing::error!("{why}");
                code::FAILED
            })?),
        };
        let lifetime = match self.effective.values.mode {
            Mode::Supervise => health::Lifetime::UntilLinkCloses,
            Mode::Exec => health::Lifetime::WithParent,
        };
        match health::bind(address) {
            Ok(listener) => Ok(Some(HealthPlan {
                listener,
                platform: vec![
                    ("platform", uname.platform()),
                    ("machine", uname.machine.clone()),
                    ("kernel", uname.release.clone()),
                ],
                checks: self.effective.checks.clone(),
                report: self.report_file(),
                notice: self.notice_socket(),
                token,
                lifetime,
                // Without it the figures are as old as the last frame.
                board: Board::new().ok(),
                title: self.title,
            })),
            Err(error) if self.effective.values.health_required => {
                Err(failed("the health endpoint is required", &error))
            }
            Err(error) => {
                tracing::warn!("{error}; going on without a health endpoint");
                Ok(None)
            }
        }
    }

    /// A file without a name for the verification report. Without it only `/report` is missing.
    fn report_file(&self) -> Option<OwnedFd> {
        if self.effective.form == Form::Off {
            return None;
        }
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        rustix::fs::memfd_create("mak-init report", flags)
            .map_err(|error| tracing::warn!("no /report: {error}"))
            .ok()
    }

    fn notice_socket(&self) -> Option<(OwnedFd, String)> {
        let checks = &self.effective.checks;
        if !checks.iter().any(|check| matches!(check.subject, Subject::Notify(_))) {
            return None;
        }
        health::bind_notice()
            .map_err(|error| tracing::warn!("no NOTIFY_SOCKET for the workload: {error}"))
            .ok()
    }

    pub(super) fn start_health<'s>(
        &self,
        serve: Serve<'s>,
        board: Option<Board>,
    ) -> Result<HealthProcess<'s>, u8> {
        let kinship = match self.effective.values.mode {
            Mode::Supervise => Kinship::Child,
            Mode::Exec => Kinship::Unseen,
        };
        let frame = Frame::starting(clock::boot_milliseconds());
        HealthProcess::start(serve, kinship, frame, board)
            .map_err(|error| failed("cannot start the health process", &error))
    }
}
