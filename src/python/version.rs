//! Versions and version specifiers of PEP 440, judged the way an installed distribution is:
//! a pre-release that is installed counts.
//!
//! Parsing and ordering of versions are pep440_rs's. The comparison clauses are here, because
//! the crate's differ from `packaging`, the reference: there `==1.1.*` accepts `1`, since it does
//! not pad the shorter release with zeros, and `===` needs a valid version.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

pub use pep440_rs::Version;

use super::scan::{Scan, SyntaxError};

/// A version from text; `None` where PEP 440 does not allow it.
pub fn parse_version(text: &str) -> Option<Version> {
    Version::from_str(text.trim()).ok()
}

/// How a specifier compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `===`, text against text.
    Identical,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `~=`
    Compatible,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Less,
    /// `>`
    Greater,
}

/// Longer tokens first, so that `==` is not taken for the start of `===`.
const OPERATORS: [(&str, Operator); 8] = [
    ("===", Operator::Identical),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("~=", Operator::Compatible),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Operator {
    pub(crate) fn take(scan: &mut Scan<'_>) -> Option<Operator> {
        OPERATORS.iter().find(|(text, _)| scan.take(text)).map(|&(_, operator)| operator)
    }

    /// As it is written.
    pub fn text(self) -> &'static str {
        OPERATORS.iter().find(|&&(_, operator)| operator == self).map_or("", |(text, _)| text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Text,
    Exactly(Version),
    Prefix(Version),
}

/// One clause, such as `>=1.0` or `!=2.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specifier {
    operator: Operator,
    text: String,
    wanted: Wanted,
}

impl Specifier {
    /// One clause and nothing after it.
    pub fn parse(text: &str) -> Result<Specifier, SyntaxError> {
        let mut scan = Scan::new(text);
        scan.skip_space();
        let specifier = Specifier::scan(&mut scan)?;
        scan.skip_space();
        if scan.at_end() { Ok(specifier) } else { Err(scan.error("nothing more was expected")) }
    }

    fn scan(scan: &mut Scan<'_>) -> Result<Specifier, SyntaxError> {
        let Some(operator) = Operator::take(scan) else {
            return Err(scan.error("a comparison such as >= or == was expected"));
        };
        scan.skip_space();
        let start = scan.place();
        if operator == Operator::Identical {
            let text = scan.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ';' | ')'));
            return Ok(Specifier { operator, text: text.to_owned(), wanted: Wanted::Text });
        }
        let text = scan.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ';' | ')'));
        let fail = |problem: String| scan.error_at(start, problem);
        let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        let (number, prefix) = match text.strip_suffix(".*") {
            Some(_) if !equality => {
                return Err(fail(format!(
                    "\".*\" goes with == and != only, not {}",
                    operator.text()
                )));
            }
            Some(number) => (number, true),
            None => (text, false),
        };
        let Some(version) = parse_version(number) else {
            return Err(fail(format!("\"{text}\" is not a version (PEP 440)")));
        };
        if version.is_local() && (prefix || !equality) {
            return Err(fail("a local version (+…) goes with == and != only".into()));
        }
        if prefix && (version.any_prerelease() || version.is_post()) {
            return Err(fail("\".*\" goes after a plain release number only".into()));
        }
        if operator == Operator::Compatible && version.release().len() < 2 {
            return Err(fail("~= needs at least two numbers, as in ~=1.2".into()));
        }
        let wanted = if prefix { Wanted::Prefix(version) } else { Wanted::Exactly(version) };
        Ok(Specifier { operator, text: text.to_owned(), wanted })
    }

    /// Whether an installed version, as written, satisfies the clause.
    pub fn contains(&self, installed: &str) -> bool {
        match (&self.wanted, parse_version(installed)) {
            // packaging compares what it is given, pip gives it the normalized form: either will do.
            (Wanted::Text, version) => {
                installed.eq_ignore_ascii_case(&self.text)
                    || version.is_some_and(|v| v.to_string().eq_ignore_ascii_case(&self.text))
            }
            (_, None) => false,
            (Wanted::Prefix(wanted), Some(version)) => {
                starts_with(&version, wanted, wanted.release().len())
                    == (self.operator == Operator::Equal)
            }
            (Wanted::Exactly(wanted), Some(version)) => compare(self.operator, wanted, &version),
        }
    }
}

fn compare(operator: Operator, wanted: &Version, version: &Version) -> bool {
    // Taking away what is not there would copy the numbers.
    let public = if version.is_local() { version.clone().without_local() } else { version.clone() };
    let order = public.cmp(wanted);
    match operator {
        Operator::Identical => false,
        Operator::Equal | Operator::NotEqual => {
            let equal = if wanted.is_local() { version == wanted } else { public == *wanted };
            equal == (operator == Operator::Equal)
        }
        Operator::AtMost => order != Ordering::Greater,
        Operator::AtLeast => order != Ordering::Less,
        Operator::Compatible => {
            let fixed = wanted.release().len().saturating_sub(1);
            order != Ordering::Less && starts_with(version, wanted, fixed)
        }
        // "<1" must not accept 1.0a1, the way there: it ends before 1.dev0, unless the clause
        // names a pre-release itself.
        Operator::Less => {
            let first = if wanted.any_prerelease() {
                wanted.clone()
            } else {
                wanted.clone().with_dev(Some(0))
            };
            public < first
        }
        // ">1" must not accept 1.post1, which is 1 with a correction.
        Operator::Greater => {
            let without_post = public.clone().with_post(None).with_dev(None);
            order == Ordering::Greater && !(version.is_post() && without_post == *wanted)
        }
    }
}

/// Whether epoch and the first `count` numbers agree; a missing number is 0.
fn starts_with(version: &Version, wanted: &Version, count: usize) -> bool {
    let number =
        |version: &Version, index: usize| version.release().get(index).copied().unwrap_or_default();
    version.epoch() == wanted.epoch()
        && (0..count).all(|index| number(version, index) == number(wanted, index))
}

impl fmt::Display for Specifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.operator.text(), self.text)
    }
}

/// Clauses that must all hold; none at all accept everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Specifiers(Vec<Specifier>);

impl Specifiers {
    /// Clauses separated by commas, as in `Requires-Python`; empty parts are allowed.
    pub fn parse(text: &str) -> Result<Specifiers, SyntaxError> {
        let mut scan = Scan::new(text);
        let mut clauses = Vec::new();
        loop {
            let separators = scan.take_while(|c| c.is_whitespace() || c == ',');
            if scan.at_end() {
                return Ok(Specifiers(clauses));
            }
            if !clauses.is_empty() && !separators.contains(',') {
                return Err(scan.error("a comma was expected"));
            }
            clauses.push(Specifier::scan(&mut scan)?);
        }
    }

    /// Zero or more clauses, up to the first thing that is none.
    pub(crate) fn scan(scan: &mut Scan<'_>) -> Result<Specifiers, SyntaxError> {
        let mut clauses = Vec::new();
        while scan.peek().is_some_and(|c| matches!(c, '=' | '!' | '~' | '<' | '>')) {
            clauses.push(Specifier::scan(scan)?);
            scan.skip_space();
            if !scan.take(",") {
                break;
            }
            scan.skip_space();
        }
        Ok(Specifiers(clauses))
    }

    /// Whether an installed version, as written, satisfies every clause.
    pub fn contains(&self, installed: &str) -> bool {
        self.0.iter().all(|specifier| specifier.contains(installed))
    }

    /// Whether there are no clauses.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Specifiers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, specifier) in self.0.iter().enumerate() {
            write!(out, "{}{specifier}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tricky_versions_are_judged_as_packaging_judges_them() {
        // packaging 26.3, SpecifierSet(…).contains(…, prereleases=True).
        let table = [
            ("==1.1.*", "1", false),
            ("==1.1.*", "1.1.0a1", true),
            ("!=1.1.*", "1", true),
            ("==1.0", "1.0+cpu", true),
            ("==1.0+cpu", "1.0", false),
            ("==1.0+cpu", "1.0+CPU", true),
            ("<1.0", "1.0a1", false),
            ("<1.0", "1.0.dev0", false),
            ("<1.0", "0.9a1", true),
            ("<1.0.post1", "1.0a1", true),
            ("<1.0rc1", "1.0b1", true),
            (">1.0", "1.0.post1", false),
            (">1.0", "1.0+local", false),
            (">1.0a1", "1.0.post1", true),
            (">1.0.post1", "1.0.post2", true),
            (">=1.0", "1.0a1", false),
            (">=1.0", "1.0+x", true),
            ("<=1.0", "1.0+x", true),
            ("~=2.2", "2.3", true),
            ("~=2.2", "3.0", false),
            ("~=2.2.0", "2.3", false),
            ("~=2.2.post3", "2.9", true),
            ("~=1!2.2", "2.3", false),
            ("==1.0", "1!1.0", false),
            (">=0", "1!0", true),
            ("==1.0.0", "1", true),
            (">=0.2.0", "0.3.1.post4", true),
            (">=5.26.0,<7.0.0", "6.33.6", true),
            (">=5.26.0,<7.0.0", "7.0.0rc1", false),
            ("!=3.14.1,>=3.11", "3.14.1", false),
            ("", "1.0.dev1", true),
            (">=3.8.4", "3.7.0", false),
            ("===1.0", "1.0", true),
            ("===1.0", "1.0.0", false),
            ("===foo", "foo", true),
            (">=1", "foo", false),
            ("==2023.1.1", "2023.01.01", true),
        ];
        for (clauses, version, expected) in table {
            let parsed = Specifiers::parse(clauses).unwrap();
            assert_eq!(parsed.contains(version), expected, "{version} in {clauses}");
            assert_eq!(Specifiers::parse(&parsed.to_string()).unwrap(), parsed);
        }
    }

    #[test]
    fn what_packaging_refuses_is_refused_with_a_column() {
        for text in ["1.0", "=>1", "~=1", ">=1.*", ">=1.0+cpu", "==1.0a1.*", ">1 <2", "=="] {
            assert!(Specifiers::parse(text).is_err(), "{text}");
        }
        let error = Specifiers::parse(">=1, <2.*").unwrap_err();
        assert_eq!(error.column, 7);
        assert!(error.to_string().contains("goes with == and != only"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(clauses in any::<String>(), version in any::<String>()) {
            if let Ok(parsed) = Specifiers::parse(&clauses) {
                parsed.contains(&version);
            }
        }

        #[test]
        fn text_of_the_right_letters_never_panics_and_survives_being_printed(
            clauses in "([=!~<>]=?=?[0-9a-z!.+*-]{0,9},? ?){0,3}",
            version in "[0-9a-z!.+-]{0,12}",
        ) {
            if let Ok(parsed) = Specifiers::parse(&clauses) {
                parsed.contains(&version);
                prop_assert_eq!(Specifiers::parse(&parsed.to_string()).unwrap(), parsed);
            }
        }
    }
}
