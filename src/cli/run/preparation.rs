//! What comes before the workload, in a child of its own: directories and verification, and what
//! their result means for the start. `run` calls it; `init/preparation` waits for the child.

use std::error::Error;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::process::geteuid;

use super::{Start, code, failed};
use crate::cli::environment::find;
use crate::config::Policy;
use crate::config::resolve::Form;
use crate::directories::{
    Access, Directory, Owner, make as make_directory, prepare as prepare_directory, prove,
};
use crate::init::frame::{Outcome, Phase, Tally};
use crate::init::health_process::HealthProcess;
use crate::init::identity::Identity;
use crate::init::mask::Mask;
use crate::init::preparation::{Findings, Preparation, prepare};
use crate::init::receive::Signals;
use crate::verify::{self, Report, Status, Verdict};

impl Start<'_> {
    /// Makes the directories and verifies, in a child. The error is the exit code.
    #[inline(never)]
    pub(super) fn prepare(
        &self,
        signals: &Signals,
        health: Option<&mut HealthProcess>,
        report: Option<&OwnedFd>,
    ) -> Result<(), u8> {
        let form = self.effective.form;
        let directories = match self.directories() {
            Ok(directories) if directories.is_empty() && form == Form::Off => return Ok(()),
            Ok(directories) => directories,
            Err(code) => return Err(code),
        };
        let mut health = health;
        if let Some(health) = health.as_mut().filter(|_| form != Form::Off) {
            health.note_verification(Outcome::Pending, Tally::default());
            health.tell(Phase::Verifying, None);
        }
        let stop = Mask::of(&self.effective.values.stop_signals);
        let deadline = self.effective.values.verify_deadline;
        let work = || self.make_and_verify(&directories, report);
        let preparation = prepare(signals, stop, deadline, health.as_deref_mut(), &work);
        let result = self.judge(&preparation);
        if let Some(health) = health {
            let (outcome, tally) = match &preparation {
                Preparation::Done(findings) => (findings.outcome, findings.tally),
                _ if form == Form::Off => (Outcome::NotAsked, Tally::default()),
                _ if result.is_ok() => (Outcome::Warn, Tally::default()),
                _ => (Outcome::Fail, Tally::default()),
            };
            health.note_verification(outcome, tally);
        }
        result
    }

    /// The profile's directories where the environment puts them.
    #[inline(never)]
    fn directories(&self) -> Result<Vec<Directory>, u8> {
        let Some(profile) = &self.effective.profile else { return Ok(Vec::new()) };
        let user = self.attributes.identity.as_ref().map(|identity| Owner {
            uid: Some(identity.uid.as_raw()),
            gid: Some(identity.gid.as_raw()),
        });
        let place = |variable: &str| find(&self.environment, variable).unwrap_or_default();
        Ok(profile
            .directories
            .iter()
            .map(|entry| Directory {
                variable: entry.variable.clone(),
                path: PathBuf::from(place(&entry.variable)),
                mode: entry.mode,
                owner: entry.owner.map(|(uid, gid)| Owner { uid: Some(uid), gid }),
                user,
                access: if entry.read_only { Access::ReadOnly } else { Access::ReadWrite },
            })
            .collect())
    }

    /// In the child.
    fn make_and_verify(&self, directories: &[Directory], file: Option<&OwnedFd>) -> Findings {
        self.title.replace("mak-init: verify");
        let mut findings =
            Findings { code: 0, outcome: Outcome::NotAsked, tally: Tally::default() };
        if !self.make(directories) {
            findings.code = code::FAILED;
        }
        if findings.code != 0 || self.effective.form == Form::Off {
            return findings;
        }
        let full = self.effective.form == Form::Full;
        let mut request = match &self.effective.profile {
            Some(profile) => verify::Request::of_profile(profile, full, &self.environment),
            None => verify::Request::empty(&self.environment),
        };
        request.workload = self.effective.profile.as_ref().map(|_| self.command.clone());
        request.expect_platform.clone_from(&self.effective.values.expect_platform);
        let report = verify::verify(&request);
        if let Some(Err(error)) = file.map(|file| write_report(file, &report)) {
            tracing::warn!("no /report: {error}");
        }
        findings.tally = tally(&report);
        (findings.code, findings.outcome) = self.tell(&report);
        findings
    }

    /// Makes the directories and proves that the workload can use them, as its user. False where
    /// it cannot, and that has been said.
    fn make(&self, directories: &[Directory]) -> bool {
        let another = self.attributes.identity.as_ref().filter(|user| user.uid != geteuid());
        let mut all_well = true;
        for directory in directories {
            if let Err(error) = make_for(another, directory) {
                tracing::error!("{error}");
                all_well = false;
            }
        }
        all_well
    }

    /// Says what was found; the code is 0 to go on.
    fn tell(&self, report: &Report) -> (u8, Outcome) {
        let warns = self.effective.values.verify_policy == Policy::Warn;
        for check in report.failed() {
            if warns {
                tracing::warn!("{check}");
            } else {
                tracing::error!("{check}");
            }
        }
        let wanting: Vec<&str> = report.warned().map(|check| check.subject.as_str()).collect();
        for check in report.warned() {
            tracing::debug!("{check}");
        }
        match report.verdict {
            Verdict::Pass => (0, Outcome::Pass),
            Verdict::Warn => {
                tracing::info!("verified; optional and wanting: {}", wanting.join(", "));
                (0, Outcome::Warn)
            }
            Verdict::Fail if warns => (0, Outcome::Warn),
            Verdict::Fail => (code::NOT_VERIFIED, Outcome::Fail),
        }
    }

    /// What the preparation means for the start. The error is the exit code.
    fn judge(&self, preparation: &Preparation) -> Result<(), u8> {
        let why = match preparation {
            Preparation::Done(findings) if findings.code == 0 => return Ok(()),
            Preparation::Done(findings) if findings.code == code::NOT_VERIFIED => {
                tracing::error!(
                    "verification failed ({} of the required checks): the workload is not started; \
                     set MAK_INIT_VERIFY=warn to start it all the same",
                    findings.tally.fail
                );
                return Err(findings.code);
            }
            Preparation::Done(findings) => return Err(findings.code),
            Preparation::Stopped(signal) => return Err(128 | signal.number() as u8),
            Preparation::NotStarted(error) => format!("no process can be made for it: {error}"),
            Preparation::TookTooLong => {
                format!("it took longer than {:?}", self.effective.values.verify_deadline)
            }
            Preparation::Crashed(ended) => format!("it crashed ({ended:?})"),
        };
        if self.effective.form == Form::Off {
            return Err(failed("cannot make the directories", &why));
        }
        if self.effective.values.verify_policy == Policy::Warn {
            tracing::warn!("verification came to no result: {why}");
            return Ok(());
        }
        tracing::error!(
            "verification came to no result: {why}; the workload is not started; \
             set MAK_INIT_VERIFY=warn to start it all the same"
        );
        Err(code::NOT_VERIFIED)
    }
}

/// Makes a directory, and proves that its user can use it.
fn make_for(another: Option<&Identity>, directory: &Directory) -> Result<(), Box<dyn Error>> {
    let prepared = match another {
        None => prepare_directory(directory)?,
        Some(_) => make_directory(directory)?,
    };
    for note in prepared.notes {
        tracing::warn!("{}: {note}", directory.variable);
    }
    if let Some(user) = another {
        user.lend(|| prove(directory))??;
    }
    Ok(())
}

fn write_report(file: &OwnedFd, report: &Report) -> std::io::Result<()> {
    let file = std::fs::File::from(file.try_clone()?);
    let mut file = std::io::BufWriter::new(file);
    serde_json::to_writer(&mut file, report)?;
    std::io::Write::flush(&mut file)
}

/// The report's counts, as they are sent to PID 1.
fn tally(report: &Report) -> Tally {
    let count = |status| u16::try_from(report.count(status)).unwrap_or(u16::MAX);
    Tally {
        pass: count(Status::Pass),
        warn: count(Status::Warn),
        fail: count(Status::Fail),
        skip: count(Status::Skip),
    }
}
