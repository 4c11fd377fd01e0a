//! Files of variables, by the rules of `docker run --env-file`: a line is `NAME=VALUE` or `NAME`,
//! or a comment that begins with `#`. Blanks before the name are left out; everything after the
//! first `=` is the value as it stands, quotes and blanks included. `cli/environment` reads them.

/// A line of such a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'t> {
    /// The variable.
    pub name: &'t str,
    /// Its value; `None` where the line is only a name, which asks for the value already given.
    pub value: Option<&'t str>,
}

/// Reads a file; the error is the number of the line, from 1, and what is wrong with it. It never
/// repeats the line, which may hold a secret.
pub fn read(bytes: &[u8]) -> Result<Vec<Line<'_>>, (usize, &'static str)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = Vec::new();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        match read_line(line.strip_suffix(b"\r").unwrap_or(line)) {
            Ok(Some(line)) => lines.push(line),
            Ok(None) => {}
            Err(why) => return Err((at + 1, why)),
        }
    }
    Ok(lines)
}

fn read_line(line: &[u8]) -> Result<Option<Line<'_>>, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "is not UTF-8 text")?;
    let text = text.trim_start();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    if text.contains('\0') {
        return Err("has a NUL byte, which no variable can hold");
    }
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("has no name before its =");
    }
    if name.contains(char::is_whitespace) {
        return Err("has a blank in the name, which goes up to the =");
    }
    Ok(Some(Line { name, value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_docker_reads_it() {
        let text = b"\xef\xbb\xbfA=1\r\n\n  # comment\n  B = 2\n".as_slice();
        assert_eq!(read(text), Err((4, "has a blank in the name, which goes up to the =")));
        let text = "A=1\r\n#B=2\n \tC=\"x y\" # kept \nD=\nE=a=b\nF\n";
        let expected = [
            ("A", Some("1")),
            ("C", Some("\"x y\" # kept ")),
            ("D", Some("")),
            ("E", Some("a=b")),
            ("F", None),
        ];
        let read = read(text.as_bytes()).unwrap();
        let read: Vec<_> = read.iter().map(|line| (line.name, line.value)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn what_no_variable_can_be_is_refused_with_its_line() {
        for (text, line) in [
            (b"A=1\n=2".as_slice(), 2),
            (b"A=\xff", 1),
            (b"A=1\nB=\0", 2),
            (b"export A=1", 1),
            (b"A B", 1),
        ] {
            assert_eq!(read(text).unwrap_err().0, line, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_can_be_set(bytes in proptest::collection::vec(
            proptest::sample::select(b"A=#\n\r \t\0\xff\xef\xbb\xbf".to_vec()), 0..60)) {
            for line in read(&bytes).unwrap_or_default() {
                assert!(!line.name.is_empty() && !line.name.contains(['=', '\0', '\n']));
                assert!(!line.value.unwrap_or_default().contains(['\0', '\n']));
            }
        }
    }
}
