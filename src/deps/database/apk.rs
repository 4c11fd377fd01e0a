//! apk's list of installed packages: paragraphs of `X:value`, P the name, V the version, p what it
//! provides, as `so:libhwloc.so.15=15.7.0` or `cmd:git=2.45` (apk-tools, `apk_db_write`). It is
//! below /lib, since apk-tools 3 below /usr/lib.

use std::path::Path;

use super::{Database, DatabaseError, LARGEST, text};
use crate::platform::Root;

const PLACES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

pub(super) fn read(root: &Root) -> Result<Database, DatabaseError> {
    let mut last = None;
    for place in PLACES {
        match root.read(Path::new(place), LARGEST) {
            Ok(bytes) => return Ok(parse(&bytes)),
            Err(error) => last = last.or(Some(error.to_string())),
        }
    }
    Err(DatabaseError { of: PLACES[0].to_owned(), why: last.unwrap_or_default() })
}

fn parse(bytes: &[u8]) -> Database {
    let mut database = Database::default();
    let mut name: &[u8] = b"";
    let mut version: &[u8] = b"";
    let lines = bytes.split(|byte| *byte == b'\n').chain([&b""[..]]);
    for line in lines {
        match line {
            [b'P', b':', value @ ..] => name = value,
            [b'V', b':', value @ ..] => version = value,
            [b'p', b':', value @ ..] => {
                for word in value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
                    let end = word.iter().position(|b| b"=<>~".contains(b)).unwrap_or(word.len());
                    database.provided.insert(text(&word[..end]));
                }
            }
            [] if !name.is_empty() => {
                database.installed.insert(text(name), text(version));
                (name, version) = (b"", b"");
            }
            _ => {}
        }
    }
    database
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_what_they_provide_are_found() {
        let database = parse(
            b"C:Q1abc=\nP:hwloc\nV:2.10.0-r0\nA:x86_64\np:so:libhwloc.so.15=15.7.1\nF:usr/lib\nR:libhwloc.so.15\n\n\
              P:busybox\nV:1.36.1-r29\np:/bin/sh cmd:busybox=1.36.1-r29",
        );
        assert_eq!(database.version("hwloc"), Some("2.10.0-r0"));
        assert!(database.has("so:libhwloc.so.15") && database.has("cmd:busybox"));
        assert!(database.has("busybox") && !database.has("git"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            parse(&bytes);
        }
    }
}
