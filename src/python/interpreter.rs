//! Which Python would run, and what it is: found on PATH and described from the files around
//! it, never started. `verify` begins here; everything else in this folder needs the answer.
//!
//! The steps are those of CPython's `Modules/getpath.py` (3.11): `pyvenv.cfg` beside the
//! program or one folder up, by the name it was called; then the prefix above the real program
//! that has the landmark `lib/pythonX.Y/os.py`.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::marker::Environment;
use super::pyvenv::PyvenvConfig;
use super::site::{Layout, Site};
use super::sysconfig::BuildConfig;
use crate::platform::{Arch, Contents, Root};

/// Small text files around an interpreter: pyvenv.cfg, patchlevel.h.
const LARGEST_TEXT: u64 = 1 << 16;
/// How much of a program is searched for its version; statically linked ones reach 100 MB.
const LARGEST_PROGRAM: u64 = 128 << 20;
/// Folders between a program and its prefix are one or two.
const HIGHEST_PREFIX: usize = 8;
/// No release of Python has come near this many patches; the most is 3.7's 17, 2.7's 18.
const MOST_PATCHES: u16 = 40;

/// Where to look. All paths are inside the root.
#[derive(Clone, Copy, Debug, Default)]
pub struct Search<'a> {
    /// PATH of the workload.
    pub path: &'a OsStr,
    /// What was asked for: a name for PATH, a path to a program, or a virtual environment.
    /// Without it `python3`, then `python` is looked up.
    pub named: Option<&'a str>,
    /// VIRTUAL_ENV. It does not change what PATH finds, so it counts only where PATH has nothing.
    pub virtual_env: Option<&'a Path>,
    /// PYTHONPATH.
    pub python_path: Option<&'a OsStr>,
    /// The folder that the workload's user site is below; none where that does not count.
    pub user_base: Option<&'a Path>,
    /// PYTHON_VERSION, which the official images set; the last resort for the patch level.
    pub version_hint: Option<&'a str>,
}

/// Who made the interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// python.org's.
    CPython,
    /// PyPy.
    PyPy,
}

/// A version of the language as an interpreter has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonVersion {
    /// 3
    pub major: u16,
    /// 11
    pub minor: u16,
    /// The patch level, where files tell it.
    pub micro: Option<u16>,
    /// What follows the numbers: empty for a release, `rc1`, `a4+`.
    pub suffix: String,
}

impl PythonVersion {
    /// `python_version`: two numbers.
    pub fn short(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// Every full version that is possible: one, or all patch levels if that is not known.
    pub fn candidates(&self) -> Vec<String> {
        let full = |micro| format!("{}.{}.{micro}{}", self.major, self.minor, self.suffix);
        match self.micro {
            Some(micro) => vec![full(micro)],
            None => (0..=MOST_PATCHES).map(full).collect(),
        }
    }

    /// Reads `3.11`, `3.11.7`, `3.14.0rc1`, `3.11.7.final.0`.
    fn parse(text: &str) -> Option<PythonVersion> {
        let (major, rest) = leading_number(text)?;
        let (minor, rest) = leading_number(rest.strip_prefix('.')?)?;
        let patch = rest.strip_prefix('.').and_then(leading_number);
        let Some((micro, rest)) = patch else {
            return Some(PythonVersion { major, minor, micro: None, suffix: String::new() });
        };
        // virtualenv writes sys.version_info: 3.11.7.final.0, 3.14.0.candidate.1.
        let suffix = match rest.strip_prefix('.').and_then(|rest| rest.split_once('.')) {
            Some(("alpha", serial)) => format!("a{serial}"),
            Some(("beta", serial)) => format!("b{serial}"),
            Some(("candidate", serial)) => format!("rc{serial}"),
            Some(_) => String::new(),
            None => rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '+').collect(),
        };
        Some(PythonVersion { major, minor, micro: Some(micro), suffix })
    }

    fn same_series(&self, other: &PythonVersion) -> bool {
        (self.major, self.minor) == (other.major, other.minor)
    }
}

fn leading_number(text: &str) -> Option<(u16, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(length)?;
    Some((digits.parse().ok()?, rest))
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.micro {
            Some(micro) => write!(out, "{}.{}.{micro}{}", self.major, self.minor, self.suffix),
            None => write!(out, "{}.{}", self.major, self.minor),
        }
    }
}

/// An interpreter, as its files describe it. Paths are inside the root.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// As it was found.
    pub path: PathBuf,
    /// With every link followed.
    pub real_path: PathBuf,
    /// Programs earlier on PATH that are scripts, such as pyenv's shims: the workload would run
    /// those, and what they start cannot be known.
    pub scripts: Vec<PathBuf>,
    /// The virtual environment it belongs to.
    pub virtual_environment: Option<PathBuf>,
    /// The prefix of the installation, as `/usr/local`.
    pub base_prefix: PathBuf,
    /// The standard library, as `/usr/local/lib/python3.11`.
    pub library: PathBuf,
    /// Who made it.
    pub implementation: Implementation,
    /// The version of the language.
    pub version: PythonVersion,
    /// The file, or the variable, that told the version.
    pub version_source: String,
    /// How it was built; all unknown where the file is missing.
    pub build: BuildConfig,
    /// Whether it is a free-threaded build.
    pub free_threaded: bool,
    /// The first 20 bytes of the program: class, byte order, machine. What they mean is judged
    /// by the caller.
    pub header: [u8; 20],
    /// Where it looks for distributions.
    pub site: Site,
    /// What is odd about it and worth a warning.
    pub notes: Vec<String>,
}

/// Why no interpreter can be described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PythonError {
    /// Nothing of that name.
    NotFound {
        /// What was looked for.
        wanted: String,
        /// Where.
        path: String,
    },
    /// There is a program of that name which may not be read.
    Forbidden {
        /// The first of them.
        path: PathBuf,
        /// As the kernel says it.
        problem: String,
    },
    /// There are only scripts of that name.
    OnlyScripts {
        /// The first of them.
        path: PathBuf,
    },
    /// The file is neither an ELF program nor a script.
    NotAProgram {
        /// The file.
        path: PathBuf,
    },
    /// The program is there, the standard library is not.
    NoLibrary {
        /// The program.
        path: PathBuf,
        /// The folder above which it was looked for.
        start: PathBuf,
    },
    /// Several standard libraries, and nothing says which is the program's.
    Ambiguous {
        /// The program.
        path: PathBuf,
        /// The libraries.
        libraries: Vec<PathBuf>,
    },
}

impl PythonError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            PythonError::NotFound { .. } => "install Python in the image, or name it with --python",
            PythonError::Forbidden { .. } => {
                "let everybody read and execute it and its folders (chmod a+rx), or verify as another user"
            }
            PythonError::OnlyScripts { .. } => {
                "put the real interpreter first on PATH (for pyenv: $PYENV_ROOT/versions/X.Y.Z/bin), or name it with --python"
            }
            PythonError::NotAProgram { .. } => "install Python again; this file cannot run",
            PythonError::NoLibrary { .. } => {
                "copy the whole installation (bin and lib/pythonX.Y), or fix `home` in pyvenv.cfg"
            }
            PythonError::Ambiguous { .. } => "name the interpreter with its version, as python3.11",
        }
    }
}

impl fmt::Display for PythonError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PythonError::NotFound { wanted, path } => {
                write!(out, "cannot find Python: no program {wanted} in {path}")
            }
            PythonError::Forbidden { path, problem } => {
                write!(out, "cannot read the interpreter {}: {problem}", path.display())
            }
            PythonError::OnlyScripts { path } => {
                write!(
                    out,
                    "cannot tell which Python runs: {} is a script, not an interpreter",
                    path.display()
                )
            }
            PythonError::NotAProgram { path } => {
                write!(out, "cannot use {} as Python: it is not an ELF program", path.display())
            }
            PythonError::NoLibrary { path, start } => write!(
                out,
                "cannot find the standard library of {}: no lib/pythonX.Y/os.py in or above {}",
                path.display(),
                start.display()
            ),
            PythonError::Ambiguous { path, libraries } => {
                write!(out, "cannot tell the version of {}: it could belong to", path.display())?;
                libraries.iter().try_for_each(|library| write!(out, " {}", library.display()))
            }
        }
    }
}

impl std::error::Error for PythonError {}

/// Finds the interpreter that would run and describes it.
pub fn find(root: &Root, search: &Search<'_>) -> Result<Interpreter, PythonError> {
    let program = find_program(root, search)?;
    let real_path = real(root, &program.path);
    let environment = read_environment(root, &program.path);
    let home = environment.as_ref().and_then(|(_, config)| config.home.clone());
    let base_program = home
        .as_ref()
        .map_or_else(|| real_path.clone(), |home| base_program(root, home, &real_path));
    let told = environment
        .as_ref()
        .and_then(|(_, config)| PythonVersion::parse(config.version.as_deref()?));
    let named = version_in_name(&base_program).or_else(|| version_in_name(&real_path));
    let library =
        find_library(root, &program.path, &base_program, named.as_ref().or(told.as_ref()))?;
    let (version, version_source) =
        find_version(root, &library, &base_program, told.as_ref(), search.version_hint);

    let mut notes = Vec::new();
    if let (Some((folder, _)), Some(told)) = (&environment, &told)
        && !told.same_series(&version)
    {
        notes.push(format!(
            "the virtual environment {} was made with Python {}, but its interpreter is {}; make it again",
            folder.display(),
            told.short(),
            version.short()
        ));
    }
    let build = BuildConfig::read(root, &library.folder).unwrap_or_default();
    let layout = Layout {
        library_name: &library.name,
        base_prefix: &library.prefix,
        environment: environment
            .as_ref()
            .map(|(folder, config)| (folder.as_path(), config.system_site_packages)),
        user_base: search.user_base,
        python_path: search.python_path,
    };
    Ok(Interpreter {
        site: Site::of(root, &layout),
        implementation: library.implementation(),
        free_threaded: build.free_threaded || library.name.ends_with('t'),
        virtual_environment: environment.map(|(folder, _)| folder),
        base_prefix: library.prefix,
        library: library.folder,
        path: program.path,
        scripts: program.scripts,
        header: program.header,
        real_path,
        version,
        version_source,
        build,
        notes,
    })
}

struct Program {
    path: PathBuf,
    scripts: Vec<PathBuf>,
    header: [u8; 20],
}

fn find_program(root: &Root, search: &Search<'_>) -> Result<Program, PythonError> {
    let candidates = candidates(root, search);
    let (mut scripts, mut forbidden) = (Vec::new(), None);
    for path in candidates {
        match look_at(root, &path) {
            Kind::Absent => {}
            Kind::Forbidden(problem) => forbidden = forbidden.or(Some((path, problem))),
            Kind::Script => scripts.push(path),
            Kind::Other => return Err(PythonError::NotAProgram { path }),
            Kind::Elf(header) => return Ok(Program { path, scripts, header }),
        }
    }
    if let Some((path, problem)) = forbidden {
        return Err(PythonError::Forbidden { path, problem });
    }
    if let Some(path) = scripts.into_iter().next() {
        return Err(PythonError::OnlyScripts { path });
    }
    let wanted = search.named.unwrap_or("python3 or python").to_owned();
    let path = if wanted.contains('/') {
        "the root filesystem".to_owned()
    } else {
        format!("PATH={}", search.path.to_string_lossy())
    };
    Err(PythonError::NotFound { wanted, path })
}

fn candidates(root: &Root, search: &Search<'_>) -> Vec<PathBuf> {
    let on_path = |name: &str| -> Vec<PathBuf> {
        // An empty or relative entry hangs on the workload's folder; nobody means that.
        std::env::split_paths(search.path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .collect()
    };
    let in_environment =
        |folder: &Path| ["bin/python3", "bin/python"].map(|name| folder.join(name)).to_vec();
    match search.named {
        Some(name) if name.contains('/') => {
            let path = Path::new("/").join(name);
            if root.is_dir(&path) { in_environment(&path) } else { vec![path] }
        }
        Some(name) => on_path(name),
        None => {
            let mut all = on_path("python3");
            all.extend(on_path("python"));
            all.extend(search.virtual_env.map(in_environment).unwrap_or_default());
            all
        }
    }
}

enum Kind {
    Absent,
    Forbidden(String),
    Script,
    Other,
    Elf([u8; 20]),
}

fn look_at(root: &Root, path: &Path) -> Kind {
    let file = match root.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Kind::Forbidden(error.to_string());
        }
        Err(_) => return Kind::Absent,
    };
    // execvp passes over what has no x bit, and so does this.
    if file.meta().mode & 0o111 == 0 {
        return Kind::Absent;
    }
    let mut header = [0; 20];
    let whole = matches!(file.read_at(&mut header, 0), Ok(20));
    match header {
        [b'#', b'!', ..] => Kind::Script,
        [0x7f, b'E', b'L', b'F', ..] if whole => Kind::Elf(header),
        _ => Kind::Other,
    }
}

fn real(root: &Root, path: &Path) -> PathBuf {
    root.locate(path).map_or_else(|_| path.to_owned(), |host| root.inside(&host))
}

/// The environment that `program` belongs to. The folder counts by the name it was called,
/// links not followed: that is what makes a linked `bin/python` an environment's.
fn read_environment(root: &Root, program: &Path) -> Option<(PathBuf, PyvenvConfig)> {
    program.ancestors().skip(1).take(2).find_map(|folder| {
        let bytes = root.read(&folder.join("pyvenv.cfg"), LARGEST_TEXT).ok()?;
        Some((folder.to_owned(), PyvenvConfig::parse(&bytes)))
    })
}

/// The base interpreter of an environment. Mostly a link in the environment leads there; one
/// made with `--copies` has a program of its own, and `home` tells.
fn base_program(root: &Root, home: &Path, real_path: &Path) -> PathBuf {
    let name = real_path.file_name().unwrap_or(OsStr::new("python3"));
    let linked = root.locate(home).is_ok_and(|home| {
        root.locate(real_path).is_ok_and(|program| program.parent() == Some(home.as_path()))
    });
    if linked {
        return real_path.to_owned();
    }
    let at_home = [name, OsStr::new("python3"), OsStr::new("python")]
        .map(|name| home.join(name))
        .into_iter()
        .find(|path| root.is_file(path));
    at_home.map_or_else(|| real_path.to_owned(), |path| real(root, &path))
}

/// The version in a program's name: `python3.11`, `python3.13t`, `pypy3.10`.
fn version_in_name(program: &Path) -> Option<PythonVersion> {
    let name = program.file_name()?.to_str()?;
    PythonVersion::parse(name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"))?)
}

struct Library {
    prefix: PathBuf,
    /// `python3.11`, `python3.13t`, `pypy3.10`.
    name: String,
    folder: PathBuf,
    series: PythonVersion,
}

impl Library {
    fn implementation(&self) -> Implementation {
        if self.name.starts_with("pypy") { Implementation::PyPy } else { Implementation::CPython }
    }
}

fn find_library(
    root: &Root,
    path: &Path,
    program: &Path,
    version: Option<&PythonVersion>,
) -> Result<Library, PythonError> {
    let start = program.parent().unwrap_or(Path::new("/"));
    let free_threaded = program.as_os_str().as_encoded_bytes().ends_with(b"t");
    for prefix in start.ancestors().take(HIGHEST_PREFIX) {
        let mut found: Vec<Library> =
            ["lib", "lib64"].iter().flat_map(|lib| libraries(root, prefix, lib, version)).collect();
        // lib64 is often a link to lib.
        found.dedup_by(|later, earlier| later.name == earlier.name);
        if found.len() > 1 {
            found.retain(|library| library.name.ends_with('t') == free_threaded);
        }
        match found.len() {
            0 => {}
            1 => return Ok(found.remove(0)),
            _ => {
                let libraries = found.into_iter().map(|library| library.folder).collect();
                return Err(PythonError::Ambiguous { path: path.to_owned(), libraries });
            }
        }
    }
    Err(PythonError::NoLibrary { path: path.to_owned(), start: start.to_owned() })
}

/// The standard libraries in one folder: those of a version, or all.
fn libraries(
    root: &Root,
    prefix: &Path,
    lib: &str,
    version: Option<&PythonVersion>,
) -> Vec<Library> {
    let folder = prefix.join(lib);
    let names: Vec<String> = match version.map(PythonVersion::short) {
        Some(series) => ["python", "pypy"]
            .iter()
            .map(|kind| format!("{kind}{series}"))
            .chain([format!("python{series}t")])
            .collect(),
        None => {
            root.names(&folder).into_iter().filter_map(|name| name.into_string().ok()).collect()
        }
    };
    let library = |name: String| {
        let number = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"))?;
        let series = PythonVersion::parse(number)?;
        let folder = folder.join(&name);
        let landmark = ["os.py", "os.pyc"].iter().any(|file| root.is_file(&folder.join(file)));
        landmark.then(|| Library { prefix: prefix.to_owned(), name, folder, series })
    };
    names.into_iter().filter_map(library).collect()
}

/// The version with its patch level, from what is most certain to what is least: the headers,
/// the program itself, the environment's file, the image's variable.
fn find_version(
    root: &Root,
    library: &Library,
    program: &Path,
    told: Option<&PythonVersion>,
    hint: Option<&str>,
) -> (PythonVersion, String) {
    let series = &library.series;
    let pypy = library.implementation() == Implementation::PyPy;
    let full = |version: &PythonVersion| version.micro.is_some() && version.same_series(series);

    // Up to 3.7 the folder is called python3.7m.
    for flag in ["", "m"] {
        let folder = library.prefix.join("include").join(format!("{}{flag}", library.name));
        let header = folder.join("patchlevel.h");
        if let Some(version) = version_in_header(root, &header).filter(full) {
            return (version, header.display().to_string());
        }
    }
    let short = series.short();
    let file = format!("libpython{}.so.1.0", library.name.trim_start_matches("python"));
    let mut shared =
        vec![library.prefix.join("lib").join(&file), library.prefix.join("lib64").join(&file)];
    shared.extend(
        Arch::ALL.map(|arch| library.prefix.join("lib").join(arch.multiarch()).join(&file)),
    );
    for path in [program.to_owned()].into_iter().chain(shared).filter(|_| !pypy) {
        if let Some(version) = version_in_program(root, &path, &short).filter(full) {
            return (version, path.display().to_string());
        }
    }
    if let Some(version) = told.filter(|version| full(version)) {
        return (version.clone(), "pyvenv.cfg".to_owned());
    }
    if let Some(version) = hint.and_then(PythonVersion::parse).filter(full) {
        return (version, "PYTHON_VERSION".to_owned());
    }
    (series.clone(), library.folder.display().to_string())
}

fn version_in_header(root: &Root, header: &Path) -> Option<PythonVersion> {
    let bytes = root.read(header, LARGEST_TEXT).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().find_map(|line| line.strip_prefix("#define PY_VERSION "))?;
    PythonVersion::parse(line.trim().trim_matches('"'))
}

/// The string `X.Y.Z` of `PY_VERSION` in a program or library: a text of its own, between zeros.
/// Two different ones are none.
fn version_in_program(root: &Root, path: &Path, series: &str) -> Option<PythonVersion> {
    const BLOCK: usize = 1 << 16;
    /// The longest text looked for, as `3.14.0a12+` with its zeros.
    const OVERLAP: usize = 32;
    let file = root.open(path).ok()?;
    let mut file = file.reader().take(LARGEST_PROGRAM);
    let mut window = vec![0; OVERLAP + BLOCK];
    let mut found: Option<String> = None;
    let mut kept = 0;
    loop {
        let count = file.read(window.get_mut(kept..)?).ok()?;
        if count == 0 {
            return PythonVersion::parse(&found?);
        }
        let filled = kept + count;
        for text in version_texts(window.get(..filled)?, series) {
            match &found {
                Some(before) if before != text => return None,
                _ => found = Some(text.to_owned()),
            }
        }
        let keep_from = filled.saturating_sub(OVERLAP);
        window.copy_within(keep_from..filled, 0);
        kept = filled - keep_from;
    }
}

/// Texts `SERIES.N…` of at most 16 bytes that stand between two zero bytes.
fn version_texts<'a>(bytes: &'a [u8], series: &str) -> impl Iterator<Item = &'a str> {
    let start = format!("\0{series}.");
    let found: Vec<usize> = memchr::memmem::find_iter(bytes, start.as_bytes()).collect();
    found.into_iter().filter_map(move |at| {
        let text = bytes.get(at + 1..)?;
        let end = text.iter().take(17).position(|&byte| byte == 0)?;
        let text = std::str::from_utf8(text.get(..end)?).ok()?;
        let rest = text.get(start.len() - 1..)?;
        let plain = rest.starts_with(|c: char| c.is_ascii_digit())
            && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '+');
        plain.then_some(text)
    })
}

impl Interpreter {
    /// The architecture the program was built for, by its ELF header; `None` for one that is not
    /// known here. What is of 32 bits on ARM is called version 7.
    pub fn arch(&self) -> Option<Arch> {
        let [.., low, high] = self.header;
        let machine = match self.header.get(5) {
            Some(2) => u16::from_be_bytes([low, high]),
            _ => u16::from_le_bytes([low, high]),
        };
        let is_64_bit = self.header.get(4) == Some(&2);
        Arch::ALL
            .into_iter()
            .find(|arch| arch.elf_machine() == machine && arch.is_64_bit() == is_64_bit)
    }

    /// What markers see. The kernel's words are unknown unless the caller fills them in.
    pub fn environment(&self) -> Environment {
        let one = |text: &str| vec![text.to_owned()];
        let (implementation, name) = match self.implementation {
            Implementation::CPython => ("CPython", "cpython"),
            Implementation::PyPy => ("PyPy", "pypy"),
        };
        let full = self.version.candidates();
        Environment {
            python_version: vec![self.version.short()],
            implementation_version: match self.implementation {
                Implementation::CPython => full.clone(),
                Implementation::PyPy => Vec::new(),
            },
            python_full_version: full,
            os_name: one("posix"),
            sys_platform: one("linux"),
            platform_system: one("Linux"),
            platform_machine: machines(self.arch()),
            platform_python_implementation: one(implementation),
            implementation_name: one(name),
            platform_release: Vec::new(),
            platform_version: Vec::new(),
        }
    }
}

/// uname's word is the kernel's, so that a 32-bit program can meet several.
fn machines(arch: Option<Arch>) -> Vec<String> {
    let words: &[&str] = match arch {
        Some(Arch::I386) => &["i686", "i386", "i586", "x86_64"],
        Some(Arch::ArmV7 | Arch::ArmV6) => &["armv7l", "armv6l", "armv8l", "aarch64"],
        Some(arch) => &[arch.uname()],
        None => &[],
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::tree::{Tree, elf_header, paths};
    use proptest::prelude::*;

    fn on_path(path: &str) -> Search<'_> {
        Search { path: OsStr::new(path), ..Search::default() }
    }

    #[test]
    fn the_python_of_an_official_image_is_described() {
        let tree = Tree::new("official");
        tree.official_python(b"");
        tree.file(
            "/usr/local/include/python3.11/patchlevel.h",
            "#define PY_MINOR_VERSION 11\n#define PY_VERSION      \t\"3.11.7\"\n",
        );
        tree.file(
            "/usr/local/lib/python3.11/_sysconfigdata__linux_x86_64-linux-gnu.py",
            "{'EXT_SUFFIX': '.cpython-311-x86_64-linux-gnu.so', 'Py_GIL_DISABLED': 0}",
        );
        // Debian's folder for another Python of the same version does not count.
        tree.file("/usr/local/lib/python3.11/dist-packages/x", "");
        let python = find(&tree.root(), &on_path("/bin:/usr/local/bin")).unwrap();
        assert_eq!(python.path, Path::new("/usr/local/bin/python3"));
        assert_eq!(python.real_path, Path::new("/usr/local/bin/python3.11"));
        assert_eq!(python.base_prefix, Path::new("/usr/local"));
        assert_eq!(python.version.to_string(), "3.11.7");
        assert_eq!(python.version_source, "/usr/local/include/python3.11/patchlevel.h");
        assert_eq!(python.build.ext_suffix.as_deref(), Some(".cpython-311-x86_64-linux-gnu.so"));
        assert!(!python.free_threaded);
        assert_eq!(python.arch(), Some(Arch::Amd64));
        assert_eq!(python.site.folders, paths(&["/usr/local/lib/python3.11/site-packages"]));
        let environment = python.environment();
        assert_eq!(environment.python_version, ["3.11"]);
        assert_eq!(environment.platform_machine, ["x86_64"]);
    }

    #[test]
    fn without_headers_the_patch_level_comes_from_the_program_then_from_the_variable() {
        let tree = Tree::new("patch");
        let search = Search { version_hint: Some("3.11.9"), ..on_path("/usr/local/bin") };
        // Over the border of a block, and beside texts that only look like it.
        let mut text = vec![b'x'; (1 << 16) - 64 - 4];
        text.extend(b"\x003.11.4\x00 3.11.5\x003.11.x\x003.110.1\x00");
        tree.official_python(&text);
        let python = find(&tree.root(), &search).unwrap();
        assert_eq!(python.version.to_string(), "3.11.4");
        assert_eq!(python.version_source, "/usr/local/bin/python3.11");

        tree.official_python(b"\x003.11.4\x003.11.5\x00");
        let python = find(&tree.root(), &search).unwrap();
        assert_eq!(
            (python.version.to_string(), python.version_source),
            ("3.11.9".into(), "PYTHON_VERSION".into())
        );

        let unknown = find(&tree.root(), &on_path("/usr/local/bin")).unwrap();
        assert_eq!(unknown.version.micro, None);
        assert!(unknown.environment().python_full_version.len() > 30);
    }

    #[test]
    fn a_virtual_environment_is_known_by_the_name_it_is_called() {
        let tree = Tree::new("venv");
        tree.official_python(b"");
        tree.link("/venv/bin/python3", "python");
        tree.link("/venv/bin/python", "/usr/local/bin/python3.11");
        tree.link("/venv/lib64", "lib");
        tree.file("/venv/lib/python3.11/site-packages/x", "");
        tree.file("/venv/pyvenv.cfg", "home = /usr/local/bin\nversion = 3.11.7\n");
        let root = tree.root();
        let python = find(&root, &on_path("/venv/bin:/usr/local/bin")).unwrap();
        assert_eq!(python.virtual_environment.as_deref(), Some(Path::new("/venv")));
        assert_eq!(python.base_prefix, Path::new("/usr/local"));
        assert_eq!(python.version.to_string(), "3.11.7");
        assert_eq!(python.site.folders, paths(&["/venv/lib/python3.11/site-packages"]));
        assert!(python.notes.is_empty());

        let named = find(&root, &Search { named: Some("/venv"), ..on_path("") }).unwrap();
        assert_eq!(named.path, Path::new("/venv/bin/python3"));
        let variable = Search { virtual_env: Some(Path::new("/venv")), ..on_path("/bin") };
        assert_eq!(find(&root, &variable).unwrap().path, Path::new("/venv/bin/python3"));
        let path_is_stronger = Search { path: OsStr::new("/usr/local/bin"), ..variable };
        assert_eq!(find(&root, &path_is_stronger).unwrap().virtual_environment, None);

        tree.file(
            "/venv/pyvenv.cfg",
            "home = /usr/local/bin\nversion = 3.10.1\ninclude-system-site-packages = true\n",
        );
        let python = find(&root, &on_path("/venv/bin")).unwrap();
        assert!(python.notes[0].contains("made with Python 3.10"), "{:?}", python.notes);
        assert_eq!(
            python.site.folders,
            paths(&[
                "/venv/lib/python3.11/site-packages",
                "/usr/local/lib/python3.11/site-packages"
            ])
        );
    }

    #[test]
    fn an_environment_with_a_copied_program_leads_home() {
        let tree = Tree::new("copies");
        tree.official_python(b"");
        tree.program("/venv/bin/python3", elf_header(62));
        tree.file("/venv/lib/python3.11/site-packages/x", "");
        tree.file("/venv/pyvenv.cfg", "home = /usr/local/bin\nversion_info = 3.11.7.final.0\n");
        let python = find(&tree.root(), &on_path("/venv/bin")).unwrap();
        assert_eq!(python.library, Path::new("/usr/local/lib/python3.11"));
        assert_eq!(python.version.to_string(), "3.11.7");
    }

    #[test]
    fn debian_has_folders_of_its_own() {
        let tree = Tree::new("debian");
        tree.program("/usr/bin/python3.11", elf_header(183));
        tree.link("/usr/bin/python3", "python3.11");
        tree.file("/usr/lib/python3.11/os.py", "");
        tree.file("/usr/lib/python3.11/site.py", "libdirs: 'dist-packages'");
        tree.file("/usr/lib/python3/dist-packages/x", "");
        tree.file("/usr/local/lib/python3.11/dist-packages/x", "");
        tree.file("/root/.local/lib/python3.11/site-packages/x", "");
        tree.file("/opt/more/x", "");
        tree.file("/opt/code.zip", "");
        let search = Search {
            python_path: Some(OsStr::new(
                "/opt/more:relative:/nowhere:/opt/code.zip:/opt/../opt/more",
            )),
            user_base: Some(Path::new("/root/.local")),
            ..on_path("/usr/bin")
        };
        let python = find(&tree.root(), &search).unwrap();
        assert_eq!(python.arch(), Some(Arch::Arm64));
        assert_eq!(python.site.archives, paths(&["/opt/code.zip"]));
        assert_eq!(
            python.site.folders,
            paths(&[
                "/opt/more",
                "/root/.local/lib/python3.11/site-packages",
                "/usr/local/lib/python3.11/dist-packages",
                "/usr/lib/python3/dist-packages",
            ])
        );
    }

    #[test]
    fn path_files_add_folders_and_code_in_them_is_named() {
        let tree = Tree::new("pth");
        tree.official_python(b"");
        let site = "/usr/local/lib/python3.11/site-packages";
        tree.file(&format!("{site}/b.pth"), "# no\n/src/app\r\n../site-packages\nmissing\n\n");
        tree.file(&format!("{site}/a.pth"), "import os\nimport sys\n../../extra\n");
        tree.file(&format!("{site}/.hidden.pth"), "/src/hidden\n");
        tree.file("/src/app/x", "");
        tree.file("/src/hidden/x", "");
        tree.file("/usr/local/lib/extra/x", "");
        let python = find(&tree.root(), &on_path("/usr/local/bin")).unwrap();
        assert_eq!(python.site.folders, paths(&[site, "/usr/local/lib/extra", "/src/app"]));
        assert_eq!(python.site.start_up_code, paths(&[&format!("{site}/a.pth")]));
    }

    #[test]
    fn a_shim_is_passed_over_and_named() {
        let tree = Tree::new("shim");
        tree.program("/shims/python3", "#!/usr/bin/env bash\nexec pyenv exec python3\n");
        tree.file("/noexec/python3", "not executable");
        let only = find(&tree.root(), &on_path("/noexec:/shims")).unwrap_err();
        assert_eq!(only, PythonError::OnlyScripts { path: "/shims/python3".into() });
        assert!(only.remedy().contains("pyenv"));
        tree.official_python(b"");
        let python = find(&tree.root(), &on_path("/shims:/usr/local/bin")).unwrap();
        assert_eq!(python.path, Path::new("/usr/local/bin/python3"));
        assert_eq!(python.scripts, paths(&["/shims/python3"]));
    }

    #[test]
    fn what_is_missing_is_said() {
        let tree = Tree::new("missing");
        let root = tree.root();
        let error = find(&root, &on_path("/bin")).unwrap_err().to_string();
        assert_eq!(error, "cannot find Python: no program python3 or python in PATH=/bin");
        tree.program("/bin/python3", elf_header(62));
        let error = find(&root, &on_path("/bin")).unwrap_err();
        assert!(matches!(error, PythonError::NoLibrary { .. }), "{error}");
        tree.file("/lib/python3.11/os.py", "");
        assert_eq!(find(&root, &on_path("/bin")).unwrap().version.short(), "3.11");
        tree.file("/lib/python3.12/os.py", "");
        let error = find(&root, &on_path("/bin")).unwrap_err();
        assert!(matches!(error, PythonError::Ambiguous { .. }), "{error}");
        tree.program("/bin/python", "MZ");
        let named = Search { named: Some("python"), ..on_path("/bin") };
        assert!(matches!(find(&root, &named).unwrap_err(), PythonError::NotAProgram { .. }));
    }

    #[test]
    fn a_free_threaded_build_is_known_by_its_folder() {
        let tree = Tree::new("free");
        tree.program("/usr/local/bin/python3.13t", elf_header(62));
        tree.link("/usr/local/bin/python3", "python3.13t");
        tree.file("/usr/local/lib/python3.13t/os.py", "");
        tree.file("/usr/local/lib/python3.13/os.py", "");
        tree.file("/usr/local/lib/python3.13t/site-packages/x", "");
        let python = find(&tree.root(), &on_path("/usr/local/bin")).unwrap();
        assert!(python.free_threaded);
        assert_eq!(python.site.folders, paths(&["/usr/local/lib/python3.13t/site-packages"]));
    }

    #[test]
    fn versions_are_read_as_every_maker_writes_them() {
        for (text, expected) in [
            ("3.11", "3.11"),
            ("3.11.7", "3.11.7"),
            ("3.14.0rc1", "3.14.0rc1"),
            ("3.13.0a4+", "3.13.0a4+"),
            ("3.9.2.final.0", "3.9.2"),
            ("3.14.0.candidate.2", "3.14.0rc2"),
            ("3.13t", "3.13"),
        ] {
            assert_eq!(PythonVersion::parse(text).unwrap().to_string(), expected);
        }
        for text in ["", "3", "x.y", "3.", "99999.1"] {
            assert_eq!(PythonVersion::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_panic(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            PythonVersion::parse(&text);
            version_texts(&bytes, "3.11").count();
            crate::python::pyvenv::PyvenvConfig::parse(&bytes);
            BuildConfig::parse(&text);
        }
    }
}
