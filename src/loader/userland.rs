//! Which userland a root holds: its architecture and its libc, read from its dynamic loader.

use std::path::{Path, PathBuf};

use crate::elf::{self, Identity};
use crate::platform::{Arch, Root};

/// The C library, whose dynamic loader finds shared objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libc {
    /// GNU libc (Debian, Fedora, Arch, distroless).
    Glibc,
    /// musl (Alpine, Wolfi's small images, Void's).
    Musl,
}

impl std::fmt::Display for Libc {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Libc::Glibc => "glibc",
            Libc::Musl => "musl",
        })
    }
}

/// Programs that tell which userland a root has; the first one that is there and not linked
/// statically counts.
const PROGRAMS: [&str; 10] = [
    "/bin/sh",
    "/usr/bin/env",
    "/bin/ls",
    "/usr/bin/python3",
    "/usr/local/bin/python3",
    "/usr/bin/openssl",
    "/sbin/ldconfig",
    "/bin/busybox",
    "/usr/bin/tini",
    "/sbin/init",
];

/// Where glibc's loader is, by the ABI of each port (the `ld.so` name in its `shlib-versions`).
pub(super) fn glibc_loaders(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::Amd64 => &["/lib64/ld-linux-x86-64.so.2"],
        Arch::Arm64 => &["/lib/ld-linux-aarch64.so.1"],
        Arch::ArmV7 => &["/lib/ld-linux-armhf.so.3"],
        Arch::ArmV6 => &["/lib/ld-linux-armhf.so.3", "/lib/ld-linux.so.3"],
        Arch::I386 => &["/lib/ld-linux.so.2"],
        Arch::Ppc64le => &["/lib64/ld64.so.2"],
        Arch::S390x => &["/lib/ld64.so.1"],
        Arch::Riscv64 => &["/lib/ld-linux-riscv64-lp64d.so.1"],
    }
}

/// Where musl's loader is, which is its libc too.
pub(super) fn musl_loaders(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::Amd64 => &["/lib/ld-musl-x86_64.so.1"],
        Arch::Arm64 => &["/lib/ld-musl-aarch64.so.1"],
        Arch::ArmV7 => &["/lib/ld-musl-armhf.so.1"],
        Arch::ArmV6 => &["/lib/ld-musl-armhf.so.1", "/lib/ld-musl-arm.so.1"],
        Arch::I386 => &["/lib/ld-musl-i386.so.1"],
        Arch::Ppc64le => &["/lib/ld-musl-powerpc64le.so.1"],
        Arch::S390x => &["/lib/ld-musl-s390x.so.1"],
        Arch::Riscv64 => &["/lib/ld-musl-riscv64.so.1"],
    }
}

/// The libc that an interpreter's path (PT_INTERP) belongs to.
pub fn libc_of_interpreter(path: &str) -> Libc {
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.starts_with("ld-musl") { Libc::Musl } else { Libc::Glibc }
}

/// The architecture of a root's userland: that of a well-known program, else that of its dynamic
/// loader (Debian with foreign libraries has loaders of several). `None` for a root with
/// neither, as one that holds a single static program.
pub fn root_arch(root: &Root) -> Option<Arch> {
    let program = PROGRAMS.iter().find_map(|path| dynamic_program(root, Path::new(path)));
    if let Some((identity, _)) = program {
        return identity.arch();
    }
    let loader = Arch::ALL.into_iter().find_map(|arch| loader_of(root, arch));
    if let Some((_, _, identity)) = loader {
        return identity.arch();
    }
    PROGRAMS.iter().find_map(|path| identify(root, Path::new(path))?.arch())
}

/// The root's libc for `arch`, its loader's path and header. Where both libcs are installed, the
/// well-known programs decide; `None` where no loader is there.
pub(super) fn loader_of(root: &Root, arch: Arch) -> Option<(Libc, PathBuf, Identity)> {
    let first = |libc: Libc, paths: &[&str]| {
        paths.iter().find_map(|path| {
            let identity = identify(root, Path::new(path))?;
            identity.runs_on(arch).is_ok().then(|| (libc, PathBuf::from(path), identity))
        })
    };
    let glibc = first(Libc::Glibc, glibc_loaders(arch));
    let musl = first(Libc::Musl, musl_loaders(arch));
    if glibc.is_some() && musl.is_some() {
        let fits = |path: &&str| {
            dynamic_program(root, Path::new(path))
                .filter(|(identity, _)| identity.runs_on(arch).is_ok())
        };
        let interpreter = PROGRAMS.iter().find_map(fits);
        let prefers_musl =
            interpreter.is_some_and(|(_, path)| libc_of_interpreter(&path) == Libc::Musl);
        return if prefers_musl { musl } else { glibc };
    }
    glibc.or(musl)
}

/// Header and interpreter of a program that is linked dynamically.
fn dynamic_program(root: &Root, path: &Path) -> Option<(Identity, String)> {
    let object = elf::read(&root.open(path).ok()?).ok()?;
    Some((object.identity, object.interpreter?))
}

fn identify(root: &Root, path: &Path) -> Option<Identity> {
    elf::identify(&root.open(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::fixture::{Folder, arch};

    #[test]
    fn the_architecture_is_that_of_the_userland_not_of_this_program() {
        assert_eq!(root_arch(&Root::host()), Some(arch()));
        let folder = Folder::new("userland");
        assert_eq!(root_arch(&folder.root()), None);
        let other = if arch() == Arch::Arm64 { Arch::Amd64 } else { Arch::Arm64 };
        let path = musl_loaders(other)[0];
        folder.library(path, "int a;", &[]);
        assert_eq!(root_arch(&folder.root()), None);
        folder.foreign(path);
        assert_eq!(root_arch(&folder.root()), Some(other));
        assert!(matches!(loader_of(&folder.root(), other), Some((Libc::Musl, _, _))));
        assert!(loader_of(&folder.root(), arch()).is_none());
    }

    #[test]
    fn a_program_decides_between_two_loaders() {
        let folder = Folder::glibc("two");
        folder.library(musl_loaders(arch())[0], "int a;", &[]);
        let libc = || loader_of(&folder.root(), arch()).unwrap().0;
        assert_eq!(libc(), Libc::Glibc);
        let interpreter = format!("-Wl,--dynamic-linker={}", musl_loaders(arch())[0]);
        let options = ["-nostdlib", "-pie", &interpreter];
        folder.write("usr/bin/x", "");
        crate::loader::fixture::compile(
            "void _start(void){}",
            &folder.path("usr/bin/env"),
            &options,
        );
        assert_eq!(libc(), Libc::Musl);
    }
}
