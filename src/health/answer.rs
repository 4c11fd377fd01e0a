//! Path + state → status and body: the table of `docs/health.md` as a pure function. `known`
//! calls it for every request.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::confine::Confinement;
use super::figures::{Host, Workload};
use crate::init::frame::{Cause, Frame, Outcome, Phase};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/livez`: mak-init and the workload live.
    Live,
    /// `/readyz`: the workload runs and no stop was asked for.
    Ready,
    /// `/startupz`: the workload was started.
    Startup,
    /// `/health`, `/api/healthchecker`: everything.
    Health,
}

impl Page {
    /// The page at `path` (without its query), compared byte by byte.
    pub fn at(path: &str) -> Option<Page> {
        match path {
            "/livez" => Some(Page::Live),
            "/readyz" => Some(Page::Ready),
            "/startupz" => Some(Page::Startup),
            "/health" | "/api/healthchecker" => Some(Page::Health),
            _ => None,
        }
    }
}

/// Which form of an answer the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One line of text.
    Text,
    /// `application/json`
    Json,
    /// `application/health+json`
    HealthJson,
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Form::Text => "text/plain; charset=utf-8",
            Form::Json => "application/json",
            Form::HealthJson => "application/health+json",
        }
    }
}

/// All that an answer is made from.
pub struct State<'a> {
    /// PID 1's newest word.
    pub frame: Frame,
    /// mak-init's version.
    pub version: &'a str,
    /// The platform, as names and values.
    pub platform: &'a [(&'static str, String)],
    /// What the health process gave up.
    pub confinement: Confinement,
    /// Seconds since mak-init started.
    pub uptime: u64,
    /// The workload's figures, for [`Page::Health`] only.
    pub workload: Option<Workload>,
    /// The host's, for [`Page::Health`] only.
    pub host: Option<Host>,
}

/// A response without its HTTP.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body's media type.
    pub content_type: &'static str,
    /// The body; with a line end, for the person at the terminal.
    pub body: Cow<'static, [u8]>,
}

impl Answer {
    /// An answer of one line of text.
    pub fn text(status: u16, line: &'static str) -> Answer {
        let body = Cow::Borrowed(line.as_bytes());
        Answer { status, content_type: Form::Text.content_type(), body }
    }
}

/// The answer of `page` in `form`; [`Page::Health`] is always JSON.
pub fn answer(page: Page, form: Form, state: &State) -> Answer {
    let good = is_good(page, state.frame.phase);
    let status = if good { 200 } else { 503 };
    let form = match (page, form) {
        (Page::Health, Form::Text) => Form::Json,
        _ => form,
    };
    let body = match (page, form) {
        (_, Form::Text) => Cow::Borrowed(line(good, state.frame.phase).as_bytes()),
        (Page::Health, _) => json(&Report::of(good, state)),
        _ => json(&Brief { status: grade(good, state.frame.outcome), state: state.frame.phase }),
    };
    Answer { status, content_type: form.content_type(), body }
}

fn is_good(page: Page, phase: Phase) -> bool {
    match page {
        Page::Live => phase != Phase::Failed,
        Page::Startup => matches!(phase, Phase::Running | Phase::Stopping),
        Page::Ready | Page::Health => phase == Phase::Running,
    }
}

fn line(good: bool, phase: Phase) -> &'static str {
    match phase {
        _ if good => "ok\n",
        Phase::Starting => "starting: the workload is not started yet\n",
        Phase::Verifying => "verifying: the checks are running\n",
        Phase::Running => "running\n",
        Phase::Stopping => "stopping: a stop was asked for, or the workload has ended\n",
        Phase::Failed => "failed: verification failed, or the workload could not be started\n",
    }
}

fn grade(good: bool, outcome: Outcome) -> &'static str {
    match outcome {
        _ if !good => "fail",
        // With the policy `warn` the workload runs in spite of what failed.
        Outcome::Warn | Outcome::Fail => "warn",
        Outcome::NotAsked | Outcome::Pending | Outcome::Pass => "pass",
    }
}

fn json(value: &impl Serialize) -> Cow<'static, [u8]> {
    let mut body = Vec::with_capacity(1024);
    match serde_json::to_writer(&mut body, value) {
        Ok(()) => body.push(b'\n'),
        // Neither a map key that is no string nor a failing writer can occur here.
        Err(_) => body = b"{}\n".to_vec(),
    }
    Cow::Owned(body)
}

impl Serialize for Phase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Phase::Starting => "starting",
            Phase::Verifying => "verifying",
            Phase::Running => "running",
            Phase::Stopping => "stopping",
            Phase::Failed => "failed",
        })
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Outcome::NotAsked => "not-asked",
            Outcome::Pending => "pending",
            Outcome::Pass => "pass",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
        })
    }
}

/// The JSON of the three z-paths.
#[derive(Serialize)]
struct Brief {
    status: &'static str,
    state: Phase,
}

/// The JSON of `/health`.
#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    state: Phase,
    version: &'a str,
    uptime_seconds: u64,
    platform: Platform<'a>,
    verification: Verification,
    workload: WorkloadReport<'a>,
    health: HealthReport<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
}

struct Platform<'a>(&'a [(&'static str, String)]);

#[derive(Serialize)]
struct Verification {
    outcome: Outcome,
    pass: u16,
    warn: u16,
    fail: u16,
    skip: u16,
}

#[derive(Serialize)]
struct WorkloadReport<'a> {
    running: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(flatten)]
    figures: Option<&'a Workload>,
}

#[derive(Serialize)]
struct HealthReport<'a> {
    restarts: u32,
    #[serde(flatten)]
    confinement: &'a Confinement,
}

impl Serialize for Platform<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'a> Report<'a> {
    fn of(good: bool, state: &'a State) -> Report<'a> {
        let Frame { phase, outcome, tally, death, workload, health_restarts, .. } = state.frame;
        Report {
            status: grade(good, outcome),
            state: phase,
            version: state.version,
            uptime_seconds: state.uptime,
            platform: Platform(state.platform),
            verification: Verification {
                outcome,
                pass: tally.pass,
                warn: tally.warn,
                fail: tally.fail,
                skip: tally.skip,
            },
            workload: WorkloadReport {
                running: workload != 0,
                pid: (workload != 0).then_some(workload),
                exit_code: death.map(|(_, code)| code),
                cause: death.map(|(cause, _)| word(cause)),
                figures: state.workload.as_ref(),
            },
            health: HealthReport { restarts: health_restarts, confinement: &state.confinement },
            host: state.host,
        }
    }
}

/// A cause of death in a word.
fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::Code => "code",
        Cause::Signal => "signal",
        Cause::Asked => "asked",
        Cause::NotStarted => "not-started",
        Cause::OutOfMemory => "out-of-memory",
        Cause::IllegalInstruction => "illegal-instruction",
        Cause::BusError => "bus-error",
        Cause::Seccomp => "seccomp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::frame::Tally;
    use serde_json::{Value, json};

    const PHASES: [Phase; 5] =
        [Phase::Starting, Phase::Verifying, Phase::Running, Phase::Stopping, Phase::Failed];

    fn state(phase: Phase, outcome: Outcome) -> State<'static> {
        State {
            frame: Frame {
                phase,
                outcome,
                tally: Tally { pass: 22, warn: 2, fail: 0, skip: 1 },
                death: None,
                workload: 7,
                health_restarts: 3,
                started: 0,
                counts: Default::default(),
            },
            version: "0.1.0",
            platform: &[],
            confinement: Confinement { uid: 65534, no_new_privs: true, capabilities_dropped: true },
            uptime: 12,
            workload: None,
            host: None,
        }
    }

    #[test]
    fn each_phase_answers_as_the_table_in_the_documentation_says() {
        let rows = [
            (Page::Live, [200, 200, 200, 200, 503]),
            (Page::Startup, [503, 503, 200, 200, 503]),
            (Page::Ready, [503, 503, 200, 503, 503]),
            (Page::Health, [503, 503, 200, 503, 503]),
        ];
        for (page, expected) in rows {
            for form in [Form::Text, Form::Json, Form::HealthJson] {
                let got = PHASES.map(|p| answer(page, form, &state(p, Outcome::Pass)).status);
                assert_eq!(got, expected, "{page:?} {form:?}");
            }
        }
    }

    #[test]
    fn a_person_gets_one_line_and_a_program_gets_json() {
        let running = state(Phase::Running, Outcome::Pass);
        assert_eq!(answer(Page::Ready, Form::Text, &running), Answer::text(200, "ok\n"));
        for phase in PHASES {
            let text = answer(Page::Startup, Form::Text, &state(phase, Outcome::Pass));
            assert_eq!(text.body.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
        let brief = answer(Page::Ready, Form::HealthJson, &state(Phase::Verifying, Outcome::Pass));
        assert_eq!(brief.content_type, "application/health+json");
        let value: Value = serde_json::from_slice(&brief.body).unwrap();
        assert_eq!(value, json!({"status": "fail", "state": "verifying"}));
    }

    #[test]
    fn a_warning_is_healthy_and_says_warn() {
        for outcome in [Outcome::Warn, Outcome::Fail] {
            let answer = answer(Page::Health, Form::Text, &state(Phase::Running, outcome));
            let value: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((answer.status, &value["status"]), (200, &json!("warn")));
        }
    }

    #[test]
    fn health_shows_every_part() {
        let platform = [("architecture", "amd64".to_owned())];
        let full = State {
            platform: &platform,
            workload: Some(Workload { process_state: 'S', rss_bytes: 4096, threads: 2 }),
            host: Some(Host { memory_bytes: 1024, cpus: 2 }),
            ..state(Phase::Running, Outcome::Pass)
        };
        let answer = answer(Page::Health, Form::Text, &full);
        assert_eq!(answer.content_type, "application/json");
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = json!({
            "status": "pass", "state": "running", "version": "0.1.0", "uptime_seconds": 12,
            "platform": {"architecture": "amd64"},
            "verification": {"outcome": "pass", "pass": 22, "warn": 2, "fail": 0, "skip": 1},
            "workload":
                {"running": true, "pid": 7, "process_state": "S", "rss_bytes": 4096, "threads": 2},
            "health": {"restarts": 3, "uid": 65534, "no_new_privs": true,
                "capabilities_dropped": true},
            "host": {"memory_bytes": 1024, "cpus": 2},
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn health_shows_why_the_workload_ended() {
        let mut ended = state(Phase::Stopping, Outcome::Pass);
        ended.frame.workload = 0;
        ended.frame.death = Some((Cause::OutOfMemory, 137));
        let answer = answer(Page::Health, Form::Json, &ended);
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = json!({"running": false, "exit_code": 137, "cause": "out-of-memory"});
        assert_eq!((answer.status, &value["workload"]), (503, &expected));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut early = state(Phase::Starting, Outcome::NotAsked);
        early.frame.workload = 0;
        let answer = answer(Page::Health, Form::HealthJson, &early);
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(value["workload"], json!({"running": false}));
        assert!(value.get("host").is_none());
    }

    #[test]
    fn paths_compare_exactly() {
        assert_eq!(Page::at("/api/healthchecker"), Some(Page::Health));
        for other in ["/", "", "/livez/", "/LIVEZ", "/%6civez", "/livez%00", "//livez", "livez"] {
            assert_eq!(Page::at(other), None, "{other}");
        }
    }
}
