//! What the targets share: foreign bytes as a file.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use mak_init::platform::Root;

/// A file in memory, for readers that want one that can be read at any offset.
pub fn memory_file(bytes: &[u8]) -> File {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let fd: OwnedFd = rustix::fs::memfd_create("input", flags).unwrap();
    let mut file = File::from(fd);
    file.write_all(bytes).unwrap();
    file
}

/// A root filesystem with one file in it, kept for all inputs of a run: for readers that follow
/// names from file to file. It stays behind in the folder for temporary files; `scripts/fuzz`
/// gives each run one of its own and removes it.
pub struct OneFile {
    base: PathBuf,
    file: PathBuf,
}

impl OneFile {
    /// With the file at this path of it.
    pub fn at(inside: &str) -> OneFile {
        let base = std::env::temp_dir().join(format!("mak-init-fuzz-{}", std::process::id()));
        let file = base.join(inside);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        OneFile { base, file }
    }

    /// The root, with these bytes in the file.
    pub fn holding(&self, bytes: &[u8]) -> Root {
        std::fs::write(&self.file, bytes).unwrap();
        Root::at(Path::new(&self.base)).unwrap()
    }
}
