//! Configured checks, and what operators see of them: real services that fail and recover, asked
//! with curl, Python and mak-init's own probe.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use harness::endpoint::{Answer, ask, free_address};
use harness::{Folder, Launch, Place, Running, only_as_root, processes};

/// A running mak-init with these checks.
struct Checked {
    running: Running,
    address: SocketAddr,
    folder: Folder,
}

impl Checked {
    fn start(place: Place, folder: Folder, checks: &str, arguments: &[&str]) -> Checked {
        let words = ["print-signals", "15"];
        Checked::with(place, folder, checks, arguments, |launch| launch.workload(&words))
    }

    fn with(
        place: Place,
        folder: Folder,
        checks: &str,
        arguments: &[&str],
        workload: impl Fn(Launch) -> Launch,
    ) -> Checked {
        let address = free_address(place);
        let file = folder.write("config.toml", 0o644, checks);
        let launch = Launch::at(place)
            .arguments(&["--config", &file, "--listen", &address.to_string()])
            .arguments(arguments);
        let mut running = workload(launch).start();
        running.line("ready");
        Checked { running, address, folder }
    }

    fn ask(&self, path: &str) -> Answer {
        ask(&self.running, self.address, path).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.ask("/health").body).unwrap()
    }

    fn until(&mut self, path: &str, status: u16) {
        let address = self.address;
        self.running.until(&format!("{path} with {status}"), |running| {
            ask(running, address, path).is_ok_and(|answer| answer.status == status)
        });
    }

    fn until_says(&mut self, path: &str, text: &str) {
        let address = self.address;
        self.running.until(&format!("{path} with {text:?}"), |running| {
            ask(running, address, path).is_ok_and(|answer| answer.body.contains(text))
        });
    }
}

const FAST: &str = "interval = \"100ms\"\ntimeout = \"2s\"\nfailures = 1\n";

fn check(name: &str, rest: &str) -> String {
    format!("[[check]]\nname = {name:?}\n{FAST}{rest}\n")
}

#[test]
fn files_and_programs_are_looked_at_by_pid_1_and_shown_on_every_page() {
    for place in Place::BOTH {
        let folder = Folder::new();
        let (file, flag) = (folder.at("beat"), folder.at("flag"));
        let checks = check("beat", &format!("kind = \"file\"\npath = {file:?}"))
            + &check("run", &format!("kind = \"exec\"\ncommand = [\"test\", \"-e\", {flag:?}]"))
            + &check("room", "kind = \"disk\"\npath = \"/\"\nfree = \"1K\"");
        let mut checked = Checked::start(place, folder, &checks, &[]);
        checked.until_says("/readyz?verbose", "[-]beat failed: not there");
        checked.until_says("/readyz?verbose", "[-]run failed: exit code 1");
        checked.until("/readyz/room", 200);
        let list = checked.ask("/readyz?verbose");
        assert!(list.body.ends_with("readyz check failed\n"), "{}", list.body);
        assert_eq!(list.status, 503);
        assert_eq!(checked.ask("/livez").status, 200, "a ready check is not about life");
        assert_eq!(checked.ask("/readyz?exclude=beat&exclude=run").status, 200);
        assert_eq!(checked.ask("/readyz/nowhere").status, 404);
        checked.folder.write("beat", 0o644, "");
        checked.folder.write("flag", 0o644, "");
        checked.until("/readyz", 200);
        assert_eq!(checked.ask("/health").status, 200);
        let beat = &checked.json()["checks"]["beat"][0];
        assert_eq!(beat["status"], "pass", "{beat}");
        assert_eq!(beat["lastFailure"]["output"], "not there", "{beat}");
        std::fs::remove_file(&file).unwrap();
        checked.until("/health", 503);
        checked.running.signal(libc::SIGTERM);
        checked.running.end().expect(0);
    }
}

#[test]
fn a_program_that_hangs_hurts_only_its_own_check_and_not_the_stop() {
    let checks = "[[check]]\nname = \"hang\"\nkind = \"exec\"\ncommand = [\"sleep\", \"1000\"]\n\
         interval = \"100ms\"\ntimeout = \"200ms\"\nfailures = 1\n"
        .to_owned()
        + &check("room", "kind = \"disk\"\npath = \"/\"\nfree = \"1K\"");
    for place in Place::BOTH {
        let mut checked = Checked::start(place, Folder::new(), &checks, &["--drain", "1h"]);
        checked.until_says("/readyz?verbose", "[-]hang failed: it did not end within 0.2 s");
        checked.until("/readyz/room", 200);
        // With a drain of an hour, only a check that heeds the TERM lets mak-init end.
        checked.running.signal(libc::SIGTERM);
        checked.running.end().expect(0);
    }
}

#[test]
fn looks_are_made_as_the_workloads_user() {
    if !only_as_root("running the workload as another user") {
        return;
    }
    let folder = Folder::new();
    let secret = folder.make("secret", 0o700) + "/x";
    std::fs::write(&secret, "").unwrap();
    let who = "command = [\"sh\", \"-c\", \"test $(id -u) = 1000\"]";
    let checks = check("file", &format!("kind = \"file\"\npath = {secret:?}"))
        + &check("who", &format!("kind = \"exec\"\n{who}"));
    let mut checked = Checked::start(Place::First, folder, &checks, &["--user", "1000"]);
    checked.until("/readyz/who", 200);
    checked.until_says("/readyz/file", "failed: permission denied");
}

/// A server that answers with the status that stands in the number; 0 closes without an answer.
fn server(status: Arc<AtomicU16>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let status = status.load(Ordering::Relaxed);
            if status != 0 {
                let body = "{\"status\":\"pass\",\"db\":1}";
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nX-Part: store\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
        }
    });
    address
}

#[test]
fn services_on_the_network_fail_and_recover() {
    let status = Arc::new(AtomicU16::new(200));
    let http = server(status.clone());
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap();
    let folder = Folder::new();
    let socket = folder.at("socket");
    let unix = UnixListener::bind(&socket).unwrap();
    let url = format!("url = \"http://{http}/x\"\n");
    let checks =
        check("page", &format!("kind = \"http\"\n{url}body = \"db\"\nheader = \"X-Part: sto\""))
            + &check("other", &format!("kind = \"endpoint\"\n{url}"))
            + &check("wrong", &format!("kind = \"http\"\n{url}status = 204\nlevel = \"alive\""))
            + &check("port", &format!("kind = \"tcp\"\naddress = \"{port}\""))
            + &check("file", &format!("kind = \"unix\"\npath = {socket:?}"))
            + &check("self", "kind = \"process\"")
            + &check("memory", "kind = \"memory\"\nbelow = 100");
    let mut checked = Checked::start(Place::Beside, folder, &checks, &[]);
    for name in ["page", "other", "port", "file", "self", "memory"] {
        checked.until(&format!("/readyz/{name}"), 200);
    }
    checked.until_says("/livez?verbose", "[-]wrong failed: status 200, wanted 204");
    status.store(500, Ordering::Relaxed);
    checked.until_says("/readyz/page", "failed: status 500, wanted 200-299");
    checked.until("/readyz/other", 503);
    status.store(0, Ordering::Relaxed);
    checked.until_says("/readyz/page", "not HTTP");
    status.store(204, Ordering::Relaxed);
    checked.until("/livez", 200);
    drop((tcp, unix));
    checked.until_says("/readyz/port", "connection refused");
    checked.until_says("/readyz/file", "connection refused");
    checked.until("/readyz/page", 200);
}

#[test]
fn an_alive_check_that_fails_restarts_the_workload_as_the_policy_says() {
    for place in Place::BOTH {
        let folder = Folder::new();
        let file = folder.write("beat", 0o644, "");
        let checks = check(
            "beat",
            &format!(
                "kind = \"file\"\npath = {file:?}\nlevel = \"alive\"\non_failure = \"restart\""
            ),
        );
        let arguments = ["--restart", "on-failure", "--restart-delay", "10ms"];
        let mut checked = Checked::start(place, folder, &checks, &arguments);
        checked.until("/livez/beat", 200);
        std::fs::remove_file(&file).unwrap();
        // It is told to end, ends with 0, and is started again all the same.
        checked.running.line("sig 15 ");
        checked.running.line("ready");
        checked.folder.write("beat", 0o644, "");
        checked.until("/readyz", 200);
        assert!(checked.json()["workload"]["restarts"].as_u64().unwrap() >= 1);
        checked.running.signal(libc::SIGTERM);
        checked.running.end();
    }
}

#[test]
fn a_workload_that_is_unfit_and_ignores_the_term_is_killed() {
    let folder = Folder::new();
    let file = folder.write("beat", 0o644, "");
    let checks = check(
        "beat",
        &format!("kind = \"file\"\npath = {file:?}\nlevel = \"alive\"\non_failure = \"restart\""),
    );
    let mut checked =
        Checked::with(Place::Beside, folder, &checks, &["--grace", "100ms"], |launch| {
            launch.workload(&["ignore-term"])
        });
    checked.until("/readyz", 200);
    std::fs::remove_file(&file).unwrap();
    // Without a policy of restarts its end is mak-init's.
    checked.running.end().expect(137);
}

#[test]
fn an_alive_check_that_fails_can_stop_everything() {
    let folder = Folder::new();
    let file = folder.write("beat", 0o644, "");
    let checks = check(
        "beat",
        &format!("kind = \"file\"\npath = {file:?}\nlevel = \"alive\"\non_failure = \"stop\""),
    );
    let mut checked = Checked::start(Place::First, folder, &checks, &["--restart", "always"]);
    checked.until("/readyz", 200);
    std::fs::remove_file(&file).unwrap();
    checked.running.end().expect(0).says(&["a check has failed"]);
}

/// Everybody on the network can send to the socket, and only the container's own are believed.
#[test]
fn another_containers_word_does_not_count_and_a_watchdog_must_be_fed() {
    let checks = check("itself", "kind = \"notify\"\nwatchdog = \"1s\"");
    let place = Place::FirstOnOurNetwork;
    let mut checked = Checked::with(place, Folder::new(), &checks, &[], |launch| {
        launch.arguments(&["--", "python3", "-c", NOTIFIER])
    });
    let line = checked.running.line("@");
    let name = line.split('@').nth(1).unwrap();
    checked.until_says("/readyz/itself", "it has not said READY=1");
    let stranger = UnixDatagram::unbound().unwrap();
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    stranger.send_to_addr(b"READY=1\nSTATUS=stranger", &address).unwrap();
    checked.running.type_in(b"STATUS=own\n");
    // The page shows the words, in the order in which they came.
    let page = |checked: &Checked| {
        let url = format!("http://{}/", checked.address);
        curl(&["-H", "Accept: text/html", &url]).1
    };
    let address = checked.address;
    checked.running.until("its own words", |_| {
        curl(&["-H", "Accept: text/html", &format!("http://{address}/")]).1.contains(">own<")
    });
    assert!(!page(&checked).contains("stranger"));
    assert_eq!(checked.ask("/readyz/itself").status, 503);
    checked.running.type_in(b"READY=1\n");
    checked.until("/readyz", 200);
    checked.until_says("/readyz/itself", "no WATCHDOG=1 for 1 s");
    checked.running.type_in(b"WATCHDOG=1\n");
    checked.until("/readyz", 200);
}

const NOTIFIER: &str = "import os, socket, sys\n\
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
    s.connect('\\0' + os.environ['NOTIFY_SOCKET'][1:])\n\
    print('ready', os.environ['WATCHDOG_USEC'], flush=True)\n\
    print(os.environ['NOTIFY_SOCKET'], flush=True)\n\
    for line in sys.stdin:\n    s.send(line.strip().replace('|', '\\n').encode())\n";

#[test]
fn a_workload_can_say_itself_how_it_is() {
    let checks = check("itself", "kind = \"notify\"\nwatchdog = \"1h\"");
    let mut checked = Checked::with(Place::Beside, Folder::new(), &checks, &[], |launch| {
        launch.arguments(&["--", "python3", "-c", NOTIFIER])
    });
    checked.until_says("/readyz/itself", "it has not said READY=1");
    checked.running.type_in(b"STATUS=serving|READY=1\n");
    checked.until("/readyz", 200);
    checked.running.type_in(b"STOPPING=1\n");
    checked.until_says("/readyz/itself", "it said STOPPING=1");
}

#[test]
fn killed_or_stopped_health_looks_again_and_the_workload_notices_nothing() {
    let checks = check("room", "kind = \"disk\"\npath = \"/\"\nfree = \"1K\"");
    for place in Place::BOTH {
        let mut checked = Checked::start(place, Folder::new(), &checks, &[]);
        for signal in [libc::SIGKILL, libc::SIGSTOP] {
            checked.until("/readyz", 200);
            let health = processes::health(checked.running.pid()).unwrap();
            processes::signal(health, signal);
            checked
                .running
                .until("its end", |_| processes::state(health).is_none_or(|state| state == 'Z'));
        }
        checked.until("/readyz", 200);
        assert_eq!(checked.json()["health"]["restarts"], 2);
        checked.running.signal(libc::SIGTERM);
        let ended = checked.running.end();
        ended.expect(0);
        assert!(!ended.text().contains("sig 17 "), "{}", ended.text());
    }
}

#[test]
fn in_exec_mode_what_health_reaches_is_looked_at_and_the_rest_is_refused() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap();
    let checks = check("port", &format!("kind = \"tcp\"\naddress = \"{port}\""));
    let mut checked = Checked::start(Place::Beside, Folder::new(), &checks, &["--exec"]);
    checked.until("/readyz", 200);
    drop(tcp);
    checked.until_says("/readyz?verbose", "[-]port failed: connection refused");

    let folder = Folder::new();
    let file = folder.write("c.toml", 0o644, check("x", "kind = \"file\"\npath = \"/x\""));
    let launch = Launch::beside().arguments(&["--config", &file, "--exec"]);
    let address = free_address(Place::Beside).to_string();
    let ended = launch.arguments(&["--listen", &address]).workload(&["exit", "0"]).start().end();
    ended.expect(78).one_line(&["exec mode", "file"]);
}

fn curl(arguments: &[&str]) -> (String, String) {
    let output = Command::new("curl")
        .args(["-s", "-w", "\n%{http_code} %{content_type}", "--max-time", "20"])
        .args(arguments)
        .output()
        .expect("curl");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn a_browser_gets_a_page_and_prometheus_gets_metrics() {
    let checks = check("room", "kind = \"disk\"\npath = \"/\"\nfree = \"1K\"");
    let mut checked = Checked::start(Place::Beside, Folder::new(), &checks, &[]);
    checked.until("/readyz", 200);
    let root = format!("http://{}/", checked.address);
    let (status, page) = curl(&["-H", "Accept: text/html,*/*;q=0.8", &root]);
    assert_eq!(status, "200 text/html; charset=utf-8");
    assert!(page.contains("room") && page.contains("viewport") && !page.contains("<script"));
    let metrics = format!("{root}metrics");
    let (status, text) = curl(&[&metrics]);
    assert_eq!(status, "200 text/plain; version=0.0.4; charset=utf-8");
    let (open_status, open) =
        curl(&["-H", "Accept: application/openmetrics-text;version=1.0.0,text/plain", &metrics]);
    assert!(open_status.starts_with("200 application/openmetrics-text; version=1.0.0"));
    assert!(open.ends_with("# EOF\n") && !text.contains("# EOF"), "{open}");
    for line in [
        "process_cpu_seconds_total{process=\"mak-init\"} ",
        "process_resident_memory_bytes{process=\"workload\"} ",
        "mak_init_check_up{check=\"room\",kind=\"disk\",level=\"ready\"} 1\n",
        "mak_init_check_looks_total{check=\"room\",result=\"failure\"} 0\n",
        "mak_init_check_duration_seconds{check=\"room\"} ",
        "mak_init_workload_restarts_total 0\n",
        "mak_init_zombies ",
        "mak_init_state{state=\"running\"} 1\n",
    ] {
        assert!(text.contains(line) && open.contains(line), "{line}: {text}");
    }
    let script = format!(
        "import urllib.request as u; print(u.urlopen(u.Request('{root}livez', method='HEAD')).status)"
    );
    let output = Command::new("python3").args(["-c", &script]).output().expect("python3");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200\n");
}

#[test]
fn the_verification_report_can_be_asked_for() {
    for place in Place::BOTH {
        let address = free_address(place);
        let folder = Folder::new();
        let profile =
            "prefix = \"T_\"\n[[library]]\nsoname = \"libno.so.9\"\nquick = \"optional\"\n";
        let profile = folder.write("t.toml", 0o644, profile);
        let launch = Launch::at(place).arguments(&["--profile", &profile]);
        let launch = launch.arguments(&["--listen", &address.to_string()]);
        let mut running = launch.workload(&["print-signals", "15"]).start();
        running.line("ready");
        running.until("the report", |running| {
            ask(running, address, "/report").is_ok_and(|answer| answer.status == 200)
        });
        let body = ask(&running, address, "/report").unwrap().body;
        let report: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(report["verdict"], "warn", "{report}");
        let checks = report["checks"].as_array().unwrap();
        assert!(checks.iter().any(|check| check["subject"] == "libno.so.9"), "{report}");
        // It outlives the health process.
        processes::signal(processes::health(running.pid()).unwrap(), libc::SIGKILL);
        assert_eq!(ask(&running, address, "/livez").unwrap().status, 200);
        running.until("the report again", |running| {
            ask(running, address, "/report").is_ok_and(|answer| answer.body == body)
        });
    }
}

#[test]
fn a_socket_in_the_file_system_serves_curl_and_the_probe() {
    let folder = Folder::new();
    let socket = folder.at("health.sock");
    let listen = format!("unix:{socket}");
    let launch = Launch::beside().arguments(&["--listen", &listen]);
    let mut running = launch.workload(&["print-signals", "15"]).start();
    running.line("ready");
    running.until("ready", |_| {
        curl(&["--unix-socket", &socket, "http://localhost/readyz"]).0.starts_with("200")
    });
    let probe = |words: &[&str]| Launch::beside().arguments(words).start().end();
    probe(&["healthcheck", "--listen", &listen]).expect(0);
    probe(&["healthcheck", "--unix", &socket]).expect(0);
    probe(&["healthcheck", "--unix", &socket, "--url", "/readyz", "--expect", "pass"]).expect(0);
    let ended = probe(&["healthcheck", "--unix", &socket, "--url", "/none"]);
    ended.expect(1).one_line(&["status 404"]);
    let ended = probe(&["healthcheck", "--unix", &folder.at("other")]);
    ended.expect(1).one_line(&["no such socket"]);
    let status = probe(&["status", "--listen", &listen]);
    status.expect(0);
    for wanted in ["pass (running)", "workload      pid ", "uptime "] {
        assert!(status.text().contains(wanted), "{}", status.text());
    }
}

#[test]
fn a_token_opens_what_the_z_paths_do_not_show() {
    let folder = Folder::new();
    let token = folder.write("token", 0o600, "s3cret\n");
    let address = free_address(Place::Beside).to_string();
    let arguments = ["--listen", &address, "--token-file", &token];
    let mut running =
        Launch::beside().arguments(&arguments).workload(&["print-signals", "15"]).start();
    running.line("ready");
    let url = |path: &str| format!("http://{address}{path}");
    running.until("ready", |_| curl(&[&url("/readyz")]).0.starts_with("200"));
    for path in ["/health", "/metrics", "/readyz?verbose", "/readyz/workload", "/"] {
        let (status, body) = curl(&["-H", "Accept: text/html", &url(path)]);
        assert!(status.starts_with("401") && !body.contains("workload"), "{path} {status} {body}");
        let header = "Authorization: Bearer s3cret";
        let (status, _) = curl(&["-H", "Accept: text/html", "-H", header, &url(path)]);
        assert!(status.starts_with("200"), "{path} {status}");
    }
    let probe = |words: &[&str]| Launch::beside().arguments(words).start().end();
    let named = ["healthcheck", "--listen", &address, "--token-file", &token];
    probe(&named).expect(0);
    let unreadable = ["healthcheck", "--listen", &address, "--token-file", "/no/such"];
    probe(&unreadable).expect(0);
    let ended = Launch::beside()
        .arguments(&["--listen", &address, "--token-file", "/no/such"])
        .workload(&["exit", "0"])
        .start()
        .end();
    ended.expect(125).one_line(&["/no/such"]);
}

#[test]
fn the_probe_asks_ports_retries_and_expects() {
    let status = Arc::new(AtomicU16::new(500));
    let http = server(status.clone());
    let probe = |words: &[&str]| Launch::beside().arguments(words).start().end();
    let (port, url) = (http.to_string(), format!("http://{http}/"));
    probe(&["healthcheck", "--tcp", &port]).expect(0);
    probe(&["healthcheck", "--url", &url]).expect(1).one_line(&["status 500"]);
    probe(&["healthcheck", "--url", &url, "--expect", "500-599"]).expect(0);
    let patient = ["healthcheck", "--url", &url, "--retries", "1000", "--timeout", "20s"];
    let running = Launch::beside().arguments(&patient).start();
    status.store(200, Ordering::Relaxed);
    running.end().expect(0);
    probe(&["healthcheck", "--url", &url, "--expect", "nothing"]).expect(1).one_line(&["text"]);
    probe(&["healthcheck", "--tcp", &port, "--url", &url]).expect(64).one_line(&["--tcp"]);
    probe(&["healthcheck", "--retries", "many"]).expect(64).one_line(&["--retries"]);
}
