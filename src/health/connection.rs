//! One client: reads requests, answers them in order, and closes when it is asked to, when
//! something is wrong or when nothing comes. `crowd` spawns one task for each.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::http::{self, After, LONGEST_HEAD, Parsed, Refusal};
use super::known::Known;

/// From a request's first byte to its last, and for each write.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// Between requests, and before the first.
const IDLE_TIME: Duration = Duration::from_secs(5);

/// Answers to pipelined requests are collected up to this many bytes before they are written.
const WRITE_AT: usize = 16 * 1024;

/// After a refusal the client may still be sending. Closing at once would reset the connection and
/// could take the answer away before it is read, so as much is read and thrown away first.
const LINGER_BYTES: usize = 64 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// A connection, of either kind of socket.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Serves `stream` to its end. `answered` is called after each batch of answers.
pub async fn converse(mut stream: impl Stream, known: &Known, answered: impl Fn()) {
    // An error is the client's to notice: it has gone, or it does not read.
    let _ = exchange(&mut stream, known, answered).await;
}

async fn exchange(stream: &mut impl Stream, known: &Known, answered: impl Fn()) -> io::Result<()> {
    let mut inbox = Inbox::new();
    let mut out = Vec::new();
    loop {
        let end = answer_all(&mut inbox, known, &mut out);
        if !out.is_empty() {
            write(stream, &out).await?;
            out.clear();
            answered();
        }
        match end {
            End::Close => return stream.shutdown().await,
            End::Refused => return linger(stream, &mut inbox.bytes).await,
            End::MoreToAnswer => continue,
            End::MoreToRead => {}
        }
        match inbox.read_a_line(stream).await? {
            Arrival::Line => {}
            Arrival::Closed => return Ok(()),
            Arrival::Late if inbox.is_empty() => return stream.shutdown().await,
            Arrival::Late => {
                http::write(&mut out, &Refusal::Late.answer(), false, After::Close);
                write(stream, &out).await?;
                return linger(stream, &mut inbox.bytes).await;
            }
        }
    }
}

/// Why answering stopped.
enum End {
    /// What is left is no whole request.
    MoreToRead,
    /// Enough to write has come together.
    MoreToAnswer,
    /// The last answer was the last.
    Close,
    /// The last answer was a refusal; more of the refused may be on its way.
    Refused,
}

/// Appends the answers to all whole requests in `inbox` to `out`.
fn answer_all(inbox: &mut Inbox, known: &Known, out: &mut Vec<u8>) -> End {
    while out.len() < WRITE_AT {
        let (used, after) = match http::parse(inbox.bytes()) {
            Parsed::Partial => return End::MoreToRead,
            Parsed::Refused(refusal) => {
                http::write(out, &refusal.answer(), false, After::Close);
                return End::Refused;
            }
            Parsed::Complete(request, used) => {
                let answer = known.answer(&request);
                http::write(out, &answer, request.head_only, request.after);
                (used, request.after)
            }
        };
        if after == After::Close {
            return End::Close;
        }
        inbox.take(used);
    }
    End::MoreToAnswer
}

/// What has arrived and is not answered.
struct Inbox {
    bytes: Box<[u8]>,
    filled: usize,
    /// When the request at the front, or the wait for one, has lasted too long.
    deadline: Instant,
}

enum Arrival {
    /// A line has ended, or there is room for no more: time to parse.
    Line,
    Closed,
    Late,
}

impl Inbox {
    fn new() -> Inbox {
        let bytes = vec![0; LONGEST_HEAD].into_boxed_slice();
        Inbox { bytes, filled: 0, deadline: Instant::now() + IDLE_TIME }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Forgets the first `used` bytes, the request that was answered.
    fn take(&mut self, used: usize) {
        let used = used.min(self.filled);
        self.bytes.copy_within(used..self.filled, 0);
        self.filled -= used;
        let time = if self.is_empty() { IDLE_TIME } else { REQUEST_TIME };
        self.deadline = Instant::now() + time;
    }

    /// Reads until a line has ended. Parsing only then keeps a client that sends single bytes from
    /// having its request parsed once for each.
    async fn read_a_line(&mut self, stream: &mut impl Stream) -> io::Result<Arrival> {
        loop {
            let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
            let Ok(read) = timeout_at(self.deadline, stream.read(room)).await else {
                return Ok(Arrival::Late);
            };
            let fresh = read?;
            if fresh == 0 {
                return Ok(Arrival::Closed);
            }
            let has_line = room.get(..fresh).is_some_and(|bytes| bytes.contains(&b'\n'));
            if self.is_empty() {
                self.deadline = Instant::now() + REQUEST_TIME;
            }
            self.filled += fresh;
            if has_line || self.filled == self.bytes.len() {
                return Ok(Arrival::Line);
            }
        }
    }
}

async fn write(stream: &mut impl Stream, bytes: &[u8]) -> io::Result<()> {
    // tokio's write goes through send(2) with MSG_NOSIGNAL; a vectored write would not.
    let deadline = Instant::now() + REQUEST_TIME;
    timeout_at(deadline, stream.write_all(bytes)).await?
}

/// Says that no more comes, then reads until the client has seen it.
async fn linger(stream: &mut impl Stream, waste: &mut [u8]) -> io::Result<()> {
    stream.shutdown().await?;
    let deadline = Instant::now() + LINGER_TIME;
    let mut left = LINGER_BYTES;
    while left > 0 {
        match timeout_at(deadline, stream.read(waste)).await {
            Ok(Ok(read)) if read > 0 => left = left.saturating_sub(read),
            _ => break,
        }
    }
    Ok(())
}
