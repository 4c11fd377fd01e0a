//! pacman's local database: a folder for each package with a file `desc` of `%FIELD%` sections
//! (libalpm, `be_local.c`).

use std::path::Path;

use super::{Database, text};
use crate::platform::Root;

const LOCAL: &str = "/var/lib/pacman/local";
/// A description is a few kilobytes.
const LARGEST_DESCRIPTION: u64 = 4 << 20;

pub(super) fn read(root: &Root) -> Database {
    let mut database = Database::default();
    let local = Path::new(LOCAL);
    for name in root.names(local) {
        if let Ok(bytes) = root.read(&local.join(&name).join("desc"), LARGEST_DESCRIPTION) {
            add(&mut database, &bytes);
        }
    }
    database
}

fn add(database: &mut Database, bytes: &[u8]) {
    let mut field: &[u8] = b"";
    let (mut name, mut version) = (String::new(), String::new());
    for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        match (field, line) {
            (_, b"") => field = b"",
            (b"", line) => field = line,
            (b"%NAME%", value) => name = text(value),
            (b"%VERSION%", value) => version = text(value),
            // A group is no package, but `pacman -S` takes its name all the same.
            (b"%PROVIDES%" | b"%GROUPS%", value) => {
                let end = value.iter().position(|b| b"=<>".contains(b)).unwrap_or(value.len());
                database.provided.insert(text(&value[..end]));
            }
            _ => {}
        }
    }
    if !name.is_empty() {
        database.installed.insert(name, version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_package_version_and_what_it_provides() {
        let mut database = Database::default();
        add(
            &mut database,
            b"%NAME%\nocl-icd\n\n%VERSION%\n2.3.2-2\n\n%DESC%\nA loader\n\n%PROVIDES%\nopencl-icd-loader\nlibOpenCL.so=1-64\n",
        );
        assert_eq!(database.version("ocl-icd"), Some("2.3.2-2"));
        assert!(database.has("opencl-icd-loader") && database.has("libOpenCL.so"));
        assert!(!database.has("A loader"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            add(&mut Database::default(), &bytes);
        }
    }
}
