//! A cursor over one line of text, and the error that points at a column of it. The parsers of
//! requirements, markers and version specifiers are written over it.

use std::fmt;

/// As much of a line is shown in an error, in characters.
const MOST_SHOWN: usize = 200;

/// Why a line could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The text that was read.
    pub text: String,
    /// Where it went wrong: characters from the start, the first is 1.
    pub column: usize,
    /// What was expected there.
    pub problem: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.text.char_indices().nth(MOST_SHOWN);
        let (shown, more) = match end.and_then(|(at, _)| self.text.get(..at)) {
            Some(start) => (start, "…"),
            None => (self.text.as_str(), ""),
        };
        write!(out, "cannot parse \"{shown}{more}\": column {}: {}", self.column, self.problem)
    }
}

impl std::error::Error for SyntaxError {}

/// The cursor.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Scan<'a> {
        Scan { text, at: 0 }
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// Takes `token` if it stands here.
    pub(crate) fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Takes `word` if it stands here and ends here.
    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let ends = self.rest().strip_prefix(word).is_some_and(|rest| {
            !rest.chars().next().is_some_and(|next| next.is_alphanumeric() || next == '_')
        });
        ends && self.take(word)
    }

    /// Takes everything that `wanted` accepts, which may be nothing.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|letter| !wanted(letter)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or("")
    }

    pub(crate) fn skip_space(&mut self) {
        self.take_while(|letter| matches!(letter, ' ' | '\t'));
    }

    /// An identifier of PEP 508: letters, digits, and `-_.` inside. Empty where there is none.
    pub(crate) fn identifier(&mut self) -> &'a str {
        let start = self.at;
        if !self.peek().is_some_and(|letter| letter.is_ascii_alphanumeric()) {
            return "";
        }
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        let word = word.trim_end_matches(['-', '.']);
        self.at = start + word.len();
        word
    }

    /// The letters, digits, `_` and `.` that stand here; they are not taken.
    pub(crate) fn word(&self) -> &'a str {
        let rest = self.rest();
        let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        let length = rest.bytes().take_while(|byte| is_inside(byte)).count();
        rest.get(..length).unwrap_or_default()
    }

    /// Where the cursor stands, for [`Scan::error_at`].
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    pub(crate) fn error(&self, problem: impl Into<String>) -> SyntaxError {
        self.error_at(self.at, problem)
    }

    /// An error at a place that the cursor has left.
    pub(crate) fn error_at(&self, place: usize, problem: impl Into<String>) -> SyntaxError {
        let column = self.text.get(..place).unwrap_or("").chars().count() + 1;
        SyntaxError { text: self.text.to_owned(), column, problem: problem.into() }
    }
}
