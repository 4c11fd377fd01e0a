//! What has to be done before the workload starts, and must not be done in PID 1: a child makes
//! the directories and runs the checks. PID 1 waits for it with a deadline and for signals.

#![allow(unsafe_code, reason = "system calls that no crate here wraps")]

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::unistd::{ForkResult, fork};
use rustix::pipe::{PipeFlags, pipe_with};

use super::clock::Moment;
use super::forward::send;
use super::frame::{Outcome, Tally};
use super::health_process::HealthProcess;
use super::mask::Mask;
use super::pid::Pid;
use super::reap::{Ended, Reaped, reap_next};
use super::receive::Signals;
use super::spawn::exit_now;
use crate::config::Signal;

/// What the child found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Findings {
    /// 0 to go on; else mak-init's exit code, and the reason has been logged.
    pub code: u8,
    /// What verification came to.
    pub outcome: Outcome,
    /// The checks behind it.
    pub tally: Tally,
}

/// How the preparation ended.
#[derive(Debug)]
pub enum Preparation {
    /// With these findings.
    Done(Findings),
    /// By a signal that asks for a stop.
    Stopped(Signal),
    /// Without findings: no child could be made.
    NotStarted(io::Error),
    /// Without findings: the child did not end in time and was killed.
    TookTooLong,
    /// Without findings: the child crashed.
    Crashed(Ended),
}

/// A finding on the pipe: code, outcome, four counts.
const SIZE: usize = 10;

/// Runs `work` in a child of its own.
pub fn prepare(
    signals: &Signals,
    stop_signals: Mask,
    deadline: Duration,
    health: Option<&mut HealthProcess>,
    work: &dyn Fn() -> Findings,
) -> Preparation {
    let (child, results) = match start(work) {
        Ok(started) => started,
        Err(error) => return Preparation::NotStarted(error),
    };
    let mut wait = Wait { child, signals, health, gone: None, stop: None };
    let up = Moment::now().after(deadline);
    while wait.gone.is_none() {
        let now = Moment::now();
        if now >= up || wait.stop.is_some() {
            send(child, Signal::KILL);
        }
        wait.turn(stop_signals, (now < up && wait.stop.is_none()).then(|| up.wait_from(now)));
    }
    match (wait.stop, wait.gone, read(&results)) {
        (Some(signal), ..) => Preparation::Stopped(signal),
        (None, Some(Ended::Code(0)), Some(findings)) => Preparation::Done(findings),
        (None, Some(Ended::Signal(9)), _) if Moment::now() >= up => Preparation::TookTooLong,
        (None, Some(ended), _) => Preparation::Crashed(ended),
        (None, None, _) => Preparation::TookTooLong,
    }
}

fn start(work: &dyn Fn() -> Findings) -> io::Result<(Pid, OwnedFd)> {
    let (results, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // SAFETY: this process has one thread, so that the child may do whatever we may.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            let child = Pid::new(child.as_raw());
            Ok((child.ok_or_else(|| io::Error::other("fork gave no process id"))?, results))
        }
        ForkResult::Child => {
            // The memory of set-up goes on serving: it ends with this process.
            drop(results);
            let written = rustix::io::write(&write, &encode(&work()));
            exit_now(u8::from(written != Ok(SIZE)))
        }
    }
}

/// Waiting for the child.
struct Wait<'a, 'h, 's> {
    child: Pid,
    signals: &'a Signals,
    health: Option<&'h mut HealthProcess<'s>>,
    gone: Option<Ended>,
    stop: Option<Signal>,
}

impl Wait<'_, '_, '_> {
    /// Waits for a signal, at most so long, and takes note of what happened.
    fn turn(&mut self, stop_signals: Mask, longest: Option<rustix::event::Timespec>) {
        let arrival = self.signals.wait(None, longest.as_ref());
        if let Some(arrival) = arrival.filter(|arrival| stop_signals.has(arrival.signal)) {
            self.stop.get_or_insert(arrival.signal);
        }
        loop {
            match reap_next() {
                Reaped::Ended(pid, ended) if pid == self.child => self.gone = Some(ended),
                Reaped::Ended(pid, _) => {
                    if let Some(health) = &mut self.health {
                        health.has_ended(pid);
                    }
                }
                Reaped::Quiet | Reaped::NobodyLeft => break,
            }
        }
        if let Some(health) = &mut self.health {
            health.end_if_stopped();
        }
    }
}

fn encode(findings: &Findings) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes[0] = findings.code;
    bytes[1] = findings.outcome as u8;
    bytes[2..].copy_from_slice(&findings.tally.encode());
    bytes
}

fn read(results: &OwnedFd) -> Option<Findings> {
    let mut bytes = [0; SIZE];
    let count = rustix::io::read(results, &mut bytes[..]).ok()?;
    if count != SIZE {
        return None;
    }
    let mut counts = [0; Tally::SIZE];
    counts.copy_from_slice(&bytes[2..]);
    Some(Findings {
        code: bytes[0],
        outcome: Outcome::from_byte(bytes[1])?,
        tally: Tally::decode(counts),
    })
}
