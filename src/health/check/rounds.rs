//! When to look: one task for each check, for as long as one workload runs. `serve` starts them and
//! ends them. A check that hangs holds up its own task alone.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::look::look;
use super::tracker::Finding;
use crate::config::CheckEntry;
use crate::config::check::{Level, OnFailure, Subject};
use crate::health::known::{Known, clock};

/// PID 1's helper keeps the check's own time limit and says so; its word may take so much longer.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// Looks at check number `index` for ever.
pub async fn watch(known: Arc<Known>, index: usize) {
    let Some(check) = known.checks().get(index) else { return };
    let mut due = Instant::now() + chance(check.jitter);
    let mut planned = clock::boottime() + millis(due.saturating_duration_since(Instant::now()));
    loop {
        match check.subject {
            Subject::Notify(watchdog) => until_said(&known, index, watchdog, due).await,
            _ => sleep_until(due).await,
        }
        let finding = look_once(&known, check, index, planned).await;
        if known.note(index, finding)
            && check.level == Level::Alive
            && check.on_failure != OnFailure::None
        {
            known.asker().report_failure(index);
        }
        let pause = check.interval + chance(check.jitter);
        due = Instant::now() + pause;
        planned = clock::boottime() + millis(pause);
    }
}

/// Returns when it is time, or as soon as the workload has said what the check was waiting for.
async fn until_said(known: &Known, index: usize, watchdog: Option<Duration>, due: Instant) {
    while timeout_at(due, known.notified()).await.is_ok() {
        if !known.passes(index) && known.judge_notice(watchdog).is_ok() {
            return;
        }
    }
}

async fn look_once(known: &Known, check: &CheckEntry, index: usize, planned: u64) -> Finding {
    let began = clock::boottime();
    let (limit, outcome) = if check.subject.needs_init() {
        let limit = check.timeout + ON_THE_WAY;
        (limit, timeout(limit, known.asker().look(index)).await)
    } else if let Subject::Notify(watchdog) = check.subject {
        (check.timeout, Ok(known.judge_notice(watchdog)))
    } else {
        let workload = known.frame().workload;
        (check.timeout, timeout(check.timeout, look(&check.subject, workload)).await)
    };
    let result = outcome
        .unwrap_or_else(|_| Err(format!("no answer within {} s", check.timeout.as_secs_f64())));
    let at = clock::boottime();
    let took = Duration::from_millis(at.saturating_sub(began));
    // Time that passed while nothing here could run is nobody's failure.
    let slept = took > limit + check.interval;
    let late = began.saturating_sub(planned) > millis(check.interval) || slept;
    Finding { at, took, result, late }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time up to `most`, by chance: std's hash keys are random for each process.
fn chance(most: Duration) -> Duration {
    if most.is_zero() {
        return most;
    }
    let number = std::hash::RandomState::new().hash_one(Instant::now().elapsed());
    most.mul_f64((number >> 11) as f64 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_stays_within_its_bounds() {
        let most = Duration::from_secs(2);
        let found: Vec<Duration> = (0..100).map(|_| chance(most)).collect();
        assert!(found.iter().all(|length| *length < most));
        assert!(found.iter().any(|length| *length != found[0]));
        assert_eq!(chance(Duration::ZERO), Duration::ZERO);
    }
}
