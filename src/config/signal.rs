//! Signals by name and number, as `man 7 signal` and Docker's STOPSIGNAL count them.

use std::fmt;

/// A signal number from 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// glibc and Docker count real-time signals from here; the kernel's own first is 32.
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

/// Names in the order of their numbers on every architecture images are published for
/// (`man 7 signal`, column x86/ARM), from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

impl Signal {
    /// Hang-up of the terminal, or "reload".
    pub const HUP: Signal = Signal(1);
    /// Ctrl-C.
    pub const INT: Signal = Signal(2);
    /// Ctrl-\.
    pub const QUIT: Signal = Signal(3);
    /// Cannot be refused.
    pub const KILL: Signal = Signal(9);
    /// Write to a pipe that nobody reads.
    pub const PIPE: Signal = Signal(13);
    /// The polite request to end.
    pub const TERM: Signal = Signal(15);
    /// A child changed its state.
    pub const CHLD: Signal = Signal(17);
    /// Go on after a stop.
    pub const CONT: Signal = Signal(18);
    /// Cannot be refused either.
    pub const STOP: Signal = Signal(19);
    /// Ctrl-Z.
    pub const TSTP: Signal = Signal(20);
    /// A background group reads the terminal.
    pub const TTIN: Signal = Signal(21);
    /// A background group writes to it.
    pub const TTOU: Signal = Signal(22);
    /// SIGRTMIN+3, which systemd and images that run it take as "halt".
    pub const HALT: Signal = Signal(RTMIN + 3);

    /// The signal of this number, where there is one.
    pub const fn from_number(number: i32) -> Option<Signal> {
        if number >= 1 && number <= RTMAX as i32 { Some(Signal(number as u8)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// From `TERM`, `SIGTERM`, `15`, `RTMIN+3`, `SIGRTMAX-1`, in any case.
    pub fn parse(word: &str) -> Result<Signal, String> {
        let refused = || "is not a signal; write a name (TERM, RTMIN+3) or 1 to 64".to_owned();
        let upper = word.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = if name.starts_with(|c: char| c.is_ascii_digit()) {
            upper.parse().ok()
        } else if let Some(offset) = name.strip_prefix("RTMIN") {
            offset_of(offset, '+').map(|n| i32::from(RTMIN) + n).filter(|n| *n <= i32::from(RTMAX))
        } else if let Some(offset) = name.strip_prefix("RTMAX") {
            offset_of(offset, '-').map(|n| i32::from(RTMAX) - n).filter(|n| *n >= i32::from(RTMIN))
        } else {
            let name = match name {
                "IOT" => "ABRT",
                "CLD" => "CHLD",
                "POLL" => "IO",
                other => other,
            };
            NAMES.iter().position(|known| *known == name).map(|at| at as i32 + 1)
        };
        number.and_then(Signal::from_number).ok_or_else(refused)
    }

    /// A list of signals with commas between them.
    pub fn parse_list(words: &str) -> Result<Vec<Signal>, String> {
        words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(Signal::parse).collect()
    }
}

/// The N of `+N`; nothing at all is 0.
fn offset_of(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix(sign)?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?.filter(|n| *n <= 64)
}

impl fmt::Display for Signal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (NAMES.get(usize::from(self.0) - 1), self.0) {
            (Some(name), _) => write!(out, "SIG{name}"),
            (None, RTMIN) => out.write_str("SIGRTMIN"),
            (None, number) if number > RTMIN => write!(out, "SIGRTMIN+{}", number - RTMIN),
            (None, number) => write!(out, "signal {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_offsets_are_the_same_signals() {
        for (word, number) in [
            ("TERM", 15),
            ("sigterm", 15),
            ("15", 15),
            ("RTMIN+3", 37),
            ("SIGRTMIN", 34),
            ("RTMAX", 64),
            ("RTMAX-1", 63),
            ("WINCH", 28),
            ("POLL", 29),
            ("64", 64),
            ("32", 32),
        ] {
            assert_eq!(Signal::parse(word).map(Signal::number), Ok(number), "{word}");
        }
        for word in ["", "0", "65", "-1", "RTMIN+31", "RTMAX-31", "RTMIN3", "TERMS", "SIG", "+5"] {
            assert!(Signal::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for number in (1..=31).chain(34..=64) {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(Signal::parse(&signal.to_string()), Ok(signal));
        }
    }

    #[test]
    fn numbers_are_those_of_this_system() {
        assert_eq!(Signal::CHLD.number(), libc::SIGCHLD);
        assert_eq!(Signal::STOP.number(), libc::SIGSTOP);
        assert_eq!(Signal::parse("SYS").unwrap().number(), libc::SIGSYS);
        assert_eq!(Signal::HALT.number(), 37);
    }
}
