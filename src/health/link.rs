//! Frames from PID 1: the reading end of the `SOCK_SEQPACKET` socketpair. `serve` follows it for
//! as long as the other end is open.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::unix::AsyncFd;

use crate::init::frame::Frame;
use crate::init::inquiry::Reply;

/// What a look at the link found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The newest frame; it replaces all earlier ones.
    pub frame: Option<Frame>,
    /// What looks of PID 1's have found, in their order.
    pub replies: Vec<Reply>,
    /// Nobody can send any more.
    pub closed: bool,
}

/// Reads all that has arrived, without waiting. Bytes that are no frame are passed over.
pub fn look(link: impl AsFd) -> News {
    let mut news = News::default();
    // One byte more than a reply, which is longer than a frame, so that what is longer than
    // either is seen to be none.
    let mut bytes = [0_u8; Reply::SIZE + 1];
    loop {
        match recv(&link, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => break news.closed = true,
            Ok((_, length)) => {
                let message = bytes.get(..length).unwrap_or_default();
                match Reply::decode(message) {
                    Some(reply) => news.replies.push(reply),
                    None => news.frame = Frame::decode(message).or(news.frame),
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            // ECONNRESET: the other end closed and left bytes of ours unread.
            Err(_) => break news.closed = true,
        }
    }
    news
}

pub use registration::watch;

mod registration {
    #![allow(unsafe_code, reason = "tokio leaves it to its caller that a descriptor stays open")]

    use std::io;
    use std::os::fd::BorrowedFd;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// The link as tokio waits for it; inside a runtime only.
    pub fn watch(link: BorrowedFd<'_>) -> io::Result<AsyncFd<BorrowedFd<'_>>> {
        // SAFETY: a BorrowedFd is open, and stays the same, for as long as it can be held.
        Ok(unsafe { AsyncFd::register_with_interest(link, Interest::READABLE) }?)
    }
}

/// Waits until something has arrived or the other end is closed.
pub async fn news(link: &AsyncFd<BorrowedFd<'_>>) -> News {
    loop {
        let Ok(mut ready) = link.readable().await else {
            return News { closed: true, ..News::default() };
        };
        let news = look(link.get_ref());
        if !news.closed {
            ready.clear_ready();
        }
        if news != News::default() {
            return news;
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

    /// Both ends: PID 1's and the health process's.
    pub fn pair() -> (OwnedFd, OwnedFd) {
        let kind = SocketType::SEQPACKET;
        socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn the_newest_frame_wins_and_foreign_bytes_are_passed_over() {
        let (ours, link) = pair();
        assert_eq!(look(&link), News::default());
        let newest = Frame { workload: 9, ..Frame::starting(2) };
        for message in [&Frame::starting(1).encode()[..], &newest.encode(), b"noise", &[0; 29]] {
            send(&ours, message, SendFlags::empty()).unwrap();
        }
        assert_eq!(look(&link), News { frame: Some(newest), ..News::default() });
    }

    #[test]
    fn the_last_frame_before_the_end_is_still_read() {
        let (ours, link) = pair();
        let last = Frame::starting(3);
        send(&ours, &last.encode(), SendFlags::empty()).unwrap();
        drop(ours);
        assert_eq!(look(&link), News { frame: Some(last), closed: true, ..News::default() });
    }
}
