//! The documents of an image: index, manifest, configuration (OCI image-spec 1.1; Docker's own
//! are the same but for their media types), and the list in a docker-save archive. Keys that are
//! not needed here are passed over.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What points to a blob.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// `sha256:…`.
    pub digest: String,
    /// In bytes.
    #[serde(default)]
    pub size: u64,
    /// What it is for, in an index.
    pub platform: Option<Platform>,
    /// Notes of the builder.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    /// Whether it is a list of others.
    pub fn is_index(&self) -> bool {
        self.media_type.ends_with("image.index.v1+json")
            || self.media_type.ends_with("manifest.list.v2+json")
    }

    /// Whether it is no image but what a builder says about one (BuildKit, attestation storage).
    pub fn is_attestation(&self) -> bool {
        let marked = self.annotation("vnd.docker.reference.type") == Some("attestation-manifest");
        marked || self.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
    }

    /// A note of the builder.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

/// A platform in Docker's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Platform {
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// `amd64`, `arm64`, `arm`.
    #[serde(default)]
    pub architecture: String,
    /// `v7` of arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// `linux/arm64`, `linux/arm/v7`.
    pub fn parse(text: &str) -> Option<Platform> {
        let mut words = text.split('/');
        let (os, architecture, variant) = (words.next()?, words.next()?, words.next());
        if words.next().is_some() || os.is_empty() || architecture.is_empty() {
            return None;
        }
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let variant = variant.filter(|word| !word.is_empty()).map(str::to_owned);
        Some(Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant })
    }

    /// Whether what is for this one is what was asked for. arm64's only variant is v8.
    pub fn serves(&self, wanted: &Platform) -> bool {
        let default = if self.architecture == "arm64" { Some("v8") } else { None };
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && wanted
                .variant
                .as_deref()
                .is_none_or(|variant| self.variant.as_deref().or(default) == Some(variant))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)?;
        match self
            .variant
            .as_deref()
            .filter(|variant| !(self.architecture == "arm64" && *variant == "v8"))
        {
            Some(variant) => write!(out, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A list of images for several platforms.
#[derive(Debug, Deserialize)]
pub struct Index {
    /// The images, indexes of more, and what belongs to them.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
}

/// One image.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
}

/// An entry of `manifest.json` in a docker-save archive.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Saved {
    /// The path of the configuration in the archive.
    pub config: String,
    /// Its names.
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    /// The paths of the layers, the lowest first.
    #[serde(default)]
    pub layers: Vec<String>,
}

/// What an image says of itself.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Config {
    /// What it is for.
    #[serde(flatten)]
    pub platform: Platform,
    /// How it is run.
    #[serde(default)]
    pub config: Option<Run>,
    /// What its layers are.
    #[serde(default)]
    pub rootfs: RootFs,
}

/// The digests of the layers' archives, not compressed.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RootFs {
    /// The lowest first.
    #[serde(default)]
    pub diff_ids: Vec<String>,
}

/// How an image is run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Run {
    /// `USER[:GROUP]`.
    #[serde(default)]
    pub user: String,
    /// `NAME=value`.
    #[serde(default)]
    pub env: Option<Vec<String>>,
    /// The first words of the command.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// The words behind them.
    #[serde(default)]
    pub cmd: Option<Vec<String>>,
    /// Where it starts.
    #[serde(default)]
    pub working_dir: String,
    /// Notes.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// What an engine asks now and then.
    #[serde(default)]
    pub healthcheck: Option<Healthcheck>,
}

/// A health check of Docker's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `NONE`, or `CMD` and words, or `CMD-SHELL` and a line.
    #[serde(default)]
    pub test: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_compared_as_engines_do() {
        let of = |text| Platform::parse(text).unwrap();
        assert!(of("linux/arm64/v8").serves(&of("linux/arm64")));
        assert!(of("linux/arm64").serves(&of("linux/arm64/v8")));
        assert!(!of("linux/arm/v6").serves(&of("linux/arm/v7")));
        assert!(!of("linux/amd64").serves(&of("linux/arm64")));
        assert_eq!(of("linux/arm64/v8").to_string(), "linux/arm64");
        assert_eq!(of("linux/aarch64"), of("linux/arm64"));
        for wrong in ["", "linux", "linux/", "a/b/c/d"] {
            assert_eq!(Platform::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_builders_say_about_an_image_is_no_image() {
        let text = r#"{"manifests":[{"digest":"sha256:0","platform":{"os":"unknown","architecture":"unknown"}},
            {"digest":"sha256:1","mediaType":"application/vnd.oci.image.index.v1+json","annotations":null}]}"#;
        let index: Index = serde_json::from_str(text).unwrap();
        assert!(index.manifests[0].is_attestation() && index.manifests[1].is_index());
        let config: Config =
            serde_json::from_str(r#"{"os":"linux","architecture":"arm64","config":{"Env":null}}"#)
                .unwrap();
        assert_eq!(config.platform.to_string(), "linux/arm64");
    }
}
