//! Files that nobody made by accident, or that a broken disk or a broken build left: each kind of
//! file that verification reads, in each of these forms, ends in a verdict, in time (the harness
//! waits 20 s) and in bounded memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Ended, Folder, Installation, Launch, only_as_root, only_on_this_machine};
use serde_json::Value;

/// What no verdict may need, in KiB: three times what the largest honest image takes.
const MOST_MEMORY: i64 = 64 << 10;

/// What stands where a file should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    Fifo,
    Folder,
    LinkLoop,
    Device,
    /// 10 GiB of nothing.
    Sparse,
    /// Bytes that are no text.
    Noise,
}

const OBSTACLES: [Obstacle; 6] = [
    Obstacle::Fifo,
    Obstacle::Folder,
    Obstacle::LinkLoop,
    Obstacle::Device,
    Obstacle::Sparse,
    Obstacle::Noise,
];

impl Obstacle {
    /// Puts it in the place of whatever is there.
    fn put(self, path: &str) {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir(path);
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        match self {
            Obstacle::Fifo => {
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            }
            Obstacle::Folder => fs::create_dir(path).unwrap(),
            Obstacle::LinkLoop => symlink(path, path).unwrap(),
            Obstacle::Device => symlink("/dev/zero", path).unwrap(),
            Obstacle::Sparse => fs::File::create(path).unwrap().set_len(10 << 30).unwrap(),
            Obstacle::Noise => {
                let noise: Vec<u8> = (0..100_000_u32).map(|n| ((n * 7919) >> 3) as u8).collect();
                fs::write(path, noise).unwrap();
            }
        }
    }
}

/// The verdict was one of these codes, and the memory was bounded.
#[track_caller]
fn judged(ended: &Ended, codes: &[i32], about: &str) {
    let code = ended.code();
    assert!(codes.contains(&code), "{about}: {code}\n{}\n{}", ended.text(), ended.stderr);
    // An emulator has memory of its own.
    if only_on_this_machine("the bound on memory is for the program itself") {
        let peak = ended.usage.memory;
        assert!(peak < MOST_MEMORY, "{about}: {peak} KiB");
    }
}

fn checks(ended: &Ended) -> Vec<Value> {
    let report: Value = serde_json::from_str(ended.text())
        .unwrap_or_else(|why| panic!("{why}: {}\n{}", ended.text(), ended.stderr));
    report["checks"].as_array().unwrap().clone()
}

/// A check with this identifier and status.
#[track_caller]
fn says(ended: &Ended, id: &str, status: &str, about: &str) {
    let found = checks(ended);
    let fits = |check: &Value| check["id"] == id && check["status"] == status;
    assert!(found.iter().any(fits), "{about}: no {status} {id} in {found:#?}");
}

#[test]
fn a_pythons_files_may_be_anything() {
    let python = Installation::new();
    let list = python.requirements("six\n");
    for obstacle in OBSTACLES {
        for name in ["METADATA", "RECORD", "WHEEL", "direct_url.json", "INSTALLER"] {
            let about = format!("{obstacle:?} for {name}");
            let folder = python.site("six-1.dist-info");
            let _ = fs::remove_dir_all(&folder);
            python.distribution("six", "1", "");
            python.file("six-1.dist-info/RECORD", "six-1.dist-info/METADATA,,\n");
            obstacle.put(&python.site(&format!("six-1.dist-info/{name}")));
            let ended = python.verify(&list, &["--full", "--format", "json"]);
            judged(&ended, &[0, 69], &about);
            match name {
                "METADATA" => says(&ended, "dist.broken", "fail", &about),
                "RECORD" if obstacle == Obstacle::Noise => {
                    says(&ended, "record.missing", "fail", &about);
                }
                "RECORD" => says(&ended, "record.unreadable", "fail", &about),
                // Noise is a WHEEL without a tag, as some tools leave it.
                "WHEEL" if obstacle != Obstacle::Noise => {
                    says(&ended, "wheel.tag", "fail", &about);
                }
                _ => says(&ended, "dist.version", "pass", &about),
            }
        }
    }
}

#[test]
fn what_is_around_a_python_may_be_anything() {
    for obstacle in OBSTACLES {
        let python = Installation::new();
        python.distribution("six", "1", "");
        let list = python.requirements("six\n");
        obstacle.put(&python.site("x.pth"));
        obstacle.put(&python.folder.at("pyvenv.cfg"));
        obstacle.put(&python.folder.at("lib/python3.11/_sysconfigdata__linux_x86_64-linux-gnu.py"));
        obstacle.put(&python.folder.at("include/python3.11/patchlevel.h"));
        obstacle.put(&python.folder.at("lib/python3.11/site.py"));
        obstacle.put(&python.site("y-1.dist-info"));
        obstacle.put(&python.site("z-1-py3.11.egg"));
        let about = format!("{obstacle:?}");
        judged(&python.verify(&list, &["--full"]), &[0], &about);
        obstacle.put(&python.folder.at("bin/python3.11"));
        let ended = python.verify(&list, &["--format", "json"]);
        judged(&ended, &[69], &about);
        says(&ended, "python.missing", "fail", &about);
    }
}

#[test]
fn what_the_user_may_not_read_is_named_with_what_helps() {
    if !only_as_root("a user who may not read everything is needed") {
        return;
    }
    let python = Installation::new();
    python.distribution("six", "1", "");
    python.file("six-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n");
    python.file("six-1.dist-info/RECORD", "six.py,,\nsix/inner.py,,\n");
    python.file("six.py", "");
    python.file("six/inner.py", "");
    let list = python.requirements("six\n");
    let (program, own) = (python.folder.program(), python.folder.at("bin/python"));
    let verify = |form: &str| {
        let words = ["verify", "--python", &own, "--requirements", &list, form];
        Launch::beside().program(&program).user(1000).arguments(&words).start().end()
    };
    verify("--full").expect(0);
    let six = |name: &str| python.site(&format!("six-1.dist-info/{name}"));
    let denied = "Permission denied (os error 13)";
    let cases = [
        (six("METADATA"), 0, ["dist.broken", denied, "METADATA"]),
        (six("RECORD"), 0, ["record.unreadable", denied, "its RECORD"]),
        (six("WHEEL"), 0, ["wheel.tag", denied, "its WHEEL"]),
        (six(""), 0o644, ["dist.broken", denied, "METADATA"]),
        (
            python.site("six.py"),
            0,
            ["record.unreadable", "six.py may not be read", "chmod -R a+rX"],
        ),
        // Without x on the folder above it, a file can be listed and not be looked at.
        (
            python.site("six"),
            0o644,
            ["record.unreadable", "six/inner.py may not be read", "chmod -R a+rX"],
        ),
        (python.site(""), 0o644, ["dist.broken", denied, "METADATA"]),
        (python.site(""), 0o711, ["dist.missing", "it cannot be listed", "chmod a+rx"]),
        (
            python.folder.at("bin/python3.11"),
            0o711,
            ["python.missing", "cannot read the interpreter", "chmod a+rx"],
        ),
    ];
    for (path, mode, words) in cases {
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let ended = verify("--full");
        fs::set_permissions(&path, before).unwrap();
        judged(&ended, &[69], &path);
        for word in words {
            assert!(ended.text().contains(word), "{path}: no {word:?} in\n{}", ended.text());
        }
    }
    // A list that is named on the command line is a matter of the command line.
    fs::set_permissions(&list, fs::Permissions::from_mode(0o000)).unwrap();
    verify("--full").expect(64).says(&["cannot read", "requirements.txt", denied]);
}

#[test]
fn a_list_of_requirements_may_be_anything() {
    let python = Installation::new();
    python.distribution("six", "1", "");
    let list = python.folder.at("list.txt");
    let project = python.folder.at("pyproject.toml");
    let outer = python.requirements("-r list.txt\nsix\n");
    for obstacle in OBSTACLES {
        obstacle.put(&list);
        obstacle.put(&project);
        let about = format!("{obstacle:?}");
        for named in [&list, &project] {
            judged(&python.verify(named, &[]), &[64, 69], &about);
        }
        let ended = python.verify(&outer, &["--format", "json"]);
        judged(&ended, &[69], &about);
        says(&ended, "requirement.invalid", "fail", &about);
    }
}

#[test]
fn lists_that_are_too_long_too_deep_or_too_wide_are_refused_and_not_followed() {
    let python = Installation::new();
    python.distribution("a", "1", "Provides-Extra: x\n");
    for number in 0..300 {
        let next = format!("-r {}.txt\n-r {}.txt\na\n", number + 1, number + 2);
        fs::write(python.folder.at(&format!("{number}.txt")), next).unwrap();
    }
    let ended = python.verify(&python.folder.at("0.txt"), &["--full", "--format", "json"]);
    judged(&ended, &[69], "deep");
    says(&ended, "requirement.invalid", "fail", "deep");
    let lists = [
        ("many lines", "a>=0\n".repeat(500_000)),
        ("a long version", format!("a=={}\n", "1.".repeat(500_000))),
        ("many specifiers", format!("a{}\n", ">=0,".repeat(500_000))),
        ("many extras", format!("a[{}]\n", "x,".repeat(500_000))),
        ("parentheses", format!("a; {}os_name{}\n", "(".repeat(200_000), ")".repeat(200_000))),
        ("alternatives", format!("a; {}os_name>''\n", "os_name>'' or ".repeat(100_000))),
        ("a line that goes on", "a\\\n".repeat(500_000)),
    ];
    for (about, text) in lists {
        let ended = python.verify(&python.requirements(&text), &["--full", "--format", "json"]);
        judged(&ended, &[69], about);
        says(&ended, "requirement.invalid", "fail", about);
    }
    let ended = python.verify(&python.requirements("-r requirements.txt\na\n"), &["--full"]);
    judged(&ended, &[0], "a list that names itself");
}

#[test]
fn metadata_that_requires_everything_and_itself_ends() {
    let python = Installation::new();
    let many: String = (0..20_000).map(|n| format!("Requires-Dist: gone{n}>={n}\n")).collect();
    python.distribution("wide", "1", &many);
    let long = format!("Requires-Dist: b{}\n", ",>=0".repeat(100_000));
    python.distribution("long", "1", &long);
    let list = python.requirements("wide\nlong\n");
    let ended = python.verify(&list, &["--full", "--format", "json"]);
    judged(&ended, &[69], "wide");
    says(&ended, "dist.missing", "fail", "wide");
    says(&ended, "dist.metadata", "warn", "long");
    let extras: String = (0..300)
        .map(|n| {
            format!("Provides-Extra: e{n}\nRequires-Dist: ring[e{}]; extra == 'e{n}'\n", n + 1)
        })
        .collect();
    python.distribution("ring", "1", &(extras + "Provides-Extra: e300\nRequires-Dist: ring[e0]\n"));
    let ended = python.verify(&python.requirements("ring\n"), &["--full"]);
    judged(&ended, &[0], "ring");
}

#[test]
fn requirement_files_that_name_each_other_end() {
    let python = Installation::new();
    python.distribution("six", "1", "");
    let other = python.folder.at("other.txt");
    let list = python.requirements("-r other.txt\n-c requirements.txt\nsix>=1\n");
    fs::write(&other, "-r requirements.txt\nsix<2\n-r other.txt\n").unwrap();
    python.verify(&list, &[]).expect(0);
}

#[test]
fn a_hundred_thousand_distributions_are_listed_and_only_what_is_asked_for_is_read() {
    let python = Installation::new();
    for number in 0..100_000 {
        fs::create_dir(python.site(&format!("d{number}-1.dist-info"))).unwrap();
    }
    python.distribution("six", "1", "");
    let list = python.requirements("six>=1\n");
    judged(&python.verify(&list, &["--full"]), &[0], "100,000");
}

#[test]
fn metadata_and_records_cut_at_every_byte_are_judged() {
    const METADATA: &str = "Metadata-Version: 2.1\nName: NAME\nVersion: 1.0\n\
        Requires-Dist: base>=1; python_version >= \"3.8\"\nRequires-Python: >=3.8\n\nText.\n";
    const RECORD: &str = "base.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n\
        \"base-1.dist-info/METADATA\",,\nbase-1.dist-info/RECORD,,\n";
    let python = Installation::new();
    python.distribution("base", "1", "");
    python.file("base.py", "");
    python.file("base-1.dist-info/RECORD", "");
    let mut all = String::new();
    for end in 0..=METADATA.len() {
        let text = METADATA.replace("NAME", &format!("m{end}"));
        python.file(&format!("m{end}-1.0.dist-info/METADATA"), &text[..end.min(text.len())]);
        all += &format!("m{end}>=1.0\n");
    }
    for end in 0..=RECORD.len() {
        python.distribution(&format!("r{end}"), "1.0", "");
        python.file(&format!("r{end}-1.0.dist-info/RECORD"), &RECORD[..end]);
        all += &format!("r{end}\n");
    }
    let list = python.requirements(&all);
    let ended = python.verify(&list, &["--full", "--format", "json"]);
    judged(&ended, &[69], "cut");
    let found = checks(&ended);
    let judgement = |name: &str, id: &str, status: &str| {
        found.iter().any(|c| c["subject"] == name && c["id"] == id && c["status"] == status)
    };
    // The longest name has as many letters as the one it stands for.
    let name_and_version = METADATA.find("\nRequires-Dist").unwrap();
    let mut whole = 0;
    for end in 0..=METADATA.len() {
        let name = format!("m{end}");
        let broken = judgement(&name, "dist.broken", "fail");
        // Cut inside the version it is another one, and not the one that is wanted.
        let other = judgement(&name, "dist.version", "fail");
        let passes = judgement(&name, "dist.version", "pass");
        assert!(broken ^ (other | passes), "{name}");
        assert!(passes || end < name_and_version, "{name}");
        whole += usize::from(passes);
    }
    assert!(whole > METADATA.len() - name_and_version);
    for end in 0..=RECORD.len() {
        let name = format!("r{end}");
        let missing = |status| judgement(&name, "record.missing", status);
        let sized = judgement(&name, "record.size", "fail");
        assert!(missing("pass") ^ (missing("fail") || sized), "{name}");
    }
    assert!(judgement(&format!("r{}", RECORD.len()), "record.missing", "pass"));
}

#[test]
fn names_that_are_not_text_and_names_that_would_be_lines_stay_in_their_place() {
    let python = Installation::new();
    python.distribution("six", "1", "");
    let record = python.site("six-1.dist-info/RECORD");
    fs::write(record, b"b\xff.so,sha256=00,1\n\"x\n  ok    all: \x1b[31mfine\",,3\n").unwrap();
    let odd = PathBuf::from(python.site("")).join(std::ffi::OsStr::from_bytes(b"\xff-1.dist-info"));
    fs::create_dir(odd).unwrap();
    let ended = python.verify(&python.requirements("six\n"), &["--full"]);
    judged(&ended, &[69], "odd names");
    assert!(!ended.text().contains('\u{1b}'), "{}", ended.text());
    assert!(!ended.text().lines().any(|line| line.starts_with("  ok    all")), "{}", ended.text());
    let ended = python.verify(&python.requirements("six\n"), &["--full", "--format", "junit"]);
    judged(&ended, &[69], "odd names in XML");
    assert!(!ended.text().contains('\u{1b}'));
}

#[test]
fn ten_gibibytes_to_be_hashed_end_at_the_deadline_that_is_given() {
    let python = Installation::new();
    python.distribution("big", "1", "");
    let line = format!("big.so,sha256={},{}\n", "A".repeat(43), 10_u64 << 30);
    python.file("big-1.dist-info/RECORD", &line);
    Obstacle::Sparse.put(&python.site("big.so"));
    let list = python.requirements("big\n");
    let ended = python.verify(&list, &["--hashes", "--verify-deadline", "100ms"]);
    judged(&ended, &[69], "a deadline");
    ended.one_line(&["longer than 100ms"]);
    assert_eq!(ended.text(), "");
    // Of another size than recorded it is not read at all.
    python.file("big-1.dist-info/RECORD", &line.replace(",1", ",2"));
    judged(&python.verify(&list, &["--hashes"]), &[69], "another size");
}

#[test]
fn a_configuration_or_profile_that_is_no_file_is_said_and_not_waited_for() {
    let folder = Folder::new();
    for obstacle in [Obstacle::Fifo, Obstacle::Folder, Obstacle::LinkLoop, Obstacle::Sparse] {
        let path = folder.at("x.toml");
        obstacle.put(&path);
        for option in ["--config", "--profile"] {
            let words = [option, &path, "--", "/bin/true"];
            let ended = Launch::first().arguments(&words).start().end();
            ended.expect(78).says(&[&path]);
        }
    }
    let words = ["--config", "/dev/null", "--", "/bin/true"];
    Launch::first().arguments(&words).start().end().expect(0);
}

/// A root with a glibc of this machine and what else is compiled into it.
#[cfg(target_arch = "x86_64")]
mod libraries {
    use super::*;

    struct Image(Folder);

    impl Image {
        fn new() -> Image {
            let image = Image(Folder::new());
            for folder in ["lib64", "usr/lib", "etc/OpenCL/vendors"] {
                fs::create_dir_all(image.0.at(folder)).unwrap();
            }
            for (name, place) in [("ld-linux-x86-64.so.2", "lib64"), ("libc.so.6", "usr/lib")] {
                let words = [format!("-print-file-name={name}")];
                let found = Command::new("gcc").args(words).output().unwrap();
                let path = String::from_utf8(found.stdout).unwrap();
                fs::copy(path.trim(), image.0.at(&format!("{place}/{name}"))).unwrap();
            }
            image
        }

        fn library(&self, inside: &str, options: &[&str]) {
            let source = self.0.at("x.c");
            fs::write(&source, "int x;").unwrap();
            let name = inside.rsplit('/').next().unwrap();
            let mut gcc = Command::new("gcc");
            gcc.args(["-shared", "-fPIC", "-nostdlib", "-s", "-Wl,--no-as-needed", "-Wl,-soname"]);
            gcc.arg(format!("-Wl,{name}")).arg("-o").arg(self.0.at(inside)).arg(source);
            assert!(gcc.args(options).status().unwrap().success());
        }

        fn verify(&self, words: &[&str]) -> Ended {
            let root = self.0.path().to_str().unwrap();
            let words = [&["verify", "--format", "json", "--full", "--root", root], words].concat();
            Launch::beside().arguments(&words).start().end()
        }
    }

    #[test]
    fn a_loaders_files_may_be_anything() {
        for obstacle in OBSTACLES {
            let about = format!("{obstacle:?}");
            let image = Image::new();
            image.library("usr/lib/liba.so.1", &[]);
            for file in ["ld.so.cache", "ld.so.conf", "os-release", "OpenCL/vendors/x.icd"] {
                obstacle.put(&image.0.at(&format!("etc/{file}")));
            }
            // What the cache does not tell, the default folders do.
            let ended = image.verify(&["--library", "liba.so.1"]);
            judged(&ended, &[0], &about);
            obstacle.put(&image.0.at("etc/ld.so.preload"));
            judged(&image.verify(&["--library", "liba.so.1"]), &[0, 69], &about);
            let profile = image.0.at("x.toml");
            fs::write(&profile, "prefix = \"X_\"\n[opencl]\n").unwrap();
            image.library("usr/lib/libOpenCL.so.1", &[]);
            let ended = image.verify(&["--profile", &profile]);
            judged(&ended, &[69], &about);
            says(&ended, "opencl.driver", "fail", &about);
            obstacle.put(&image.0.at("usr/lib/liba.so.1"));
            let ended = image.verify(&["--library", "liba.so.1"]);
            judged(&ended, &[69], &about);
            let named =
                |check: &Value| check["subject"] == "liba.so.1" && check["status"] == "fail";
            assert!(checks(&ended).iter().any(named), "{about}");
        }
    }

    #[test]
    fn libraries_that_need_each_other_are_followed_once() {
        let image = Image::new();
        image.library("usr/lib/libb.so.1", &[]);
        image.library("usr/lib/liba.so.1", &[&image.0.at("usr/lib/libb.so.1")]);
        image.library("usr/lib/libb.so.1", &[&image.0.at("usr/lib/liba.so.1")]);
        let ended = image.verify(&["--library", "liba.so.1", "--library", "libb.so.1"]);
        judged(&ended, &[0], "a ring");
    }

    /// All the files in `cut`, 500 of them in each run, each with the status it got.
    fn statuses(image: &Image, count: usize) -> Vec<String> {
        let mut found = Vec::new();
        for first in (0..count).step_by(500) {
            let names: Vec<String> =
                (first..count.min(first + 500)).map(|n| format!("/cut/{n}")).collect();
            let words: Vec<&str> =
                names.iter().flat_map(|name| ["--library", name.as_str()]).collect();
            let ended = image.verify(&words);
            judged(&ended, &[0, 69], &names[0]);
            let checks = checks(&ended);
            for name in &names {
                let mut own = checks.iter().filter(|check| check["subject"] == name.as_str());
                let worst = own.find(|check| check["status"] == "fail").map_or("pass", |_| "fail");
                assert!(checks.iter().any(|check| check["subject"] == name.as_str()), "{name}");
                found.push(worst.to_owned());
            }
        }
        found
    }

    #[test]
    fn a_library_cut_at_every_byte_is_judged() {
        let image = Image::new();
        image.library(
            "usr/lib/liba.so.1",
            &["/lib64/ld-linux-x86-64.so.2", "-Wl,-z,noseparate-code"],
        );
        let whole = fs::read(image.0.at("usr/lib/liba.so.1")).unwrap();
        fs::create_dir(image.0.at("cut")).unwrap();
        for end in 0..=whole.len() {
            fs::write(image.0.at(&format!("cut/{end}")), &whole[..end]).unwrap();
        }
        let found = statuses(&image, whole.len() + 1);
        // What the loader reads lies at the front; from there on it is whole.
        let enough = found.iter().position(|status| status == "pass").expect("the whole file is");
        assert!(enough > 64 && found[enough..].iter().all(|status| status == "pass"), "{enough}");
    }

    #[test]
    fn offsets_sizes_and_counts_beyond_the_end_are_judged() {
        let image = Image::new();
        image.library(
            "usr/lib/liba.so.1",
            &["/lib64/ld-linux-x86-64.so.2", "-Wl,-z,noseparate-code"],
        );
        let whole = fs::read(image.0.at("usr/lib/liba.so.1")).unwrap();
        fs::create_dir(image.0.at("cut")).unwrap();
        let mut count = 0;
        for at in (0..whole.len().saturating_sub(8)).step_by(4) {
            for word in [[0xff; 8], *b"\0\0\0\0\0\0\0\x7f", *b"\xff\xff\xff\x7f\0\0\0\0"] {
                let mut bytes = whole.clone();
                bytes[at..at + 8].copy_from_slice(&word);
                fs::write(image.0.at(&format!("cut/{count}")), bytes).unwrap();
                count += 1;
            }
        }
        let found = statuses(&image, count);
        assert!(found.iter().any(|s| s == "fail") && found.iter().any(|s| s == "pass"));
    }

    #[test]
    fn a_cache_cut_at_every_tenth_byte_never_hides_a_library() {
        if !harness::only_as_root("ldconfig -r is a chroot") {
            return;
        }
        let image = Image::new();
        image.library("usr/lib/liba.so.1", &[]);
        fs::write(image.0.at("etc/ld.so.conf"), "/usr/lib\n").unwrap();
        let mut ldconfig = Command::new("/sbin/ldconfig");
        assert!(ldconfig.arg("-r").arg(image.0.path()).status().unwrap().success());
        let cache = image.0.at("etc/ld.so.cache");
        let whole = fs::read(&cache).unwrap();
        // src/loader/cache.rs cuts a cache at each byte; here the whole program judges by it.
        for end in (0..whole.len()).step_by(10) {
            fs::write(&cache, &whole[..end]).unwrap();
            judged(&image.verify(&["--library", "liba.so.1"]), &[0], &format!("{end}"));
        }
    }
}
