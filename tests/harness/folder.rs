//! A folder for one test, removed with it.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use super::launch::WRITE_OR_FORK;
use super::program::program;

/// A folder that only one test uses.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one; everybody may pass through it.
    pub fn new() -> Folder {
        Folder::below(&env::temp_dir())
    }

    /// Makes one in this folder, for what has to be on the same file system as something there.
    pub fn below(parent: &Path) -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("mak-init-test-{}-{number}", process::id()));
        fs::create_dir(&path).expect("a folder for the test");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Folder(path.canonicalize().unwrap())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of something in it, as text.
    pub fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("temporary paths are UTF-8").to_owned()
    }

    /// Writes a file with these permission bits. A descriptor open for writing must not get into
    /// a child of another test: execve would refuse the file with ETXTBSY.
    pub fn write(&self, name: &str, mode: u32, bytes: impl AsRef<[u8]>) -> String {
        let _alone = WRITE_OR_FORK.lock().unwrap_or_else(|broken| broken.into_inner());
        let path = self.at(name);
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&path).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
        file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A copy of mak-init, where every user can reach it.
    pub fn program(&self) -> String {
        self.write("mak-init", 0o755, fs::read(program()).unwrap())
    }

    /// Makes a folder in it with these permission bits.
    pub fn make(&self, name: &str, mode: u32) -> String {
        let path = self.at(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
