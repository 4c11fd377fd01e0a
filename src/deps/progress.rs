//! What a person sees while something is done: a bar on a terminal, plain lines everywhere else
//! (CI, a file, a dumb terminal). All of it on stderr; stdout is for the report.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Letters of the bar between its brackets.
const WIDTH: usize = 20;
/// As many letters of what is going on stand beside the bar.
const BESIDE: usize = 48;
/// The bar is not drawn more often.
const PAUSE: Duration = Duration::from_millis(80);

/// Steps of which some are done.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    quiet: bool,
    total: usize,
    done: usize,
    title: String,
    drawn: Option<Instant>,
}

impl Progress {
    /// None of `total` is done.
    pub fn new(total: usize) -> Progress {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        let terminal = std::io::stderr().is_terminal() && !dumb && !in_ci;
        Progress { terminal, quiet: false, total, done: 0, title: String::new(), drawn: None }
    }

    /// Says nothing.
    pub fn silent() -> Progress {
        let mut progress = Progress::new(0);
        progress.quiet = true;
        progress
    }

    /// More has turned out to be necessary.
    pub fn add(&mut self, steps: usize) {
        self.total += steps;
    }

    /// A step begins.
    pub fn begin(&mut self, title: &str) {
        title.clone_into(&mut self.title);
        if self.quiet {
            return;
        }
        if self.terminal {
            self.draw("");
        } else {
            self.line(&format!("[{}/{}] {title}", self.done + 1, self.total.max(self.done + 1)));
        }
    }

    /// The step has come so far.
    pub fn detail(&mut self, text: &str) {
        if self.terminal && !self.quiet && self.drawn.is_none_or(|at| at.elapsed() >= PAUSE) {
            self.draw(text);
        }
    }

    /// The step has ended.
    pub fn end(&mut self) {
        self.done += 1;
        if self.terminal && !self.quiet {
            self.draw("");
        }
    }

    /// A line that stays.
    pub fn line(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        self.clear();
        let _ = writeln!(std::io::stderr(), "mak: {text}");
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        if self.terminal && self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn draw(&mut self, detail: &str) {
        let text = bar(self.done, self.total, &self.title, detail);
        let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
        let _ = std::io::stderr().flush();
        self.drawn = Some(Instant::now());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar(done: usize, total: usize, title: &str, detail: &str) -> String {
    let total = total.max(1);
    let full = (WIDTH * done.min(total)) / total;
    let beside = if detail.is_empty() { title } else { detail };
    let beside: String = beside.chars().filter(|c| !c.is_control()).take(BESIDE).collect();
    format!("[{}{}] {done}/{total} {beside}", "#".repeat(full), "-".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_what_is_done_and_what_goes_on() {
        assert_eq!(bar(0, 4, "apt-get update", ""), "[--------------------] 0/4 apt-get update");
        assert_eq!(bar(1, 4, "x", "Get:1\x1b[31m"), "[#####---------------] 1/4 Get:1[31m");
        assert_eq!(bar(9, 4, "x", ""), "[####################] 9/4 x");
        assert!(bar(0, 0, "x", &"y".repeat(500)).len() < 100);
    }
}
