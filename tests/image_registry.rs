//! `mak image verify registry:…` against registries that ask who is there: a name and a password,
//! a token for them, a token for an identity, and a store of blobs that must not hear of any of
//! them. The registry is a server of this file, spoken to over TCP as any other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use harness::Folder;
use mak_init::image::digest::Digest;
use serde_json::{Value, json};

/// `anna:secret`.
const BASIC: &str = "Basic YW5uYTpzZWNyZXQ=";

/// How a registry finds out who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    Basic,
    Token,
    /// As Token, and its blobs are elsewhere.
    Elsewhere,
}

/// Each request as its first line and what was shown with it.
type Heard = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A registry with one image, `app:1`, until the test ends.
struct Registry {
    host: String,
    heard: Heard,
}

struct Served {
    asks: Asks,
    host: String,
    elsewhere: Option<String>,
    documents: BTreeMap<String, Vec<u8>>,
    heard: Heard,
}

impl Registry {
    fn start(
        asks: Asks,
        documents: &BTreeMap<String, Vec<u8>>,
        elsewhere: Option<&str>,
    ) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let heard = Heard::default();
        let served = Arc::new(Served {
            asks,
            host: host.clone(),
            elsewhere: elsewhere.map(str::to_owned),
            documents: documents.clone(),
            heard: Arc::clone(&heard),
        });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                thread::spawn(move || served.answer(stream));
            }
        });
        Registry { host, heard }
    }

    /// Requests whose first line has `text` in it, by what was shown with them.
    fn shown(&self, text: &str) -> Vec<Option<String>> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .filter(|(line, _)| line.contains(text))
            .map(|(_, shown)| shown.clone())
            .collect()
    }
}

impl Served {
    fn answer(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let (mut shown, mut length) = (None, 0);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => shown = Some(value.to_owned()),
                "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
        let mut form = vec![0; length];
        reader.read_exact(&mut form).unwrap();
        self.heard.lock().unwrap().push((line.trim_end().to_owned(), shown.clone()));
        let path = line.split(' ').nth(1).unwrap();
        let form = String::from_utf8(form).unwrap();
        let (head, body) = self.response(path, shown.as_deref(), &form);
        let length = body.len();
        let head =
            format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let stream = reader.get_mut();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
    }

    /// Status line with headers, and the body.
    fn response(&self, path: &str, shown: Option<&str>, form: &str) -> (String, Vec<u8>) {
        if path.starts_with("/token?") || path == "/token" {
            let by_name = shown == Some(BASIC)
                && path.contains("service=here")
                && path.contains("scope=repository%3Aapp%3Apull");
            let by_identity =
                form.contains("grant_type=refresh_token") && form.contains("refresh_token=refresh");
            return match (by_name, by_identity) {
                (true, _) => ("200 OK".to_owned(), br#"{"token": "t0ken"}"#.to_vec()),
                (_, true) => ("200 OK".to_owned(), br#"{"access_token": "t0ken"}"#.to_vec()),
                _ => ("401 Unauthorized".to_owned(), Vec::new()),
            };
        }
        let (wanted, challenge) = match self.asks {
            Asks::Nothing => (None, String::new()),
            Asks::Basic => (Some(BASIC), "Basic realm=\"here\"".to_owned()),
            Asks::Token | Asks::Elsewhere => {
                let realm = format!("realm=\"http://{}/token\"", self.host);
                let more = "service=\"here\",scope=\"repository:app:pull\"";
                (Some("Bearer t0ken"), format!("Bearer {realm},{more}"))
            }
        };
        if wanted.is_some() && shown != wanted {
            return (format!("401 Unauthorized\r\nWWW-Authenticate: {challenge}"), Vec::new());
        }
        let name = path.rsplit('/').next().unwrap();
        if let Some(elsewhere) = self.elsewhere.as_ref().filter(|_| path.contains("/blobs/")) {
            let location = format!("http://{elsewhere}/v2/app/blobs/{name}");
            return (format!("307 Temporary Redirect\r\nLocation: {location}"), Vec::new());
        }
        match self.documents.get(name) {
            Some(bytes) => {
                let kind = if path.contains("/manifests/") {
                    "application/vnd.oci.image.manifest.v1+json"
                } else {
                    "application/octet-stream"
                };
                (format!("200 OK\r\nContent-Type: {kind}"), bytes.clone())
            }
            None => ("404 Not Found".to_owned(), Vec::new()),
        }
    }
}

/// An image of one static program by the names a registry gives out.
fn image(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    let source = folder.write("main.c", 0o644, "int main(void){return 0;}");
    folder.make("root", 0o755);
    let done = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
    };
    done("gcc", &["-static", "-o", &folder.at("root/app"), &source]);
    done(
        "tar",
        &["-czf", &folder.at("layer"), "--owner=0", "--group=0", "-C", &folder.at("root"), "."],
    );
    done("sh", &["-c", &format!("gzip -dc <{0} >{0}.tar", folder.at("layer"))]);
    let layer = fs::read(folder.at("layer")).unwrap();
    let diff_id = Digest::of(&fs::read(folder.at("layer.tar")).unwrap()).to_string();
    let config = json!({"os": "linux", "architecture": "amd64", "config": {"Entrypoint": ["/app"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]}})
    .to_string();
    let described = |bytes: &[u8], kind: &str| {
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": Digest::of(bytes).to_string(), "size": bytes.len()})
    };
    let manifest = json!({"schemaVersion": 2,
        "config": described(config.as_bytes(), "config.v1+json"),
        "layers": [described(&layer, "layer.v1.tar+gzip")]})
    .to_string();
    let blobs = [config.into_bytes(), layer, manifest.clone().into_bytes()];
    let mut served: BTreeMap<_, _> =
        blobs.into_iter().map(|bytes| (Digest::of(&bytes).to_string(), bytes)).collect();
    served.insert("1".to_owned(), manifest.into_bytes());
    served
}

/// Verifies `app:1` with this configuration of Docker's; helpers are looked for in the folder.
fn verify(folder: &Folder, registry: &Registry, config: Value) -> Output {
    fs::write(folder.at("config.json"), config.to_string()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_mak"))
        .args(["image", "verify", &format!("registry:{}/app:1", registry.host)])
        .env_clear()
        .env("DOCKER_CONFIG", folder.path())
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .output()
        .unwrap()
}

#[track_caller]
fn passes(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[track_caller]
fn refused(output: &Output, text: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(output.stdout.is_empty() && said.contains(text), "{output:?}");
}

#[test]
fn a_name_and_a_password_are_shown_only_where_they_are_asked_for() {
    let folder = Folder::new();
    let documents = image(&folder);
    let registry = Registry::start(Asks::Basic, &documents, None);
    let login = json!({"auths": {&registry.host: {"auth": "YW5uYTpzZWNyZXQ="}}});
    passes(&verify(&folder, &registry, login.clone()));
    // Asked once; from then on they come along.
    let shown = registry.shown("GET");
    assert_eq!(shown.iter().filter(|shown| shown.is_none()).count(), 1, "{shown:?}");
    refused(&verify(&folder, &registry, json!({})), "docker login");
    let wrong = json!({"auths": {&registry.host: {"auth": "YW5uYTp3cm9uZw=="}}});
    refused(&verify(&folder, &registry, wrong), "docker login");

    let open = Registry::start(Asks::Nothing, &documents, None);
    let login = json!({"auths": {&open.host: {"auth": "YW5uYTpzZWNyZXQ="}}});
    passes(&verify(&folder, &open, login));
    assert!(open.shown("GET").iter().all(Option::is_none));
}

#[test]
fn a_token_is_fetched_for_a_name_for_an_identity_and_for_what_a_helper_says() {
    let folder = Folder::new();
    let documents = image(&folder);
    let registry = Registry::start(Asks::Token, &documents, None);
    let login = json!({"auths": {&registry.host: {"auth": "YW5uYTpzZWNyZXQ="}}});
    passes(&verify(&folder, &registry, login));
    assert_eq!(registry.shown("/token"), [Some(BASIC.to_owned())]);
    let identity = json!({"auths": {&registry.host: {"identitytoken": "refresh"}}});
    passes(&verify(&folder, &registry, identity));
    assert_eq!(registry.shown("POST /token"), [None]);
    let helper =
        "#!/bin/sh\nread -r server\necho '{\"Username\": \"anna\", \"Secret\": \"secret\"}'\n";
    folder.write("docker-credential-made", 0o755, helper);
    passes(&verify(&folder, &registry, json!({"credsStore": "made"})));
    refused(&verify(&folder, &registry, json!({})), "gives no token");
}

#[test]
fn a_store_of_blobs_elsewhere_does_not_hear_of_the_token() {
    let folder = Folder::new();
    let documents = image(&folder);
    let store = Registry::start(Asks::Nothing, &documents, None);
    // Another name of this machine: another host.
    let port = store.host.rsplit(':').next().unwrap();
    let registry = Registry::start(Asks::Elsewhere, &documents, Some(&format!("localhost:{port}")));
    let login = json!({"auths": {&registry.host: {"auth": "YW5uYTpzZWNyZXQ="}}});
    passes(&verify(&folder, &registry, login));
    let shown = store.shown("/blobs/");
    assert!(shown.len() > 1 && shown.iter().all(Option::is_none), "{shown:?}");
}
