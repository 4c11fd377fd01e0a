//! Requirements files, in pip's format, as a list of things to check. What pip needs for
//! downloading (hashes, indexes) does not matter here and becomes a note.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::requirement::Requirement;
use crate::platform::Root;

pub(super) const LARGEST_FILE: u64 = 4 << 20;
/// Files within files.
const DEEPEST: usize = 16;
const MOST_FILES: usize = 256;
/// Lines that mean something, of all files together; real lists have some hundred.
const MOST_LINES: usize = 10_000;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.file.display(), self.line)
    }
}

/// A text about a place: an error, or a note on what is not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub place: Place,
    /// What.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.text)
    }
}

/// All that a file and the files in it ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequirementList {
    /// What must be installed.
    pub requirements: Vec<(Requirement, Place)>,
    /// What must have these versions if it is installed (`-c`).
    pub constraints: Vec<(Requirement, Place)>,
    /// The Python that a project requires (`pyproject.toml`).
    pub requires_python: Option<(String, Place)>,
    /// Lines that are not checked, and why.
    pub notes: Vec<Remark>,
    /// Lines and files that cannot be read.
    pub errors: Vec<Remark>,
}

/// Reads a requirements file and those it names, all errors in one go.
pub fn read(root: &Root, path: &Path) -> RequirementList {
    let mut reader =
        Reader { root, list: RequirementList::default(), seen: BTreeSet::new(), lines: 0 };
    let place = Place { file: path.to_owned(), line: 0 };
    reader.file(path, &place, Purpose::Required, 0);
    reader.list
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    Required,
    Constraint,
}

struct Reader<'a> {
    root: &'a Root,
    list: RequirementList,
    seen: BTreeSet<(PathBuf, Purpose)>,
    /// Taken from all files so far.
    lines: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, named_at: &Place, purpose: Purpose, depth: usize) {
        if depth > DEEPEST || self.seen.len() >= MOST_FILES {
            return self.error(named_at, "files are nested too deep, or too many");
        }
        let bytes = match self.root.read(path, LARGEST_FILE) {
            Ok(bytes) => bytes,
            Err(error) => {
                return self.error(named_at, format!("cannot read {}: {error}", path.display()));
            }
        };
        let real = self.root.locate(path).unwrap_or_else(|_| path.to_owned());
        if !self.seen.insert((real, purpose)) {
            return;
        }
        let text = decoded(&bytes);
        for (line, text) in logical_lines(&text) {
            let place = Place { file: path.to_owned(), line };
            if self.lines == MOST_LINES {
                return self.error(&place, format!("more than {MOST_LINES} lines in all files"));
            }
            self.lines += 1;
            self.line(&text, &place, purpose, depth);
        }
    }

    fn line(&mut self, text: &str, place: &Place, purpose: Purpose, depth: usize) {
        if let Some(variable) = environment_variable(text) {
            return self.note(place, format!("not checked: {variable} is filled in by pip only"));
        }
        if !text.starts_with('-') {
            return self.requirement(text, place, purpose);
        }
        let (option, value) = split_option(text);
        let nested = match option {
            "-r" | "--requirement" => purpose,
            "-c" | "--constraint" => Purpose::Constraint,
            "-e" | "--editable" => return self.elsewhere(value, place, purpose),
            _ => return self.note(place, format!("ignored: {option} is for installing only")),
        };
        if value.is_empty() {
            return self.error(place, format!("{option} needs the name of a file"));
        }
        if value.contains("://") {
            return self.note(place, format!("not checked: {value} is not a local file"));
        }
        let path = place.file.parent().unwrap_or(Path::new("")).join(value);
        self.file(&path, place, nested, depth + 1);
    }

    fn requirement(&mut self, text: &str, place: &Place, purpose: Purpose) {
        let wanted = without_options(text);
        if wanted.len() < text.len() {
            self.note(place, "ignored: --hash and other options are for installing only");
        }
        match Requirement::parse(wanted) {
            Ok(requirement) => self.push(requirement, place, purpose),
            Err(_) if is_address(wanted) => self.elsewhere(wanted, place, purpose),
            Err(error) => self.error(place, error.to_string()),
        }
    }

    /// A folder, a file or an address: its name may be in it.
    fn elsewhere(&mut self, address: &str, place: &Place, purpose: Purpose) {
        let named = name_in(address).and_then(|name| Requirement::parse(&name).ok());
        match named {
            Some(requirement) => self.push(requirement, place, purpose),
            None => self.note(
                place,
                format!(
                    "not checked: {address} does not tell its name; write \"name @ {address}\""
                ),
            ),
        }
    }

    fn push(&mut self, requirement: Requirement, place: &Place, purpose: Purpose) {
        let list = match purpose {
            Purpose::Required => &mut self.list.requirements,
            Purpose::Constraint => &mut self.list.constraints,
        };
        list.push((requirement, place.clone()));
    }

    fn note(&mut self, place: &Place, text: impl Into<String>) {
        self.list.notes.push(Remark { place: place.clone(), text: text.into() });
    }

    fn error(&mut self, place: &Place, text: impl Into<String>) {
        self.list.errors.push(Remark { place: place.clone(), text: text.into() });
    }
}

/// The text of a file. As pip, it goes by the mark at the start: PowerShell's `pip freeze > FILE`
/// writes UTF-16.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let wide = |bytes: &[u8], word: fn([u8; 2]) -> u16| {
        let words = bytes.chunks_exact(2).map(|pair| word([pair[0], pair[1]]));
        let letters = char::decode_utf16(words);
        letters.map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => Cow::Owned(wide(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(wide(rest, u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        bytes => String::from_utf8_lossy(bytes),
    }
}

/// Lines without comments, with those that end in `\` joined, each with the number of its first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        // A line that is only a comment ends the joining, as in pip.
        let comment = line.trim_start().starts_with('#');
        match line.strip_suffix('\\').filter(|_| !comment) {
            Some(line) => {
                joined.push_str(line);
                open = Some((number, joined));
            }
            None => {
                joined.push_str(if comment { " #" } else { line });
                lines.push((number, joined));
            }
        }
    }
    lines.extend(open);
    lines
        .into_iter()
        .map(|(number, line)| (number, without_comment(&line).trim().to_owned()))
        .filter(|(_, line)| !line.is_empty())
        .collect()
}

/// A comment begins at `#` at the start or after white space; `x#egg=y` has none.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        if letter == '#' && before.is_whitespace() {
            return line.get(..at).unwrap_or(line);
        }
        before = letter;
    }
    line
}

/// Cuts ` --hash=…` and whatever options follow.
fn without_options(text: &str) -> &str {
    let mut before = 'x';
    for (at, letter) in text.char_indices() {
        if letter == '-' && before.is_whitespace() {
            return text.get(..at).unwrap_or(text).trim_end();
        }
        before = letter;
    }
    text
}

/// `-r file`, `-rfile`, `--requirement file` and `--requirement=file`.
fn split_option(text: &str) -> (&str, &str) {
    let long = text.starts_with("--");
    let end = text.find(|c: char| c.is_whitespace() || (long && c == '=')).unwrap_or(text.len());
    let end =
        if long { end } else { text.char_indices().nth(2).map_or(end, |(at, _)| at.min(end)) };
    let (option, value) = text.split_at_checked(end).unwrap_or((text, ""));
    let value = value.strip_prefix('=').filter(|_| long).unwrap_or(value);
    (option, value.trim().trim_matches('"'))
}

/// `${NAME}`, which pip fills in.
fn environment_variable(text: &str) -> Option<&str> {
    let start = text.find("${")?;
    let rest = text.get(start..)?;
    let end = rest.find('}')?;
    let name = rest.get(2..end)?;
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then(|| rest.get(..=end)).flatten()
}

fn is_address(text: &str) -> bool {
    let text = text.split_whitespace().next().unwrap_or(text);
    let archive = [".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"];
    text.contains("://")
        || text.starts_with(['.', '/'])
        || text.split(['[', '<', '>', '=', ';', '@']).next().unwrap_or("").contains('/')
        || archive.iter().any(|end| text.ends_with(end))
}

/// The name in `#egg=NAME`, or name and version in the file name of a wheel.
fn name_in(address: &str) -> Option<String> {
    if let Some((_, egg)) = address.split_once("#egg=").or(address.split_once("&egg=")) {
        return Some(egg.split(['&', ' ']).next().unwrap_or(egg).to_owned());
    }
    let address = address.split([' ', '#', '?']).next()?;
    let file = address.rsplit('/').next()?.strip_suffix(".whl")?;
    let mut parts = file.split('-');
    let name = parts.next()?;
    let version = parts.next()?.replace("%2B", "+");
    Some(format!("{name}=={version}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::tree::Tree;
    use proptest::prelude::*;

    fn texts(list: &[(Requirement, Place)]) -> Vec<String> {
        list.iter().map(|(one, place)| format!("{}: {one}", place.line)).collect()
    }

    #[test]
    fn lines_comments_options_and_addresses_are_told_apart() {
        let tree = Tree::new("file");
        tree.file(
            "/r.txt",
            "\u{feff}# a list\n\nrequests>=2.28.0  # why\n\
             protobuf>=5.26.0,\\\n  <7.0.0\naiohttp==3.8.4 --hash=sha256:00 \\\n --hash=sha256:11\n\
             --index-url https://example.org\n-e git+https://h/x.git#egg=Thing\n-e .\n\
             ./wheels/six-1.16.0-py2.py3-none-any.whl\nhttps://h/p/archive.zip\n\
             token @ https://${TOKEN}@h/x\nbroken>=\nwin; os_name == 'nt'\n",
        );
        let list = read(&tree.root(), Path::new("/r.txt"));
        assert_eq!(
            texts(&list.requirements),
            [
                "3: requests>=2.28.0",
                "4: protobuf>=5.26.0,<7.0.0",
                "6: aiohttp==3.8.4",
                "9: Thing",
                "11: six==1.16.0",
                "15: win ; os_name == \"nt\"",
            ]
        );
        let lines: Vec<usize> = list.notes.iter().map(|note| note.place.line).collect();
        assert_eq!(lines, [6, 8, 10, 12, 13]);
        assert!(list.notes[4].text.contains("${TOKEN}"));
        assert_eq!(list.errors.len(), 1);
        let error = list.errors[0].to_string();
        assert!(error.starts_with("/r.txt:14: ") && error.contains("column 9"), "{error}");
    }

    #[test]
    fn nested_files_are_read_once_and_a_missing_one_is_an_error_with_its_line() {
        let tree = Tree::new("nested");
        tree.file(
            "/app/r.txt",
            "-r more/dev.txt\n-rmore/dev.txt\n-c limits.txt\n\n--requirement=gone.txt\n",
        );
        tree.file("/app/more/dev.txt", "pytest\n-r ../r.txt\n");
        tree.file("/app/limits.txt", "six<2\n");
        let list = read(&tree.root(), Path::new("/app/r.txt"));
        assert_eq!(texts(&list.requirements), ["1: pytest"]);
        assert_eq!(texts(&list.constraints), ["1: six<2"]);
        assert_eq!(list.errors.len(), 1);
        assert!(list.errors[0].to_string().starts_with("/app/r.txt:5: cannot read /app/gone.txt"));
    }

    #[test]
    fn a_chain_of_files_ends() {
        let tree = Tree::new("chain");
        for number in 0..40 {
            tree.file(&format!("/{number}"), format!("-r {}\n", number + 1));
        }
        let list = read(&tree.root(), Path::new("/0"));
        assert_eq!(list.errors.len(), 1);
        assert!(list.errors[0].text.contains("too deep"));
    }

    #[test]
    fn a_list_that_powershell_wrote_is_read() {
        let tree = Tree::new("utf-16");
        let words = "\u{feff}six>=1\r\ntoml\r\n".encode_utf16();
        let little: Vec<u8> = words.clone().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = words.flat_map(u16::to_be_bytes).collect();
        for bytes in [little, big] {
            tree.file("/r.txt", bytes);
            let list = read(&tree.root(), Path::new("/r.txt"));
            assert_eq!(texts(&list.requirements), ["1: six>=1", "2: toml"]);
            assert!(list.errors.is_empty());
        }
    }

    #[test]
    fn a_list_longer_than_anybody_has_is_an_error_and_not_a_gigabyte() {
        let tree = Tree::new("many");
        tree.file("/r.txt", "-r more.txt\nb\n".to_owned() + &"a>=0\n".repeat(MOST_LINES));
        tree.file("/more.txt", "c\n");
        let list = read(&tree.root(), Path::new("/r.txt"));
        assert_eq!(list.requirements.len(), MOST_LINES - 1);
        assert_eq!(list.errors.len(), 1);
        assert!(list.errors[0].text.contains("more than 10000 lines"), "{}", list.errors[0]);
    }

    #[test]
    fn a_line_that_goes_on_and_on_is_an_error_that_is_short() {
        let tree = Tree::new("long");
        tree.file("/r.txt", format!("a{}\n", ">=0,".repeat(100_000)));
        let list = read(&tree.root(), Path::new("/r.txt"));
        assert!(list.requirements.is_empty());
        let error = list.errors[0].to_string();
        assert!(error.len() < 500 && error.contains("longer than 16384 bytes"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), option in "-{1,2}[a-zé=]{0,4}[ =]?[a-z\"é]{0,3}") {
            for (_, line) in logical_lines(&text) {
                without_options(&line);
                environment_variable(&line);
                is_address(&line);
                name_in(&line);
                split_option(&line);
            }
            split_option(&option);
        }
    }
}
