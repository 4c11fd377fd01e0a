//! What a search depends on beside the files of the root: the workload's environment, its working
//! directory, the processor and the kernel's pages. `verify` fills it in, for this machine or for
//! the one that the command line describes.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::platform::{Arch, cpu};

/// Under what a loader searches.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// LD_LIBRARY_PATH.
    pub library_path: OsString,
    /// LD_PRELOAD.
    pub preload: OsString,
    /// The workload's working directory inside the root, from which empty and relative parts of
    /// search paths count. Without it they are left out.
    pub working_folder: Option<PathBuf>,
    /// What the processor has.
    pub processor: Processor,
    /// Bytes of a page of memory; `None` where the kernel is not known.
    pub page_size: Option<u64>,
}

/// What of a processor decides over files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// The glibc-hwcaps folders that it may use, best first.
    pub levels: Vec<&'static str>,
    /// Until glibc 2.36: its AT_HWCAP names that have folders, in the order of their bits, and
    /// then its AT_PLATFORM.
    pub legacy: Vec<&'static str>,
    /// The x86-64 level 1 to 4; `None` where it is not known.
    pub x86_level: Option<u8>,
}

/// The folders below `glibc-hwcaps` of each port, best first (`dl-hwcaps-subdirs.c`).
const LEVELS: [(Arch, &[&str]); 3] = [
    (Arch::Amd64, &["x86-64-v4", "x86-64-v3", "x86-64-v2"]),
    (Arch::Ppc64le, &["power10", "power9"]),
    (Arch::S390x, &["z16", "z15", "z14", "z13"]),
];

fn known(arch: Arch) -> &'static [&'static str] {
    LEVELS.iter().find(|(of, _)| *of == arch).map_or(&[], |(_, levels)| levels)
}

impl Processor {
    /// The least processor of an architecture: no better folder is used.
    pub fn least(arch: Arch) -> Processor {
        Processor { levels: Vec::new(), legacy: legacy(arch, None, 1, false), x86_level: None }
    }

    /// This machine's, where it runs `arch`; else the least one.
    pub fn of_this_machine(arch: Arch) -> Processor {
        if Arch::built_for() != Some(arch) {
            return Processor::least(arch);
        }
        let found = cpu::detect();
        let level = found.x86_64_level;
        let atomics = found.features.contains(&"atomics");
        let levels = match level {
            Some(level) => known(arch).iter().skip(4 - usize::from(level.clamp(1, 4))).collect(),
            None => {
                known(arch).iter().filter(|name| found.levels.contains(name)).collect::<Vec<_>>()
            }
        };
        Processor {
            levels: levels.into_iter().copied().collect(),
            legacy: legacy(arch, found.vendor.as_deref(), level.unwrap_or(1), atomics),
            x86_level: level,
        }
    }

    /// The one that a level names: `x86-64-v1` to `-v4`, `power9`, `z15`. The error lists those
    /// that `arch` has.
    pub fn named(arch: Arch, name: &str) -> Result<Processor, String> {
        let all = known(arch);
        let least = Processor::least(arch);
        if arch == Arch::Amd64 && name == "x86-64-v1" {
            return Ok(Processor { x86_level: Some(1), ..least });
        }
        let Some(at) = all.iter().position(|level| *level == name) else {
            let mut names = all.to_vec();
            if arch == Arch::Amd64 {
                names.push("x86-64-v1");
            }
            return Err(match names.is_empty() {
                true => format!("{arch} has no levels"),
                false => format!("{name:?} is not one of {arch}'s levels: {}", names.join(", ")),
            });
        };
        let x86_level = (arch == Arch::Amd64).then(|| 4 - at as u8);
        Ok(Processor { levels: all[at..].to_vec(), x86_level, ..least })
    }
}

/// glibc, sysdeps/x86/cpu-features.c and sysdeps/unix/sysv/linux/aarch64/dl-procinfo.h of 2.36:
/// only processors of Intel get a better platform than the kernel's own word.
fn legacy(arch: Arch, vendor: Option<&str>, level: u8, atomics: bool) -> Vec<&'static str> {
    let intel = vendor == Some("GenuineIntel");
    match arch {
        Arch::Amd64 => {
            let mut names = vec!["x86_64"];
            if intel && level >= 4 {
                names.push("avx512_1");
            }
            names.push(if intel && level >= 3 { "haswell" } else { "x86_64" });
            names
        }
        Arch::Arm64 if atomics => vec!["atomics", "aarch64"],
        other => vec![other.uname()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_brings_those_below_it_and_an_unknown_one_is_answered_with_the_known() {
        let v3 = Processor::named(Arch::Amd64, "x86-64-v3").unwrap();
        assert_eq!(v3.levels, ["x86-64-v3", "x86-64-v2"]);
        assert_eq!(v3.x86_level, Some(3));
        assert!(Processor::named(Arch::Amd64, "x86-64-v1").unwrap().levels.is_empty());
        assert_eq!(Processor::named(Arch::S390x, "z14").unwrap().levels, ["z14", "z13"]);
        assert_eq!(Processor::named(Arch::Ppc64le, "power9").unwrap().x86_level, None);
        let why = Processor::named(Arch::Amd64, "v3").unwrap_err();
        assert!(why.contains("x86-64-v4, x86-64-v3, x86-64-v2, x86-64-v1"), "{why}");
        assert!(Processor::named(Arch::Arm64, "sve").is_err());
    }

    #[test]
    fn another_machines_processor_is_the_least_one() {
        let other = if Arch::built_for() == Some(Arch::S390x) { Arch::Arm64 } else { Arch::S390x };
        assert_eq!(Processor::of_this_machine(other), Processor::least(other));
    }
}
