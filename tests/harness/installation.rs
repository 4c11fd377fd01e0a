//! A Python installation made of the fewest files that are one.

use std::fs;
use std::path::Path;

use super::{Ended, Folder, Launch};

/// A folder with an interpreter, Python 3.11, that is this machine's own /bin/sh: it is never run.
pub struct Installation {
    /// Its prefix.
    pub folder: Folder,
}

impl Installation {
    /// With no distribution in it.
    pub fn new() -> Installation {
        let folder = Folder::new();
        let site = folder.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&site).unwrap();
        folder.make("bin", 0o755);
        folder.write("bin/python3.11", 0o755, fs::read("/bin/sh").unwrap());
        std::os::unix::fs::symlink("python3.11", folder.at("bin/python")).unwrap();
        folder.write("lib/python3.11/os.py", 0o644, "");
        Installation { folder }
    }

    /// The path of something in its site folder.
    pub fn site(&self, path: &str) -> String {
        self.folder.at(&format!("lib/python3.11/site-packages/{path}"))
    }

    /// Writes a file there.
    pub fn file(&self, path: &str, content: &str) {
        let path = self.site(path);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A distribution there, whose METADATA has these lines more.
    pub fn distribution(&self, name: &str, version: &str, more: &str) {
        let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}\n");
        self.file(&format!("{name}-{version}.dist-info/METADATA"), &text);
    }

    /// A requirements file of this text.
    pub fn requirements(&self, text: &str) -> String {
        let path = self.folder.at("requirements.txt");
        fs::write(&path, text).unwrap();
        path
    }

    /// What mak-init says of it.
    pub fn verify(&self, requirements: &str, more: &[&str]) -> Ended {
        let python = self.folder.at("bin/python");
        let arguments = ["verify", "--python", &python, "--requirements", requirements];
        Launch::beside().arguments(&arguments).arguments(more).start().end()
    }

    /// A profile that wants these requirements of it, with more lines.
    pub fn profile(&self, requirements: &str, more: &str) -> String {
        let python = self.folder.at("bin/python");
        let text = format!(
            "prefix = \"X_\"\n[python]\ninterpreter = {python:?}\nrequirements = [{requirements}]\n{more}"
        );
        let path = self.folder.at("x.toml");
        fs::write(&path, text).unwrap();
        path
    }
}
