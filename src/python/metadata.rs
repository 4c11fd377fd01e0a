//! The header of a METADATA or PKG-INFO file (core metadata, PEP 566 and later): mail headers up
//! to the first empty line. The description behind it, often most of the file, is never read.

use std::io::{self, Read};
use std::path::Path;

use crate::platform::{Root, file};

/// The longest header taken; the largest seen in practice is 60 KiB.
pub const LONGEST_HEADER: usize = 1 << 20;

/// The fields that are taken, as [`Metadata::parse`] compares them.
const FIELDS: [&str; 5] = ["name", "version", "requires-python", "requires-dist", "provides-extra"];

/// What is asked of a distribution's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `Name`, as written.
    pub name: Option<String>,
    /// `Version`, as written.
    pub version: Option<String>,
    /// Every `Requires-Dist`, as written.
    pub requires: Vec<String>,
    /// `Requires-Python`, as written.
    pub requires_python: Option<String>,
    /// Every `Provides-Extra`, as written.
    pub provides_extra: Vec<String>,
}

impl Metadata {
    /// Parses a header. Unknown fields are passed over; text that is not UTF-8 is taken with
    /// replacement characters.
    pub fn parse(bytes: &[u8]) -> Metadata {
        let mut metadata = Metadata::default();
        let text = file::text(header(bytes));
        let mut field: Option<(&str, String)> = None;
        for line in text.lines() {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = &mut field {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                continue;
            }
            if let Some((key, value)) = field.take() {
                metadata.set(key, value);
            }
            field = line.split_once(':').and_then(|(key, value)| {
                let known = FIELDS.iter().find(|field| field.eq_ignore_ascii_case(key))?;
                Some((*known, value.trim().to_owned()))
            });
        }
        if let Some((key, value)) = field {
            metadata.set(key, value);
        }
        metadata
    }

    /// Reads the header of a file and no more of it.
    pub fn read(root: &Root, path: &Path) -> io::Result<Metadata> {
        let file = root.open(path)?;
        let mut file = file.reader();
        let mut block = [0; 8192];
        let mut bytes = Vec::new();
        loop {
            let count = file.read(&mut block)?;
            let read = block.get(..count).unwrap_or_default();
            // Most headers are shorter than a block: nothing is set aside for them.
            if bytes.is_empty() && end_of_header(read).is_some() {
                return Ok(Metadata::parse(read));
            }
            let known = bytes.len().saturating_sub(3);
            bytes.extend_from_slice(read);
            if count == 0 || end_of_header(bytes.get(known..).unwrap_or_default()).is_some() {
                return Ok(Metadata::parse(&bytes));
            }
            if bytes.len() > LONGEST_HEADER {
                return Err(io::Error::other(format!(
                    "has a header of more than {LONGEST_HEADER} bytes"
                )));
            }
        }
    }

    fn set(&mut self, key: &str, value: String) {
        match key {
            "name" => self.name = self.name.take().or(Some(value)),
            "version" => self.version = self.version.take().or(Some(value)),
            "requires-python" => self.requires_python = self.requires_python.take().or(Some(value)),
            "requires-dist" => self.requires.push(value),
            "provides-extra" => self.provides_extra.push(value),
            _ => {}
        }
    }
}

fn header(bytes: &[u8]) -> &[u8] {
    let end = end_of_header(bytes).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}

/// Where the first empty line begins. A header that starts with one is empty.
fn end_of_header(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes)
        .map(|at| at + 1)
        .find(|&next| matches!(bytes.get(next..), Some([b'\n', ..] | [b'\r', b'\n', ..])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "Metadata-Version: 2.4\r\nName: Eth_Hash\r\nVERSION: 0.8.0\r\n\
        Requires-Dist: a>=1;\r\n  extra == \"b\"\r\nRequires-Dist: c\r\nProvides-Extra: b\r\n\
        Requires-Python: >=3.8, <4\r\n\r\nName: not this one\r\n";

    #[test]
    fn fields_are_read_up_to_the_empty_line() {
        let metadata = Metadata::parse(TEXT.as_bytes());
        assert_eq!(metadata.name.as_deref(), Some("Eth_Hash"));
        assert_eq!(metadata.version.as_deref(), Some("0.8.0"));
        assert_eq!(metadata.requires, ["a>=1; extra == \"b\"", "c"]);
        assert_eq!(metadata.requires_python.as_deref(), Some(">=3.8, <4"));
        assert_eq!(metadata.provides_extra, ["b"]);
        assert_eq!(metadata, Metadata::parse(TEXT.replace("\r\n", "\n").as_bytes()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Metadata::parse(&bytes);
        }
    }
}
