//! The health process: it answers, it comes back, and nothing the workload does takes it away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};

use harness::endpoint::{ask, free_address};
use harness::{Folder, Launch, Place, Running, only_on_this_machine, processes};

fn listening(place: Place, words: &[&str]) -> (Running, SocketAddr) {
    let address = free_address(place);
    let launch = Launch::at(place).arguments(&["--grace", "1h", "--listen", &address.to_string()]);
    let mut running = launch.workload(words).start();
    running.line("ready");
    until_status(&mut running, address, "/readyz", 200);
    (running, address)
}

fn until_status(running: &mut Running, address: SocketAddr, path: &str, wanted: u16) {
    running.until(&format!("{path} with {wanted}"), |running| {
        ask(running, address, path).is_ok_and(|answer| answer.status == wanted)
    });
}

fn health(running: &Running) -> i32 {
    processes::health(running.pid()).expect("a health process")
}

#[test]
fn each_path_answers_while_the_workload_runs_and_others_do_not() {
    for place in Place::BOTH {
        let (running, address) = listening(place, &["print-signals", "15"]);
        for path in ["/livez", "/readyz", "/startupz", "/health", "/api/healthchecker"] {
            assert_eq!(ask(&running, address, path).unwrap().status, 200, "{place:?} {path}");
        }
        assert_eq!(ask(&running, address, "/").unwrap().status, 404);
        for path in ["/health", "/api/healthchecker"] {
            let body = ask(&running, address, path).unwrap().body;
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["state"], "running", "{body}");
            assert_eq!(body["workload"]["running"], true, "{body}");
        }
    }
}

#[test]
fn a_stop_makes_it_not_ready_and_leaves_it_alive() {
    for place in Place::BOTH {
        let (mut running, address) = listening(place, &["ignore-term"]);
        running.signal(libc::SIGTERM);
        until_status(&mut running, address, "/readyz", 503);
        assert_eq!(ask(&running, address, "/livez").unwrap().status, 200);
        assert_eq!(ask(&running, address, "/health").unwrap().status, 503);
    }
}

#[test]
fn killed_it_comes_back_on_the_same_port_and_no_connection_is_refused() {
    for place in Place::BOTH {
        let (mut running, address) = listening(place, &["print-signals", "15"]);
        let first = health(&running);
        processes::signal(first, libc::SIGKILL);
        running.until("its end", |_| processes::state(first).is_none_or(|state| state == 'Z'));
        // Nobody accepts now; the connection waits for the next one.
        assert_eq!(ask(&running, address, "/livez").unwrap().status, 200, "{place:?}");
        assert_ne!(health(&running), first);
        let body = ask(&running, address, "/health").unwrap().body;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["health"]["restarts"], 1, "{body}");
        // The workload has noticed nothing.
        running.signal(libc::SIGUSR1);
        running.line("sig 10 ");
        running.signal(libc::SIGTERM);
        let ended = running.end();
        ended.expect(0);
        assert!(!ended.text().contains("sig 17 "), "{}", ended.text());
    }
}

#[test]
fn stopped_it_is_replaced() {
    for place in Place::BOTH {
        let (mut running, address) = listening(place, &["print-signals", "15"]);
        let first = health(&running);
        processes::signal(first, libc::SIGSTOP);
        running.until("its end", |_| processes::state(first).is_none_or(|state| state == 'Z'));
        assert_eq!(ask(&running, address, "/livez").unwrap().status, 200, "{place:?}");
    }
}

#[test]
fn a_workload_that_sends_term_to_everyone_does_not_take_it_away() {
    let (mut running, address) = listening(Place::First, &["term-everyone"]);
    let before = health(&running);
    running.signal(libc::SIGUSR1);
    running.line("sent");
    assert_eq!(ask(&running, address, "/livez").unwrap().status, 200);
    assert_eq!(health(&running), before);
    running.signal(libc::SIGTERM);
    running.end().expect(0);
}

#[test]
fn it_ends_with_mak_init() {
    for place in Place::BOTH {
        let (running, _) = listening(place, &["print-signals", "15"]);
        let health = health(&running);
        running.signal(libc::SIGTERM);
        let ended = running.end();
        ended.expect(0);
        assert_eq!(processes::state(health), None, "{place:?}");
    }
}

#[test]
fn it_shows_nothing_of_the_environment_or_the_arguments() {
    if !only_on_this_machine("/proc shows the emulator's own arguments") {
        return;
    }
    for mode in ["supervise", "exec"] {
        for place in Place::BOTH {
            let address = free_address(place);
            let launch = Launch::at(place).variable("TOKEN", "very-secret").arguments(&[
                "--mode",
                mode,
                "--listen",
                &address.to_string(),
            ]);
            let mut running = launch.workload(&["ignore-term", "also-secret"]).start();
            running.line("ready");
            until_status(&mut running, address, "/readyz", 200);
            let health = health(&running);
            for file in ["environ", "cmdline"] {
                let shown = match std::fs::read(format!("/proc/{health}/{file}")) {
                    Ok(shown) => shown,
                    // Not even its own user may look.
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => continue,
                    Err(error) => panic!("/proc/{health}/{file}: {error}"),
                };
                let shown = String::from_utf8_lossy(&shown);
                assert!(!shown.contains("secret"), "{mode} {place:?} {file}: {shown}");
            }
        }
    }
}

#[test]
fn a15_the_probe_finds_the_endpoint_by_every_way() {
    for place in Place::BOTH {
        let (running, address) = listening(place, &["print-signals", "15"]);
        let address = address.to_string();
        let url = format!("http://{address}/health");
        let probe = |launch: Launch| {
            let ended = launch.start().end();
            assert_eq!(ended.text(), "", "a probe prints nothing");
            ended
        };
        let inside = || Launch::inside(&running);
        probe(inside().arguments(&["healthcheck", "--url", &url])).expect(0);
        probe(inside().arguments(&["--listen", &address, "healthcheck"])).expect(0);
        probe(inside().variable("MAK_INIT_LISTEN", &address).arguments(&["healthcheck"])).expect(0);
        if place == Place::First && only_on_this_machine("/proc/1/cmdline is the emulator's") {
            probe(inside().arguments(&["healthcheck"])).expect(0);
        }
    }
    // What answers, and is not well, is no success either.
    let (mut running, address) = listening(Place::Beside, &["ignore-term"]);
    running.signal(libc::SIGTERM);
    until_status(&mut running, address, "/health", 503);
    let url = format!("http://{address}/health");
    let ended = Launch::beside().arguments(&["healthcheck", "--url", &url]).start().end();
    ended.expect(1).says(&["503"]);
}

#[test]
fn the_probe_says_in_one_line_why_not() {
    let nobody = free_address(Place::Beside);
    let url = format!("http://{nobody}/health");
    let ended = Launch::beside().arguments(&["healthcheck", "--url", &url]).start().end();
    ended.expect(1).one_line(&["refused"]);

    let mut running = Launch::first().workload(&["print-signals", "15"]).start();
    running.line("ready");
    let ended = Launch::inside(&running).arguments(&["healthcheck"]).start().end();
    ended.expect(1).one_line(&["no health endpoint", "--listen"]);

    // It accepts and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/health", silent.local_addr().unwrap());
    let arguments = ["healthcheck", "--url", &url, "--timeout", "100ms"];
    Launch::beside().arguments(&arguments).start().end().expect(1).one_line(&["0.1 s"]);

    let (mut running, address) = listening(Place::Beside, &["ignore-term"]);
    running.signal(libc::SIGTERM);
    until_status(&mut running, address, "/health", 503);
    let url = format!("http://{address}/health");
    let ended = Launch::beside().arguments(&["healthcheck", "--url", &url]).start().end();
    ended.expect(1).one_line(&["503", "stopping"]);
}

#[test]
fn the_probe_knows_ipv6_and_neither_proxies_nor_redirects() {
    let Ok(six) = TcpListener::bind("[::1]:0") else { return };
    let address = six.local_addr().unwrap();
    drop(six);
    let launch = Launch::beside().arguments(&["--listen", &address.to_string()]);
    let mut running = launch.workload(&["print-signals", "15"]).start();
    running.line("ready");
    until_status(&mut running, address, "/readyz", 200);
    let probe = |words: &[&str]| {
        // Nobody listens at port 1: whoever goes by the proxy finds nothing.
        let mut launch = Launch::beside().arguments(&["healthcheck"]).arguments(words);
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            launch = launch.variable(name, "http://127.0.0.1:1");
        }
        launch.start().end()
    };
    probe(&["--listen", &address.to_string()]).expect(0);
    probe(&["--listen", &format!("[::]:{}", address.port())]).expect(0);
    probe(&["--url", &format!("http://{address}/livez")]).expect(0);
    probe(&["--tcp", &address.to_string()]).expect(0);

    let redirect = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", redirect.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{address}/livez\r\nContent-Length: 0\r\n\r\n"
    );
    let server = std::thread::spawn(move || {
        let (mut stream, _) = redirect.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(answer.as_bytes()).unwrap();
    });
    probe(&["--url", &url]).expect(1).one_line(&["status 302", "redirect"]);
    server.join().unwrap();
}

#[test]
fn a_port_in_use_is_one_warning_and_the_workload_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for place in [Place::FirstOnOurNetwork, Place::Beside] {
        for mode in ["supervise", "exec"] {
            let launch = Launch::at(place).arguments(&["--mode", mode, "--listen", &address]);
            let ended = launch.workload(&["exit", "0"]).start().end();
            ended.expect(0).one_line(&["WARN", &address]);
        }
    }
}

#[test]
fn a_port_in_use_stops_the_start_where_health_is_required() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for place in [Place::FirstOnOurNetwork, Place::Beside] {
        let folder = Folder::new();
        let launch = Launch::at(place).arguments(&["--health-required", "--listen", &address]);
        let ended = launch.workload(&["marker", &folder.at("marker")]).start().end();
        ended.expect(125).one_line(&["ERROR", &address]);
        assert!(!folder.path().join("marker").exists(), "the workload was not started");
    }
}
