//! `mak build` as a person meets it, without an engine: what it refuses, what it warns of, and the
//! exact commands it would run. tests/build.sh takes the same steps on a real engine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end where it fails")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder with a Dockerfile in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, dockerfile: &str) -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("build-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("Dockerfile"), dockerfile).unwrap();
        Folder(path)
    }

    fn mak(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_mak"))
            .current_dir(&self.0)
            .env("SOURCE_DATE_EPOCH", "1795285805")
            .env("MAK_REVISION", "0a1b2c3")
            .arg("build")
            .args(arguments)
            .output()
            .unwrap()
    }

    fn dry(&self, arguments: &[&str]) -> String {
        let output = self.mak(&[arguments, &["--dry-run"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.mak(arguments);
        assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
        stderr(&output)
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const PLAIN: &str = "FROM scratch\nARG TARGETARCH\nCOPY linux_${TARGETARCH}/x /x\n";

#[test]
fn a_build_for_two_platforms_is_one_build_then_a_look_into_it() {
    let folder = Folder::new("two", PLAIN);
    assert_eq!(
        folder.dry(&["--image", "app", "--tag", "v1"]),
        "docker buildx build --file ./Dockerfile --platform linux/amd64,linux/arm64 \
         --build-arg SOURCE_DATE_EPOCH=1795285805 --metadata-file {work}/metadata.json \
         --tag app:v1 --provenance mode=max --output type=image .\n\
         mak image verify docker:app:v1 --platform linux/amd64,linux/arm64\n"
    );
}

#[test]
fn nothing_is_pushed_before_it_was_verified_scanned_and_signed() {
    let folder = Folder::new("push", PLAIN);
    let arguments = ["--image", "team/app", "--registry", "localhost:5000", "--environment", "dev"];
    let hooks =
        ["--push", "--scan", "scanner --platform {platform} {ref}", "--sign", "cosign sign {ref}"];
    let text = folder.dry(&[&arguments[..], &hooks[..]].concat());
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is not in\n{text}"));
    let order = [
        at("docker buildx build"),
        at("mak image verify docker:localhost:5000/team/app:dev-20261121-183005"),
        at("scanner --platform linux/amd64 localhost:5000/team/app:dev-20261121-183005"),
        at("scanner --platform linux/arm64"),
        at("docker push localhost:5000/team/app:candidate-1795285805"),
        at("cosign sign localhost:5000/team/app@{digest}"),
        at("docker push localhost:5000/team/app:dev-20261121-183005\n"),
        at("docker push localhost:5000/team/app:dev-latest\n"),
        at("docker push localhost:5000/team/app:0a1b2c3\n"),
        at("docker push localhost:5000/team/app:dev-20261121-183005-amd64\n"),
        at("docker push localhost:5000/team/app:dev-amd64-latest\n"),
        at("docker push localhost:5000/team/app:0a1b2c3-arm64\n"),
    ];
    assert!(order.is_sorted(), "{text}");
}

#[test]
fn a_builder_apart_pushes_by_digest_and_names_last() {
    let folder = Folder::new("apart", PLAIN);
    let arguments = ["--image", "r.example/app", "--environment", "dev", "--builder", "mak"];
    let text = folder.dry(&[&arguments[..], &["--push", "--create-builder"]].concat());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "docker buildx create --name mak --driver docker-container --platform \
         linux/amd64,linux/arm64 --bootstrap"
    );
    assert!(lines[1].contains(
        "--output type=image,name=r.example/app,push-by-digest=true,name-canonical=true,push=true,rewrite-timestamp=true"
    ));
    assert!(!lines[1].contains("--tag"));
    assert_eq!(
        lines[2],
        "mak image verify registry:r.example/app@{digest} --platform linux/amd64,linux/arm64"
    );
    assert_eq!(
        lines[3],
        "docker buildx imagetools create --tag r.example/app:dev-20261121-183005 --tag \
         r.example/app:dev-latest --tag r.example/app:0a1b2c3 r.example/app@{digest}"
    );
    assert_eq!(lines[4], "docker buildx imagetools inspect --raw r.example/app@{digest}");
    assert!(
        lines[5].ends_with("--tag r.example/app:0a1b2c3-amd64 r.example/app@{digest:linux/amd64}")
    );
}

#[test]
fn an_archive_is_looked_into_before_it_gets_its_name() {
    let folder = Folder::new("archive", PLAIN);
    let text = folder.dry(&["--image", "app", "--output", "app.tar.zst", "--profile", "ipfs-kit"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("--output type=oci,dest={work}/image.tar,rewrite-timestamp=true ."));
    assert_eq!(
        lines[1..],
        [
            "mak image verify {work}/image.tar --platform linux/amd64,linux/arm64 --profile ipfs-kit",
            "zstd -q -T0 {work}/image.tar -o app.tar.zst",
            "sha256sum app.tar.zst",
        ]
    );
}

#[test]
fn several_targets_are_each_built_under_a_name_of_their_own() {
    let folder = Folder::new("targets", "FROM scratch AS a\nFROM scratch AS b\n");
    let text = folder.dry(&["--image", "app", "--target", "a", "--target", "b", "--build-only"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("--target a ") && lines[0].contains("--tag app-a:latest "));
    assert!(lines[1].contains("--target b ") && lines[1].contains("--tag app-b:latest "));
}

#[test]
fn a_missing_dockerfile_does_not_keep_the_others_from_being_tried() {
    let folder = Folder::new("missing", PLAIN);
    let output = folder.mak(&[
        "--image",
        "app",
        "--file",
        "none/Dockerfile",
        "--file",
        "Dockerfile",
        "--dry-run",
    ]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("cannot read none/Dockerfile"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("--tag app-default:latest"));
}

#[test]
fn arguments_that_a_dockerfile_declares_are_filled_in_unless_given() {
    let folder =
        Folder::new("arguments", "ARG VERSION\nFROM scratch\nARG VCS_REF\nARG BUILD_DATE\n");
    let text = folder.dry(&["--image", "app", "--tag", "1.2", "--build-arg", "VCS_REF=mine"]);
    assert!(text.contains("--build-arg BUILD_DATE=2026-11-21T18:30:05Z"));
    assert!(text.contains("--build-arg VERSION=1.2"));
    assert!(text.contains("--build-arg VCS_REF=mine") && !text.contains("VCS_REF=0a1b2c3"));
}

#[test]
fn caches_belong_to_the_build_and_no_cache_to_the_first_only() {
    let folder = Folder::new("caches", PLAIN);
    let cache =
        ["--cache-from", "type=registry,ref=r/c", "--cache-to", "type=registry,ref=r/c,mode=max"];
    let text = folder
        .dry(&[&["--image", "app", "--environment", "dev", "--no-cache"], &cache[..]].concat());
    assert_eq!(text.matches("--no-cache").count(), 1);
    assert_eq!(text.matches("--cache-to").count(), 1);
    assert_eq!(text.matches("--cache-from").count(), 3);
}

#[test]
fn warnings_name_file_line_and_rule_and_do_not_stop_a_build() {
    let folder = Folder::new(
        "warnings",
        "ARG TARGETARCH\nFROM --platform=$BUILDPLATFORM python:3.13 AS b\nRUN pip install x\n\
         FROM gcr.io/distroless/static\nCOPY --from=b /x /$TARGETARCH\nHEALTHCHECK CMD [\"/s\"] || exit 1\n",
    );
    let output = folder.mak(&["--image", "app", "--dry-run"]);
    assert!(output.status.success());
    let text = stderr(&output);
    for (line, rule) in [
        (3, "python-on-build-platform"),
        (4, "from-without-platform"),
        (5, "platform-argument"),
        (6, "healthcheck-shell"),
    ] {
        let found = text.lines().any(|one| {
            one.contains(&format!("./Dockerfile:{line}: ")) && one.ends_with(&format!("[{rule}]"))
        });
        assert!(found, "{rule} on line {line} is not in\n{text}");
    }
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_started() {
    let folder = Folder::new("refused", PLAIN);
    for (arguments, why) in [
        (&["--tag", "x"][..], "--image NAME is missing"),
        (&["--image", "a:b"], "leave the tag out"),
        (&["--image", "A b"], "is no image's name"),
        (&["--image", "a", "--tag", "-x"], "is no tag"),
        (&["--image", "a", "--platform", "linux/mips"], "is no platform"),
        (&["--image", "a", "--push", "--load"], "give one of them"),
        (&["--image", "a", "--output", "a.tar"], "ends in .tar.zst"),
        (&["--image", "a", "--scan", "x {image}"], "{image} is none of"),
        (&["--image", "a", "--scan", "x 'y"], "a quote is not closed"),
        (&["--image", "a", "--sign", "x"], "--sign needs --push"),
        (&["--image", "a", "--build-only", "--scan", "x"], "--build-only leaves out"),
        (&["--image", "a", "--build-context", "x"], "write NAME=VALUE"),
        (&["--image", "a", "b"], "takes no operands"),
        (
            &["--image", "a", "--environment", "prod", "--platform", "linux/amd64"],
            "production runs on",
        ),
        (&["--image", "a", "--pusj"], "did you mean \"push\""),
    ] {
        let text = folder.refused(arguments);
        assert!(text.contains(why), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn nothing_typed_is_read_by_a_shell() {
    let folder = Folder::new("shell", PLAIN);
    let text =
        folder.dry(&["--image", "app", "--build-arg", "X=$(touch pwned); 'a'", "--build-only"]);
    assert!(text.contains(r"'X=$(touch pwned); '\''a'\'''"), "{text}");
    assert!(!folder.0.join("pwned").exists());
}
