//! `pyvenv.cfg`, which makes a folder a virtual environment (PEP 405). Written by venv,
//! virtualenv and uv, which differ in how they name the version.

use std::path::PathBuf;

/// What a `pyvenv.cfg` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PyvenvConfig {
    /// The folder of the interpreter it was made from.
    pub home: Option<PathBuf>,
    /// The version it was made with, as written: `3.11.7`, or `3.11.7.final.0`.
    pub version: Option<String>,
    /// Whether packages of the base interpreter are seen too.
    pub system_site_packages: bool,
}

impl PyvenvConfig {
    /// Reads `key = value` lines; whatever is no such line is passed over, as Python does.
    pub fn parse(bytes: &[u8]) -> PyvenvConfig {
        let mut config = PyvenvConfig::default();
        for line in String::from_utf8_lossy(bytes).lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "home" => config.home = Some(PathBuf::from(value)),
                "version" | "version_info" => config.version = Some(value.to_owned()),
                "include-system-site-packages" => {
                    config.system_site_packages = value.eq_ignore_ascii_case("true");
                }
                _ => {}
            }
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_makers_of_environments_are_understood() {
        let venv = PyvenvConfig::parse(
            b"home = /usr/local/bin\ninclude-system-site-packages = true\nversion = 3.11.7\n",
        );
        assert_eq!(venv.home.as_deref(), Some(std::path::Path::new("/usr/local/bin")));
        assert_eq!(venv.version.as_deref(), Some("3.11.7"));
        assert!(venv.system_site_packages);
        let virtualenv = PyvenvConfig::parse(b"Home=/usr/bin\nversion_info = 3.9.2.final.0\n");
        assert_eq!(virtualenv.version.as_deref(), Some("3.9.2.final.0"));
        assert!(!virtualenv.system_site_packages);
    }
}
