//! What the workload says itself on `NOTIFY_SOCKET` (`man 3 sd_notify`): `READY=1`, `WATCHDOG=1`,
//! `STATUS=…`, `STOPPING=1`. Everything else is passed over. `serve` feeds it, the `notify` checks
//! and the pages read it.

use std::time::Duration;

/// As many characters of a status are kept.
const LONGEST_STATUS: usize = 160;

/// The most bytes of one message that are read.
pub const LONGEST_MESSAGE: usize = 4096;

/// What has been said so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// When it said that it is ready, in milliseconds since the machine started.
    ready: Option<u64>,
    /// It said that it stops.
    stopping: bool,
    /// When it last said that it lives.
    alive: Option<u64>,
    /// Its own words.
    pub status: String,
}

impl Notice {
    /// Takes in a message that came at `now`.
    pub fn hear(&mut self, message: &[u8], now: u64) {
        let message = message.get(..LONGEST_MESSAGE).unwrap_or(message);
        for line in message.split(|byte| *byte == b'\n') {
            match line {
                b"READY=1" => {
                    self.ready = Some(now);
                    self.stopping = false;
                }
                b"WATCHDOG=1" => self.alive = Some(now),
                b"STOPPING=1" => self.stopping = true,
                _ => {
                    if let Some(text) = line.strip_prefix(b"STATUS=") {
                        let text = String::from_utf8_lossy(text);
                        let plain = text.chars().filter(|c| !c.is_control());
                        self.status = plain.take(LONGEST_STATUS).collect();
                    }
                }
            }
        }
    }

    /// Ready, and, where it has to say that it lives, not silent for too long.
    pub fn judge(&self, watchdog: Option<Duration>, now: u64) -> Result<(), String> {
        let Some(ready) = self.ready else { return Err("it has not said READY=1".to_owned()) };
        if self.stopping {
            return Err("it said STOPPING=1".to_owned());
        }
        let silent = now.saturating_sub(self.alive.unwrap_or(0).max(ready));
        match watchdog {
            Some(limit) if u128::from(silent) > limit.as_millis() => {
                Err(format!("no WATCHDOG=1 for {} s", silent / 1000))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ready_holds_until_stopping_and_a_watchdog_must_be_fed() {
        let limit = Some(Duration::from_secs(10));
        let mut notice = Notice::default();
        assert!(notice.judge(None, 0).is_err());
        notice.hear(b"STATUS=warming up\x1b\nREADY=1\n", 1000);
        assert_eq!(notice.status, "warming up");
        assert_eq!(notice.judge(limit, 11_000), Ok(()));
        assert_eq!(notice.judge(limit, 12_000), Err("no WATCHDOG=1 for 11 s".to_owned()));
        notice.hear(b"WATCHDOG=1", 12_000);
        assert_eq!(notice.judge(limit, 22_000), Ok(()));
        notice.hear(b"STOPPING=1", 22_000);
        assert!(notice.judge(None, 22_000).is_err());
        notice.hear(b"READY=2\nXREADY=1\nWATCHDOG=trigger", 30_000);
        assert!(notice.judge(None, 30_000).is_err());
    }

    proptest! {
        #[test]
        fn any_message_is_heard_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut notice = Notice::default();
            notice.hear(&bytes, u64::MAX);
            let _ = notice.judge(Some(Duration::ZERO), 0);
            prop_assert!(notice.status.chars().count() <= LONGEST_STATUS);
        }
    }
}
