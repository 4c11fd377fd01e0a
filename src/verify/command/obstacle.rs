//! What stands between a command and its start.

use std::fmt;

/// The exit code for a program that was not found.
pub const NOT_FOUND: u8 = 127;
/// The exit code for one that was found and cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;

/// One reason why a command cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The identifier of the check that finds it (docs/checks.md).
    pub id: &'static str,
    /// The exit code that it leads to: 127 or 126.
    pub code: u8,
    /// What is wrong, as the end of "cannot start /path: …".
    pub why: String,
    /// What to do, where that is more than the opposite of `why`.
    pub remedy: Option<String>,
}

impl Obstacle {
    /// Something that is needed is not there: 127.
    pub fn missing(id: &'static str, why: impl Into<String>) -> Obstacle {
        Obstacle { id, code: NOT_FOUND, why: why.into(), remedy: None }
    }

    /// It is there and cannot be executed: 126.
    pub fn refused(id: &'static str, why: impl Into<String>) -> Obstacle {
        Obstacle { id, code: NOT_EXECUTABLE, why: why.into(), remedy: None }
    }

    /// The same with what to do.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Obstacle {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.why)?;
        match &self.remedy {
            Some(remedy) => write!(out, "; {remedy}"),
            None => Ok(()),
        }
    }
}
