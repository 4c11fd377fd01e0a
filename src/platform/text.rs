//! The platform as lines: `KEY: value` for people, `KEY=value` for shells and `--env-file`.
//!
//! Both come from one table, so that nothing is in one form and missing in the other.

use super::limits::Limit;
use super::{Arch, Platform};

/// A fact under both of its names.
struct Row {
    label: &'static str,
    variable: &'static str,
    value: Option<String>,
    /// What people read where there is no value.
    otherwise: &'static str,
}

const UNKNOWN: &str = "unknown";
const NONE: &str = "none";
const NO_LIMIT: &str = "no limit";

/// Lines for people.
pub fn for_people(platform: &Platform) -> String {
    let mut out = String::new();
    for row in rows(platform) {
        out.push_str(row.label);
        out.push_str(": ");
        out.push_str(row.value.as_deref().unwrap_or(row.otherwise));
        out.push('\n');
    }
    out
}

/// Lines that a shell can source and `docker run --env-file` accepts. Every key is always there;
/// an empty value is "none", "no limit" or "unknown". The engine takes quotes literally, so there
/// are none, and a byte that a shell could take for more than itself becomes `_`.
pub fn for_shells(platform: &Platform) -> String {
    let mut out = String::new();
    for row in rows(platform) {
        out.push_str(row.variable);
        out.push('=');
        out.extend(row.value.unwrap_or_default().chars().map(harmless));
        out.push('\n');
    }
    out
}

/// The character itself if no shell and no env file reads it as syntax, else `_`.
fn harmless(character: char) -> char {
    let plain = character.is_ascii_alphanumeric() || "_./:,+@%-".contains(character);
    if plain { character } else { '_' }
}

fn rows(platform: &Platform) -> Vec<Row> {
    let row = |label, variable, value, otherwise| Row { label, variable, value, otherwise };
    let words = |list: &[&str]| (!list.is_empty()).then(|| list.join(","));
    let docker = |arch: Option<Arch>| arch.map(|arch| arch.docker().to_owned());
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let soft = |limit: Limit| number(limit.soft);
    let hard = |limit: Limit| number(limit.hard);
    let cpu = &platform.cpu;
    let cgroup = &platform.cgroup;
    let limits = &platform.limits;
    let libc = platform.libc.as_ref().map(super::Libc::word);
    let emulation = platform.emulation.as_ref().map(|found| found.name.clone());
    let level = cpu.x86_64_level.map(|level| format!("x86-64-v{level}"));
    vec![
        row("platform", "MAK_PLATFORM", Some(platform.platform.clone()), UNKNOWN),
        row("arch", "MAK_ARCH", Some(platform.arch.clone()), UNKNOWN),
        row("machine", "MAK_MACHINE", Some(platform.uname.machine.clone()), UNKNOWN),
        row("built for", "MAK_BUILT_FOR", docker(platform.built_for), UNKNOWN),
        row("userland", "MAK_USERLAND", docker(platform.userland), NONE),
        row("system", "MAK_SYSTEM", Some(platform.uname.sysname.clone()), UNKNOWN),
        row("kernel", "MAK_KERNEL", Some(platform.uname.release.clone()), UNKNOWN),
        row("page size", "MAK_PAGE_SIZE", number(Some(platform.page_size)), UNKNOWN),
        row("libc", "MAK_LIBC", libc, NONE),
        row("emulation", "MAK_EMULATION", emulation, NONE),
        row("cpu vendor", "MAK_CPU_VENDOR", cpu.vendor.clone(), UNKNOWN),
        row("cpu model", "MAK_CPU_MODEL", cpu.model.clone(), UNKNOWN),
        row("cpu level", "MAK_CPU_LEVEL", level, UNKNOWN),
        row("cpu features", "MAK_CPU_FEATURES", words(&cpu.features), UNKNOWN),
        row("cgroup", "MAK_CGROUP", cgroup.version.map(|v| v.word().to_owned()), NONE),
        row("memory limit", "MAK_MEMORY_LIMIT", number(cgroup.memory_bytes), NO_LIMIT),
        row("cpus", "MAK_CPUS", cgroup.cpus.map(|cpus| cpus.to_string()), NO_LIMIT),
        row("pids limit", "MAK_PIDS_LIMIT", number(cgroup.processes), NO_LIMIT),
        row("open files", "MAK_OPEN_FILES", soft(limits.open_files), NO_LIMIT),
        row("open files hard", "MAK_OPEN_FILES_HARD", hard(limits.open_files), NO_LIMIT),
        row("processes", "MAK_PROCESSES", soft(limits.processes), NO_LIMIT),
        row("processes hard", "MAK_PROCESSES_HARD", hard(limits.processes), NO_LIMIT),
        row("core size", "MAK_CORE_SIZE", soft(limits.core_bytes), NO_LIMIT),
        row("core size hard", "MAK_CORE_SIZE_HARD", hard(limits.core_bytes), NO_LIMIT),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{Root, detect};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_carry_the_same_facts_in_the_same_order() {
        let platform = detect(&Root::host());
        let people = for_people(&platform);
        let shells = for_shells(&platform);
        assert_eq!(people.lines().count(), shells.lines().count());
        assert!(people.starts_with(&format!("platform: {}\n", platform.platform)));
        assert!(shells.starts_with(&format!("MAK_PLATFORM={}\n", platform.platform)));
    }

    #[test]
    fn what_is_absent_is_a_word_for_people_and_empty_for_shells() {
        let mut platform = detect(&Root::host());
        platform.emulation = None;
        platform.cgroup.memory_bytes = None;
        platform.cgroup.cpus = Some(0.5);
        assert!(for_people(&platform).contains("\nmemory limit: no limit\n"));
        assert!(for_people(&platform).contains("\nemulation: none\n"));
        assert!(for_shells(&platform).contains("\nMAK_MEMORY_LIMIT=\nMAK_CPUS=0.5\n"));
    }

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let mut platform = detect(&Root::host());
        platform.uname.release = "6.1; touch $(x) 'y' \"z\" `w` \\ #~\n".to_owned();
        let script = format!("set -eu; {}printf %s \"$MAK_KERNEL\"", for_shells(&platform));
        let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), "6.1__touch___x___y___z___w_______");
    }

    proptest! {
        #[test]
        fn a_value_is_one_line_of_harmless_characters(release in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
            // A root without a C library, which is the slow part to read.
            let mut platform = detect(&Root::at(std::path::Path::new("/proc/self")).unwrap());
            let lines = for_shells(&platform).lines().count();
            platform.uname.release = release;
            let text = for_shells(&platform);
            prop_assert_eq!(text.lines().count(), lines);
            for line in text.lines() {
                let (_, value) = line.split_once('=').unwrap();
                prop_assert!(value.chars().all(|c| harmless(c) == c));
            }
        }
    }
}
