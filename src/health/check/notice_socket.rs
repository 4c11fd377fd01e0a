//! The receiving end of `NOTIFY_SOCKET`: a message, and whether a process of ours sent it. `serve`
//! reads it, `notice` understands it.

#![allow(unsafe_code, reason = "recvmsg: rustix has no sender whose number is 0")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A message that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its bytes at the front of the buffer.
    pub length: usize,
    /// The sender, as this PID namespace numbers it; `None` where it does not: a process of another
    /// container, or of the machine below, on the same network.
    pub sender: Option<u32>,
}

/// Room for one SCM_CREDENTIALS (`man 7 unix`) and nothing else, so that descriptors a sender adds
/// never become ours: the kernel closes what does not fit.
#[repr(C)]
struct Control {
    head: libc::cmsghdr,
    from: libc::ucred,
}

/// Takes the next message without waiting; `WouldBlock` where there is none.
pub fn receive(socket: &OwnedFd, bytes: &mut [u8]) -> io::Result<Message> {
    // SAFETY: both are plain numbers and pointers, for which zero is a value.
    let (mut control, mut message): (Control, libc::msghdr) = unsafe { std::mem::zeroed() };
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the message names two buffers with their lengths, both alive.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let signed = message.msg_controllen >= size_of::<Control>() as _
        && control.head.cmsg_level == libc::SOL_SOCKET
        && control.head.cmsg_type == libc::SCM_CREDENTIALS;
    let sender = u32::try_from(control.from.pid).ok().filter(|pid| signed && *pid != 0);
    Ok(Message { length, sender })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::bind_notice;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix};
    use std::io::IoSlice;
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_message_comes_with_its_sender_and_without_its_descriptors() {
        let (socket, name) = bind_notice().unwrap();
        let to = SocketAddrUnix::new_abstract_name(name.strip_prefix('@').unwrap().as_bytes());
        let sender = UnixDatagram::unbound().unwrap();
        rustix::net::connect(&sender, &to.unwrap()).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut extra = SendAncillaryBuffer::new(&mut space);
        let descriptors = [sender.as_fd()];
        assert!(extra.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let part = [IoSlice::new(b"READY=1")];
        rustix::net::sendmsg(&sender, &part, &mut extra, SendFlags::empty()).unwrap();
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        let mut bytes = [0; 16];
        let message = receive(&socket, &mut bytes).unwrap();
        assert_eq!(message, Message { length: 7, sender: Some(std::process::id()) });
        assert_eq!(&bytes[..7], b"READY=1");
        // Other tests open and close at the same time; a descriptor a message would not be noise.
        for _ in 0..200 {
            let mut extra = SendAncillaryBuffer::new(&mut space);
            assert!(extra.push(SendAncillaryMessage::ScmRights(&descriptors)));
            rustix::net::sendmsg(&sender, &part, &mut extra, SendFlags::empty()).unwrap();
            receive(&socket, &mut bytes).unwrap();
        }
        assert!(open() < before + 100);
        let error = receive(&socket, &mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
