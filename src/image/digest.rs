//! SHA-256 digests as image manifests write them (OCI image-spec, descriptor.md), and a reader that
//! makes one of all that goes through it.

use std::fmt;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// The digest of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// `sha256:` and 64 lower-case hexadecimal digits; other algorithms are not known here.
    pub fn parse(text: &str) -> Option<Digest> {
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            if pair.iter().any(u8::is_ascii_uppercase) {
                return None;
            }
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Digest(bytes))
    }

    /// Of bytes that are all there.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The 64 digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{}", self.hex())
    }
}

/// Passes bytes on and makes their digest.
pub struct Hashing<R> {
    reader: R,
    hash: Sha256,
}

impl<R: Read> Hashing<R> {
    /// Of what `reader` gives.
    pub fn new(reader: R) -> Hashing<R> {
        Hashing { reader, hash: Sha256::new() }
    }

    /// Reads what is left; the digest of all of it.
    pub fn finish(mut self) -> io::Result<Digest> {
        let mut block = vec![0; 64 << 10];
        while self.read(&mut block)? > 0 {}
        Ok(Digest(self.hash.finalize().into()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_as_it_is_written_and_nothing_else_does() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(Digest::parse(empty), Some(Digest::of(b"")));
        assert_eq!(Hashing::new(&b"abc"[..]).finish().unwrap(), Digest::of(b"abc"));
        for wrong in ["", "sha256:", "sha512:00", &empty.to_uppercase(), &empty[..70]] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Digest::parse(&format!("sha256:{}", "é".repeat(32))), None);
    }
}
