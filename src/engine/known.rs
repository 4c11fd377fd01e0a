//! Errors of engines and builders that people meet, each with its cause and remedy
//! (docs/troubleshooting.md says more of each).

/// An error that is known.
#[derive(Debug)]
pub struct Known {
    /// What its text contains.
    pub text: &'static str,
    /// Why it comes.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

const fn known(text: &'static str, cause: &'static str, remedy: &'static str) -> Known {
    Known { text, cause, remedy }
}

/// All of them; the first whose text is found explains the failure.
pub const KNOWN: &[Known] = &[
    known(
        "no matching manifest",
        "the base image is not published for this platform",
        "name a base that is (docker buildx imagetools inspect BASE lists its platforms), or build for the platforms it has",
    ),
    known(
        "no match for platform in manifest",
        "the base image is not published for this platform",
        "name a base that is (docker buildx imagetools inspect BASE lists its platforms), or build for the platforms it has",
    ),
    known(
        "does not match the specified platform",
        "an image of that name is there, for another platform only",
        "pull or build it for this platform, under a name of its own",
    ),
    known(
        "exec format error",
        "a program for another processor was to be run and no emulator is registered for it, or a script has no #! line",
        "register one (docker run --privileged --rm tonistiigi/binfmt --install all; Debian: apt-get install qemu-user-static), or build that stage on $BUILDPLATFORM",
    ),
    known(
        "Illegal instruction",
        "the program uses instructions that this processor, or its emulator, does not have",
        "build for a lower level (-march=x86-64, -mcpu=generic), or choose packages that do; mak-init verify --full names the file",
    ),
    known(
        "docker exporter does not currently support exporting manifest lists",
        "the engine's classic image store holds one platform of an image",
        "build one platform with --load, use --push or --output, or turn the engine's containerd image store on",
    ),
    known(
        "ulti-platform build is not supported for the docker driver",
        "the engine's own builder needs the containerd image store for several platforms",
        "turn it on, or make a builder: mak build --builder mak --create-builder",
    ),
    known(
        "multiple platforms feature is currently not supported for docker driver",
        "the engine's own builder needs the containerd image store for several platforms",
        "turn it on, or make a builder: mak build --builder mak --create-builder",
    ),
    known(
        "server gave HTTP response to HTTPS client",
        "the registry speaks plain HTTP and is not on localhost",
        "list it under insecure-registries of the engine, and of the builder's buildkitd.toml",
    ),
    known(
        "docker/dockerfile:",
        "the # syntax= line names an image that has to be fetched first",
        "leave that line out, or give the builder access to that image",
    ),
    known(
        "failed to resolve source metadata",
        "the base image is neither here nor to be had from its registry",
        "check its name, the network, and the login to its registry",
    ),
    known(
        "no space left on device",
        "the disk of the engine or builder is full",
        "docker buildx prune and docker system df show and free what is not needed",
    ),
    known(
        "no basic auth credentials",
        "nobody is logged in to the registry",
        "docker login REGISTRY",
    ),
    known("unauthorized", "the registry does not know who is asking", "docker login REGISTRY"),
    known(
        "Cannot connect to the Docker daemon",
        "no engine answers there",
        "start it, or set DOCKER_HOST or docker context use",
    ),
];

/// What is known of a failure, from what the engine said.
pub fn find(said: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| said.contains(known.text))
}

/// One line of cause and remedy.
pub fn line(known: &Known) -> String {
    format!("{:?} means: {}; {}", known.text.trim_end_matches(':'), known.cause, known.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_the_write_ups_are_explained() {
        for said in [
            "ERROR: no matching manifest for linux/arm64/v8 in the manifest list entries",
            "#6 0.135 exec /bin/sh: exec format error",
            "image with reference x was found but does not match the specified platform: wanted linux/arm64",
            "Illegal instruction (core dumped)",
        ] {
            let line = line(find(said).expect(said));
            assert!(line.contains(" means: ") && line.contains("; "), "{line}");
        }
        assert!(find("all is well").is_none());
    }

    #[test]
    fn an_exec_format_error_in_a_run_is_not_taken_for_another() {
        let said = "ERROR: failed to solve: process \"/x\" did not complete: exec format error";
        assert_eq!(find(said).unwrap().text, "exec format error");
    }
}
