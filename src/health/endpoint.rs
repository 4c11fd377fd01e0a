//! The listening socket. PID 1 makes it once, while it has the rights, and keeps it, so that a
//! health process that is started again refuses no connection.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::config::setting::Listen;

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    /// On a port.
    Tcp(TcpListener),
    /// In the file system.
    Unix(UnixListener),
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Listener {
    /// A second descriptor of the same socket.
    pub fn try_clone(&self) -> io::Result<Listener> {
        Ok(match self {
            Listener::Tcp(listener) => Listener::Tcp(listener.try_clone()?),
            Listener::Unix(listener) => Listener::Unix(listener.try_clone()?),
        })
    }
}

/// Why there is no endpoint.
#[derive(Debug)]
pub struct HealthError {
    /// Where it should have listened.
    pub address: Listen,
    /// What the kernel said.
    pub source: io::Error,
}

impl HealthError {
    fn remedy(&self) -> &'static str {
        if matches!(self.address, Listen::Unix(_)) {
            return "name a path in a folder where mak-init may make a socket";
        }
        match self.source.raw_os_error() {
            Some(libc::EADDRINUSE) => "choose another port with --listen, or stop what holds it",
            Some(libc::EACCES) => "choose a port from 1024 up with --listen",
            Some(libc::EADDRNOTAVAIL) => {
                "no interface here has this address; 127.0.0.1 always works, 0.0.0.0 is all of them"
            }
            Some(libc::EAFNOSUPPORT) => "this kernel has no IPv6; use an IPv4 address",
            Some(libc::EMFILE | libc::ENFILE) => "raise the limit of open files",
            _ => "choose another address with --listen",
        }
    }
}

impl fmt::Display for HealthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = self.remedy();
        write!(f, "cannot listen on {} for health: {}; {remedy}", self.address, self.source)
    }
}

impl std::error::Error for HealthError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A socket that listens there: non-blocking and closed on exec.
pub fn bind(address: &Listen) -> Result<Listener, HealthError> {
    let result = match address {
        Listen::Tcp(address) => port(*address),
        Listen::Unix(path) => file(path),
    };
    result.map_err(|source| HealthError { address: address.clone(), source })
}

/// With `SO_REUSEADDR` (std sets it), so that a restarted container is not kept out by old
/// connections.
fn port(address: SocketAddr) -> io::Result<Listener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Tcp(listener))
}

/// Open to every user, as a port is: the folder says who gets there. What an earlier run has left
/// is replaced, but only a socket at which nobody listens.
fn file(path: &Path) -> io::Result<Listener> {
    let abandoned = std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    if abandoned {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(listener))
}

/// The socket on which the workload may say how it is, and its name for `NOTIFY_SOCKET`. The
/// kernel chooses the name, in the abstract namespace: no folder has to be writable for it
/// (`man 7 unix`, autobind). An abstract socket is open to the whole network namespace, which on a
/// host network is the machine: the kernel adds to each message who sent it (SO_PASSCRED), and
/// `check::notice_socket` looks.
pub fn bind_notice() -> io::Result<(OwnedFd, String)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    // Before the name: a message sent without the sender's number has none to be believed by.
    rustix::net::sockopt::set_socket_passcred(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new_unnamed())?;
    let bound = SocketAddrUnix::try_from(rustix::net::getsockname(&socket)?)?;
    let name = bound.abstract_name().map(|name| String::from_utf8_lossy(name).into_owned());
    let name = name.ok_or_else(|| io::Error::other("the kernel gave the socket no name"))?;
    Ok((socket, format!("@{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::{FdFlags, fcntl_getfd};
    use rustix::net::sockopt::socket_reuseaddr;

    fn tcp(address: &str) -> Listen {
        Listen::Tcp(address.parse().unwrap())
    }

    #[test]
    fn a_socket_file_is_replaced_only_when_nobody_listens_there() {
        let path = std::env::temp_dir().join(format!("mak-endpoint-{}", std::process::id()));
        let first = bind(&Listen::Unix(path.clone())).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        let text = bind(&Listen::Unix(path.clone())).unwrap_err().to_string();
        assert!(text.contains("mak-endpoint"), "{text}");
        drop(first);
        drop(bind(&Listen::Unix(path.clone())).unwrap());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(bind(&Listen::Unix(path.clone())).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_socket_neither_blocks_nor_reaches_the_workload() {
        let listener = bind(&tcp("127.0.0.1:0")).unwrap();
        assert!(fcntl_getfl(&listener).unwrap().contains(OFlags::NONBLOCK));
        assert!(fcntl_getfd(&listener).unwrap().contains(FdFlags::CLOEXEC));
        assert!(socket_reuseaddr(&listener).unwrap());
    }

    #[test]
    fn a_port_in_use_is_told_with_the_address_and_a_way_out() {
        let first = bind(&tcp("127.0.0.1:0")).unwrap();
        let Listener::Tcp(port) = &first else { panic!() };
        let address = port.local_addr().unwrap();
        let text = bind(&Listen::Tcp(address)).unwrap_err().to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(text.contains("--listen"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn an_address_of_nobody_here_says_which_would_work() {
        let text = bind(&tcp("192.0.2.1:0")).unwrap_err().to_string();
        assert!(text.contains("0.0.0.0"), "{text}");
    }
}
