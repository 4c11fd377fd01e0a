//! One program out of an archive that holds more (`member` of a `[[binary.download]]`): tar, bare
//! or compressed with gzip or zstd. No name in the archive ever becomes a path here: the member's
//! bytes go into a file that `download` has opened, everything else is passed over.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};

use crate::image::decode::{Compression, decode};
use crate::image::tar::{Input, Member, Members, TarError, Type};

/// Why there is no program.
#[derive(Debug)]
pub enum ArchiveError {
    /// The archive cannot be read to its end.
    Broken(TarError),
    /// It unpacks to more than this many bytes.
    Larger(u64),
    /// There is no member of that name.
    Missing(String),
    /// There is one, and it is not what can be taken.
    Unfit(String, &'static str),
    /// The program cannot be written.
    Write(io::Error),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArchiveError::Broken(why) => write!(out, "the archive {why}"),
            ArchiveError::Larger(most) => {
                write!(out, "the archive unpacks to more than {} MiB", most >> 20)
            }
            ArchiveError::Missing(member) => write!(out, "the archive has no file {member}"),
            ArchiveError::Unfit(member, why) => write!(out, "in the archive {member} {why}"),
            ArchiveError::Write(why) => write!(out, "cannot write what was unpacked: {why}"),
        }
    }
}

impl std::error::Error for ArchiveError {}

/// Writes the member of this name `into` a file. The archive, which may unpack to `most` bytes, is
/// read to its end: what is cut short, or has the member twice, gives nothing that can be trusted.
pub fn unpack(
    mut archive: impl Read,
    member: &str,
    into: &mut File,
    most: u64,
) -> Result<(), ArchiveError> {
    let mut head = [0; 4];
    let held = fill(&mut archive, &mut head).map_err(|error| ArchiveError::Broken(error.into()))?;
    let head = head.get(..held).unwrap_or_default();
    let bytes = decode(head.chain(archive), Compression::of(head));
    let mut members = Members::new(Bounded { bytes, left: most });
    let mut found = false;
    let walked = loop {
        let entry = match members.next_member() {
            Ok(Some(entry)) => entry,
            Ok(None) => break Ok(()),
            Err(error) => break Err(ArchiveError::Broken(error)),
        };
        if plain(&entry.path) != member.as_bytes() {
            continue;
        }
        let unfit = |why| Err(ArchiveError::Unfit(member.to_owned(), why));
        match entry.kind {
            _ if found => break unfit("stands twice"),
            Type::Link | Type::HardLink => break unfit("is a link and not the program itself"),
            Type::File if entry.pieces.is_none() => {}
            _ => break unfit("is no plain file"),
        }
        found = true;
        if let Err(error) = copy(&mut members, &entry, into) {
            break Err(error);
        }
    };
    let ended = walked.and_then(|()| members.into_input().map_err(ArchiveError::Broken));
    match ended {
        Ok(_) if found => Ok(()),
        Ok(_) => Err(ArchiveError::Missing(member.to_owned())),
        Err(ArchiveError::Broken(TarError::Io(error))) if is_too_much(&error) => {
            Err(ArchiveError::Larger(most))
        }
        Err(error) => Err(error),
    }
}

fn copy<I: Input>(
    members: &mut Members<I>,
    entry: &Member,
    into: &mut File,
) -> Result<(), ArchiveError> {
    let mut block = vec![0; 64 << 10];
    loop {
        match members.read(entry, &mut block).map_err(ArchiveError::Broken)? {
            0 => return Ok(()),
            count => into
                .write_all(block.get(..count).unwrap_or_default())
                .map_err(ArchiveError::Write)?,
        }
    }
}

/// `tar -C folder -c .` writes `./name`, and a folder as `name/`.
fn plain(path: &[u8]) -> &[u8] {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    path.strip_suffix(b"/").unwrap_or(path)
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What comes out of the decoder, up to a bound: a few bytes may unpack to any number.
struct Bounded<R> {
    bytes: R,
    left: u64,
}

fn is_too_much(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

impl<R: Read> Input for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or(io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(count)
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        if count > self.left {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let passed = io::copy(&mut self.bytes.by_ref().take(count), &mut io::sink())?;
        self.left -= passed;
        Ok(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;
    use std::process::Command;

    const MOST: u64 = 1 << 20;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            let id = std::thread::current().id();
            let name = format!("mak-archive-{}-{id:?}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(path.join("in/kubo")).unwrap();
            std::fs::write(path.join("in/kubo/ipfs"), "the program").unwrap();
            std::fs::write(path.join("in/kubo/README"), "x".repeat(70_000)).unwrap();
            Folder(path)
        }

        /// What tar makes with these words of what is in the folder.
        fn tar(&self, words: &[&str]) -> Vec<u8> {
            let out = Command::new("tar").arg("-C").arg(self.0.join("in")).args(words).output();
            let out = out.unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            out.stdout
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn unpacked(archive: &[u8]) -> Result<Vec<u8>, String> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("mak-unpacked-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = File::create_new(&path).unwrap();
        let ended = unpack(archive, "kubo/ipfs", &mut file, MOST);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        ended.map(|()| bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn the_member_comes_out_of_what_tar_writes_in_each_form() {
        let folder = Folder::new();
        for words in [
            &["-cz", "kubo"][..],
            &["-c", "kubo"],
            &["-cz", "./kubo"],
            &["--format=v7", "-cz", "kubo"],
            &["--format=posix", "-c", "kubo"],
            &["--zstd", "-c", "kubo"],
        ] {
            assert_eq!(unpacked(&folder.tar(words)).unwrap(), b"the program", "{words:?}");
        }
    }

    #[test]
    fn a_link_a_folder_a_second_copy_and_a_name_that_only_leads_there_are_refused() {
        let folder = Folder::new();
        let twice = ["-c", "kubo", "kubo/ipfs", "--hard-dereference"];
        assert_eq!(
            unpacked(&folder.tar(&twice)).unwrap_err(),
            "in the archive kubo/ipfs stands twice"
        );
        for name in ["/kubo/ipfs", "../kubo/ipfs", "kubo/../kubo/ipfs", "kubo//ipfs", "x/kubo/ipfs"]
        {
            let transform = format!("--transform=s,^kubo/ipfs$,{name},");
            let words = ["-P", "-c", &transform, "kubo"];
            let error = unpacked(&folder.tar(&words)).unwrap_err();
            assert_eq!(error, "the archive has no file kubo/ipfs", "{name}");
        }
        let program = folder.0.join("in/kubo/ipfs");
        std::fs::remove_file(&program).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &program).unwrap();
        assert!(unpacked(&folder.tar(&["-c", "kubo"])).unwrap_err().contains("is a link"));
        std::fs::remove_file(&program).unwrap();
        std::fs::create_dir(&program).unwrap();
        assert!(unpacked(&folder.tar(&["-c", "kubo"])).unwrap_err().contains("is no plain file"));
        std::fs::remove_dir(&program).unwrap();
        nix::unistd::mkfifo(&program, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(unpacked(&folder.tar(&["-c", "kubo"])).unwrap_err().contains("is no plain file"));
    }

    #[test]
    fn what_unpacks_to_more_than_the_bound_ends_there_wherever_it_stands() {
        let folder = Folder::new();
        let large = File::create(folder.0.join("in/kubo/zeros")).unwrap();
        large.set_len(8 << 20).unwrap();
        let wanted = "the archive unpacks to more than 1 MiB";
        for words in [["-cz", "kubo/zeros", "kubo/ipfs"], ["-cz", "kubo/ipfs", "kubo/zeros"]] {
            let bomb = folder.tar(&words);
            assert!(bomb.len() < 200_000, "{}", bomb.len());
            assert_eq!(unpacked(&bomb).unwrap_err(), wanted);
        }
        // A hole costs nothing in the archive, and is not filled here.
        let sparse = folder.tar(&["-cS", "--transform=s/zeros/ipfs/", "kubo/zeros"]);
        assert!(unpacked(&sparse).unwrap_err().contains("is no plain file"));
    }

    #[test]
    fn an_archive_that_is_cut_short_anywhere_gives_no_program() {
        let folder = Folder::new();
        for words in [&["-cz", "kubo"][..], &["-c", "kubo"]] {
            let whole = folder.tar(words);
            // Behind the last member are only blocks of zeros, which a tar need not have.
            let end = if words[0] == "-c" { whole.len() - 10_240 } else { whole.len() - 1 };
            for cut in (0..end.min(20_000)).step_by(97).chain([end / 2]) {
                assert!(unpacked(&whole[..cut]).is_err(), "cut at {cut} of {}", whole.len());
            }
        }
    }

    proptest! {
        #[test]
        fn noise_is_no_archive(bytes in prop::collection::vec(any::<u8>(), 0..2000), kind in 0..3) {
            let head: &[u8] = [&b""[..], &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd]][kind as usize];
            prop_assert!(unpacked(&[head, &bytes].concat()).is_err());
        }
    }
}
