//! Processor architectures, in the four vocabularies that a container meets: Docker's, the
//! kernel's (`uname -m`), the entrypoint scripts' "normalized" one, and ELF's `e_machine`.

use std::fmt;

use serde::{Serialize, Serializer};

/// A processor architecture that Linux images are published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
    /// 32-bit ARM, version 7 with hard float.
    ArmV7,
    /// 32-bit ARM, version 6.
    ArmV6,
    /// 32-bit x86.
    I386,
    /// 64-bit POWER, little endian.
    Ppc64le,
    /// IBM Z.
    S390x,
    /// 64-bit RISC-V.
    Riscv64,
}

impl Arch {
    /// Every architecture known here.
    pub const ALL: [Arch; 8] = [
        Arch::Amd64,
        Arch::Arm64,
        Arch::ArmV7,
        Arch::ArmV6,
        Arch::I386,
        Arch::Ppc64le,
        Arch::S390x,
        Arch::Riscv64,
    ];

    /// The architecture this program was built for.
    pub const fn built_for() -> Option<Arch> {
        if cfg!(target_arch = "x86_64") {
            Some(Arch::Amd64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Arch::Arm64)
        } else if cfg!(target_arch = "arm") {
            Some(Arch::ArmV7)
        } else if cfg!(target_arch = "x86") {
            Some(Arch::I386)
        } else if cfg!(target_arch = "powerpc64") {
            Some(Arch::Ppc64le)
        } else if cfg!(target_arch = "s390x") {
            Some(Arch::S390x)
        } else if cfg!(target_arch = "riscv64") {
            Some(Arch::Riscv64)
        } else {
            None
        }
    }

    /// From the `machine` field of uname(2), or from Docker's word.
    pub fn from_machine(machine: &str) -> Option<Arch> {
        Some(match machine {
            "x86_64" | "amd64" => Arch::Amd64,
            "aarch64" | "aarch64_be" | "arm64" => Arch::Arm64,
            "armv7l" | "armv8l" | "arm/v7" | "arm" => Arch::ArmV7,
            "armv6l" | "arm/v6" => Arch::ArmV6,
            "i386" | "i486" | "i586" | "i686" | "386" => Arch::I386,
            "ppc64le" => Arch::Ppc64le,
            "s390x" => Arch::S390x,
            "riscv64" => Arch::Riscv64,
            _ => return None,
        })
    }

    /// Docker's word, as in `linux/arm64` or `linux/arm/v7`.
    pub const fn docker(self) -> &'static str {
        match self {
            Arch::Amd64 => "amd64",
            Arch::Arm64 => "arm64",
            Arch::ArmV7 => "arm/v7",
            Arch::ArmV6 => "arm/v6",
            Arch::I386 => "386",
            Arch::Ppc64le => "ppc64le",
            Arch::S390x => "s390x",
            Arch::Riscv64 => "riscv64",
        }
    }

    /// The word of uname(2) on such a machine, also Python's `platform_machine`.
    pub const fn uname(self) -> &'static str {
        match self {
            Arch::Amd64 => "x86_64",
            Arch::Arm64 => "aarch64",
            Arch::ArmV7 => "armv7l",
            Arch::ArmV6 => "armv6l",
            Arch::I386 => "i686",
            Arch::Ppc64le => "ppc64le",
            Arch::S390x => "s390x",
            Arch::Riscv64 => "riscv64",
        }
    }

    /// Debian's multiarch triplet, as in `/usr/lib/aarch64-linux-gnu`.
    pub const fn multiarch(self) -> &'static str {
        match self {
            Arch::Amd64 => "x86_64-linux-gnu",
            Arch::Arm64 => "aarch64-linux-gnu",
            Arch::ArmV7 => "arm-linux-gnueabihf",
            Arch::ArmV6 => "arm-linux-gnueabi",
            Arch::I386 => "i386-linux-gnu",
            Arch::Ppc64le => "powerpc64le-linux-gnu",
            Arch::S390x => "s390x-linux-gnu",
            Arch::Riscv64 => "riscv64-linux-gnu",
        }
    }

    /// `e_machine` of this architecture's ELF files (gABI, chapter 4).
    pub const fn elf_machine(self) -> u16 {
        match self {
            Arch::I386 => 3,
            Arch::Ppc64le => 21,
            Arch::S390x => 22,
            Arch::ArmV7 | Arch::ArmV6 => 40,
            Arch::Amd64 => 62,
            Arch::Arm64 => 183,
            Arch::Riscv64 => 243,
        }
    }

    /// Whether this architecture's ELF files are of class 64.
    pub const fn is_64_bit(self) -> bool {
        !matches!(self, Arch::ArmV7 | Arch::ArmV6 | Arch::I386)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.docker())
    }
}

impl Serialize for Arch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.docker())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vocabulary_leads_back_to_the_same_architecture() {
        for arch in Arch::ALL {
            assert_eq!(Arch::from_machine(arch.docker()), Some(arch));
            assert_eq!(Arch::from_machine(arch.uname()), Some(arch));
        }
        assert_eq!(Arch::from_machine("vax"), None);
    }
}
