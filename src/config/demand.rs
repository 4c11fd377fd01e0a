//! `[platform]` of a profile: what it demands of the machine it runs on.

use std::path::PathBuf;

use super::document::{Document, Placed, Section};
use super::profile::{Severities, read_severities};
use super::word;

/// What running under an emulator means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emulated {
    /// It is said.
    Allowed,
    /// It is tolerated.
    Warn,
    /// The image is not fit.
    Refused,
}

/// What is demanded; `None` and empty lists demand nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct PlatformEntry {
    /// What a demand that is not met means.
    pub severities: Severities,
    /// What an emulator means.
    pub emulation: Emulated,
    /// The least processor level: `x86-64-v3`, `power9`, `z15`.
    pub cpu: Option<String>,
    /// Names of processor features, as `mak-init platform` shows them.
    pub features: Vec<String>,
    /// Bytes of a page of memory.
    pub page_size: Option<u64>,
    /// The least memory in bytes, of the machine and of the control group.
    pub memory: Option<u64>,
    /// The fewest processors, in whole ones and parts.
    pub cpus: Option<f64>,
    /// The oldest kernel, as in `5.15`.
    pub kernel: Option<String>,
    /// Device nodes that have to be there and usable.
    pub devices: Vec<PathBuf>,
    /// The least free space in bytes, in each of the profile's directories.
    pub free_space: Option<u64>,
}

pub(super) fn read(doc: &mut Document, mut table: Section) -> PlatformEntry {
    let severities = read_severities(doc, &mut table);
    let emulation = match table.string(doc, "emulation") {
        None => Emulated::Allowed,
        Some(word) => match word.value.as_str() {
            "allowed" => Emulated::Allowed,
            "warn" => Emulated::Warn,
            "refused" => Emulated::Refused,
            _ => {
                doc.problem(word.at, "emulation must be allowed, warn or refused");
                Emulated::Allowed
            }
        },
    };
    let cpu = table.string(doc, "cpu").map(|word| word.value);
    let features = strings(doc, &mut table, "features");
    let page_size = size(doc, &mut table, "page_size");
    let memory = size(doc, &mut table, "memory");
    let cpus = table.word(doc, "cpus").and_then(|word| positive(doc, &word));
    let kernel = table.word(doc, "kernel").and_then(|word| match numbers(&word.value) {
        Some(_) => Some(word.value),
        None => {
            doc.problem(word.at, format!("kernel: {:?} is not like \"5.15\"", word.value));
            None
        }
    });
    let devices = strings(doc, &mut table, "devices").into_iter().map(PathBuf::from).collect();
    let free_space = size(doc, &mut table, "free_space");
    table.finish(doc);
    PlatformEntry {
        severities,
        emulation,
        cpu,
        features,
        page_size,
        memory,
        cpus,
        kernel,
        devices,
        free_space,
    }
}

/// The numbers of a kernel's release that stand before anything else: 6, 1, 0 of `6.1.0-18-amd64`.
pub fn numbers(release: &str) -> Option<Vec<u32>> {
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
    let numbers = release[..end].trim_end_matches('.');
    numbers.split('.').map(|part| part.parse().ok()).collect()
}

fn positive(doc: &mut Document, word: &Placed<String>) -> Option<f64> {
    let number = word.value.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    if number.is_none() {
        doc.problem(word.at, format!("cpus: {:?} is not a number of processors", word.value));
    }
    number
}

fn size(doc: &mut Document, table: &mut Section, key: &str) -> Option<u64> {
    let word = table.word(doc, key)?;
    match word::bytes(&word.value) {
        Ok(bytes) => Some(bytes),
        Err(why) => {
            doc.problem(word.at, format!("{key}: {:?} {why}", word.value));
            None
        }
    }
}

fn strings(doc: &mut Document, table: &mut Section, key: &str) -> Vec<String> {
    let list = table.strings(doc, key).unwrap_or_default();
    list.into_iter().map(|word| word.value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn entry(text: &str) -> Result<PlatformEntry, Vec<String>> {
        let mut document = Document::new(Path::new("/x.toml"), text);
        let table = document.parse();
        let entry = read(&mut document, table);
        let problems = document.finish();
        if problems.is_empty() { Ok(entry) } else { Err(problems) }
    }

    #[test]
    fn every_demand_is_read() {
        let text = "emulation = \"refused\"\ncpu = \"x86-64-v3\"\nfeatures = [\"atomics\"]\n\
            page_size = 4096\nmemory = \"2GiB\"\ncpus = 1.5\nkernel = \"5.15\"\n\
            devices = [\"/dev/nvidia0\"]\nfree_space = \"1GiB\"\n";
        let found = entry(text).unwrap();
        assert_eq!(found.emulation, Emulated::Refused);
        assert_eq!((found.page_size, found.memory), (Some(4096), Some(2 << 30)));
        assert_eq!((found.cpus, found.kernel.as_deref()), (Some(1.5), Some("5.15")));
        assert_eq!(found.devices, [PathBuf::from("/dev/nvidia0")]);
    }

    #[test]
    fn demands_that_mean_nothing_are_problems_with_their_place() {
        let text = "emulation = \"no\"\nmemory = \"lots\"\ncpus = -1\nkernel = \"new\"\nfoo = 1\n";
        let problems = entry(text).unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(problems[1].starts_with("/x.toml:2:10: memory"), "{problems:#?}");
    }

    #[test]
    fn a_release_is_read_up_to_its_suffix() {
        assert_eq!(numbers("6.1.0-18-amd64"), Some(vec![6, 1, 0]));
        assert_eq!(numbers("5.15"), Some(vec![5, 15]));
        assert_eq!(numbers("x"), None);
    }
}
