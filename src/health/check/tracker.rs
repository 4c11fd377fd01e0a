//! What a check has come to: findings go in, `pending`, `pass` or `fail` comes out. Pure; `rounds`
//! feeds it, the pages and the metrics read it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::CheckEntry;

/// As many findings are kept for the page.
const HISTORY: usize = 30;

/// As many characters of a reason are kept.
const LONGEST_MESSAGE: usize = 160;

/// Where a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing has been settled yet.
    Pending,
    /// It was as it should be often enough.
    Pass,
    /// It was not.
    Fail,
}

/// One look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// When it ended, in milliseconds since the machine started.
    pub at: u64,
    /// How long it took.
    pub took: Duration,
    /// What was wrong, if something was.
    pub result: Result<(), String>,
    /// The round began late by more than an interval (a paused container, a machine that slept):
    /// a failure then says nothing.
    pub late: bool,
}

/// A finding in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// When, in milliseconds since the machine started.
    pub at: u64,
    /// Whether all was well.
    pub good: bool,
}

/// A check as it stands.
#[derive(Clone, Debug)]
pub struct Tracker {
    status: Status,
    /// When the workload that it is about was started.
    began: u64,
    /// The start period is over for it: it has succeeded once.
    settled: bool,
    good_row: u32,
    bad_row: u32,
    /// Looks that ended well.
    pub successes: u64,
    /// Looks that did not, counted or not.
    pub failures: u64,
    /// The last look's duration.
    pub took: Duration,
    /// What the last failed look found, and when.
    pub last_failure: Option<(u64, String)>,
    /// What is wrong now; empty while nothing is.
    pub message: String,
    /// The last findings, the newest last.
    pub history: VecDeque<Past>,
}

impl Tracker {
    /// A check of a workload that was started at `began`.
    pub fn new(began: u64) -> Tracker {
        Tracker {
            status: Status::Pending,
            began,
            settled: false,
            good_row: 0,
            bad_row: 0,
            successes: 0,
            failures: 0,
            took: Duration::ZERO,
            last_failure: None,
            message: String::new(),
            history: VecDeque::with_capacity(HISTORY),
        }
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The workload was started anew: nothing is settled, counts and history stay.
    pub fn restart(&mut self, began: u64) {
        self.status = Status::Pending;
        self.began = began;
        self.settled = false;
        self.good_row = 0;
        self.bad_row = 0;
        self.message.clear();
    }

    /// Takes a finding in; true where the check has failed by it and had not before.
    pub fn note(&mut self, rules: &CheckEntry, finding: Finding) -> bool {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Past { at: finding.at, good: finding.result.is_ok() });
        self.took = finding.took;
        match finding.result {
            Ok(()) => {
                self.succeed(rules);
                false
            }
            Err(why) => self.fail(rules, finding.at, why, finding.late),
        }
    }

    fn succeed(&mut self, rules: &CheckEntry) {
        self.successes += 1;
        self.settled = true;
        self.bad_row = 0;
        self.good_row = self.good_row.saturating_add(1);
        if self.status != Status::Fail || self.good_row >= rules.successes {
            self.message.clear();
        }
        if self.good_row >= rules.successes {
            self.status = Status::Pass;
        }
    }

    fn fail(&mut self, rules: &CheckEntry, at: u64, why: String, late: bool) -> bool {
        let why: String = why.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect();
        self.failures += 1;
        self.good_row = 0;
        self.last_failure = Some((at, why.clone()));
        self.message = why;
        let starting = u128::from(at.saturating_sub(self.began)) < rules.start_period.as_millis();
        if late || (starting && !self.settled) {
            self.bad_row = 0;
            return false;
        }
        self.bad_row = self.bad_row.saturating_add(1);
        let newly = self.bad_row >= rules.failures && self.status != Status::Fail;
        if newly {
            self.status = Status::Fail;
        }
        newly
    }
}

#[cfg(test)]
pub(in crate::health) mod tests {
    use super::*;
    use crate::config::check::{Level, OnFailure, Subject};
    use proptest::prelude::*;

    pub fn rules(failures: u32, successes: u32) -> CheckEntry {
        CheckEntry {
            name: "x".to_owned(),
            subject: Subject::Memory(90),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            jitter: Duration::ZERO,
            start_period: Duration::from_secs(30),
            failures,
            successes,
            level: Level::Ready,
            on_failure: OnFailure::None,
        }
    }

    fn finding(at: u64, good: bool) -> Finding {
        let result = if good { Ok(()) } else { Err("down\x1b".to_owned()) };
        Finding { at, took: Duration::from_millis(5), result, late: false }
    }

    #[test]
    fn failures_in_a_row_make_it_fail_and_successes_in_a_row_make_it_pass() {
        let rules = rules(3, 2);
        let mut tracker = Tracker::new(0);
        let mut seen = Vec::new();
        for (round, good) in
            [true, true, false, false, true, false, false, false, false, true, true]
                .iter()
                .enumerate()
        {
            let newly = tracker.note(&rules, finding(100_000 + round as u64, *good));
            seen.push((tracker.status(), newly));
        }
        use Status::*;
        let statuses: Vec<Status> = seen.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [Pending, Pass, Pass, Pass, Pass, Pass, Pass, Fail, Fail, Fail, Pass]);
        assert_eq!(seen.iter().filter(|(_, newly)| *newly).count(), 1);
        assert_eq!(tracker.message, "");
        assert_eq!(tracker.last_failure, Some((100_008, "down".to_owned())));
        assert_eq!((tracker.successes, tracker.failures), (5, 6));
    }

    #[test]
    fn a_start_period_forgives_until_the_first_success() {
        let rules = rules(1, 1);
        let mut tracker = Tracker::new(1000);
        assert!(!tracker.note(&rules, finding(30_999, false)));
        assert_eq!(tracker.status(), Status::Pending);
        assert!(!tracker.note(&rules, finding(30_999, true)));
        assert!(tracker.note(&rules, finding(30_999, false)), "a success ends it early");
        tracker.restart(50_000);
        assert_eq!(tracker.status(), Status::Pending);
        assert!(tracker.note(&rules, finding(80_000, false)), "it is over by time");
    }

    #[test]
    fn a_round_that_began_late_counts_no_failure() {
        let rules = rules(2, 1);
        let mut tracker = Tracker::new(0);
        tracker.note(&rules, finding(100_000, true));
        tracker.note(&rules, finding(110_000, false));
        let late = Finding { late: true, ..finding(900_000, false) };
        assert!(!tracker.note(&rules, late));
        assert!(!tracker.note(&rules, finding(910_000, false)), "the row begins again");
        assert!(tracker.note(&rules, finding(920_000, false)));
    }

    proptest! {
        #[test]
        fn it_fails_only_after_so_many_failures_in_a_row(
            findings in proptest::collection::vec(any::<bool>(), 0..100), failures in 1_u32..5
        ) {
            let rules = rules(failures, 1);
            let mut tracker = Tracker::new(0);
            for (round, good) in findings.iter().enumerate() {
                let at = 1_000_000 + round as u64;
                if tracker.note(&rules, finding(at, *good)) {
                    let row = &findings[..=round];
                    prop_assert!(row.iter().rev().take(failures as usize).all(|good| !good));
                    prop_assert!(row.len() >= failures as usize);
                }
                prop_assert!(tracker.history.len() <= HISTORY);
                prop_assert_eq!(*good, tracker.message.is_empty());
            }
        }
    }
}
