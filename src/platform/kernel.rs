//! What uname(2) says, and the environment variables made from it.
//!
//! `init/` calls [`variables`] and [`prefixed_variables`] at every start: they cost one system
//! call and read no file. `detect` takes the same words for the report.

use std::ffi::CStr;

use serde::Serialize;

use super::Arch;

/// The fields of uname(2) that say what this machine is, as the kernel spells them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uname {
    /// `uname -s`: `Linux`.
    pub sysname: String,
    /// `uname -m`: `x86_64`, `aarch64`, …
    pub machine: String,
    /// `uname -r`: `6.1.0-18-amd64`, …
    pub release: String,
}

impl Uname {
    /// Asks the kernel (or the emulator, which answers for the machine it plays).
    pub fn of_this_process() -> Uname {
        let uname = rustix::system::uname();
        Uname {
            sysname: owned(uname.sysname()),
            machine: owned(uname.machine()),
            release: owned(uname.release()),
        }
    }

    /// The machine as one of the known architectures.
    pub fn arch(&self) -> Option<Arch> {
        Arch::from_machine(&self.machine)
    }

    /// Docker's word for the machine (`amd64`, `arm/v7`), the kernel's own where Docker has none.
    pub fn arch_word(&self) -> &str {
        match self.arch() {
            Some(arch) => arch.docker(),
            None => &self.machine,
        }
    }

    /// System and architecture as `docker build --platform` takes them: `linux/arm64`.
    pub fn platform(&self) -> String {
        let mut text = self.sysname.to_ascii_lowercase();
        text.push('/');
        text.push_str(self.arch_word());
        text
    }
}

/// Bytes of a page of memory.
pub fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// The variables every workload gets: `MAK_PLATFORM=linux/amd64` and `MAK_ARCH=amd64`.
pub fn variables(uname: &Uname) -> [(&'static str, String); 2] {
    [("MAK_PLATFORM", uname.platform()), ("MAK_ARCH", uname.arch_word().to_owned())]
}

/// The variables of a profile with the environment prefix `prefix` (such as `IPFS_KIT_`):
/// system and machine as uname(2) gives them, and the machine in the words that entrypoint
/// scripts branch on.
pub fn prefixed_variables(prefix: &str, uname: &Uname) -> Vec<(String, String)> {
    let name = |rest: &str| [prefix, rest].concat();
    vec![
        (name("PLATFORM"), uname.sysname.clone()),
        (name("ARCH"), uname.machine.clone()),
        (name("ARCH_NORMALIZED"), normalized(&uname.machine).to_owned()),
    ]
}

/// The vocabulary of the entrypoint scripts: it knows three words and passes on the rest, and
/// it has one word for both versions of 32-bit ARM, so it is not [`Arch::docker`].
fn normalized(machine: &str) -> &str {
    match machine {
        "x86_64" | "amd64" => "amd64",
        "aarch64" | "arm64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        other => other,
    }
}

fn owned(text: &CStr) -> String {
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(machine: &str) -> Uname {
        Uname {
            sysname: "Linux".to_owned(),
            machine: machine.to_owned(),
            release: "6.1".to_owned(),
        }
    }

    #[test]
    fn a_known_machine_gets_dockers_words() {
        let [platform, arch] = variables(&machine("armv7l"));
        assert_eq!(platform, ("MAK_PLATFORM", "linux/arm/v7".to_owned()));
        assert_eq!(arch, ("MAK_ARCH", "arm/v7".to_owned()));
    }

    #[test]
    fn an_unknown_machine_keeps_its_own_word() {
        let [platform, arch] = variables(&machine("loongarch64"));
        assert_eq!(platform.1, "linux/loongarch64");
        assert_eq!(arch.1, "loongarch64");
    }

    #[test]
    fn prefixed_variables_are_those_of_the_entrypoint_scripts() {
        let value = |word: &str| prefixed_variables("IPFS_KIT_", &machine(word));
        assert_eq!(
            value("x86_64"),
            [
                ("IPFS_KIT_PLATFORM".to_owned(), "Linux".to_owned()),
                ("IPFS_KIT_ARCH".to_owned(), "x86_64".to_owned()),
                ("IPFS_KIT_ARCH_NORMALIZED".to_owned(), "amd64".to_owned()),
            ]
        );
        for (word, expected) in [
            ("amd64", "amd64"),
            ("aarch64", "arm64"),
            ("arm64", "arm64"),
            ("armv7l", "arm"),
            ("armv6l", "arm"),
            ("armv8l", "armv8l"),
            ("i686", "i686"),
            ("riscv64", "riscv64"),
        ] {
            assert_eq!(value(word)[2].1, expected);
        }
    }

    #[test]
    fn this_process_runs_on_a_machine_that_it_was_built_for() {
        let uname = Uname::of_this_process();
        assert_eq!(uname.sysname, "Linux");
        assert_eq!(uname.arch().map(Arch::elf_machine), Arch::built_for().map(Arch::elf_machine));
        assert!(page_size().is_power_of_two());
    }
}
