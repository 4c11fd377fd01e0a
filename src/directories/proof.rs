//! Proves that a directory can be used as declared, by using it: mode bits say nothing about
//! read-only mounts, quotas, access lists, security modules or a server's own opinion.

use std::ffi::CString;

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::error::Problem;
use super::walk::Opened;

const WRITE: OFlags = OFlags::WRONLY.union(OFlags::CLOEXEC);
/// So many names that exist already are somebody's intent.
const MOST_NAMES: u32 = 16;

/// Creates a file in the directory and leaves nothing behind. An O_TMPFILE never has a name, so
/// that not even a SIGKILL leaves it there; file systems without that get a file with a name,
/// which is removed at once. No byte is written: a full volume is for the workload to clean up.
pub(super) fn writable(directory: &Opened) -> Result<(), Problem> {
    let mode = Mode::RUSR | Mode::WUSR;
    // Whatever the reason of a failure, the ordinary way is the one that tells it.
    if openat(&directory.fd, ".", OFlags::TMPFILE | WRITE, mode).is_ok() {
        return Ok(());
    }
    with_a_name(directory).map_err(|errno| directory.problem("write to", errno))
}

fn with_a_name(directory: &Opened) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | WRITE;
    let pid = rustix::process::getpid().as_raw_nonzero();
    for attempt in 0..MOST_NAMES {
        let name = CString::new(format!(".mak-init-{pid}-{attempt}")).map_err(|_| Errno::INVAL)?;
        match openat(&directory.fd, name.as_c_str(), flags, Mode::RUSR | Mode::WUSR) {
            Ok(_) => return unlinkat(&directory.fd, name.as_c_str(), AtFlags::empty()),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EXIST)
}

/// Opens the directory for reading. Looking up `.` in it needs the right to search it, so both
/// rights are asked at once.
pub(super) fn readable(directory: &Opened) -> Result<(), Problem> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(&directory.fd, ".", flags, Mode::empty()) {
        Ok(_) => Ok(()),
        Err(errno) => Err(directory.problem("read", errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn the_file_with_a_name_is_gone_afterwards_and_others_with_that_name_stay() {
        let path = std::env::temp_dir().join(format!("mak-proof-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        let taken = path.join(format!(".mak-init-{}-0", std::process::id()));
        std::fs::write(&taken, "theirs").unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = openat(rustix::fs::CWD, &path, flags, Mode::empty()).unwrap();
        let directory = Opened { fd, at: PathBuf::from(&path), created: false };
        with_a_name(&directory).unwrap();
        let names: Vec<_> =
            std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names, std::slice::from_ref(&taken));
        assert_eq!(std::fs::read(taken).unwrap(), b"theirs");
        std::fs::remove_dir_all(path).unwrap();
    }
}
