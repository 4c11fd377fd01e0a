//! A service on port 8000. TERM ends it: as a child of mak-init it is no PID 1, so the signal's default action holds.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> std::io::Result<()> {
    for stream in TcpListener::bind("0.0.0.0:8000")?.incoming().flatten() {
        thread::spawn(move || answer(stream));
    }
    Ok(())
}

fn answer(mut stream: TcpStream) {
    let mut request = [0; 4096];
    let Ok(read) = stream.read(&mut request) else { return };
    let known = request[..read].starts_with(b"GET /health ");
    let (status, body) = if known { ("200 OK", "{\"status\":\"healthy\"}\n") } else { ("404 Not Found", "") };
    let length = body.len();
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
}
