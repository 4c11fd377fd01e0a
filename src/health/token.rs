//! The bearer token (RFC 6750), which opens what the three z-paths do not show.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The longest token, in bytes.
const LONGEST: u64 = 4096;

/// The token in the first line of a file; the error is one line for the person.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let refused = |why: &dyn std::fmt::Display| format!("token file {}: {why}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| refused(&error))?;
    let token = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    match token {
        [] => Err(refused(&"its first line is empty; write the token there")),
        _ if token.len() as u64 > LONGEST => Err(refused(&"the token is longer than 4096 bytes")),
        _ if !token.iter().all(u8::is_ascii_graphic) => {
            Err(refused(&"a token has no blanks and only ASCII characters in it"))
        }
        _ => Ok(token.to_vec()),
    }
}

/// Whether what was given opens what this token closes. The time it takes says nothing about how
/// much of a wrong one is right.
pub fn opens(token: Option<&[u8]>, given: Option<&[u8]>) -> bool {
    let (Some(token), given) = (token, given.unwrap_or_default()) else { return true };
    let mut difference = token.len() ^ given.len();
    for (at, byte) in token.iter().enumerate() {
        difference |= usize::from(byte ^ given.get(at).copied().unwrap_or(0));
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        assert!(opens(None, None) && opens(None, Some(b"x")));
        assert!(opens(Some(b"abc"), Some(b"abc")));
        for given in [None, Some(&b""[..]), Some(b"ab"), Some(b"abcd"), Some(b"abd")] {
            assert!(!opens(Some(b"abc"), given), "{given:?}");
        }
    }

    #[test]
    fn the_first_line_of_a_file_is_the_token() {
        let path = std::env::temp_dir().join(format!("mak-token-{}", std::process::id()));
        for (text, token) in [
            ("s3cret\n", Some("s3cret")),
            (" s3cret \nmore", Some("s3cret")),
            ("", None),
            ("\nx", None),
            ("a b", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).ok(), token.map(|token| token.as_bytes().to_vec()), "{text:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().contains("mak-token"));
    }
}
