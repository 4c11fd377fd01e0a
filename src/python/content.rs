//! The contents of installed files against the SHA-256 of RECORD, on all cores. Verification calls
//! this for `--hashes` only: it reads every byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha2::{Digest, Sha256};

use crate::platform::Contents;
use crate::platform::file::Place;

/// Read at once: enough to make calls cheap, little enough to stay in the processor's cache.
const BLOCK: usize = 128 << 10;
/// More threads than this do not make a disk faster, and each holds a block.
const MOST_THREADS: usize = 32;

/// A file with the hash that it should have.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Where its bytes are.
    pub place: Place,
    /// In bytes, where it is known: a file of another size is not read.
    pub size: Option<u64>,
    /// SHA-256.
    pub digest: [u8; 32],
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// As recorded.
    Same,
    /// Other contents, or of another size.
    Changed,
    /// It cannot be read.
    Unreadable,
}

/// Reads every file; the answers are in the order of the questions.
pub fn compare(files: &[&Expected]) -> Vec<Content> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut block = vec![0; BLOCK];
        let mut found = Vec::new();
        while let Some((at, file)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            files.get(at).map(|file| (at, file))
        } {
            found.push((at, look(file, &mut block)));
        }
        found
    };
    let mut answers = vec![Content::Unreadable; files.len()];
    thread::scope(|scope| {
        // Where no thread can be made, this one does all of the work.
        let others: Vec<_> = (1..threads)
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut found = work();
        for other in others {
            found.extend(other.join().unwrap_or_default());
        }
        for (at, content) in found {
            if let Some(answer) = answers.get_mut(at) {
                *answer = content;
            }
        }
    });
    answers
}

fn look(file: &Expected, block: &mut [u8]) -> Content {
    let Ok(open) = file.place.open() else { return Content::Unreadable };
    // Most files are small: the call that would only say that this was the end is left out.
    let size = open.meta().size;
    if file.size.is_some_and(|expected| expected != size) {
        return Content::Changed;
    }
    let mut hash = Sha256::new();
    let mut done = 0;
    while done < size {
        match open.read_at(block, done) {
            Ok(0) => break,
            Ok(count) => {
                hash.update(block.get(..count).unwrap_or_default());
                done = done.saturating_add(count as u64);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Content::Unreadable,
        }
    }
    let digest: [u8; 32] = hash.finalize().into();
    if digest == file.digest { Content::Same } else { Content::Changed }
}

/// The digest in RECORD's `sha256=…`: base64 for URLs without padding (PEP 376, RFC 4648).
/// `None` for other algorithms and for what is none.
pub fn digest(recorded: &str) -> Option<[u8; 32]> {
    let text = recorded.strip_prefix("sha256=")?.trim_end_matches('=').as_bytes();
    // 32 bytes are 43 letters of 6 bits; the last one holds 4 of them.
    if text.len() != 43 {
        return None;
    }
    let mut digest = [0; 32];
    let (mut bits, mut held, mut at) = (0_u32, 0, 0);
    for &letter in text {
        bits = bits << 6 | sextet(letter)?;
        held += 6;
        if held >= 8 {
            held -= 8;
            if let Some(byte) = digest.get_mut(at) {
                *byte = (bits >> held) as u8;
            }
            at += 1;
            bits &= (1 << held) - 1;
        }
    }
    Some(digest)
}

fn sextet(letter: u8) -> Option<u32> {
    Some(u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::tree::Tree;

    /// Of the empty file and of "abc" (FIPS 180-4, examples), as `openssl dgst | basenc` print.
    const EMPTY: &str = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
    const ABC: &str = "sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";

    #[test]
    fn digests_are_read_and_anything_else_is_none() {
        assert_eq!(digest(EMPTY).unwrap()[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(digest(ABC).unwrap()[28..], [0xf2, 0x00, 0x15, 0xad]);
        for text in ["", "sha256=", "sha256=x", "md5=47DEQpj8HBSa", &ABC.replace('_', "/")] {
            assert_eq!(digest(text), None, "{text}");
        }
    }

    #[test]
    fn changed_and_unreadable_files_are_told_from_those_as_recorded() {
        let tree = Tree::new("content");
        tree.file("/empty", "");
        tree.file("/abc", "abc");
        tree.file("/other", "abd");
        let long = "x".repeat(3 * BLOCK + 7);
        tree.file("/long", &long);
        let of = |path: &str, hash: &str| Expected {
            place: Place::Path(tree.on_host(path)),
            size: None,
            digest: digest(hash).unwrap(),
        };
        let mut files = vec![of("/empty", EMPTY), of("/abc", ABC), of("/other", ABC)];
        files.push(of("/gone", ABC));
        files.push(Expected { size: Some(4), ..of("/abc", ABC) });
        files.push(Expected { size: Some(3), ..of("/abc", ABC) });
        files.push(Expected {
            place: Place::Path(tree.on_host("/long")),
            size: None,
            digest: Sha256::digest(long.as_bytes()).into(),
        });
        use Content::{Changed, Same, Unreadable};
        let files: Vec<&Expected> = files.iter().collect();
        assert_eq!(compare(&files), [Same, Same, Changed, Unreadable, Changed, Same, Same]);
        assert_eq!(compare(&[]), []);
    }
}
