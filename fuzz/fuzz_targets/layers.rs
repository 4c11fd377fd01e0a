//! The layers of an image, one over the other: gzip, zstd, tar, whiteouts. Laying them ends, what
//! is found by walking is found by its path, below a folder, and can be read.
#![no_main]

use std::collections::HashSet;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mak_init::image::layer::Stack;
use mak_init::platform::Contents;
use mak_init::platform::file::{Kind, Meta, Part, Regular};
use mak_init_fuzz::memory_file;

/// Between two layers of the input.
const BREAK: &[u8] = b"\nlayer\n";
/// Of a compressed layer: each byte can come to 32 KiB, which are lawful and take their time.
const MOST_COMPRESSED: usize = 1024;

fuzz_target!(|input: &[u8]| {
    let mut stack = Stack::default();
    for blob in split(input).take(8) {
        let is_plain = blob.get(257..262) == Some(b"ustar");
        if !is_plain && blob.len() > MOST_COMPRESSED {
            return;
        }
        let size = blob.len() as u64;
        let meta = Meta { kind: Kind::File, mode: 0o644, uid: 0, gid: 0, size };
        let Ok(layer) = stack.add(&Part { file: Arc::new(memory_file(blob)), start: 0, meta })
        else {
            return;
        };
        assert_eq!(layer.size, size);
    }
    let tree = stack.into_tree().unwrap();
    let mut seen = HashSet::new();
    tree.walk(|path, entry| {
        assert!(seen.insert(path.to_owned()), "twice: {path:?}");
        assert_eq!(tree.get(path).as_ref(), Some(entry));
        let parent = path.parent().unwrap();
        assert!(parent.parent().is_none() || tree.get(parent).unwrap().meta.is_dir());
        if let Some(part) = tree.part(entry).filter(|_| entry.meta.is_file()) {
            // Where an archive ends too early, so does the file.
            let _ = Regular::Part(part).read_at(&mut [0; 64], 0);
        }
    });
});

fn split(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(input);
    std::iter::from_fn(move || {
        let here = rest.take()?;
        match here.windows(BREAK.len()).position(|window| window == BREAK) {
            Some(at) => {
                rest = Some(&here[at + BREAK.len()..]);
                Some(&here[..at])
            }
            None => Some(here),
        }
    })
}
