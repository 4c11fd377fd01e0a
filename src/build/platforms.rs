//! The platforms an image is built for.

use crate::platform::Arch;

/// One or more platforms, in the order they were asked for, none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platforms(Vec<Arch>);

impl Platforms {
    /// Reads `linux/amd64,linux/arm64`. The error is for the person.
    pub fn read(words: &str) -> Result<Platforms, String> {
        let mut all = Vec::new();
        for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let arch = read_one(word)?;
            if !all.contains(&arch) {
                all.push(arch);
            }
        }
        if all.is_empty() { Err("names no platform".to_owned()) } else { Ok(Platforms(all)) }
    }

    /// All of them.
    pub fn all(&self) -> &[Arch] {
        &self.0
    }

    /// As `--platform` takes them.
    pub fn words(&self) -> String {
        self.0.iter().map(|arch| word(*arch)).collect::<Vec<_>>().join(",")
    }

    /// Whether one image comes out for several.
    pub fn several(&self) -> bool {
        self.0.len() > 1
    }
}

/// `linux/arm64`, or only `arm64`.
pub fn read_one(text: &str) -> Result<Arch, String> {
    let name = text.strip_prefix("linux/").unwrap_or(text);
    let name = name.strip_suffix("/v8").unwrap_or(name);
    let known = Arch::ALL.into_iter().find(|arch| arch.docker() == name);
    known.ok_or_else(|| {
        let all: Vec<String> = Arch::ALL.into_iter().map(word).collect();
        format!("{text:?} is no platform; there are {}", all.join(", "))
    })
}

/// `linux/arm64`.
pub fn word(arch: Arch) -> String {
    format!("linux/{}", arch.docker())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_as_docker_writes_them() {
        let both = Platforms::read("linux/arm64/v8, amd64,linux/arm64").unwrap();
        assert_eq!(both.all(), [Arch::Arm64, Arch::Amd64]);
        assert_eq!(both.words(), "linux/arm64,linux/amd64");
        assert!(Platforms::read("windows/amd64").unwrap_err().contains("linux/riscv64"));
        assert_eq!(Platforms::read(",").unwrap_err(), "names no platform");
    }
}
