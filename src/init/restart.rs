//! When a workload that has ended is started again, and how long that waits.

use std::time::Duration;

use super::reap::Ended;
use crate::config::setting::Restart;

/// The policy and the series of starts it is applied to.
pub struct Restarts {
    /// When at all.
    pub policy: Restart,
    /// The first wait.
    pub delay: Duration,
    /// The longest wait.
    pub max_delay: Duration,
    /// Having run this long, the series begins anew.
    pub stable: Duration,
    /// The longest series; 0 for no limit.
    pub limit: u32,
    /// Starts in this series.
    series: u32,
    next_delay: Duration,
}

/// What follows the workload's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its end is the container's.
    Final,
    /// It has ended too often: its end is final all the same.
    TooOften,
    /// It is started again after this wait.
    Again(Duration),
}

impl Restarts {
    /// A series that has not begun.
    pub fn new(
        policy: Restart,
        delay: Duration,
        max_delay: Duration,
        stable: Duration,
        limit: u32,
    ) -> Restarts {
        Restarts { policy, delay, max_delay, stable, limit, series: 0, next_delay: delay }
    }

    /// Starts in this series so far.
    pub fn series(&self) -> u32 {
        self.series
    }

    /// What follows this end of a workload that ran so long. `chance` is any number: it spreads
    /// the starts of many containers that ended together by up to a tenth of the wait.
    pub fn judge(&mut self, ended: Ended, ran: Duration, chance: u64) -> Verdict {
        let again = match self.policy {
            Restart::Never => false,
            Restart::OnFailure => ended != Ended::Code(0),
            Restart::Always => true,
        };
        if !again {
            return Verdict::Final;
        }
        if ran >= self.stable {
            self.series = 0;
            self.next_delay = self.delay;
        }
        if self.limit != 0 && self.series >= self.limit {
            return Verdict::TooOften;
        }
        self.series = self.series.saturating_add(1);
        let wait = self.next_delay.min(self.max_delay);
        self.next_delay = (wait * 2).min(self.max_delay);
        Verdict::Again(wait + wait / 10 * (chance % 101) as u32 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn restarts(policy: Restart) -> Restarts {
        Restarts::new(policy, MS(100), MS(300), MS(1000), 3)
    }

    #[test]
    fn waits_double_up_to_the_cap_and_the_series_ends_at_its_limit() {
        let mut restarts = restarts(Restart::Always);
        for wait in [100, 200, 300] {
            assert_eq!(restarts.judge(Ended::Code(0), MS(1), 0), Verdict::Again(MS(wait)));
        }
        assert_eq!(restarts.judge(Ended::Code(0), MS(1), 0), Verdict::TooOften);
        assert_eq!(restarts.judge(Ended::Code(0), MS(1000), 0), Verdict::Again(MS(100)));
    }

    #[test]
    fn chance_adds_at_most_a_tenth() {
        for chance in [0, 50, 100, u64::MAX] {
            let Verdict::Again(wait) =
                restarts(Restart::Always).judge(Ended::Code(1), MS(1), chance)
            else {
                panic!("a policy of always starts again");
            };
            assert!((MS(100)..=MS(110)).contains(&wait), "{wait:?}");
        }
    }

    #[test]
    fn success_is_final_on_failure_and_everything_is_final_under_never() {
        let mut on_failure = restarts(Restart::OnFailure);
        assert_eq!(on_failure.judge(Ended::Code(0), MS(1), 0), Verdict::Final);
        assert!(matches!(on_failure.judge(Ended::Signal(9), MS(1), 0), Verdict::Again(_)));
        assert_eq!(restarts(Restart::Never).judge(Ended::Code(1), MS(1), 0), Verdict::Final);
    }
}
