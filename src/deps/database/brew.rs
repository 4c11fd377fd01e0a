//! Homebrew's Cellar: a folder for each formula, in it one for each version; what stands in `opt`
//! is linked, under its aliases too. The prefix is a different one on each platform
//! (docs.brew.sh/Installation).

use std::path::Path;

use super::Database;
use crate::platform::Root;

/// Apple's processors, Intel's, Linux.
const PREFIXES: [&str; 3] = ["/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew"];

pub(super) fn read(root: &Root) -> Database {
    let mut database = Database::default();
    for prefix in PREFIXES.map(Path::new) {
        let cellar = prefix.join("Cellar");
        for formula in root.names(&cellar) {
            // An interrupted installation leaves a formula without a version.
            let versions = root.names(&cellar.join(&formula));
            let version =
                versions.iter().rev().find(|name| !name.as_encoded_bytes().starts_with(b"."));
            let name = formula.to_string_lossy().into_owned();
            match version {
                Some(version) => {
                    database.installed.insert(name, version.to_string_lossy().into_owned());
                }
                None => database.unfinished.push(name),
            }
        }
        let linked = root.names(&prefix.join("opt")).into_iter();
        let linked = linked.filter(|name| root.is_dir(&prefix.join("opt").join(name)));
        database.provided.extend(linked.map(|name| name.to_string_lossy().into_owned()));
    }
    database
}
