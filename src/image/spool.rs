//! A file without a name for what is not to be held in memory: the contents of compressed layers,
//! and an archive that comes through a pipe. It is gone when mak ends, however it ends.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// As much as is kept of one image. It stops what would fill any disk, and is well above the
/// largest images that are built.
pub const MOST_BYTES: u64 = 64 << 30;

/// As much is read at a time.
const BLOCK: usize = 128 << 10;

/// Whose fault it is that a stream is not in the file.
pub enum Spooling {
    /// The stream's.
    Read(io::Error),
    /// The file's.
    Write(io::Error),
}

/// What is wrong with the file: of this machine, not of what is read.
#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// Whether an error is the spool's own, and not that of a stream that is read through it.
pub fn is_own(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Failed>())
}

/// The file.
pub struct Spool {
    file: Arc<File>,
    /// Where the next byte goes.
    end: u64,
}

impl Spool {
    /// A new one in `TMPDIR`, else in /var/tmp: where /tmp is memory, an image would fill it.
    pub fn new() -> io::Result<Spool> {
        let folder = std::env::var_os("TMPDIR").map(PathBuf::from).unwrap_or("/var/tmp".into());
        let folder = if folder.is_dir() { folder } else { std::env::temp_dir() };
        let unique = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let unique = unique.map_or(0, |since| since.as_nanos());
        let path = folder.join(format!(".mak-{}-{unique}", std::process::id()));
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| {
            let text = format!("cannot make a file in {}: {error}", folder.display());
            io::Error::new(error.kind(), Failed(text))
        })?;
        std::fs::remove_file(&path)?;
        Ok(Spool { file: Arc::new(file), end: 0 })
    }

    /// All that `reader` gives.
    pub fn of(mut reader: impl Read) -> Result<Spool, Spooling> {
        let mut spool = Spool::new().map_err(Spooling::Write)?;
        let mut block = vec![0; BLOCK];
        loop {
            match reader.read(&mut block) {
                Ok(0) => break,
                Ok(count) => {
                    let read = block.get(..count).unwrap_or_default();
                    spool.add(read).map_err(Spooling::Write)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Spooling::Read(error)),
            }
        }
        spool.settle().map_err(Spooling::Write)?;
        Ok(spool)
    }

    /// The file itself.
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Where the next byte goes.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Adds bytes. What is all zeros becomes a hole, so that it takes no room.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.after(bytes.len() as u64)?;
        if bytes.iter().any(|byte| *byte != 0) {
            self.file.write_all_at(bytes, self.end).map_err(named)?;
        }
        self.end = end;
        Ok(())
    }

    /// Leaves room for a file of this many bytes, all zero; the result is where it begins.
    pub fn reserve(&mut self, size: u64) -> io::Result<u64> {
        let (start, end) = (self.end, self.after(size)?);
        self.end = end;
        Ok(start)
    }

    /// Writes into room that was reserved.
    pub fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset).map_err(named)
    }

    /// Makes the file as long as what was added, the holes at its end too.
    pub fn settle(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)
    }

    fn after(&self, more: u64) -> io::Result<u64> {
        self.end.checked_add(more).filter(|end| *end <= MOST_BYTES).ok_or_else(|| {
            io::Error::other(format!(
                "unpacked it has more than {} GiB, which is more than mak looks at",
                MOST_BYTES >> 30
            ))
        })
    }
}

/// An error of the spool, not of what is read.
fn named(error: io::Error) -> io::Error {
    let text =
        format!("cannot write to the temporary file: {error}; set TMPDIR to where there is room");
    io::Error::new(error.kind(), Failed(text))
}
