//! How an interpreter was built, from the `_sysconfigdata*.py` in its library: a dictionary
//! written by CPython's build, read here as text.

use std::path::Path;

use crate::platform::{Root, file};

/// The file is 40 to 80 KiB.
const LARGEST: u64 = 1 << 20;

/// What extension modules for this interpreter look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildConfig {
    /// As `cpython-311-x86_64-linux-gnu`.
    pub soabi: Option<String>,
    /// As `.cpython-311-x86_64-linux-gnu.so`.
    pub ext_suffix: Option<String>,
    /// As `x86_64-linux-gnu`.
    pub multiarch: Option<String>,
    /// Built without the global lock (PEP 703).
    pub free_threaded: bool,
}

impl BuildConfig {
    /// Reads the entries that matter from the text of the file.
    pub fn parse(text: &str) -> BuildConfig {
        BuildConfig {
            soabi: quoted(text, "'SOABI': '"),
            ext_suffix: quoted(text, "'EXT_SUFFIX': '"),
            multiarch: quoted(text, "'MULTIARCH': '"),
            free_threaded: memchr::memmem::find(text.as_bytes(), b"'Py_GIL_DISABLED': 1").is_some(),
        }
    }

    /// Finds and reads the file in the standard library folder `library`, if there is one.
    pub fn read(root: &Root, library: &Path) -> Option<BuildConfig> {
        let names: Vec<String> = root
            .names(library)
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| name.starts_with("_sysconfigdata") && name.ends_with(".py"))
            .collect();
        // Debian ships a second one for its own build; the interpreter imports "…_linux_…".
        let name = names.iter().find(|name| name.contains("_linux_")).or(names.first())?;
        let bytes = root.read(&library.join(name), LARGEST).ok()?;
        Some(BuildConfig::parse(&file::text(&bytes)))
    }
}

fn quoted(text: &str, key: &str) -> Option<String> {
    let at = memchr::memmem::find(text.as_bytes(), key.as_bytes())?;
    let rest = text.get(at + key.len()..)?;
    let (value, _) = rest.split_once('\'')?;
    (!value.is_empty() && !value.contains('\n')).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_are_found_and_an_empty_one_is_none() {
        let config = BuildConfig::parse(
            "build_time_vars = {'EXT_SUFFIX': '.cpython-313t-aarch64-linux-gnu.so',\n \
             'MULTIARCH': '',\n 'Py_GIL_DISABLED': 1,\n 'SOABI': 'cpython-313t-aarch64-linux-gnu'}",
        );
        assert_eq!(config.soabi.as_deref(), Some("cpython-313t-aarch64-linux-gnu"));
        assert_eq!(config.ext_suffix.as_deref(), Some(".cpython-313t-aarch64-linux-gnu.so"));
        assert_eq!(config.multiarch, None);
        assert!(config.free_threaded);
        assert_eq!(BuildConfig::parse("'SOABI': 'cut"), BuildConfig::default());
    }
}
