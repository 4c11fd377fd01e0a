//! Programs of others that have a say before an image gets its names: a scanner, a signer.

use crate::engine::quote;

/// A command with places to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    words: Vec<String>,
}

/// What fills them.
pub struct Subject<'a> {
    /// `{ref}`: the image, as the engine or the registry knows it.
    pub reference: &'a str,
    /// `{digest}`: `sha256:…` of its manifest or index.
    pub digest: &'a str,
    /// The platforms, for `{platform}`.
    pub platforms: &'a [String],
}

impl Hook {
    /// Reads `--scan` or `--sign`: words, quoted as in a shell; none is started.
    pub fn read(line: &str) -> Result<Hook, String> {
        let words = quote::split(line)?;
        for word in &words {
            for place in places(word) {
                if !["ref", "digest", "platform"].contains(&place) {
                    return Err(format!(
                        "{{{place}}} is none of {{ref}}, {{digest}}, {{platform}}"
                    ));
                }
            }
        }
        Ok(Hook { words })
    }

    /// The commands: one, or one for each platform where it asks for the platform.
    pub fn commands(&self, subject: &Subject) -> Vec<Vec<String>> {
        let asks = self.words.iter().any(|word| word.contains("{platform}"));
        let platforms = if asks { subject.platforms } else { &subject.platforms[..1] };
        let fill = |platform: &String| {
            let filled = |word: &String| {
                word.replace("{platform}", platform)
                    .replace("{digest}", subject.digest)
                    .replace("{ref}", subject.reference)
            };
            self.words.iter().map(filled).collect()
        };
        platforms.iter().map(fill).collect()
    }
}

/// What stands between braces, where that is a single word.
fn places(word: &str) -> impl Iterator<Item = &str> {
    word.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(place, _)| place)
        .filter(|place| !place.is_empty() && place.chars().all(|c| c.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(line: &str) -> Vec<Vec<String>> {
        let platforms = ["linux/amd64".to_owned(), "linux/arm64".to_owned()];
        let subject =
            Subject { reference: "r@sha256:1", digest: "sha256:1", platforms: &platforms };
        Hook::read(line).unwrap().commands(&subject)
    }

    #[test]
    fn a_scan_that_asks_for_the_platform_runs_for_each() {
        assert_eq!(
            commands("trivy image --platform {platform} {ref}"),
            [
                ["trivy", "image", "--platform", "linux/amd64", "r@sha256:1"],
                ["trivy", "image", "--platform", "linux/arm64", "r@sha256:1"],
            ]
        );
        assert_eq!(commands("cosign sign {ref}"), [["cosign", "sign", "r@sha256:1"]]);
    }

    #[test]
    fn a_place_that_is_never_filled_is_refused() {
        assert!(Hook::read("x {image}").unwrap_err().contains("{image}"));
        assert!(Hook::read("x '{{.Id}}' {}").is_ok());
        assert_eq!(Hook::read(" ").unwrap_err(), "is empty");
    }
}
