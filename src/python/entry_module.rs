//! Whether `python -m NAME` would find something to run, by the files on its path (PEP 338,
//! PEP 420): a workload that cannot even be imported is told before it is started.

use std::path::{Path, PathBuf};

use super::interpreter::Interpreter;
use crate::platform::Root;

/// What `python -m NAME` would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryModule {
    /// Run this file.
    Runs(PathBuf),
    /// Fail: the package is here and has no `__main__.py`.
    NoMain(PathBuf),
    /// Fail: there is no module of that name on the path.
    NotFound,
    /// Not in plain folders, but archives or start-up code may provide it.
    Unknown,
}

/// Looks for the module `name`, as after `-m`, from the folder the workload starts in, if that is
/// known and on the path.
pub fn find(root: &Root, python: &Interpreter, start: Option<&Path>, name: &str) -> EntryModule {
    let mut folders: Vec<PathBuf> = start.map(Path::to_owned).into_iter().collect();
    folders.push(python.library.clone());
    folders.extend(python.site.folders.iter().cloned());
    let mut parts = name.split('.').peekable();
    while let Some(part) = parts.next() {
        match look(root, &folders, part) {
            Found::Package(package) => folders = package,
            Found::Module(file) if parts.peek().is_none() => return EntryModule::Runs(file),
            Found::Module(_) | Found::Nothing => {
                let plain = python.site.start_up_code.is_empty() && python.site.archives.is_empty();
                return if plain { EntryModule::NotFound } else { EntryModule::Unknown };
            }
        }
    }
    match folders.iter().find_map(|folder| source(root, folder, "__main__")) {
        Some(file) => EntryModule::Runs(file),
        None => EntryModule::NoMain(folders.into_iter().next().unwrap_or_default()),
    }
}

enum Found {
    /// One folder, or several for a package without `__init__.py`.
    Package(Vec<PathBuf>),
    Module(PathBuf),
    Nothing,
}

fn look(root: &Root, folders: &[PathBuf], name: &str) -> Found {
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Found::Nothing;
    }
    let mut portions = Vec::new();
    for folder in folders {
        let package = folder.join(name);
        if source(root, &package, "__init__").is_some() {
            return Found::Package(vec![package]);
        }
        if let Some(file) = source(root, folder, name) {
            return Found::Module(file);
        }
        if root.is_dir(&package) {
            portions.push(package);
        }
    }
    if portions.is_empty() { Found::Nothing } else { Found::Package(portions) }
}

/// The module's source, or its compiled form in place of it.
fn source(root: &Root, folder: &Path, name: &str) -> Option<PathBuf> {
    ["py", "pyc"]
        .into_iter()
        .map(|extension| folder.join(format!("{name}.{extension}")))
        .find(|file| root.is_file(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::interpreter::{self, Search};
    use crate::python::tree::Tree;
    use std::ffi::OsStr;

    #[test]
    fn packages_modules_and_what_is_neither_are_told_apart() {
        let tree = Tree::new("entry");
        tree.official_python(b"");
        let site = "/usr/local/lib/python3.11/site-packages";
        tree.file(&format!("{site}/good/__init__.py"), "");
        tree.file(&format!("{site}/good/__main__.py"), "");
        tree.file(&format!("{site}/good/sub/__main__.pyc"), "");
        tree.file(&format!("{site}/library/__init__.py"), "");
        tree.file(&format!("{site}/spread/a.py"), "");
        tree.file("/app/spread/__main__.py", "");
        tree.file("/app/single.py", "");
        tree.file("/usr/local/lib/python3.11/http/__init__.py", "");
        tree.file("/usr/local/lib/python3.11/http/server.py", "");
        let root = tree.root();
        let search = Search { path: OsStr::new("/usr/local/bin"), ..Search::default() };
        let python = interpreter::find(&root, &search).unwrap();
        let run = |name| find(&root, &python, Some(Path::new("/app")), name);
        let at = |path: &str| EntryModule::Runs(path.into());
        assert_eq!(run("good"), at(&format!("{site}/good/__main__.py")));
        assert_eq!(run("good.sub"), at(&format!("{site}/good/sub/__main__.pyc")));
        assert_eq!(run("library"), EntryModule::NoMain(format!("{site}/library").into()));
        assert_eq!(run("spread"), at("/app/spread/__main__.py"));
        assert_eq!(run("spread.a"), at(&format!("{site}/spread/a.py")));
        assert_eq!(run("single"), at("/app/single.py"));
        assert_eq!(run("http.server"), at("/usr/local/lib/python3.11/http/server.py"));
        for missing in ["gone", "single.more", "", "..", "good/sub", "good..sub"] {
            assert_eq!(run(missing), EntryModule::NotFound, "{missing}");
        }
        tree.file(&format!("{site}/hook.pth"), "import finder\n");
        let python = interpreter::find(&root, &search).unwrap();
        assert_eq!(find(&root, &python, Some(Path::new("/app")), "gone"), EntryModule::Unknown);
    }
}
