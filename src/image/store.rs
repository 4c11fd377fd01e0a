//! Where the blobs of an image lie: an OCI layout's folder (OCI image-spec, image-layout.md), an
//! archive of one or of docker save, or a registry that is asked when one is needed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::decode::{Compression, decode};
use super::digest::Digest;
use super::error::ImageError;
use super::manifest::Descriptor;
use super::registry::Registry;
use super::spool::{Spool, Spooling};
use super::tar::{Input, Members, Type};
use crate::platform::file::{Kind, Meta, Part, Regular};

/// Members of an archive of blobs; an index with a hundred images has some thousands.
const MOST_MEMBERS: usize = 100_000;
/// An index, a manifest or a configuration has some KiB.
const LARGEST_DOCUMENT: u64 = 8 << 20;

/// Where blobs lie.
pub enum Store {
    /// A folder.
    Folder(PathBuf),
    /// An archive.
    Archive(Archive),
    /// A registry.
    Registry(Box<Registry>),
}

/// An archive and where its files are in it.
pub struct Archive {
    file: Arc<File>,
    members: HashMap<String, Spot>,
}

enum Spot {
    Bytes { offset: u64, size: u64 },
    Link(String),
}

impl Store {
    /// The blob that a descriptor points to. Its digest is not made here: layers are read only
    /// once.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Part, ImageError> {
        let digest = digest_of(descriptor)?;
        match self {
            Store::Registry(registry) => registry.blob(&digest, descriptor),
            _ => self.named(&format!("blobs/sha256/{}", digest.hex())),
        }
    }

    /// Whether the blob is there. A registry is taken at its word.
    pub fn has(&self, descriptor: &Descriptor) -> bool {
        match self {
            Store::Registry(_) => true,
            _ => self.blob(descriptor).is_ok(),
        }
    }

    /// A file by its path.
    pub fn named(&self, path: &str) -> Result<Part, ImageError> {
        let absent = || ImageError::unfit(format!("the image is not whole: {path} is not in it"));
        match self {
            Store::Folder(folder) => {
                let plain = Path::new(path).components().all(|p| matches!(p, Component::Normal(_)));
                let there = folder.join(path);
                if !plain || !there.is_file() {
                    return Err(absent());
                }
                let what = there.display().to_string();
                let file = File::open(&there).map_err(|error| ImageError::io(&what, &error))?;
                whole(file).map_err(|error| ImageError::io(&what, &error))
            }
            Store::Archive(archive) => archive.find(path).ok_or_else(absent),
            Store::Registry(_) => Err(absent()),
        }
    }

    /// A small document, with its digest compared.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        if let Store::Registry(registry) = self {
            return registry.document(descriptor);
        }
        let bytes = read_small(self.blob(descriptor)?, &descriptor.digest)?;
        check_digest(&bytes, descriptor)?;
        Ok(bytes)
    }

    /// A small file by its path.
    pub fn small(&self, path: &str) -> Result<Vec<u8>, ImageError> {
        read_small(self.named(path)?, path)
    }
}

fn read_small(part: Part, what: &str) -> Result<Vec<u8>, ImageError> {
    let read = Regular::Part(part).read_all(LARGEST_DOCUMENT);
    read.map_err(|error| ImageError::unfit(format!("{what} {error}")))
}

/// Whether bytes are those that a descriptor promises.
pub(super) fn check_digest(bytes: &[u8], descriptor: &Descriptor) -> Result<(), ImageError> {
    let found = Digest::of(bytes);
    if found == digest_of(descriptor)? {
        return Ok(());
    }
    let said = &descriptor.digest;
    Err(ImageError::unfit(format!("the digest of a document is {found}, and should be {said}")))
}

pub(super) fn digest_of(descriptor: &Descriptor) -> Result<Digest, ImageError> {
    Digest::parse(&descriptor.digest).ok_or_else(|| {
        ImageError::unfit(format!(
            "{:?} is no digest that mak knows: it has to be sha256: and 64 digits",
            descriptor.digest
        ))
    })
}

/// All of a file as a part.
fn whole(file: File) -> io::Result<Part> {
    let meta = Meta::from(file.metadata()?);
    Ok(Part { file: Arc::new(file), start: 0, meta })
}

impl Archive {
    /// Finds out where the files are. What is compressed as a whole, or no regular file, goes
    /// through a file without a name first.
    pub fn open(file: File, what: &str) -> Result<Archive, ImageError> {
        let failed = |error: io::Error| ImageError::io(what, &error);
        let mut head = [0; 4];
        let is_regular = file.metadata().map_err(failed)?.is_file();
        let file = if is_regular {
            let count = std::os::unix::fs::FileExt::read_at(&file, &mut head, 0).map_err(failed)?;
            match Compression::of(head.get(..count).unwrap_or_default()) {
                Compression::None => Arc::new(file),
                how => spooled(decode(file, how), what)?,
            }
        } else {
            spooled_stream(file, what)?
        };
        let length = file.metadata().map_err(failed)?.len();
        let mut archive = Archive { file: Arc::clone(&file), members: HashMap::new() };
        let mut members = Members::new(Seeking { file, at: 0, length });
        loop {
            let next = members
                .next_member()
                .map_err(|error| ImageError::unfit(format!("{what} {error}")))?;
            let Some(member) = next else { return Ok(archive) };
            if archive.members.len() >= MOST_MEMBERS {
                return Err(ImageError::unfit(format!(
                    "{what} has more than {MOST_MEMBERS} files"
                )));
            }
            let Some(path) = tidy(Path::new(""), &member.path) else { continue };
            let folder = Path::new(&path).parent().map(Path::to_owned).unwrap_or_default();
            let spot = match member.kind {
                Type::File => Spot::Bytes { offset: member.offset, size: member.size },
                Type::Link => match tidy(&folder, &member.link) {
                    Some(target) => Spot::Link(target),
                    None => continue,
                },
                Type::HardLink => match tidy(Path::new(""), &member.link) {
                    Some(target) => Spot::Link(target),
                    None => continue,
                },
                _ => continue,
            };
            archive.members.insert(path, spot);
        }
    }

    fn find(&self, path: &str) -> Option<Part> {
        let mut path = path;
        // Old archives of docker save have links to the layers of other images.
        for _ in 0..4 {
            match self.members.get(path)? {
                Spot::Link(target) => path = target,
                Spot::Bytes { offset, size } => {
                    let meta = Meta { kind: Kind::File, mode: 0o644, uid: 0, gid: 0, size: *size };
                    return Some(Part { file: Arc::clone(&self.file), start: *offset, meta });
                }
            }
        }
        None
    }

    /// Whether there is a file of this name.
    pub fn has(&self, path: &str) -> bool {
        self.find(path).is_some()
    }
}

/// A path without `.` and `..`; `None` where it leads out of the archive.
fn tidy(folder: &Path, path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let mut parts: Vec<&str> =
        folder.to_str()?.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What comes through a pipe, taken out of its compression on the way.
fn spooled_stream(mut file: File, what: &str) -> Result<Arc<File>, ImageError> {
    let mut head = Vec::new();
    let read = file.by_ref().take(4).read_to_end(&mut head);
    read.map_err(|error| ImageError::io(what, &error))?;
    let how = Compression::of(&head);
    let whole = io::Cursor::new(head).chain(file);
    spooled(decode(whole, how), what)
}

fn spooled(reader: impl Read, what: &str) -> Result<Arc<File>, ImageError> {
    let spool = Spool::of(reader).map_err(|error| match error {
        Spooling::Read(error) => ImageError::unfit(format!("{what}: {error}")),
        Spooling::Write(error) => ImageError::io(what, &error),
    })?;
    Ok(spool.file())
}

/// Reads at its own place and passes over by moving it.
struct Seeking {
    file: Arc<File>,
    at: u64,
    length: u64,
}

impl Input for Seeking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Between two large files there is but a header.
        let most = buffer.len().min(4096);
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        let count = std::os::unix::fs::FileExt::read_at(&*self.file, buffer, self.at)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let passed = count.min(self.length.saturating_sub(self.at));
        self.at = self.at.saturating_add(passed);
        Ok(passed)
    }
}
