//! The run as a state machine: named stages, named events, one table. docs/architecture.md
//! shows the same as a picture.

/// Where the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The workload runs and nobody has asked for a stop.
    Running,
    /// A stop was asked for; the workload has the grace period.
    Stopping,
    /// The grace period is over; the workload has been killed and is still to be reaped.
    Killing,
    /// The workload is gone; what is left has been asked to end.
    Draining,
    /// What is left has been killed and is still to be reaped.
    Clearing,
    /// Nothing is left to wait for.
    Over,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// One of the stop signals arrived; it has been forwarded.
    StopAsked,
    /// The workload has been reaped.
    WorkloadEnded,
    /// The stage's time is up.
    TimeUp,
    /// No child is left.
    NobodyLeft,
}

/// What has to be done on the way into a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the grace period.
    GiveGrace,
    /// KILL the workload.
    KillWorkload,
    /// The workload cannot be killed: go on without it.
    AbandonWorkload,
    /// End health, then TERM to everything that is left.
    AskTheRest,
    /// KILL to everything that is left.
    KillTheRest,
    /// Nothing more.
    Finish,
}

/// The next stage and what to do; `None` where the event changes nothing.
pub const fn next(stage: Stage, event: Event) -> Option<(Stage, Action)> {
    use {Action::*, Event::*, Stage::*};
    Some(match (stage, event) {
        (Running, StopAsked) => (Stopping, GiveGrace),
        (Running | Stopping | Killing, WorkloadEnded) => (Draining, AskTheRest),
        (Stopping, TimeUp) => (Killing, KillWorkload),
        (Killing, TimeUp) => (Draining, AbandonWorkload),
        (Draining, TimeUp) => (Clearing, KillTheRest),
        (Draining | Clearing, NobodyLeft) | (Clearing, TimeUp) => (Over, Finish),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: [Stage; 6] = [
        Stage::Running,
        Stage::Stopping,
        Stage::Killing,
        Stage::Draining,
        Stage::Clearing,
        Stage::Over,
    ];

    #[test]
    fn every_stage_but_running_ends_by_time_alone() {
        for start in STAGES {
            let mut stage = start;
            for _ in 0..STAGES.len() {
                stage = next(stage, Event::TimeUp).map_or(stage, |(stage, _)| stage);
            }
            let expected = if start == Stage::Running { Stage::Running } else { Stage::Over };
            assert_eq!(stage, expected, "from {start:?}");
        }
    }

    #[test]
    fn the_stages_only_go_forward() {
        let order = |stage| STAGES.iter().position(|known| *known == stage);
        for stage in STAGES {
            for event in [Event::StopAsked, Event::WorkloadEnded, Event::TimeUp, Event::NobodyLeft]
            {
                if let Some((later, _)) = next(stage, event) {
                    assert!(order(later) > order(stage), "{stage:?} {event:?}");
                }
            }
        }
    }
}
