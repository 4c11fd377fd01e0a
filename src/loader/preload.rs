//! What is loaded before everything else: LD_PRELOAD and `/etc/ld.so.preload` (man 8 ld.so). Both
//! loaders go on without a file that is not found.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::platform::Root;
use crate::platform::userland::Family;

/// glibc's file; musl reads none.
pub const FILE: &str = "/etc/ld.so.preload";
const MOST_BYTES: u64 = 64 * 1024;
const MOST_NAMES: usize = 256;

/// Sonames and paths in the order of loading; `variable` is LD_PRELOAD.
pub(super) fn names(root: &Root, family: Family, variable: &OsStr) -> Vec<OsString> {
    // musl takes any white space, glibc a blank only.
    let separators: &[u8] = if family == Family::Musl { b": \t\n\r\x0b\x0c" } else { b": " };
    let mut names = words(variable.as_bytes(), separators);
    if family == Family::Glibc {
        let bytes = root.read(Path::new(FILE), MOST_BYTES).unwrap_or_default();
        for line in bytes.split(|&byte| byte == b'\n') {
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            names.extend(words(line, b": \t"));
        }
    }
    names.truncate(MOST_NAMES);
    names
}

fn words(text: &[u8], separators: &[u8]) -> Vec<OsString> {
    let words = text.split(|byte| separators.contains(byte)).filter(|word| !word.is_empty());
    words.map(|word| OsStr::from_bytes(word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::fixture::Folder;

    #[test]
    fn the_variable_comes_before_the_file_and_comments_are_left_out() {
        let folder = Folder::new("preload");
        folder.write("etc/ld.so.preload", "/lib/one.so two.so # three.so\n\tfour.so\n");
        let root = folder.root();
        let glibc = names(&root, Family::Glibc, OsStr::new("a.so:b.so  c.so"));
        assert_eq!(glibc, ["a.so", "b.so", "c.so", "/lib/one.so", "two.so", "four.so"]);
        let musl = names(&root, Family::Musl, OsStr::new("a.so\tb.so"));
        assert_eq!(musl, ["a.so", "b.so"]);
    }
}
