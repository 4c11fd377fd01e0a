//! Ctrl-C and TERM while something is installed: noted, not obeyed at once. The first one lets a
//! step that must not be cut off finish; the second ends that too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What has been asked since the start.
#[derive(Clone, Debug, Default)]
pub struct Interrupts {
    /// Set by the signal handlers, taken back by [`Interrupts::new_one`].
    raised: Arc<AtomicBool>,
    /// Whether there ever was one.
    asked: Arc<AtomicBool>,
}

impl Interrupts {
    /// Takes SIGINT, SIGTERM and SIGHUP from now on. Where that fails they end the program, as
    /// they always do.
    pub fn listen() -> Interrupts {
        let interrupts = Interrupts::default();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            for flag in [&interrupts.raised, &interrupts.asked] {
                let _ = signal_hook::flag::register(signal, Arc::clone(flag));
            }
        }
        interrupts
    }

    /// Whether there was one at all.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether there was one since the last call.
    pub fn new_one(&self) -> bool {
        self.raised.swap(false, Ordering::Relaxed)
    }
}
