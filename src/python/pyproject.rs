//! `pyproject.toml` as a list of requirements (PEP 621): `[project]` with its dependencies, those
//! of the extras that are asked for, and the Python that it requires.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::name::normalize;
use super::requirement::Requirement;
use super::requirement_file::{LARGEST_FILE, Place, Remark, RequirementList};
use crate::platform::Root;

/// Splits `pyproject.toml[server,dev]` into path and extras; `None` for what is no TOML file.
pub fn split(named: &Path) -> Option<(PathBuf, Vec<String>)> {
    let text = named.to_str()?;
    let (path, extras) = match text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
        Some((path, extras)) => (path, extras),
        None => (text, ""),
    };
    let extras = extras.split(',').map(str::trim).filter(|extra| !extra.is_empty());
    path.ends_with(".toml").then(|| (path.into(), extras.map(str::to_owned).collect()))
}

/// Reads the file; all errors in one go.
pub fn read(root: &Root, path: &Path, extras: &[String]) -> RequirementList {
    let mut list = RequirementList::default();
    let place = |line| Place { file: path.to_owned(), line };
    let bytes = match root.read(path, LARGEST_FILE) {
        Ok(bytes) => bytes,
        Err(error) => {
            let text = format!("cannot read {}: {error}", path.display());
            list.errors.push(Remark { place: place(0), text });
            return list;
        }
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        list.errors.push(Remark { place: place(0), text: "is not UTF-8 text".to_owned() });
        return list;
    };
    let mut project = Project { path, text, list };
    project.read(extras);
    project.list
}

struct Project<'a> {
    path: &'a Path,
    text: &'a str,
    list: RequirementList,
}

impl Project<'_> {
    fn read(&mut self, extras: &[String]) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            self.error(at, error.message().replace('\n', ", "));
        }
        let table = table.into_inner();
        let Some(DeValue::Table(project)) = table.get("project").map(|value| value.get_ref())
        else {
            let text = "there is no [project] (PEP 621) to take dependencies from";
            return self.error(0, text);
        };
        self.dynamic(project);
        if let Some(value) = project.get("requires-python")
            && let DeValue::String(text) = value.get_ref()
        {
            let place = self.place(value.span().start);
            self.list.requires_python = Some((text.to_string(), place));
        }
        if let Some(value) = project.get("dependencies") {
            for (at, requirement) in self.requirements(value) {
                self.push(at, requirement);
            }
        }
        let own = match project.get("name").map(|value| value.get_ref()) {
            Some(DeValue::String(name)) => normalize(name),
            _ => String::new(),
        };
        self.extras(project, &own, extras);
    }

    /// What a build tool fills in cannot be known.
    fn dynamic(&mut self, project: &DeTable<'_>) {
        let Some(value) = project.get("dynamic") else { return };
        let DeValue::Array(names) = value.get_ref() else { return };
        for name in names.iter() {
            if let DeValue::String(text) = name.get_ref()
                && ["dependencies", "optional-dependencies"].contains(&text.as_ref())
            {
                let place = self.place(name.span().start);
                let text = format!("not checked: {text} are dynamic, the build tool fills them in");
                self.list.notes.push(Remark { place, text });
            }
        }
    }

    /// An extra may ask for others of the same project: `all = ["x[server,client]"]`.
    fn extras(&mut self, project: &DeTable<'_>, own: &str, extras: &[String]) {
        let mut waiting: Vec<String> = extras.iter().map(|extra| normalize(extra)).collect();
        let mut done = BTreeSet::new();
        let offered = match project.get("optional-dependencies").map(|value| value.get_ref()) {
            Some(DeValue::Table(table)) => Some(table),
            _ => None,
        };
        while let Some(extra) = waiting.pop() {
            if !done.insert(extra.clone()) {
                continue;
            }
            let known = offered.and_then(|table| {
                table.iter().find(|(name, _)| normalize(name.get_ref()) == extra)
            });
            let Some((_, value)) = known else {
                self.error(0, format!("there is no extra {extra:?} in optional-dependencies"));
                continue;
            };
            for (at, requirement) in self.requirements(value) {
                if requirement.normalized() == own {
                    waiting.extend(requirement.extras.iter().map(|extra| normalize(extra)));
                } else {
                    self.push(at, requirement);
                }
            }
        }
    }

    /// The strings of a list as requirements, each with its place.
    fn requirements(&mut self, value: &toml::Spanned<DeValue<'_>>) -> Vec<(usize, Requirement)> {
        let DeValue::Array(items) = value.get_ref() else {
            self.error(value.span().start, "must be a list of requirements");
            return Vec::new();
        };
        let mut found = Vec::new();
        for item in items.iter() {
            let at = item.span().start;
            let DeValue::String(text) = item.get_ref() else {
                self.error(at, "must be a string");
                continue;
            };
            match Requirement::parse(text) {
                Ok(requirement) => found.push((at, requirement)),
                Err(error) => self.error(at, error.to_string()),
            }
        }
        found
    }

    fn push(&mut self, at: usize, requirement: Requirement) {
        let place = self.place(at);
        self.list.requirements.push((requirement, place));
    }

    fn error(&mut self, at: usize, text: impl Into<String>) {
        let place = self.place(at);
        self.list.errors.push(Remark { place, text: text.into() });
    }

    fn place(&self, at: usize) -> Place {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Place { file: self.path.to_owned(), line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::tree::Tree;

    #[test]
    fn dependencies_and_those_of_the_extras_are_read_with_their_lines() {
        let tree = Tree::new("pyproject");
        tree.file(
            "/pyproject.toml",
            "[project]\nname = \"My.App\"\nrequires-python = \">=3.11\"\ndynamic = [\"version\"]\n\
             dependencies = [\n  \"httpx>=0.24\",\n  \"broken>=\",\n]\n\
             [project.optional-dependencies]\nserver = [\"hypercorn\"]\nDev_Tools = [\"pytest\"]\n\
             all = [\"my-app[server,dev-tools,all]\"]\n",
        );
        let path = Path::new("/pyproject.toml");
        let texts = |extras: &[&str]| -> Vec<String> {
            let extras: Vec<String> = extras.iter().map(|extra| extra.to_string()).collect();
            let list = read(&tree.root(), path, &extras);
            list.requirements.iter().map(|(one, place)| format!("{}: {one}", place.line)).collect()
        };
        assert_eq!(texts(&[]), ["6: httpx>=0.24"]);
        assert_eq!(texts(&["server"]), ["6: httpx>=0.24", "10: hypercorn"]);
        assert_eq!(texts(&["ALL"]), ["6: httpx>=0.24", "11: pytest", "10: hypercorn"]);
        let list = read(&tree.root(), path, &["none".to_owned()]);
        assert_eq!(list.requires_python.unwrap().0, ">=3.11");
        let errors: Vec<String> = list.errors.iter().map(ToString::to_string).collect();
        assert!(errors[0].starts_with("/pyproject.toml:7: "), "{errors:?}");
        assert!(errors[1].contains("no extra \"none\""), "{errors:?}");
    }

    #[test]
    fn what_is_no_project_or_dynamic_is_said() {
        let tree = Tree::new("pyproject-odd");
        tree.file("/poetry.toml", "[tool.poetry]\nname = \"x\"\n");
        tree.file("/dynamic.toml", "[project]\nname = \"x\"\ndynamic = [\"dependencies\"]\n");
        tree.file("/cut.toml", "[project\n");
        let read = |path: &str| read(&tree.root(), Path::new(path), &[]);
        assert!(read("/poetry.toml").errors[0].text.contains("no [project]"));
        assert!(read("/dynamic.toml").notes[0].text.contains("dynamic"));
        assert!(!read("/cut.toml").errors.is_empty());
        assert!(read("/none.toml").errors[0].text.contains("cannot read"));
    }

    #[test]
    fn extras_are_named_behind_the_path() {
        let extras = |text: &str| split(Path::new(text));
        assert_eq!(extras("/a/pyproject.toml"), Some(("/a/pyproject.toml".into(), vec![])));
        let both = vec!["x".to_owned(), "y".to_owned()];
        assert_eq!(extras("p.toml[x, y]"), Some(("p.toml".into(), both)));
        assert_eq!(extras("requirements.txt"), None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[a-z=\\[\\]\"\n ,.-]{0,120}") {
            let path = Path::new("p");
            let text = format!("[project]\n{text}");
            let mut project = Project { path, text: &text, list: RequirementList::default() };
            project.read(&["a".to_owned()]);
        }
    }
}
