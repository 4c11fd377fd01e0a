//! One requirement of PEP 508: `eth-hash[pycryptodome]>=0.3.3 ; python_version >= "3.8"`.
//!
//! Used for the profile's lists, lines of requirements files and `Requires-Dist` of installed
//! distributions. The grammar is that of `packaging`, the reference.

use std::fmt;

use super::marker::Marker;
use super::name::normalize;
use super::scan::{Scan, SyntaxError};
use super::version::Specifiers;

/// The longest requirement that is read, in bytes; real ones have some hundred.
pub const LONGEST: usize = 16 << 10;

/// A parsed requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The name as written.
    pub name: String,
    /// Extras asked for, as written.
    pub extras: Vec<String>,
    /// Versions allowed; none given means all.
    pub specifiers: Specifiers,
    /// Where it is to come from, after `@`. Then there are no specifiers.
    pub url: Option<String>,
    /// When it applies; none given means always.
    pub marker: Option<Marker>,
}

impl Requirement {
    /// Parses one requirement, without comments.
    pub fn parse(text: &str) -> Result<Requirement, SyntaxError> {
        let mut scan = Scan::new(text);
        if text.len() > LONGEST {
            return Err(scan.error(format!("longer than {LONGEST} bytes")));
        }
        scan.skip_space();
        let name = scan.identifier();
        if name.is_empty() {
            return Err(scan.error("the name of a distribution was expected"));
        }
        scan.skip_space();
        let extras = extras(&mut scan)?;
        scan.skip_space();
        let (specifiers, url) = if scan.take("@") {
            (Specifiers::default(), Some(url(&mut scan)?))
        } else {
            (specifiers(&mut scan)?, None)
        };
        scan.skip_space();
        let marker = if scan.take(";") { Some(Marker::scan(&mut scan)?) } else { None };
        scan.skip_space();
        if !scan.at_end() {
            return Err(scan.error(match marker {
                Some(_) => "\"and\", \"or\" or the end was expected",
                None => "a version specifier, \";\" or the end was expected",
            }));
        }
        Ok(Requirement { name: name.to_owned(), extras, specifiers, url, marker })
    }

    /// The name as PEP 503 compares it.
    pub fn normalized(&self) -> String {
        normalize(&self.name)
    }
}

fn extras(scan: &mut Scan<'_>) -> Result<Vec<String>, SyntaxError> {
    let mut extras = Vec::new();
    if !scan.take("[") {
        return Ok(extras);
    }
    scan.skip_space();
    if scan.take("]") {
        return Ok(extras);
    }
    loop {
        scan.skip_space();
        let extra = scan.identifier();
        if extra.is_empty() {
            return Err(scan.error("the name of an extra was expected"));
        }
        extras.push(extra.to_owned());
        scan.skip_space();
        if scan.take("]") {
            return Ok(extras);
        }
        if !scan.take(",") {
            return Err(scan.error("\",\" or \"]\" was expected after an extra"));
        }
    }
}

fn specifiers(scan: &mut Scan<'_>) -> Result<Specifiers, SyntaxError> {
    let enclosed = scan.take("(");
    scan.skip_space();
    let specifiers = Specifiers::scan(scan)?;
    scan.skip_space();
    if enclosed && !scan.take(")") {
        return Err(scan.error("\")\" was expected after the version specifiers"));
    }
    Ok(specifiers)
}

/// An address ends at white space; a `;` right behind it belongs to it.
fn url(scan: &mut Scan<'_>) -> Result<String, SyntaxError> {
    scan.skip_space();
    let url = scan.take_while(|letter| !matches!(letter, ' ' | '\t'));
    if url.is_empty() {
        Err(scan.error("an address was expected after @"))
    } else {
        Ok(url.to_owned())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)?;
        if !self.extras.is_empty() {
            write!(out, "[{}]", self.extras.join(","))?;
        }
        match &self.url {
            Some(url) => write!(out, " @ {url}")?,
            None => write!(out, "{}", self.specifiers)?,
        }
        match &self.marker {
            Some(marker) => write!(out, " ; {marker}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_a_requirement_is_understood() {
        // Name, extras, specifiers, url, whether there is a marker: as packaging 26.3 has it.
        let table = [
            ("toml", "toml", "", "", "", false),
            (" eth-hash[pycryptodome]>=0.3.3", "eth-hash", "pycryptodome", ">=0.3.3", "", false),
            ("a [ b , c ] >= 1 , < 3", "a", "b,c", ">=1,<3", "", false),
            ("a[](>=1,<2)", "a", "", ">=1,<2", "", false),
            ("a (==2.*) ; os_name == 'nt'", "a", "", "==2.*", "", true),
            ("a>=1,;os_name=='nt'", "a", "", ">=1", "", true),
            ("a_ ; os_name=='nt'", "a_", "", "", "", true),
            ("a[b]@http://h/x;y", "a", "b", "", "http://h/x;y", false),
            ("a @ file:///x ; os_name == 'nt'", "a", "", "", "file:///x", true),
            ("a===1_x;os_name=='nt'", "a", "", "===1_x", "", true),
        ];
        for (text, name, extras, specifiers, url, marker) in table {
            let parsed = Requirement::parse(text).unwrap();
            assert_eq!(parsed.name, name, "{text}");
            assert_eq!(parsed.extras.join(","), extras, "{text}");
            assert_eq!(parsed.specifiers.to_string(), specifiers, "{text}");
            assert_eq!(parsed.url.clone().unwrap_or_default(), url, "{text}");
            assert_eq!(parsed.marker.is_some(), marker, "{text}");
            assert_eq!(Requirement::parse(&parsed.to_string()).unwrap(), parsed, "{text}");
        }
    }

    #[test]
    fn errors_point_at_the_column() {
        // packaging 26.3 refuses each of these.
        for (text, column) in [
            ("", 1),
            ("_a", 1),
            ("a-", 2),
            ("a 1", 3),
            ("a[b,]", 5),
            ("a[b c]", 5),
            ("a(>=1", 6),
            ("a>=1)", 5),
            ("a>=1.*", 4),
            ("a==1 .*", 6),
            ("a @", 4),
            ("a;", 3),
            ("a @ http://x y", 14),
            ("a>=1;os_name=='posix')", 22),
            ("é>=1", 1),
        ] {
            assert_eq!(Requirement::parse(text).unwrap_err().column, column, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = Requirement::parse(&text);
        }

        #[test]
        fn a_printed_requirement_is_the_same_requirement(
            text in "[a-z]{1,3}(\\[[a-z, -]{0,5}\\])? ?([(@]|[<>=~!]=)?[ 0-9a-z.*,)/:]{0,9}( ?; ?extra == \"[a-z']{0,3}\")?"
        ) {
            if let Ok(parsed) = Requirement::parse(&text) {
                prop_assert_eq!(Requirement::parse(&parsed.to_string()).unwrap(), parsed);
            }
        }
    }
}
