//! The files of an image as plain data: what its layers, one over the other, come to. `image/`
//! fills it, [`Root`](super::Root) looks into it as it looks into a folder.
//!
//! An image has some ten thousands of files, and nothing of their contents is held: a node takes
//! 80 bytes and its name, and is found by its folder and its name in one table.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::hash::BuildHasher;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::file::{Kind, Meta, Part};

/// As many nodes as a tree may have; the memory for them ends near 60 MiB.
pub const MOST_NODES: usize = 450_000;
/// Bytes of all names and link targets together.
const MOST_NAME_BYTES: usize = 24 << 20;
/// The longest name of one file (`limits.h`, NAME_MAX), and the longest target of a link.
const LONGEST_NAME: usize = 255;
const LONGEST_TARGET: usize = 4095;
/// No node.
const NONE: u32 = u32::MAX;
/// The root folder.
const ROOT: NodeId = NodeId(0);

/// A node of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

/// What stands in a tree at one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What its inode says.
    pub meta: Meta,
    /// Where its bytes are: the number of the file that holds them and the first byte; of a
    /// link, its target.
    pub content: Content,
    /// The number of the layer it is from.
    pub layer: u16,
    /// Whether its first bytes are those of an ELF file.
    pub is_elf: bool,
}

/// Where the bytes of an entry are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// There are none.
    Nothing,
    /// In [`Tree::add_blob`]'s file of this number, from this offset on.
    At(u16, u64),
    /// In the tree's own names: the target of a link.
    Target(u32, u16),
}

/// Why an entry is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// The tree is as large as it may be.
    TooMany,
    /// All names are as long as they may be.
    TooLong,
    /// A part of the path, or a target, is longer than any file system has it.
    Name,
    /// There are more blobs than can be told apart.
    Blobs,
}

impl fmt::Display for TreeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TreeError::TooMany => write!(out, "it has more than {MOST_NODES} files"),
            TreeError::TooLong => {
                write!(out, "the names of its files have more than {MOST_NAME_BYTES} bytes")
            }
            TreeError::Name => write!(
                out,
                "a name has more than {LONGEST_NAME} bytes, or the target of a link more than {LONGEST_TARGET}"
            ),
            TreeError::Blobs => out.write_str("it has too many layers"),
        }
    }
}

impl std::error::Error for TreeError {}

#[derive(Debug)]
struct Node {
    name: (u32, u8),
    parent: u32,
    first_child: u32,
    next_sibling: u32,
    next_in_bucket: u32,
    is_gone: bool,
    entry: Entry,
}

/// The files.
pub struct Tree {
    nodes: Vec<Node>,
    names: Vec<u8>,
    /// The first node of each bucket; their number is a power of two.
    buckets: Vec<u32>,
    hash: RandomState,
    blobs: Vec<Arc<File>>,
}

impl fmt::Debug for Tree {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Tree {{ {} nodes, {} blobs }}", self.nodes.len(), self.blobs.len())
    }
}

/// The folder that nobody has said anything about.
const PLAIN_FOLDER: Meta = Meta { kind: Kind::Folder, mode: 0o755, uid: 0, gid: 0, size: 0 };

impl Default for Tree {
    fn default() -> Tree {
        let entry =
            Entry { meta: PLAIN_FOLDER, content: Content::Nothing, layer: 0, is_elf: false };
        let root = Node {
            name: (0, 0),
            parent: NONE,
            first_child: NONE,
            next_sibling: NONE,
            next_in_bucket: NONE,
            is_gone: false,
            entry,
        };
        Tree {
            nodes: vec![root],
            names: Vec::new(),
            buckets: vec![NONE; 1024],
            hash: RandomState::new(),
            blobs: Vec::new(),
        }
    }
}

impl Tree {
    /// How many nodes it has, those that later layers have removed included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing but the root folder is there.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// Adds a file that holds contents; the result is its number in [`Content::At`].
    pub fn add_blob(&mut self, file: Arc<File>) -> Result<u16, TreeError> {
        let number = u16::try_from(self.blobs.len()).map_err(|_| TreeError::Blobs)?;
        self.blobs.push(file);
        Ok(number)
    }

    /// Keeps the target of a link.
    pub fn target(&mut self, target: &[u8]) -> Result<Content, TreeError> {
        if target.len() > LONGEST_TARGET {
            return Err(TreeError::Name);
        }
        let at = self.keep(target)?;
        Ok(Content::Target(at, u16::try_from(target.len()).unwrap_or_default()))
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<u32, TreeError> {
        if self.names.len() + bytes.len() > MOST_NAME_BYTES {
            return Err(TreeError::TooLong);
        }
        let at = u32::try_from(self.names.len()).map_err(|_| TreeError::TooLong)?;
        self.names.extend_from_slice(bytes);
        Ok(at)
    }

    /// Puts an entry at a path, links not followed; folders on the way are made where they are
    /// missing, and take the place of what is none. What is there is replaced; a folder over a
    /// folder keeps what is in it.
    pub fn put(&mut self, path: &Path, entry: Entry) -> Result<(), TreeError> {
        let mut here = ROOT;
        let mut parts = names_of(path).peekable();
        if parts.peek().is_none() {
            if entry.meta.is_dir()
                && let Some(root) = self.nodes.first_mut()
            {
                root.entry = entry;
            }
            return Ok(());
        }
        while let Some(name) = parts.next() {
            let folder =
                Entry { meta: PLAIN_FOLDER, content: Content::Nothing, is_elf: false, ..entry };
            let wanted = if parts.peek().is_some() { None } else { Some(entry) };
            let found = self.child(here, name);
            here = match (found, wanted) {
                (Some(id), None) if self.entry(id).meta.is_dir() => id,
                (Some(id), Some(new)) if self.entry(id).meta.is_dir() && new.meta.is_dir() => {
                    self.set(id, new);
                    id
                }
                (Some(id), wanted) if !self.entry(id).meta.is_dir() => {
                    self.set(id, wanted.unwrap_or(folder));
                    id
                }
                (found, wanted) => {
                    if let Some(old) = found {
                        self.remove(old);
                    }
                    self.add(here, name, wanted.unwrap_or(folder))?
                }
            };
        }
        Ok(())
    }

    /// Takes a path away, with all that is in it, where it is from a layer below `layer`.
    pub fn white_out(&mut self, path: &Path, layer: u16) {
        let Some(id) = self.find(path).filter(|id| *id != ROOT) else { return };
        if self.entry(id).layer >= layer {
            // It is this layer's own; what lower layers have left in it goes.
            self.empty(path, layer);
            return;
        }
        // Files of this layer may lie in it already: the folder stays for them.
        if self.entry(id).meta.is_dir() && self.empty(path, layer) {
            return;
        }
        self.remove(id);
    }

    /// Takes all that is from layers below `layer` out of a folder; whether something stays.
    pub fn empty(&mut self, path: &Path, layer: u16) -> bool {
        let Some(top) = self.find(path) else { return false };
        // Folders behind their contents: what has nothing of this layer in it goes too.
        let mut order = vec![top];
        let mut at = 0;
        while let Some(&id) = order.get(at) {
            order.extend(self.children(id));
            at += 1;
        }
        for &id in order.iter().rev().filter(|id| **id != top) {
            let keeps = self.entry(id).meta.is_dir() && self.children(id).next().is_some();
            if self.entry(id).layer < layer && !keeps {
                self.remove(id);
            }
        }
        self.children(top).next().is_some()
    }

    /// The entry at a path, links not followed.
    pub fn get(&self, path: &Path) -> Option<Entry> {
        self.find(path).map(|id| self.entry(id))
    }

    /// The target of a link.
    pub fn link(&self, entry: &Entry) -> Option<PathBuf> {
        let Content::Target(at, length) = entry.content else { return None };
        let at = at as usize;
        let bytes = self.names.get(at..at + usize::from(length))?;
        Some(PathBuf::from(OsString::from_vec(bytes.to_owned())))
    }

    /// Where the bytes of a regular file are; an empty one may have no place at all.
    pub fn part(&self, entry: &Entry) -> Option<Part> {
        let (number, start, size) = match entry.content {
            Content::At(number, start) => (number, start, entry.meta.size),
            _ => (0, 0, 0),
        };
        let file = Arc::clone(self.blobs.get(usize::from(number))?);
        Some(Part { file, start, meta: Meta { size, ..entry.meta } })
    }

    /// The names in a folder, in no order.
    pub fn names(&self, path: &Path) -> Option<Vec<OsString>> {
        let id = self.find(path).filter(|id| self.entry(*id).meta.is_dir())?;
        Some(self.children(id).map(|id| OsStr::from_bytes(self.name(id)).to_owned()).collect())
    }

    /// Calls `visit` with every path and its entry, folders before what is in them, the names in
    /// their order.
    pub fn walk(&self, mut visit: impl FnMut(&Path, &Entry)) {
        let mut pending: Vec<(NodeId, usize)> = vec![(ROOT, 0)];
        let mut path = vec![b'/'];
        while let Some((id, length)) = pending.pop() {
            path.truncate(length);
            if id != ROOT {
                path.push(b'/');
                path.extend_from_slice(self.name(id));
                visit(Path::new(OsStr::from_bytes(&path)), &self.entry(id));
            } else {
                path.clear();
            }
            let mut children: Vec<NodeId> = self.children(id).collect();
            children.sort_unstable_by_key(|id| std::cmp::Reverse(self.name(*id)));
            let here = path.len();
            pending.extend(children.into_iter().map(|child| (child, here)));
        }
    }

    fn entry(&self, id: NodeId) -> Entry {
        const NOTHING: Entry =
            Entry { meta: PLAIN_FOLDER, content: Content::Nothing, layer: 0, is_elf: false };
        self.nodes.get(id.0 as usize).map_or(NOTHING, |node| node.entry)
    }

    fn set(&mut self, id: NodeId, entry: Entry) {
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.entry = entry;
        }
    }

    fn remove(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.is_gone = true;
        }
    }

    fn name(&self, id: NodeId) -> &[u8] {
        let (at, length) = self.nodes.get(id.0 as usize).map_or((0, 0), |node| node.name);
        self.names.get(at as usize..at as usize + usize::from(length)).unwrap_or_default()
    }

    fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut next = self.nodes.get(id.0 as usize).map_or(NONE, |node| node.first_child);
        std::iter::from_fn(move || {
            loop {
                let node = self.nodes.get(next as usize)?;
                let id = NodeId(next);
                next = node.next_sibling;
                if !node.is_gone {
                    return Some(id);
                }
            }
        })
    }

    fn find(&self, path: &Path) -> Option<NodeId> {
        let mut here = ROOT;
        for name in names_of(path) {
            here = self.child(here, name)?;
        }
        Some(here)
    }

    fn bucket(&self, parent: NodeId, name: &[u8]) -> usize {
        self.hash.hash_one((parent.0, name)) as usize & (self.buckets.len() - 1)
    }

    fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let mut next = *self.buckets.get(self.bucket(parent, name))?;
        while let Some(node) = self.nodes.get(next as usize) {
            let id = NodeId(next);
            if !node.is_gone && node.parent == parent.0 && self.name(id) == name {
                return Some(id);
            }
            next = node.next_in_bucket;
        }
        None
    }

    fn add(&mut self, parent: NodeId, name: &[u8], entry: Entry) -> Result<NodeId, TreeError> {
        if self.nodes.len() >= MOST_NODES {
            return Err(TreeError::TooMany);
        }
        let length = u8::try_from(name.len()).map_err(|_| TreeError::Name)?;
        let at = self.keep(name)?;
        if self.nodes.len() >= self.buckets.len() {
            self.grow();
        }
        let id = u32::try_from(self.nodes.len()).map_err(|_| TreeError::TooMany)?;
        let bucket = self.bucket(parent, name);
        let next_in_bucket =
            self.buckets.get_mut(bucket).map_or(NONE, |first| std::mem::replace(first, id));
        let next_sibling = self
            .nodes
            .get_mut(parent.0 as usize)
            .map_or(NONE, |folder| std::mem::replace(&mut folder.first_child, id));
        self.nodes.push(Node {
            name: (at, length),
            parent: parent.0,
            first_child: NONE,
            next_sibling,
            next_in_bucket,
            is_gone: false,
            entry,
        });
        Ok(NodeId(id))
    }

    /// Twice the buckets; what is gone is left out, so that no chain grows with it.
    fn grow(&mut self) {
        self.buckets = vec![NONE; self.buckets.len() * 2];
        for index in 1..self.nodes.len() {
            let id = NodeId(index as u32);
            let Some((parent, false)) =
                self.nodes.get(index).map(|node| (NodeId(node.parent), node.is_gone))
            else {
                continue;
            };
            let bucket = self.bucket(parent, self.name(id));
            let Some(first) = self.buckets.get_mut(bucket) else { continue };
            let next = std::mem::replace(first, id.0);
            if let Some(node) = self.nodes.get_mut(index) {
                node.next_in_bucket = next;
            }
        }
    }
}

/// The names of a path; `.`, `..` and `/` are none.
fn names_of(path: &Path) -> impl Iterator<Item = &[u8]> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.as_bytes()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entry(kind: Kind, layer: u16) -> Entry {
        let meta = Meta { kind, mode: 0o644, uid: 0, gid: 0, size: 0 };
        Entry { meta, content: Content::Nothing, layer, is_elf: false }
    }

    fn paths(tree: &Tree) -> Vec<String> {
        let mut found = Vec::new();
        tree.walk(|path, _| found.push(path.display().to_string()));
        found
    }

    #[test]
    fn later_entries_replace_earlier_ones_and_folders_keep_what_is_in_them() {
        let mut tree = Tree::default();
        let put = |tree: &mut Tree, path: &str, kind, layer| {
            tree.put(Path::new(path), entry(kind, layer)).unwrap();
        };
        put(&mut tree, "a/b/c", Kind::File, 0);
        put(&mut tree, "a/b", Kind::Folder, 1);
        assert_eq!(paths(&tree), ["/a", "/a/b", "/a/b/c"]);
        put(&mut tree, "a/b", Kind::File, 2);
        assert_eq!(paths(&tree), ["/a", "/a/b"]);
        put(&mut tree, "a/b/d", Kind::File, 3);
        assert_eq!(paths(&tree), ["/a", "/a/b", "/a/b/d"]);
        assert_eq!(tree.names(Path::new("/a")).unwrap(), ["b"]);
        assert_eq!(tree.get(Path::new("/a/b/c")), None);
    }

    #[test]
    fn a_whiteout_takes_lower_layers_and_leaves_its_own() {
        let mut tree = Tree::default();
        for (path, layer) in [("d/old", 0), ("d/sub/old", 0), ("d/new", 1), ("e/x", 0), ("f", 1)] {
            tree.put(Path::new(path), entry(Kind::File, layer)).unwrap();
        }
        tree.white_out(Path::new("f"), 1);
        tree.white_out(Path::new("e"), 1);
        tree.white_out(Path::new("nothing/here"), 1);
        assert!(tree.empty(Path::new("d"), 1));
        assert_eq!(paths(&tree), ["/d", "/d/new", "/f"]);
        // What comes again after that is found again.
        tree.put(Path::new("e/y"), entry(Kind::File, 1)).unwrap();
        assert_eq!(paths(&tree), ["/d", "/d/new", "/e", "/e/y", "/f"]);
    }

    #[test]
    fn names_that_no_file_system_has_and_too_many_of_them_are_refused() {
        let mut tree = Tree::default();
        let long = "x".repeat(256);
        assert_eq!(tree.put(Path::new(&long), entry(Kind::File, 0)), Err(TreeError::Name));
        assert_eq!(tree.target(&[b'x'; 4096]), Err(TreeError::Name));
        for number in 0..MOST_NODES - 1 {
            tree.put(Path::new(&number.to_string()), entry(Kind::File, 0)).unwrap();
        }
        assert_eq!(tree.put(Path::new("one"), entry(Kind::File, 0)), Err(TreeError::TooMany));
        assert!(std::mem::size_of::<Node>() <= 80);
    }

    proptest! {
        #[test]
        fn a_tree_is_what_a_map_of_paths_would_be(
            steps in proptest::collection::vec(("[ab]/[ab]/[ab]", any::<bool>()), 0..40),
        ) {
            let mut tree = Tree::default();
            let mut map: BTreeMap<String, u16> = BTreeMap::new();
            for (layer, (path, add)) in steps.iter().enumerate() {
                let layer = layer as u16;
                if *add {
                    tree.put(Path::new(path), entry(Kind::File, layer)).unwrap();
                    map.insert(path.clone(), layer);
                } else {
                    tree.white_out(Path::new(path), layer);
                    map.remove(path);
                }
            }
            let mut files = BTreeMap::new();
            tree.walk(|path, entry| {
                if entry.meta.is_file() {
                    files.insert(path.display().to_string()[1..].to_owned(), entry.layer);
                }
            });
            prop_assert_eq!(files, map);
        }
    }
}
