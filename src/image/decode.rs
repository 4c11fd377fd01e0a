//! What a layer, or an archive, is compressed with, told by its first bytes; and the bytes within.
//!
//! gzip by flate2 over zlib-rs and zstd by ruzstd: both are kept up, both are Rust all through,
//! so that mak is checked and built for any platform without a C compiler for it.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

/// Read at once.
const BUFFER: usize = 128 << 10;
/// A zstd frame asks for a window of this many bytes at most: it is memory. The format's own
/// advice is 8 MiB (RFC 8878, 3.1.1.1.2); builders stay below it.
const LARGEST_WINDOW: u64 = 32 << 20;

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// They are not.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
}

impl Compression {
    /// By the first four bytes.
    pub fn of(head: &[u8]) -> Compression {
        match head {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            // A skippable frame may come first (RFC 8878, 3.1.2).
            [low, 0x2a, 0x4d, 0x18, ..] if low & 0xf0 == 0x50 => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// The bytes that `reader` has compressed.
pub fn decode<'r>(reader: impl Read + 'r, how: Compression) -> Box<dyn Read + 'r> {
    let reader = BufReader::with_capacity(BUFFER, reader);
    match how {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Compression::Zstd => Box::new(Zstd { state: State::Between(reader) }),
    }
}

/// Frames of zstd, one behind the other, skippable ones passed over.
struct Zstd<R: BufRead> {
    state: State<R>,
}

enum State<R: BufRead> {
    Between(R),
    Inside(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Over,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Ok(0),
                State::Inside(mut frame) => {
                    let count = frame.read(buffer)?;
                    if count > 0 {
                        self.state = State::Inside(frame);
                        return Ok(count);
                    }
                    self.state = State::Between(frame.into_inner());
                }
                State::Between(mut reader) => {
                    let head = head(&mut reader)?;
                    match head.as_slice() {
                        [] => return Ok(0),
                        [low, 0x2a, 0x4d, 0x18, ..] if low & 0xf0 == 0x50 => {
                            skip_frame(&mut reader)?;
                            self.state = State::Between(reader);
                        }
                        head => {
                            if window(head).is_some_and(|window| window > LARGEST_WINDOW) {
                                return Err(io::Error::other(format!(
                                    "its zstd window is larger than {} MiB",
                                    LARGEST_WINDOW >> 20
                                )));
                            }
                            let frame = StreamingDecoder::new(reader).map_err(io::Error::other)?;
                            self.state = State::Inside(Box::new(frame));
                        }
                    }
                }
            }
        }
    }
}

/// What is buffered of the next frame: its header, where the buffer holds it.
fn head(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let held = reader.fill_buf()?;
    Ok(held.get(..held.len().min(14)).unwrap_or_default().to_vec())
}

fn skip_frame(reader: &mut impl Read) -> io::Result<()> {
    let mut header = [0; 8];
    reader.read_exact(&mut header)?;
    let [.., a, b, c, d] = header;
    let size = u64::from(u32::from_le_bytes([a, b, c, d]));
    let passed = io::copy(&mut reader.take(size), &mut io::sink())?;
    if passed < size { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// The window that a frame asks for, in bytes (RFC 8878, 3.1.1.1); `None` where its header does
/// not lie whole in `head`, or names none.
fn window(head: &[u8]) -> Option<u64> {
    let descriptor = *head.get(4)?;
    let is_single = descriptor & 0x20 != 0;
    if !is_single {
        let byte = *head.get(5)?;
        let base = 1_u64 << (10 + u32::from(byte >> 3));
        return Some(base + base / 8 * u64::from(byte & 7));
    }
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let field = head.get(5 + dictionary..5 + dictionary + size)?;
    let value = field.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    Some(if size == 2 { value + 256 } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decode(bytes, Compression::of(bytes)).read_to_end(&mut out)?;
        Ok(out)
    }

    /// A zstd frame with one raw block, as RFC 8878 has it.
    fn frame(window: u8, text: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, window];
        let header = (text.len() as u32) << 3 | 1;
        bytes.extend(&header.to_le_bytes()[..3]);
        bytes.extend(text);
        bytes
    }

    #[test]
    fn frames_follow_each_other_and_skippable_ones_are_passed_over() {
        let mut bytes = vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        bytes.extend(frame(0, b"one "));
        bytes.extend(frame(0, b"two"));
        assert_eq!(all(&bytes).unwrap(), b"one two");
        assert!(all(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn a_window_that_would_fill_the_memory_is_refused() {
        // 10 + 16 is 64 MiB.
        let error = all(&frame(16 << 3, b"x")).unwrap_err().to_string();
        assert!(error.contains("window"), "{error}");
        assert_eq!(window(&[0, 0, 0, 0, 0xa0, 0, 0, 0, 4]), Some(64 << 20));
    }

    #[test]
    fn the_first_bytes_tell_the_compression() {
        assert_eq!(Compression::of(&[0x1f, 0x8b, 8, 0]), Compression::Gzip);
        assert_eq!(Compression::of(b"usr/"), Compression::None);
        assert_eq!(Compression::of(&[]), Compression::None);
    }
}
