//! What a package manager has installed, read from its own files where they are a format: dpkg's
//! status, apk's `installed`, pacman's `local`, brew's Cellar. rpm's database has no format of its
//! own (Berkeley DB, ndb, SQLite), so that `rpm` is asked. `survey` calls [`read`].

mod apk;
mod brew;
mod dpkg;
mod pacman;
mod rpm;

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::manager::Manager;
use crate::platform::Root;

/// As much of one file is read: a machine with 5,000 packages has 8 MB.
const LARGEST: u64 = 128 << 20;

/// The packages of a root.
#[derive(Debug, Default)]
pub struct Database {
    /// Name and version of what is installed completely.
    installed: HashMap<String, String>,
    /// Names that installed packages stand for.
    provided: HashSet<String>,
    /// Packages that an interrupted run has left half-way.
    pub unfinished: Vec<String>,
}

/// Why nothing is known.
#[derive(Debug, PartialEq, Eq)]
pub struct DatabaseError {
    /// The file or the program.
    pub of: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot read the package database {}: {}", self.of, self.why)
    }
}

impl std::error::Error for DatabaseError {}

impl Database {
    /// Whether a package is installed, by its own name or one that it stands for.
    pub fn has(&self, name: &str) -> bool {
        self.installed.contains_key(name) || self.provided.contains(name)
    }

    /// The version of an installed package.
    pub fn version(&self, name: &str) -> Option<&str> {
        self.installed.get(name).map(String::as_str)
    }

    /// How many packages are installed.
    pub fn len(&self) -> usize {
        self.installed.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.installed.is_empty()
    }
}

/// Reads the database of this manager.
pub fn read(manager: Manager, root: &Root) -> Result<Database, DatabaseError> {
    match manager {
        Manager::Apt => dpkg::read(root),
        Manager::Dnf | Manager::Yum | Manager::Zypper => rpm::read(root),
        Manager::Apk => apk::read(root),
        Manager::Pacman => Ok(pacman::read(root)),
        Manager::Brew => Ok(brew::read(root)),
    }
}

/// Text that may hold anything; the field is ASCII where it matters.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
