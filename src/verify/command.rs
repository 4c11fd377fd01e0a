//! The workload: can this command be executed here, and if not, why? Asked before a start by
//! verification, and after a failed execve(2) by the child that failed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::report::{Check, Status};
use super::request::Request;
use crate::elf;
use crate::loader::Loader;
use crate::platform::{Arch, Root, Uname};

/// As much of a file as tells what it is: the kernel reads 256 bytes (`man 2 execve`).
const HEAD: usize = 256;

/// The exit code for a program that was not found.
const NOT_FOUND: u8 = 127;
/// The exit code for one that was found and cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// What a file is to execve(2).
enum Kind {
    Elf,
    Script { interpreter: String },
    Empty,
    Text,
}

/// Says why execve(2) has refused `path`, with the exit code for it. `folders` are those of PATH
/// that were searched for it; none where it was named by a path.
pub fn explain(path: &Path, folders: &[&Path], error: io::Error) -> (u8, String) {
    let shown = path.display();
    let errno = Errno::from_io_error(&error);
    if matches!(errno, Some(Errno::NOENT | Errno::NOTDIR)) && !path.exists() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = match folders {
            [] => format!("cannot start {shown}: there is no such file"),
            folders => format!("cannot start {name}: not found in PATH ({})", joined(folders)),
        };
        return (NOT_FOUND, text);
    }
    let root = Root::host();
    let (code, why) = match (errno, examine(&root, path, Uname::of_this_process().arch())) {
        (Some(Errno::TOOBIG), _) => {
            (NOT_EXECUTABLE, "its arguments and environment are too long for execve".to_owned())
        }
        (Some(Errno::ACCESS), Ok(())) => (NOT_EXECUTABLE, refused_to_us(path)),
        (_, Err(unfit)) => unfit,
        (_, Ok(())) => (NOT_EXECUTABLE, error.to_string()),
    };
    (code, format!("cannot start {shown}: {why}"))
}

fn joined(folders: &[&Path]) -> String {
    let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    folders.join(":")
}

/// Refused although the file itself is fit: by a folder on the way, or by the file system.
fn refused_to_us(path: &Path) -> String {
    let uid = rustix::process::geteuid().as_raw();
    let noexec = rustix::fs::statvfs(path)
        .is_ok_and(|fs| fs.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC));
    if noexec {
        return "its file system is mounted noexec".to_owned();
    }
    format!("permission denied for uid {uid}, by the file or a folder on the way to it")
}

/// Why this file cannot be executed on `arch`, with the exit code for it.
fn examine(root: &Root, path: &Path, arch: Option<Arch>) -> Result<(), (u8, String)> {
    let unfit = |why: String| Err((NOT_EXECUTABLE, why));
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let meta = match root.locate(&absolute).and_then(|host| host.metadata()) {
        Ok(meta) => meta,
        Err(error) => return unfit(error.to_string()),
    };
    if meta.is_dir() {
        return unfit("it is a directory".to_owned());
    }
    let mode = meta.permissions().mode();
    if mode & 0o111 == 0 {
        return unfit(format!(
            "it is not executable (mode {:04o}, owner {}:{}); chmod +x it in the image",
            mode & 0o7777,
            meta.uid(),
            meta.gid()
        ));
    }
    let file = match root.open(&absolute) {
        Ok(file) => file,
        // What may be executed need not be readable.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return unfit(format!("it {error}")),
    };
    let kind = match kind(&file) {
        Ok(kind) => kind,
        Err(error) => return unfit(error.to_string()),
    };
    match kind {
        Kind::Empty => unfit("it is an empty file".to_owned()),
        Kind::Text => unfit(
            "it is neither an ELF program nor a script that begins with #!; name its interpreter \
             in the command or in its first line"
                .to_owned(),
        ),
        Kind::Script { interpreter } => examine_script(root, &interpreter),
        Kind::Elf => examine_elf(root, &file, arch),
    }
}

fn kind(file: &std::fs::File) -> io::Result<Kind> {
    let mut head = [0; HEAD];
    let count = rustix::io::pread(file, &mut head, 0)?;
    let head = &head[..count];
    if head.is_empty() {
        return Ok(Kind::Empty);
    }
    if head.starts_with(b"\x7fELF") {
        return Ok(Kind::Elf);
    }
    let Some(line) = head.strip_prefix(b"#!") else { return Ok(Kind::Text) };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let interpreter = line.trim_start_matches([' ', '\t']);
    let interpreter = interpreter.split([' ', '\t']).next().unwrap_or_default();
    Ok(Kind::Script { interpreter: interpreter.to_owned() })
}

fn examine_script(root: &Root, interpreter: &str) -> Result<(), (u8, String)> {
    if interpreter.is_empty() {
        return Err((NOT_EXECUTABLE, "its first line is #! without an interpreter".to_owned()));
    }
    if let Some(name) = interpreter.strip_suffix('\r') {
        return Err((
            NOT_FOUND,
            format!(
                "its first line ends in CR LF, so that its interpreter is looked for as {name:?} and \
                 a CR; save it with LF line ends"
            ),
        ));
    }
    if root.exists(Path::new(interpreter)) {
        return Ok(());
    }
    Err((NOT_FOUND, format!("its interpreter {interpreter} is not in the image")))
}

fn examine_elf(root: &Root, file: &std::fs::File, arch: Option<Arch>) -> Result<(), (u8, String)> {
    let object = match elf::read(file) {
        Ok(object) => object,
        Err(error) => return Err((NOT_EXECUTABLE, format!("it {error}"))),
    };
    if let Some(Err(mismatch)) = arch.map(|arch| object.identity.runs_on(arch)) {
        return Err((NOT_EXECUTABLE, format!("it {mismatch}; no emulator is registered for it")));
    }
    match object.interpreter.as_deref().filter(|loader| !root.exists(Path::new(loader))) {
        None => Ok(()),
        Some(loader) => Err((
            NOT_FOUND,
            format!(
                "its dynamic loader {loader} is not in the image: it was built for another libc"
            ),
        )),
    }
}

/// The preflight of a command, as a check.
pub fn check(request: &Request, command: &[OsString], loader: &Loader) -> Check {
    let name = command.first().map(OsString::as_os_str).unwrap_or_default();
    let subject = name.to_string_lossy().into_owned();
    let root = &request.root;
    let Some(path) = find(root, name, request.surroundings.search_path()) else {
        let message =
            format!("not found{}", if name.as_bytes().contains(&b'/') { "" } else { " in PATH" });
        return Check::new("command.missing", Status::Fail, subject, message)
            .remedy("install it in the image, or correct the command");
    };
    if let Err((_, why)) = examine(root, &path, Some(loader.arch())) {
        let message = format!("{}: {why}", path.display());
        return Check::new("command.refused", Status::Fail, subject, message);
    }
    let closure = loader.closure(&path, None);
    let script = root.open(&path).ok().and_then(|file| kind(&file).ok());
    let problems: Vec<String> = match script {
        Some(Kind::Elf) => {
            closure.problems.iter().filter(|p| p.is_fatal()).map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    };
    match problems.first() {
        None => Check::new(
            "command.missing",
            Status::Pass,
            subject,
            format!("found at {}", path.display()),
        ),
        Some(first) => {
            let message = format!("{} cannot be loaded: {first}", path.display());
            Check::new("command.closure", Status::Fail, subject, message)
                .evidence(problems[1..].to_vec())
        }
    }
}

/// The file that execvp(3) would take; a folder or a file without x bit is passed over only
/// where there is another.
fn find(root: &Root, name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        let path = std::path::absolute(name).ok()?;
        return root.exists(&path).then_some(path);
    }
    let candidates: Vec<PathBuf> = std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .filter(|candidate| root.exists(candidate))
        .collect();
    let executable = |path: &&PathBuf| {
        let meta = root.locate(path).and_then(|host| host.metadata());
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    candidates.iter().find(executable).or(candidates.first()).cloned()
}
