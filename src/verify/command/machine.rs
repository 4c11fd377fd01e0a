//! Programs for another machine: does this kernel take them, or an emulator that is registered
//! with it (binfmt_misc, Documentation/admin-guide/binfmt-misc.rst)?

use std::path::Path;

use crate::elf::{Identity, Machine};
use crate::platform::{Arch, Root};

const FOLDER: &str = "/proc/sys/fs/binfmt_misc";
/// A registration is a few lines.
const MOST_ENTRY_BYTES: u64 = 4096;
/// More registrations than any machine has.
const MOST_ENTRIES: usize = 256;

/// What the kernel would give the file to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emulator {
    /// An interpreter that is registered for such files.
    Registered(String),
    /// Nothing.
    None,
    /// It cannot be seen from here: binfmt_misc is not mounted.
    Invisible,
}

/// Who would run a file that begins with `head`.
pub fn emulator(root: &Root, head: &[u8]) -> Emulator {
    let read = |name: &std::ffi::OsStr| {
        let bytes = root.read(&Path::new(FOLDER).join(name), MOST_ENTRY_BYTES).ok()?;
        String::from_utf8(bytes).ok()
    };
    match read("status".as_ref()) {
        None => return Emulator::Invisible,
        Some(status) if !status.starts_with("enabled") => return Emulator::None,
        Some(_) => {}
    }
    let names = root.names(Path::new(FOLDER));
    let entries = names.iter().filter(|name| *name != "status" && *name != "register");
    let mut texts = entries.take(MOST_ENTRIES).filter_map(|name| read(name));
    match texts.find_map(|text| interpreter(&text, head)) {
        Some(interpreter) => Emulator::Registered(interpreter),
        None => Emulator::None,
    }
}

/// The interpreter of a registration that is enabled and fits the head.
fn interpreter(entry: &str, head: &[u8]) -> Option<String> {
    let value = |key: &str| {
        entry.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned())
    };
    let enabled = entry.lines().next()? == "enabled";
    let offset: usize = value("offset ")?.parse().ok()?;
    let magic = bytes(&value("magic ")?)?;
    let mask = value("mask ").and_then(|mask| bytes(&mask));
    let there = head.get(offset..offset.checked_add(magic.len())?)?;
    let fits = there.iter().zip(&magic).enumerate().all(|(at, (found, wanted))| {
        let mask = mask.as_ref().and_then(|mask| mask.get(at)).copied().unwrap_or(0xff);
        found & mask == wanted & mask
    });
    (enabled && !magic.is_empty() && fits).then(|| value("interpreter ")).flatten()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Whether the kernel itself runs such a program where uname(2) says `arch`. It may be of another
/// mind than uname, which an emulator fakes; and 64-bit kernels run 32-bit programs of their
/// family, unless they were built not to.
pub fn kernel_takes(root: &Root, identity: &Identity, arch: Arch) -> bool {
    let kernel = root.read(Path::new("/proc/sys/kernel/arch"), 64).unwrap_or_default();
    let kernel = String::from_utf8_lossy(&kernel);
    let archs = [Some(arch), Arch::from_machine(kernel.trim())];
    archs.into_iter().flatten().any(|arch| {
        let smaller: &[Arch] = match arch {
            Arch::Amd64 => &[Arch::I386],
            Arch::Arm64 => &[Arch::ArmV7, Arch::ArmV6],
            _ => &[],
        };
        identity.runs_on(arch).is_ok() || smaller.iter().any(|arch| identity.runs_on(*arch).is_ok())
    })
}

/// "x86-64 program on aarch64"; in full where the machine's number alone does not tell them apart.
pub fn foreign(identity: &Identity, arch: Arch) -> String {
    let here = Machine(arch.elf_machine());
    if identity.machine == here {
        return format!("{identity} program on {arch}");
    }
    format!("{} program on {here}", identity.machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n\
                         magic 7f454c460201\nmask ffffffffff00\n";

    #[test]
    fn a_registration_fits_by_magic_and_mask_where_it_is_enabled() {
        let head = b"\x7fELF\x02\x01\x01";
        assert_eq!(interpreter(ENTRY, head).as_deref(), Some("/usr/bin/qemu-aarch64-static"));
        assert!(interpreter(ENTRY, b"\x7fELF\x02\x07\x01").is_some());
        assert_eq!(interpreter(ENTRY, b"\x7fELF\x01\x01\x01"), None);
        assert_eq!(interpreter(ENTRY, b"\x7fEL"), None);
        assert_eq!(interpreter(&ENTRY.replace("enabled", "disabled"), head), None);
        for broken in ["", "enabled", "enabled\ninterpreter /x\noffset 0\nmagic zz\n"] {
            assert_eq!(interpreter(broken, head), None);
        }
    }
}
