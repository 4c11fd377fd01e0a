//! The builder: what `docker buildx inspect` says of it, and what it lacks for a build.

use super::Platforms;
use super::platforms::word;
use crate::platform::Arch;

/// Where images are built, and how they are kept there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// In the engine, whose containerd image store holds images for several platforms.
    Engine,
    /// In the engine with the classic image store: one platform at a time.
    Classic,
    /// In a builder of its own; what it builds has to be sent somewhere.
    Apart,
}

/// What is known of a builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builder {
    /// Where it builds.
    pub driver: Driver,
    /// What it can run, as it says: `linux/amd64`, `linux/amd64/v2`, …
    pub platforms: Vec<String>,
}

impl Builder {
    /// Reads what `docker buildx inspect --bootstrap` says; `containerd`: whether the engine's
    /// image store is containerd's.
    pub fn read(inspected: &str, containerd: bool) -> Builder {
        let values = |key: &str| -> Vec<String> {
            let lines = inspected.lines().filter_map(|line| line.trim().split_once(':'));
            let found = lines.filter(|(known, _)| *known == key).map(|(_, value)| value.trim());
            found.map(ToOwned::to_owned).collect()
        };
        let driver = match values("Driver").first().map(String::as_str) {
            Some("docker") if containerd => Driver::Engine,
            Some("docker") => Driver::Classic,
            _ => Driver::Apart,
        };
        // One line for each node; a star is a platform that was asked for when it was made.
        let platforms = values("Platforms").join(",");
        let platforms =
            platforms.split(',').map(|word| word.trim().trim_end_matches('*').to_owned());
        Builder { driver, platforms: platforms.filter(|word| !word.is_empty()).collect() }
    }

    /// The platforms that it cannot run programs of.
    pub fn lacks(&self, wanted: &Platforms) -> Vec<Arch> {
        let there = |arch: &Arch| self.platforms.contains(&word(*arch));
        wanted.all().iter().filter(|arch| !there(arch)).copied().collect()
    }
}

/// How emulation is got, for the platforms that lack it.
pub fn emulation_remedy(lacking: &[Arch]) -> String {
    let names: Vec<&str> = lacking.iter().map(|arch| arch.docker()).collect();
    format!(
        "register an emulator: docker run --privileged --rm tonistiigi/binfmt --install {} (Debian: \
         apt-get install qemu-user-static); or add a machine: docker buildx create --append --name \
         BUILDER --platform linux/{} ssh://HOST",
        names.join(","),
        names.join(",linux/")
    )
}

/// How a builder for several platforms is got.
pub const BUILDER_REMEDY: &str = "turn the engine's containerd image store on (daemon.json: \
     \"features\": {\"containerd-snapshotter\": true}), or make a builder: mak build --builder mak \
     --create-builder";

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINE: &str = "Name:          default\nDriver:        docker\n\nNodes:\nName:             default\n\
        Status:           running\nPlatforms:        linux/amd64, linux/amd64/v2, linux/arm64*\n";

    #[test]
    fn the_driver_and_the_platforms_of_a_builder_are_read() {
        let builder = Builder::read(ENGINE, true);
        assert_eq!(builder.driver, Driver::Engine);
        assert_eq!(builder.platforms, ["linux/amd64", "linux/amd64/v2", "linux/arm64"]);
        assert_eq!(Builder::read(ENGINE, false).driver, Driver::Classic);
        let apart = ENGINE.replace("       docker", "       docker-container");
        assert_eq!(Builder::read(&apart, true).driver, Driver::Apart);
    }

    #[test]
    fn a_platform_that_a_builder_does_not_list_is_lacking() {
        let builder = Builder::read(ENGINE, true);
        let wanted = Platforms::read("amd64,arm64,riscv64").unwrap();
        assert_eq!(builder.lacks(&wanted), [Arch::Riscv64]);
        assert!(emulation_remedy(&[Arch::Riscv64]).contains("--install riscv64"));
    }
}
