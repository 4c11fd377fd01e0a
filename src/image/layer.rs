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
use super::spool::{MOST_BYTES, Spool, is_own};
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
    /// There is no room for it on this machine.
    Spool(io::Error),
}

impl fmt::Display for LayerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerError::Tar(error) => error.fmt(out),
            LayerError::Spool(error) => error.fmt(out),
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
        match error {
            TarError::Io(error) if is_own(&error) => LayerError::Spool(error),
            error => LayerError::Tar(error),
        }
    }
}

impl From<TreeError> for LayerError {
    fn from(error: TreeError) -> LayerError {
        LayerError::Tree(error)
    }
}

impl From<io::Error> for LayerError {
    fn from(error: io::Error) -> LayerError {
        TarError::from(error).into()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::BTreeMap;
    use std::fs::{self, File, Metadata};
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// What a layer says of one path.
    #[derive(Clone, Debug)]
    enum Change {
        File(String, u32),
        Folder(u32),
        Link(String),
        /// A second name of the last file before it.
        Same,
        Gone,
        Opaque,
    }

    /// Path and type, then mode and bytes or target.
    type Listing = BTreeMap<PathBuf, String>;

    /// A folder of this test's own, gone with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("mak-layer-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            4 => ("[a-z]{0,600}", prop_oneof![Just(0o644), Just(0o755), Just(0o4711)])
                .prop_map(|(text, mode)| Change::File(text, mode)),
            2 => prop_oneof![Just(0o755), Just(0o700)].prop_map(Change::Folder),
            1 => "[a-c](/[a-c])?".prop_map(Change::Link),
            1 => Just(Change::Same),
            2 => Just(Change::Gone),
            1 => Just(Change::Opaque),
        ]
    }

    /// Long names too: they stand in headers of their own.
    fn path() -> impl Strategy<Value = String> {
        prop_oneof![9 => "[abc](/[abc]){0,3}", 1 => "[ab]/[a-c]{120}(/[ab])?"]
    }

    fn layers() -> impl Strategy<Value = Vec<(Vec<(String, Change)>, u8)>> {
        let one = proptest::collection::vec((path(), change()), 0..12);
        proptest::collection::vec((one, 0_u8..6), 1..5)
    }

    /// Makes the folder that a layer is packed from; what finds something in its way is left out.
    fn make(folder: &Path, changes: &[(String, Change)]) {
        fs::create_dir_all(folder).unwrap();
        let mut last: Option<PathBuf> = None;
        for (path, change) in changes {
            let path = folder.join(path);
            let parent =
                if matches!(change, Change::Opaque) { &path } else { path.parent().unwrap() };
            let is_free = match change {
                Change::Gone | Change::Opaque => true,
                Change::Folder(_) => {
                    fs::symlink_metadata(&path).map_or(true, |there| there.is_dir())
                }
                _ => fs::symlink_metadata(&path).is_err(),
            };
            // Through a link the layer would write outside of itself.
            let through_link =
                parent.ancestors().take_while(|it| *it != folder).any(Path::is_symlink);
            if !is_free || through_link || fs::create_dir_all(parent).is_err() {
                continue;
            }
            match change {
                Change::File(text, mode) => {
                    fs::write(&path, text).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
                    last = Some(path);
                }
                Change::Folder(mode) => {
                    fs::create_dir_all(&path).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
                }
                Change::Link(target) => symlink(target, &path).unwrap(),
                Change::Same => {
                    if let Some(last) = &last {
                        fs::hard_link(last, &path).unwrap();
                    }
                }
                Change::Gone => {
                    let name = format!(".wh.{}", path.file_name().unwrap().display());
                    // A name of 255 bytes has no whiteout.
                    let _ = fs::write(parent.join(name), "");
                }
                Change::Opaque => fs::write(path.join(".wh..wh..opq"), "").unwrap(),
            }
        }
    }

    /// Packs it by tar: parents first, as every builder writes them, names in this or that order.
    fn pack(folder: &Path, archive: &Path, form: u8) {
        let mut names: Vec<String> = listing(folder)
            .keys()
            .map(|path| path.strip_prefix("/").unwrap().display().to_string())
            .collect();
        if form.is_multiple_of(2) {
            let backwards = |name: &String| -> Vec<Reverse<String>> {
                name.split('/').map(|part| Reverse(part.to_owned())).collect()
            };
            names.sort_by_key(backwards);
        }
        let compression = [&[][..], &["-z"], &["--zstd"]][usize::from(form / 2)];
        let format = if form < 3 { "--format=gnu" } else { "--format=posix" };
        let mut tar = Command::new("tar")
            .arg("-C")
            .arg(folder)
            .args(compression)
            .args([format, "--no-recursion", "-T", "-", "-cf"])
            .arg(archive)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(names.join("\n").as_bytes()).unwrap();
        assert!(tar.wait().unwrap().success());
    }

    /// What tar unpacks, laid over what is there by the rules of the specification.
    fn lay_over(unpacked: &Path, state: &Path) {
        let names: Vec<_> =
            fs::read_dir(unpacked).unwrap().map(|it| it.unwrap().file_name()).collect();
        for name in &names {
            if name.as_bytes() == OPAQUE {
                fs::remove_dir_all(state).unwrap();
                fs::create_dir(state).unwrap();
            } else if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
                remove(&state.join(OsStr::from_bytes(hidden)));
            }
        }
        for name in names.iter().filter(|name| !name.as_bytes().starts_with(WHITEOUT)) {
            let (from, to) = (unpacked.join(name), state.join(name));
            let meta = fs::symlink_metadata(&from).unwrap();
            if !(meta.is_dir() && fs::symlink_metadata(&to).is_ok_and(|there| there.is_dir())) {
                remove(&to);
            }
            if meta.is_dir() {
                fs::create_dir_all(&to).unwrap();
                lay_over(&from, &to);
                fs::set_permissions(&to, meta.permissions()).unwrap();
            } else if meta.is_symlink() {
                symlink(fs::read_link(&from).unwrap(), &to).unwrap();
            } else {
                fs::copy(&from, &to).unwrap();
                fs::set_permissions(&to, meta.permissions()).unwrap();
            }
        }
    }

    fn remove(path: &Path) {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
            Ok(_) => fs::remove_file(path).unwrap(),
            Err(_) => {}
        }
    }

    fn listing(folder: &Path) -> Listing {
        let mut found = Listing::new();
        let mut pending = vec![folder.to_owned()];
        while let Some(here) = pending.pop() {
            for entry in fs::read_dir(&here).unwrap() {
                let path = entry.unwrap().path();
                let meta: Metadata = fs::symlink_metadata(&path).unwrap();
                let what = if meta.is_dir() {
                    pending.push(path.clone());
                    format!("folder {:o}", meta.mode() & 0o7777)
                } else if meta.is_symlink() {
                    format!("link to {}", fs::read_link(&path).unwrap().display())
                } else {
                    let text = fs::read_to_string(&path).unwrap();
                    format!("file {:o} {text}", meta.mode() & 0o7777)
                };
                found.insert(Path::new("/").join(path.strip_prefix(folder).unwrap()), what);
            }
        }
        found
    }

    fn part(path: &Path) -> Part {
        let file = File::open(path).unwrap();
        let meta = Meta::from(file.metadata().unwrap());
        Part { file: Arc::new(file), start: 0, meta }
    }

    fn laid(tree: &Tree) -> Listing {
        let mut found = Listing::new();
        tree.walk(|path, entry| {
            let what = match entry.meta.kind {
                Kind::Folder => format!("folder {:o}", entry.meta.mode),
                Kind::Link => format!("link to {}", tree.link(entry).unwrap().display()),
                _ => {
                    let bytes = Regular::Part(tree.part(entry).unwrap()).read_all(1 << 20).unwrap();
                    format!("file {:o} {}", entry.meta.mode, String::from_utf8(bytes).unwrap())
                }
            };
            found.insert(path.to_owned(), what);
        });
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn layers_come_to_what_tar_unpacks_by_the_rules(layers in layers()) {
            let scratch = Scratch::new();
            let state = scratch.0.join("state");
            fs::create_dir(&state).unwrap();
            let mut stack = Stack::default();
            for (number, (changes, form)) in layers.iter().enumerate() {
                let at = |what: &str| scratch.0.join(format!("{what}-{number}"));
                make(&at("folder"), changes);
                pack(&at("folder"), &at("layer"), *form);
                fs::create_dir(at("unpacked")).unwrap();
                let mut tar = Command::new("tar");
                tar.arg("-C").arg(at("unpacked")).arg("-xpf").arg(at("layer"));
                assert!(tar.status().unwrap().success());
                lay_over(&at("unpacked"), &state);
                let layer = stack.add(&part(&at("layer"))).unwrap();
                prop_assert!(layer.remarks.is_empty());
                prop_assert_eq!(layer.digest, Digest::of(&fs::read(at("layer")).unwrap()));
            }
            prop_assert_eq!(laid(&stack.into_tree().unwrap()), listing(&state));
        }

        #[test]
        fn any_bytes_are_a_layer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let scratch = Scratch::new();
            fs::write(scratch.0.join("layer"), &bytes).unwrap();
            let mut stack = Stack::default();
            if let Ok(layer) = stack.add(&part(&scratch.0.join("layer"))) {
                prop_assert_eq!(layer.size, bytes.len() as u64);
            }
        }
    }
}
