//! Why an image could not be looked at.

use std::fmt;
use std::io;

/// What it means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// There is no such thing: what was typed is wrong.
    Usage,
    /// It is not what it says: an answer, and it is no.
    Unfit,
    /// It may go better later: a network, an engine.
    Passing,
    /// mak could not do its work.
    Failed,
}

/// An error, with what it is about.
#[derive(Debug)]
pub struct ImageError {
    /// What it means.
    pub meaning: Meaning,
    /// One line for the person.
    pub text: String,
}

impl ImageError {
    /// Something typed makes no sense.
    pub fn usage(text: impl Into<String>) -> ImageError {
        ImageError { meaning: Meaning::Usage, text: text.into() }
    }

    /// The image is broken.
    pub fn unfit(text: impl Into<String>) -> ImageError {
        ImageError { meaning: Meaning::Unfit, text: text.into() }
    }

    /// A network or an engine did not answer.
    pub fn passing(text: impl Into<String>) -> ImageError {
        ImageError { meaning: Meaning::Passing, text: text.into() }
    }

    /// A file of this machine could not be read or written.
    pub fn io(what: &str, error: &io::Error) -> ImageError {
        ImageError { meaning: Meaning::Failed, text: format!("{what}: {error}") }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl std::error::Error for ImageError {}
