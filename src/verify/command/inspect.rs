//! One program, from its path to the file that the kernel would run in the end: through scripts
//! whose interpreter is a script, through `env`, to an ELF program and its dynamic loader.
//! Nothing is run.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::access::{Credentials, kernel_allows, noexec_mount, shown};
use super::find::{find, nothing_there};
use super::machine::{Emulator, emulator, foreign, kernel_takes};
use super::obstacle::Obstacle;
use super::script::{HEAD, Line, first_line, name_for_env};
use crate::elf::{self, Object};
use crate::platform::file::Kind;
use crate::platform::{self, Arch, Contents, Meta, Regular, Root};

/// Scripts that may be each other's interpreter (`exec_binprm`, fs/exec.c); one more is ELOOP.
const MOST_SCRIPTS: usize = 5;
/// Programs that are followed through `env`; real chains have one.
const MOST_ENVS: usize = 4;

/// Where a program would start.
pub struct Ground<'a> {
    /// The root filesystem.
    pub root: &'a Root,
    /// What uname(2) says, or the root's own architecture; `None` where it is not known.
    pub arch: Option<Arch>,
    /// As whom.
    pub who: Credentials,
    /// PATH.
    pub search_path: &'a OsStr,
    /// The folder that relative paths count from; `None` is this process's own.
    pub folder: Option<&'a Path>,
    /// Whether execve(2) has refused it already. A script that asks `env` for its interpreter is
    /// then not followed, since it would be `env` that fails, and later.
    pub refused: bool,
}

impl Ground<'_> {
    /// Who would run a file that begins with `head`. What this machine has registered says
    /// nothing about the machine that an image is for.
    fn emulator(&self, head: &[u8]) -> Emulator {
        if self.root.is_image() { Emulator::None } else { emulator(&Root::host(), head) }
    }

    /// The path counted from the working folder.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        match self.folder {
            Some(folder) => folder.join(path),
            None => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        }
    }
}

/// A program with nothing in its way.
#[derive(Debug, PartialEq, Eq)]
pub struct Fit {
    /// The program, its interpreter, the interpreter's …; the last is what runs.
    pub chain: Vec<PathBuf>,
    /// Whether the last can be looked at as an ELF file of this machine.
    pub is_native: bool,
}

/// Follows the program at `path`, relative to the working folder.
pub fn inspect(ground: &Ground, path: &Path) -> Result<Fit, Obstacle> {
    let mut fit = Fit { chain: Vec::new(), is_native: false };
    let mut next = path.to_owned();
    let mut envs = 0;
    let mut scripts = 0;
    loop {
        let subject = match fit.chain.last() {
            None => "it".to_owned(),
            Some(script) if fit.chain.len() == 1 => {
                let _ = script;
                format!("its interpreter {}", next.display())
            }
            Some(script) => {
                format!("{}, the interpreter of {},", next.display(), script.display())
            }
        };
        let id = if fit.chain.is_empty() { "command.missing" } else { "command.interpreter" };
        let host = admit(ground, &next, &subject, id)?;
        fit.chain.push(next.clone());
        let Some(file) = open(ground.root, &host)? else { return Ok(fit) };
        let head = head(&file)?;
        let Some(line) = first_line(&head) else {
            fit.is_native = program(ground, &file, &head, &subject)?;
            return Ok(fit);
        };
        let (interpreter, argument) = interpreter(line, &subject)?;
        scripts += 1;
        if scripts > MOST_SCRIPTS {
            return Err(Obstacle::refused(
                "command.interpreter",
                format!(
                    "more than {MOST_SCRIPTS} scripts are each other's interpreter (ELOOP): {}",
                    chain_shown(&fit.chain)
                ),
            ));
        }
        let is_env = interpreter.file_name() == Some(OsStr::new("env"));
        let name = is_env.then(|| name_for_env(&argument)).flatten();
        next = match name.filter(|_| !ground.refused && envs < MOST_ENVS) {
            None => interpreter,
            Some(name) => {
                admit(ground, &interpreter, &subject_of(&interpreter), "command.interpreter")?;
                fit.chain.push(interpreter);
                envs += 1;
                scripts = 0;
                through_env(ground, OsStr::from_bytes(name))?
            }
        };
    }
}

fn subject_of(interpreter: &Path) -> String {
    format!("its interpreter {}", interpreter.display())
}

/// Paths in the order in which they run, for people.
pub fn chain_shown(chain: &[PathBuf]) -> String {
    let shown: Vec<String> = chain.iter().map(|path| path.display().to_string()).collect();
    shown.join(" -> ")
}

/// What `env` would find in PATH.
fn through_env(ground: &Ground, name: &OsStr) -> Result<PathBuf, Obstacle> {
    find(ground, name).map_err(|unfound| {
        let why = format!("its first line asks env for {:?}, {}", name.display(), unfound.why);
        let obstacle = Obstacle::missing("command.interpreter", why.replace('"', ""));
        match name.as_bytes().contains(&b' ') {
            true => obstacle.remedy("env takes all of it for one name: write #!/usr/bin/env -S"),
            false => obstacle.remedy("install it in the image, or add its folder to PATH"),
        }
    })
}

/// Whether the file is there and may be executed; the result is its path without links.
fn admit(
    ground: &Ground,
    path: &Path,
    subject: &str,
    id: &'static str,
) -> Result<PathBuf, Obstacle> {
    let absolute = ground.absolute(path);
    let (host, meta) = match ground.root.locate(&absolute).and_then(|host| {
        let meta = ground.root.meta_at(&host)?;
        Ok((host, meta))
    }) {
        Ok(found) => found,
        Err(error) => return Err(nothing_there(ground, &absolute, subject, id, &error)),
    };
    let other = match meta.kind {
        Kind::File => None,
        Kind::Folder => Some("a directory"),
        Kind::Fifo => Some("a FIFO, not a regular file"),
        Kind::Socket => Some("a socket, not a regular file"),
        Kind::Device | Kind::Link => Some("a device, not a regular file"),
    };
    if let Some(other) = other {
        return Err(Obstacle::refused("command.format", format!("{subject} is {other}")));
    }
    if !ground.who.may_execute(&meta) {
        return Err(without_x(ground, &meta, subject));
    }
    if ground.root.is_host() && !kernel_allows(&host) {
        return Err(match noexec_mount(&host) {
            Some(point) => Obstacle::refused(
                "command.mount",
                format!("{subject} is on a file system that is mounted noexec ({point})"),
            )
            .remedy("mount it with exec, or keep programs elsewhere"),
            None => Obstacle::refused(
                "command.permission",
                format!(
                    "{subject} may not be executed by uid {} although its mode allows it \
                     ({}): an access list or a security module refuses",
                    ground.who.uid,
                    shown(&meta)
                ),
            ),
        });
    }
    Ok(host)
}

fn without_x(ground: &Ground, meta: &Meta, subject: &str) -> Obstacle {
    let shown = shown(meta);
    if meta.mode & 0o111 == 0 {
        let why = format!("{subject} is not executable ({shown})");
        return Obstacle::refused("command.permission", why).remedy("chmod +x it in the image");
    }
    let Credentials { uid, gid, .. } = ground.who;
    Obstacle::refused(
        "command.permission",
        format!("{subject} is not executable for uid {uid}, gid {gid} ({shown})"),
    )
    .remedy("give that user the x bit, or run as another")
}

/// What may be executed need not be readable: `None`.
fn open(root: &Root, host: &Path) -> Result<Option<Regular>, Obstacle> {
    match root.open(&root.inside(host)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(unreadable(&error)),
    }
}

fn head(file: &Regular) -> Result<Vec<u8>, Obstacle> {
    let mut head = vec![0; HEAD];
    let count = file.read_at(&mut head, 0).map_err(|error| unreadable(&error))?;
    head.truncate(count);
    Ok(head)
}

fn unreadable(error: &io::Error) -> Obstacle {
    Obstacle::refused("command.format", format!("it cannot be read: {error}"))
}

/// The interpreter that a first line names, with its argument.
fn interpreter(line: Line, subject: &str) -> Result<(PathBuf, Vec<u8>), Obstacle> {
    let broken = |why: String| Err(Obstacle::refused("command.format", why));
    let (path, argument) = match line {
        Line::Interpreter { path, argument } => (path, argument),
        Line::Nothing => return broken(format!("{subject} begins with #! without an interpreter")),
        Line::CutShort => {
            return broken(format!(
                "the first line of a script is too long: its interpreter has to end within {HEAD} bytes"
            ));
        }
    };
    let ends_in_cr = [&path, &argument].into_iter().any(|part| part.ends_with(b"\r"));
    if ends_in_cr {
        let named = String::from_utf8_lossy(&path).trim_end_matches('\r').to_owned();
        let why = format!(
            "the first line of a script ends in CR LF, and the CR belongs to what {named} is \
             looked for or given as"
        );
        let obstacle = Obstacle::missing("command.interpreter", why);
        return Err(obstacle.remedy("save it with LF line ends (dos2unix, or .gitattributes)"));
    }
    Ok((PathBuf::from(OsStr::from_bytes(&path)), argument))
}

/// Whether a file that is no script can run; true where it is an ELF file of this machine.
fn program(ground: &Ground, file: &Regular, head: &[u8], subject: &str) -> Result<bool, Obstacle> {
    let broken = |why: String| Obstacle::refused("command.format", why);
    if head.is_empty() {
        return Err(broken(format!("{subject} is an empty file")));
    }
    let host = Root::host();
    if !head.starts_with(b"\x7fELF") {
        if let Emulator::Registered(_) = ground.emulator(head) {
            return Ok(false);
        }
        return Err(broken(format!(
            "{subject} is neither an ELF program nor a script that begins with #!"
        ))
        .remedy("name its interpreter in the command or in its first line"));
    }
    let object = elf::read(file).map_err(|error| broken(format!("{subject} {error}")))?;
    if !object.identity.is_loadable() {
        return Err(broken(format!("{subject} is an ELF file, but no program")));
    }
    let mut native = true;
    if let Some(arch) = ground.arch {
        native = object.identity.runs_on(arch).is_ok();
        let taken =
            native || (ground.root.is_host() && kernel_takes(&host, &object.identity, arch));
        if !taken {
            emulated(ground, &object, head, arch, subject)?;
        }
    }
    loader_of(ground, &object, subject)?;
    Ok(native)
}

/// A program for another machine needs an emulator.
fn emulated(
    ground: &Ground,
    object: &Object,
    head: &[u8],
    arch: Arch,
    subject: &str,
) -> Result<(), Obstacle> {
    let what = foreign(&object.identity, arch);
    let known = match ground.emulator(head) {
        Emulator::Registered(_) if !ground.refused => return Ok(()),
        Emulator::Registered(path) => format!("the registered emulator {path} does not start here"),
        // The kernel has asked everybody who is registered.
        Emulator::Invisible if ground.refused => "no emulator is registered".to_owned(),
        Emulator::None if ground.root.is_image() => "the image says it is for that".to_owned(),
        Emulator::None => "no emulator is registered".to_owned(),
        Emulator::Invisible => "whether an emulator is registered cannot be seen from here \
                                (binfmt_misc is not mounted)"
            .to_owned(),
    };
    let why = format!("{subject} is made for another machine: {what}; {known}");
    Err(Obstacle::refused("command.machine", why).remedy("build or pull it for this platform"))
}

/// The dynamic loader that a program asks for: named by its libc, since that is what is wrong.
fn loader_of(ground: &Ground, object: &Object, subject: &str) -> Result<(), Obstacle> {
    let Some(loader) = object.interpreter.as_deref() else { return Ok(()) };
    let path = Path::new(loader);
    if ground.root.exists(path) {
        let subject = format!("{subject} cannot be loaded: its dynamic loader {loader}");
        return admit(ground, path, &subject, "command.loader").map(drop);
    }
    let libc = libc_of(loader);
    let there = platform::userland::userland(ground.root, ground.arch);
    let there = match &there {
        Some(userland) => {
            format!("the image has {}", platform::libc::of(ground.root, userland).word())
        }
        None => "the image has no dynamic loader at all".to_owned(),
    };
    let why = format!(
        "{subject} is a {libc} program, and its dynamic loader {loader} is not in the image; {there}"
    );
    Err(Obstacle::missing("command.loader", why)
        .remedy("build it for the image's libc, or link it statically"))
}

/// The C library whose loader this is, by the names that each project gives its own.
fn libc_of(loader: &str) -> &'static str {
    let name = loader.rsplit('/').next().unwrap_or_default();
    if name.starts_with("ld-musl") {
        "musl"
    } else if name.contains("uClibc") {
        "uClibc"
    } else if name.starts_with("linker") {
        "bionic (Android)"
    } else if name.starts_with("ld-linux") || name.starts_with("ld64.so") || name == "ld.so.1" {
        "glibc"
    } else {
        "dynamically linked"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_tells_its_libc() {
        assert_eq!(libc_of("/lib64/ld-linux-x86-64.so.2"), "glibc");
        assert_eq!(libc_of("/lib/ld-musl-aarch64.so.1"), "musl");
        assert_eq!(libc_of("/lib/ld64.so.1"), "glibc");
        assert_eq!(libc_of("/system/bin/linker64"), "bionic (Android)");
        assert_eq!(libc_of("/x"), "dynamically linked");
    }
}
