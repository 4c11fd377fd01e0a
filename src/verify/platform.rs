//! The machine against what is declared: the platform that the image is meant for, emulation,
//! processor, kernel, memory, devices, space and the clock.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::Access;

use super::report::{Check, Status};
use super::request::{PlatformCheck, Request, failure};
use crate::config::demand::numbers;
use crate::config::{Emulated, PlatformEntry, word};
use crate::loader::Processor;
use crate::platform::emulation::runs_natively;
use crate::platform::userland::root_arch;
use crate::platform::{Arch, Platform};

/// The year in which this program was built, from build.rs.
const BUILT: &str = env!("MAK_INIT_BUILD_YEAR");

/// Makes the checks that were asked for. What is not met is said; a demand that is met is a pass.
pub fn check(request: &Request, platform: &Platform, arch: Arch) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(expected) = &request.expect_platform {
        checks.push(expected_platform(request, platform, expected));
    }
    let here = request.root.is_host();
    if here {
        checks.extend(emulation(request.platform.as_ref(), platform));
    }
    let Some(demanded) = &request.platform else { return checks };
    let demands = Demands { demanded, platform };
    checks.extend(demands.processor(request, arch));
    checks.extend(demands.page_size(request, here));
    if !here {
        let text = "memory, kernel, devices, space and clock are looked at where it runs";
        checks.push(Check::new("platform.elsewhere", Status::Skip, "this root", text));
        return checks;
    }
    checks.extend(demands.memory());
    checks.extend(demands.cpus());
    checks.extend(demands.kernel());
    checks.extend(demands.devices());
    checks.extend(demands.space());
    checks.push(demands.clock(rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec));
    checks
}

/// The image's own files decide, whatever else is well: an image of arm64 that is labelled as
/// amd64 starts only where an emulator is registered.
fn expected_platform(request: &Request, platform: &Platform, expected: &str) -> Check {
    const ID: &str = "platform.expected";
    let fail = |message: String| {
        Check::new(ID, Status::Fail, expected, message)
            .remedy("build or pull the image for this platform, or correct the declaration")
    };
    let Some(wanted) = architecture(expected) else {
        return fail("is no platform that is known: write linux/amd64 or linux/arm64".to_owned());
    };
    let same = |arch: Arch| arch == wanted || arch.elf_machine() == wanted.elf_machine();
    // Without a dynamic userland, this program's own code is what the image was made for.
    let own = platform.built_for.filter(|_| request.root.is_host());
    let image = root_arch(&request.root, Some(wanted)).or(own);
    let machine = Arch::from_machine(&platform.uname.machine).filter(|_| request.root.is_host());
    match (image, machine) {
        (Some(image), _) if !same(image) => {
            fail(format!("the image's files are for linux/{image}"))
        }
        (_, Some(machine)) if !same(machine) && !runs_natively(machine, wanted) => {
            fail(format!("this machine is {}", platform.platform))
        }
        (None, None) => fail("the root has no program that tells its architecture".to_owned()),
        _ => Check::new(ID, Status::Pass, expected, "as declared"),
    }
}

/// The architecture of `linux/arm64`, `linux/arm64/v8`, `linux/arm/v7`, or of a word alone.
fn architecture(platform: &str) -> Option<Arch> {
    let word = match platform.split_once('/') {
        Some(("linux", rest)) => rest,
        Some(("arm", _)) | None => platform,
        Some(_) => return None,
    };
    // The variants v8 of arm64 and v1 to v4 of amd64 are no other architecture.
    let base = word.split('/').next().unwrap_or(word);
    let plain = matches!(base, "arm64" | "amd64").then_some(base);
    Arch::from_machine(plain.unwrap_or(word))
}

/// Said whenever there is one: by its name, with what it was seen from.
fn emulation(demanded: Option<&PlatformCheck>, platform: &Platform) -> Option<Check> {
    let found = platform.emulation.as_ref()?;
    let policy = demanded.map_or(Emulated::Allowed, |demanded| demanded.demands.emulation);
    let status = match policy {
        Emulated::Allowed => Status::Pass,
        Emulated::Warn => Status::Warn,
        Emulated::Refused => Status::Fail,
    };
    let message = format!("this process is emulated by {}: {}", found.name, found.evidence);
    let check = Check::new("platform.emulation", status, found.name.clone(), message);
    Some(check.remedy("run the image for this machine's own architecture"))
}

struct Demands<'a> {
    demanded: &'a PlatformCheck,
    platform: &'a Platform,
}

impl Demands<'_> {
    fn demands(&self) -> &PlatformEntry {
        &self.demanded.demands
    }

    /// A check that passes where `met`.
    fn verdict(&self, id: &'static str, met: bool, subject: String, message: String) -> Check {
        let status = if met { Status::Pass } else { failure(self.demanded.severity) };
        Check::new(id, status, subject, message)
    }

    fn processor(&self, request: &Request, arch: Arch) -> Vec<Check> {
        let mut checks = Vec::new();
        if let Some(level) = &self.demands().cpu {
            checks.push(self.level(request, arch, level));
        }
        let has = &self.platform.cpu.features;
        for feature in &self.demands().features {
            let met = has.iter().any(|known| known == feature);
            let message = match met {
                true => "is there".to_owned(),
                false => format!("the processor does not offer it; it has {}", has.join(", ")),
            };
            let check = self.verdict("cpu.features", met, feature.clone(), message);
            checks.push(check.remedy("run on a newer processor, or build without it"));
        }
        checks
    }

    fn level(&self, request: &Request, arch: Arch, level: &str) -> Check {
        const ID: &str = "cpu.level";
        let wanted = match Processor::named(arch, level) {
            Ok(wanted) => wanted,
            Err(why) => return self.verdict(ID, false, level.to_owned(), why),
        };
        let actual = request.processor.clone();
        let actual = actual.unwrap_or_else(|| Processor::of_this_machine(arch));
        let met = match (wanted.x86_level, actual.x86_level) {
            (Some(wanted), Some(actual)) => actual >= wanted,
            _ => actual.levels.len() >= wanted.levels.len(),
        };
        let best = actual.levels.first().copied().unwrap_or("the least of its kind");
        let message = format!("the processor is {best}");
        let check = self.verdict(ID, met, level.to_owned(), message);
        check.remedy("run on a newer processor, or build for an older level")
    }

    fn page_size(&self, request: &Request, here: bool) -> Option<Check> {
        let wanted = self.demands().page_size?;
        let actual = request.page_size.or(here.then_some(self.platform.page_size))?;
        let message = format!("the kernel's pages have {}", word::show_bytes(actual));
        let subject = word::show_bytes(wanted);
        let check = self.verdict("platform.page_size", actual == wanted, subject, message);
        Some(check.remedy("boot a kernel with such pages, or build for this page size"))
    }

    fn memory(&self) -> Option<Check> {
        let wanted = self.demands().memory?;
        let total = machine_memory()?;
        let limit = self.platform.cgroup.memory_bytes.unwrap_or(u64::MAX);
        let message = match limit < total {
            true => format!("the control group allows {}", word::show_bytes(limit)),
            false => format!("the machine has {} MiB", total >> 20),
        };
        let met = limit.min(total) >= wanted;
        let check = self.verdict("platform.memory", met, word::show_bytes(wanted), message);
        Some(check.remedy("raise the container's memory limit"))
    }

    fn cpus(&self) -> Option<Check> {
        let wanted = self.demands().cpus?;
        let processors =
            std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
        let actual = self.platform.cgroup.cpus.map_or(processors, |limit| limit.min(processors));
        let message = format!("{actual} are there");
        let subject = format!("{wanted} processors");
        let check = self.verdict("platform.cpus", actual >= wanted, subject, message);
        Some(check.remedy("raise the container's processor limit"))
    }

    fn kernel(&self) -> Option<Check> {
        let wanted = self.demands().kernel.as_deref()?;
        let release = &self.platform.uname.release;
        let met = numbers(release) >= numbers(wanted);
        let message = format!("the kernel is {release}");
        let check = self.verdict("platform.kernel", met, wanted.to_owned(), message);
        Some(check.remedy("run on a newer kernel"))
    }

    fn devices(&self) -> Vec<Check> {
        let devices = self.demands().devices.iter();
        devices
            .map(|path| {
                let found = device(path);
                let met = found.is_ok();
                let message = found.err().unwrap_or_else(|| "is there".to_owned());
                self.verdict("platform.device", met, path.display().to_string(), message).remedy(
                    "give the device to the container: --device, --gpus, or a device plugin",
                )
            })
            .collect()
    }

    fn space(&self) -> Vec<Check> {
        let Some(wanted) = self.demands().free_space else { return Vec::new() };
        let directories = self.demanded.directories.iter();
        directories
            .map(|path| {
                // It may not be made yet: then the folder that it will be made in tells.
                let there = path.ancestors().find(|folder| folder.is_dir());
                let free = there.and_then(|folder| rustix::fs::statvfs(folder).ok());
                let free = free.map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
                let (met, message) = match free {
                    Some(free) => (free >= wanted, format!("{} MiB are free", free >> 20)),
                    None => (false, "its file system cannot be asked".to_owned()),
                };
                let message = format!("{message}, {} are wanted", word::show_bytes(wanted));
                self.verdict("platform.space", met, path.display().to_string(), message)
                    .remedy("make room on its volume, or mount a larger one")
            })
            .collect()
    }

    /// A clock that is years behind makes every certificate "not yet valid".
    fn clock(&self, seconds: i64) -> Check {
        const YEAR: i64 = 31_556_952;
        let year = 1970 + seconds.div_euclid(YEAR);
        let built: i64 = BUILT.parse().unwrap_or(1970);
        let message = format!("the clock says {year}, this program was built in {built}");
        let check = self.verdict("platform.clock", year >= built, "clock".to_owned(), message);
        check.remedy("set the machine's clock: certificates are not valid yet")
    }
}

/// Why a device node cannot be used by this user.
fn device(path: &Path) -> Result<(), String> {
    let meta = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such device node".to_owned(),
        _ => error.to_string(),
    })?;
    let kind = meta.file_type();
    if !kind.is_char_device() && !kind.is_block_device() {
        return Err("is no device node".to_owned());
    }
    let uid = rustix::process::geteuid().as_raw();
    rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK)
        .map_err(|error| format!("uid {uid} may not read and write it: {error}"))
}

/// Bytes of memory that the machine has.
#[cfg(target_os = "linux")]
fn machine_memory() -> Option<u64> {
    let info = rustix::system::sysinfo();
    Some(info.totalram as u64 * u64::from(info.mem_unit.max(1)))
}

/// Where no image runs, nobody has to know.
#[cfg(not(target_os = "linux"))]
fn machine_memory() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Profile;
    use crate::platform::{Root, detect};

    /// The checks of a profile whose [platform] holds these lines.
    fn checks(lines: &str) -> Vec<Check> {
        let text = format!(
            "prefix = \"X_\"\n[[directory]]\nvariable = \"X_DIR\"\ndefault = \"/tmp/none/at/all\"\n\
             [platform]\n{lines}"
        );
        let profile = Profile::read("x", Path::new("/x.toml"), &text).unwrap();
        let request = Request::of_profile(&profile, true, &[]);
        check(&request, &detect(&Root::host()), Arch::built_for().unwrap())
    }

    fn failed(lines: &str) -> Vec<&'static str> {
        let found = checks(lines);
        found.iter().filter(|check| check.status == Status::Fail).map(|check| check.id).collect()
    }

    #[test]
    fn what_this_machine_has_is_a_pass_and_what_it_has_not_a_failure_by_name() {
        let page = rustix::param::page_size();
        let met = format!(
            "memory = \"1MiB\"\ncpus = 0.1\nkernel = \"3.2\"\ndevices = [\"/dev/null\"]\n\
             free_space = \"1KiB\"\npage_size = {page}\n"
        );
        assert!(failed(&met).is_empty(), "{:?}", checks(&met));
        assert!(checks(&met).iter().filter(|check| check.status == Status::Pass).count() >= 7);
        let unmet = "memory = \"4000TiB\"\ncpus = 100000\nkernel = \"99.0\"\n\
            devices = [\"/dev/mak-none\", \"/etc/passwd\"]\nfree_space = \"9000000TiB\"\n\
            page_size = 3\nfeatures = [\"warp\"]\ncpu = \"x86-64-v9\"\n";
        let expected = [
            "cpu.level",
            "cpu.features",
            "platform.page_size",
            "platform.memory",
            "platform.cpus",
            "platform.kernel",
            "platform.device",
            "platform.device",
            "platform.space",
        ];
        assert_eq!(failed(unmet), expected);
    }

    #[test]
    fn a_clock_before_the_build_is_wrong() {
        let profile = Profile::read("x", Path::new("/x"), "prefix = \"X_\"\n[platform]\n").unwrap();
        let request = Request::of_profile(&profile, true, &[]);
        let platform = detect(&Root::host());
        let demands = Demands { demanded: request.platform.as_ref().unwrap(), platform: &platform };
        assert_eq!(demands.clock(0).status, Status::Fail);
        assert_eq!(demands.clock(4_000_000_000).status, Status::Pass);
    }

    #[test]
    fn platforms_are_read_in_dockers_words() {
        for (text, expected) in [
            ("linux/arm64", Some(Arch::Arm64)),
            ("linux/arm64/v8", Some(Arch::Arm64)),
            ("linux/arm/v7", Some(Arch::ArmV7)),
            ("arm/v6", Some(Arch::ArmV6)),
            ("linux/amd64/v3", Some(Arch::Amd64)),
            ("amd64", Some(Arch::Amd64)),
            ("windows/amd64", None),
            ("linux/vax", None),
        ] {
            assert_eq!(architecture(text), expected, "{text}");
        }
    }
}
