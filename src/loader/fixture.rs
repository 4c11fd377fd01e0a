//! For tests only: a folder that goes away with its owner, small shared objects, fixture roots.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::platform::userland::{Family, usual_loader};
use crate::platform::{Arch, Root};

pub(crate) struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("mak-elf-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn root(&self) -> Root {
        Root::at(&self.0).unwrap()
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside.trim_start_matches('/'))
    }

    pub fn write(&self, inside: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn link(&self, target: &str, inside: &str) {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    pub fn copy(&self, from: &Path, inside: &str) {
        self.write(inside, std::fs::read(from).unwrap());
    }

    pub fn fifo(&self, inside: &str) {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    }

    /// Builds a shared object without a libc; `options` go to the linker.
    pub fn library(&self, inside: &str, source: &str, options: &[&str]) {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut all = vec!["-shared", "-nostdlib", "-fno-stack-protector", "-s"];
        all.extend(["-Wl,-z,noseparate-code", "-Wl,--allow-shlib-undefined", "-Wl,--no-as-needed"]);
        all.extend(options);
        compile(source, &path, &all);
    }

    /// The same file for another machine: only `e_machine` differs.
    pub fn foreign(&self, inside: &str) {
        let path = self.path(inside);
        let mut bytes = std::fs::read(&path).unwrap();
        let other: u16 = if bytes[18] == 183 { 62 } else { 183 };
        bytes[18..20].copy_from_slice(&other.to_le_bytes());
        std::fs::write(path, bytes).unwrap();
    }

    /// A root with this machine's glibc loader.
    pub fn glibc(name: &str) -> Folder {
        let folder = Folder::new(name);
        let loader = glibc_loader(arch());
        folder.copy(Path::new(loader), loader);
        folder
    }

    /// A root with a file where musl's loader is.
    pub fn musl(name: &str) -> Folder {
        let folder = Folder::new(name);
        folder.library(musl_loader(arch()), "int start;", &[]);
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn arch() -> Arch {
    Arch::built_for().unwrap()
}

pub(crate) fn glibc_loader(arch: Arch) -> &'static str {
    usual_loader(arch, Family::Glibc)
}

pub(crate) fn musl_loader(arch: Arch) -> &'static str {
    usual_loader(arch, Family::Musl)
}

/// Compiles C from a string.
pub(crate) fn compile(source: &str, output: &Path, options: &[&str]) {
    let mut gcc = Command::new("gcc")
        .args(["-x", "c", "-", "-x", "none", "-o"])
        .arg(output)
        .args(options)
        .args(["-fPIC", "-w"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("these tests need gcc");
    gcc.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    assert!(gcc.wait().unwrap().success(), "gcc {options:?}");
}
