//! The processor as programs may use it: who made it, which x86-64 level it reaches, which
//! instruction sets an aarch64 kernel offers.
//!
//! Asked are CPUID and AT_HWCAP, which an emulator answers for the processor it plays;
//! /proc/cpuinfo would describe the machine underneath.

use serde::Serialize;

/// What is known of the processor; on architectures without a source here all is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// CPUID's vendor, as in `GenuineIntel`.
    pub vendor: Option<String>,
    /// CPUID's brand string.
    pub model: Option<String>,
    /// The micro-architecture level 1 to 4 of the x86-64 psABI.
    pub x86_64_level: Option<u8>,
    /// What programs branch on, in the kernel's words: on x86 those of /proc/cpuinfo, on aarch64
    /// those of AT_HWCAP and AT_HWCAP2 as in Linux' `Documentation/arch/arm64`.
    pub features: Vec<&'static str>,
    /// POWER and IBM Z: the names of the folders below glibc-hwcaps that fit.
    #[serde(skip)]
    pub levels: Vec<&'static str>,
    /// CPUID leaf 0x40000000, as in `KVMKVMKVM`; for the judgement on emulation.
    #[serde(skip)]
    pub hypervisor: Option<String>,
}

/// Asks the processor that this process sees.
#[cfg(target_arch = "x86_64")]
pub fn detect() -> Cpu {
    use std::arch::x86_64::__cpuid;

    let vendor = __cpuid(0);
    let hypervisor = __cpuid(0x4000_0000);
    let has_brand = __cpuid(0x8000_0000).eax >= 0x8000_0004;
    let brand = || [0x8000_0002, 0x8000_0003, 0x8000_0004].map(__cpuid);
    Cpu {
        vendor: text(&[vendor.ebx, vendor.edx, vendor.ecx]),
        model: has_brand.then(brand).and_then(|leaves| {
            let words: Vec<u32> =
                leaves.iter().flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]).collect();
            text(&words)
        }),
        x86_64_level: Some(level(has_level_2(), has_level_3(), has_level_4())),
        features: x86_features(),
        levels: Vec::new(),
        hypervisor: text(&[hypervisor.ebx, hypervisor.ecx, hypervisor.edx]),
    }
}

/// Asks the kernel what programs may use.
#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
pub fn detect() -> Cpu {
    let (hwcap, hwcap2) = rustix::param::linux_hwcap();
    Cpu { features: aarch64_features(hwcap as u64, hwcap2 as u64), ..Cpu::default() }
}

/// Asks the kernel what programs may use.
#[cfg(any(target_arch = "powerpc64", target_arch = "s390x"))]
pub fn detect() -> Cpu {
    let (hwcap, hwcap2) = rustix::param::linux_hwcap();
    let power = cfg!(target_arch = "powerpc64");
    let levels = if power { power_levels(hwcap2 as u64) } else { z_levels(hwcap as u64) };
    Cpu { levels, ..Cpu::default() }
}

/// Nothing is known of other processors.
#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_os = "linux"),
    target_arch = "powerpc64",
    target_arch = "s390x"
)))]
pub fn detect() -> Cpu {
    Cpu::default()
}

/// PPC_FEATURE2_ARCH_3_00 is POWER9, PPC_FEATURE2_ARCH_3_1 with _MMA POWER10 (`asm/cputable.h`).
#[cfg(any(target_arch = "powerpc64", test))]
fn power_levels(hwcap2: u64) -> Vec<&'static str> {
    const NAMES: [(u64, &str); 2] = [(0x0080_0000, "power9"), (0x0006_0000, "power10")];
    reached(hwcap2, &NAMES)
}

/// The HWCAP_S390 bits (`asm/elf.h`): vectors are z13; guarded storage and the first vector
/// extensions z14; the second, sorting and deflate z15; the neural network assist z16.
#[cfg(any(target_arch = "s390x", test))]
fn z_levels(hwcap: u64) -> Vec<&'static str> {
    const NAMES: [(u64, &str); 4] = [
        (1 << 11, "z13"),
        (1 << 12 | 1 << 13 | 1 << 14, "z14"),
        (1 << 15 | 1 << 16 | 1 << 17 | 1 << 18, "z15"),
        (1 << 19 | 1 << 20, "z16"),
    ];
    reached(hwcap, &NAMES)
}

/// The names up to the first whose bits are not all there.
#[cfg(any(target_arch = "powerpc64", target_arch = "s390x", test))]
fn reached(bits: u64, names: &[(u64, &'static str)]) -> Vec<&'static str> {
    names.iter().take_while(|(wanted, _)| bits & wanted == *wanted).map(|(_, name)| *name).collect()
}

/// The highest level whose instructions, and all those of the levels below, are there.
#[cfg(any(target_arch = "x86_64", test))]
fn level(two: bool, three: bool, four: bool) -> u8 {
    match (two, three, four) {
        (false, _, _) => 1,
        (true, false, _) => 2,
        (true, true, false) => 3,
        (true, true, true) => 4,
    }
}

/// The instruction sets that published libraries branch on. The macro wants literals.
#[cfg(target_arch = "x86_64")]
fn x86_features() -> Vec<&'static str> {
    let all = [
        ("aes", is_x86_feature_detected!("aes")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512_vnni", is_x86_feature_detected!("avx512vnni")),
        ("bmi1", is_x86_feature_detected!("bmi1")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("fma", is_x86_feature_detected!("fma")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("popcnt", is_x86_feature_detected!("popcnt")),
        ("sha_ni", is_x86_feature_detected!("sha")),
        ("sse4_1", is_x86_feature_detected!("sse4.1")),
        ("sse4_2", is_x86_feature_detected!("sse4.2")),
        ("ssse3", is_x86_feature_detected!("ssse3")),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

#[cfg(target_arch = "x86_64")]
fn has_level_2() -> bool {
    // LAHF and SAHF in 64-bit mode: CPUID 0x80000001, ECX bit 0.
    let lahf = std::arch::x86_64::__cpuid(0x8000_0001).ecx & 1 == 1;
    lahf && is_x86_feature_detected!("cmpxchg16b")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("sse3")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1")
        && is_x86_feature_detected!("sse4.2")
}

/// The macro asks XCR0 too, whether the kernel saves the wide registers.
#[cfg(target_arch = "x86_64")]
fn has_level_3() -> bool {
    is_x86_feature_detected!("avx")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("movbe")
}

#[cfg(target_arch = "x86_64")]
fn has_level_4() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// Names of the bits that published wheels and libraries branch on (`asm/hwcap.h` of arm64).
#[cfg(any(all(target_arch = "aarch64", target_os = "linux"), test))]
fn aarch64_features(hwcap: u64, hwcap2: u64) -> Vec<&'static str> {
    const HWCAP: [(u32, &str); 7] = [
        (1, "asimd"),
        (3, "aes"),
        (6, "sha2"),
        (7, "crc32"),
        (8, "atomics"),
        (20, "asimddp"),
        (22, "sve"),
    ];
    const HWCAP2: [(u32, &str); 3] = [(1, "sve2"), (13, "i8mm"), (14, "bf16")];
    let first = HWCAP.iter().filter(|(bit, _)| hwcap >> bit & 1 == 1);
    let second = HWCAP2.iter().filter(|(bit, _)| hwcap2 >> bit & 1 == 1);
    first.chain(second).map(|(_, name)| *name).collect()
}

/// The ASCII in CPUID registers, up to the first NUL; `None` if there is no printable text, as in
/// a leaf that the processor does not have.
#[cfg(any(target_arch = "x86_64", test))]
fn text(words: &[u32]) -> Option<String> {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    let text: String = bytes.take_while(|byte| *byte != 0).map(char::from).collect();
    let text = text.trim();
    let printable = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    printable.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_needs_all_levels_below_it() {
        assert_eq!(level(false, true, true), 1);
        assert_eq!(level(true, false, true), 2);
        assert_eq!(level(true, true, false), 3);
        assert_eq!(level(true, true, true), 4);
    }

    #[test]
    fn hwcap_bits_have_the_kernels_names() {
        assert_eq!(aarch64_features(1 << 1 | 1 << 8, 1 << 13), ["asimd", "atomics", "i8mm"]);
        assert!(aarch64_features(0, 0).is_empty());
        assert_eq!(aarch64_features(u64::MAX, u64::MAX).len(), 10);
    }

    #[test]
    fn power_and_z_levels_build_on_those_below() {
        assert_eq!(power_levels(0x0086_0000), ["power9", "power10"]);
        assert!(power_levels(0x0006_0000).is_empty());
        assert_eq!(z_levels(0x0007_f800), ["z13", "z14", "z15"]);
    }

    #[test]
    fn registers_spell_a_name_only_if_it_is_text() {
        assert_eq!(text(&[0x756e_6547, 0x4965_6e69, 0x6c65_746e]), Some("GenuineIntel".to_owned()));
        assert_eq!(text(&[0x4b4d_564b, 0x564b_4d56, 0x0000_004d]), Some("KVMKVMKVM".to_owned()));
        assert_eq!(text(&[0x0000_0001, 0xffff_ffff]), None);
        assert_eq!(text(&[0, 0, 0]), None);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn an_x86_processor_says_who_made_it_and_has_a_level() {
        let cpu = detect();
        assert!(cpu.vendor.is_some_and(|vendor| vendor.len() <= 12));
        assert!(cpu.x86_64_level.is_some_and(|level| (1..=4).contains(&level)));
    }

    /// The kernel lists the same names, on a real processor.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn x86_features_are_those_of_the_kernel() {
        let text = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let line = text.lines().find(|line| line.starts_with("flags")).unwrap();
        let kernel: Vec<&str> = line.split_whitespace().collect();
        for feature in detect().features {
            assert!(kernel.contains(&feature), "{feature}");
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[test]
    fn an_aarch64_processor_has_advanced_simd() {
        assert!(detect().features.contains(&"asimd"));
    }
}
