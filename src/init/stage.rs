//! The run as a state machine: named stages, named events, one table. docs/architecture.md
//! shows the same as a picture.

/// Where the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The workload is to be started, as soon as a process can be made for it.
    Starting,
    /// The workload runs and nobody has asked for a stop.
    Running,
    /// The workload has ended and will be started again.
    Restarting,
    /// A stop was asked for; the workload hears of it when the delay is over.
    Delaying,
    /// The workload has been told; it has the grace period.
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
    /// The workload has been started.
    Started,
    /// No process could be made for it in all the time there was.
    GaveUp,
    /// Its process has been reaped, and was refused the program without a word.
    Refused,
    /// A stop was asked for, and the workload is to hear of it at once.
    StopAsked,
    /// A stop was asked for, and a delay is configured.
    DelayAsked,
    /// Somebody has lost patience: a second TERM or INT.
    HurryAsked,
    /// The workload has been reaped, and its end is final.
    WorkloadEnded,
    /// The workload has been reaped, and is to be started again.
    RestartDue,
    /// The stage's time is up.
    TimeUp,
    /// No child is left.
    NobodyLeft,
}

/// What has to be done on the way into a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Try to start the workload.
    Start,
    /// The workload runs.
    Watch,
    /// Wait before it is started again.
    BackOff,
    /// Wait before the workload hears of the stop.
    Delay,
    /// Tell the workload to stop and start the grace period.
    Stop,
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
        (Starting, TimeUp) => (Starting, Start),
        (Starting, Started) => (Running, Watch),
        (Starting | Restarting, StopAsked | DelayAsked | GaveUp) => (Draining, AskTheRest),
        (Restarting, TimeUp) => (Starting, Start),
        (Running, Refused) => (Starting, Start),
        (Running, RestartDue) => (Restarting, BackOff),
        (Running, DelayAsked) => (Delaying, Delay),
        (Running, StopAsked) | (Delaying, TimeUp | HurryAsked) => (Stopping, Stop),
        (Stopping, TimeUp | HurryAsked) => (Killing, KillWorkload),
        (Killing, TimeUp) => (Draining, AbandonWorkload),
        (Running | Delaying | Stopping | Killing, WorkloadEnded) => (Draining, AskTheRest),
        (Draining, TimeUp) => (Clearing, KillTheRest),
        (Draining | Clearing, NobodyLeft) | (Clearing, TimeUp) => (Over, Finish),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: [Stage; 9] = [
        Stage::Starting,
        Stage::Restarting,
        Stage::Running,
        Stage::Delaying,
        Stage::Stopping,
        Stage::Killing,
        Stage::Draining,
        Stage::Clearing,
        Stage::Over,
    ];

    const EVENTS: [Event; 10] = [
        Event::Started,
        Event::GaveUp,
        Event::Refused,
        Event::StopAsked,
        Event::DelayAsked,
        Event::HurryAsked,
        Event::WorkloadEnded,
        Event::RestartDue,
        Event::TimeUp,
        Event::NobodyLeft,
    ];

    #[test]
    fn a_stop_ends_every_stage_by_time_alone() {
        for start in STAGES {
            let mut stage = next(start, Event::StopAsked).map_or(start, |(stage, _)| stage);
            for _ in 0..STAGES.len() {
                stage = next(stage, Event::TimeUp).map_or(stage, |(stage, _)| stage);
            }
            assert_eq!(stage, Stage::Over, "from {start:?}");
        }
    }

    #[test]
    fn only_a_restart_goes_back() {
        let order = |stage| STAGES.iter().position(|known| *known == stage);
        for stage in STAGES {
            for event in EVENTS {
                let Some((later, action)) = next(stage, event) else { continue };
                let back = matches!(action, Action::BackOff | Action::Start);
                assert!(back || order(later) > order(stage), "{stage:?} {event:?}");
            }
        }
    }

    #[test]
    fn what_is_over_stays_over() {
        assert!(EVENTS.iter().all(|event| next(Stage::Over, *event).is_none()));
    }
}
