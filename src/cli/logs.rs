//! Logs: on stderr, as text or JSON, and never in the way. PID 1 must not block on a log that
//! nobody reads, so that a line for which there is no room is dropped. What makes the lines is
//! itself made for the first one: most runs say nothing.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogFormat, LogLevel};

/// Sends log lines to stderr from now on.
pub fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // A second start is refused; the first one's settings hold.
    let _ = tracing::subscriber::set_global_default(Lines { level, format, made: OnceLock::new() });
}

/// Knows which lines are wanted, and makes what writes them when the first one comes.
struct Lines {
    level: LevelFilter,
    format: LogFormat,
    made: OnceLock<Dispatch>,
}

impl Lines {
    #[inline(never)]
    fn made(&self) -> &Dispatch {
        self.made.get_or_init(|| {
            let lines = tracing_subscriber::fmt()
                .with_max_level(self.level)
                .with_writer(Stderr)
                .with_target(false);
            match self.format {
                LogFormat::Text => Dispatch::new(lines.with_ansi(colours()).compact().finish()),
                LogFormat::Json => Dispatch::new(lines.json().flatten_event(true).finish()),
            }
        })
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        self.made().event(event);
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.made().new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.made().record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.made().record_follows_from(span, follows);
    }

    fn enter(&self, span: &Id) {
        self.made().enter(span);
    }

    fn exit(&self, span: &Id) {
        self.made().exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.made().clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.made().try_close(span)
    }
}

/// Colours are for terminals, and not for those who refuse them (no-color.org).
fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Stderr;

    fn make_writer(&'a self) -> Stderr {
        Stderr
    }
}

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if has_room() {
            return io::stderr().write(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe that poll(2) calls writable takes PIPE_BUF bytes at once (`man 7 pipe`).
fn has_room() -> bool {
    let stderr = io::stderr();
    let mut stderr = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut stderr, Some(&now)), Ok(ready) if ready > 0)
}
