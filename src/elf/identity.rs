//! The first 64 bytes of an ELF file: for which machine it is, and whether that fits.
//!
//! `e_machine` alone does not tell: x32 shares it with amd64, both float ABIs of 32-bit ARM share
//! one, both byte orders of POWER too. So the class, the byte order and `e_flags` are compared as
//! well, with the rules that glibc's `elf_machine_reject_phdr_p` and `dl-machine.h` follow.

use std::fmt;

use super::ElfError;
use super::bytes::Bytes;
use crate::platform::{Arch, Contents};

/// Length of the file header of class 64 (gABI, chapter 4); that of class 32 is 52 bytes.
pub(super) const HEADER: usize = 64;
const HEADER_32: usize = 52;

/// 32 or 64 bits (`EI_CLASS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Addresses of 32 bits.
    Bits32,
    /// Addresses of 64 bits.
    Bits64,
}

/// Byte order (`EI_DATA`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// What the file is (`e_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ET_EXEC: a program at fixed addresses.
    Executable,
    /// ET_DYN: a shared object, or a position-independent program.
    SharedObject,
    /// Anything else, as relocatable objects and core dumps; no loader takes it.
    Other(u16),
}

/// `e_machine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine(pub u16);

impl Machine {
    const PPC64: Machine = Machine(21);
    const ARM: Machine = Machine(40);
    const X86_64: Machine = Machine(62);
    const RISCV: Machine = Machine(243);

    /// Whether the number is that of `arch`. Class, byte order and float ABI may still differ:
    /// [`Identity::runs_on`] compares those too.
    pub fn matches(self, arch: Arch) -> bool {
        self.0 == arch.elf_machine()
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self.0 {
            2 => "sparc",
            3 => "i386",
            8 => "mips",
            20 => "ppc",
            21 => "ppc64",
            22 => "s390",
            40 => "arm",
            43 => "sparc64",
            50 => "ia64",
            62 => "x86-64",
            183 => "aarch64",
            243 => "riscv",
            247 => "bpf",
            258 => "loongarch",
            other => return write!(out, "machine {other}"),
        })
    }
}

/// What the file header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// 32 or 64 bits.
    pub class: Class,
    /// Byte order.
    pub endian: Endian,
    /// Processor.
    pub machine: Machine,
    /// Program, shared object or other.
    pub kind: Kind,
    /// `e_flags`, whose meaning depends on the processor.
    pub flags: u32,
}

/// A file that is for another machine than the one wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What the file is for.
    pub found: Identity,
    /// What was wanted.
    pub wanted: Arch,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "is for {}, not for {}", self.found, self.wanted)
    }
}

impl std::error::Error for Mismatch {}

/// The float ABI that `e_flags` names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FloatAbi {
    /// Arguments in integer registers.
    Soft,
    /// Arguments in float registers (on RISC-V: of double width).
    Hard,
    /// Not said, or one that no Linux distribution uses.
    Unsaid,
}

impl Identity {
    /// Whether the loader of an `arch` userland takes this file.
    pub fn runs_on(&self, arch: Arch) -> Result<(), Mismatch> {
        let fits = self.machine.matches(arch)
            && self.class == class_of(arch)
            && self.endian == endian_of(arch)
            && self.abi_fits(arch);
        if fits { Ok(()) } else { Err(Mismatch { found: *self, wanted: arch }) }
    }

    /// The architecture whose userland takes this file. Of the 32-bit ARM ones, the header tells
    /// only the float ABI: hard is taken as version 7, soft as version 6.
    pub fn arch(&self) -> Option<Arch> {
        let soft = self.float_abi() == FloatAbi::Soft;
        Arch::ALL
            .into_iter()
            .find(|&arch| self.runs_on(arch).is_ok() && !(soft && arch == Arch::ArmV7))
    }

    /// Whether a program of identity `other` can load this object: same machine, class, byte
    /// order, and no contradiction in the float ABI.
    pub fn loads_beside(&self, other: &Identity) -> bool {
        let (mine, theirs) = (self.float_abi(), other.float_abi());
        self.machine == other.machine
            && self.class == other.class
            && self.endian == other.endian
            && (mine == theirs || mine == FloatAbi::Unsaid || theirs == FloatAbi::Unsaid)
    }

    /// Whether a loader takes a file of this kind at all.
    pub fn is_loadable(&self) -> bool {
        matches!(self.kind, Kind::Executable | Kind::SharedObject)
    }

    fn abi_fits(&self, arch: Arch) -> bool {
        match arch {
            Arch::ArmV7 => self.float_abi() != FloatAbi::Soft,
            // ELFv1 (1) is the big-endian ABI; 0 is "not said" and taken.
            Arch::Ppc64le => self.flags & 3 != 1,
            // Images are published for lp64d only.
            Arch::Riscv64 => self.float_abi() == FloatAbi::Hard,
            _ => true,
        }
    }

    fn float_abi(&self) -> FloatAbi {
        match self.machine {
            // EF_ARM_ABI_FLOAT_SOFT and _HARD (ELF for the Arm Architecture, 4.3.1).
            Machine::ARM if self.flags & 0x200 != 0 => FloatAbi::Soft,
            Machine::ARM if self.flags & 0x400 != 0 => FloatAbi::Hard,
            // EF_RISCV_FLOAT_ABI (RISC-V ELF psABI): 0 soft, 2 single, 4 double, 6 quad.
            Machine::RISCV if self.flags & 6 == 0 => FloatAbi::Soft,
            Machine::RISCV if self.flags & 6 == 4 => FloatAbi::Hard,
            _ => FloatAbi::Unsaid,
        }
    }

    fn abi_name(&self) -> &'static str {
        match (self.machine, self.class, self.float_abi()) {
            (Machine::X86_64, Class::Bits32, _) => ", x32",
            (Machine::PPC64, _, _) if self.flags & 3 == 1 => ", ELFv1",
            (_, _, FloatAbi::Soft) => ", soft float",
            (_, _, FloatAbi::Hard) => ", hard float",
            _ => "",
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.class == Class::Bits64 { 64 } else { 32 };
        let order = if self.endian == Endian::Little { "little" } else { "big" };
        write!(out, "{} ({bits}-bit {order}-endian{})", self.machine, self.abi_name())
    }
}

fn class_of(arch: Arch) -> Class {
    if arch.is_64_bit() { Class::Bits64 } else { Class::Bits32 }
}

/// Byte order of an architecture's files; of those known here only IBM Z is big-endian.
pub(crate) fn endian_of(arch: Arch) -> Endian {
    if arch == Arch::S390x { Endian::Big } else { Endian::Little }
}

/// Reads the file header; nothing after the first 64 bytes is touched.
pub fn identify(file: &dyn Contents) -> Result<Identity, ElfError> {
    let mut bytes = [0; HEADER];
    let length = read_up_to(file, &mut bytes, 0)?;
    parse(&bytes, length)
}

/// The file header, decoded and as it stands at the start of a file.
pub(super) fn header_of(start: &[u8]) -> Result<(Identity, [u8; HEADER]), ElfError> {
    let mut bytes = [0; HEADER];
    let length = start.len().min(HEADER);
    bytes[..length].copy_from_slice(&start[..length]);
    Ok((parse(&bytes, length)?, bytes))
}

fn parse(bytes: &[u8; HEADER], length: usize) -> Result<Identity, ElfError> {
    if length == 0 {
        return Err(ElfError::Empty);
    }
    if length < 4 || !bytes.starts_with(b"\x7fELF") {
        return Err(ElfError::NotElf);
    }
    let class = match bytes[4] {
        1 => Class::Bits32,
        2 => Class::Bits64,
        other => {
            return Err(ElfError::Invalid { what: "the class (EI_CLASS)", value: other.into() });
        }
    };
    let endian = match bytes[5] {
        1 => Endian::Little,
        2 => Endian::Big,
        other => {
            return Err(ElfError::Invalid {
                what: "the byte order (EI_DATA)",
                value: other.into(),
            });
        }
    };
    let wide = class == Class::Bits64;
    let size = if wide { HEADER } else { HEADER_32 };
    let short =
        ElfError::Truncated { what: "the file header", end: size as u64, length: length as u64 };
    if length < size {
        return Err(short);
    }
    let fields = Bytes { bytes, endian };
    let (Some(kind), Some(machine), Some(flags)) =
        (fields.u16(16), fields.u16(18), fields.u32(if wide { 48 } else { 36 }))
    else {
        return Err(short);
    };
    let kind = match kind {
        2 => Kind::Executable,
        3 => Kind::SharedObject,
        other => Kind::Other(other),
    };
    Ok(Identity { class, endian, machine: Machine(machine), kind, flags })
}

/// Fills `buffer` from `offset` on, as far as the file reaches; returns how far.
pub(super) fn read_up_to(
    file: &dyn Contents,
    buffer: &mut [u8],
    offset: u64,
) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let Some(at) = offset.checked_add(filled as u64).filter(|at| i64::try_from(*at).is_ok())
        else {
            break;
        };
        match file.read_at(&mut buffer[filled..], at) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(class: Class, endian: Endian, machine: u16, flags: u32) -> Identity {
        Identity { class, endian, machine: Machine(machine), kind: Kind::SharedObject, flags }
    }

    #[test]
    fn the_same_machine_number_does_not_make_a_file_fit() {
        let x32 = identity(Class::Bits32, Endian::Little, 62, 0);
        assert!(x32.runs_on(Arch::Amd64).is_err());
        assert_eq!(x32.arch(), None);
        assert_eq!(x32.to_string(), "x86-64 (32-bit little-endian, x32)");

        let soft = identity(Class::Bits32, Endian::Little, 40, 0x0500_0200);
        let hard = identity(Class::Bits32, Endian::Little, 40, 0x0500_0400);
        assert!(soft.runs_on(Arch::ArmV7).is_err());
        assert!(hard.runs_on(Arch::ArmV7).is_ok());
        assert_eq!(soft.arch(), Some(Arch::ArmV6));
        assert_eq!(hard.arch(), Some(Arch::ArmV7));
        assert!(!soft.loads_beside(&hard));
        assert!(identity(Class::Bits32, Endian::Little, 40, 0x0500_0000).loads_beside(&hard));

        assert!(identity(Class::Bits64, Endian::Big, 21, 1).runs_on(Arch::Ppc64le).is_err());
        assert!(identity(Class::Bits64, Endian::Little, 21, 2).runs_on(Arch::Ppc64le).is_ok());
        assert!(identity(Class::Bits64, Endian::Big, 22, 0).runs_on(Arch::S390x).is_ok());
        assert!(identity(Class::Bits64, Endian::Little, 243, 0).runs_on(Arch::Riscv64).is_err());
        assert!(identity(Class::Bits64, Endian::Little, 243, 5).runs_on(Arch::Riscv64).is_ok());
    }

    #[test]
    fn a_mismatch_names_both_sides() {
        let found = identity(Class::Bits64, Endian::Little, 183, 0);
        assert_eq!(
            found.runs_on(Arch::Amd64).unwrap_err().to_string(),
            "is for aarch64 (64-bit little-endian), not for amd64"
        );
        assert_eq!(
            identity(Class::Bits64, Endian::Little, 9999, 0).to_string(),
            "machine 9999 (64-bit little-endian)"
        );
    }

    #[test]
    fn a_header_is_parsed_at_every_length_or_refused() {
        let mut bytes = [0; HEADER];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16] = 3;
        bytes[18] = 62;
        assert!(matches!(parse(&bytes, 0), Err(ElfError::Empty)));
        assert!(matches!(parse(&bytes, 3), Err(ElfError::NotElf)));
        for length in 4..HEADER {
            assert!(matches!(parse(&bytes, length), Err(ElfError::Truncated { .. })), "{length}");
        }
        assert_eq!(parse(&bytes, HEADER).unwrap().arch(), Some(Arch::Amd64));
        bytes[4] = 7;
        assert!(matches!(parse(&bytes, HEADER), Err(ElfError::Invalid { .. })));
    }
}
