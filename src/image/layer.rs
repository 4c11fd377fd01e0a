//! One layer over those below it (OCI image-spec, layer.md): its members put into the tree,
//! whiteouts and opaque folders applied, and its digests made on the way. Nothing is unpacked: of
//! a layer that is not compressed the archive itself is read later, of a compressed one a file
//! without a name.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::decode::{Compression, decode};
use super::digest::{Digest, Hashing};
use super::spool::{MOST_BYTES, Spool};
use super::tar::{Input, Member, Members, TarError, Type};
use crate::platform::Contents;
use crate::platform::file::{Kind, Meta, Part, Regular};
use crate::platform::root::{Step, follow};
use crate::platform::tree::{Content, Entry, Tree, TreeError};

/// Members of all layers together that are looked at.
const MOST_MEMBERS: usize = 4_000_000;
/// As many oddities of one layer as are told.
const MOST_REMARKS: usize = 8;

/// Why a layer cannot be laid over the others.
#[derive(Debug)]
pub enum LayerError {
    /// It is no archive that can be read.
    Tar(TarError),
    /// The image is larger than mak looks at.
    Tree(TreeError),
    /// It has too many members.
    Members,
}

impl fmt::Display for LayerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerError::Tar(error) => error.fmt(out),
            LayerError::Tree(error) => write!(out, "{error}, more than mak looks at"),
            LayerError::Members => {
                write!(
                    out,
                    "its layers have more than {MOST_MEMBERS} members, more than mak looks at"
                )
            }
        }
    }
}

impl std::error::Error for LayerError {}

impl From<TarError> for LayerError {
    fn from(error: TarError) -> LayerError {
        LayerError::Tar(error)
    }
}

impl From<TreeError> for LayerError {
    fn from(error: TreeError) -> LayerError {
        LayerError::Tree(error)
    }
}

impl From<io::Error> for LayerError {
    fn from(error: io::Error) -> LayerError {
        LayerError::Tar(error.into())
    }
}

/// What was learnt of a layer.
#[derive(Debug)]
pub struct Layer {
    /// Of the blob as it lies there.
    pub digest: Digest,
    /// Of the archive in it.
    pub diff_id: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// Bytes of the archive in it.
    pub unpacked: u64,
    /// Members that an engine would refuse, or that make no file.
    pub remarks: Vec<String>,
}

/// The layers of one image, one after the other.
#[derive(Default)]
pub struct Stack {
    tree: Tree,
    spool: Option<(Spool, u16)>,
    layers: u16,
    members: usize,
}

impl Stack {
    /// Lays a blob over what is there.
    pub fn add(&mut self, blob: &Part) -> Result<Layer, LayerError> {
        let reader = Regular::Part(blob.clone());
        let mut head = [0; 4];
        let count = reader.read_at(&mut head, 0)?;
        let how = Compression::of(head.get(..count).unwrap_or_default());
        let layer = match how {
            Compression::None => self.plain(blob)?,
            how => self.compressed(blob, &reader, how)?,
        };
        self.layers = self.layers.saturating_add(1);
        Ok(layer)
    }

    /// The files that the layers come to.
    pub fn into_tree(mut self) -> io::Result<Tree> {
        if let Some((spool, _)) = &mut self.spool {
            spool.settle()?;
        }
        Ok(self.tree)
    }

    fn plain(&mut self, blob: &Part) -> Result<Layer, LayerError> {
        let number = self.tree.add_blob(std::sync::Arc::clone(&blob.file))?;
        let reader = Regular::Part(blob.clone());
        let input = Whole {
            reader: Hashing::new(reader.reader()),
            passed: 0,
            spool: None,
            block: Vec::new(),
        };
        let (input, remarks) = self.lay(input, number, blob.start)?;
        let unpacked = input.passed;
        let digest = input.reader.finish()?;
        Ok(Layer { digest, diff_id: digest, size: blob.meta.size, unpacked, remarks })
    }

    fn compressed(
        &mut self,
        blob: &Part,
        reader: &Regular,
        how: Compression,
    ) -> Result<Layer, LayerError> {
        let (spool, number) = match self.spool.take() {
            Some(known) => known,
            None => {
                let spool = Spool::new()?;
                let number = self.tree.add_blob(spool.file())?;
                (spool, number)
            }
        };
        let start = spool.end();
        let mut blob_bytes = Hashing::new(reader.reader());
        let (diff_id, unpacked, spool, remarks) = {
            let archive = Hashing::new(decode(&mut blob_bytes, how));
            let input = Whole { reader: archive, passed: 0, spool: Some(spool), block: Vec::new() };
            let (input, remarks) = self.lay(input, number, start)?;
            let Whole { reader: archive, passed, spool, block: _ } = input;
            (archive.finish()?, passed, spool, remarks)
        };
        self.spool = spool.map(|spool| (spool, number));
        let digest = blob_bytes.finish()?;
        Ok(Layer { digest, diff_id, size: blob.meta.size, unpacked, remarks })
    }

    /// Puts every member into the tree; its contents lie in the file `number`, whose byte `start`
    /// is the archive's first.
    fn lay<R: Read>(
        &mut self,
        input: Whole<R>,
        number: u16,
        start: u64,
    ) -> Result<(Whole<R>, Vec<String>), LayerError> {
        let mut members = Members::new(input);
        let mut cover = Cover { remarks: Vec::new(), more: 0, emptied: HashSet::new() };
        let layer = self.layers;
        while let Some(member) = members.next_member()? {
            self.members += 1;
            if self.members > MOST_MEMBERS {
                return Err(LayerError::Members);
            }
            let mut content = Content::At(number, start.saturating_add(member.offset));
            let mut is_elf = false;
            if member.pieces.is_some() {
                content = self.sparse(&mut members, &member)?;
            } else if member.kind == Type::File && member.size >= 4 {
                let mut head = [0; 4];
                let count = members.read(&member, &mut head)?;
                is_elf = count == 4 && &head == b"\x7fELF";
            }
            cover.put(&mut self.tree, &member, Found { content, is_elf, layer })?;
        }
        if cover.more > 0 {
            cover.remarks.push(format!("and {} more such members", cover.more));
        }
        Ok((members.into_input()?, cover.remarks))
    }

    /// The contents of a sparse file, holes and all, in the file without a name.
    fn sparse<R: Read>(
        &mut self,
        members: &mut Members<Whole<R>>,
        member: &Member,
    ) -> Result<Content, LayerError> {
        // While a compressed layer is read, the spool belongs to it: a file of its own then.
        if self.spool.is_none() {
            let spool = Spool::new()?;
            let number = self.tree.add_blob(spool.file())?;
            self.spool = Some((spool, number));
        }
        let Some((spool, number)) = self.spool.as_mut() else { return Ok(Content::Nothing) };
        let start = spool.reserve(member.size)?;
        let mut block = vec![0; 64 << 10];
        for (at, length) in member.pieces.as_deref().unwrap_or_default() {
            let mut done = 0;
            while done < *length {
                let most = usize::try_from(length - done).unwrap_or(usize::MAX).min(block.len());
                let count = members.read(member, block.get_mut(..most).unwrap_or_default())?;
                let place = at.saturating_add(done);
                if count == 0 || place.saturating_add(count as u64) > member.size {
                    break;
                }
                spool.write_at(
                    block.get(..count).unwrap_or_default(),
                    start.saturating_add(place),
                )?;
                done += count as u64;
            }
        }
        spool.settle()?;
        Ok(Content::At(*number, start))
    }
}

/// Where a member's bytes are and what they are.
struct Found {
    content: Content,
    is_elf: bool,
    layer: u16,
}

/// One layer being laid over the others.
struct Cover {
    remarks: Vec<String>,
    more: usize,
    /// Folders that were emptied for it already.
    emptied: HashSet<PathBuf>,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

impl Cover {
    fn put(&mut self, tree: &mut Tree, member: &Member, found: Found) -> Result<(), TreeError> {
        let written = Path::new(OsStr::from_bytes(&member.path));
        if written.components().any(|part| part == Component::ParentDir) {
            self.remark(format!("{} climbs with .. out of where it stands", written.display()));
            return Ok(());
        }
        let path = place(tree, written);
        let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
        if name == OPAQUE {
            if let Some(folder) = path.parent().filter(|folder| self.first(folder)) {
                tree.empty(folder, found.layer);
            }
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            // `.wh..wh.` begins what aufs keeps for itself.
            let gone = path.with_file_name(OsStr::from_bytes(hidden));
            if !hidden.is_empty() && !hidden.starts_with(WHITEOUT) && self.first(&gone) {
                tree.white_out(&gone, found.layer);
            }
            return Ok(());
        }
        let Some(entry) = self.entry(tree, member, &path, found)? else { return Ok(()) };
        tree.put(&path, entry)
    }

    fn entry(
        &mut self,
        tree: &mut Tree,
        member: &Member,
        path: &Path,
        found: Found,
    ) -> Result<Option<Entry>, TreeError> {
        let (kind, content, size) = match member.kind {
            Type::File => (Kind::File, found.content, member.size),
            Type::Folder => (Kind::Folder, Content::Nothing, 0),
            Type::Fifo => (Kind::Fifo, Content::Nothing, 0),
            Type::Device => (Kind::Device, Content::Nothing, 0),
            Type::Link => (Kind::Link, tree.target(&member.link)?, member.link.len() as u64),
            Type::HardLink => {
                let written = Path::new(OsStr::from_bytes(&member.link));
                let target = tree.get(&place(tree, written)).filter(|it| !it.meta.is_dir());
                if target.is_none() {
                    self.remark(format!(
                        "{} is a hard link to {}, which is not there",
                        path.display(),
                        written.display()
                    ));
                }
                return Ok(target.map(|target| Entry { layer: found.layer, ..target }));
            }
            Type::Other => return Ok(None),
        };
        let meta = Meta { kind, mode: member.mode, uid: member.uid, gid: member.gid, size };
        Ok(Some(Entry { meta, content, layer: found.layer, is_elf: found.is_elf }))
    }

    /// Whether this folder or file was not taken away for this layer yet.
    fn first(&mut self, path: &Path) -> bool {
        self.emptied.insert(path.to_owned())
    }

    fn remark(&mut self, text: String) {
        if self.remarks.len() < MOST_REMARKS {
            self.remarks.push(text);
        } else {
            self.more += 1;
        }
    }
}

/// Where a member goes: links on the way to it are followed as engines do, the last part is not.
fn place(tree: &Tree, written: &Path) -> PathBuf {
    let path = Path::new("/").join(written.strip_prefix("/").unwrap_or(written));
    let path: PathBuf = path.components().collect();
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return path };
    if tree.get(folder).is_some_and(|entry| entry.meta.is_dir()) {
        return path;
    }
    let led = follow(Path::new("/"), folder, |here| {
        Ok(match tree.get(here).and_then(|entry| tree.link(&entry)) {
            Some(target) => Step::Link(target),
            // What is missing is made.
            None => Step::Folder,
        })
    });
    led.map_or_else(|_| path.clone(), |folder| folder.join(name))
}

/// All bytes of an archive, read one after the other since its digest is of all of them; kept in
/// a spool where they were compressed.
struct Whole<R> {
    reader: Hashing<R>,
    passed: u64,
    spool: Option<Spool>,
    /// What is passed over goes here.
    block: Vec<u8>,
}

impl<R: Read> Input for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.passed = self.passed.saturating_add(count as u64);
        if self.passed > MOST_BYTES {
            return Err(io::Error::other(format!("it has more than {} GiB", MOST_BYTES >> 30)));
        }
        if let Some(spool) = &mut self.spool {
            spool.add(buffer.get(..count).unwrap_or_default())?;
        }
        Ok(count)
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut block = std::mem::take(&mut self.block);
        block.resize(128 << 10, 0);
        let mut left = count;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            match self.read(block.get_mut(..most).unwrap_or_default()) {
                Ok(0) => break,
                Ok(passed) => left -= passed as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.block = block;
        Ok(count - left)
    }
}
