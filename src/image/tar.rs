//! The members of a tar archive, one after the other: ustar, GNU's and POSIX's long names, sparse
//! files (POSIX.1-2017 pax "ustar Interchange Format"; GNU tar manual, "Basic Tar Format",
//! "Storing Sparse Files"). `archive` and `layer` read by it.
//!
//! Written here and not taken from the crate `tar`: that one holds a long name whole whatever
//! length it claims, reads a layer through several small buffers, and cannot tell where in the
//! archive a member's bytes are without giving up its checks. This one reads 128 KiB at once,
//! refuses names of more than a path's length, and never goes back.

use std::fmt;
use std::io;

/// Bytes of a header, and what contents are padded to.
const BLOCK: u64 = 512;
/// Read at once: enough to make calls cheap, little enough to stay in the processor's cache.
const BUFFER: usize = 128 << 10;
/// A path has 4095 bytes at most (`limits.h`); with it come the other records of one member.
const MOST_EXTENSION: u64 = 64 << 10;
/// Extension headers before one member; real ones have two or three.
const MOST_EXTENSIONS: usize = 16;
/// Pieces of a sparse file that are followed.
const MOST_PIECES: usize = 4096;

/// Where an archive's bytes come from.
pub trait Input {
    /// Fills the buffer as far as one call does; 0 is the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Passes over bytes; the result is how many there were.
    fn skip(&mut self, count: u64) -> io::Result<u64>;
}

/// What is wrong with an archive.
#[derive(Debug)]
pub enum TarError {
    /// It cannot be read.
    Io(io::Error),
    /// It ends inside of a member.
    Truncated {
        /// Where it ends, in bytes.
        at: u64,
    },
    /// A header that is none.
    Header {
        /// Where it stands, in bytes.
        at: u64,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl fmt::Display for TarError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TarError::Io(error) => write!(out, "cannot be read: {error}"),
            TarError::Truncated { at } => write!(out, "is cut short at byte {at}"),
            TarError::Header { at, why } => {
                write!(out, "is no tar archive, or a broken one: the header at byte {at} {why}")
            }
        }
    }
}

impl std::error::Error for TarError {}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> TarError {
        TarError::Io(error)
    }
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the format")]
pub enum Type {
    File,
    HardLink,
    Link,
    Folder,
    Fifo,
    Device,
    /// Volume labels and the like, which make no file.
    Other,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As written, without a NUL.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Type,
    /// Target of a link, or path of the file that a hard link is to.
    pub link: Vec<u8>,
    /// Twelve bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Bytes of the file, holes of a sparse one counted.
    pub size: u64,
    /// Bytes in the archive.
    pub stored: u64,
    /// Where its bytes begin in the archive.
    pub offset: u64,
    /// The pieces of a sparse file: where each belongs and how long it is; their bytes stand one
    /// behind the other. `None` where it is not sparse.
    pub pieces: Option<Vec<(u64, u64)>>,
}

/// An archive under way.
pub struct Members<I> {
    input: I,
    buffer: Vec<u8>,
    /// What of the buffer is not used up.
    from: usize,
    to: usize,
    /// Bytes of the archive that are used up.
    position: u64,
    /// Where the next header stands.
    next: u64,
}

impl<I: Input> Members<I> {
    /// The members of what `input` gives.
    pub fn new(input: I) -> Members<I> {
        Members { input, buffer: vec![0; BUFFER], from: 0, to: 0, position: 0, next: 0 }
    }

    /// The next member; `None` at the end. What was not read of the one before is passed over.
    pub fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        let mut more = Extensions::default();
        for _ in 0..MOST_EXTENSIONS {
            self.skip_to(self.next)?;
            let at = self.position;
            let Some(header) = self.header()? else { return Ok(None) };
            let size =
                number(&header[124..136]).ok_or(TarError::Header { at, why: "has no size" })?;
            // Links, folders and devices have no bytes, whatever is written there.
            let has_bytes = !matches!(header[156], b'1'..=b'6');
            let stored = if has_bytes { size } else { 0 };
            self.set_next(stored, at)?;
            match header[156] {
                b'L' => more.path = Some(text(&self.extension(stored, at)?).to_owned()),
                b'K' => more.link = Some(text(&self.extension(stored, at)?).to_owned()),
                b'x' => more.records(&self.extension(stored, at)?),
                b'g' => self.skip_to(self.next)?,
                kind => {
                    let mut member = member(&header, kind, stored);
                    member.offset = self.position;
                    return self.finished(member, &header, more, at).map(Some);
                }
            }
        }
        Err(TarError::Header { at: self.position, why: "has too many extensions before it" })
    }

    /// The bytes of the last member from its start on, or what stands there behind those already
    /// read; 0 at its end.
    pub fn read(&mut self, member: &Member, buffer: &mut [u8]) -> Result<usize, TarError> {
        let end = member.offset.saturating_add(member.stored);
        let left = usize::try_from(end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        match self.take(buffer.get_mut(..most).unwrap_or_default())? {
            0 if most > 0 => Err(TarError::Truncated { at: self.position }),
            count => Ok(count),
        }
    }

    /// Reads to the end of the input, behind the archive's own: digests are of all of it.
    pub fn into_input(mut self) -> Result<I, TarError> {
        loop {
            self.from = self.to;
            self.fill()?;
            if self.from >= self.to {
                return Ok(self.input);
            }
        }
    }

    /// What GNU and pax headers said before it is laid over its own header.
    fn finished(
        &mut self,
        mut member: Member,
        header: &[u8; BLOCK as usize],
        more: Extensions,
        at: u64,
    ) -> Result<Member, TarError> {
        if let Some(stored) = more.size.filter(|_| member.kind == Type::File) {
            member.stored = stored;
            member.size = stored;
            self.set_next(stored, at)?;
        }
        member.path = more.path.unwrap_or(member.path);
        member.link = more.link.unwrap_or(member.link);
        member.uid = more.uid.unwrap_or(member.uid);
        member.gid = more.gid.unwrap_or(member.gid);
        if header[156] == b'S' {
            self.old_sparse(&mut member, header, at)?;
        } else if let Some(real) = more.real_size {
            let pieces = match more.is_mapped_inside {
                true => self.mapped_inside(&mut member, at)?,
                false => more.pieces,
            };
            member.pieces = Some(pieces);
            member.size = real;
            member.path = more.real_name.unwrap_or(member.path);
        }
        if member.path.last() == Some(&b'/') && member.kind == Type::File {
            // As old archives write folders.
            member.kind = Type::Folder;
        }
        Ok(member)
    }

    /// GNU's old form: four pieces in the header, more in blocks behind it.
    fn old_sparse(
        &mut self,
        member: &mut Member,
        header: &[u8; BLOCK as usize],
        at: u64,
    ) -> Result<(), TarError> {
        let broken = TarError::Header { at, why: "has a broken map of a sparse file" };
        let Some(size) = number(&header[483..495]) else { return Err(broken) };
        let mut pieces = Vec::new();
        add_pieces(&mut pieces, &header[386..482]);
        let mut goes_on = header[482] != 0;
        while goes_on {
            let Some(block) = self.block()? else { return Err(broken) };
            add_pieces(&mut pieces, &block[..504]);
            goes_on = block[504] != 0;
            if pieces.len() > MOST_PIECES {
                return Err(broken);
            }
        }
        member.offset = self.position;
        member.size = size;
        member.pieces = Some(pieces);
        self.set_next(member.stored, at)
    }

    /// POSIX's form 1.0: decimal numbers, a line each, before the bytes.
    fn mapped_inside(&mut self, member: &mut Member, at: u64) -> Result<Vec<(u64, u64)>, TarError> {
        let broken = || TarError::Header { at, why: "has a broken map of a sparse file" };
        let mut digits = Vec::new();
        let mut numbers: Vec<u64> = Vec::new();
        let mut expected = 1;
        while numbers.len() < expected {
            let before = self.position;
            let Some(block) = self.block()? else { return Err(broken()) };
            member.stored = member.stored.checked_sub(self.position - before).ok_or_else(broken)?;
            for byte in block {
                match byte {
                    b'0'..=b'9' if digits.len() < 20 => digits.push(byte),
                    b'\n' if numbers.len() < expected => {
                        let text = std::str::from_utf8(&digits).unwrap_or_default();
                        let number: u64 = text.parse().map_err(|_| broken())?;
                        digits.clear();
                        if numbers.is_empty() {
                            let count = usize::try_from(number).unwrap_or(usize::MAX);
                            if count > MOST_PIECES {
                                return Err(broken());
                            }
                            expected = 1 + 2 * count;
                        }
                        numbers.push(number);
                    }
                    _ if numbers.len() >= expected => break,
                    _ => return Err(broken()),
                }
            }
        }
        member.offset = self.position;
        let pairs = numbers.get(1..).unwrap_or_default().chunks_exact(2);
        Ok(pairs.filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect())
    }

    /// The next header; `None` where a block of zeros, or nothing, ends the archive.
    fn header(&mut self) -> Result<Option<[u8; BLOCK as usize]>, TarError> {
        let at = self.position;
        let Some(block) = self.block()? else { return Ok(None) };
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        // The sum is made with blanks in its own place (POSIX, ustar, "chksum").
        let own: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
        let said = number(&block[148..156]);
        if said != Some(sum - own + 8 * u64::from(b' ')) {
            return Err(TarError::Header { at, why: "has a wrong checksum" });
        }
        Ok(Some(block))
    }

    /// The next block; `None` at the end of the input.
    fn block(&mut self) -> Result<Option<[u8; BLOCK as usize]>, TarError> {
        let mut block = [0; BLOCK as usize];
        match self.take(&mut block)? {
            0 => Ok(None),
            512 => Ok(Some(block)),
            _ => Err(TarError::Truncated { at: self.position }),
        }
    }

    /// Fills `buffer` as far as the input reaches.
    fn take(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            self.fill()?;
            let here = self.buffer.get(self.from..self.to).unwrap_or_default();
            let count = here.len().min(rest.len());
            if count == 0 {
                break;
            }
            if let (Some(to), Some(from)) = (rest.get_mut(..count), here.get(..count)) {
                to.copy_from_slice(from);
            }
            filled += count;
            self.from += count;
            self.position += count as u64;
        }
        Ok(filled)
    }

    /// The next header stands behind `stored` bytes from here and what pads them.
    fn set_next(&mut self, stored: u64, at: u64) -> Result<(), TarError> {
        let padded = stored.checked_next_multiple_of(BLOCK);
        let next = padded.and_then(|padded| self.position.checked_add(padded));
        self.next = next.ok_or(TarError::Header { at, why: "has an absurd size" })?;
        Ok(())
    }

    fn extension(&mut self, size: u64, at: u64) -> Result<Vec<u8>, TarError> {
        if size > MOST_EXTENSION {
            return Err(TarError::Header { at, why: "has a name that no file system has" });
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        match self.take(&mut bytes)? {
            count if count == bytes.len() => Ok(bytes),
            _ => Err(TarError::Truncated { at: self.position }),
        }
    }

    fn skip_to(&mut self, position: u64) -> Result<(), TarError> {
        let mut left = position.saturating_sub(self.position);
        let held = (self.to - self.from) as u64;
        let from_buffer = left.min(held);
        self.from += usize::try_from(from_buffer).unwrap_or_default();
        self.position += from_buffer;
        left -= from_buffer;
        if left > 0 {
            let passed = self.input.skip(left)?;
            self.position += passed;
            if passed < left {
                return Err(TarError::Truncated { at: self.position });
            }
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), TarError> {
        if self.from < self.to {
            return Ok(());
        }
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(count) => {
                    self.from = 0;
                    self.to = count.min(self.buffer.len());
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What headers say about the member behind them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    real_size: Option<u64>,
    real_name: Option<Vec<u8>>,
    pieces: Vec<(u64, u64)>,
    piece_start: Option<u64>,
    is_mapped_inside: bool,
}

impl Extensions {
    /// Records of the form `LENGTH KEY=VALUE\n`; a broken one ends them.
    fn records(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(blank) = rest.iter().position(|byte| *byte == b' ') {
            let length = std::str::from_utf8(rest.get(..blank).unwrap_or_default()).ok();
            let Some(length) = length.and_then(|text| text.parse::<usize>().ok()) else { return };
            let Some(record) = length.checked_sub(1).and_then(|end| rest.get(blank + 1..end))
            else {
                return;
            };
            if let Some(equal) = record.iter().position(|byte| *byte == b'=') {
                let (key, value) = record.split_at(equal);
                self.record(key, value.get(1..).unwrap_or_default());
            }
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    fn record(&mut self, key: &[u8], value: &[u8]) {
        let decimal = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
        let id = || decimal().and_then(|id| u32::try_from(id).ok());
        match key {
            b"path" => self.path = Some(text(value).to_owned()),
            b"linkpath" => self.link = Some(text(value).to_owned()),
            b"size" => self.size = decimal(),
            b"uid" => self.uid = id(),
            b"gid" => self.gid = id(),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.real_size = decimal(),
            b"GNU.sparse.name" => self.real_name = Some(text(value).to_owned()),
            b"GNU.sparse.major" => self.is_mapped_inside = value == b"1",
            b"GNU.sparse.offset" => self.piece_start = decimal(),
            b"GNU.sparse.numbytes" => {
                if let (Some(start), Some(length)) = (self.piece_start.take(), decimal())
                    && self.pieces.len() < MOST_PIECES
                {
                    self.pieces.push((start, length));
                }
            }
            b"GNU.sparse.map" => {
                let numbers: Vec<u64> = value
                    .split(|byte| *byte == b',')
                    .take(2 * MOST_PIECES)
                    .filter_map(|number| std::str::from_utf8(number).ok()?.parse().ok())
                    .collect();
                let pairs = numbers.chunks_exact(2);
                self.pieces =
                    pairs.filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect();
            }
            _ => {}
        }
    }
}

fn member(header: &[u8; BLOCK as usize], kind: u8, stored: u64) -> Member {
    let name = text(&header[..100]);
    let is_posix = &header[257..263] == b"ustar\0";
    let prefix = if is_posix { text(&header[345..500]) } else { &[] };
    let path = match prefix {
        [] => name.to_owned(),
        prefix => [prefix, b"/", name].concat(),
    };
    let kind = match kind {
        0 | b'0' | b'7' | b'S' => Type::File,
        b'1' => Type::HardLink,
        b'2' => Type::Link,
        b'3' | b'4' => Type::Device,
        b'5' => Type::Folder,
        b'6' => Type::Fifo,
        _ => Type::Other,
    };
    let id = |field: &[u8]| number(field).and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
    Member {
        path,
        kind,
        link: text(&header[157..257]).to_owned(),
        mode: id(&header[100..108]) & 0o7777,
        uid: id(&header[108..116]),
        gid: id(&header[116..124]),
        size: stored,
        stored,
        offset: 0,
        pieces: None,
    }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    field.get(..end).unwrap_or_default()
}

/// Octal digits between blanks, or base 256 with the highest bit set (GNU). An empty field is 0.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        if *first != 0x80 {
            return None;
        }
        let mut value = 0_u64;
        for byte in rest {
            value = value.checked_mul(256)?.checked_add(u64::from(*byte))?;
        }
        return Some(value);
    }
    let mut value = 0_u64;
    for byte in text(field).trim_ascii() {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value = value.checked_mul(8)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

fn add_pieces(pieces: &mut Vec<(u64, u64)>, fields: &[u8]) {
    for field in fields.chunks_exact(24) {
        let (start, length) = field.split_at(12);
        match (number(start), number(length)) {
            (Some(start), Some(length)) if length > 0 => pieces.push((start, length)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that come a few at a time.
    struct Drops<'b> {
        bytes: &'b [u8],
        at_once: usize,
    }

    impl Input for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.bytes.len().min(buffer.len()).min(self.at_once);
            let (here, rest) = self.bytes.split_at(count);
            buffer[..count].copy_from_slice(here);
            self.bytes = rest;
            Ok(count)
        }

        fn skip(&mut self, count: u64) -> io::Result<u64> {
            let count = count.min(self.bytes.len() as u64);
            self.bytes = &self.bytes[count as usize..];
            Ok(count)
        }
    }

    /// Every member with its first bytes.
    fn read(bytes: &[u8], at_once: usize) -> Result<Vec<(Member, Vec<u8>)>, TarError> {
        let mut members = Members::new(Drops { bytes, at_once });
        let mut found = Vec::new();
        while let Some(member) = members.next_member()? {
            let mut content = vec![0; member.stored.min(1 << 16) as usize];
            let count = members.read(&member, &mut content)?;
            content.truncate(count);
            found.push((member, content));
        }
        Ok(found)
    }

    /// A header of POSIX, its checksum made last.
    fn header(name: &str, kind: u8, mode: u32, size: usize, link: &str) -> Vec<u8> {
        let mut block = vec![0_u8; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
        block[108..116].copy_from_slice(b"0001750\0");
        block[116..124].copy_from_slice(b"0000144\0");
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[156] = kind;
        block[157..157 + link.len()].copy_from_slice(link.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    fn padded(bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn record(key: &str, value: &str) -> String {
        // The length counts its own digits.
        let bare = key.len() + value.len() + 3;
        let length = (bare..).find(|length| bare + length.to_string().len() == *length).unwrap();
        format!("{length} {key}={value}\n")
    }

    #[test]
    fn a_name_of_gnu_and_one_of_posix_stand_for_the_member_behind_them() {
        let long = "d/".repeat(200);
        let gnu = [header("././@LongLink", b'L', 0, long.len(), ""), padded(long.as_bytes())];
        let said = record("path", &long) + &record("uid", "70000") + &record("linkpath", "else");
        let posix = [header("x", b'x', 0, said.len(), ""), padded(said.as_bytes())];
        let after = [header("short", b'5', 0o755, 0, ""), header("short", b'2', 0o777, 0, "there")];
        let bytes = [gnu.concat(), after[0].clone(), posix.concat(), after[1].clone()].concat();
        let found = read(&bytes, 100).unwrap();
        let [(first, _), (second, _)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((first.kind, first.path.as_slice()), (Type::Folder, long.as_bytes()));
        assert_eq!((first.uid, first.gid, first.mode), (1000, 100, 0o755));
        assert_eq!((second.kind, second.link.as_slice()), (Type::Link, &b"else"[..]));
        assert_eq!((second.uid, second.path.as_slice()), (70000, long.as_bytes()));
    }

    #[test]
    fn what_no_archive_has_is_named_with_its_place() {
        let long = header("././@LongLink", b'L', 0, 1 << 20, "");
        let many = header("x", b'g', 0, 0, "").repeat(20);
        let mut huge = header("x", b'0', 0o644, 0, "");
        huge[124..136].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
        let sum: u64 = huge
            .iter()
            .enumerate()
            .filter(|(at, _)| !(148..156).contains(at))
            .map(|(_, byte)| u64::from(*byte))
            .sum();
        huge[148..156].copy_from_slice(format!("{:06o}\0 ", sum + 256).as_bytes());
        for (bytes, text) in [
            (long, "header at byte 0 has a name that no file system has"),
            (many, "has too many extensions"),
            (huge, "header at byte 0 has an absurd size"),
            (header("x", b'0', 0o644, 600, ""), "is cut short at byte 512"),
            (vec![1; 512], "header at byte 0 has a wrong checksum"),
            (header("x", b'5', 0o755, 0, "")[..300].to_vec(), "is cut short at byte 300"),
        ] {
            let error = read(&bytes, 4096).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        assert!(read(&[], 1).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_drops_of_any_size(
            members in proptest::collection::vec(("[a-z/.]{1,90}", proptest::collection::vec(any::<u8>(), 0..1500)), 0..6),
            at_once in 1_usize..2000,
        ) {
            let mut bytes = Vec::new();
            for (name, content) in &members {
                bytes.extend(header(name, b'0', 0o640, content.len(), ""));
                bytes.extend(padded(content));
            }
            let ends = bytes.len();
            bytes.extend([0; 1024]);
            let found = read(&bytes, at_once).unwrap();
            let said: Vec<_> = found.iter().map(|(member, content)| (String::from_utf8(member.path.clone()).unwrap(), content.clone())).collect();
            prop_assert_eq!(&said, &members);
            for (member, content) in &found {
                let at = member.offset as usize;
                prop_assert_eq!(&bytes[at..at + content.len()], &content[..]);
                prop_assert!(at + content.len() <= ends);
            }
        }

        #[test]
        fn a_spoilt_archive_ends_in_members_or_an_error(
            content in proptest::collection::vec(any::<u8>(), 0..1500),
            kind in proptest::sample::select(&b"0L5KxgS127\0"[..]),
            spoilt in proptest::collection::vec((0_usize..3000, any::<u8>()), 0..4),
            is_summed in any::<bool>(),
        ) {
            let mut bytes = [header("a/b", kind, 0o644, content.len(), "c"), padded(&content), header("d", b'0', 0o644, 0, "")].concat();
            for (at, byte) in spoilt {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            if is_summed {
                bytes[148..156].fill(b' ');
                let sum: u64 = bytes[..512].iter().map(|byte| u64::from(*byte)).sum();
                bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
            if let Ok(found) = read(&bytes, 700) {
                prop_assert!(found.len() <= bytes.len() / 512);
                for (member, _) in found {
                    prop_assert!(member.offset <= bytes.len() as u64);
                }
            }
        }
    }
}
