//! rpm's database, by asking `rpm` for names, versions and what is provided. The format of its
//! files has changed twice and is nobody's contract.

use std::process::{Command, Stdio};

use super::{Database, DatabaseError, text};
use crate::platform::Root;

/// One line a package, then one line for each name it provides, indented.
const FORMAT: &str = "%{NAME}\\t%{VERSION}-%{RELEASE}\\n[ %{PROVIDENAME}\\n]";

pub(super) fn read(root: &Root) -> Result<Database, DatabaseError> {
    let failed = |why: String| DatabaseError { of: "through rpm".to_owned(), why };
    let mut command = Command::new("rpm");
    if !root.is_host() {
        command.arg("--root").arg(root.base());
    }
    let output = command
        .args(["-qa", "--qf", FORMAT])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("rpm does not start: {error}")))?;
    if !output.status.success() {
        let said = text(&output.stderr);
        return Err(failed(said.lines().next().unwrap_or("rpm says nothing").to_owned()));
    }
    Ok(parse(&output.stdout))
}

fn parse(bytes: &[u8]) -> Database {
    let mut database = Database::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(provided) = line.strip_prefix(b" ") {
            database.provided.insert(text(provided));
        } else if let Some(tab) = line.iter().position(|byte| *byte == b'\t') {
            database.installed.insert(text(&line[..tab]), text(&line[tab + 1..]));
        }
    }
    database
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_versions_and_what_is_provided_are_told_apart() {
        let database = parse(b"hwloc-libs\t2.4.1-5.el9\n hwloc-libs\n libhwloc.so.15()(64bit)\n");
        assert_eq!(database.version("hwloc-libs"), Some("2.4.1-5.el9"));
        assert!(database.has("libhwloc.so.15()(64bit)") && !database.has("hwloc"));
        assert_eq!(database.len(), 1);
    }
}
