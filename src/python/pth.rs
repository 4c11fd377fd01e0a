//! The lines of a `.pth` file, as Python's `site.addpackage` takes them. `site` reads the files.

/// A line that does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Code, which Python runs at its start.
    Code,
    /// A folder or an archive for `sys.path`, relative to the one the file is in.
    Folder(&'a [u8]),
}

/// What the bytes of a file say, line by line. Comments and empty lines are passed over.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Python reads the file as text, in which a carriage return alone ends a line too.
    bytes.split(|byte| matches!(byte, b'\n' | b'\r')).filter_map(|line| {
        if line.starts_with(b"#") {
            return None;
        }
        if line.starts_with(b"import ") || line.starts_with(b"import\t") {
            return Some(Line::Code);
        }
        let folder = line.trim_ascii_end();
        (!folder.is_empty()).then_some(Line::Folder(folder))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folders_and_code_are_told_apart_whatever_ends_a_line() {
        let text = b"\xef\xbb\xbf# a comment\r\n/opt/lib \r\n\r\nimport x; y()\n../one\rtwo\nimportant\n  \n";
        let read: Vec<Line> = lines(text).collect();
        let folder = |text: &'static str| Line::Folder(text.as_bytes());
        assert_eq!(
            read,
            [folder("/opt/lib"), Line::Code, folder("../one"), folder("two"), folder("important")]
        );
        assert_eq!(lines(b"").count(), 0);
    }

    proptest! {
        #[test]
        fn no_folder_is_empty_or_has_a_line_break(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for line in lines(&bytes) {
                if let Line::Folder(folder) = line {
                    prop_assert!(!folder.is_empty() && !folder.contains(&b'\n'));
                }
            }
        }
    }
}
