//! Search paths and the names in them: how each loader splits them and what `$ORIGIN` and its
//! kind stand for. Empty and relative parts count from the workload's working directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Parts of one search path that are looked at; the rest of a longer one is ignored.
const MOST_PARTS: usize = 1024;

/// What the dollar names stand for.
pub(super) struct Names<'a> {
    /// The folder of the object that the path belongs to; for LD_LIBRARY_PATH the program's. A
    /// part that needs it without its being known is left out.
    pub origin: Option<&'a Path>,
    /// `$LIB`.
    pub lib: &'a OsStr,
    /// `$PLATFORM`, AT_PLATFORM.
    pub platform: &'a str,
    /// The workload's working directory.
    pub working_folder: Option<&'a Path>,
}

/// Splits a search path at any of `separators`.
pub(super) fn split<'p>(
    path: &'p OsStr,
    separators: &'static [u8],
) -> impl Iterator<Item = &'p OsStr> {
    let parts = path.as_bytes().split(|byte| separators.contains(byte));
    parts.take(MOST_PARTS).map(OsStr::from_bytes)
}

impl Names<'_> {
    /// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM`, with or without braces (man 8 ld.so), and puts
    /// the working directory in front of what is not absolute then.
    pub fn expand(&self, text: &OsStr) -> Option<PathBuf> {
        let mut out: Vec<u8> = Vec::new();
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|&byte| byte == b'$') {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            let Some((name, after)) = token(rest) else {
                out.push(b'$');
                continue;
            };
            match name {
                b"ORIGIN" => out.extend_from_slice(self.origin?.as_os_str().as_bytes()),
                b"LIB" => out.extend_from_slice(self.lib.as_bytes()),
                _ => out.extend_from_slice(self.platform.as_bytes()),
            }
            rest = after;
        }
        out.extend_from_slice(rest);
        self.absolute(OsStr::from_bytes(&out))
    }

    /// The path, or what it means from the working directory.
    pub fn absolute(&self, text: &OsStr) -> Option<PathBuf> {
        let path = Path::new(text);
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        // An empty part is the working directory itself.
        let folder = self.working_folder?;
        Some(if text.is_empty() { folder.to_owned() } else { folder.join(path) })
    }
}

/// A name that stands behind a `$`, and what follows it.
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    const NAMES: [&[u8]; 3] = [b"ORIGIN", b"LIB", b"PLATFORM"];
    let (name, after) = match text.strip_prefix(b"{") {
        Some(inner) => {
            let end = inner.iter().position(|&byte| byte == b'}')?;
            (&inner[..end], &inner[end + 1..])
        }
        None => {
            let part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
            text.split_at(text.iter().take_while(part).count())
        }
    };
    NAMES.contains(&name).then_some((name, after))
}

/// Replaces `$ORIGIN` and `${ORIGIN}`, the only names that musl knows; `None` where another dollar
/// is left, for which musl ignores the whole path (`fixup_rpath`).
pub(super) fn with_origin(path: &OsStr, origin: &Path) -> Option<OsString> {
    let mut out: Vec<u8> = Vec::new();
    let mut rest = path.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte == b'$') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let after = rest.strip_prefix(b"${ORIGIN}").or_else(|| rest.strip_prefix(b"$ORIGIN"));
        rest = after?;
        out.extend_from_slice(origin.as_os_str().as_bytes());
    }
    out.extend_from_slice(rest);
    Some(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(origin: Option<&'a Path>, working_folder: Option<&'a Path>) -> Names<'a> {
        Names { origin, lib: OsStr::new("lib64"), platform: "x86_64", working_folder }
    }

    #[test]
    fn dollar_names_are_recognized_with_and_without_braces() {
        assert_eq!(token(b"ORIGIN/lib"), Some((&b"ORIGIN"[..], &b"/lib"[..])));
        assert_eq!(token(b"{LIB}x"), Some((&b"LIB"[..], &b"x"[..])));
        assert_eq!(token(b"PLATFORM"), Some((&b"PLATFORM"[..], &b""[..])));
        assert_eq!(token(b"ORIGINAL/x"), None);
        assert_eq!(token(b"{ORIGIN"), None);
        assert_eq!(token(b""), None);
    }

    #[test]
    fn parts_expand_to_paths_whatever_bytes_they_have() {
        let known = names(Some(Path::new("/app")), Some(Path::new("/work")));
        let text = OsStr::from_bytes(b"$ORIGIN/\xff/${LIB}/$PLATFORM/$x");
        let expected = OsStr::from_bytes(b"/app/\xff/lib64/x86_64/$x");
        assert_eq!(known.expand(text).unwrap(), Path::new(expected));
        assert_eq!(known.expand(OsStr::new("")).unwrap(), Path::new("/work"));
        assert_eq!(known.expand(OsStr::new("a/b")).unwrap(), Path::new("/work/a/b"));
        let unknown = names(None, None);
        assert_eq!(unknown.expand(OsStr::new("$ORIGIN/a")), None);
        assert_eq!(unknown.expand(OsStr::new("a")), None);
    }

    #[test]
    fn musl_knows_origin_only() {
        let origin = Path::new("/app");
        assert_eq!(with_origin(OsStr::new("$ORIGIN/a:${ORIGIN}"), origin).unwrap(), "/app/a:/app");
        assert_eq!(with_origin(OsStr::new("$LIB"), origin), None);
    }
}
