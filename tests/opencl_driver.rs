//! OpenCL with a driver as Debian packages it (pocl): usable, and not any more without the compiler
//! it brings along, though loader, `.icd` file and driver are all there.
//!
//! `MAK_ORACLE_ROOT` and `MAK_ORACLE_ARM64_ROOT` name roots that tests/oracle/roots.sh has made.
#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::{Folder, program};
use mak_init::loader::{Conditions, Loader};
use mak_init::platform::{Arch, Root};

const ICD: &str = "etc/OpenCL/vendors/pocl.icd";

#[test]
fn a_real_driver_is_usable_and_without_its_own_libraries_it_is_not() {
    for (variable, arch) in
        [("MAK_ORACLE_ROOT", Arch::Amd64), ("MAK_ORACLE_ARM64_ROOT", Arch::Arm64)]
    {
        match std::env::var_os(variable) {
            Some(base) => judge(Path::new(&base), arch),
            None => println!("not run for {arch}: {variable} names no root"),
        }
    }
}

fn judge(base: &Path, arch: Arch) {
    let whole = Root::at(base).unwrap();
    let (code, text) = verify(base, "");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("usable device drivers") && text.contains("libpocl.so"), "{text}");
    let (code, text) = verify(base, "/etc/ld.so.conf.d");
    assert_eq!(code, Some(69), "{text}");
    assert!(text.contains("the loader is there, and no device driver is installed"), "{text}");

    // The same files but for the compiler.
    let folder = Folder::below(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let icd = fs::read_to_string(base.join(ICD)).unwrap();
    let loader = Loader::new(&whole, arch, Conditions::default());
    let mut left_out = 0;
    let put = |inside: &Path, from: &Path| {
        let to = folder.path().join(inside.strip_prefix("/").unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    put(&Path::new("/").join(ICD), &base.join(ICD));
    put(loader.path().unwrap(), &whole.locate(loader.path().unwrap()).unwrap());
    for name in ["libOpenCL.so.1", icd.trim()] {
        let closure = loader.closure(name, None);
        assert!(closure.loads(), "{name}: {:?}", closure.problems);
        for node in &closure.nodes {
            if node.path.to_string_lossy().contains("libLLVM") {
                left_out += 1;
            } else {
                put(&node.path, &whole.locate(&node.path).unwrap());
            }
        }
    }
    assert!(left_out > 0, "the driver needs no libLLVM");
    let (code, text) = verify(folder.path(), "");
    assert_eq!(code, Some(69), "{text}");
    let reasons =
        ["the loader is there, and no device driver is usable", "pocl.icd names", "needs libLLVM"];
    assert!(reasons.iter().all(|reason| text.contains(reason)), "{text}");
}

/// The exit code and the report of a profile that requires OpenCL.
fn verify(root: &Path, vendors: &str) -> (Option<i32>, String) {
    let folder = Folder::new();
    let profile = folder.write("x.toml", 0o644, "prefix = \"X_\"\n[opencl]\n");
    let output = Command::new(program())
        .args(["verify", "--full", "--profile", &profile, "--root"])
        .arg(root)
        .env_clear()
        .env("OCL_ICD_VENDORS", vendors)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
}
