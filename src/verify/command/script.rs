//! The first line of a script, read as the kernel reads it (`load_script`, fs/binfmt_script.c):
//! 256 bytes, the interpreter up to a blank, and all the rest as one argument.

/// As much of a file as the kernel looks at (`BINPRM_BUF_SIZE`).
pub const HEAD: usize = 256;

/// A first line that begins with `#!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// It names an interpreter.
    Interpreter {
        /// The bytes of its path; with a CR at the end where the line ends in CR LF.
        path: Vec<u8>,
        /// The one argument; empty where there is none.
        argument: Vec<u8>,
    },
    /// It names none.
    Nothing,
    /// The interpreter's path does not end within what the kernel reads.
    CutShort,
}

/// Reads the head of a file; `None` where it is no script. `head` holds at most [`HEAD`] bytes.
pub fn first_line(head: &[u8]) -> Option<Line> {
    let behind = head.get(..head.len().min(HEAD))?.strip_prefix(b"#!")?;
    let end = behind.iter().position(|byte| *byte == b'\n');
    let line = &behind[..end.unwrap_or(behind.len())];
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let Some(start) = line.iter().position(|byte| !blank(byte)) else { return Some(Line::Nothing) };
    let rest = &line[start..];
    let length = rest.iter().position(|byte| blank(byte) || *byte == 0);
    // A file that ends here is as good as a line that does: the kernel's buffer goes on with NUL.
    if length.is_none() && end.is_none() && head.len() >= HEAD {
        return Some(Line::CutShort);
    }
    let (path, argument) = rest.split_at(length.unwrap_or(rest.len()));
    let argument = argument.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(match path.is_empty() {
        true => Line::Nothing,
        false => Line::Interpreter { path: path.to_vec(), argument: trim(argument).to_vec() },
    })
}

fn trim(bytes: &[u8]) -> &[u8] {
    let text = |byte: &u8| *byte != b' ' && *byte != b'\t';
    let Some(start) = bytes.iter().position(text) else { return &[] };
    let end = bytes.iter().rposition(text).unwrap_or(start);
    &bytes[start..=end]
}

/// What `env`, given this one argument, looks for in PATH; `None` where it has an option or an
/// assignment that is not followed here.
pub fn name_for_env(argument: &[u8]) -> Option<&[u8]> {
    if let Some(split) = argument.strip_prefix(b"-S") {
        let mut words = split.split(|byte| *byte == b' ' || *byte == b'\t');
        return words
            .find(|word| !word.is_empty() && !word.contains(&b'='))
            .filter(|word| !word.starts_with(b"-"));
    }
    let followed = !argument.is_empty() && !argument.starts_with(b"-") && !argument.contains(&b'=');
    followed.then_some(argument)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(path: &str, argument: &str) -> Option<Line> {
        let (path, argument) = (path.as_bytes().to_vec(), argument.as_bytes().to_vec());
        Some(Line::Interpreter { path, argument })
    }

    #[test]
    fn the_line_is_read_as_the_kernel_reads_it() {
        assert_eq!(first_line(b"#!/bin/sh\nexit\n"), named("/bin/sh", ""));
        assert_eq!(first_line(b"#! \t/bin/sh -e  -x \n"), named("/bin/sh", "-e  -x"));
        assert_eq!(first_line(b"#!/bin/sh"), named("/bin/sh", ""));
        assert_eq!(first_line(b"#!/bin/sh\r\n"), named("/bin/sh\r", ""));
        assert_eq!(first_line(b"#!\n/bin/sh\n"), Some(Line::Nothing));
        assert_eq!(first_line(b"#!"), Some(Line::Nothing));
        assert_eq!(first_line(b"exit 0\n"), None);
        assert_eq!(first_line(b""), None);
        let mut long = b"#!/".to_vec();
        long.resize(HEAD, b'x');
        assert_eq!(first_line(&long), Some(Line::CutShort));
        long[200] = b' ';
        assert!(matches!(first_line(&long), Some(Line::Interpreter { .. })));
    }

    #[test]
    fn env_takes_all_of_its_argument_for_a_name_unless_it_is_told_to_split() {
        assert_eq!(name_for_env(b"python3"), Some(b"python3".as_slice()));
        assert_eq!(name_for_env(b"python3 -u"), Some(b"python3 -u".as_slice()));
        assert_eq!(name_for_env(b"-S python3 -u"), Some(b"python3".as_slice()));
        assert_eq!(name_for_env(b"-S A=1 python3"), Some(b"python3".as_slice()));
        assert_eq!(name_for_env(b"-i python3"), None);
        assert_eq!(name_for_env(b"A=1 python3"), None);
        assert_eq!(name_for_env(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_line_or_none(bytes: Vec<u8>) {
            let mut head = b"#!".to_vec();
            head.extend(bytes);
            if let Some(Line::Interpreter { path, .. }) = first_line(&head) {
                prop_assert!(!path.is_empty() && path.len() < HEAD);
            }
        }
    }
}
