//! The page for a browser: the state, the checks with their history, the verification report and
//! the platform, in one document without script, image or anything to fetch.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;

use super::answer::{Answer, Page, State, grade, items};
use super::check::tracker::{Status, Tracker};
use crate::init::frame::Phase;

/// As many entries of the report are shown; `/report` has them all.
const MOST_ENTRIES: usize = 500;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5a636e;--paper:#fff;--card:#f5f6f8;--line:#d8dce1;\
--good:#1a7f37;--warn:#8a5a00;--bad:#c1121f}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--dim:#9aa4af;--paper:#14171b;--card:#1d2126;\
--line:#343a42;--good:#4ac26b;--warn:#e0a526;--bad:#ff6b6b}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--paper);\
color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.05rem;margin:1.6rem 0 .5rem}\
.dim{color:var(--dim)}.pass{color:var(--good)}.warn,.pending,.skip{color:var(--warn)}.fail{color:var(--bad)}\
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem;\
margin:.5rem 0;overflow-wrap:anywhere}\
.row{display:flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:baseline}.row b{flex:1 1 auto}\
dl{display:grid;grid-template-columns:minmax(8rem,auto) 1fr;gap:.2rem 1rem;margin:0}\
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}\
.past{font:.85rem/1.6 ui-monospace,monospace}summary{cursor:pointer}";

/// The page; `report` is the verification report's JSON, `notice` the workload's own words.
pub fn answer(state: &State, report: Option<&[u8]>, notice: &str) -> Answer {
    let good = items(Page::Health, state).iter().all(|item| item.good);
    let grade = grade(good, state.frame.outcome);
    let mut out = String::with_capacity(8192);
    let word = state.frame.phase.word();
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{word} - mak-init</title><style>{STYLE}</style></head><body>\
         <h1><span class=\"{grade}\">{}</span> {word}{}</h1>\
         <p class=\"dim\">mak-init {}, up for {}</p>",
        sign(grade),
        if good || state.frame.phase != Phase::Running { "" } else { ", not ready" },
        state.version,
        length(state.uptime()),
    );
    add_workload(&mut out, state, notice);
    add_checks(&mut out, state);
    add_verification(&mut out, state, report);
    add_rest(&mut out, state);
    out.push_str("</body></html>\n");
    let status = if good { 200 } else { 503 };
    let body = Cow::Owned(out.into_bytes());
    Answer { status, content_type: "text/html; charset=utf-8", body }
}

/// A sign beside the colour, for those who do not see it.
const fn sign(grade: &str) -> &'static str {
    match grade.as_bytes() {
        b"pass" => "&#10003;",
        b"fail" => "&#10007;",
        b"warn" => "!",
        _ => "&#8230;",
    }
}

fn add_workload(out: &mut String, state: &State, notice: &str) {
    out.push_str("<h2>Workload</h2><div class=\"card\"><dl>");
    let pid = state.frame.workload;
    entry(out, "process", if pid == 0 { "not running".to_owned() } else { pid.to_string() });
    if let Some(workload) = &state.workload {
        entry(out, "state", doing(workload.process_state));
        entry(out, "memory", format!("{} MiB", workload.rss_bytes >> 20));
        entry(out, "threads", workload.threads.to_string());
    }
    entry(out, "restarts", state.frame.counts.restarts.to_string());
    if !notice.is_empty() {
        entry(out, "it says", notice.to_owned());
    }
    out.push_str("</dl></div>");
}

/// The state letter of /proc/PID/stat in words (`man 5 proc_pid_stat`).
fn doing(letter: char) -> String {
    match letter {
        'R' => "running".to_owned(),
        'S' => "sleeping".to_owned(),
        'D' => "waiting for a device".to_owned(),
        'T' | 't' => "stopped".to_owned(),
        'Z' => "ended".to_owned(),
        other => other.to_string(),
    }
}

fn add_checks(out: &mut String, state: &State) {
    if state.checks.is_empty() {
        return;
    }
    out.push_str("<h2>Checks</h2>");
    for (check, tracker) in state.checks.iter().zip(state.trackers) {
        let word = tracker.status().word();
        let _ = write!(
            out,
            "<div class=\"card\"><div class=\"row\"><b><span class=\"{word}\">{}</span> {}</b>\
             <span class=\"{word}\">{word}</span><span class=\"dim\">{}, {}, {} ms</span></div>",
            sign(word),
            escape(&check.name),
            check.subject.kind(),
            check.level.word(),
            tracker.took.as_millis(),
        );
        if !tracker.message.is_empty() {
            let _ = write!(out, "<div class=\"{word}\">{}</div>", escape(&tracker.message));
        }
        add_history(out, tracker, state.now);
        out.push_str("</div>");
    }
}

fn add_history(out: &mut String, tracker: &Tracker, now: u64) {
    if !tracker.history.is_empty() {
        out.push_str("<div class=\"past\" title=\"the last looks, the newest on the right\">");
        for past in &tracker.history {
            let (class, sign) = if past.good { ("pass", '\u{25cf}') } else { ("fail", '\u{25cb}') };
            let ago = length(now.saturating_sub(past.at) / 1000);
            let _ = write!(out, "<span class=\"{class}\" title=\"{ago} ago\">{sign}</span>");
        }
        out.push_str("</div>");
    }
    if let Some((at, why)) =
        tracker.last_failure.as_ref().filter(|_| tracker.status() != Status::Fail)
    {
        let ago = length(now.saturating_sub(*at) / 1000);
        let _ = write!(out, "<div class=\"dim\">last failure {ago} ago: {}</div>", escape(why));
    }
}

fn add_verification(out: &mut String, state: &State, report: Option<&[u8]>) {
    let outcome = state.frame.outcome.word();
    let tally = state.frame.tally;
    let _ = write!(
        out,
        "<h2>Verification</h2><div class=\"card\"><b class=\"{outcome}\">{outcome}</b> \
         <span class=\"dim\">{} passed, {} warned, {} failed, {} skipped</span></div>",
        tally.pass, tally.warn, tally.fail, tally.skip
    );
    let report = report.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let Some(checks) = report.as_ref().and_then(|report| report.get("checks")?.as_array()) else {
        return;
    };
    let (good, wanting): (Vec<&Value>, Vec<&Value>) =
        checks.iter().take(MOST_ENTRIES).partition(|check| text(check, "status") == "pass");
    wanting.iter().for_each(|check| add_entry(out, check));
    if !good.is_empty() {
        let _ = write!(out, "<details><summary>{} that passed</summary>", good.len());
        good.iter().for_each(|check| add_entry(out, check));
        out.push_str("</details>");
    }
}

/// One entry of the report.
fn add_entry(out: &mut String, check: &Value) {
    let status = match text(check, "status") {
        word @ ("pass" | "warn" | "fail") => word,
        _ => "skip",
    };
    let _ = write!(
        out,
        "<div class=\"card\"><div class=\"row\"><b><span class=\"{status}\">{}</span> {}</b>\
         <span class=\"dim\">{}</span></div><div>{}</div>",
        sign(status),
        escape(text(check, "subject")),
        escape(text(check, "id")),
        escape(text(check, "message")),
    );
    match text(check, "remedy") {
        "" => {}
        remedy => {
            let _ = write!(out, "<div class=\"dim\">{}</div>", escape(remedy));
        }
    }
    out.push_str("</div>");
}

fn text<'v>(check: &'v Value, key: &str) -> &'v str {
    check.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn add_rest(out: &mut String, state: &State) {
    out.push_str("<h2>Platform</h2><div class=\"card\"><dl>");
    for (name, value) in state.platform {
        entry(out, name, value.clone());
    }
    if let Some(host) = state.host {
        entry(out, "host", format!("{} MiB, {} processors", host.memory_bytes >> 20, host.cpus));
    }
    out.push_str("</dl></div><h2>Health process</h2><div class=\"card\"><dl>");
    let yes = |on: bool| if on { "yes" } else { "no" }.to_owned();
    let confinement = &state.confinement;
    entry(out, "restarts", state.frame.health_restarts.to_string());
    entry(out, "user", confinement.uid.to_string());
    entry(out, "no new rights", yes(confinement.no_new_privs));
    entry(out, "no capabilities", yes(confinement.capabilities_dropped));
    entry(
        out,
        "landlock",
        match confinement.landlock {
            0 => "no".to_owned(),
            version => format!("version {version}"),
        },
    );
    entry(out, "seccomp", yes(confinement.seccomp));
    out.push_str("</dl></div>");
}

fn entry(out: &mut String, name: &str, value: String) {
    let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(&value));
}

fn length(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::check::tracker::Finding;
    use crate::health::check::tracker::tests::rules;
    use crate::health::confine::Confinement;
    use crate::init::frame::{Frame, Outcome};
    use proptest::prelude::*;
    use std::time::Duration;

    fn page(message: &str, report: &[u8]) -> String {
        let check = rules(1, 1);
        let mut tracker = Tracker::new(0);
        let result = Err(message.to_owned());
        tracker.note(&check, Finding { at: u64::MAX, took: Duration::ZERO, result, late: false });
        let state = State {
            frame: Frame {
                phase: Phase::Running,
                outcome: Outcome::Warn,
                workload: 7,
                ..Frame::starting(0)
            },
            version: "0.1.0",
            platform: &[("machine", "x86_64".to_owned())],
            confinement: Confinement::default(),
            checks: &[check],
            trackers: &[tracker],
            now: 200_000,
            workload: None,
            host: None,
        };
        let answer = answer(&state, Some(report), "<b>words</b>");
        assert_eq!(answer.status, 503);
        String::from_utf8(answer.body.into_owned()).unwrap()
    }

    #[test]
    fn the_page_shows_checks_report_and_words_and_lets_nothing_through() {
        let report = br#"{"checks":[{"id":"elf.missing","status":"fail","subject":"<lib>",
            "message":"not found","remedy":"install it"},{"status":"pass","subject":"libc"}]}"#;
        let page = page("<script>", report);
        for wanted in [
            "&lt;script&gt;",
            "&lt;lib&gt;",
            "&lt;b&gt;words",
            "install it",
            "1 that passed",
            "x86_64",
            "3 min",
        ] {
            assert!(page.contains(wanted), "{wanted}: {page}");
        }
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="));
    }

    proptest! {
        #[test]
        fn foreign_text_never_becomes_markup(
            message in "\\PC{0,40}", report in proptest::collection::vec(any::<u8>(), 0..60)
        ) {
            let escaped = escape(&message).into_owned();
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            prop_assert!(page(&message, &report).ends_with("</html>\n"));
        }
    }
}
