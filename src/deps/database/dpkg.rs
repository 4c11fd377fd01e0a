//! dpkg's status file: paragraphs of `Field: value` (`man 1 dpkg`, `man 5 deb822`). A package is
//! installed where its Status is `install ok installed` and nothing else: `dpkg -s` also finds
//! those of which only the configuration is left. Distroless images have a file for each package
//! in `status.d`, without a Status.

use std::path::Path;

use super::{Database, DatabaseError, LARGEST, text};
use crate::platform::Root;

const STATUS: &str = "/var/lib/dpkg/status";
const STATUS_FOLDER: &str = "/var/lib/dpkg/status.d";

pub(super) fn read(root: &Root) -> Result<Database, DatabaseError> {
    let mut database = Database::default();
    let error = match root.read(Path::new(STATUS), LARGEST) {
        Ok(bytes) => {
            add(&mut database, &bytes, false);
            None
        }
        Err(error) => Some(error),
    };
    let folder = Path::new(STATUS_FOLDER);
    let names = root.names(folder);
    for name in names.iter().filter(|name| !name.as_encoded_bytes().ends_with(b".md5sums")) {
        if let Ok(bytes) = root.read(&folder.join(name), LARGEST) {
            add(&mut database, &bytes, true);
        }
    }
    match error {
        Some(error) if names.is_empty() => {
            Err(DatabaseError { of: STATUS.to_owned(), why: error.to_string() })
        }
        _ => Ok(database),
    }
}

#[derive(Default)]
struct Paragraph<'t> {
    package: &'t [u8],
    version: &'t [u8],
    status: &'t [u8],
    provides: &'t [u8],
}

fn add(database: &mut Database, bytes: &[u8], without_status: bool) {
    let mut now = Paragraph::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        match line.first() {
            None => end(database, std::mem::take(&mut now), without_status),
            Some(b'P') => {
                take(line, b"Package:", &mut now.package);
                take(line, b"Provides:", &mut now.provides);
            }
            Some(b'S') => take(line, b"Status:", &mut now.status),
            Some(b'V') => take(line, b"Version:", &mut now.version),
            Some(_) => {}
        }
    }
    end(database, now, without_status);
}

fn take<'t>(line: &'t [u8], field: &[u8], into: &mut &'t [u8]) {
    if let Some(value) = line.strip_prefix(field) {
        *into = value.trim_ascii();
    }
}

fn end(database: &mut Database, paragraph: Paragraph, without_status: bool) {
    if paragraph.package.is_empty() {
        return;
    }
    let state = paragraph.status.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let installed = state == b"installed" || (without_status && state.is_empty());
    if !installed {
        // What dpkg itself asks `--configure -a` or a reinstallation for.
        if matches!(
            state,
            b"half-installed" | b"unpacked" | b"half-configured" | b"triggers-awaited"
        ) {
            database.unfinished.push(text(paragraph.package));
        }
        return;
    }
    for provided in paragraph.provides.split(|byte| *byte == b',') {
        let name = provided.trim_ascii().split(|byte| b" (".contains(byte)).next();
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            database.provided.insert(text(name));
        }
    }
    database.installed.insert(text(paragraph.package), text(paragraph.version));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_counts_not_what_left_its_configuration() {
        let status = b"Package: curl\nStatus: install ok installed\nVersion: 7.88.1\nDescription: x\n Package: not\n\n\
            Package: wget\nStatus: deinstall ok config-files\nVersion: 1.21\n\n\
            Package: libmagic1t64\nStatus: hold ok installed\nVersion: 1:5.46\nProvides: libmagic1 (= 1:5.46), x\n\n\
            Package: half\nStatus: install ok half-configured\nVersion: 1\n";
        let mut database = Database::default();
        add(&mut database, status, false);
        assert!(database.has("curl") && !database.has("wget") && !database.has("not"));
        assert!(database.has("libmagic1") && database.has("x") && !database.has("half"));
        assert_eq!(database.version("libmagic1t64"), Some("1:5.46"));
        assert_eq!(database.unfinished, ["half"]);
        assert_eq!(database.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            add(&mut Database::default(), &bytes, true);
            let mut text = b"Package: a\nStatus: install ok installed\nProvides: ".to_vec();
            text.extend(&bytes);
            add(&mut Database::default(), &text, false);
        }
    }
}
