//! HTTPS in checks and in the probe: with a program that is built with it, and what one without
//! it says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use harness::endpoint::{ask, free_address};
use harness::{Folder, Launch, Place};

/// A server of Python's with a certificate for localhost and 127.0.0.1, signed by an authority of
/// its own; ended with the test.
struct Server {
    process: Child,
    port: u16,
    folder: Folder,
}

const SERVER: &str = "import http.server, ssl, sys\n\
    class Handler(http.server.BaseHTTPRequestHandler):\n\
    \x20   def do_GET(self):\n\
    \x20       body = b'{\"status\": \"pass\", \"db\": 1}'\n\
    \x20       self.send_response(500 if self.path == '/bad' else 200)\n\
    \x20       self.send_header('X-Part', 'store')\n\
    \x20       self.send_header('Content-Length', str(len(body)))\n\
    \x20       self.end_headers()\n\
    \x20       self.wfile.write(body)\n\
    \x20   def log_message(self, *_): pass\n\
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)\n\
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
    context.load_cert_chain(sys.argv[1] + '/leaf.pem', sys.argv[1] + '/leaf.key')\n\
    server.socket = context.wrap_socket(server.socket, server_side=True)\n\
    print(server.server_port, flush=True)\n\
    server.serve_forever()\n";

const CERTIFICATES: &str = "set -e; cd \"$1\"; new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
    openssl req -x509 $new -keyout ca.key -out ca.pem -subj /CN=authority -days 2
    openssl req $new -keyout leaf.key -out leaf.csr -subj /CN=leaf
    echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' >extensions
    openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -days 2 -extfile extensions -out leaf.pem
    chmod 644 ca.pem leaf.pem";

impl Server {
    fn start() -> Server {
        let folder = Folder::new();
        let path = folder.path().to_str().unwrap().to_owned();
        let made = Command::new("sh").args(["-c", CERTIFICATES, "sh", &path]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut process = Command::new("python3")
            .args(["-c", SERVER, &path])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { port: line.trim().parse().expect("a port"), process, folder }
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port)
    }
}

impl Server {
    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether the program under test is built with it: the shipped one is not.
fn has_https() -> bool {
    let arguments = ["healthcheck", "--url", "https://127.0.0.1:1/"];
    let ended = Launch::beside().arguments(&arguments).start().end();
    ended.expect(1);
    !ended.stderr.contains("built without https")
}

fn config(folder: &Folder, checks: &str) -> String {
    folder.write("config.toml", 0o644, checks)
}

#[test]
fn without_it_a_check_is_a_configuration_error_and_a_probe_says_so() {
    if has_https() {
        return;
    }
    let folder = Folder::new();
    let url = "https://127.0.0.1:1/";
    let check = format!("[[check]]\nname = \"x\"\nkind = \"http\"\nurl = \"{url}\"\n");
    let launch = Launch::beside().arguments(&["--config", &config(&folder, &check)]);
    launch.workload(&["exit", "0"]).start().end().expect(78).one_line(&["built without https"]);
    let probe = Launch::beside().arguments(&["healthcheck", "--url", url]).start().end();
    probe.expect(1).one_line(&["built without https"]);
}

#[test]
fn the_probe_believes_the_authority_that_is_named_and_no_other() {
    if !has_https() {
        return;
    }
    let server = Server::start();
    let authority = server.folder.at("ca.pem");
    let probe = |url: &str, authority: &str| {
        let launch = Launch::beside().variable("SSL_CERT_FILE", authority);
        launch.arguments(&["healthcheck", "--url", url, "--timeout", "30s"]).start().end()
    };
    for host in ["127.0.0.1", "localhost"] {
        probe(&server.url(host, "/"), &authority).expect(0);
    }
    probe(&server.url("localhost", "/bad"), &authority).expect(1).one_line(&["status 500"]);
    // Mozilla's authorities have not signed it; an empty variable names none.
    probe(&server.url("localhost", "/"), "").expect(1).one_line(&["certificate"]);
    // The name is not one of the certificate's.
    probe(&server.url("127.0.0.2", "/"), &authority).expect(1);
    let missing = server.folder.at("none.pem");
    probe(&server.url("localhost", "/"), &missing).expect(1).one_line(&["SSL_CERT_FILE", "none"]);
    let empty = server.folder.write("empty.pem", 0o644, "nothing\n");
    probe(&server.url("localhost", "/"), &empty).expect(1).one_line(&["no certificate"]);
}

#[test]
fn checks_look_by_tls_and_show_what_was_wrong() {
    if !has_https() {
        return;
    }
    let mut server = Server::start();
    let fast = "interval = \"100ms\"\ntimeout = \"30s\"\nfailures = 1\n";
    let port = server.port;
    let check = |name: &str, kind: &str, path: &str, rest: &str| {
        let url = format!("https://localhost:{port}{path}");
        format!("[[check]]\nname = \"{name}\"\nkind = \"{kind}\"\nurl = \"{url}\"\n{fast}{rest}\n")
    };
    let checks = check("page", "http", "/", "body = \"db\"\nheader = \"X-Part: sto\"")
        + &check("other", "endpoint", "/", "")
        + &check("bad", "http", "/bad", "")
        + &check("text", "http", "/", "body = \"absent\"");
    let address = free_address(Place::Beside);
    let launch = Launch::beside()
        .variable("SSL_CERT_FILE", server.folder.at("ca.pem"))
        .arguments(&["--config", &config(&server.folder, &checks)])
        .arguments(&["--listen", &address.to_string()]);
    let mut running = launch.workload(&["ignore-term"]).start();
    running.line("ready");
    let mut says = |path: &str, text: &str| {
        running.until(&format!("{path} with {text:?}"), |running| {
            ask(running, address, path).is_ok_and(|answer| answer.body.contains(text))
        });
    };
    says("/readyz/page", "ok");
    says("/readyz/other", "ok");
    says("/readyz/bad", "failed: status 500, wanted 200-299");
    says("/readyz/text", "failed: the body does not contain");
    server.end();
    says("/readyz/page", "failed: connection refused");
    // Who asks is not told where it is.
    std::fs::remove_file(server.folder.at("ca.pem")).unwrap();
    says("/readyz/page", "failed: SSL_CERT_FILE: No such file");
}
