//! A process that may be signalled: never 0, 1 or negative, so that no mistake becomes a signal
//! to a group, to init, or to everybody (`man 2 kill`).

/// The id of a process other than init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(i32);

impl Pid {
    /// The process of this id; `None` for what kill(2) would take as something else.
    pub const fn new(raw: i32) -> Option<Pid> {
        if raw > 1 { Some(Pid(raw)) } else { None }
    }

    /// The number.
    pub const fn raw(self) -> i32 {
        self.0
    }
}

/// Whether this process is the init of its PID namespace.
pub fn is_init() -> bool {
    std::process::id() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kill_takes_as_many_processes_is_no_pid() {
        for raw in [i32::MIN, -2, -1, 0, 1] {
            assert_eq!(Pid::new(raw), None);
        }
        assert_eq!(Pid::new(2).map(Pid::raw), Some(2));
    }
}
