//! `mak image verify` on images that real tools have made: programs by gcc for two processors,
//! layers by tar, gzip and zstd. Each image that is made to fail is caught by the identifier that
//! says why, and those that are made well pass. (Images of engines and registries: images.sh.)
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use harness::Folder;
use mak_init::image::digest::Digest;
use serde_json::{Value, json};

/// Images being made in one folder.
struct Bench {
    folder: Folder,
}

/// A root file system being made.
struct Rootfs(PathBuf);

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output
}

impl Rootfs {
    fn file(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> &Rootfs {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn link(&self, target: &str, path: &str) -> &Rootfs {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    /// Compiles a program or a library into it.
    fn compile(&self, compiler: &str, path: &str, source: &str, options: &[&str]) -> &Rootfs {
        let out = self.0.join(path);
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let from = self.0.with_extension("c");
        fs::write(&from, source).unwrap();
        let mut arguments = vec![from.to_str().unwrap(), "-o", out.to_str().unwrap()];
        arguments.extend(options);
        run(compiler, &arguments);
        self
    }

    fn program(&self, arch: &str, path: &str) -> &Rootfs {
        self.compile(compiler(arch), path, "int main(void){return 0;}", &["-static"])
    }

    /// A Python that is never run, with a package.
    fn python(&self, arch: &str, package: &[(&str, &str)]) -> &Rootfs {
        self.program(arch, "usr/bin/python3.11").link("python3.11", "usr/bin/python3");
        self.file("usr/lib/python3.11/os.py", 0o644, "");
        for (path, text) in package {
            self.file(&format!("usr/lib/python3.11/site-packages/{path}"), 0o644, text);
        }
        self
    }
}

fn compiler(arch: &str) -> &'static str {
    if arch == "arm64" { "aarch64-linux-gnu-gcc" } else { "gcc" }
}

/// One image of an index: its platform, its configuration's `config`, its layers.
type One<'a> = (&'a str, Value, &'a [&'a str]);

impl Bench {
    fn new() -> Bench {
        Bench { folder: Folder::new() }
    }

    fn root(&self, name: &str) -> Rootfs {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        Rootfs(path)
    }

    /// Packs a root as a layer; what `pack` is fed and told decides its form.
    fn layer(&self, root: &Rootfs, name: &str, pack: &[&str]) -> String {
        let out = self.folder.at(name);
        let from = root.0.to_str().unwrap();
        let mut arguments = vec!["-cf", &out, "--numeric-owner", "--owner=0", "--group=0"];
        arguments.extend(pack);
        arguments.extend(["-C", from, "."]);
        run("tar", &arguments);
        out
    }

    /// An OCI layout in a folder; `edit` may spoil it before it is used.
    fn layout(&self, name: &str, images: &[One]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        let blob = |bytes: &[u8], kind: &str| {
            let digest = Digest::of(bytes);
            fs::write(path.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
            json!({"mediaType": kind, "digest": digest.to_string(), "size": bytes.len()})
        };
        let mut manifests = Vec::new();
        for (platform, run_as, layers) in images {
            let (os, arch) = platform.split_once('/').unwrap();
            let mut diff_ids = Vec::new();
            let mut descriptors = Vec::new();
            for layer in *layers {
                let bytes = fs::read(layer).unwrap();
                diff_ids.push(Digest::of(&unpacked(layer, &bytes)).to_string());
                descriptors.push(blob(&bytes, "application/vnd.oci.image.layer.v1.tar"));
            }
            let config = json!({"os": os, "architecture": arch, "config": run_as,
                "rootfs": {"type": "layers", "diff_ids": diff_ids}});
            let config =
                blob(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": descriptors});
            let kind = "application/vnd.oci.image.manifest.v1+json";
            let mut descriptor = blob(manifest.to_string().as_bytes(), kind);
            descriptor["platform"] = json!({"os": os, "architecture": arch});
            manifests.push(descriptor);
        }
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(path.join("index.json"), index.to_string()).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        path
    }

    /// An image of one layer for one platform.
    fn image(&self, platform: &str, run_as: Value, root: &Rootfs) -> PathBuf {
        let layer = self.layer(root, "layer.tar", &[]);
        self.layout("image", &[(platform, run_as, &[&layer])])
    }
}

fn unpacked(layer: &str, bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [0x1f, 0x8b, ..] => run("gzip", &["-dc", layer]).stdout,
        [0x28, 0xb5, ..] => run("zstd", &["-dcq", layer]).stdout,
        _ => bytes.to_vec(),
    }
}

fn mak(source: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mak"));
    command.args(["image", "verify", source.to_str().unwrap()]).args(more);
    command.env_clear().stdin(Stdio::null()).output().unwrap()
}

/// Exit code, and the identifiers of what failed.
fn failed(source: &Path, more: &[&str]) -> (i32, BTreeSet<String>) {
    let arguments: Vec<&str> = ["--format", "json"].iter().chain(more).copied().collect();
    let output = mak(source, &arguments);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let mut ids = BTreeSet::new();
    let mut add = |checks: &Value| {
        for check in checks.as_array().unwrap().iter().filter(|check| check["status"] == "fail") {
            ids.insert(check["id"].as_str().unwrap().to_owned());
        }
    };
    add(&report["checks"]);
    for image in report["images"].as_array().unwrap() {
        add(&image["report"]["checks"]);
    }
    assert_eq!(report["verdict"] == "fail", !ids.is_empty());
    (output.status.code().unwrap(), ids)
}

#[track_caller]
fn caught(source: &Path, more: &[&str], expected: &[&str]) {
    let ids: BTreeSet<String> = expected.iter().map(|id| (*id).to_owned()).collect();
    let code = if expected.is_empty() { 0 } else { 69 };
    assert_eq!(
        failed(source, more),
        (code, ids),
        "{}",
        String::from_utf8_lossy(&mak(source, &["-v"]).stdout)
    );
}

#[test]
fn a_good_image_passes_in_every_form_of_source_and_of_layer() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.program("amd64", "app");
    let run_as = json!({"Entrypoint": ["/app"], "User": "1000"});
    let plain = bench.layer(&root, "plain.tar", &[]);
    let gzip = bench.layer(&root, "layer.tar.gz", &["-z"]);
    let zstd = bench.layer(&root, "layer.tar.zst", &["--zstd"]);
    let posix = bench.layer(&root, "posix.tar", &["--format=posix"]);
    let layers: &[&str] = &[&plain, &gzip, &zstd, &posix];
    let layout = bench.layout("image", &[("linux/amd64", run_as, layers)]);
    caught(&layout, &["--platform", "linux/amd64"], &[]);
    let archive = bench.folder.path().join("image.tar");
    run("tar", &["-cf", archive.to_str().unwrap(), "-C", layout.to_str().unwrap(), "."]);
    caught(&archive, &[], &[]);
    run("gzip", &["-k", archive.to_str().unwrap()]);
    caught(&archive.with_extension("tar.gz"), &[], &[]);
    caught(&root.0, &["--platform", "linux/amd64"], &[]);
    // And through a pipe, where nothing can be sought.
    let mut cat = Command::new("cat").arg(&archive).stdout(Stdio::piped()).spawn().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mak"))
        .args(["image", "verify", "-", "--platform=linux/amd64"])
        .stdin(cat.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(cat.wait().unwrap().success());
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn nothing_is_unpacked_and_a_compressed_layer_goes_to_a_file_without_a_name() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.program("amd64", "app");
    let run_as = || json!({"Entrypoint": ["/app"]});
    let plain = bench.layer(&root, "plain.tar", &[]);
    let gzip = bench.layer(&root, "layer.tar.gz", &["-z"]);
    let plain = bench.layout("plain", &[("linux/amd64", run_as(), &[&plain])]);
    let packed = bench.layout("packed", &[("linux/amd64", run_as(), &[&gzip])]);
    let temporary = bench.folder.make("temporary", 0o755);
    let verify = |image: &Path, folder: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mak"));
        command.args(["image", "verify", image.to_str().unwrap()]).env("TMPDIR", folder);
        command.current_dir(&temporary).output().unwrap()
    };
    assert_eq!(verify(&packed, &temporary).status.code(), Some(0));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    // In /proc nobody can make a file. That is this machine's fault, and no word about the image.
    assert_eq!(verify(&plain, "/proc").status.code(), Some(0));
    let refused = verify(&packed, "/proc");
    assert_eq!(refused.status.code(), Some(125), "{refused:?}");
    assert!(refused.stdout.is_empty() && !refused.stderr.is_empty(), "{refused:?}");
}

#[test]
fn a_wrong_label_is_caught_by_the_files() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.program("amd64", "app");
    let image = bench.image("linux/arm64", json!({"Entrypoint": ["/app"]}), &root);
    caught(&image, &["--platform", "linux/arm64"], &["command.machine", "elf.machine"]);
    // What is allowed to be for another machine is still not what starts.
    caught(&image, &["--foreign", "/app"], &["command.machine"]);
    let labels =
        json!({"Labels": {"build.architecture": "amd64", "build.platform": "linux/amd64"}});
    root.program("arm64", "app");
    let image = bench.image("linux/arm64", labels, &root);
    caught(&image, &[], &["image.label"]);
}

#[test]
fn one_wheel_of_another_machine_is_caught_by_its_tag_and_its_file() {
    let bench = Bench::new();
    let root = bench.root("root");
    let record = "native/fast.so,,\nnative-1.0.dist-info/RECORD,,\n";
    root.python(
        "arm64",
        &[
            (
                "native-1.0.dist-info/METADATA",
                "Metadata-Version: 2.1\nName: native\nVersion: 1.0\n",
            ),
            (
                "native-1.0.dist-info/WHEEL",
                "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux2014_x86_64\n",
            ),
            ("native-1.0.dist-info/RECORD", record),
        ],
    );
    let module = "usr/lib/python3.11/site-packages/native/fast.so";
    root.compile("gcc", module, "int x;", &["-shared", "-fPIC", "-nostdlib"]);
    let image = bench.image("linux/arm64", json!({"Cmd": ["python3"]}), &root);
    caught(&image, &[], &["elf.machine", "wheel.tag"]);
    let text = String::from_utf8(mak(&image, &[]).stdout).unwrap();
    assert!(text.contains("native") && text.contains("manylinux2014_x86_64"), "{text}");
}

#[test]
fn a_foreign_soname_is_caught_by_the_closure_of_what_starts() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.compile(
        "gcc",
        "lib/libdep.so.2",
        "int dep(void){return 1;}",
        &["-shared", "-fPIC", "-Wl,-soname,libdep.so.2"],
    );
    let library = root.0.join("lib/libdep.so.2");
    let main = "int dep(void); int main(void){return dep();}";
    root.compile("gcc", "app", main, &[library.to_str().unwrap()]);
    for file in ["lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6"] {
        root.file(file, 0o755, fs::read(Path::new("/").join(file)).unwrap());
    }
    let good = bench.image("linux/amd64", json!({"Entrypoint": ["/app"]}), &root);
    caught(&good, &[], &[]);
    fs::rename(&library, root.0.join("lib/libdep.so.1")).unwrap();
    let image = bench.image("linux/amd64", json!({"Entrypoint": ["/app"]}), &root);
    caught(&image, &[], &["command.closure"]);
}

#[test]
fn a_glibc_program_on_a_musl_root_is_caught_by_its_loader() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.file(
        "lib/ld-musl-x86_64.so.1",
        0o755,
        fs::read("/usr/lib/x86_64-linux-musl/libc.so").unwrap(),
    );
    root.compile("musl-gcc", "bin/sh", "int main(void){return 0;}", &[]);
    let good = bench.image("linux/amd64", json!({"Entrypoint": ["/bin/sh"]}), &root);
    caught(&good, &[], &[]);
    root.compile("gcc", "app", "int main(void){return 0;}", &[]);
    let image = bench.image("linux/amd64", json!({"Entrypoint": ["/app"]}), &root);
    caught(&image, &[], &["command.loader", "elf.interpreter"]);
    let text = String::from_utf8(mak(&image, &[]).stdout).unwrap();
    assert!(text.contains("is a glibc program") && text.contains("musl"), "{text}");
}

#[test]
fn a_module_without_main_is_caught_behind_any_first_process() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.python("amd64", &[("service/__init__.py", "")]).program("amd64", "mak-init");
    let entrypoint = json!(["/mak-init", "--profile", "x", "--"]);
    let run_as = json!({"Entrypoint": entrypoint, "Cmd": ["python3", "-m", "service"]});
    caught(&bench.image("linux/amd64", run_as.clone(), &root), &[], &["python.module"]);
    root.file("usr/lib/python3.11/site-packages/service/__main__.py", 0o644, "");
    caught(&bench.image("linux/amd64", run_as, &root), &[], &[]);
}

#[test]
fn an_entrypoint_that_cannot_be_executed_is_caught_by_what_stands_in_the_way() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.program("amd64", "bin/sh");
    root.file("plain", 0o644, "#!/bin/sh\n").file("crlf", 0o755, "#!/bin/sh\r\nexit 0\r\n");
    root.file("private", 0o700, "#!/bin/sh\n").file("fine", 0o755, "#!/bin/sh\n");
    root.file("app/run", 0o755, "#!/bin/sh\n");
    let layer = bench.layer(&root, "layer.tar", &[]);
    for (run_as, expected) in [
        (json!({"Entrypoint": ["/plain"]}), &["command.permission"][..]),
        (json!({"Entrypoint": ["/crlf"]}), &["command.interpreter"]),
        (json!({"Entrypoint": ["/private"], "User": "1000"}), &["command.permission"]),
        (json!({"Entrypoint": ["/absent"]}), &["command.missing"]),
        (json!({"Entrypoint": ["fine"], "Env": ["PATH=/usr/bin"]}), &["command.missing"]),
        (json!({"Entrypoint": ["/fine"], "User": "nobody-here"}), &["image.user"]),
        (json!({"Entrypoint": ["/private"]}), &[]),
        (json!({"Cmd": ["fine"], "Env": ["PATH=/"]}), &[]),
        (json!({"Cmd": ["./run"], "WorkingDir": "/app"}), &[]),
    ] {
        let image = bench.layout("image", &[("linux/amd64", run_as, &[&layer])]);
        caught(&image, &[], expected);
    }
}

#[test]
fn a_health_check_for_a_shell_is_caught_where_there_is_none() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.program("amd64", "app");
    let with = |test: Value| json!({"Entrypoint": ["/app"], "Healthcheck": {"Test": test}});
    let layer = bench.layer(&root, "layer.tar", &[]);
    for (test, expected) in [
        (json!(["CMD-SHELL", "/app --check || exit 1"]), &["image.healthcheck"][..]),
        (json!(["CMD", "/gone"]), &["image.healthcheck"]),
        (json!(["CMD"]), &["image.healthcheck"]),
        (json!(["CMD", "/app", "--check"]), &[]),
        (json!(["NONE"]), &[]),
    ] {
        let image = bench.layout("image", &[("linux/amd64", with(test), &[&layer])]);
        caught(&image, &[], expected);
    }
}

#[test]
fn what_later_layers_hide_is_not_looked_at_and_hard_links_and_long_names_are() {
    let bench = Bench::new();
    let low = bench.root("low");
    low.program("arm64", "a/foreign").program("arm64", "b/foreign").program("amd64", "usr/bin/app");
    low.link("usr/bin", "bin");
    let high = bench.root("high");
    high.file("a/.wh.foreign", 0o644, "").file("b/.wh..wh..opq", 0o644, "");
    let below = bench.layer(&low, "low.tar", &[]);
    let above = bench.layer(&high, "high.tar", &[]);
    let run_as = json!({"Entrypoint": ["/bin/app"]});
    let image = bench.layout("image", &[("linux/amd64", run_as.clone(), &[&below, &above])]);
    caught(&image, &[], &[]);
    let alone = bench.layout("alone", &[("linux/amd64", run_as.clone(), &[&below])]);
    caught(&alone, &[], &["elf.machine"]);
    // A hard link to a foreign file, below a path of more than a header's hundred bytes.
    let long = "long/".repeat(40);
    for format in ["--format=gnu", "--format=posix"] {
        let deep = bench.root(format);
        deep.program("arm64", "first").file(&format!("{long}x"), 0o644, "");
        fs::hard_link(deep.0.join("first"), deep.0.join(format!("{long}second"))).unwrap();
        let deep = bench.layer(&deep, "deep.tar", &[format]);
        let image =
            bench.layout("deep", &[("linux/amd64", run_as.clone(), &[&below, &above, &deep])]);
        let text = String::from_utf8(mak(&image, &[]).stdout).unwrap();
        assert!(text.contains(&format!("/{long}second")) && text.contains("/first"), "{text}");
    }
}

#[test]
fn a_sparse_file_has_its_holes_and_its_bytes() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.program("amd64", "app");
    let file = fs::File::options().write(true).open(root.0.join("app")).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length + (8 << 20)).unwrap();
    drop(file);
    for format in ["--format=gnu", "--format=posix", "--format=oldgnu"] {
        for sparse in ["--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0"] {
            for pack in ["", "-z"] {
                let mut options = vec![format, "--sparse"];
                if format == "--format=posix" {
                    options.push(sparse);
                }
                options.extend(Some(pack).filter(|pack| !pack.is_empty()));
                let layer = bench.layer(&root, "sparse.tar", &options);
                let run_as = json!({"Entrypoint": ["/app"]});
                let image = bench.layout("image", &[("linux/amd64", run_as, &[&layer])]);
                caught(&image, &[], &[]);
            }
        }
    }
}

#[test]
fn an_index_has_to_have_every_platform_with_the_same_distributions() {
    let bench = Bench::new();
    let metadata = |version| format!("Metadata-Version: 2.1\nName: service\nVersion: {version}\n");
    let mut layers = Vec::new();
    for (arch, version) in [("amd64", "1.0"), ("arm64", "1.1"), ("arm64", "1.0")] {
        let root = bench.root(&format!("{arch}-{version}"));
        let text = metadata(version);
        root.python(arch, &[(&format!("service-{version}.dist-info/METADATA"), text.as_str())]);
        layers.push(bench.layer(&root, &format!("{arch}-{version}.tar"), &[]));
    }
    let one = |at: usize| [layers[at].as_str()];
    let run_as = || json!({"Cmd": ["python3"]});
    let both = bench.layout(
        "differs",
        &[("linux/amd64", run_as(), &one(0)), ("linux/arm64", run_as(), &one(1))],
    );
    caught(&both, &["--platform", "linux/amd64,linux/arm64"], &["image.distributions"]);
    caught(&both, &["--platform", "linux/amd64"], &[]);
    caught(&both, &["--platform", "linux/amd64,linux/riscv64"], &["image.platform"]);
    let same = bench
        .layout("same", &[("linux/amd64", run_as(), &one(0)), ("linux/arm64", run_as(), &one(2))]);
    caught(&same, &[], &[]);
    let sbom = bench.folder.path().join("sbom.json");
    caught(&same, &["--sbom", sbom.to_str().unwrap()], &[]);
    let written = bench.folder.path().join("sbom-linux-arm64.json");
    let written: Value = serde_json::from_slice(&fs::read(written).unwrap()).unwrap();
    assert_eq!(written["components"][0]["purl"], "pkg:pypi/service@1.0");
}

#[test]
fn blobs_that_are_not_what_was_promised_are_caught() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.program("amd64", "app");
    let layer = bench.layer(&root, "layer.tar", &[]);
    let spoil = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let image = bench.layout(name, &[("linux/amd64", json!({"Cmd": ["/app"]}), &[&layer])]);
        let digest = Digest::of(&fs::read(&layer).unwrap()).hex();
        let blob = image.join("blobs/sha256").join(digest);
        let mut bytes = fs::read(&blob).unwrap();
        change(&mut bytes);
        fs::write(blob, bytes).unwrap();
        image
    };
    // Behind the last member nothing but the digest tells.
    let padded = spoil("padded", &|bytes| *bytes.last_mut().unwrap() = 1);
    caught(&padded, &[], &["image.digest"]);
    let cut = spoil("cut", &|bytes| bytes.truncate(bytes.len() / 2));
    caught(&cut, &[], &["image.layer"]);
    let broken = spoil("broken", &|bytes| bytes[148] ^= 1);
    caught(&broken, &[], &["image.layer"]);
    // A configuration that docker save names without its digest, and that promises none.
    let saved = bench.folder.path().join("saved");
    fs::create_dir(&saved).unwrap();
    fs::copy(&layer, saved.join("layer.tar")).unwrap();
    let config = json!({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/app"]},
        "rootfs": {"diff_ids": ["sha256:none"]}});
    fs::write(saved.join("config.json"), config.to_string()).unwrap();
    let list = json!([{"Config": "config.json", "Layers": ["layer.tar"]}]);
    fs::write(saved.join("manifest.json"), list.to_string()).unwrap();
    let archive = bench.folder.at("saved.tar");
    run("tar", &["-cf", &archive, "-C", saved.to_str().unwrap(), "."]);
    caught(Path::new(&archive), &[], &["image.digest"]);
    let gone = spoil("gone", &|_| {});
    fs::remove_dir_all(gone.join("blobs/sha256")).unwrap();
    fs::create_dir(gone.join("blobs/sha256")).unwrap();
    assert_eq!(failed(&gone, &[]).0, 69);
}

#[test]
fn a_member_that_climbs_out_and_a_hard_link_to_nothing_are_caught() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.program("amd64", "app").file("other", 0o644, "x");
    let climbing = ["--transform=s,^./other$,../../etc/passwd,", "-P"];
    let layer = bench.layer(&root, "climbs.tar", &climbing);
    let image = bench.layout("climbs", &[("linux/amd64", json!({"Cmd": ["/app"]}), &[&layer])]);
    caught(&image, &[], &["image.layer"]);
    fs::hard_link(root.0.join("other"), root.0.join("zlink")).unwrap();
    let layer = bench.layer(&root, "links.tar", &["--sort=name"]);
    run("tar", &["--delete", "-f", &layer, "./other"]);
    let image = bench.layout("links", &[("linux/amd64", json!({"Cmd": ["/app"]}), &[&layer])]);
    caught(&image, &[], &["image.layer"]);
}

#[test]
fn set_id_and_world_writable_files_are_warned_of() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.program("amd64", "app").file("open", 0o666, "x");
    fs::set_permissions(root.0.join("app"), fs::Permissions::from_mode(0o4755)).unwrap();
    let image = bench.image("linux/amd64", json!({"Cmd": ["/app"]}), &root);
    caught(&image, &[], &[]);
    let text = String::from_utf8(mak(&image, &[]).stdout).unwrap();
    assert!(text.contains("/app (mode 4755)") && text.contains("/open: mode 0666"), "{text}");
}

#[test]
fn what_was_typed_wrong_is_told_and_every_form_is_alone_on_stdout() {
    let bench = Bench::new();
    let root = bench.root("root");
    root.program("amd64", "app");
    let image = bench.image("linux/amd64", json!({"Cmd": ["/gone"]}), &root);
    for (arguments, text) in [
        (vec!["image", "verify"], "name one SOURCE"),
        (vec!["image", "verify", "/no/such/file"], "is no file or folder here"),
        (vec!["image", "verify", "docker:"], "needs the name"),
        (vec!["image", "verify", image.to_str().unwrap(), "--platform", "arm64"], "linux/arm64"),
        (vec!["image", "verify", image.to_str().unwrap(), "--profile", "ipfs-kt"], "ipfs-kit"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_mak")).args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains(text));
    }
    let junit = mak(&image, &["--format", "junit"]);
    assert_eq!(junit.status.code(), Some(69));
    let junit = String::from_utf8(junit.stdout).unwrap();
    assert!(junit.starts_with("<?xml") && junit.contains("linux/amd64 Command"), "{junit}");
    let sarif: Value = serde_json::from_slice(&mak(&image, &["--format", "sarif"]).stdout).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "command.missing");
    assert_eq!(sarif["runs"][0]["results"][0]["level"], "error");
}
