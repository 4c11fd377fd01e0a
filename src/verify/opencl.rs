//! OpenCL: the loader `libOpenCL.so.1`, and the device drivers that it would load. The loader
//! alone computes nothing: without a driver every program gets CL_PLATFORM_NOT_FOUND_KHR (-1001).
//!
//! A driver is named by the first line of a file `*.icd` in `/etc/OpenCL/vendors` (cl_khr_icd);
//! the environment can name another folder, one file, or libraries (ocl-icd, Khronos' loader).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::library::fatal;
use super::report::{Check, Status};
use super::request::{OpenclCheck, Surroundings, failure};
use crate::elf;
use crate::loader::{Loader, Resolution};
use crate::platform::Root;

const LOADER: &str = "libOpenCL.so.1";
const VENDORS: &str = "/etc/OpenCL/vendors";
/// A file is one line.
const MOST_BYTES: u64 = 64 * 1024;
/// More drivers than any machine has.
const MOST_DRIVERS: usize = 64;
/// A driver exports one of these.
const ENTRY_POINTS: [&str; 2] = ["clIcdGetPlatformIDsKHR", "clGetExtensionFunctionAddress"];

/// Checks the loader and the drivers.
pub fn check(
    loader: &Loader,
    opencl: &OpenclCheck,
    surroundings: &Surroundings,
    full: bool,
) -> Vec<Check> {
    let failed = failure(opencl.severity);
    let remedy = |check: Check| match &opencl.remedy {
        Some(remedy) => check.remedy(remedy.clone()),
        None => check.remedy("install an OpenCL loader and a device driver for this platform"),
    };
    let purpose = opencl.purpose.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
    let found = match usable(loader, OsStr::new(LOADER), full) {
        Ok(path) => path,
        Err(why) => {
            let message = format!("the OpenCL loader {why}{purpose}");
            return vec![remedy(Check::new("opencl.loader", failed, LOADER, message))];
        }
    };
    let message = format!("the loader is {}", found.display());
    let mut checks = vec![Check::new("opencl.loader", Status::Pass, LOADER, message)];
    let (drivers, mut evidence) = drivers(loader.root(), surroundings);
    let mut works = Vec::new();
    for driver in &drivers {
        match examine(loader, &driver.library, full) {
            Ok(path) => works.push(path.display().to_string()),
            Err(why) => evidence.push(format!("{}: {why}", driver.shown())),
        }
    }
    if works.is_empty() {
        let what = match drivers.is_empty() {
            true => "no device driver is installed",
            false => "no device driver is usable",
        };
        let message = format!("the loader is there, and {what}{purpose}");
        let check = Check::new("opencl.driver", failed, "OpenCL", message).evidence(evidence);
        checks.push(remedy(check));
        return checks;
    }
    let message = format!("usable device drivers: {}", works.join(", "));
    checks.push(Check::new("opencl.driver", Status::Pass, "OpenCL", message));
    // One that works is enough; what is wrong with the others is said all the same.
    checks.extend(evidence.into_iter().map(|why| {
        Check::new("opencl.icd", Status::Warn, "OpenCL", why)
            .remedy("install what the driver needs, or remove its .icd file")
    }));
    checks
}

/// A driver that is named.
struct Driver {
    /// The .icd file, or the variable.
    named_by: String,
    library: OsString,
}

impl Driver {
    fn shown(&self) -> String {
        format!("{} names {}", self.named_by, self.library.to_string_lossy())
    }
}

/// The drivers in the order of the loader, and what was wrong with the files that name them.
fn drivers(root: &Root, surroundings: &Surroundings) -> (Vec<Driver>, Vec<String>) {
    let mut drivers = Vec::new();
    let mut wrong = Vec::new();
    for name in surroundings.ocl_icd_filenames.iter().flat_map(|list| std::env::split_paths(list)) {
        if !name.as_os_str().is_empty() {
            let named_by = "OCL_ICD_FILENAMES".to_owned();
            drivers.push(Driver { named_by, library: name.into_os_string() });
        }
    }
    let variable =
        surroundings.opencl_vendor_path.as_ref().map(|path| ("OPENCL_VENDOR_PATH", path));
    let variable =
        variable.or(surroundings.ocl_icd_vendors.as_ref().map(|path| ("OCL_ICD_VENDORS", path)));
    let files = match variable {
        None => files(root, Path::new(VENDORS)),
        Some((_, path)) if root.is_dir(Path::new(path)) => files(root, Path::new(path)),
        Some((_, path)) if path.as_bytes().ends_with(b".icd") => {
            vec![match path.as_bytes().contains(&b'/') {
                true => PathBuf::from(path),
                false => Path::new(VENDORS).join(path),
            }]
        }
        // ocl-icd takes any other word as a library.
        Some((name, path)) => {
            drivers.push(Driver { named_by: name.to_owned(), library: path.clone() });
            Vec::new()
        }
    };
    for file in files {
        match root.read(&file, MOST_BYTES) {
            Err(error) => wrong.push(format!("{}: {error}", file.display())),
            Ok(bytes) => match library_named_in(&bytes) {
                None => wrong.push(format!("{}: its first line names no library", file.display())),
                Some(library) => {
                    let named_by = file.display().to_string();
                    drivers.push(Driver { named_by, library: library.to_owned() });
                }
            },
        }
    }
    drivers.truncate(MOST_DRIVERS);
    (drivers, wrong)
}

fn files(root: &Root, folder: &Path) -> Vec<PathBuf> {
    let names = root.names(folder).into_iter();
    let named = names.filter(|name| name.as_bytes().ends_with(b".icd"));
    named.take(MOST_DRIVERS).map(|name| folder.join(name)).collect()
}

/// The name or path in an .icd file: its first line without the blanks around it. `None` where
/// it is empty or no name at all.
pub fn library_named_in(bytes: &[u8]) -> Option<&OsStr> {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    let named = !line.is_empty() && line.len() < 4096 && !line.contains(&0);
    named.then(|| OsStr::from_bytes(line))
}

/// Whether a driver would work as far as its file tells, and where it is.
fn examine(loader: &Loader, library: &OsStr, full: bool) -> Result<PathBuf, String> {
    let path = usable(loader, library, full)?;
    let exports = loader
        .root()
        .open(&path)
        .map_err(|error| error.to_string())
        .and_then(|file| elf::exports(&file, &ENTRY_POINTS).map_err(|error| error.to_string()))
        .map_err(|why| format!("{} {why}", path.display()))?;
    if exports.contains(&true) {
        return Ok(path);
    }
    let [first, second] = ENTRY_POINTS;
    Err(format!("{} exports neither {first} nor {second}: it is no driver", path.display()))
}

/// Where a library is; the error says why it cannot be loaded, as the end of a sentence.
fn usable(loader: &Loader, name: &OsStr, full: bool) -> Result<PathBuf, String> {
    let path = match loader.find(name, None) {
        Resolution::Found { file, .. } => file.path,
        Resolution::Missing { .. } => return Err("is not found".to_owned()),
        Resolution::Broken { path, reason } => return Err(format!("{} {reason}", path.display())),
        Resolution::WrongMachine { candidates, .. } => {
            let found: Vec<String> = candidates
                .iter()
                .map(|file| format!("{} is for {}", file.path.display(), file.identity))
                .collect();
            return Err(format!("is for another machine: {}", found.join(", ")));
        }
    };
    if full && let Some((_, first)) = fatal(&loader.closure(name, None)).into_iter().next() {
        return Err(format!("cannot be loaded: {first}"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_line_of_an_icd_file_names_the_library() {
        for (text, expected) in [
            ("libpocl.so.2.9.0\n", Some("libpocl.so.2.9.0")),
            ("  /usr/lib/libnvidia-opencl.so.1 \r\nrest", Some("/usr/lib/libnvidia-opencl.so.1")),
            ("libMesaOpenCL.so.1", Some("libMesaOpenCL.so.1")),
            ("\nlib.so", None),
            ("", None),
            ("a\0b", None),
        ] {
            assert_eq!(library_named_in(text.as_bytes()), expected.map(OsStr::new), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_name_a_library_or_none(bytes: Vec<u8>) {
            if let Some(name) = library_named_in(&bytes) {
                prop_assert!(!name.is_empty() && !name.as_bytes().contains(&b'\n'));
            }
        }
    }
}
