//! Cases that entrypoint scripts and other checkers get wrong, by their number, and hostile
//! files, on a Python installation made of the fewest files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Ended, Folder, Launch};

/// A folder with an interpreter, Python 3.11, that is this machine's own /bin/sh: it is never run.
struct Installation {
    folder: Folder,
}

impl Installation {
    fn new() -> Installation {
        let folder = Folder::new();
        let site = folder.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&site).unwrap();
        folder.make("bin", 0o755);
        folder.write("bin/python3.11", 0o755, fs::read("/bin/sh").unwrap());
        std::os::unix::fs::symlink("python3.11", folder.at("bin/python")).unwrap();
        folder.write("lib/python3.11/os.py", 0o644, "");
        Installation { folder }
    }

    fn site(&self, path: &str) -> String {
        self.folder.at(&format!("lib/python3.11/site-packages/{path}"))
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.site(path);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn distribution(&self, name: &str, version: &str, more: &str) {
        let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}\n");
        self.file(&format!("{name}-{version}.dist-info/METADATA"), &text);
    }

    fn requirements(&self, text: &str) -> String {
        let path = self.folder.at("requirements.txt");
        fs::write(&path, text).unwrap();
        path
    }

    fn verify(&self, requirements: &str, more: &[&str]) -> Ended {
        let python = self.folder.at("bin/python");
        let arguments = ["verify", "--python", &python, "--requirements", requirements];
        Launch::beside().arguments(&arguments).arguments(more).start().end()
    }

    /// A profile that wants these requirements of it, with more lines.
    fn profile(&self, requirements: &str, more: &str) -> String {
        let python = self.folder.at("bin/python");
        let text = format!(
            "prefix = \"X_\"\n[python]\ninterpreter = {python:?}\nrequirements = [{requirements}]\n{more}"
        );
        let path = self.folder.at("x.toml");
        fs::write(&path, text).unwrap();
        path
    }
}

fn fifo(path: &str) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a8_an_old_version_is_named_with_the_one_that_is_wanted() {
    let python = Installation::new();
    python.distribution("aiohttp", "3.7.0", "");
    let list = python.requirements("aiohttp>=3.8.4\n");
    let ended = python.verify(&list, &[]);
    ended.expect(69);
    assert!(ended.text().contains("aiohttp is 3.7.0"), "{}", ended.text());
    assert!(ended.text().contains("aiohttp>=3.8.4"), "{}", ended.text());
}

#[test]
fn a11_a_python_that_is_too_old_is_named() {
    let python = Installation::new();
    python.distribution("new", "1", "Requires-Python: >=3.12\n");
    let list = python.requirements("new\n");
    let ended = python.verify(&list, &[]);
    ended.expect(69);
    assert!(ended.text().contains("needs Python >=3.12"), "{}", ended.text());
    let project = python.folder.at("pyproject.toml");
    fs::write(&project, "[project]\nname = \"x\"\nrequires-python = \">=3.12\"\n").unwrap();
    let ended = python.verify(&project, &[]);
    ended.expect(69);
    assert!(ended.text().contains("Python 3.11 is not >=3.12"), "{}", ended.text());
}

#[test]
fn a12_a_module_that_cannot_be_run_is_told_before_the_start() {
    let python = Installation::new();
    python.file("library/__init__.py", "");
    python.file("whole/__init__.py", "");
    python.file("whole/__main__.py", "");
    let program = python.folder.at("bin/python");
    let profile = python.profile("", "");
    let start = |name: &str| {
        let arguments = ["--profile", &profile, "--", &program, "-m", name];
        Launch::first().arguments(&arguments).start().end()
    };
    start("library").expect(69).says(&["python.module", "__main__.py"]);
    start("gone").expect(69).says(&["python.module", "no such module"]);
    // The stand-in for an interpreter is started then, and does not know -m's word as a file.
    assert_ne!(start("whole").code(), 69);
    let verify = |name: &str| {
        let arguments = ["verify", "--command", &program, "-m", name];
        Launch::beside().arguments(&arguments).start().end()
    };
    verify("library").expect(69);
    verify("whole").expect(0);
    // The interpreter itself starts; what it would say then is said here.
    let explain = |name: &str| {
        Launch::beside().arguments(&["explain", "--", &program, "-m", name]).start().end()
    };
    assert!(explain("library").text().contains("python -m library fails"));
    assert!(!explain("whole").text().contains("fails"));
    let profile = python.profile("", "modules = [\"whole.__main__\", \"library\"]\n");
    let ended = Launch::beside().arguments(&["verify", "--profile", &profile]).start().end();
    ended.expect(69);
    assert!(ended.text().contains("library") && ended.text().contains("whole/__main__.py"));

    // Without a command there is the profile's own, in whose place another may be given.
    let usual = |name: &str| {
        let text =
            format!("prefix = \"X_\"\ncommand = [{program:?}, \"-m\", {name:?}]\n[platform]\n");
        let path = python.folder.write(&format!("{name}.toml"), 0o644, text);
        Launch::beside().arguments(&["verify", "--profile", &path]).start().end()
    };
    let ended = usual("library");
    ended.expect(0);
    assert!(ended.text().contains("python -m library fails"), "{}", ended.text());
    let ended = usual("whole");
    ended.expect(0);
    assert!(ended.text().contains("whole/__main__.py"), "{}", ended.text());
}

#[test]
fn a14_every_format_has_stdout_for_itself_and_its_code_is_the_verdict() {
    let python = Installation::new();
    python.distribution("six", "1", "");
    for (list, code) in [("six>=1\n", 0), ("six>=2\n", 69)] {
        let list = python.requirements(list);
        for format in ["text", "json", "junit"] {
            let ended = python.verify(&list, &["--format", format]);
            assert_eq!(ended.expect(code).stderr, "");
            let text = ended.text();
            match format {
                "json" => assert!(serde_json::from_str::<serde_json::Value>(text).is_ok()),
                "junit" => assert!(text.starts_with("<?xml") && text.ends_with("</testsuites>\n")),
                _ => assert!(text.ends_with("linux/amd64\n") || text.contains(" on linux/")),
            }
        }
    }
}

#[test]
fn a16_what_is_missing_is_a_failure_in_the_quick_form_too() {
    let python = Installation::new();
    let list = python.requirements("six\n");
    python.verify(&list, &[]).expect(69);
    python.verify(&list, &["--full"]).expect(69);
}

#[test]
fn a18_nothing_in_an_image_can_make_a_check_wait() {
    let python = Installation::new();
    python.file("six-1.dist-info/RECORD", "");
    fifo(&python.site("six-1.dist-info/METADATA"));
    python.distribution("fine", "1", "");
    fifo(&python.site("fine-1.dist-info/RECORD"));
    fifo(&python.site("wait.pth"));
    let list = python.requirements("six\nfine\n");
    let ended = python.verify(&list, &["--full"]);
    ended.expect(69);
    assert!(ended.text().contains("is a FIFO, not a regular file"), "{}", ended.text());
    assert!(ended.text().contains("dist.broken") && ended.text().contains("record.unreadable"));
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
    let before = Instant::now();
    python.verify(&list, &["--full"]).expect(0);
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
}

#[test]
fn a_record_cut_anywhere_is_read_as_far_as_it_goes() {
    let python = Installation::new();
    python.distribution("six", "1", "");
    python.file("six.py", "x = 1\n");
    let whole = "six.py,sha256=00,6\n\"six-1.dist-info/METADATA\",,\nsix-1.dist-info/RECORD,,\n";
    let list = python.requirements("six\n");
    for end in 0..=whole.len() {
        python.file("six-1.dist-info/RECORD", &whole[..end]);
        let code = python.verify(&list, &["--full"]).code();
        assert!([0, 69].contains(&code), "cut at {end}: {code}");
    }
    python.verify(&list, &["--full"]).expect(0);
}

#[test]
fn what_is_recorded_outside_of_the_site_folder_may_be_elsewhere() {
    let python = Installation::new();
    python.distribution("six", "1", "");
    python.file("six-1.dist-info/RECORD", "../../../bin/six,sha256=00,6\n");
    let list = python.requirements("six\n");
    let ended = python.verify(&list, &["--full"]);
    ended.expect(0);
    assert!(ended.text().contains("warn  six: "), "{}", ended.text());
    assert!(ended.text().contains("bin/six is gone [record.missing]"), "{}", ended.text());
    python.file("six-1.dist-info/RECORD", "../../../bin/six,,\nsix.py,,\n");
    let ended = python.verify(&list, &["--full"]);
    ended.expect(69);
    let text = ended.text();
    assert!(text.contains("FAIL  six: ") && text.contains("warn  six: "), "{text}");
}

#[test]
fn debians_packages_change_files_after_they_were_recorded_and_pip_does_not() {
    let python = Installation::new();
    let folder = python.folder.at("lib/python3/dist-packages");
    let file = |path: &str, content: &str| {
        let path = Path::new(&folder).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    file("six-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: six\nVersion: 1\n");
    file("six.py", "x = 1\n");
    let recorded = |text: &str| file("six-1.dist-info/RECORD", text);
    recorded("six.py,,1234\nscripts-3.10/six,,3\n");
    let list = python.requirements("six\n");
    let verify = || {
        let own = python.folder.at("bin/python");
        let words = ["verify", "--full", "--python", &own, "--requirements", &list];
        Launch::beside().variable("PYTHONPATH", &folder).arguments(&words).start().end()
    };
    let ended = verify();
    ended.expect(0);
    let text = ended.text();
    assert!(text.contains("installed were 1234 [record.size]"), "{text}");
    assert!(text.contains("six is gone [record.missing]"), "{text}");
    file("six-1.dist-info/INSTALLER", "pip\n");
    verify().expect(69);
    fs::remove_file(Path::new(&folder).join("six-1.dist-info/INSTALLER")).unwrap();
    recorded("gone.py,,3\n");
    verify().expect(69);
}

#[test]
fn constraints_sources_and_severities_are_what_the_profile_says() {
    let python = Installation::new();
    python.distribution("six", "2", "");
    python.distribution("from-url", "1", "");
    fs::write(python.folder.at("limits.txt"), "six<2\n").unwrap();
    let list = python.requirements("-c limits.txt\nsix\n");
    let ended = python.verify(&list, &[]);
    ended.expect(69);
    assert!(ended.text().contains("[dist.constraint]"), "{}", ended.text());
    let profile = python.profile(
        "\"from-url @ https://h/x.whl\", \"gone\"",
        "[severity]\n\"dist.source\" = \"required\"\n\"dist.missing\" = \"optional\"\n",
    );
    let ended = Launch::beside().arguments(&["verify", "--profile", &profile]).start().end();
    ended.expect(69);
    let text = ended.text();
    assert!(text.contains("FAIL  from-url") && text.contains("warn  gone"), "{text}");
    let profile = python.profile("", "[severity]\n\"dist.sorce\" = \"off\"\n");
    let ended = Launch::beside().arguments(&["verify", "--profile", &profile]).start().end();
    ended.expect(78).says(&["dist.sorce", "did you mean \"dist.source\""]);
}

#[test]
fn a_library_loaded_by_ctypes_counts_where_its_distribution_is_required() {
    let python = Installation::new();
    python.distribution("magic", "1", "");
    let loads = "[[python.loads]]\ndistribution = \"Magic\"\nsoname = \"libnowhere.so.9\"\n";
    let verify = |requirements: &str| {
        let profile = python.profile(requirements, loads);
        Launch::beside().arguments(&["verify", "--profile", &profile]).start().end()
    };
    let ended = verify("\"magic\"");
    ended.expect(69);
    assert!(ended.text().contains("Magic loads it when it is imported"), "{}", ended.text());
    verify("").expect(0);
}

#[test]
fn a_page_is_printed_and_an_unknown_one_is_64() {
    let explain = |id: &str| Launch::beside().arguments(&["verify", "--explain", id]).start().end();
    let ended = explain("elf.machine");
    ended.expect(0);
    assert!(ended.text().starts_with("elf.machine (") && ended.text().contains("What to do"));
    explain("elf.machin").expect(64).one_line(&["did you mean \"elf.machine\""]);
}

#[test]
fn verbose_shows_what_was_looked_at() {
    let python = Installation::new();
    python.distribution("six", "1", "");
    let list = python.requirements("six\n");
    let ended = python.verify(&list, &["--verbose"]);
    ended.expect(0);
    let metadata = python.site("six-1.dist-info/METADATA");
    assert!(ended.text().contains(&format!("- {metadata}\n")), "{}", ended.text());
    let quiet = python.verify(&list, &[]);
    assert!(!quiet.text().contains(&metadata));
}
