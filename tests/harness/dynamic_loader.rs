//! A real dynamic loader asked what it would load, and our own model of it: the two oracles,
//! tests/loader_oracle.rs and tests/search_oracle.rs, compare them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use mak_init::loader::{Closure, Conditions, Problem};
use mak_init::platform::Root;

/// Not found.
pub const NOWHERE: &str = "not found";

/// What a loader says of one file: where each name leads, and which versions are missing.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Name to path; a name is a path itself where it was needed as one.
    pub names: BTreeMap<String, String>,
    /// Names that somebody needs and does not find; others may.
    pub missing: BTreeSet<String>,
    /// `VERSION of FILE for NEEDER`.
    pub versions: BTreeSet<String>,
    /// Whether the list is not whole: it ends at a name that is not found where the file is to be
    /// bound at once, and says `statically linked` of a file that needs nothing, whatever is
    /// preloaded.
    pub cut: bool,
    /// Why it could not even list.
    pub error: Option<String>,
}

/// One name on which the two do not agree.
pub struct Difference {
    pub file: String,
    pub name: String,
    pub real: String,
    pub ours: String,
}

/// Asks the real loader at `loader` of a root, which runs in chroot(8) where that is not this
/// process's own.
pub fn ask(root: &Root, loader: &Path, file: &Path, conditions: &Conditions) -> Verdict {
    let mut command = if root.is_host() {
        Command::new(loader)
    } else {
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(root.base()).arg(loader);
        command
    };
    // The loader of the root, not chroot(8), is to see what variables would say.
    command.env_clear().current_dir("/").arg("--list");
    for (option, value) in
        [("--library-path", &conditions.library_path), ("--preload", &conditions.preload)]
    {
        if !value.is_empty() {
            command.arg(option).arg(value);
        }
    }
    let output = command.arg(file).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut verdict = Verdict::default();
    let mut incomplete = false;
    for line in text.lines().chain(error.lines()) {
        if let Some(version) = version(line) {
            verdict.versions.insert(version);
        } else if let Some((name, path)) = listed(line, loader) {
            verdict.names.insert(name, path);
        } else if let Some(name) = not_found_by_musl(line) {
            incomplete = true;
            verdict.names.entry(name).or_insert(NOWHERE.to_owned());
        }
    }
    verdict.cut = text.trim() == "statically linked";
    if let Some(name) = error.lines().find_map(not_opened) {
        verdict.names.insert(name, NOWHERE.to_owned());
        verdict.cut = true;
    } else if !output.status.success() && verdict.versions.is_empty() && !incomplete {
        verdict.error = Some(error.lines().next().unwrap_or("failed").to_owned());
    }
    verdict
}

/// musl's `Error loading shared library NAME: WHY (needed by FILE)`.
fn not_found_by_musl(line: &str) -> Option<String> {
    let (name, _) = line.strip_prefix("Error loading shared library ")?.split_once(": ")?;
    Some(name.to_owned())
}

/// `FILE: error while loading shared libraries: NAME: cannot open …: WHY`.
fn not_opened(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(": error while loading shared libraries: ")?;
    let (name, why) = rest.split_once(": ")?;
    why.starts_with("cannot open shared object file").then(|| name.to_owned())
}

/// `FILE: version `V' not found (required by NEEDER)`.
pub fn version(line: &str) -> Option<String> {
    let (file, rest) = line.split_once(": version `")?;
    let (version, rest) = rest.split_once("' not found (required by ")?;
    Some(format!("{version} of {file} for {}", rest.strip_suffix(')')?))
}

/// `NAME => PATH (0x…)`, `NAME => not found`, or `PATH (0x…)`.
pub fn listed(line: &str, loader: &Path) -> Option<(String, String)> {
    let line = line.strip_prefix('\t')?;
    let (name, path) = line.split_once(" => ").unwrap_or((line, line));
    let bare = |text: &str| text.split(" (0x").next().unwrap_or_default().to_owned();
    let (name, path) = (bare(name), bare(path));
    // The loader itself is always there; the kernel's own object has no file.
    let itself = Path::new(&path) == loader || path.starts_with("linux-vdso");
    if itself || path == "statically linked" {
        return None;
    }
    // It shows what it found from the working directory, `/`, as it looked for it.
    let path = if path == NOWHERE { path } else { absolute(&path) };
    Some((name, path))
}

fn absolute(path: &str) -> String {
    Path::new("/").join(path).to_string_lossy().into_owned()
}

/// What we say of the same file.
pub fn opinion(closure: &Closure, loader: &Path) -> Verdict {
    let mut verdict = Verdict::default();
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    for (name, node) in closure.names() {
        if node.path != loader {
            verdict.names.insert(name.to_string_lossy().into_owned(), shown(&node.path));
        }
    }
    for problem in &closure.problems {
        match problem {
            // It may have been found for another one that needs it.
            Problem::Unresolved { name, .. } => {
                let name = name.to_string_lossy().into_owned();
                verdict.missing.insert(name.clone());
                verdict.names.entry(name).or_insert(NOWHERE.to_owned());
            }
            Problem::Version { version, path, needed_by, weak: false, .. } => {
                let text = format!("{version} of {} for {}", shown(path), shown(needed_by));
                verdict.versions.insert(text);
            }
            problem if problem.is_fatal() => verdict.error = Some(problem.to_string()),
            _ => {}
        }
    }
    verdict
}

/// Every name that the real loader lists is ours, every file that we load is on its list, and so
/// are the versions.
pub fn compare(file: &Path, real: &Verdict, ours: &Verdict) -> Vec<Difference> {
    let difference = |name: &str, real: &str, ours: &str| Difference {
        file: file.display().to_string(),
        name: name.to_owned(),
        real: real.to_owned(),
        ours: ours.to_owned(),
    };
    let mut found = Vec::new();
    if real.error.is_some() != ours.error.is_some() {
        let word = |error: &Option<String>| error.clone().unwrap_or("lists".to_owned());
        return vec![difference("(the whole)", &word(&real.error), &word(&ours.error))];
    }
    for (name, path) in &real.names {
        let mine = ours.names.get(name).map_or("does not load it", String::as_str);
        let lost = path == NOWHERE && ours.missing.contains(name);
        if mine != path && !lost {
            found.push(difference(name, path, mine));
        }
    }
    let listed: BTreeSet<&String> = real.names.values().collect();
    for (name, path) in &ours.names {
        if !real.cut
            && !listed.contains(path)
            && Path::new(path) != file
            && !real.names.contains_key(name)
        {
            found.push(difference(name, "does not load it", path));
        }
    }
    if real.cut {
        return found;
    }
    for version in real.versions.symmetric_difference(&ours.versions) {
        let (theirs, mine) = match real.versions.contains(version) {
            true => ("misses it", "does not"),
            false => ("does not", "misses it"),
        };
        found.push(difference(version, theirs, mine));
    }
    found
}
