//! All clients: accepts connections and bounds how many there are at once. `serve` spawns
//! [`receive`] as a task.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::{Stream, converse};
use super::known::Known;
use crate::init::memory::give_back;

/// Connections at once.
const MOST: usize = 64;

/// With all places taken, a newcomer takes the place of the client that has had no answer for
/// longest, once that is as long as this. A slow client can so delay a probe, but not keep it out.
const PATIENCE: Duration = Duration::from_millis(100);

/// The pauses after accept failed for want of descriptors or memory and no client could be shown
/// out: doubled from the first to the last, so that a lasting want does not spin.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Between two probes a page of code that only answers need is better in the page cache alone. Given
/// back at the end of a connection, but not more often than this, in milliseconds: a crowd of
/// clients would have it read in again for each.
const GIVE_BACK_EVERY: u64 = 1000;

/// Where connections come from.
pub enum Door {
    /// A port.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(UnixListener),
}

impl Door {
    /// Lets the next client in.
    async fn open(&self, crowd: &mut Crowd, known: &Arc<Known>) -> io::Result<()> {
        match self {
            Door::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are written whole; waiting to fill a segment helps nobody.
                let _ = stream.set_nodelay(true);
                crowd.admit(stream, known.clone());
            }
            Door::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                crowd.admit(stream, known.clone());
            }
        }
        Ok(())
    }
}

/// Accepts for ever.
pub async fn receive(door: Door, known: Arc<Known>) {
    let mut crowd = Crowd::new();
    let mut pause = FIRST_PAUSE;
    loop {
        crowd.make_room(MOST).await;
        match door.open(&mut crowd, &known).await {
            Ok(()) => pause = FIRST_PAUSE,
            Err(error) if is_clients_fault(&error) => {}
            Err(error) => {
                if pause == FIRST_PAUSE {
                    tracing::warn!("health: cannot accept a connection: {error}; trying again");
                }
                pause = LAST_PAUSE.min(pause * 2);
                // Descriptors or memory are short: one client fewer is what we can do about it.
                if !crowd.make_room(crowd.seats.len()).await {
                    sleep(pause).await;
                }
            }
        }
    }
}

/// Errors of the one connection, which accept has removed from the queue (`man 2 accept`).
fn is_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
        || error.raw_os_error() == Some(libc::EPROTO)
}

struct Crowd {
    tasks: JoinSet<()>,
    seats: Vec<Seat>,
    opened: Instant,
    /// When what a client's answers took of the program's code was last given back.
    given_back: Arc<AtomicU64>,
}

/// The place of one connection.
struct Seat {
    task: AbortHandle,
    /// When its client was last answered, or came: milliseconds since the crowd opened.
    served: Arc<AtomicU64>,
}

impl Crowd {
    fn new() -> Crowd {
        Crowd {
            tasks: JoinSet::new(),
            seats: Vec::with_capacity(MOST),
            opened: Instant::now(),
            given_back: Arc::default(),
        }
    }

    /// Returns when fewer than `most` places are taken; false where none is that could be freed.
    async fn make_room(&mut self, most: usize) -> bool {
        self.clear_ended();
        while self.seats.len() >= most {
            let Some(longest) = self.longest_unserved() else { return false };
            let served = self.served_at(longest);
            let deadline = self.opened + Duration::from_millis(served) + PATIENCE;
            let nobody_left = timeout_at(deadline, self.tasks.join_next()).await.is_err();
            // It may have been answered while we waited; then another one is the longest.
            if nobody_left && self.served_at(longest) == served {
                self.show_out(longest).await;
            }
            self.clear_ended();
        }
        true
    }

    async fn show_out(&mut self, seat: usize) {
        if let Some(seat) = self.seats.get(seat) {
            seat.task.abort();
            self.tasks.join_next().await;
        }
    }

    fn clear_ended(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.seats.retain(|seat| !seat.task.is_finished());
    }

    fn longest_unserved(&self) -> Option<usize> {
        (0..self.seats.len()).min_by_key(|seat| self.served_at(*seat))
    }

    fn served_at(&self, seat: usize) -> u64 {
        self.seats.get(seat).map_or(0, |seat| seat.served.load(Ordering::Relaxed))
    }

    fn admit(&mut self, stream: impl Stream + Send + 'static, known: Arc<Known>) {
        let opened = self.opened;
        let served = Arc::new(AtomicU64::new(since(opened)));
        let seat = served.clone();
        let given_back = self.given_back.clone();
        let task = self.tasks.spawn(async move {
            converse(stream, &known, || seat.store(since(opened), Ordering::Relaxed)).await;
            let now = since(opened);
            if now >= given_back.load(Ordering::Relaxed) + GIVE_BACK_EVERY {
                given_back.store(now, Ordering::Relaxed);
                give_back();
            }
        });
        self.seats.push(Seat { task, served });
    }
}

fn since(opened: Instant) -> u64 {
    u64::try_from(opened.elapsed().as_millis()).unwrap_or(u64::MAX)
}
