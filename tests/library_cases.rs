//! Libraries, programs and platforms that entrypoint scripts get wrong, on real files made by real
//! compilers: gcc, aarch64-linux-gnu-gcc and musl-gcc. Each root holds what an image without shell,
//! Python and ldconfig would.
#![cfg(target_arch = "x86_64")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Folder, emulated, has_compilers, only_as_root, program};
use serde_json::Value;

const AMD64: &str = "gcc";
const ARM64: &str = "aarch64-linux-gnu-gcc";

/// A root filesystem in a folder.
struct Image {
    folder: Folder,
}

/// What `mak-init verify` said.
struct Said {
    code: i32,
    checks: Vec<Value>,
}

impl Image {
    /// Loader and libc of a compiler's own glibc.
    fn glibc(compiler: &str) -> Image {
        let image = Image { folder: Folder::new() };
        let (loader, place) = match compiler {
            ARM64 => ("ld-linux-aarch64.so.1", "lib"),
            _ => ("ld-linux-x86-64.so.2", "lib64"),
        };
        image.copy(&library_of(compiler, loader), &format!("{place}/{loader}"));
        image.copy(&library_of(compiler, "libc.so.6"), "usr/lib/libc.so.6");
        image
    }

    /// musl's loader, which is its libc.
    fn musl() -> Image {
        let image = Image { folder: Folder::new() };
        image.copy(Path::new("/lib/ld-musl-x86_64.so.1"), "lib/ld-musl-x86_64.so.1");
        image
    }

    fn path(&self, inside: &str) -> PathBuf {
        let path = self.folder.path().join(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn copy(&self, from: &Path, inside: &str) {
        fs::copy(from, self.path(inside)).unwrap();
    }

    fn write(&self, inside: &str, text: &str) {
        fs::write(self.path(inside), text).unwrap();
    }

    /// Compiles a shared object whose soname is its file name.
    fn library(&self, compiler: &str, inside: &str, source: &str, options: &[&str]) {
        let path = self.path(inside);
        let soname = format!("-Wl,-soname,{}", path.file_name().unwrap().to_str().unwrap());
        let mut all = vec!["-shared", "-fPIC", "-w", &soname];
        all.extend(options);
        compile(compiler, source, &path, &all);
    }

    fn profile(&self, text: &str) -> String {
        self.write("x.toml", &format!("prefix = \"X_\"\n{text}"));
        self.folder.at("x.toml")
    }

    fn verify(&self, words: &[&str]) -> Said {
        let root = self.folder.path().to_str().unwrap();
        let mut all = vec!["--root", root, "--full"];
        all.extend(words);
        verify(&all, &[])
    }
}

impl Said {
    fn expect(self, code: i32) -> Said {
        assert_eq!(self.code, code, "{:#?}", self.checks);
        self
    }

    /// The check with this identifier and status, whose message and evidence hold all the words.
    fn check(&self, id: &str, status: &str, words: &[&str]) -> &Said {
        let fits = |check: &&Value| check["id"] == id && check["status"] == status;
        let text = |check: &Value| format!("{} {}", check["message"], check["evidence"]);
        let found = self.checks.iter().filter(fits).any(|check| {
            let text = text(check);
            words.iter().all(|word| text.contains(word))
        });
        assert!(found, "no {status} {id} with {words:?}: {:#?}", self.checks);
        self
    }
}

fn verify(words: &[&str], environment: &[(&str, &str)]) -> Said {
    let output = Command::new(program())
        .args(["verify", "--format", "json"])
        .args(words)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{errors}"));
    let checks = report["checks"].as_array().unwrap().clone();
    Said { code: output.status.code().unwrap(), checks }
}

fn compile(compiler: &str, source: &str, output: &Path, options: &[&str]) {
    let file = output.with_extension("c");
    fs::write(&file, source).unwrap();
    let done =
        Command::new(compiler).arg(&file).arg("-o").arg(output).args(options).status().unwrap();
    assert!(done.success(), "{compiler} {options:?}");
    fs::remove_file(file).unwrap();
}

/// Where a compiler has a library of its own.
fn library_of(compiler: &str, name: &str) -> PathBuf {
    let found = Command::new(compiler).arg(format!("-print-file-name={name}")).output().unwrap();
    let path = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    fs::canonicalize(&path).unwrap_or_else(|why| panic!("{compiler} has no {name}: {why}"))
}

#[test]
fn a4_an_aarch64_library_on_amd64_is_the_wrong_machine_and_not_a_tick() {
    if !has_compilers(&[ARM64]) {
        return;
    }
    let image = Image::glibc(AMD64);
    image.library(ARM64, "usr/lib/libhwloc.so.15", "int hwloc;", &["-nostdlib"]);
    let said = image.verify(&["--library", "libhwloc.so.15"]).expect(69);
    said.check("elf.machine", "fail", &["/usr/lib/libhwloc.so.15 is for aarch64"]);
    if only_as_root("ldconfig -r is a chroot") {
        image.write("etc/ld.so.conf", "/usr/lib\n");
        let done = Command::new("/sbin/ldconfig").arg("-r").arg(image.folder.path()).status();
        assert!(done.unwrap().success());
        assert!(fs::exists(image.folder.at("etc/ld.so.cache")).unwrap());
        let said = image.verify(&["--library", "libhwloc.so.15"]).expect(69);
        said.check("elf.machine", "fail", &["is for aarch64"]);
    }
    image.library(AMD64, "usr/lib/libhwloc.so.15", "int hwloc;", &["-nostdlib"]);
    image.verify(&["--library", "libhwloc.so.15"]).expect(0);
}

#[test]
fn a5_an_older_generation_of_a_library_is_not_the_one_that_is_wanted() {
    let image = Image::glibc(AMD64);
    image.library(AMD64, "usr/lib/libhwloc.so.5", "int hwloc;", &["-nostdlib"]);
    let said = image.verify(&["--library", "libhwloc.so.15"]).expect(69);
    said.check("lib.generation", "fail", &["an older generation: /usr/lib/libhwloc.so.5"]);
    image.library(AMD64, "usr/lib/libhwloc.so.16", "int hwloc;", &["-nostdlib"]);
    fs::remove_file(image.path("usr/lib/libhwloc.so.5")).unwrap();
    let said = image.verify(&["--library", "libhwloc.so.15"]).expect(69);
    said.check("lib.generation", "fail", &["a newer generation: /usr/lib/libhwloc.so.16"]);
}

#[test]
fn a6_an_opencl_loader_without_a_usable_driver_is_a_verdict_of_its_own() {
    if !has_compilers(&[ARM64]) {
        return;
    }
    const DRIVER: &str = "void *clGetExtensionFunctionAddress(const char *n){return 0;}";
    let image = Image::glibc(AMD64);
    let optional = image.profile("[opencl]\nquick = \"optional\"\nfull = \"optional\"\n");
    let said = image.verify(&["--profile", &optional]).expect(0);
    said.check("opencl.loader", "warn", &["is not found"]);

    image.library(AMD64, "usr/lib/libOpenCL.so.1", "int cl;", &["-nostdlib"]);
    let said = image.verify(&["--profile", &optional]).expect(0);
    said.check("opencl.loader", "pass", &[]);
    said.check("opencl.driver", "warn", &["no device driver is installed"]);

    let vendors = "etc/OpenCL/vendors";
    image.write(&format!("{vendors}/gone.icd"), "libgone.so.1\n");
    image.write(&format!("{vendors}/foreign.icd"), "/opt/libforeign.so\n");
    image.write(&format!("{vendors}/empty.icd"), "\n");
    image.write(&format!("{vendors}/plain.icd"), "libplain.so.1\n");
    image.write(&format!("{vendors}/half.icd"), "libhalf.so.1\n");
    image.library(ARM64, "opt/libforeign.so", DRIVER, &["-nostdlib"]);
    image.library(AMD64, "usr/lib/libplain.so.1", "int plain;", &["-nostdlib"]);
    image.library(AMD64, "opt/libneeded.so.1", "int needed;", &["-nostdlib"]);
    let needed = image.folder.at("opt/libneeded.so.1");
    let options = ["-nostdlib", "-Wl,--no-as-needed", &needed];
    image.library(AMD64, "usr/lib/libhalf.so.1", DRIVER, &options);
    let said = image.verify(&["--profile", &optional]).expect(0);
    let reasons = [
        "no device driver is usable",
        "gone.icd names libgone.so.1: is not found",
        "/opt/libforeign.so is for aarch64",
        "empty.icd: its first line names no library",
        "libplain.so.1 exports neither clIcdGetPlatformIDsKHR",
        "needs libneeded.so.1, which is not found",
    ];
    said.check("opencl.driver", "warn", &reasons);

    image.write(&format!("{vendors}/works.icd"), "libworks.so.1\n");
    image.library(AMD64, "usr/lib/libworks.so.1", DRIVER, &["-nostdlib"]);
    let said = image.verify(&["--profile", &optional]).expect(0);
    said.check("opencl.driver", "pass", &["/usr/lib/libworks.so.1"]);
    said.check("opencl.icd", "warn", &["libgone.so.1"]);

    let required = image.profile("[opencl]\n");
    let root = image.folder.path().to_str().unwrap();
    let words = ["--root", root, "--full", "--profile", &required];
    let elsewhere = verify(&words, &[("OCL_ICD_VENDORS", "/opt")]).expect(69);
    elsewhere.check("opencl.driver", "fail", &["no device driver is installed"]);
    let file = verify(&words, &[("OCL_ICD_VENDORS", "/etc/OpenCL/vendors/works.icd")]);
    file.expect(0).check("opencl.driver", "pass", &["libworks.so.1"]);
    let library = verify(&words, &[("OCL_ICD_FILENAMES", "/usr/lib/libworks.so.1")]);
    library.expect(0).check("opencl.driver", "pass", &["/usr/lib/libworks.so.1"]);
}

#[test]
fn a7_images_without_shell_ldconfig_and_glibc_get_the_same_verdicts() {
    if !has_compilers(&[ARM64, "musl-gcc"]) {
        return;
    }
    for (image, compiler) in [(Image::glibc(AMD64), AMD64), (Image::musl(), "musl-gcc")] {
        let words = ["--library", "libhwloc.so.15"];
        let said = image.verify(&words).expect(69);
        said.check("lib.missing", "fail", &["not found", "looked in /usr/lib"]);
        image.library(ARM64, "usr/lib/libhwloc.so.15", "int hwloc;", &["-nostdlib"]);
        image.verify(&words).expect(69).check("elf.machine", "fail", &["aarch64"]);
        // With what every library needs: the libc.
        image.library(compiler, "usr/lib/libhwloc.so.15", "int puts(); int h(){puts(\"\");}", &[]);
        image.verify(&words).expect(0).check("lib.missing", "pass", &["/usr/lib/libhwloc.so.15"]);
        assert!(!fs::exists(image.folder.at("bin")).unwrap());

        // A Python that is called python and nothing else.
        let program = image.path("usr/bin/python");
        compile(compiler, "int puts(); int main(){puts(\"\");}", &program, &["-w"]);
        image.write("usr/lib/python3.11/os.py", "");
        let site = "usr/lib/python3.11/site-packages";
        image.write(&format!("{site}/six-1.dist-info/METADATA"), "Name: six\nVersion: 1\n");
        for (wanted, code) in [("six>=1\n", 0), ("six>=2\n", 69), ("gone\n", 69)] {
            image.write("list.txt", wanted);
            image.verify(&["--requirements", &image.folder.at("list.txt")]).expect(code);
        }
    }
}

#[test]
fn a13_an_arm64_image_that_is_labelled_amd64_fails_whatever_else_is_well() {
    if !has_compilers(&[ARM64]) {
        return;
    }
    let image = Image::glibc(ARM64);
    image.library(ARM64, "usr/lib/libhwloc.so.15", "int hwloc;", &["-nostdlib"]);
    let words = ["--library", "libhwloc.so.15", "--expect-platform"];
    let said = image.verify(&[words.as_slice(), &["linux/amd64"]].concat()).expect(69);
    said.check("platform.expected", "fail", &["the image's files are for linux/arm64"]);
    said.check("lib.missing", "pass", &[]);
    assert_eq!(said.checks[0]["id"], "platform.expected");
    let said = image.verify(&[words.as_slice(), &["linux/arm64/v8"]].concat()).expect(0);
    said.check("platform.expected", "pass", &[]);
}

#[test]
fn a17_an_emulator_is_reported_by_its_name() {
    let folder = Folder::new();
    let text = "prefix = \"X_\"\n[platform]\nemulation = \"refused\"\n";
    let profile = folder.write("x.toml", 0o644, text);
    let said = verify(&["--profile", &profile], &[]);
    if emulated() {
        said.expect(69).check("platform.emulation", "fail", &["emulated by qemu-user"]);
        return;
    }
    // On a real processor nothing is said; Rosetta's and other facts are judged in
    // src/platform/emulation.rs.
    assert!(said.checks.iter().all(|check| check["id"] != "platform.emulation"));
    assert_eq!(said.code, 0, "{:#?}", said.checks);
}

#[test]
fn a_library_for_smaller_pages_fails_on_a_kernel_with_larger_ones() {
    if !has_compilers(&[ARM64]) {
        return;
    }
    let image = Image::glibc(ARM64);
    image.library(
        ARM64,
        "usr/lib/liba.so.1",
        "int a;",
        &["-nostdlib", "-Wl,-z,max-page-size=4096"],
    );
    image.library(
        ARM64,
        "usr/lib/libb.so.1",
        "int b;",
        &["-nostdlib", "-Wl,-z,max-page-size=65536"],
    );
    let pages = ["--page-size", "64KiB", "--library"];
    let said = image.verify(&[pages.as_slice(), &["liba.so.1"]].concat()).expect(69);
    said.check("elf.alignment", "fail", &["pages of 4096 bytes, this kernel's have 65536"]);
    image.verify(&[pages.as_slice(), &["libb.so.1"]].concat()).expect(0);
    image.verify(&["--page-size", "4096", "--library", "liba.so.1"]).expect(0);
}

#[test]
fn a_library_for_a_better_processor_fails_on_a_lesser_one() {
    let image = Image::glibc(AMD64);
    let options = ["-nostdlib", "-Wl,-z,x86-64-v3"];
    image.library(AMD64, "usr/lib/liba.so.1", "int a;", &options);
    let said = image.verify(&["--cpu-level", "x86-64-v2", "--library", "liba.so.1"]).expect(69);
    said.check("cpu.level", "fail", &["needs a processor of x86-64-v3, this one is x86-64-v2"]);
    image.verify(&["--cpu-level", "x86-64-v3", "--library", "liba.so.1"]).expect(0);
    // The better of two files is chosen by the level that is named, not by this machine's.
    let better = "usr/lib/glibc-hwcaps/x86-64-v4/liba.so.1";
    image.library(AMD64, better, "int a;", &["-nostdlib"]);
    let said = image.verify(&["--cpu-level", "x86-64-v4", "--library", "liba.so.1"]).expect(0);
    said.check("lib.missing", "pass", &["glibc-hwcaps/x86-64-v4/liba.so.1"]);
}

#[test]
fn a_library_that_is_too_old_is_told_by_its_symbol_versions() {
    let image = Image::glibc(AMD64);
    let profile = |version: &str| {
        image.profile(&format!(
            "[[library]]\nsoname = \"libc.so.6\"\nsymbol_version = \"{version}\"\n"
        ))
    };
    image.verify(&["--profile", &profile("GLIBC_2.17")]).expect(0);
    let said = image.verify(&["--profile", &profile("GLIBC_2.99")]).expect(69);
    said.check("lib.version", "fail", &["it defines up to GLIBC_2.", "GLIBC_2.99 is wanted"]);
}

#[test]
fn a_program_of_the_profile_has_to_be_able_to_start_and_may_be_absent_where_it_is_optional() {
    if !has_compilers(&[ARM64, "musl-gcc"]) {
        return;
    }
    let image = Image::glibc(AMD64);
    let optional = "[[binary]]\nname = \"lotus\"\nfull = \"optional\"\n";
    let words = |profile: String| ["--profile".to_owned(), profile];
    let verify = |text: &str| {
        let words = words(image.profile(text));
        image.verify(&[&words[0], &words[1]])
    };
    verify(optional).expect(0).check("binary.missing", "skip", &["not found"]);
    let required = "[[binary]]\npath = \"/usr/bin/lotus\"\n";
    verify(required).expect(69).check("binary.missing", "fail", &[]);

    compile(ARM64, "void _start(void){}", &image.path("usr/bin/lotus"), &["-nostdlib", "-static"]);
    verify(optional).expect(0).check("binary.machine", "warn", &["aarch64"]);
    verify(required).expect(69).check("binary.machine", "fail", &["aarch64"]);

    let source = "int puts(); int main(){puts(\"\");}";
    compile("musl-gcc", source, &image.path("usr/bin/lotus"), &["-w"]);
    verify(required).expect(69).check("binary.loader", "fail", &["musl"]);

    compile(AMD64, source, &image.path("usr/bin/lotus"), &["-w"]);
    verify(required).expect(0).check("binary.missing", "pass", &["/usr/bin/lotus"]);
    fs::remove_file(image.path("usr/lib/libc.so.6")).unwrap();
    verify(required).expect(69).check("binary.closure", "fail", &["libc.so.6"]);
}

#[test]
fn a_preloaded_file_that_is_not_there_is_said_once_and_one_that_cannot_be_loaded_fails() {
    let image = Image::glibc(AMD64);
    image.library(AMD64, "usr/lib/liba.so.1", "int a;", &["-nostdlib"]);
    image.write("etc/ld.so.preload", "/opt/libjemalloc.so\n");
    let words = ["--library", "liba.so.1"];
    image.verify(&words).expect(0).check("loader.preload", "warn", &["/opt/libjemalloc.so"]);
    image.library(AMD64, "tmp/libgone.so.1", "int g;", &["-nostdlib"]);
    let gone = image.folder.at("tmp/libgone.so.1");
    let options = ["-nostdlib", "-Wl,--no-as-needed", &gone];
    image.library(AMD64, "opt/libjemalloc.so", "int j;", &options);
    image.verify(&words).expect(69).check("loader.preload", "fail", &["libgone.so.1"]);
}

#[test]
fn a_start_on_another_platform_than_declared_ends_with_69_and_needs_no_profile() {
    let start = |platform: &str| {
        let mut command = Command::new(program());
        command.args(["--", "/bin/true"]).env("MAK_INIT_EXPECT_PLATFORM", platform);
        command.output().unwrap()
    };
    let output = start("linux/s390x");
    assert_eq!(output.status.code(), Some(69));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("platform.expected") && said.contains("linux/s390x"), "{said}");
    assert_eq!(start("mars").status.code(), Some(69));
    assert_eq!(start("linux//").status.code(), Some(64));
    if !emulated() {
        assert_eq!(start("linux/amd64").status.code(), Some(0));
    }
}
