//! Path + state → status and body: the table of `docs/health.md` as a pure function. `known`
//! calls it for every request.

use std::borrow::Cow;
use std::fmt::Write;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::check::tracker::{Status, Tracker};
use super::confine::Confinement;
use super::figures::{Host, Workload};
use crate::config::CheckEntry;
use crate::config::check::Level;
use crate::init::frame::{Cause, Frame, Outcome, Phase};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/livez`: mak-init and the workload live.
    Live,
    /// `/readyz`: the workload runs, no stop was asked for, and all checks pass.
    Ready,
    /// `/startupz`: the workload was started.
    Startup,
    /// `/health`, `/api/healthchecker`: everything.
    Health,
    /// `/report`: what verification found.
    Report,
    /// `/metrics`
    Metrics,
    /// `/`: the page for a browser.
    Root,
}

impl Page {
    /// The page at `path` (without its query), compared byte by byte, and for a path of the form
    /// `/readyz/NAME` the name.
    pub fn at(path: &str) -> Option<(Page, Option<&str>)> {
        let whole = match path {
            "/livez" => Page::Live,
            "/readyz" => Page::Ready,
            "/startupz" => Page::Startup,
            "/health" | "/api/healthchecker" => Page::Health,
            "/report" => Page::Report,
            "/metrics" => Page::Metrics,
            "/" => Page::Root,
            _ => {
                let (page, name) = path.strip_prefix('/')?.split_once('/')?;
                let page = match page {
                    "livez" => Page::Live,
                    "readyz" => Page::Ready,
                    "startupz" => Page::Startup,
                    _ => return None,
                };
                return Some((page, Some(name)));
            }
        };
        Some((whole, None))
    }

    /// Whether it needs no token.
    pub fn is_open(self) -> bool {
        matches!(self, Page::Live | Page::Ready | Page::Startup)
    }

    /// Whether it shows figures.
    pub fn is_full(self) -> bool {
        matches!(self, Page::Health | Page::Metrics)
    }

    const fn name(self) -> &'static str {
        match self {
            Page::Live => "livez",
            Page::Ready => "readyz",
            Page::Startup => "startupz",
            _ => "health",
        }
    }
}

/// Which form of an answer the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text, but where programs get JSON.
    Text,
    /// Text everywhere: for a person at a terminal.
    Terminal,
    /// `application/json`
    Json,
    /// `application/health+json`
    HealthJson,
    /// `text/html`, as browsers ask.
    Html,
    /// `application/openmetrics-text`, as Prometheus asks.
    OpenMetrics,
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
    /// What is looked at.
    pub checks: &'a [CheckEntry],
    /// What came of it, in the same order.
    pub trackers: &'a [Tracker],
    /// Milliseconds since the machine started.
    pub now: u64,
    /// The workload's figures, for full pages only.
    pub workload: Option<Workload>,
    /// The host's, for full pages only.
    pub host: Option<Host>,
}

impl State<'_> {
    /// Seconds since mak-init started.
    pub fn uptime(&self) -> u64 {
        self.now.saturating_sub(self.frame.started) / 1000
    }
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

const TEXT: &str = "text/plain; charset=utf-8";

impl Answer {
    /// An answer of one line of text.
    pub fn text(status: u16, line: &'static str) -> Answer {
        Answer { status, content_type: TEXT, body: Cow::Borrowed(line.as_bytes()) }
    }

    /// There is nothing at this path.
    pub fn not_found() -> Answer {
        Answer::text(
            404,
            "not found; there are /livez /readyz /startupz (and each of them with /NAME), \
             /health /report /metrics\n",
        )
    }
}

/// One thing that a page asks about.
#[derive(Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its name in `?exclude=` and behind the page's path.
    pub name: &'a str,
    /// Whether it lets the page be good.
    pub good: bool,
    /// What is wrong, or what is not settled yet; may be empty.
    pub why: &'a str,
}

/// What `page` asks about, in the order in which it is shown: where the run is, then the checks.
pub fn items<'a>(page: Page, state: &State<'a>) -> Vec<Item<'a>> {
    let phase = state.frame.phase;
    let (name, good) = match page {
        Page::Live => ("mak-init", phase != Phase::Failed),
        Page::Startup => ("started", matches!(phase, Phase::Running | Phase::Stopping)),
        _ => ("workload", phase == Phase::Running),
    };
    let why = if good { "" } else { reason(phase) };
    let mut items = vec![Item { name, good, why }];
    // Without a running workload there is nothing that a check could be about.
    if page == Page::Startup || (page == Page::Live && phase != Phase::Running) {
        return items;
    }
    for (check, tracker) in state.checks.iter().zip(state.trackers) {
        if page == Page::Live && check.level != Level::Alive {
            continue;
        }
        let good = match tracker.status() {
            Status::Pass => true,
            Status::Fail => false,
            // Alive until proved dead, and not ready until proved ready.
            Status::Pending => check.level == Level::Alive,
        };
        let why = match tracker.status() {
            Status::Pending if tracker.message.is_empty() => "not looked at often enough yet",
            _ => &tracker.message,
        };
        items.push(Item { name: &check.name, good, why });
    }
    items
}

/// The answer of `page` in `form`; [`Page::Health`] is JSON for all but people.
pub fn answer(page: Page, form: Form, query: &str, state: &State) -> Answer {
    let mut items = items(page, state);
    let excluded: Vec<&str> =
        query.split('&').filter_map(|part| part.strip_prefix("exclude=")).collect();
    if !excluded.is_empty() {
        items.retain(|item| !excluded.contains(&item.name));
    }
    let good = items.iter().all(|item| item.good);
    let status = if good { 200 } else { 503 };
    let grade = grade(good, state.frame.outcome);
    let verbose = query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="));
    let listed = verbose || page == Page::Health;
    if page == Page::Health && !(form == Form::Terminal || verbose && form == Form::Text) {
        let content_type = match form {
            Form::HealthJson => "application/health+json",
            _ => "application/json",
        };
        return Answer { status, content_type, body: json(&Report::of(grade, state)) };
    }
    match form {
        Form::Json | Form::HealthJson => {
            let failed = items.iter().filter(|item| !item.good).map(|item| item.name).collect();
            let body = json(&Brief { status: grade, state: state.frame.phase, failed });
            let content_type = match form {
                Form::Json => "application/json",
                _ => "application/health+json",
            };
            Answer { status, content_type, body }
        }
        _ if listed => {
            let text = list(page, good, &items, &excluded);
            Answer { status, content_type: TEXT, body: Cow::Owned(text.into_bytes()) }
        }
        _ => Answer { status, content_type: TEXT, body: line(&items, state.frame.phase) },
    }
}

/// The answer of `/PAGE/NAME`.
pub fn one(page: Page, name: &str, state: &State) -> Answer {
    let items = items(page, state);
    let Some(item) = items.iter().find(|item| item.name == name) else {
        return Answer::text(404, "there is no such check here; ?verbose names them all\n");
    };
    let body = match item.good {
        true => Cow::Borrowed(&b"ok\n"[..]),
        false => Cow::Owned(format!("failed: {}\n", item.why).into_bytes()),
    };
    Answer { status: if item.good { 200 } else { 503 }, content_type: TEXT, body }
}

/// As Kubernetes' own components answer `?verbose`: a line for each, then the verdict.
fn list(page: Page, good: bool, items: &[Item], excluded: &[&str]) -> String {
    let mut text = String::new();
    for item in items {
        // Writing to a String cannot fail.
        let _ = match (item.good, item.why) {
            (true, "") => writeln!(text, "[+]{} ok", item.name),
            (true, why) => writeln!(text, "[+]{} ok: {why}", item.name),
            (false, "") => writeln!(text, "[-]{} failed", item.name),
            (false, why) => writeln!(text, "[-]{} failed: {why}", item.name),
        };
    }
    for name in excluded {
        let _ = writeln!(text, "[ ]{} excluded", printable(name));
    }
    let verdict = if good { "passed" } else { "failed" };
    let _ = writeln!(text, "{} check {verdict}", page.name());
    text
}

/// What a client sent, as it may stand in an answer.
fn printable(text: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    text.chars().filter(plain).take(40).collect()
}

/// One line: `ok`, where the run is, or which checks fail.
fn line(items: &[Item], phase: Phase) -> Cow<'static, [u8]> {
    let failed: Vec<&str> = items.iter().filter(|item| !item.good).map(|item| item.name).collect();
    match failed.first() {
        None => Cow::Borrowed(b"ok\n"),
        Some(first) if ["mak-init", "started", "workload"].contains(first) => {
            Cow::Owned(format!("{}\n", reason(phase)).into_bytes())
        }
        Some(_) => Cow::Owned(format!("failed: {}\n", failed.join(", ")).into_bytes()),
    }
}

const fn reason(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting: the workload is not started yet",
        Phase::Verifying => "verifying: the checks are running",
        Phase::Running => "running",
        Phase::Stopping => "stopping: a stop was asked for, or the workload has ended",
        Phase::Failed => {
            "failed: verification failed, or the workload did not start or ended by itself"
        }
    }
}

/// `pass`, `warn` or `fail`.
pub fn grade(good: bool, outcome: Outcome) -> &'static str {
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
        serializer.serialize_str(self.word())
    }
}

impl Phase {
    /// Its word in answers.
    pub const fn word(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Verifying => "verifying",
            Phase::Running => "running",
            Phase::Stopping => "stopping",
            Phase::Failed => "failed",
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Outcome {
    /// Its word in answers.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::NotAsked => "not-asked",
            Outcome::Pending => "pending",
            Outcome::Pass => "pass",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
        }
    }
}

/// The JSON of the three z-paths.
#[derive(Serialize)]
struct Brief<'a> {
    status: &'static str,
    state: Phase,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<&'a str>,
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
    #[serde(skip_serializing_if = "Checks::is_empty")]
    checks: Checks<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
}

struct Platform<'a>(&'a [(&'static str, String)]);

/// As draft-inadarei-api-health-check has them: a name, and a list of what was measured.
struct Checks<'a> {
    checks: &'a [CheckEntry],
    trackers: &'a [Tracker],
    now: u64,
}

/// One check in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckReport<'a> {
    component_type: &'static str,
    level: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    output: &'a str,
    observed_value: f64,
    observed_unit: &'static str,
    successes: u64,
    failures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<LastFailure<'a>>,
}

#[derive(Serialize)]
struct LastFailure<'a> {
    seconds_ago: u64,
    output: &'a str,
}

impl Checks<'_> {
    fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }
}

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.checks.len()))?;
        for (check, tracker) in self.checks.iter().zip(self.trackers) {
            let report = CheckReport {
                component_type: check.subject.kind(),
                level: check.level.word(),
                status: tracker.status().word(),
                output: &tracker.message,
                observed_value: tracker.took.as_secs_f64(),
                observed_unit: "s",
                successes: tracker.successes,
                failures: tracker.failures,
                last_failure: tracker.last_failure.as_ref().map(|(at, output)| LastFailure {
                    seconds_ago: self.now.saturating_sub(*at) / 1000,
                    output,
                }),
            };
            map.serialize_entry(&check.name, &[report])?;
        }
        map.end()
    }
}

impl Level {
    /// Its word in answers and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Level::Alive => "alive",
            Level::Ready => "ready",
        }
    }
}

impl Status {
    /// Its word in answers.
    pub const fn word(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Pass => "pass",
            Status::Fail => "fail",
        }
    }
}

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
    restarts: u32,
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
    fn of(status: &'static str, state: &'a State) -> Report<'a> {
        let Frame { phase, outcome, tally, death, workload, health_restarts, .. } = state.frame;
        Report {
            status,
            state: phase,
            version: state.version,
            uptime_seconds: state.uptime(),
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
                restarts: state.frame.counts.restarts,
                pid: (workload != 0).then_some(workload),
                exit_code: death.map(|(_, code)| code),
                cause: death.map(|(cause, _)| word(cause)),
                figures: state.workload.as_ref(),
            },
            health: HealthReport { restarts: health_restarts, confinement: &state.confinement },
            checks: Checks { checks: state.checks, trackers: state.trackers, now: state.now },
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
    use crate::health::check::tracker::Finding;
    use crate::health::check::tracker::tests::rules;
    use crate::init::frame::Tally;
    use serde_json::{Value, json};
    use std::time::Duration;

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
            confinement: Confinement {
                uid: 65534,
                no_new_privs: true,
                capabilities_dropped: true,
                ..Confinement::default()
            },
            checks: &[],
            trackers: &[],
            now: 12_999,
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
                let got = PHASES.map(|p| answer(page, form, "", &state(p, Outcome::Pass)).status);
                assert_eq!(got, expected, "{page:?} {form:?}");
            }
        }
    }

    #[test]
    fn a_person_gets_one_line_and_a_program_gets_json() {
        let running = state(Phase::Running, Outcome::Pass);
        assert_eq!(answer(Page::Ready, Form::Text, "", &running), Answer::text(200, "ok\n"));
        for phase in PHASES {
            let text = answer(Page::Startup, Form::Text, "", &state(phase, Outcome::Pass));
            assert_eq!(text.body.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
        let brief =
            answer(Page::Ready, Form::HealthJson, "", &state(Phase::Verifying, Outcome::Pass));
        assert_eq!(brief.content_type, "application/health+json");
        let value: Value = serde_json::from_slice(&brief.body).unwrap();
        assert_eq!(value, json!({"status": "fail", "state": "verifying", "failed": ["workload"]}));
    }

    #[test]
    fn a_warning_is_healthy_and_says_warn() {
        for outcome in [Outcome::Warn, Outcome::Fail] {
            let answer = answer(Page::Health, Form::Text, "", &state(Phase::Running, outcome));
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
        let listed = answer(Page::Health, Form::Terminal, "", &full);
        assert_eq!(listed.content_type, TEXT);
        let answer = answer(Page::Health, Form::Text, "", &full);
        assert_eq!(answer.content_type, "application/json");
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = json!({
            "status": "pass", "state": "running", "version": "0.1.0", "uptime_seconds": 12,
            "platform": {"architecture": "amd64"},
            "verification": {"outcome": "pass", "pass": 22, "warn": 2, "fail": 0, "skip": 1},
            "workload":
                {"running": true, "restarts": 0, "pid": 7, "process_state": "S", "rss_bytes": 4096, "threads": 2},
            "health": {"restarts": 3, "uid": 65534, "no_new_privs": true,
                "capabilities_dropped": true, "landlock": 0, "seccomp": false},
            "host": {"memory_bytes": 1024, "cpus": 2},
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn health_shows_why_the_workload_ended() {
        let mut ended = state(Phase::Stopping, Outcome::Pass);
        ended.frame.workload = 0;
        ended.frame.death = Some((Cause::OutOfMemory, 137));
        let answer = answer(Page::Health, Form::Json, "", &ended);
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        let expected =
            json!({"running": false, "restarts": 0, "exit_code": 137, "cause": "out-of-memory"});
        assert_eq!((answer.status, &value["workload"]), (503, &expected));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut early = state(Phase::Starting, Outcome::NotAsked);
        early.frame.workload = 0;
        let answer = answer(Page::Health, Form::HealthJson, "", &early);
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(value["workload"], json!({"running": false, "restarts": 0}));
        assert!(value.get("host").is_none());
    }

    fn checked(level: Level, good: Option<bool>) -> (CheckEntry, Tracker) {
        let check = CheckEntry { name: "db".to_owned(), level, ..rules(1, 1) };
        let mut tracker = Tracker::new(0);
        if let Some(good) = good {
            let result = if good { Ok(()) } else { Err("refused".to_owned()) };
            let finding =
                Finding { at: u64::MAX, took: Duration::from_millis(20), result, late: false };
            tracker.note(&check, finding);
        }
        (check, tracker)
    }

    #[test]
    fn a_check_counts_for_the_pages_of_its_level() {
        let rows = [
            (Level::Ready, None, [200, 503, 200, 503]),
            (Level::Ready, Some(true), [200, 200, 200, 200]),
            (Level::Ready, Some(false), [200, 503, 200, 503]),
            (Level::Alive, None, [200, 200, 200, 200]),
            (Level::Alive, Some(false), [503, 503, 200, 503]),
        ];
        for (level, good, expected) in rows {
            let (check, tracker) = checked(level, good);
            let (checks, trackers) = ([check], [tracker]);
            let state = State {
                checks: &checks,
                trackers: &trackers,
                ..state(Phase::Running, Outcome::Pass)
            };
            let pages = [Page::Live, Page::Ready, Page::Startup, Page::Health];
            let got = pages.map(|page| answer(page, Form::Text, "", &state).status);
            assert_eq!(got, expected, "{level:?} {good:?}");
        }
    }

    #[test]
    fn verbose_names_every_item_and_exclude_leaves_one_out() {
        let (check, tracker) = checked(Level::Ready, Some(false));
        let (checks, trackers) = ([check], [tracker]);
        let state =
            State { checks: &checks, trackers: &trackers, ..state(Phase::Running, Outcome::Pass) };
        let text = |query| {
            let answer = answer(Page::Ready, Form::Text, query, &state);
            (answer.status, String::from_utf8(answer.body.into_owned()).unwrap())
        };
        assert_eq!(text(""), (503, "failed: db\n".to_owned()));
        let whole = "[+]workload ok\n[-]db failed: refused\nreadyz check failed\n";
        assert_eq!(text("verbose"), (503, whole.to_owned()));
        let less = "[+]workload ok\n[ ]db excluded\nreadyz check passed\n";
        assert_eq!(text("verbose&exclude=db"), (200, less.to_owned()));
        assert_eq!(text("exclude=d&exclude=").0, 503);
        assert_eq!(one(Page::Ready, "workload", &state).status, 200);
        assert_eq!(one(Page::Ready, "db", &state).body, &b"failed: refused\n"[..]);
        assert_eq!(one(Page::Live, "db", &state).status, 404);
    }

    #[test]
    fn health_shows_each_check_as_the_draft_has_it() {
        let (check, tracker) = checked(Level::Alive, Some(false));
        let (checks, trackers) = ([check], [tracker]);
        let state =
            State { checks: &checks, trackers: &trackers, ..state(Phase::Running, Outcome::Pass) };
        let body = answer(Page::Health, Form::Text, "", &state).body;
        let value: Value = serde_json::from_slice(&body).unwrap();
        let expected = json!([{"componentType": "memory", "level": "alive", "status": "fail",
            "output": "refused", "observedValue": 0.02, "observedUnit": "s", "successes": 0,
            "failures": 1, "lastFailure": {"seconds_ago": 0, "output": "refused"}}]);
        assert_eq!(value["checks"]["db"], expected);
        assert_eq!(value["status"], "fail");
    }

    #[test]
    fn paths_compare_exactly() {
        assert_eq!(Page::at("/api/healthchecker"), Some((Page::Health, None)));
        assert_eq!(Page::at("/readyz/a/b"), Some((Page::Ready, Some("a/b"))));
        for other in ["", "/LIVEZ", "/%6civez", "/livez%00", "//livez", "livez", "/health/"] {
            assert_eq!(Page::at(other), None, "{other}");
        }
    }
}
