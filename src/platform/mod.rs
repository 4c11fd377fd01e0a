//! What the machine and the root filesystem are: architecture, emulation, kernel, limits.
//!
//! `init/` takes only [`variables`] and [`prefixed_variables`], which cost one system call.
//! `cli/` (the subcommand `platform`) and `verify/` (the report) take all of it by [`detect`].
//! Nothing here fails and no program is started: what cannot be read is `None`.

pub mod arch;
pub mod cgroup;
pub mod cpu;
pub mod emulation;
pub mod file;
pub mod kernel;
pub mod libc;
pub mod limits;
pub mod oom;
pub mod root;
pub mod text;
pub mod tree;
pub mod userland;
pub mod users;

use serde::Serialize;

pub use arch::Arch;
pub use emulation::Emulation;
pub use file::{Contents, Meta, Regular};
pub use kernel::{Uname, prefixed_variables, variables};
pub use libc::Libc;
pub use root::{Root, read_regular};
pub use users::User;

/// Everything known of the platform. As JSON the fields stand in this order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Platform {
    /// System and architecture in Docker's words: `linux/arm64`. From uname(2), as
    /// `MAK_PLATFORM`.
    pub platform: String,
    /// The architecture in Docker's words, the kernel's where Docker has none; as `MAK_ARCH`.
    pub arch: String,
    /// uname(2) in its own words.
    pub uname: Uname,
    /// The architecture this program was built for. Not uname's in a 32-bit program under a
    /// 64-bit kernel.
    pub built_for: Option<Arch>,
    /// The architecture of the root filesystem's dynamic loader; `None` if it has none. Not
    /// uname's in a 32-bit image under a 64-bit kernel, or under `--root`.
    pub userland: Option<Arch>,
    /// Bytes of a page of memory.
    pub page_size: u64,
    /// The root filesystem's C library; `None` if it has no dynamic loader.
    pub libc: Option<Libc>,
    /// `None` on a real processor.
    pub emulation: Option<Emulation>,
    /// The processor.
    pub cpu: cpu::Cpu,
    /// What control groups allow.
    pub cgroup: cgroup::CgroupLimits,
    /// What resource limits allow.
    pub limits: limits::ResourceLimits,
}

/// Looks at this machine, this process and the filesystem `root`.
pub fn detect(root: &Root) -> Platform {
    let uname = Uname::of_this_process();
    let userland = userland::userland(root, uname.arch());
    let cpu = cpu::detect();
    let facts = emulation::collect(&uname, cpu.hypervisor.clone(), cpu.model.clone());
    Platform {
        platform: uname.platform(),
        arch: uname.arch_word().to_owned(),
        built_for: Arch::built_for(),
        userland: userland.as_ref().map(|userland| userland.arch),
        page_size: kernel::page_size(),
        libc: userland.as_ref().map(|userland| libc::of(root, userland)),
        emulation: emulation::judge(&facts),
        cpu,
        cgroup: cgroup::limits(&Root::host()),
        limits: limits::of_this_process(),
        uname,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_begins_with_the_platform_and_keeps_its_order() {
        let platform = detect(&Root::host());
        let first = serde_json::to_string(&platform).unwrap();
        assert!(first.starts_with("{\"platform\":\"linux/"));
        assert_eq!(first, serde_json::to_string(&detect(&Root::host())).unwrap());
        let keys = [
            "arch",
            "uname",
            "built_for",
            "userland",
            "page_size",
            "libc",
            "emulation",
            "cpu",
            "cgroup",
            "limits",
        ];
        let places: Vec<usize> =
            keys.iter().filter_map(|key| first.find(&format!(",\"{key}\":"))).collect();
        assert_eq!(places.len(), keys.len());
        assert!(places.is_sorted());
    }
}
