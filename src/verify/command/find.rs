//! Finding the program: which file execvp(3) would take for a name, and what to say where it
//! finds none.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::access::denying_folder;
use super::inspect::Ground;
use super::obstacle::Obstacle;

/// The file for this name; a folder or a file that may not be executed is passed over only where
/// there is another.
pub fn find(ground: &Ground, name: &OsStr) -> Result<PathBuf, Obstacle> {
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let candidates: Vec<PathBuf> = std::env::split_paths(ground.search_path)
        .map(|folder| folder.join(name))
        .filter(|candidate| ground.root.exists(candidate))
        .collect();
    let executable = |path: &&PathBuf| {
        let meta = ground.root.metadata(path);
        meta.is_ok_and(|meta| meta.is_file() && ground.who.may_execute(&meta))
    };
    match candidates.iter().find(executable).or(candidates.first()) {
        Some(path) => Ok(path.clone()),
        None => Err(not_in_path(ground, name)),
    }
}

/// A name that no folder of PATH has.
pub fn not_in_path(ground: &Ground, name: &OsStr) -> Obstacle {
    let path = ground.search_path.to_string_lossy();
    let obstacle = Obstacle::missing("command.missing", format!("not found in PATH ({path})"));
    match slip(ground, name) {
        Some(remedy) => obstacle.remedy(remedy),
        None => obstacle,
    }
}

/// The mistakes that leave a name unfound: a whole command in one word, and a program in the
/// working folder without `./`.
fn slip(ground: &Ground, name: &OsStr) -> Option<String> {
    let words = name.as_bytes();
    if let Some(blank) = words.iter().position(|byte| *byte == b' ') {
        let first = OsStr::from_bytes(&words[..blank]);
        return (find_quietly(ground, first)).then(|| {
            format!("{} is there: write its arguments as words of their own", first.display())
        });
    }
    let here = ground.absolute(Path::new(name));
    ground
        .root
        .is_file(&here)
        .then(|| format!("there is one in the working folder: name it as ./{}", name.display()))
}

fn find_quietly(ground: &Ground, name: &OsStr) -> bool {
    !name.is_empty()
        && std::env::split_paths(ground.search_path)
            .any(|folder| ground.root.is_file(&folder.join(name)))
}

/// Why there is nothing at this path. `subject` begins the sentence: "it", "its interpreter /x".
pub fn nothing_there(
    ground: &Ground,
    path: &Path,
    subject: &str,
    id: &'static str,
    error: &std::io::Error,
) -> Obstacle {
    let missing = |why: String| Obstacle::missing(id, why);
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => missing(match dangling(ground, path) {
            Some((link, target)) => format!("{subject} is not there: {link} leads to {target}"),
            None => format!("{subject} is not there: {}", missing_part(ground, path)),
        }),
        Some(Errno::NOTDIR) => {
            missing(format!("{subject} is not there: {}", missing_part(ground, path)))
        }
        Some(Errno::ACCESS) => {
            let folder = denying_folder(path).unwrap_or_else(|| "a folder on the way".to_owned());
            Obstacle::refused(
                "command.permission",
                format!(
                    "uid {} may not pass {folder} on the way to {}",
                    ground.who.uid,
                    path.display()
                ),
            )
            .remedy("chmod +x that folder in the image, or run as its owner")
        }
        Some(Errno::LOOP) => Obstacle::refused(
            "command.path",
            format!("{subject} cannot be reached: its links lead in a circle (ELOOP)"),
        ),
        Some(Errno::NAMETOOLONG) => Obstacle::refused("command.path", too_long(path)),
        _ => Obstacle::refused(id, format!("{subject} cannot be reached: {error}")),
    }
}

/// The first part of a path that is not there, or not a folder.
fn missing_part(ground: &Ground, path: &Path) -> String {
    let mut here = PathBuf::new();
    for part in path.components() {
        let before = here.clone();
        here.push(part);
        if ground.root.exists(&here) {
            continue;
        }
        let is_folder = before.as_os_str().is_empty() || ground.root.is_dir(&before);
        return match is_folder {
            true if here == path => "there is no such file".to_owned(),
            true => format!("there is no folder {}", here.display()),
            false => format!("{} is no folder", before.display()),
        };
    }
    "there is no such file".to_owned()
}

/// A link whose target is missing, at the end of the path.
fn dangling(ground: &Ground, path: &Path) -> Option<(String, String)> {
    let folder = ground.root.locate(path.parent()?).ok()?;
    let target = ground.root.link_at(&folder.join(path.file_name()?)).ok()?;
    Some((path.display().to_string(), format!("{}, which does not exist", target.display())))
}

/// Names have 255 bytes and paths 4095 (`limits.h`).
fn too_long(path: &Path) -> String {
    let long = path.components().map(|part| part.as_os_str().len()).max().unwrap_or(0);
    match long {
        256.. => format!("a part of its path has {long} bytes, and may have 255 (ENAMETOOLONG)"),
        _ => format!(
            "its path has {} bytes, and may have 4095 (ENAMETOOLONG)",
            path.as_os_str().len()
        ),
    }
}

/// A PATH from folders.
pub fn joined(folders: &[&Path]) -> OsString {
    let parts: Vec<&OsStr> = folders.iter().map(|folder| folder.as_os_str()).collect();
    parts.join(OsStr::new(":"))
}
