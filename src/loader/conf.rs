//! `/etc/ld.so.conf`, which ldconfig reads and the loader does not. It is looked at only to
//! explain why a file that lies in one of its folders is not found.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::platform::Root;

const CONF: &str = "/etc/ld.so.conf";
/// Limits that no real configuration comes near: bytes of one file, files, folders.
const MOST_BYTES: u64 = 256 * 1024;
const MOST_FILES: usize = 256;
const MOST_FOLDERS: usize = 1024;

/// The folders that the root's `/etc/ld.so.conf` and the files it includes list, in order.
/// What cannot be read is passed over, as ldconfig does.
pub fn directories(root: &Root) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut seen = BTreeSet::new();
    // Files still to be read, the next one last, so that included lines come where `include` is.
    let mut pending = vec![Line::File(PathBuf::from(CONF))];
    while let Some(line) = pending.pop() {
        match line {
            Line::Folder(folder) => {
                if folders.len() < MOST_FOLDERS && !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
            Line::File(path) => {
                if seen.len() < MOST_FILES && seen.insert(path.clone()) {
                    let mut lines = lines(root, &path);
                    lines.reverse();
                    pending.extend(lines);
                }
            }
        }
    }
    folders
}

enum Line {
    Folder(PathBuf),
    File(PathBuf),
}

fn lines(root: &Root, path: &Path) -> Vec<Line> {
    let Ok(bytes) = root.read(path, MOST_BYTES) else { return Vec::new() };
    let mut found = Vec::new();
    for line in bytes.split(|&byte| byte == b'\n').take(4 * MOST_FOLDERS) {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        let mut words = line
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty())
            .map(|word| Path::new(OsStr::from_bytes(word)));
        match words.next() {
            None => {}
            Some(word) if word == Path::new("include") => {
                let base = path.parent().unwrap_or(Path::new("/"));
                for pattern in words {
                    found.extend(expand(root, &base.join(pattern)).into_iter().map(Line::File));
                }
            }
            // `hwcap 0 nosegneg` of old configurations.
            Some(word) if word == Path::new("hwcap") => {}
            Some(_) => {
                // An old form puts `=libc6` behind the folder.
                let folder = line.split(|&byte| byte == b'=').next().unwrap_or_default();
                let folder = Path::new(OsStr::from_bytes(folder.trim_ascii()));
                if folder.is_absolute() {
                    found.push(Line::Folder(folder.to_owned()));
                }
            }
        }
    }
    found
}

/// The paths that match a pattern with `*` and `?` in any of its parts, sorted.
fn expand(root: &Root, pattern: &Path) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/")];
    for part in pattern.components().skip(1) {
        let part = part.as_os_str();
        let mut next = Vec::new();
        for path in paths {
            if !part.as_bytes().iter().any(|byte| matches!(byte, b'*' | b'?')) {
                next.push(path.join(part));
                continue;
            }
            let names = root.names(&path);
            let matching = names.iter().filter(|name| matches(part.as_bytes(), name.as_bytes()));
            next.extend(matching.map(|name| path.join(name)));
        }
        next.truncate(MOST_FILES);
        paths = next;
    }
    paths
}

/// Whether a name matches a pattern of literal bytes, `*` and `?`, as in glob(7). A leading dot
/// has to be literal. Goes back to the last star only, so that it takes at most
/// `pattern × name` steps.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::fixture::Folder;

    #[test]
    fn includes_are_expanded_in_place_and_circles_end() {
        let folder = Folder::new("conf");
        folder
            .write("etc/ld.so.conf", "/first # why\ninclude ld.so.conf.d/*.conf\n\n/last=libc6\n");
        folder.write("etc/ld.so.conf.d/a.conf", "/a\ninclude /etc/ld.so.conf\n");
        folder.write("etc/ld.so.conf.d/b.conf", "# nothing\n  /b with space  \nrelative\n/a");
        folder.write("etc/ld.so.conf.d/c.txt", "/c");
        folder.write("etc/ld.so.conf.d/.hidden.conf", "/hidden");
        let found = directories(&folder.root());
        assert_eq!(found, ["/first", "/a", "/b with space", "/last"].map(PathBuf::from));
    }

    #[test]
    fn a_root_without_configuration_lists_nothing() {
        assert!(directories(&Folder::new("noconf").root()).is_empty());
    }

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.d", false),
            ("*.conf", ".conf", false),
            ("a?c*", "abc", true),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
