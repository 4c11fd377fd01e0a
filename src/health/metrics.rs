//! `/metrics`: OpenMetrics 1.0 where it is asked for, else the older text format of Prometheus
//! (0.0.4), which differs in the content type and in how a counter's family is named.

use std::borrow::Cow;
use std::fmt::{Display, Write};

use super::answer::{Answer, Form, State};
use super::check::tracker::Status;
use super::figures::{self, ProcessFigures};
use crate::init::frame::Phase;
use crate::platform::{Root, cgroup};

const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const OLD: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The answer of `/metrics`.
pub fn answer(form: Form, state: &State) -> Answer {
    let open = form == Form::OpenMetrics;
    let mut text = Text { out: String::with_capacity(4096), open };
    add_run(&mut text, state);
    add_processes(&mut text, state);
    add_cgroup(&mut text);
    add_checks(&mut text, state);
    if open {
        text.out.push_str("# EOF\n");
    }
    let content_type = if open { OPEN } else { OLD };
    Answer { status: 200, content_type, body: Cow::Owned(text.out.into_bytes()) }
}

/// The exposition as it grows.
struct Text {
    out: String,
    open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

impl Text {
    /// Begins a family; `name` is without a counter's `_total`.
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let (word, suffix) = match kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", if self.open { "" } else { "_total" }),
        };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.out, "# HELP {name}{suffix} {help}");
        let _ = writeln!(self.out, "# TYPE {name}{suffix} {word}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            self.out.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.out, "{label}=\"{}\"", escape(value));
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }

    /// A family of one gauge.
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    /// A family of one counter; `name` is without `_total`.
    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Counter, help);
        self.sample(&format!("{name}_total"), &[], value);
    }
}

fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn add_run(text: &mut Text, state: &State) {
    let frame = &state.frame;
    text.family("mak_init_build", Kind::Gauge, "The version, as a label.");
    text.sample("mak_init_build", &[("version", state.version)], 1);
    text.gauge("mak_init_uptime_seconds", "Time since mak-init started.", state.uptime());
    text.family("mak_init_state", Kind::Gauge, "1 for the state the run is in.");
    for phase in [Phase::Starting, Phase::Verifying, Phase::Running, Phase::Stopping, Phase::Failed]
    {
        let labels = [("state", phase.word())];
        text.sample("mak_init_state", &labels, u8::from(phase == frame.phase));
    }
    text.family(
        "mak_init_verification_checks",
        Kind::Gauge,
        "Checks of the image by how they ended.",
    );
    let tally = frame.tally;
    for (status, count) in
        [("pass", tally.pass), ("warn", tally.warn), ("fail", tally.fail), ("skip", tally.skip)]
    {
        text.sample("mak_init_verification_checks", &[("status", status)], count);
    }
    text.gauge(
        "mak_init_workload_running",
        "Whether the workload runs.",
        u8::from(frame.workload != 0),
    );
    let counts = frame.counts;
    text.counter("mak_init_workload_restarts", "New starts of the workload.", counts.restarts);
    text.counter(
        "mak_init_signals_forwarded",
        "Signals sent on to the workload, as of the last change of state.",
        counts.forwarded,
    );
    text.counter(
        "mak_init_signals_without_value",
        "Of these, those whose value was lost because the workload's queue was full.",
        counts.without_value,
    );
    text.counter(
        "mak_init_processes_reaped",
        "Processes reaped, as of the last change of state.",
        counts.reaped,
    );
    text.counter(
        "mak_init_health_restarts",
        "How often the health process was started again.",
        frame.health_restarts,
    );
    text.gauge("mak_init_zombies", "Processes that ended and were not reaped.", figures::zombies());
}

fn add_processes(text: &mut Text, state: &State) {
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_pid().unsigned_abs());
    // In exec mode mak-init has become the workload.
    let pids = [("mak-init", parent), ("workload", state.frame.workload)];
    let pids =
        pids.iter().filter(|(name, pid)| *name == "workload" || *pid != state.frame.workload);
    let found: Vec<(&str, ProcessFigures)> =
        pids.filter_map(|(name, pid)| Some((*name, figures::process(*pid)?))).collect();
    let mut each =
        |name: &str, kind, help: &str, value: &dyn Fn(&ProcessFigures) -> Option<f64>| {
            text.family(name, kind, help);
            let suffix = if kind == Kind::Counter { "_total" } else { "" };
            for (process, figures) in &found {
                if let Some(value) = value(figures) {
                    text.sample(&format!("{name}{suffix}"), &[("process", process)], value);
                }
            }
        };
    use Kind::{Counter, Gauge};
    each("process_cpu_seconds", Counter, "User and system time.", &|p| Some(p.cpu_seconds));
    each("process_open_fds", Gauge, "Open descriptors.", &|p| p.open_fds.map(|n| n as f64));
    each("process_max_fds", Gauge, "As many may be open.", &|p| p.max_fds.map(|n| n as f64));
    each("process_virtual_memory_bytes", Gauge, "Address space.", &|p| {
        Some(p.virtual_bytes as f64)
    });
    each("process_resident_memory_bytes", Gauge, "Resident memory.", &|p| {
        Some(p.resident_bytes as f64)
    });
    each("process_threads", Gauge, "Threads.", &|p| Some(p.threads as f64));
    let machine = machine_start(state.now);
    each("process_start_time_seconds", Gauge, "When it was started, since 1970.", &|p| {
        Some(machine + p.started)
    });
}

/// When the machine started, in seconds since 1970, to the hundredth that /proc counts in.
fn machine_start(now: u64) -> f64 {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let start = wall.unwrap_or_default().as_secs_f64() - now as f64 / 1000.0;
    (start * 100.0).round() / 100.0
}

fn add_cgroup(text: &mut Text) {
    let root = Root::host();
    let (used, limits) = (cgroup::usage(&root), cgroup::limits(&root));
    let mut gauge = |name: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            text.gauge(name, help, value);
        }
    };
    let float = |number: Option<u64>| number.map(|number| number as f64);
    gauge(
        "mak_init_cgroup_memory_bytes",
        "Memory of the container, without inactive page cache.",
        float(used.memory_bytes),
    );
    gauge("mak_init_cgroup_memory_limit_bytes", "Its limit.", float(limits.memory_bytes));
    gauge("mak_init_cgroup_processes", "Processes and threads.", float(used.processes));
    gauge("mak_init_cgroup_processes_limit", "Their limit.", float(limits.processes));
    gauge("mak_init_cgroup_cpu_limit", "Processors it may use.", limits.cpus);
    if let Some(time) = used.cpu_microseconds {
        let seconds = time as f64 / 1e6;
        text.counter("mak_init_cgroup_cpu_seconds", "Processor time of the container.", seconds);
    }
}

fn add_checks(text: &mut Text, state: &State) {
    let checks = || state.checks.iter().zip(state.trackers);
    if state.checks.is_empty() {
        return;
    }
    text.family("mak_init_check_up", Kind::Gauge, "1 passes, 0 fails; absent while not settled.");
    for (check, tracker) in checks().filter(|(_, t)| t.status() != Status::Pending) {
        let labels = [
            ("check", check.name.as_str()),
            ("kind", check.subject.kind()),
            ("level", check.level.word()),
        ];
        text.sample("mak_init_check_up", &labels, u8::from(tracker.status() == Status::Pass));
    }
    text.family("mak_init_check_looks", Kind::Counter, "Looks by what they found.");
    for (check, tracker) in checks() {
        let found = [("success", tracker.successes), ("failure", tracker.failures)];
        for (result, count) in found {
            let labels = [("check", check.name.as_str()), ("result", result)];
            text.sample("mak_init_check_looks_total", &labels, count);
        }
    }
    text.family("mak_init_check_duration_seconds", Kind::Gauge, "How long the last look took.");
    for (check, tracker) in checks() {
        let labels = [("check", check.name.as_str())];
        text.sample("mak_init_check_duration_seconds", &labels, tracker.took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_as_each_format_wants_and_labels_are_escaped() {
        for (open, wanted) in [(true, "# TYPE x counter"), (false, "# TYPE x_total counter")] {
            let mut text = Text { out: String::new(), open };
            text.counter("x", "h", 1.5);
            assert!(
                text.out.contains(wanted) && text.out.contains("\nx_total 1.5\n"),
                "{}",
                text.out
            );
        }
        let mut text = Text { out: String::new(), open: true };
        text.sample("y", &[("a", "\"\\\n"), ("b", "c")], 2);
        assert_eq!(text.out, "y{a=\"\\\"\\\\\\n\",b=\"c\"} 2\n");
    }
}
