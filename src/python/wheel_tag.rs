//! The tags of a wheel (PEP 425, 600, 656): whether what was installed fits this interpreter
//! and this libc. pip checks that when it installs, not when files were copied together.

use std::fmt;

use super::interpreter::{Implementation, Interpreter};
use crate::platform::Arch;

/// The libc that programs here are linked against, with its version where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libc {
    /// GNU's, as (2, 36).
    Glibc(Option<(u32, u32)>),
    /// musl, as (1, 2).
    Musl(Option<(u32, u32)>),
    /// Not known; both kinds of wheel pass.
    Unknown,
}

/// What wheels must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Major and minor version of the language.
    pub version: (u16, u16),
    /// Who made the interpreter.
    pub implementation: Implementation,
    /// Whether it is a free-threaded build.
    pub free_threaded: bool,
    /// What it was built for, where it is known.
    pub arch: Option<Arch>,
    /// The libc.
    pub libc: Libc,
}

impl Runtime {
    /// Of an interpreter, over a libc.
    pub fn of(interpreter: &Interpreter, libc: Libc) -> Runtime {
        Runtime {
            version: (interpreter.version.major, interpreter.version.minor),
            implementation: interpreter.implementation,
            free_threaded: interpreter.free_threaded,
            arch: interpreter.arch(),
            libc,
        }
    }
}

/// One tag, its sets not multiplied out: `py2.py3-none-any`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelTag {
    pythons: Vec<String>,
    abis: Vec<String>,
    platforms: Vec<String>,
}

impl WheelTag {
    /// Three sets between dashes; `None` for anything else.
    pub fn parse(text: &str) -> Option<WheelTag> {
        let mut sets = text
            .trim()
            .splitn(3, '-')
            .map(|set| set.split('.').map(str::to_ascii_lowercase).collect::<Vec<String>>());
        let tag = WheelTag { pythons: sets.next()?, abis: sets.next()?, platforms: sets.next()? };
        let whole = [&tag.pythons, &tag.abis, &tag.platforms]
            .iter()
            .all(|set| set.iter().all(|part| !part.is_empty() && !part.contains('-')));
        whole.then_some(tag)
    }

    /// `None` if the tag fits, else the first thing that does not.
    pub fn problem(&self, runtime: &Runtime) -> Option<Problem> {
        let python = self
            .pythons
            .iter()
            .any(|python| self.abis.iter().any(|abi| fits_python(python, abi, runtime)));
        if !python {
            return Some(Problem::Python);
        }
        let mut problem = None;
        for platform in &self.platforms {
            match platform_problem(platform, runtime) {
                None => return None,
                Some(here) => problem = problem.max(Some(here)),
            }
        }
        problem
    }
}

impl fmt::Display for WheelTag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pythons, abis) = (self.pythons.join("."), self.abis.join("."));
        write!(out, "{pythons}-{abis}-{}", self.platforms.join("."))
    }
}

/// What does not fit. A later one came closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// Another interpreter, another version or build of it.
    Python,
    /// Another operating system, or a platform unknown here.
    System,
    /// Another processor.
    Arch,
    /// glibc's wheel on musl, or the other way round.
    OtherLibc,
    /// A newer libc of the same kind is needed: at least this one.
    NewerLibc(u32, u32),
}

/// The `Tag:` lines of a WHEEL file; lines that are no tag are passed over.
pub fn tags(wheel: &str) -> Vec<WheelTag> {
    wheel.lines().filter_map(|line| WheelTag::parse(line.strip_prefix("Tag:")?)).collect()
}

/// Whether there are tags, and each is for every platform.
pub fn are_for_any(tags: &[WheelTag]) -> bool {
    !tags.is_empty() && tags.iter().all(|tag| tag.platforms.iter().all(|one| one == "any"))
}

/// `None` if one of the tags fits or there are none, else what is wrong with the closest.
pub fn problem(tags: &[WheelTag], runtime: &Runtime) -> Option<Problem> {
    let mut closest = None;
    for tag in tags {
        closest = closest.max(Some(tag.problem(runtime)?));
    }
    closest
}

fn fits_python(python: &str, abi: &str, runtime: &Runtime) -> bool {
    let Some((kind, version)) = python.split_at_checked(2) else { return false };
    let Some((major, minor)) = tag_version(version) else { return false };
    let (has_major, has_minor) = runtime.version;
    if major != has_major {
        return false;
    }
    match (kind, runtime.implementation) {
        ("py", _) => abi == "none" && minor.is_none_or(|minor| minor <= has_minor),
        ("cp", Implementation::CPython) => match abi {
            "abi3" => !runtime.free_threaded && minor.is_some_and(|minor| minor <= has_minor),
            "none" => minor.is_none_or(|minor| minor == has_minor),
            abi => minor == Some(has_minor) && abi == cpython_abi(runtime),
        },
        ("pp", Implementation::PyPy) => {
            let own = format!("pypy{has_major}{has_minor}_");
            minor.is_none_or(|minor| minor == has_minor) && (abi == "none" || abi.starts_with(&own))
        }
        _ => false,
    }
}

/// `cp311`, `cp313t`; up to 3.7 with an `m`.
fn cpython_abi(runtime: &Runtime) -> String {
    let (major, minor) = runtime.version;
    let flag = match (runtime.free_threaded, minor < 8) {
        (true, _) => "t",
        (false, true) => "m",
        (false, false) => "",
    };
    format!("cp{major}{minor}{flag}")
}

/// `3`, `311`, `39`, `3_11`: the first digit is the major version.
fn tag_version(text: &str) -> Option<(u16, Option<u16>)> {
    let (major, minor) = text.split_at_checked(1)?;
    let minor = minor.strip_prefix('_').unwrap_or(minor);
    let minor = if minor.is_empty() { None } else { Some(minor.parse().ok()?) };
    Some((major.parse().ok()?, minor))
}

fn platform_problem(platform: &str, runtime: &Runtime) -> Option<Problem> {
    if platform == "any" {
        return None;
    }
    let Some((arch, libc)) = linux_platform(platform) else { return Some(Problem::System) };
    if runtime.arch.is_some_and(|own| !machine_words(own).contains(&arch)) {
        return Some(Problem::Arch);
    }
    let (needed, has) = match (libc, runtime.libc) {
        (Libc::Unknown, _) | (_, Libc::Unknown) => return None,
        (Libc::Glibc(needed), Libc::Glibc(has)) | (Libc::Musl(needed), Libc::Musl(has)) => {
            (needed, has)
        }
        _ => return Some(Problem::OtherLibc),
    };
    let (needed, has) = (needed?, has?);
    (needed > has).then_some(Problem::NewerLibc(needed.0, needed.1))
}

/// The machine and the least libc of `linux_x86_64`, `manylinux2014_aarch64`,
/// `manylinux_2_28_x86_64`, `musllinux_1_2_x86_64`.
fn linux_platform(platform: &str) -> Option<(&str, Libc)> {
    for (name, needed) in
        [("manylinux1_", (2, 5)), ("manylinux2010_", (2, 12)), ("manylinux2014_", (2, 17))]
    {
        if let Some(arch) = platform.strip_prefix(name) {
            return Some((arch, Libc::Glibc(Some(needed))));
        }
    }
    let numbers = |rest| -> Option<(&str, (u32, u32))> {
        let mut parts = str::splitn(rest, 3, '_');
        let version = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((parts.next()?, version))
    };
    if let Some(rest) = platform.strip_prefix("manylinux_") {
        return numbers(rest).map(|(arch, needed)| (arch, Libc::Glibc(Some(needed))));
    }
    if let Some(rest) = platform.strip_prefix("musllinux_") {
        return numbers(rest).map(|(arch, needed)| (arch, Libc::Musl(Some(needed))));
    }
    platform.strip_prefix("linux_").map(|arch| (arch, Libc::Unknown))
}

/// What an architecture is called in tags. A 32-bit ARM program's version cannot be told here.
fn machine_words(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::Amd64 => &["x86_64"],
        Arch::Arm64 => &["aarch64"],
        Arch::ArmV7 | Arch::ArmV6 => &["armv7l", "armv6l", "armv8l"],
        Arch::I386 => &["i686", "i386"],
        Arch::Ppc64le => &["ppc64le"],
        Arch::S390x => &["s390x"],
        Arch::Riscv64 => &["riscv64"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runtime(minor: u16, libc: Libc) -> Runtime {
        Runtime {
            version: (3, minor),
            implementation: Implementation::CPython,
            free_threaded: false,
            arch: Some(Arch::Amd64),
            libc,
        }
    }

    #[test]
    fn tags_fit_as_packaging_has_it_for_cpython_3_11_on_glibc_2_31() {
        let runtime = runtime(11, Libc::Glibc(Some((2, 31))));
        for (tag, expected) in [
            ("py3-none-any", None),
            ("py2.py3-none-any", None),
            ("py2-none-any", Some(Problem::Python)),
            ("py38-none-any", None),
            ("py312-none-any", Some(Problem::Python)),
            ("cp311-none-any", None),
            ("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", None),
            ("cp310-cp310-manylinux1_x86_64", Some(Problem::Python)),
            ("cp311-cp311d-linux_x86_64", Some(Problem::Python)),
            ("cp36-abi3-manylinux2010_x86_64", None),
            ("cp312-abi3-manylinux2010_x86_64", Some(Problem::Python)),
            ("cp311-abi3-manylinux_2_34_x86_64", Some(Problem::NewerLibc(2, 34))),
            ("cp311-cp311-manylinux2014_aarch64", Some(Problem::Arch)),
            ("cp311-cp311-linux_x86_64", None),
            ("cp311-cp311-linux_i686", Some(Problem::Arch)),
            ("cp311-cp311-musllinux_1_1_x86_64", Some(Problem::OtherLibc)),
            ("cp311-cp311-macosx_11_0_arm64", Some(Problem::System)),
            ("pp311-pypy311_pp73-manylinux2014_x86_64", Some(Problem::Python)),
            ("cp311-cp311-manylinux_2_28_aarch64.manylinux_2_31_x86_64", None),
        ] {
            let parsed = WheelTag::parse(tag).unwrap();
            assert_eq!(parsed.problem(&runtime), expected, "{tag}");
            assert_eq!(parsed.to_string(), tag);
        }
    }

    #[test]
    fn free_threaded_pypy_and_musl_have_rules_of_their_own() {
        let free = Runtime { free_threaded: true, ..runtime(13, Libc::Unknown) };
        let pypy = Runtime { implementation: Implementation::PyPy, ..runtime(10, Libc::Unknown) };
        let musl = runtime(11, Libc::Musl(Some((1, 2))));
        for (tag, runtime, fits) in [
            ("cp313-cp313t-manylinux2014_x86_64", free, true),
            ("cp313-cp313-manylinux2014_x86_64", free, false),
            ("cp39-abi3-manylinux2014_x86_64", free, false),
            ("pp310-pypy310_pp73-manylinux2014_x86_64", pypy, true),
            ("pp39-pypy39_pp73-manylinux2014_x86_64", pypy, false),
            ("cp310-cp310-manylinux2014_x86_64", pypy, false),
            ("cp311-cp311-musllinux_1_2_x86_64", musl, true),
            ("cp311-cp311-manylinux2014_x86_64", musl, false),
            ("cp37-cp37m-linux_x86_64", Runtime { version: (3, 7), ..musl }, true),
        ] {
            assert_eq!(WheelTag::parse(tag).unwrap().problem(&runtime).is_none(), fits, "{tag}");
        }
    }

    #[test]
    fn the_closest_of_several_tags_is_the_one_to_talk_about() {
        let wheel = "Wheel-Version: 1.0\nTag: cp310-cp310-manylinux_2_39_x86_64\r\n\
            Tag: cp311-cp311-manylinux_2_39_x86_64\nTag: nonsense\n";
        let tags = tags(wheel);
        assert_eq!(tags.len(), 2);
        let runtime = runtime(11, Libc::Glibc(Some((2, 36))));
        assert_eq!(problem(&tags, &runtime), Some(Problem::NewerLibc(2, 39)));
        assert_eq!(problem(&[], &runtime), None);
        for text in ["", "a-b", "a--c", "a-b-c-d", ".-b-c"] {
            assert_eq!(WheelTag::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), tag in "(cp|py|pp|é)[0-9_]{0,7}-(abi3|none|cp3)-(manylinux_|musllinux_)?[0-9_a-z.]{0,14}") {
            let runtime = runtime(11, Libc::Glibc(Some((2, 36))));
            for tag in tags(&format!("Tag: {text}\nTag: {tag}\n")) {
                tag.problem(&runtime);
                prop_assert_eq!(WheelTag::parse(&tag.to_string()), Some(tag));
            }
        }
    }
}
