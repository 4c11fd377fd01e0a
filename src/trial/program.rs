//! Which machine the programs of an image's command are for, from their files: the label says
//! anything, and so does `uname` under an emulator.

use std::io::Read;

/// As many hops from a script to its interpreter, or over symbolic links, are followed.
const HOPS: usize = 8;
/// Names of init programs, which run the word behind them.
const INITS: &[&str] =
    &["mak-init", "tini", "docker-init", "dumb-init", "catatonit", "podman-init"];

/// Fetches a file of the container by its path; nothing where there is none.
pub type Fetch<'a> = dyn Fn(&str) -> Option<Vec<u8>> + 'a;

/// The `e_machine` of each program that the words start, with its path: the first word, the
/// interpreters of scripts, and the program behind an init.
pub fn machines(words: &[String], path: &str, fetch: &Fetch) -> Vec<(String, u16)> {
    let mut found = Vec::new();
    for word in started(words) {
        let Some((mut file, mut bytes)) = located(word, path, fetch) else { continue };
        for _ in 0..HOPS {
            if let Some(machine) = elf_machine(&bytes) {
                found.push((file, machine));
                break;
            }
            let Some(next) = interpreter(&bytes).and_then(|next| located(&next, path, fetch))
            else {
                break;
            };
            (file, bytes) = next;
        }
    }
    found
}

/// The words that name programs.
fn started(words: &[String]) -> Vec<&str> {
    let mut programs = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        programs.push(word.as_str());
        let name = word.rsplit('/').next().unwrap_or_default();
        if !INITS.contains(&name) {
            break;
        }
        // Its own options end at --, or there are none in front of the program.
        let tail = rest.as_slice();
        let after = tail.iter().position(|word| word == "--").map(|at| &tail[at + 1..]);
        let after = after.unwrap_or(tail);
        if after.first().is_none_or(|word| word.starts_with('-')) {
            break;
        }
        rest = after.iter();
    }
    programs
}

fn located(word: &str, path: &str, fetch: &Fetch) -> Option<(String, Vec<u8>)> {
    if word.contains('/') {
        return fetch(word).map(|bytes| (word.to_owned(), bytes));
    }
    path.split(':').filter(|folder| folder.starts_with('/')).find_map(|folder| {
        let file = format!("{}/{word}", folder.trim_end_matches('/'));
        fetch(&file).map(|bytes| (file, bytes))
    })
}

/// `e_machine` of an ELF file of either byte order.
fn elf_machine(bytes: &[u8]) -> Option<u16> {
    let header = bytes.get(..20)?;
    if header.get(..4)? != b"\x7fELF" {
        return None;
    }
    let machine = [header[18], header[19]];
    Some(if header[5] == 2 { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) })
}

/// What `#!` names; behind `env` the program that it looks for.
fn interpreter(bytes: &[u8]) -> Option<String> {
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let named = words.find(|word| !word.starts_with('-'));
    Some(if first.ends_with("/env") { named? } else { first }.to_owned())
}

/// The first bytes of the one file in an archive as `docker cp` writes it.
pub fn first_file(archive: impl Read) -> Option<Vec<u8>> {
    let mut archive = archive;
    let mut header = [0; 512];
    loop {
        archive.read_exact(&mut header).ok()?;
        if header.iter().all(|byte| *byte == 0) {
            return None;
        }
        let size = std::str::from_utf8(&header[124..136]).ok()?;
        let size = size.trim_matches(['\0', ' ']);
        let size = u64::from_str_radix(size, 8).ok()?;
        if matches!(header[156], b'0' | 0) {
            let mut bytes = Vec::new();
            archive.take(size.min(4096)).read_to_end(&mut bytes).ok()?;
            return Some(bytes);
        }
        // An extended header, whose text comes in whole blocks.
        std::io::copy(&mut (&mut archive).take(size.next_multiple_of(512)), &mut std::io::sink())
            .ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(ToOwned::to_owned).collect()
    }

    fn files(path: &str) -> Option<Vec<u8>> {
        let elf = |machine: u8| [b"\x7fELF\x02\x01".as_slice(), &[0; 12], &[machine, 0]].concat();
        match path {
            "/mak-init" => Some(elf(183)),
            "/usr/bin/python3" => Some(elf(62)),
            "/app/run" => Some(b"#!/usr/bin/env python3\n".to_vec()),
            "/usr/bin/env" => Some(elf(183)),
            _ => None,
        }
    }

    #[test]
    fn an_init_is_followed_by_what_it_runs_and_a_script_by_its_interpreter() {
        let path = "/usr/local/bin:/usr/bin";
        let both = [("/mak-init".to_owned(), 183), ("/usr/bin/python3".to_owned(), 62)];
        assert_eq!(machines(&words("/mak-init python3 -m x"), path, &files), both);
        assert_eq!(machines(&words("/mak-init --grace 9s -- /app/run"), path, &files), both);
        assert_eq!(machines(&words("/app/run a"), path, &files), both[1..]);
        assert_eq!(machines(&words("/none"), path, &files), []);
    }

    #[test]
    fn an_archive_that_is_cut_or_odd_gives_nothing() {
        assert_eq!(first_file(&b""[..]), None);
        assert_eq!(first_file(&[0; 1024][..]), None);
        assert_eq!(first_file(&[b'x'; 1024][..]), None);
    }
}
