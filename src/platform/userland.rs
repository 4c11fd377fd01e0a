//! Which userland a root holds: its architecture, its C library and its dynamic loader.
//!
//! The loader's path is fixed by each psABI, so its presence names the library, and its ELF header
//! the architecture. A root may hold several (Debian's multiarch, a compiler package of the other
//! libc): then a well-known program tells which of them the root lives on. `detect` reports it,
//! `verify` takes the architecture from it, `loader` follows its rules.

use std::path::{Path, PathBuf};

use super::{Arch, Root};
use crate::elf::{self, Identity};

/// Whose dynamic loader finds shared objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// GNU libc (Debian, Fedora, Arch, distroless).
    Glibc,
    /// musl (Alpine, Wolfi's small images, Void's).
    Musl,
}

impl std::fmt::Display for Family {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Family::Glibc => "glibc",
            Family::Musl => "musl",
        })
    }
}

/// The dynamic userland of a root filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Userland {
    /// Its architecture.
    pub arch: Arch,
    /// Whose loader it has.
    pub family: Family,
    /// The loader's path inside the root.
    pub loader: PathBuf,
    /// The loader's header.
    pub identity: Identity,
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

/// Where each architecture's programs look for their loader (PT_INTERP): glibc's by the `ld.so`
/// name in each port's `shlib-versions`, musl's by LDSO_ARCH.
const LOADERS: [(Arch, Family, &str); 20] = [
    (Arch::Amd64, Family::Glibc, "/lib64/ld-linux-x86-64.so.2"),
    (Arch::Arm64, Family::Glibc, "/lib/ld-linux-aarch64.so.1"),
    (Arch::ArmV7, Family::Glibc, "/lib/ld-linux-armhf.so.3"),
    (Arch::ArmV6, Family::Glibc, "/lib/ld-linux-armhf.so.3"),
    (Arch::ArmV6, Family::Glibc, "/lib/ld-linux.so.3"),
    (Arch::I386, Family::Glibc, "/lib/ld-linux.so.2"),
    (Arch::Ppc64le, Family::Glibc, "/lib64/ld64.so.2"),
    (Arch::S390x, Family::Glibc, "/lib/ld64.so.1"),
    (Arch::S390x, Family::Glibc, "/lib64/ld64.so.1"),
    (Arch::Riscv64, Family::Glibc, "/lib/ld-linux-riscv64-lp64d.so.1"),
    (Arch::Amd64, Family::Musl, "/lib/ld-musl-x86_64.so.1"),
    (Arch::Arm64, Family::Musl, "/lib/ld-musl-aarch64.so.1"),
    (Arch::ArmV7, Family::Musl, "/lib/ld-musl-armhf.so.1"),
    (Arch::ArmV6, Family::Musl, "/lib/ld-musl-armhf.so.1"),
    (Arch::ArmV6, Family::Musl, "/lib/ld-musl-arm.so.1"),
    (Arch::I386, Family::Musl, "/lib/ld-musl-i386.so.1"),
    (Arch::Ppc64le, Family::Musl, "/lib/ld-musl-powerpc64le.so.1"),
    (Arch::S390x, Family::Musl, "/lib/ld-musl-s390x.so.1"),
    (Arch::Riscv64, Family::Musl, "/lib/ld-musl-riscv64.so.1"),
    (Arch::Riscv64, Family::Musl, "/lib/ld-musl-riscv64-sp.so.1"),
];

/// The libc that an interpreter's path (PT_INTERP) belongs to.
pub fn family_of_interpreter(path: &str) -> Family {
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.starts_with("ld-musl") { Family::Musl } else { Family::Glibc }
}

/// The userland of `root`: what a well-known program is linked with, else the loader for
/// `preferred`, else any loader. `None` where there is no loader (a static or empty image).
pub fn userland(root: &Root, preferred: Option<Arch>) -> Option<Userland> {
    let program = PROGRAMS.iter().find_map(|path| dynamic_program(root, Path::new(path)));
    let linked = program.and_then(|(identity, _)| loader_of(root, identity.arch()?));
    linked
        .or_else(|| loader_of(root, preferred?))
        .or_else(|| Arch::ALL.into_iter().find_map(|arch| loader_of(root, arch)))
}

/// The architecture of a root's userland: that of a well-known program, else that of its dynamic
/// loader, of several that of `preferred`. `None` for a root with neither, as one that holds a
/// single static program of another name.
pub fn root_arch(root: &Root, preferred: Option<Arch>) -> Option<Arch> {
    let program = PROGRAMS.iter().find_map(|path| dynamic_program(root, Path::new(path)));
    program
        .and_then(|(identity, _)| identity.arch())
        .or_else(|| userland(root, preferred).map(|userland| userland.arch))
        .or_else(|| PROGRAMS.iter().find_map(|path| identify(root, Path::new(path))?.arch()))
}

/// The root's userland for `arch`. Where both libcs are installed, the well-known programs decide,
/// and glibc without them, since a musl loader beside it comes from a compiler package.
pub fn loader_of(root: &Root, arch: Arch) -> Option<Userland> {
    let first = |family: Family| {
        let paths = LOADERS.iter().filter(|(of, kind, _)| *of == arch && *kind == family);
        paths.map(|(_, _, path)| PathBuf::from(path)).find_map(|loader| {
            let identity = identify(root, &loader)?;
            identity.runs_on(arch).is_ok().then_some(Userland { arch, family, loader, identity })
        })
    };
    let (glibc, musl) = (first(Family::Glibc), first(Family::Musl));
    if glibc.is_some() && musl.is_some() {
        let fits = |path: &&str| {
            dynamic_program(root, Path::new(path))
                .filter(|(identity, _)| identity.runs_on(arch).is_ok())
        };
        let interpreter = PROGRAMS.iter().find_map(fits);
        let prefers_musl =
            interpreter.is_some_and(|(_, path)| family_of_interpreter(&path) == Family::Musl);
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

/// The usual loader of each libc, for tests.
#[cfg(test)]
pub(crate) fn usual_loader(arch: Arch, family: Family) -> &'static str {
    LOADERS.iter().find(|(of, kind, _)| *of == arch && *kind == family).unwrap().2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::fixture::{Folder, arch, musl_loader};

    #[test]
    fn the_architecture_is_that_of_the_userland_not_of_this_program() {
        assert_eq!(root_arch(&Root::host(), None), Some(arch()));
        let folder = Folder::new("userland");
        assert_eq!(root_arch(&folder.root(), None), None);
        let other = if arch() == Arch::Arm64 { Arch::Amd64 } else { Arch::Arm64 };
        let path = musl_loader(other);
        folder.library(path, "int a;", &[]);
        assert_eq!(root_arch(&folder.root(), None), None);
        folder.foreign(path);
        assert_eq!(root_arch(&folder.root(), None), Some(other));
        assert!(loader_of(&folder.root(), other).is_some_and(|found| found.family == Family::Musl));
        assert!(loader_of(&folder.root(), arch()).is_none());
    }

    #[test]
    fn a_program_decides_between_two_loaders() {
        let folder = Folder::glibc("two");
        folder.library(musl_loader(arch()), "int a;", &[]);
        let libc = || loader_of(&folder.root(), arch()).unwrap().family;
        assert_eq!(libc(), Family::Glibc);
        let interpreter = format!("-Wl,--dynamic-linker={}", musl_loader(arch()));
        let options = ["-nostdlib", "-pie", &interpreter];
        folder.write("usr/bin/x", "");
        crate::loader::fixture::compile(
            "void _start(void){}",
            &folder.path("usr/bin/env"),
            &options,
        );
        assert_eq!(libc(), Family::Musl);
    }
}
