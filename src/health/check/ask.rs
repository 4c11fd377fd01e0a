//! Asking PID 1: requests go out by the link, replies come back with the frames (`link`).

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::net::{SendFlags, send};
use tokio::sync::oneshot;

use crate::init::inquiry::{Reply, Request, Verb};

/// A request that waits: its number, and whom to tell.
type Waiting = (u32, oneshot::Sender<Result<(), String>>);

/// The way to PID 1.
pub struct Asker {
    link: OwnedFd,
    number: AtomicU32,
    waiting: Mutex<Vec<Option<Waiting>>>,
}

impl Asker {
    /// For so many checks.
    pub fn new(link: OwnedFd, checks: usize) -> Asker {
        let waiting = (0..checks).map(|_| None).collect();
        Asker { link, number: AtomicU32::new(0), waiting: Mutex::new(waiting) }
    }

    /// Has PID 1 look at this check. PID 1 may stay silent, so that the caller sets a time limit.
    pub async fn look(&self, check: usize) -> Result<(), String> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (teller, told) = oneshot::channel();
        match self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get_mut(check) {
            Some(place) => *place = Some((number, teller)),
            None => return Err("there is no such check".to_owned()),
        }
        self.send(Verb::Look, check, number)?;
        told.await.unwrap_or_else(|_| Err("mak-init did not answer".to_owned()))
    }

    /// Tells PID 1 that this check has failed.
    pub fn report_failure(&self, check: usize) {
        // Unsent, it is said again when the check fails the next time.
        let _ = self.send(Verb::Failed, check, self.number.fetch_add(1, Ordering::Relaxed));
    }

    /// A reply has come. One that is too late finds nobody waiting.
    pub fn take(&self, reply: Reply) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = waiting.get_mut(usize::from(reply.check)) else { return };
        if let Some((_, teller)) = place.take_if(|(number, _)| *number == reply.number) {
            let _ = teller.send(reply.result);
        }
    }

    fn send(&self, verb: Verb, check: usize, number: u32) -> Result<(), String> {
        let check = u16::try_from(check).map_err(|_| "there is no such check".to_owned())?;
        let request = Request { verb, check, number };
        send(&self.link, &request.encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
            .map(drop)
            .map_err(|_| "mak-init is busy".to_owned())
    }
}
