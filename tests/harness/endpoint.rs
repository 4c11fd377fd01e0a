//! Talks to the health endpoint of a running mak-init, also in a network of its own.

#![allow(unsafe_code, reason = "setns, for which no crate here has a name")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Instant;

use super::launch::{Launch, Place};
use super::running::Running;
use super::{child, patience};

/// An address for the endpoint that nobody else uses: in a network of its own any will do.
pub fn free_address(place: Place) -> SocketAddr {
    let port = match place {
        Place::First if child::is_root() => 9808,
        _ => {
            let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            probe.local_addr().unwrap().port()
        }
    };
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// Starts mak-init with an endpoint at an address of its own, beside the tests; it is ready.
pub fn served(launch: Launch) -> (Running, SocketAddr) {
    let address = free_address(Place::Beside);
    let launch = launch.arguments(&["--listen", &address.to_string()]);
    let mut running = launch.workload(&["ignore-term"]).start();
    running.line("ready");
    running.until("ready", |running| {
        ask(running, address, "/readyz").is_ok_and(|answer| answer.status == 200)
    });
    (running, address)
}

/// Waits until nobody has this address any more: a process that was killed keeps its sockets
/// until it has ended.
pub fn until_nobody_listens(address: SocketAddr) {
    let deadline = Instant::now() + patience();
    while let Err(error) = TcpListener::bind(address) {
        assert!(Instant::now() < deadline, "somebody still has {address}: {error}");
        thread::yield_now();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks for a path, from within the network of the program.
pub fn ask(running: &Running, address: SocketAddr, path: &str) -> io::Result<Answer> {
    let network = running
        .has_own_network()
        .then(|| File::open(format!("/proc/{}/ns/net", running.pid())))
        .transpose()?;
    let path = path.to_owned();
    // A network namespace belongs to a thread, so that one thread can visit another's.
    thread::spawn(move || {
        if let Some(network) = network {
            // SAFETY: an open descriptor of a network namespace.
            let entered = unsafe { libc::setns(network.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "setns: {}", io::Error::last_os_error());
        }
        exchange(address, &path)
    })
    .join()
    .expect("the visiting thread ends well")
}

fn exchange(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, patience())?;
    stream.set_read_timeout(Some(patience()))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("not an answer: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(bad)?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(bad)?;
    Ok(Answer { status, body: body.to_owned() })
}
