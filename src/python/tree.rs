//! A root filesystem made for one test, removed when it ends.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::platform::Root;

pub(crate) struct Tree {
    base: PathBuf,
}

impl Tree {
    pub(crate) fn new(name: &str) -> Tree {
        let base = std::env::temp_dir().join(format!("mak-python-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&base);
        std::fs::create_dir_all(&base).unwrap();
        Tree { base }
    }

    pub(crate) fn root(&self) -> Root {
        Root::at(&self.base).unwrap()
    }

    pub(crate) fn on_host(&self, path: &str) -> PathBuf {
        self.base.join(path.trim_start_matches('/'))
    }

    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.on_host(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn program(&self, path: &str, content: impl AsRef<[u8]>) {
        self.file(path, content);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.on_host(path), mode).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.on_host(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        symlink(target, path).unwrap();
    }

    /// A distribution with its metadata, in `folder`.
    pub(crate) fn distribution(&self, folder: &str, name: &str, version: &str, more: &str) {
        let path = format!("{folder}/{}-{version}.dist-info/METADATA", name.replace('-', "_"));
        self.file(
            &path,
            format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}\n\n"),
        );
    }

    /// An interpreter as the official images have it: /usr/local, Python 3.11.
    pub(crate) fn official_python(&self, text_in_program: &[u8]) {
        self.program(
            "/usr/local/bin/python3.11",
            [elf_header(62), text_in_program.to_vec()].concat(),
        );
        self.link("/usr/local/bin/python3", "python3.11");
        self.link("/usr/local/bin/python", "python3");
        self.file("/usr/local/lib/python3.11/os.py", "");
        self.file("/usr/local/lib/python3.11/site.py", "site-packages");
        self.file("/usr/local/lib/python3.11/site-packages/README.txt", "");
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.base);
    }
}

/// The first 64 bytes of a little-endian program of class 64.
pub(crate) fn elf_header(machine: u8) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[18] = machine;
    header
}

pub(crate) fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(|text| Path::new(text).to_owned()).collect()
}
