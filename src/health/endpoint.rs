//! The listening socket. PID 1 makes it once, while it has the rights, and keeps it, so that a
//! health process that is started again refuses no connection.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Why there is no endpoint.
#[derive(Debug)]
pub struct HealthError {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// What the kernel said.
    pub source: io::Error,
}

impl HealthError {
    fn remedy(&self) -> &'static str {
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

/// A socket that listens on `address`: non-blocking, closed on exec, with `SO_REUSEADDR` (std sets
/// the last two on Linux), so that a restarted container is not kept out by old connections.
pub fn bind(address: SocketAddr) -> Result<TcpListener, HealthError> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|source| HealthError { address, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::{FdFlags, fcntl_getfd};
    use rustix::net::sockopt::socket_reuseaddr;

    #[test]
    fn the_socket_neither_blocks_nor_reaches_the_workload() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(fcntl_getfl(&listener).unwrap().contains(OFlags::NONBLOCK));
        assert!(fcntl_getfd(&listener).unwrap().contains(FdFlags::CLOEXEC));
        assert!(socket_reuseaddr(&listener).unwrap());
    }

    #[test]
    fn a_port_in_use_is_told_with_the_address_and_a_way_out() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let text = bind(address).unwrap_err().to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(text.contains("--listen"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn an_address_of_nobody_here_says_which_would_work() {
        let text = bind("192.0.2.1:0".parse().unwrap()).unwrap_err().to_string();
        assert!(text.contains("0.0.0.0"), "{text}");
    }
}
