//! What the health process may do: nothing but its work, whoever it was started as.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::net::{SocketAddr, TcpListener};

use harness::endpoint::{ask, free_address, served};
use harness::{Folder, Launch, Place, Running, only_as_root, only_on_this_machine, processes};

/// Its own words about itself and the kernel's have to be the same.
fn is_fenced_in(running: &Running, address: SocketAddr, uid: u32) {
    let health = processes::health(running.pid()).expect("a health process");
    let status = |key| processes::status(health, key).unwrap();
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status(set), "0000000000000000", "{set}");
    }
    assert_eq!([status("NoNewPrivs"), status("Seccomp")], ["1", "2"]);
    assert!(status("Uid").split_whitespace().all(|field| field == uid.to_string()));
    let body = ask(running, address, "/health").unwrap().body;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let told = &body["health"];
    assert_eq!(told["uid"], uid, "{body}");
    for what in ["no_new_privs", "capabilities_dropped", "seccomp"] {
        assert_eq!(told[what], true, "{what}: {body}");
    }
}

#[test]
fn as_root_it_becomes_nobody_and_keeps_nothing() {
    if !only_on_this_machine("an emulator has neither fence") || !only_as_root("becoming nobody") {
        return;
    }
    let (running, address) = served(Launch::beside().open(9));
    is_fenced_in(&running, address, 65534);
    let health = processes::health(running.pid()).unwrap();
    assert_eq!(processes::status(health, "CapBnd").unwrap(), "0000000000000000");
    assert_eq!(processes::status(health, "Groups").unwrap(), "");
    assert_eq!(processes::name(health), "mak-init:health");
    // Besides sockets and epoll: 0 and 1, which can do nothing, and stderr for its warnings.
    let folder = std::fs::read_dir(format!("/proc/{health}/fd")).unwrap();
    let names = folder.filter_map(|entry| {
        let entry = entry.unwrap();
        let target = std::fs::read_link(entry.path()).unwrap().into_os_string();
        let (number, target) = (entry.file_name(), target.into_string().unwrap());
        let own = target.starts_with("socket:") || target.starts_with("anon_inode:");
        (number != "2" && !own).then_some(target)
    });
    assert_eq!(names.collect::<Vec<_>>(), ["/", "/"]);
}

#[test]
fn as_another_user_it_stays_that_user() {
    if !only_on_this_machine("an emulator has neither fence") || !only_as_root("becoming a user") {
        return;
    }
    let folder = Folder::new();
    let (running, address) = served(Launch::beside().program(&folder.program()).user(1000));
    is_fenced_in(&running, address, 1000);
}

#[test]
fn as_root_without_any_capability_it_stays_root_and_has_none() {
    if !only_on_this_machine("an emulator has neither fence") || !only_as_root("dropping them") {
        return;
    }
    let none = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"];
    let launch = Launch::beside().program("/usr/bin/setpriv").arguments(&none);
    let (running, address) = served(launch.argument(harness::program()));
    is_fenced_in(&running, address, 0);
}

/// The filter of system calls is a list of what is allowed: this says that nothing is missing.
#[test]
fn no_system_call_is_refused_to_it_whatever_it_is_asked() {
    if !only_on_this_machine("strace follows no emulated program") {
        return;
    }
    let folder = Folder::new();
    let (trace, beat) = (folder.at("trace"), folder.write("beat", 0o644, ""));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap();
    let check = |name: &str, rest: &str| {
        format!("[[check]]\nname = \"{name}\"\ninterval = \"100ms\"\ntimeout = \"200ms\"\n{rest}\n")
    };
    let checks = check("tcp", &format!("kind = \"tcp\"\naddress = \"{port}\""))
        + &check("page", &format!("kind = \"http\"\nurl = \"http://{port}/\""))
        + &check("six", "kind = \"tcp\"\naddress = \"[::1]:1\"")
        + &check("file", &format!("kind = \"file\"\npath = {beat:?}"))
        + &check("memory", "kind = \"memory\"\nbelow = 100")
        + &check("own", "kind = \"process\"")
        + &check("other", "kind = \"process\"\nprocess = \"nobody-has-this\"")
        + &check("said", "kind = \"notify\"\nwatchdog = \"1h\"");
    let config = folder.write("config.toml", 0o644, checks);
    let address = free_address(Place::Beside);
    let launch = Launch::beside()
        .program("/usr/bin/strace")
        .arguments(&["-f", "-o", &trace])
        .argument(harness::program())
        .arguments(&["--config", &config, "--listen", &address.to_string()]);
    let mut running = launch.workload(&["ignore-term"]).start();
    running.line("ready");
    for path in ["/livez", "/readyz?verbose", "/startupz", "/health", "/metrics", "/report", "/x"] {
        running.until(path, |running| ask(running, address, path).is_ok());
    }
    for text in ["[+]tcp ok", "[-]page failed", "[-]six failed", "[+]file ok", "[-]other failed"] {
        running.until(text, |running| {
            ask(running, address, "/readyz?verbose").is_ok_and(|answer| answer.body.contains(text))
        });
    }
    let text = std::fs::read_to_string(&trace).unwrap();
    let (before, after) = text.split_once("seccomp(SECCOMP_SET_MODE_FILTER").expect("a filter");
    let health = before.rsplit('\n').next().unwrap().split(' ').next().unwrap();
    let own = after.lines().filter(|line| line.split(' ').next() == Some(health));
    let refused: Vec<&str> =
        own.clone().filter(|line| line.contains("ENOSYS") || line.contains("EPERM")).collect();
    assert!(own.count() > 100, "{health}: {text}");
    assert!(refused.is_empty(), "{refused:#?}");
}
