//! Reading TOML so that every problem of a file is found in one go, each with line, column and
//! the nearest known key.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::suggest;

/// The largest file that is read as configuration, in bytes.
pub const LARGEST: u64 = 1 << 20;
/// Problems of one file that are told, the first ones.
const MOST_PROBLEMS: usize = 100;

/// A file's text and the problems found in it so far.
pub struct Document<'t> {
    path: PathBuf,
    text: &'t str,
    problems: Vec<(usize, String)>,
}

/// A value with its place in the file, in bytes from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub at: usize,
}

/// A table of the file, from which known keys are taken one by one.
pub struct Section<'t> {
    name: String,
    at: usize,
    entries: DeTable<'t>,
    known: Vec<String>,
}

impl<'t> Document<'t> {
    /// A document of this text; `path` stands in its messages.
    pub fn new(path: &Path, text: &'t str) -> Document<'t> {
        Document { path: path.to_owned(), text, problems: Vec::new() }
    }

    /// The path in its messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The table that is the whole file; what is not TOML is noted as problems.
    pub fn parse(&mut self) -> Section<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            // The parser's messages may have several lines; ours have one.
            self.problem(at, error.message().replace('\n', ", "));
        }
        Section::new(String::new(), 0, table.into_inner())
    }

    /// Notes a problem at a place.
    pub fn problem(&mut self, at: usize, text: impl Into<String>) {
        self.problems.push((at, text.into()));
    }

    /// The line of a place, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.before(at).iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// All problems, in the order of their places, as `path:line:column: text`.
    pub fn finish(mut self) -> Vec<String> {
        self.problems.sort_by_key(|(at, _)| *at);
        self.problems.dedup();
        // Nobody reads more, and each is counted to from the start of the text.
        self.problems.truncate(MOST_PROBLEMS);
        let path = self.path.display();
        self.problems
            .iter()
            .map(|(at, text)| format!("{path}:{}:{}: {text}", self.line(*at), self.column(*at)))
            .collect()
    }

    fn before(&self, at: usize) -> &[u8] {
        &self.text.as_bytes()[..at.min(self.text.len())]
    }

    fn column(&self, at: usize) -> usize {
        let before = self.before(at);
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&before[start..]).chars().count() + 1
    }
}

impl<'t> Section<'t> {
    fn new(name: String, at: usize, entries: DeTable<'t>) -> Section<'t> {
        Section { name, at, entries, known: Vec::new() }
    }

    /// Where the table begins.
    pub fn at(&self) -> usize {
        self.at
    }

    fn take(&mut self, key: &str) -> Option<Spanned<DeValue<'t>>> {
        self.known.push(key.to_owned());
        self.entries.remove(key)
    }

    /// A string.
    pub fn string(&mut self, document: &mut Document, key: &str) -> Option<Placed<String>> {
        let value = self.take(key)?;
        let at = value.span().start;
        match value.into_inner() {
            DeValue::String(text) => Some(Placed { value: text.into_owned(), at }),
            other => self.wrong_kind(document, at, key, "a string", &other),
        }
    }

    /// A string that must be there.
    pub fn required_string(&mut self, document: &mut Document, key: &str) -> Placed<String> {
        let missing = !self.entries.contains_key(key);
        if missing {
            document.problem(self.at, format!("{} has no {key:?}", self.called()));
        }
        self.string(document, key).unwrap_or(Placed { value: String::new(), at: self.at })
    }

    /// A string, number, boolean or list of these, as one word (a list with commas).
    pub fn word(&mut self, document: &mut Document, key: &str) -> Option<Placed<String>> {
        let value = self.take(key)?;
        let at = value.span().start;
        match as_word(value.get_ref()) {
            Some(word) => Some(Placed { value: word, at }),
            None => self.wrong_kind(document, at, key, "a plain value", value.get_ref()),
        }
    }

    /// A list of strings.
    pub fn strings(&mut self, document: &mut Document, key: &str) -> Option<Vec<Placed<String>>> {
        let value = self.take(key)?;
        let at = value.span().start;
        let DeValue::Array(items) = value.get_ref() else {
            return self.wrong_kind(document, at, key, "a list of strings", value.get_ref());
        };
        let mut strings = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(text) => {
                    strings.push(Placed { value: text.to_string(), at: item.span().start });
                }
                other => {
                    self.wrong_kind::<()>(document, item.span().start, key, "strings only", other);
                }
            }
        }
        Some(strings)
    }

    /// A table.
    pub fn table(&mut self, document: &mut Document, key: &str) -> Option<Section<'t>> {
        let value = self.take(key)?;
        let at = value.span().start;
        match value.into_inner() {
            DeValue::Table(entries) => Some(Section::new(self.below(key), at, entries)),
            other => self.wrong_kind(document, at, key, "a table", &other),
        }
    }

    /// A list of tables, `[[key]]`; empty where there is none.
    pub fn tables(&mut self, document: &mut Document, key: &str) -> Vec<Section<'t>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let at = value.span().start;
        let DeValue::Array(items) = value.into_inner() else {
            document.problem(at, format!("{key} must be a list of tables: write [[{key}]]"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            let at = item.span().start;
            match item.into_inner() {
                DeValue::Table(entries) => {
                    tables.push(Section::new(format!("[{}]", self.below(key)), at, entries));
                }
                _ => document.problem(at, format!("{key} must hold tables: write [[{key}]]")),
            }
        }
        tables
    }

    /// A key that is known and that nobody here reads.
    #[cfg(not(feature = "mak"))]
    pub fn skip(&mut self, key: &str) {
        self.take(key);
    }

    /// Every remaining key with its list of strings; for tables whose keys are the user's.
    #[cfg(feature = "mak")]
    pub fn all_lists(mut self, document: &mut Document) -> Vec<(String, Vec<String>)> {
        let keys: Vec<String> = self.entries.keys().map(|key| key.get_ref().to_string()).collect();
        keys.into_iter()
            .filter_map(|key| {
                let list = self.strings(document, &key)?;
                Some((key, list.into_iter().map(|word| word.value).collect()))
            })
            .collect()
    }

    /// Every remaining key with its string; for tables whose keys are the user's.
    pub fn all_strings(mut self, document: &mut Document) -> Vec<(Placed<String>, String)> {
        let keys: Vec<(usize, String)> =
            self.entries.keys().map(|key| (key.span().start, key.get_ref().to_string())).collect();
        keys.into_iter()
            .filter_map(|(at, key)| {
                let value = self.string(document, &key)?;
                Some((Placed { value: key, at }, value.value))
            })
            .collect()
    }

    /// Notes every key that nobody has taken.
    pub fn finish(self, document: &mut Document) {
        for key in self.entries.keys() {
            let name = key.get_ref();
            let hint = suggest::hint(name, self.known.iter().map(String::as_str));
            document.problem(
                key.span().start,
                format!("unknown key {name:?} in {}{hint}", self.called()),
            );
        }
    }

    fn wrong_kind<T>(
        &self,
        document: &mut Document,
        at: usize,
        key: &str,
        wanted: &str,
        found: &DeValue,
    ) -> Option<T> {
        document.problem(at, format!("{key} must be {wanted}, not {}", article(found.type_str())));
        None
    }

    fn below(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn called(&self) -> String {
        if self.name.is_empty() { "this file".to_owned() } else { format!("[{}]", self.name) }
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

fn as_word(value: &DeValue) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Array(items) => {
            let words: Option<Vec<String>> =
                items.iter().map(|item| as_word(item.get_ref())).collect();
            words?.join(",")
        }
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_found_at_its_place_with_the_nearest_key() {
        let text = "grac = 1\nname = 3\n[health]\nlisten = [1, \"a\"]\nlisten2 = 1\n";
        let mut document = Document::new(Path::new("/x.toml"), text);
        let mut top = document.parse();
        assert_eq!(top.word(&mut document, "grace"), None);
        assert_eq!(top.string(&mut document, "name"), None);
        let mut health = top.table(&mut document, "health").unwrap();
        assert_eq!(health.word(&mut document, "listen").unwrap().value, "1,a");
        health.finish(&mut document);
        top.finish(&mut document);
        assert_eq!(
            document.finish(),
            [
                "/x.toml:1:1: unknown key \"grac\" in this file; did you mean \"grace\"?",
                "/x.toml:2:8: name must be a string, not an integer",
                "/x.toml:5:1: unknown key \"listen2\" in [health]; did you mean \"listen\"?",
            ]
        );
    }

    #[test]
    fn of_a_file_of_nonsense_the_first_problems_are_told() {
        let text = "a\n".repeat(20_000);
        let mut document = Document::new(Path::new("/x.toml"), &text);
        document.parse();
        let problems = document.finish();
        assert_eq!(problems.len(), MOST_PROBLEMS);
        assert!(problems[0].starts_with("/x.toml:1:"), "{}", problems[0]);
    }

    #[test]
    fn what_is_not_toml_is_a_problem_with_a_line() {
        let mut document = Document::new(Path::new("/x.toml"), "a = 1\nb = \nc = [1\n");
        document.parse();
        let problems = document.finish();
        assert!(problems.len() >= 2, "{problems:?}");
        assert!(problems[0].starts_with("/x.toml:2:"), "{problems:?}");
        assert!(problems.iter().all(|line| !line.contains('\n')));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[a-z=\\[\\]\"'#\n .{},0-9\u{e9}]{0,80}") {
            let mut document = Document::new(Path::new("x"), &text);
            let mut top = document.parse();
            top.word(&mut document, "a");
            for mut table in top.tables(&mut document, "b") {
                table.strings(&mut document, "a");
                table.finish(&mut document);
            }
            top.finish(&mut document);
            document.finish();
        }
    }
}
