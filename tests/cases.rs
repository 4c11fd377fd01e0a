//! Cases that entrypoint scripts and other checkers get wrong, by their number, on a Python
//! installation made of the fewest files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{Installation, Launch, has_compilers, program};

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
    // Every environment with setuptools has this, and a module is missing all the same.
    python.file("distutils-precedence.pth", "import os; enabled = True\n");
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

/// Reads JUnit XML as CI systems do and says what they would count: tests, failures, skipped.
const READER: &str = r#"
import sys
from xml.etree import ElementTree
top = ElementTree.parse(sys.stdin.buffer).getroot()
assert top.tag == "testsuites", top.tag
total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
kinds = {"failures": "failure", "errors": "error", "skipped": "skipped"}
for suite in top:
    assert suite.tag == "testsuite" and suite.get("name"), suite.attrib
    cases = list(suite)
    assert all(case.tag == "testcase" and case.get("classname") and case.get("name") for case in cases)
    assert all(child.tag in ("failure", "skipped", "system-out") for case in cases for child in case)
    assert all(found.get("message") and found.get("type") for found in suite.iter("failure"))
    assert int(suite.get("tests")) == len(cases)
    total["tests"] += len(cases)
    for attribute, tag in kinds.items():
        assert int(suite.get(attribute)) == len(list(suite.iter(tag))), suite.attrib
        total[attribute] += int(suite.get(attribute))
assert all(int(top.get(name)) == count for name, count in total.items()), (top.attrib, total)
print(total["tests"], total["failures"], total["skipped"])
"#;

#[test]
fn the_xml_is_what_another_parser_reads_and_counts_the_same_verdicts() {
    let python = Installation::new();
    python.distribution("six", "1", "");
    python.file("six-1.dist-info/RECORD", "\"<a> & \u{1}\nb\",,\n");
    python.distribution("none", "1", "");
    let list = python.requirements("six\nnone\ngone<2\n--hash=sha256:0\n");
    let xml = python.verify(&list, &["--full", "--format", "junit"]);
    let json = python.verify(&list, &["--full", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(json.expect(69).text()).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let count = |status: &str| checks.iter().filter(|check| check["status"] == status).count();
    let mut reader = Command::new("python3");
    reader.args(["-c", READER]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut reader = reader.spawn().unwrap();
    reader.stdin.take().unwrap().write_all(&xml.expect(69).stdout).unwrap();
    let read = reader.wait_with_output().unwrap();
    let expected = format!("{} {} {}\n", checks.len(), count("fail"), count("skip"));
    assert_eq!(String::from_utf8_lossy(&read.stdout), expected, "{}", xml.text());
    assert!(count("fail") == 2 && count("skip") == 2, "{checks:#?}");
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
fn an_interpreter_is_named_from_where_it_is_typed() {
    let python = Installation::new();
    python.distribution("six", "1", "");
    let list = python.requirements("six\n");
    let words = ["verify", "--python", "bin/python", "--requirements", &list];
    Launch::beside().folder(python.folder.path()).arguments(&words).start().end().expect(0);
    let started = ["verify", "--command", "bin/python", "-m", "gone"];
    let ended = Launch::beside().folder(python.folder.path()).arguments(&started).start().end();
    ended.expect(69);
    assert!(ended.text().contains("python -m gone fails"), "{}", ended.text());
}

#[test]
fn an_environment_of_another_python_and_a_script_in_its_place_are_told() {
    let python = Installation::new();
    python.distribution("six", "1", "");
    let list = python.requirements("six\n");
    let home = python.folder.at("bin");
    let text = format!("home = {home}\nversion = 3.9.2\ninclude-system-site-packages = true\n");
    fs::write(python.folder.at("pyvenv.cfg"), text).unwrap();
    let ended = python.verify(&list, &[]);
    ended.expect(0);
    assert!(ended.text().contains("was made with Python 3.9"), "{}", ended.text());
    fs::remove_file(python.folder.at("pyvenv.cfg")).unwrap();
    python.folder.make("shims", 0o755);
    python.folder.write("shims/python", 0o755, "#!/bin/sh\nexec pyenv exec python\n");
    let path = format!("{}:{home}", python.folder.at("shims"));
    let words = ["verify", "--python", "python", "--requirements", &list];
    let ended = Command::new(program()).args(words).env("PATH", &path).output().unwrap();
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains("shims/python comes before it on PATH"), "{text}");
    assert_eq!(ended.status.code(), Some(0), "{text}");
}

/// A shared object of this text at a path in the site folder.
fn compile(python: &Installation, compiler: &str, path: &str, source: &str, options: &[&str]) {
    let file = python.folder.at("x.c");
    fs::write(&file, source).unwrap();
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-nostdlib", "-o", &python.site(path), &file]).args(options);
    assert!(command.status().unwrap().success());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_library_for_another_machine_is_a_failure_unless_its_wheel_is_for_all_of_them() {
    const ARM64: &str = "aarch64-linux-gnu-gcc";
    if !has_compilers(&[ARM64]) {
        return;
    }
    let python = Installation::new();
    python.distribution("debugger", "1", "");
    python.file("debugger-1.dist-info/RECORD", "attach_linux_arm64.so,,\n");
    compile(&python, ARM64, "attach_linux_arm64.so", "int a;", &[]);
    let list = python.requirements("debugger\n");
    let verify = |tag: &str| {
        python.file("debugger-1.dist-info/WHEEL", &format!("Wheel-Version: 1.0\nTag: {tag}\n"));
        python.verify(&list, &["--full"])
    };
    let ended = verify("cp311-cp311-linux_x86_64");
    ended.expect(69);
    assert!(ended.text().contains("FAIL  debugger: ") && ended.text().contains("[elf.machine]"));
    let ended = verify("py2.py3-none-any");
    ended.expect(0);
    assert!(ended.text().contains("warn  debugger: ") && ended.text().contains("[elf.machine]"));
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_plugin_that_may_never_be_loaded_is_tolerated_and_a_module_is_not() {
    let python = Installation::new();
    python.distribution("qt", "1", "");
    python.file("qt-1.dist-info/RECORD", "libpsql.so,,\n");
    fs::create_dir(python.site("gone")).unwrap();
    compile(&python, "gcc", "gone/libgone.so.1", "int g;", &["-Wl,-soname,libgone.so.1"]);
    let gone = python.site("gone/libgone.so.1");
    let list = python.requirements("qt\n");
    let options = ["-Wl,--no-as-needed", gone.as_str()];
    compile(&python, "gcc", "libpsql.so", "int p;", &options);
    let ended = python.verify(&list, &["--full"]);
    ended.expect(0);
    assert!(ended.text().contains("warn  qt: ") && ended.text().contains("libgone.so.1"));
    compile(&python, "gcc", "libpsql.so", "int PyInit_libpsql() { return 0; }", &options);
    let ended = python.verify(&list, &["--full"]);
    ended.expect(69);
    assert!(ended.text().contains("[extension.closure]"), "{}", ended.text());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_module_for_another_python_matters_where_there_is_none_for_this_one() {
    let python = Installation::new();
    python.distribution("fast", "1", "");
    let other = "_fast.cpython-312-x86_64-linux-gnu.so";
    let own = "_fast.cpython-311-x86_64-linux-gnu.so";
    python.file("fast-1.dist-info/RECORD", &format!("{other},,\n"));
    compile(&python, "gcc", other, "int f;", &[]);
    let list = python.requirements("fast\n");
    let ended = python.verify(&list, &["--full"]);
    ended.expect(69);
    assert!(ended.text().contains("[extension.suffix]"), "{}", ended.text());
    python.file("fast-1.dist-info/RECORD", &format!("{other},,\n{own},,\nlibfast.3.11.so,,\n"));
    compile(&python, "gcc", own, "int f;", &[]);
    compile(&python, "gcc", "libfast.3.11.so", "int f;", &[]);
    python.verify(&list, &["--full"]).expect(0);
}

#[test]
fn data_that_an_image_changes_on_purpose_is_tolerated_and_code_is_not() {
    let python = Installation::new();
    python.distribution("certifi", "1", "");
    let empty = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
    python.file("certifi-1.dist-info/RECORD", "cacert.pem,,3\n../../../bin/certifi,,9\n");
    python.file("cacert.pem", "with ours");
    python.folder.write("bin/certifi", 0o755, "#!/elsewhere/python\n");
    let list = python.requirements("certifi\n");
    let ended = python.verify(&list, &["--hashes"]);
    ended.expect(0);
    assert!(ended.text().contains("warn  certifi: "), "{}", ended.text());
    let record = |line: &str| python.file("certifi-1.dist-info/RECORD", line);
    record(&format!("cacert.pem,sha256={empty},9\n"));
    let ended = python.verify(&list, &["--hashes"]);
    ended.expect(0);
    assert!(ended.text().contains("[record.hash]"), "{}", ended.text());
    python.file("code.py", "with ours");
    record("code.py,,3\n");
    python.verify(&list, &["--hashes"]).expect(69);
    record(&format!("code.py,sha256={empty},9\n"));
    python.verify(&list, &["--hashes"]).expect(69);
}

#[test]
fn a_library_that_a_package_of_the_system_stripped_is_tolerated_and_pips_is_not() {
    let python = Installation::new();
    python.distribution("yaml", "1", "");
    let library = fs::read(python.folder.at("bin/python")).unwrap();
    fs::write(python.site("_yaml.so"), &library).unwrap();
    python.file("yaml-1.dist-info/RECORD", &format!("_yaml.so,,{}\n", library.len() + 9));
    let list = python.requirements("yaml\n");
    python.verify(&list, &["--full"]).expect(0);
    python.file("yaml-1.dist-info/INSTALLER", "pip\n");
    python.verify(&list, &["--full"]).expect(69);
}

#[test]
fn an_egg_that_is_a_file_is_a_distribution_all_the_same() {
    let python = Installation::new();
    // distutils' form, and a zipped egg that an easy-install.pth names.
    python.file("gpg-1.18.egg-info", "Metadata-Version: 1.0\nName: gpg\nVersion: 1.18\n\n");
    python.file("old_thing-2.0-py3.11.egg", "a zip");
    python.file("easy-install.pth", "./old_thing-2.0-py3.11.egg\r\n");
    let ended = python.verify(&python.requirements("gpg\nold-thing>=2\n"), &["--full"]);
    ended.expect(0);
    assert!(ended.text().contains("[record.none]"), "{}", ended.text());
    python.verify(&python.requirements("old.thing>=3\n"), &[]).expect(69);
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
