//! The search of glibc's `ld.so` (man 8 ld.so; glibc, elf/dl-load.c, `_dl_map_object`):
//! DT_RPATH of the requester and of what loaded it, LD_LIBRARY_PATH, DT_RUNPATH of the requester,
//! the cache, the default folders. In each folder the sub-directories for better processors come
//! first. The `tls` and AT_HWCAP sub-directories that glibc had until 2.36 are not modelled.

use std::path::{Path, PathBuf};

use super::cache::{Entry, Hwcap};
use super::conf;
use super::search::{Attempt, How, Loader, MOST_PARTS, Requester, Resolution};
use crate::platform::{Arch, Root};

/// The largest dynamic loader whose built-in folders are looked for; real ones have 300 KiB.
const MOST_LOADER_BYTES: u64 = 8 * 1024 * 1024;

/// The folders that are built into the loader. They differ between distributions, so they are
/// looked up in its file, where each stands with a slash and a zero byte behind it; without that
/// file every usual folder is taken.
pub(super) fn default_folders(root: &Root, arch: Arch, loader: Option<&Path>) -> Vec<PathBuf> {
    let lib = |name: &str| [PathBuf::from("/").join(name), Path::new("/usr").join(name)];
    let multiarch = format!("lib/{}", arch.multiarch());
    let names = [multiarch.as_str(), "lib64", "lib"];
    let bytes = loader.and_then(|path| root.read(path, MOST_LOADER_BYTES).ok()).unwrap_or_default();
    let built_in = |name: &&&str| contains(&bytes, format!("/usr/{name}/\0").as_bytes());
    let found: Vec<PathBuf> = names.iter().filter(built_in).flat_map(|name| lib(name)).collect();
    if found.is_empty() { names.iter().flat_map(|name| lib(name)).collect() } else { found }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    /// Most blocks of this size hold no slash, and the library's own search sees that fast.
    const BLOCK: usize = 64;
    bytes.chunks(BLOCK).enumerate().filter(|(_, block)| block.contains(&b'/')).any(|(number, _)| {
        let start = number * BLOCK;
        let end = bytes.len().min(start + BLOCK);
        (start..end).any(|at| bytes[at..].starts_with(wanted))
    })
}

/// Searches for `name`; `None` where nothing takes it.
pub(super) fn find(
    attempt: &mut Attempt<'_, '_>,
    name: &str,
    chain: &[&Requester],
) -> Option<Resolution> {
    let loader = attempt.loader;
    if name.contains('/') {
        let origin = chain.first().map_or(Path::new("/"), |requester| requester.origin());
        return attempt.file(&expand(loader, name, origin)?, How::Path);
    }
    if loader.path().and_then(Path::file_name).is_some_and(|own| own == name) {
        return loader.itself();
    }
    let requester = chain.first();
    if requester.is_none_or(|requester| requester.runpath.is_none()) {
        // An object with DT_RUNPATH has its DT_RPATH ignored.
        for above in chain.iter().filter(|above| above.runpath.is_none()) {
            let folders = folders(loader, above.rpath.as_deref(), above.origin());
            if let Some(end) = in_folders(attempt, &folders, name, How::Rpath) {
                return Some(end);
            }
        }
    }
    if let Some(end) = in_folders(attempt, &loader.library_path, name, How::LibraryPath) {
        return Some(end);
    }
    if let Some(requester) = requester {
        let folders = folders(loader, requester.runpath.as_deref(), requester.origin());
        if let Some(end) = in_folders(attempt, &folders, name, How::Runpath) {
            return Some(end);
        }
    }
    let skip_defaults = requester.is_some_and(|requester| requester.skips_default_folders);
    if let Some(end) = in_cache(attempt, name, skip_defaults) {
        return Some(end);
    }
    if skip_defaults {
        return None;
    }
    in_folders(attempt, &loader.default_folders, name, How::DefaultFolder)
}

fn in_folders(
    attempt: &mut Attempt<'_, '_>,
    folders: &[PathBuf],
    name: &str,
    how: How,
) -> Option<Resolution> {
    let levels = levels(attempt.loader.arch);
    for folder in folders {
        for level in levels {
            let better = folder.join("glibc-hwcaps").join(level);
            if let Some(end) = attempt.file(&better.join(name), how) {
                return Some(end);
            }
        }
        if let Some(end) = attempt.folder(folder, name, how) {
            return Some(end);
        }
    }
    None
}

/// Looks the name up in the cache. glibc takes the one best entry, and where its file is gone or
/// for another machine it does not come back for the second best.
fn in_cache(attempt: &mut Attempt<'_, '_>, name: &str, skip_defaults: bool) -> Option<Resolution> {
    let loader = attempt.loader;
    let levels = levels(loader.arch);
    let entries = loader.cache.as_ref()?.lookup(name).filter(|entry| entry.is_for(loader.arch));
    let (_, best) = entries
        .filter_map(|entry| Some((rank(&entry, levels)?, entry)))
        .min_by_key(|(rank, _)| *rank)?;
    let path = String::from_utf8_lossy(best.path).into_owned();
    let path = Path::new(&path);
    let folder = path.parent().unwrap_or(Path::new("/"));
    if skip_defaults && loader.default_folders.iter().any(|default| default == folder) {
        return None;
    }
    let end = attempt.file(path, How::Cache);
    if end.is_none() && !loader.root.exists(path) {
        attempt.notes.push(format!(
            "/etc/ld.so.cache names {}, which is gone; run ldconfig",
            path.display()
        ));
    }
    end
}

/// The smaller the better; `None` for what this processor may not have. Of equal entries glibc
/// takes the first.
fn rank(entry: &Entry<'_>, levels: &[&str]) -> Option<usize> {
    /// The bit of the `tls` sub-directory, which every processor has.
    const TLS: u64 = 1 << 63;
    match entry.hwcap {
        Hwcap::Any | Hwcap::Mask(TLS) => Some(levels.len()),
        Hwcap::Named(name) => levels.iter().position(|level| level.as_bytes() == name),
        Hwcap::Mask(_) => None,
    }
}

/// The glibc-hwcaps sub-directories that this processor may use, best first (x86-64 psABI,
/// "Micro-Architecture Levels"). Those of other machines are left out: what lies in them stands
/// beside a file for every processor of that machine.
fn levels(arch: Arch) -> &'static [&'static str] {
    const ALL: &[&str] = &["x86-64-v4", "x86-64-v3", "x86-64-v2"];
    if arch != Arch::Amd64 {
        return &[];
    }
    #[cfg(target_arch = "x86_64")]
    {
        // LAHF/SAHF, LZCNT beside them, and OSXSAVE are not asked for by name: no processor with
        // the others lacks the first, and the detection of AVX includes the last.
        let v2 = is_x86_feature_detected!("cmpxchg16b")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("sse4.2")
            && is_x86_feature_detected!("ssse3");
        let v3 = v2
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe");
        let v4 = v3
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (v2, v3, v4) {
            (_, _, true) => ALL,
            (_, true, _) => &ALL[1..],
            (true, _, _) => &ALL[2..],
            _ => &[],
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        &ALL[3..]
    }
}

/// The folders of DT_RPATH or DT_RUNPATH of an object that lies in `origin`.
fn folders(loader: &Loader<'_>, path: Option<&str>, origin: &Path) -> Vec<PathBuf> {
    let parts = path.unwrap_or_default().split(':').take(MOST_PARTS);
    parts.filter_map(|part| expand(loader, part, origin)).collect()
}

/// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM`, with or without braces (man 8 ld.so). `None` for
/// what is not absolute then: it would count from the workload's working directory.
fn expand(loader: &Loader<'_>, text: &str, origin: &Path) -> Option<PathBuf> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, after) = match token(rest) {
            Some(found) => found,
            None => {
                out.push('$');
                continue;
            }
        };
        match name {
            "ORIGIN" => out.push_str(&origin.to_string_lossy()),
            "LIB" => out.push_str(&lib_name(loader)),
            _ => out.push_str(loader.arch.uname()),
        }
        rest = after;
    }
    out.push_str(rest);
    out.starts_with('/').then(|| PathBuf::from(out))
}

/// A name that stands behind a `$`, and what follows it.
pub(super) fn token(text: &str) -> Option<(&str, &str)> {
    const NAMES: [&str; 3] = ["ORIGIN", "LIB", "PLATFORM"];
    if let Some(inner) = text.strip_prefix('{') {
        let (name, after) = inner.split_once('}')?;
        return NAMES.contains(&name).then_some((name, after));
    }
    let length = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let (name, after) = text.split_at(length.count());
    NAMES.contains(&name).then_some((name, after))
}

/// What `$LIB` stands for: the first default folder without its leading slash.
fn lib_name(loader: &Loader<'_>) -> String {
    let first = loader.default_folders.first();
    first.map_or_else(|| "lib".into(), |path| path.to_string_lossy()[1..].to_owned())
}

/// Notes a file of that name in a folder of ld.so.conf: ldconfig would have found it.
pub(super) fn explain(attempt: &mut Attempt<'_, '_>, name: &str) {
    let loader = attempt.loader;
    if name.contains('/') {
        return;
    }
    for folder in conf::directories(loader.root) {
        let path = folder.join(name);
        if loader.default_folders.contains(&folder) {
            continue;
        }
        let Ok(file) = loader.root.open(&path) else { continue };
        let fits =
            crate::elf::identify(&file).is_ok_and(|found| found.runs_on(loader.arch).is_ok());
        if fits {
            let state = if loader.cache.is_some() { "not in" } else { "and there is no" };
            attempt.notes.push(format!(
                "{} is in a folder of /etc/ld.so.conf, {state} /etc/ld.so.cache; run ldconfig",
                path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_names_are_recognized_with_and_without_braces() {
        assert_eq!(token("ORIGIN/lib"), Some(("ORIGIN", "/lib")));
        assert_eq!(token("{LIB}x"), Some(("LIB", "x")));
        assert_eq!(token("PLATFORM"), Some(("PLATFORM", "")));
        assert_eq!(token("ORIGINAL/x"), None);
        assert_eq!(token("{ORIGIN"), None);
        assert_eq!(token(""), None);
    }

    #[test]
    fn the_folders_are_those_built_into_this_machines_loader() {
        let arch = Arch::built_for().unwrap();
        let path = super::super::userland::glibc_loaders(arch)[0];
        let root = Root::host();
        let found = default_folders(&root, arch, Some(Path::new(path)));
        let help = std::process::Command::new(path).arg("--help").output().unwrap().stdout;
        let help = String::from_utf8(help).unwrap();
        let listed: Vec<PathBuf> = help
            .lines()
            .filter_map(|line| {
                Some(PathBuf::from(line.trim().strip_suffix(" (system search path)")?))
            })
            .collect();
        assert_eq!(found, listed);
        assert_eq!(default_folders(&root, arch, None).len(), 6);
    }
}
