//! Kubernetes' termination message file (`terminationMessagePath`): a file that the kubelet has
//! mounted, empty, and of which it shows the first 4096 bytes when the container has ended.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// As much as the kubelet reads.
const MOST_BYTES: usize = 4096;

/// Writes the line where the file is there, regular and empty: what a workload has written
/// itself stays. It is never created, and no link is followed.
pub fn leave(path: &Path, line: &str) -> io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let mut file = match File::options().write(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if meta.len() > 0 {
        return Ok(());
    }
    file.write_all(message(line).as_bytes())
}

fn message(line: &str) -> String {
    let mut text = format!("{}\n", line.trim_end());
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_an_empty_regular_file_that_is_there_is_written() {
        let base = std::env::temp_dir().join(format!("mak-termination-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        let file = base.join("log");
        leave(&file, "never created").unwrap();
        assert!(!file.exists());
        fs::write(&file, "").unwrap();
        let link = base.join("link");
        symlink(&file, &link).unwrap();
        assert!(leave(&link, "not followed").is_err());
        assert!(leave(&base, "a folder").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
        leave(&file, "first").unwrap();
        leave(&file, "second").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "first\n");
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let text = message(&"\u{20ac}".repeat(2000));
        assert!(text.len() <= MOST_BYTES && text.len() > MOST_BYTES - 4);
    }
}
