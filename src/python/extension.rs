//! The suffix of an extension module against the interpreter. Python looks for a few exact
//! endings; a module with another one is invisible (`ModuleNotFoundError`), whatever is in it.

use super::interpreter::{Implementation, Interpreter};

/// Why the interpreter does not see a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invisible {
    /// The module's ending, as `.cpython-312-x86_64-linux-gnu.so`.
    pub suffix: String,
    /// The endings that this interpreter looks for.
    pub expected: Vec<String>,
}

/// The ending of a module's file name: from its first dot. `None` if it is no `.so`.
pub fn suffix(file_name: &str) -> Option<&str> {
    let suffix = file_name.get(file_name.find('.')?..)?;
    suffix.ends_with(".so").then_some(suffix)
}

/// The module's name: what stands before the ending.
pub fn stem(file_name: &str) -> &str {
    file_name.split('.').next().unwrap_or_default()
}

/// Whether an ending is one that some interpreter gives its modules. `libpython3.11.so` and
/// `liba.2.so` have dots too, and are libraries.
fn is_modules(suffix: &str) -> bool {
    [".cpython-", ".abi3", ".pypy", ".graalpy"].iter().any(|start| suffix.starts_with(start))
}

/// Checks the file name of an extension module; a name that is none passes.
pub fn check(file_name: &str, interpreter: &Interpreter) -> Result<(), Invisible> {
    let Some(suffix) = suffix(file_name).filter(|suffix| is_modules(suffix)) else {
        return Ok(());
    };
    let mut expected = endings(interpreter);
    let seen = match &interpreter.build.ext_suffix {
        Some(_) => expected.iter().any(|ending| ending == suffix),
        None => expected.iter().any(|ending| ending == suffix) || fits_tag(suffix, interpreter),
    };
    if seen {
        return Ok(());
    }
    if interpreter.build.ext_suffix.is_none() {
        expected.insert(0, format!(".{}-….so", tag(interpreter)));
    }
    Err(Invisible { suffix: suffix.to_owned(), expected })
}

/// The endings known for sure, in Python's order (`_imp.extension_suffixes`).
fn endings(interpreter: &Interpreter) -> Vec<String> {
    let mut endings: Vec<String> = interpreter.build.ext_suffix.iter().cloned().collect();
    if interpreter.implementation == Implementation::CPython {
        if !interpreter.free_threaded {
            endings.push(".abi3.so".to_owned());
        }
        endings.push(".so".to_owned());
    }
    endings
}

/// `cpython-311`, `cpython-313t`, `pypy310`.
fn tag(interpreter: &Interpreter) -> String {
    let (major, minor) = (interpreter.version.major, interpreter.version.minor);
    match interpreter.implementation {
        Implementation::CPython if interpreter.free_threaded => format!("cpython-{major}{minor}t"),
        Implementation::CPython if minor < 8 => format!("cpython-{major}{minor}m"),
        Implementation::CPython => format!("cpython-{major}{minor}"),
        Implementation::PyPy => format!("pypy{major}{minor}"),
    }
}

/// Without the build's own word: version and machine must agree, the libc is left open.
fn fits_tag(suffix: &str, interpreter: &Interpreter) -> bool {
    let tag = tag(interpreter);
    let Some(rest) = suffix.strip_prefix('.').and_then(|rest| rest.strip_prefix(&tag)) else {
        return false;
    };
    let Some(platform) = rest.strip_prefix('-') else { return rest == ".so" };
    interpreter.arch().is_none_or(|arch| {
        let machine = arch.multiarch().split('-').next().unwrap_or_default();
        platform.contains(machine)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::interpreter::{Search, find};
    use crate::python::tree::{Tree, elf_header};
    use std::ffi::OsStr;

    fn interpreter(tree: &Tree) -> Interpreter {
        let search = Search { path: OsStr::new("/usr/local/bin"), ..Search::default() };
        find(&tree.root(), &search).unwrap()
    }

    #[test]
    fn the_endings_of_the_build_are_seen_and_no_others() {
        let tree = Tree::new("suffix");
        tree.official_python(b"");
        tree.file(
            "/usr/local/lib/python3.11/_sysconfigdata__linux_x86_64-linux-musl.py",
            "'EXT_SUFFIX': '.cpython-311-x86_64-linux-musl.so'",
        );
        let python = interpreter(&tree);
        for name in [
            "_x.cpython-311-x86_64-linux-musl.so",
            "_x.abi3.so",
            "_x.so",
            "libpython3.11.so",
            "_x.py",
            "x",
        ] {
            assert_eq!(check(name, &python), Ok(()), "{name}");
        }
        for name in [
            "_x.cpython-311-x86_64-linux-gnu.so",
            "_x.cpython-312-x86_64-linux-musl.so",
            "_x.cpython-311t-x86_64-linux-musl.so",
            "_x.pypy310-pp73-x86_64-linux-gnu.so",
        ] {
            let invisible = check(name, &python).unwrap_err();
            assert_eq!(invisible.suffix, &name[2..]);
            assert_eq!(invisible.expected[0], ".cpython-311-x86_64-linux-musl.so");
        }
    }

    #[test]
    fn without_the_builds_own_word_version_and_machine_must_agree() {
        let tree = Tree::new("suffix-unknown");
        tree.official_python(b"");
        let python = interpreter(&tree);
        assert_eq!(check("_x.cpython-311-x86_64-linux-gnu.so", &python), Ok(()));
        assert_eq!(check("_x.cpython-311-x86_64-linux-musl.so", &python), Ok(()));
        assert!(check("_x.cpython-311-aarch64-linux-gnu.so", &python).is_err());
        assert!(check("_x.cpython-3110-x86_64-linux-gnu.so", &python).is_err());
        assert!(check("_x.cpython-310-x86_64-linux-gnu.so", &python).is_err());
    }

    #[test]
    fn a_free_threaded_build_does_not_see_the_stable_abi() {
        let tree = Tree::new("suffix-free");
        tree.program("/usr/local/bin/python3", elf_header(62));
        tree.file("/usr/local/lib/python3.13t/os.py", "");
        let python = interpreter(&tree);
        assert_eq!(check("_x.cpython-313t-x86_64-linux-gnu.so", &python), Ok(()));
        assert_eq!(check("_x.so", &python), Ok(()));
        assert!(check("_x.abi3.so", &python).is_err());
        assert!(check("_x.cpython-313-x86_64-linux-gnu.so", &python).is_err());
    }
}
