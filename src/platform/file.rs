//! A file of a root filesystem, wherever its bytes are: a file of its own on this machine, or a
//! stretch of an image's archive. `root` opens them; `elf/` and `python/` read them.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags};

/// Bytes that are set aside for a file because of its size alone.
const MOST_TRUSTED: u64 = 1 << 20;

/// Bytes that can be read from any offset on.
pub trait Contents {
    /// Fills `buffer` from `offset` on as far as one call does; 0 is the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// How many there are.
    fn length(&self) -> io::Result<u64>;
}

impl Contents for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|meta| meta.len())
    }
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of inode(7)")]
pub enum Kind {
    File,
    Folder,
    Link,
    Fifo,
    Socket,
    Device,
}

/// What an inode says (inode(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Kind,
    /// The twelve mode bits: set-id, sticky, read, write, execute.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// In bytes.
    pub size: u64,
}

impl Meta {
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// Whether it is a folder.
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Folder
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.kind == Kind::Link
    }
}

impl From<Metadata> for Meta {
    fn from(meta: Metadata) -> Meta {
        let kind = meta.file_type();
        let kind = if kind.is_file() {
            Kind::File
        } else if kind.is_dir() {
            Kind::Folder
        } else if kind.is_symlink() {
            Kind::Link
        } else if kind.is_fifo() {
            Kind::Fifo
        } else if kind.is_socket() {
            Kind::Socket
        } else {
            Kind::Device
        };
        let (mode, size) = (meta.mode() & 0o7777, meta.len());
        Meta { kind, mode, uid: meta.uid(), gid: meta.gid(), size }
    }
}

/// Where the bytes of a regular file are. It can be taken to another thread and opened there.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a file of their own, by its path on this machine.
    Path(PathBuf),
    /// The same by its path from an open folder.
    Below(Arc<OwnedFd>, Box<Path>),
    /// In a part of an archive.
    Part(Part),
}

/// A stretch of an open file.
#[derive(Clone, Debug)]
pub struct Part {
    /// The file, shared by all that lies in it.
    pub file: Arc<File>,
    /// The first byte.
    pub start: u64,
    /// What the archive says of it; its size is the length.
    pub meta: Meta,
}

impl Place {
    /// Opens it.
    pub fn open(&self) -> io::Result<Regular> {
        match self {
            Place::Path(path) => open_at(CWD, path),
            Place::Below(folder, path) => open_at(folder, path),
            Place::Part(part) => Ok(Regular::Part(part.clone())),
        }
    }
}

/// A regular file, open for reading.
#[derive(Debug)]
pub enum Regular {
    /// A file of its own, with what was known of it when it was opened.
    Own(File, Meta),
    /// A part of an archive.
    Part(Part),
}

/// Opens a regular file by its path on this machine, without blocking at anything else.
pub fn open(path: &Path) -> io::Result<Regular> {
    open_at(CWD, path)
}

fn open_at(folder: impl AsFd, path: &Path) -> io::Result<Regular> {
    // Not std's: musl's open(3) calls fcntl(2) behind each open(2), and thousands are opened.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, path, flags, Mode::empty())?);
    let meta = Meta::from(file.metadata()?);
    match meta.kind {
        Kind::File => Ok(Regular::Own(file, meta)),
        other => Err(refused(other)),
    }
}

/// Why what is no regular file is not opened.
pub(super) fn refused(kind: Kind) -> io::Error {
    io::Error::other(match kind {
        Kind::Folder => "is a directory",
        Kind::Fifo => "is a FIFO, not a regular file",
        _ => "is not a regular file",
    })
}

impl Regular {
    /// What its inode says.
    pub fn meta(&self) -> Meta {
        match self {
            Regular::Own(_, meta) => *meta,
            Regular::Part(part) => part.meta,
        }
    }

    /// Reads it from its start on.
    pub fn reader(&self) -> Reader<'_> {
        Reader { file: self, at: 0 }
    }

    /// All of its bytes; more than `limit` are an error.
    pub fn read_all(&self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(&mut bytes, limit)?;
        Ok(bytes)
    }

    /// The same in place of what `bytes` holds.
    pub fn read_into(&self, bytes: &mut Vec<u8>, limit: u64) -> io::Result<()> {
        let too_large = || io::Error::other(format!("is larger than {limit} bytes"));
        // What an archive says of a part is not what its file holds.
        if matches!(self, Regular::Own(_, meta) if meta.size > limit) {
            return Err(too_large());
        }
        // Room for the whole file saves growing and calling again; what the size says is not
        // trusted with more than this.
        let size = self.meta().size;
        let room = size.min(limit).min(MOST_TRUSTED);
        bytes.clear();
        bytes.reserve_exact(usize::try_from(room).unwrap_or_default() + 1);
        // Nor is it asked what comes behind the end; files of /proc say that they are empty.
        let most = if size > 0 && size == room { size } else { limit + 1 };
        match self {
            Regular::Own(file, _) => file.take(most).read_to_end(bytes)?,
            Regular::Part(_) => self.reader().take(most).read_to_end(bytes)?,
        };
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        Ok(())
    }
}

/// Bytes as text: in place where they are UTF-8, as nearly always; else with replacement
/// characters.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    // from_utf8_lossy looks at each character by itself, this at a word at a time.
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

impl Contents for Regular {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Regular::Own(file, _) => FileExt::read_at(file, buffer, offset),
            Regular::Part(part) => {
                let left = part.meta.size.saturating_sub(offset);
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let Some(at) = part.start.checked_add(offset).filter(|_| most > 0) else {
                    return Ok(0);
                };
                FileExt::read_at(&*part.file, buffer.get_mut(..most).unwrap_or_default(), at)
            }
        }
    }

    /// As it is now: a file of its own may have grown.
    fn length(&self) -> io::Result<u64> {
        match self {
            Regular::Own(file, _) => Contents::length(file),
            Regular::Part(part) => Ok(part.meta.size),
        }
    }
}

/// Reads a file from its start to its end.
pub struct Reader<'f> {
    file: &'f Regular,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_where_its_size_says_and_not_where_its_file_does() {
        let path = std::env::temp_dir().join(format!("mak-part-{}", std::process::id()));
        std::fs::write(&path, "before inside after").unwrap();
        let meta = Meta { size: 6, ..Meta::from(std::fs::metadata(&path).unwrap()) };
        let file = Arc::new(File::open(&path).unwrap());
        let part = Place::Part(Part { file: Arc::clone(&file), start: 7, meta }).open().unwrap();
        assert_eq!(part.read_all(6).unwrap(), b"inside");
        assert!(part.read_all(5).is_err());
        let mut buffer = [0; 4];
        assert_eq!(part.read_at(&mut buffer, 4).unwrap(), 2);
        assert_eq!(part.read_at(&mut buffer, 6).unwrap(), 0);
        assert_eq!(part.read_at(&mut buffer, u64::MAX).unwrap(), 0);
        // An archive that lies about the size ends with its file.
        let meta = Meta { size: u64::MAX, ..meta };
        let part = Regular::Part(Part { file, start: 13, meta });
        assert_eq!(part.read_all(100).unwrap(), b" after");
        std::fs::remove_file(path).unwrap();
    }
}
