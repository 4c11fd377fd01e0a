//! Every file of the final file system, looked at once: machine and loader of ELF files, packed
//! programs, set-id and world-writable files. A label says what an image is for; this is what is
//! in it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::elf;
use crate::platform::file::{Kind, Meta};
use crate::platform::{Arch, Contents, Root};
use crate::verify::{Check, Status};

/// As many files as one kind of finding names; the rest is counted.
const MOST_NAMED: usize = 40;
/// Where UPX leaves its mark: behind the program headers.
const MARK_WITHIN: usize = 1024;
/// As many entries of a folder on this machine as are looked at.
const MOST_ENTRIES: usize = 2_000_000;
/// The list of a package's files.
const LARGEST_LIST: u64 = 16 << 20;

/// What was found in a file system.
#[derive(Default)]
struct Findings {
    elf: usize,
    foreign: Few,
    packed: Few,
    unloadable: Few,
    set_id: Vec<(PathBuf, u32)>,
    writable: Few,
    distributions: Vec<PathBuf>,
}

/// The first of them, and how many there are.
#[derive(Default)]
struct Few {
    named: Vec<(PathBuf, String)>,
    all: usize,
}

impl Few {
    fn add(&mut self, path: &Path, what: String) {
        self.all += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push((path.to_owned(), what));
        }
    }
}

/// What a scan came to.
pub struct Scan {
    /// Its checks.
    pub checks: Vec<Check>,
    /// Every `.dist-info` of the file system.
    pub distributions: Vec<PathBuf>,
}

/// Looks at every file; what lies below `allowed` may be for another machine.
pub fn scan(root: &Root, arch: Arch, allowed: &[PathBuf]) -> Scan {
    let mut found = Findings::default();
    each(root, |path, meta, is_elf| {
        found.rights(path, meta);
        if meta.is_dir() && path.extension().is_some_and(|suffix| suffix == "dist-info") {
            found.distributions.push(path.to_owned());
        }
        if meta.is_file() && is_elf.unwrap_or(meta.size >= 52) {
            found.file(root, path, meta, arch, allowed);
        }
    });
    let distributions = std::mem::take(&mut found.distributions);
    Scan { checks: found.checks(root, arch), distributions }
}

/// Calls `visit` with everything below the root; of an image it is known which files are ELF.
fn each(root: &Root, mut visit: impl FnMut(&Path, &Meta, Option<bool>)) {
    if let Some(tree) = root.tree() {
        tree.walk(|path, entry| visit(path, &entry.meta, Some(entry.is_elf)));
        return;
    }
    let mut pending = VecDeque::from([PathBuf::from("/")]);
    let mut seen = 0;
    while let Some(folder) = pending.pop_front() {
        let Ok(located) = root.locate(&folder) else { continue };
        for name in root.names(&folder) {
            let Ok(meta) = root.meta_at(&located.join(&name)) else { continue };
            let path = folder.join(&name);
            seen += 1;
            if seen > MOST_ENTRIES {
                return;
            }
            visit(&path, &meta, None);
            // A root that somebody works in has the kernel's own file systems mounted.
            let kernels = ["/proc", "/sys", "/dev"].iter().any(|known| path == Path::new(known));
            if meta.is_dir() && !kernels {
                pending.push_back(path);
            }
        }
    }
}

impl Findings {
    fn rights(&mut self, path: &Path, meta: &Meta) {
        if meta.is_file() && meta.mode & 0o6000 != 0 && meta.mode & 0o111 != 0 {
            self.set_id.push((path.to_owned(), meta.mode));
        }
        let everybody = meta.mode & 0o002 != 0;
        let sticky = meta.mode & 0o1000 != 0;
        let counts = match meta.kind {
            Kind::File => true,
            Kind::Folder => !sticky,
            _ => false,
        };
        if everybody && counts {
            self.writable.add(path, format!("mode {:04o}", meta.mode));
        }
    }

    fn file(&mut self, root: &Root, path: &Path, meta: &Meta, arch: Arch, allowed: &[PathBuf]) {
        let Ok(file) = root.open(path) else { return };
        let Ok(identity) = elf::identify(&file) else { return };
        self.elf += 1;
        // Object files are linked, not loaded; the kernel's own programs for BPF are such.
        if !identity.is_loadable() {
            return;
        }
        if let Err(mismatch) = identity.runs_on(arch) {
            if !allowed.iter().any(|folder| path.starts_with(folder)) {
                self.foreign.add(path, mismatch.to_string());
            }
            return;
        }
        let mut head = [0; MARK_WITHIN];
        let count = file.read_at(&mut head, 0).unwrap_or(0);
        let head = head.get(..count).unwrap_or_default();
        if head.windows(4).any(|four| four == b"UPX!") {
            self.packed.add(path, "is packed with UPX".to_owned());
            return;
        }
        if meta.mode & 0o111 == 0 {
            return;
        }
        let interpreter = elf::read(&file).ok().and_then(|object| object.interpreter);
        if let Some(interpreter) = interpreter.filter(|it| !root.exists(Path::new(it))) {
            self.unloadable
                .add(path, format!("its dynamic loader {interpreter} is not in the image"));
        }
    }

    fn checks(self, root: &Root, arch: Arch) -> Vec<Check> {
        let mut checks = Vec::new();
        let all = format!("{} ELF files", self.elf);
        let few = [
            (
                "elf.machine",
                Status::Fail,
                &self.foreign,
                format!("all are for {arch}"),
                "install it for this platform; what is copied from a build stage has to be built for \
                 TARGETPLATFORM",
            ),
            (
                "elf.packed",
                Status::Fail,
                &self.packed,
                "none is packed".to_owned(),
                "leave UPX out of the build: what is packed cannot be verified",
            ),
            (
                "elf.interpreter",
                Status::Fail,
                &self.unloadable,
                "all programs have their loader".to_owned(),
                "build it for the image's libc, or link it statically",
            ),
            (
                "image.writable",
                Status::Warn,
                &self.writable,
                "nothing is writable for everybody".to_owned(),
                "chmod o-w it in the image",
            ),
        ];
        for (id, status, found, fine, remedy) in few {
            for (path, what) in &found.named {
                let check = Check::new(id, status, path.display().to_string(), what.clone());
                checks.push(check.remedy(remedy));
            }
            match found.all - found.named.len() {
                0 if found.all == 0 => {
                    let subject = if id == "image.writable" { "files" } else { all.as_str() };
                    checks.push(Check::new(id, Status::Pass, subject, fine));
                }
                0 => {}
                more => {
                    checks.push(Check::new(id, status, "and more", format!("{more} more files")))
                }
            }
        }
        checks.push(set_id(root, &self.set_id));
        checks
    }
}

/// Set-id files that belong to a package of the distribution are what its maintainers meant.
fn set_id(root: &Root, found: &[(PathBuf, u32)]) -> Check {
    const ID: &str = "image.suid";
    let mut left: Vec<&(PathBuf, u32)> = found.iter().collect();
    if !left.is_empty() {
        forget_packaged(root, &mut left);
    }
    let line = |(path, mode): &(PathBuf, u32)| format!("{} (mode {mode:04o})", path.display());
    if left.is_empty() {
        let message = match found.len() {
            0 => "there are none".to_owned(),
            count => format!("{count}, all of packages of the distribution"),
        };
        let evidence = found.iter().take(MOST_NAMED).map(line).collect();
        return Check::new(ID, Status::Pass, "set-id files", message).evidence(evidence);
    }
    let evidence = left.iter().take(MOST_NAMED).map(|one| line(one)).collect();
    let message = format!("{} that no package has brought", left.len());
    Check::new(ID, Status::Warn, "set-id files", message)
        .remedy("chmod a-s them in the image, and run with no-new-privileges")
        .evidence(evidence)
}

/// Takes out what dpkg or apk lists as its own.
fn forget_packaged(root: &Root, left: &mut Vec<&(PathBuf, u32)>) {
    let folder = Path::new("/var/lib/dpkg/info");
    for name in root.names(folder) {
        if left.is_empty() || !name.as_encoded_bytes().ends_with(b".list") {
            continue;
        }
        let Ok(bytes) = root.read(&folder.join(&name), LARGEST_LIST) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            left.retain(|(path, _)| !same(Path::new(line), path));
        }
    }
    let Ok(bytes) = root.read(Path::new("/lib/apk/db/installed"), LARGEST_LIST) else { return };
    let mut here = PathBuf::from("/");
    for line in String::from_utf8_lossy(&bytes).lines() {
        if let Some(folder) = line.strip_prefix("F:") {
            here = Path::new("/").join(folder);
        } else if let Some(name) = line.strip_prefix("R:") {
            let file = here.join(name);
            left.retain(|(path, _)| !same(&file, path));
        }
    }
}

/// With /bin a link to usr/bin, packages may list either.
fn same(listed: &Path, path: &Path) -> bool {
    let plain = |path: &Path| {
        path.strip_prefix("/usr")
            .map(Path::to_owned)
            .unwrap_or_else(|_| path.strip_prefix("/").unwrap_or(path).to_owned())
    };
    plain(listed) == plain(path)
}
