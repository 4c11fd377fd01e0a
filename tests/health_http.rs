//! The endpoint on the wire: requests in every form, good and bad, many and slow, as a real client
//! sends them to a real process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use harness::endpoint::{ask, served};
use harness::{Launch, Running, only_on_this_machine, patience, processes};

/// A running mak-init whose workload is ready.
struct Endpoint {
    running: Running,
    address: SocketAddr,
}

impl Endpoint {
    fn start() -> Endpoint {
        Endpoint::of(Launch::beside())
    }

    /// Under limits of its own, in the words of prlimit(1).
    fn limited(limit: &str) -> Endpoint {
        let launch = Launch::beside().program("/usr/bin/prlimit").arguments(&[limit]);
        Endpoint::of(launch.argument(harness::program()))
    }

    fn of(launch: Launch) -> Endpoint {
        let (running, address) = served(launch);
        Endpoint { running, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        stream
    }

    /// All that comes back for `request` until the connection is closed.
    fn say(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        rest(&mut stream)
    }

    fn status(&self, path: &str) -> u16 {
        ask(&self.running, self.address, path).unwrap().status
    }

    fn health(&self) -> i32 {
        processes::health(self.running.pid()).expect("a health process")
    }

    fn is_probed_well(&self) {
        let url = format!("http://{}/health", self.address);
        Launch::beside().arguments(&["healthcheck", "--url", &url]).start().end().expect(0);
    }
}

fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn requests_in_a_row_and_in_one_packet_are_answered_in_order() {
    let endpoint = Endpoint::start();
    let text = endpoint.say(
        "GET /livez HTTP/1.1\r\n\r\nHEAD /health HTTP/1.1\r\n\r\nGET /nowhere HTTP/1.1\r\n\r\n\
         GET /readyz?verbose HTTP/1.1\r\nConnection: close\r\n\r\nGET /livez HTTP/1.1\r\n\r\n",
    );
    let statuses: Vec<u16> = text.split("HTTP/1.1").skip(1).map(status).collect();
    assert_eq!(statuses, [200, 200, 404, 200], "{text}");
    assert_eq!(text.matches("Connection: close").count(), 1);
    assert!(text.ends_with("[+]workload ok\nreadyz check passed\n"), "{text}");
}

#[test]
fn one_connection_serves_many_requests() {
    let endpoint = Endpoint::start();
    let mut stream = endpoint.connect();
    for _ in 0..3 {
        stream.write_all(b"GET /livez HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        while !text.ends_with("ok\n") {
            let mut bytes = [0; 512];
            let read = stream.read(&mut bytes).unwrap();
            assert!(read > 0, "closed after {text:?}");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        assert_eq!(status(&text), 200);
    }
}

#[test]
fn more_pipelined_requests_than_fit_the_buffers_are_all_answered() {
    let endpoint = Endpoint::start();
    let mut stream = endpoint.connect();
    let mut reader = stream.try_clone().unwrap();
    let answers = std::thread::spawn(move || rest(&mut reader).matches("HTTP/1.1 200").count());
    stream.write_all("GET /health HTTP/1.1\r\n\r\n".repeat(2000).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answers.join().unwrap(), 2000);
}

#[test]
fn refusals_reach_a_client_that_is_still_sending() {
    let endpoint = Endpoint::start();
    let long = "a".repeat(20_000);
    let many = "A: b\r\n".repeat(65);
    let cases = [
        ("POST /livez HTTP/1.1\r\nContent-Length: 20000\r\n\r\n".to_owned() + &long, 405),
        ("GET /livez HTTP/1.1\r\nContent-Length: 20000\r\n\r\n".to_owned() + &long, 413),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
        ("\x16\x03\x01\n".to_owned(), 400),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), 505),
    ];
    for (request, expected) in cases {
        let text = endpoint.say(&request);
        assert_eq!(status(&text), expected, "{text}");
        assert!(text.contains("Connection: close"), "{text}");
    }
    assert_eq!(endpoint.status("/livez"), 200);
}

#[test]
fn a_client_that_never_ends_its_request_is_told_and_dropped() {
    let endpoint = Endpoint::start();
    let mut silent = endpoint.connect();
    let mut slow = endpoint.connect();
    slow.write_all(b"GET /livez HTTP/1.1\r\nA: b").unwrap();
    let text = rest(&mut slow);
    assert_eq!(status(&text), 408, "{text}");
    // One that says nothing at all is owed no answer.
    assert_eq!(rest(&mut silent), "");
}

#[test]
fn one_byte_at_a_time_does_not_lengthen_a_requests_time() {
    let endpoint = Endpoint::start();
    let mut stream = endpoint.connect();
    stream.write_all(b"GET /livez HTTP/1.1\r\nA: ").unwrap();
    let mut reader = stream.try_clone().unwrap();
    let told = std::thread::spawn(move || rest(&mut reader));
    // As fast as it is taken, up to far more than a head may have; the connection ends before.
    let dripping = std::thread::spawn(move || {
        let (_never, wait) = std::sync::mpsc::channel::<()>();
        while stream.write_all(b"b").is_ok() {
            let _ = wait.recv_timeout(Duration::from_millis(50));
        }
    });
    assert_eq!(status(&told.join().unwrap()), 408);
    dripping.join().unwrap();
}

#[test]
fn slow_clients_on_all_places_do_not_keep_a_probe_out() {
    let endpoint = Endpoint::start();
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = endpoint.connect();
            stream.write_all(b"GET /livez HT").unwrap();
            stream
        })
        .collect();
    endpoint.is_probed_well();
    drop(slow);
    assert_eq!(endpoint.status("/livez"), 200);
}

#[test]
fn out_of_descriptors_it_lets_slow_clients_go_and_answers_on() {
    if !only_on_this_machine("an emulator has descriptors of its own") {
        return;
    }
    let endpoint = Endpoint::limited("--nofile=16");
    let health = endpoint.health();
    let slow: Vec<TcpStream> = (0..60).map(|_| endpoint.connect()).collect();
    endpoint.is_probed_well();
    drop(slow);
    assert_eq!(endpoint.status("/livez"), 200);
    assert_eq!(endpoint.health(), health, "the same process");
}

#[test]
fn out_of_memory_it_is_replaced_and_the_workload_lives_on() {
    if !only_on_this_machine("an emulator needs memory of its own") {
        return;
    }
    // What it takes at rest, and not enough for the buffers of 64 clients.
    let at_rest = Endpoint::start();
    let size = processes::status(at_rest.health(), "VmData").unwrap();
    let size: u64 = size.strip_suffix(" kB").unwrap().parse().unwrap();
    drop(at_rest);
    let mut endpoint = Endpoint::limited(&format!("--data={}", (size + 512) * 1024));
    let (first, address) = (endpoint.health(), endpoint.address);
    let mut clients = Vec::new();
    endpoint.running.until("its end", |_| {
        if let Ok(mut stream) = TcpStream::connect(address) {
            let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
            let _ = stream.write_all("GET /health HTTP/1.1\r\n\r\n".repeat(64).as_bytes());
            clients.push(stream);
        }
        processes::state(first).is_none_or(|state| state == 'Z')
    });
    drop(clients);
    assert_eq!(endpoint.status("/livez"), 200);
    assert_ne!(endpoint.health(), first);
    endpoint.is_probed_well();
}

#[test]
fn two_hundred_clients_at_once_are_all_answered() {
    let endpoint = Endpoint::start();
    let mut clients: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = endpoint.connect();
            stream.write_all(b"GET /livez HTTP/1.1\r\n\r\n").unwrap();
            stream
        })
        .collect();
    for client in &mut clients {
        let mut start = [0; 12];
        client.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
    }
}

#[test]
fn clients_that_vanish_in_the_middle_do_not_end_it() {
    let endpoint = Endpoint::start();
    let health = endpoint.health();
    for _ in 0..50 {
        let mut stream = endpoint.connect();
        stream.write_all("GET /health HTTP/1.1\r\n\r\n".repeat(100).as_bytes()).unwrap();
        drop(stream);
    }
    assert_eq!(endpoint.status("/livez"), 200);
    assert_eq!(endpoint.health(), health);
}

#[test]
fn no_signal_of_an_equal_takes_it_away() {
    if !only_on_this_machine("an emulator stops by TSTP whatever the program has blocked") {
        return;
    }
    let endpoint = Endpoint::start();
    let health = endpoint.health();
    for signal in [
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGQUIT,
        libc::SIGPIPE,
        libc::SIGTSTP,
    ] {
        processes::signal(health, signal);
    }
    assert_eq!(endpoint.status("/readyz"), 200);
    assert_eq!(endpoint.health(), health);
}
