//! Whether this process runs on the processor it was built for, or is translated: qemu-user,
//! Rosetta, or another interpreter.
//!
//! Emulators fake what programs ask about themselves: uname(2), `/proc/self/exe`, the auxiliary
//! vector. They do it by exact path, so `/proc/thread-self/exe` still leads to the real program,
//! the interpreter. What is registered in binfmt_misc is not asked: it says what could run
//! translated, not what does. [`collect`] records the facts; every rule is a pure function over
//! them, so that machines that are not at hand can be tested.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Arch, Uname};
use crate::elf;

/// That this process is emulated, by what, and how that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Emulation {
    /// `qemu-user`, `qemu-system` (the whole machine), `rosetta`; another interpreter's file name;
    /// `unknown` where nothing names it.
    pub name: String,
    /// The fact that decided, for people.
    pub evidence: String,
}

/// What the rules look at; `None` is "cannot be read here".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The architecture of this program's own code.
    pub built_for: Option<Arch>,
    /// `machine` of uname(2): what an emulator says.
    pub machine: String,
    /// /proc/sys/kernel/arch (Linux 6.1 and newer): what the kernel says.
    pub kernel_arch: Option<String>,
    /// Where /proc/thread-self/exe leads.
    pub program: Option<PathBuf>,
    /// `e_machine` of the file behind that link.
    pub program_machine: Option<u16>,
    /// On x86: the hypervisor's name in CPUID leaf 0x40000000, and the processor's brand.
    pub hypervisor: Option<String>,
    /// On x86: the brand string of CPUID leaves 0x80000002 to 0x80000004.
    pub brand: Option<String>,
}

/// Reads the facts of this process. `hypervisor` and `brand` come from [`super::cpu`].
pub fn collect(uname: &Uname, hypervisor: Option<String>, brand: Option<String>) -> Facts {
    const EXE: &str = "/proc/thread-self/exe";
    let kernel_arch = super::Root::host().read(Path::new("/proc/sys/kernel/arch"), 64).ok();
    let kernel_arch = kernel_arch.and_then(|bytes| String::from_utf8(bytes).ok());
    Facts {
        built_for: Arch::built_for(),
        machine: uname.machine.clone(),
        kernel_arch: kernel_arch.map(|word| word.trim().to_owned()),
        program: std::fs::read_link(EXE).ok(),
        program_machine: File::open(EXE)
            .ok()
            .and_then(|file| elf::identify(&file).ok())
            .map(|identity| identity.machine.0),
        hypervisor,
        brand,
    }
}

/// The first rule that fits, the surest first; `None` if the facts speak for a real processor.
pub fn judge(facts: &Facts) -> Option<Emulation> {
    by_program_name(facts)
        .or_else(|| by_program_machine(facts))
        .or_else(|| by_brand(facts))
        .or_else(|| by_hypervisor(facts))
        .or_else(|| by_kernel_arch(facts))
}

/// The program that the kernel runs for us is an emulator. This also finds an emulator of the
/// machine's own kind, such as qemu-x86_64 on x86-64.
fn by_program_name(facts: &Facts) -> Option<Emulation> {
    let program = facts.program.as_deref()?;
    let name = known_emulator(program)?;
    found(name, format!("the kernel runs {} for this process", program.display()))
}

/// The program that the kernel runs for us is made for another processor than our code.
fn by_program_machine(facts: &Facts) -> Option<Emulation> {
    let program_machine = facts.program_machine?;
    let built_for = facts.built_for?;
    if program_machine == built_for.elf_machine() {
        return None;
    }
    let program = facts.program.as_deref();
    let name = program.and_then(Path::file_name).and_then(OsStr::to_str).unwrap_or("unknown");
    found(
        name,
        format!(
            "the program behind this process has e_machine {program_machine}, and this code is \
             for {built_for} ({})",
            built_for.elf_machine()
        ),
    )
}

/// Rosetta shows x86 programs a processor of its own; so does QEMU without hardware help.
fn by_brand(facts: &Facts) -> Option<Emulation> {
    let brand = facts.brand.as_deref()?;
    if brand.starts_with("VirtualApple") {
        return found("rosetta", format!("the processor's brand is {brand:?}"));
    }
    if brand.starts_with("QEMU TCG CPU") {
        return found(qemu_without_a_name(facts), format!("the processor's brand is {brand:?}"));
    }
    None
}

/// QEMU's translator names itself in the hypervisor's CPUID leaf, under KVM that is `KVMKVMKVM`.
fn by_hypervisor(facts: &Facts) -> Option<Emulation> {
    let hypervisor = facts.hypervisor.as_deref().filter(|name| name.starts_with("TCGTCG"))?;
    found(qemu_without_a_name(facts), format!("CPUID leaf 0x40000000 says {hypervisor:?}"))
}

/// The kernel is for another architecture than the one that uname(2) claims.
fn by_kernel_arch(facts: &Facts) -> Option<Emulation> {
    let word = facts.kernel_arch.as_deref()?;
    let kernel = Arch::from_machine(word)?;
    let claimed = Arch::from_machine(&facts.machine)?;
    if kernel == claimed || runs_natively(kernel, claimed) {
        return None;
    }
    found("unknown", format!("the kernel is for {word}, and uname says {}", facts.machine))
}

/// 64-bit kernels run 32-bit programs of their family, and tell them so under setarch(8).
pub fn runs_natively(kernel: Arch, program: Arch) -> bool {
    matches!(
        (kernel, program),
        (Arch::Amd64, Arch::I386) | (Arch::Arm64, Arch::ArmV7 | Arch::ArmV6)
    ) || matches!((kernel, program), (Arch::ArmV7, Arch::ArmV6) | (Arch::ArmV6, Arch::ArmV7))
}

/// qemu-user has a program of its own behind the process. Where that was looked for and is not
/// there, the whole machine, kernel and all, is QEMU's.
fn qemu_without_a_name(facts: &Facts) -> &'static str {
    if facts.program_machine.is_some() { "qemu-system" } else { "qemu-user" }
}

/// The emulators that are told by the file name of their program. The kernel adds ` (deleted)`
/// to the name of a program that has been replaced since.
fn known_emulator(program: &Path) -> Option<&'static str> {
    let name = program.file_name()?.to_str()?;
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    if name.strip_prefix("qemu-").is_some_and(names_a_target) {
        return Some("qemu-user");
    }
    (name == "rosetta").then_some("rosetta")
}

/// Whether the rest of `qemu-…` is a processor, as in `aarch64`, `arm-static`, `x86_64-binfmt-P`.
fn names_a_target(rest: &str) -> bool {
    const OTHER_SPELLINGS: [&str; 2] = ["i386", "ppc64le"];
    let target = rest.split('-').next().unwrap_or(rest);
    Arch::from_machine(target).is_some() || OTHER_SPELLINGS.contains(&target)
}

fn found(name: &str, evidence: String) -> Option<Emulation> {
    Some(Emulation { name: name.to_owned(), evidence })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real() -> Facts {
        Facts {
            built_for: Some(Arch::Amd64),
            machine: "x86_64".to_owned(),
            kernel_arch: Some("x86_64".to_owned()),
            program: Some(PathBuf::from("/mak-init")),
            program_machine: Some(62),
            hypervisor: Some("KVMKVMKVM".to_owned()),
            brand: Some("AMD EPYC 7B13".to_owned()),
        }
    }

    fn name(facts: &Facts) -> Option<String> {
        judge(facts).map(|emulation| emulation.name)
    }

    #[test]
    fn a_virtual_machine_on_its_own_processor_is_not_emulated() {
        assert_eq!(judge(&real()), None);
    }

    #[test]
    fn qemu_user_is_found_although_it_fakes_uname() {
        let facts = Facts {
            built_for: Some(Arch::Arm64),
            machine: "aarch64".to_owned(),
            program: Some(PathBuf::from("/usr/bin/qemu-aarch64-static")),
            hypervisor: None,
            brand: None,
            ..real()
        };
        assert_eq!(name(&facts), Some("qemu-user".to_owned()));
    }

    #[test]
    fn qemu_user_of_the_machines_own_kind_is_found_by_its_program_or_by_cpuid() {
        let program = Some(PathBuf::from("/usr/libexec/qemu-x86_64 (deleted)"));
        assert_eq!(name(&Facts { program, ..real() }), Some("qemu-user".to_owned()));
        let facts = Facts {
            program: None,
            program_machine: None,
            hypervisor: Some("TCGTCGTCGTCG".to_owned()),
            ..real()
        };
        assert_eq!(name(&facts), Some("qemu-user".to_owned()));
    }

    #[test]
    fn a_whole_machine_by_qemus_translator_is_not_called_qemu_user() {
        let facts = Facts { hypervisor: Some("TCGTCGTCGTCG".to_owned()), ..real() };
        assert_eq!(name(&facts), Some("qemu-system".to_owned()));
    }

    #[test]
    fn rosetta_is_found_by_its_program_and_by_the_brand_of_its_processor() {
        let program = Some(PathBuf::from("/run/rosetta/rosetta"));
        let facts = Facts { program, program_machine: Some(183), ..real() };
        assert_eq!(name(&facts), Some("rosetta".to_owned()));
        let facts = Facts { brand: Some("VirtualApple @ 2.50GHz".to_owned()), ..real() };
        assert_eq!(name(&facts), Some("rosetta".to_owned()));
    }

    #[test]
    fn an_interpreter_that_nobody_knows_is_called_by_its_file_name() {
        let program = Some(PathBuf::from("/opt/translate"));
        let facts = Facts { program, program_machine: Some(183), ..real() };
        let emulation = judge(&facts).unwrap();
        assert_eq!(emulation.name, "translate");
        assert!(emulation.evidence.contains("183"));
    }

    #[test]
    fn a_kernel_of_another_architecture_is_the_last_sign_left_without_a_program() {
        let facts = Facts {
            kernel_arch: Some("aarch64".to_owned()),
            program: None,
            program_machine: None,
            ..real()
        };
        assert_eq!(name(&facts), Some("unknown".to_owned()));
    }

    #[test]
    fn a_32_bit_program_under_a_64_bit_kernel_is_not_emulated() {
        for (built_for, machine, kernel) in [
            (Arch::I386, "i686", "x86_64"),
            (Arch::I386, "x86_64", "x86_64"),
            (Arch::ArmV7, "armv8l", "aarch64"),
            (Arch::ArmV6, "aarch64", "aarch64"),
        ] {
            let facts = Facts {
                built_for: Some(built_for),
                machine: machine.to_owned(),
                kernel_arch: Some(kernel.to_owned()),
                program_machine: Some(built_for.elf_machine()),
                ..real()
            };
            assert_eq!(judge(&facts), None, "{machine} on {kernel}");
        }
    }

    #[test]
    fn a_program_called_qemu_something_is_not_an_emulator_for_that() {
        let program = Some(PathBuf::from("/usr/bin/qemu-img"));
        assert_eq!(judge(&Facts { program, ..real() }), None);
    }

    #[test]
    fn without_any_fact_nothing_is_claimed() {
        assert_eq!(judge(&Facts::default()), None);
    }

    #[test]
    fn this_process_is_emulated_if_the_program_behind_it_is_for_another_machine() {
        let facts = collect(&Uname::of_this_process(), None, None);
        assert!(facts.program.as_deref().is_some_and(Path::is_absolute));
        let built_for = facts.built_for.map(Arch::elf_machine);
        assert!(facts.program_machine.is_some());
        assert_eq!(judge(&facts).is_some(), facts.program_machine != built_for, "{facts:?}");
        println!("{:?}", judge(&facts));
    }
}
