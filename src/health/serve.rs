//! The health process from its fork to its end. PID 1 calls [`serve`] in the child it made and
//! leaves with its result as exit code.
//!
//! It runs in a copy of PID 1 made by fork (supervise mode) or raw clone (exec mode), never by
//! exec, with one thread. While nobody asks, it sleeps in one epoll_wait without a timeout.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, getppid};
use tokio::task::JoinSet;

use super::check::{notice, rounds};
use super::confine::confine;
use super::crowd::{self, Door};
use super::endpoint::Listener;
use super::known::{About, Known};
use super::link;
use crate::config::CheckEntry;

/// All that a health process is made from. PID 1 keeps it and starts each one from the same.
pub struct Plan {
    /// From [`super::bind`].
    pub listener: Listener,
    /// The health process's end of the `SOCK_SEQPACKET` socketpair. PID 1 sends the current frame
    /// after each start.
    pub link: OwnedFd,
    /// What `/health` shows as `platform`: names and values.
    pub platform: Vec<(&'static str, String)>,
    /// mak-init's version.
    pub version: &'static str,
    /// What is looked at.
    pub checks: Vec<CheckEntry>,
    /// Where the verification report is written, as JSON.
    pub report: Option<OwnedFd>,
    /// The socket of `NOTIFY_SOCKET`, from [`super::bind_notice`].
    pub notice: Option<OwnedFd>,
    /// What opens more than the three z-paths.
    pub token: Option<Vec<u8>>,
    /// What ends it.
    pub lifetime: Lifetime,
    /// Whether it may hold the container's stderr open, for its warnings.
    pub keep_stderr: bool,
}

/// What ends the health process, besides the end of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Supervise mode: the other end of the link is closed.
    UntilLinkCloses,
    /// Exec mode: nothing else. The link closes when PID 1 becomes the workload, since its end is
    /// closed on exec; from then on the phase is running.
    WithParent,
}

/// It ended as it should.
const ENDED: i32 = 0;
/// It could not be set up.
const NOT_SET_UP: i32 = 1;
/// A bug.
const PANICKED: i32 = 101;

/// Serves until its lifetime is over; the result is the process's exit code. Only for a process of
/// its own: it gives up rights and closes descriptors for good.
pub fn serve(plan: &Plan) -> i32 {
    let parent = getppid();
    install_panic_hook();
    let mut kept = vec![plan.listener.as_fd(), plan.link.as_fd()];
    kept.extend(plan.report.as_ref().map(AsFd::as_fd));
    kept.extend(plan.notice.as_ref().map(AsFd::as_fd));
    let confinement = confine(&kept, plan.keep_stderr);
    // The parent may have died before its death could be signalled to us.
    if getppid() != parent {
        return ENDED;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let result = runtime.and_then(|runtime| {
        let about = About {
            version: plan.version,
            platform: plan.platform.clone(),
            confinement,
            checks: plan.checks.clone(),
            report: plan.report.as_ref().map(OwnedFd::try_clone).transpose()?,
            token: plan.token.clone(),
        };
        let known = Arc::new(Known::new(about, plan.link.try_clone()?));
        runtime.block_on(run(plan, known, parent))
    });
    match result {
        Ok(()) => ENDED,
        Err(error) => {
            tracing::error!("health: cannot serve: {error}");
            NOT_SET_UP
        }
    }
}

async fn run(plan: &Plan, known: Arc<Known>, parent: Option<Pid>) -> std::io::Result<()> {
    let link = link::watch(plan.link.as_fd())?;
    // What PID 1 has sent already counts before the first request.
    let mut news = link::look(&plan.link);
    tokio::spawn(crowd::receive(door(&plan.listener)?, known.clone()));
    // The plan outlives the runtime, but a task cannot know that: it gets a copy.
    if let Some(notice) = &plan.notice {
        tokio::spawn(listen(notice.try_clone()?, known.clone()));
    }
    let mut rounds = JoinSet::new();
    loop {
        news.replies.drain(..).for_each(|reply| known.take(reply));
        if let Some(frame) = news.frame {
            if known.learn(frame) {
                begin(&mut rounds, &known);
            } else if frame.phase != crate::init::frame::Phase::Running {
                rounds.abort_all();
            }
        }
        if news.closed {
            break;
        }
        news = link::news(&link).await;
    }
    if plan.lifetime == Lifetime::UntilLinkCloses || getppid() != parent {
        return Ok(());
    }
    if known.became_workload(parent.map_or(0, |parent| parent.as_raw_pid().unsigned_abs())) {
        begin(&mut rounds, &known);
    }
    drop(link);
    // The kernel ends us with the parent (PR_SET_PDEATHSIG).
    std::future::pending().await
}

/// Looks at every check anew, for the workload that has just been started.
fn begin(rounds: &mut JoinSet<()>, known: &Arc<Known>) {
    rounds.abort_all();
    for index in 0..known.checks().len() {
        rounds.spawn(rounds::watch(known.clone(), index));
    }
}

/// The listening socket as tokio waits for it.
fn door(listener: &Listener) -> std::io::Result<Door> {
    Ok(match listener {
        Listener::Tcp(listener) => {
            Door::Tcp(tokio::net::TcpListener::from_std(listener.try_clone()?)?)
        }
        Listener::Unix(listener) => {
            Door::Unix(tokio::net::UnixListener::from_std(listener.try_clone()?)?)
        }
    })
}

/// Hears what the workload says on its socket.
async fn listen(socket: OwnedFd, known: Arc<Known>) {
    // Borrowed from a descriptor that this task owns and keeps to its end.
    let borrowed: BorrowedFd = socket.as_fd();
    let Ok(ready) = link::watch(borrowed) else { return };
    let mut bytes = [0_u8; notice::LONGEST_MESSAGE];
    loop {
        let Ok(mut guard) = ready.readable().await else { return };
        match recv(&socket, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((_, count)) => known.hear(bytes.get(..count).unwrap_or_default()),
            Err(rustix::io::Errno::AGAIN) => guard.clear_ready(),
            Err(_) => {}
        }
    }
}

/// A panic is one line and the end of this process alone. The default would go through abort(),
/// and musl's signals the thread it remembers, which after a raw clone is the parent's: the
/// workload.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let line = format!("mak-init: health: {panic}").replace('\n', " ") + "\n";
        let _ = std::io::stderr().write_all(line.as_bytes());
        leave::at_once(PANICKED);
    }));
}

mod leave {
    #![allow(unsafe_code, reason = "ending the process without what libc does before")]

    /// exit_group: no handlers, no destructors, no signal.
    pub fn at_once(code: i32) -> ! {
        // SAFETY: _exit takes a number and does not return (`man 2 _exit`).
        unsafe { libc::_exit(code) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(unsafe_code, reason = "a health process is made by fork")]

    use super::*;
    use crate::config::setting::Listen;
    use crate::health::bind;
    use crate::health::link::tests::pair;
    use crate::health::probe::{Question, Target, probe, target_from_listen};
    use crate::init::frame::{Frame, Outcome, Phase};
    use rustix::net::{SendFlags, send};
    use std::io::Read;
    use std::net::{Shutdown, SocketAddr, TcpStream};
    use std::time::Duration;

    /// Longer than anything here takes; a test that would hang fails instead.
    const ENOUGH: Duration = Duration::from_secs(20);

    /// A health process as PID 1 has it; killed and reaped at the end of its test.
    struct Health {
        /// None once it is reaped: the number may then be another's.
        pid: Option<i32>,
        address: SocketAddr,
        /// PID 1's end.
        link: Option<OwnedFd>,
        plan: Plan,
    }

    impl Drop for Health {
        fn drop(&mut self) {
            if self.pid.is_some() {
                self.signal(libc::SIGKILL);
                self.reap();
            }
        }
    }

    /// `prepare` runs in the child first.
    fn fork_and_serve(plan: &Plan, prepare: fn()) -> i32 {
        // SAFETY: the child calls nothing but serve and _exit; glibc's fork leaves malloc usable.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            prepare();
            leave::at_once(serve(plan));
        }
        assert!(pid > 0);
        pid
    }

    impl Health {
        fn start(lifetime: Lifetime) -> Health {
            Health::prepared(lifetime, || {})
        }

        fn prepared(lifetime: Lifetime, prepare: fn()) -> Health {
            let listener = bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
            let Listener::Tcp(port) = &listener else { panic!() };
            let address = port.local_addr().unwrap();
            let (ours, link) = pair();
            let platform = vec![("architecture", "amd64".to_owned())];
            let version = "0.1.0-test";
            let plan = Plan {
                listener,
                link,
                platform,
                version,
                checks: Vec::new(),
                report: None,
                notice: None,
                token: None,
                lifetime,
                keep_stderr: true,
            };
            let pid = Some(fork_and_serve(&plan, prepare));
            Health { pid, address, link: Some(ours), plan }
        }

        fn running() -> Health {
            let health = Health::start(Lifetime::UntilLinkCloses);
            health.tell(Phase::Running, Outcome::Pass);
            health.wait_for("/readyz", 200);
            health
        }

        fn tell(&self, phase: Phase, outcome: Outcome) {
            let workload = std::process::id();
            let frame = Frame { phase, outcome, workload, ..Frame::starting(0) };
            send(self.link.as_ref().unwrap(), &frame.encode(), SendFlags::NOSIGNAL).unwrap();
        }

        fn connect(&self) -> TcpStream {
            let stream = TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(ENOUGH)).unwrap();
            stream
        }

        /// All that the server sends in answer to `request` until it closes.
        fn say(&self, request: &str) -> String {
            let mut stream = self.connect();
            stream.write_all(request.as_bytes()).unwrap();
            rest(&mut stream)
        }

        fn status(&self, path: &str) -> u16 {
            status(&self.say(&format!("GET {path} HTTP/1.0\r\n\r\n")))
        }

        /// A frame and a request come by two sockets, so a request may overtake it.
        fn wait_for(&self, path: &str, wanted: u16) {
            let seen = (0..10_000).any(|_| self.status(path) == wanted);
            assert!(seen, "{path} never answered {wanted}");
        }

        fn health(&self) -> serde_json::Value {
            let text = self.say("GET /health HTTP/1.0\r\n\r\n");
            serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
        }

        fn signal(&self, signal: i32) {
            // SAFETY: our own child, not reaped yet.
            unsafe { libc::kill(self.pid.unwrap(), signal) };
        }

        /// Waits for its end: the exit code, or 128 + the signal.
        fn reap(&mut self) -> i32 {
            let mut word = 0;
            // SAFETY: waits for our own child; the kernel writes one word.
            unsafe { libc::waitpid(self.pid.take().unwrap(), &raw mut word, 0) };
            if libc::WIFEXITED(word) { libc::WEXITSTATUS(word) } else { 128 + libc::WTERMSIG(word) }
        }

        fn proc_status(&self, key: &str) -> String {
            let text =
                std::fs::read_to_string(format!("/proc/{}/status", self.pid.unwrap())).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim_start_matches(':').split_whitespace().collect::<Vec<_>>().join(" ")
        }
    }

    fn url(health: &Health) -> Target {
        target_from_listen(&Listen::Tcp(health.address), "/health")
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
    fn a_frame_changes_what_the_paths_answer() {
        let health = Health::start(Lifetime::UntilLinkCloses);
        assert_eq!([health.status("/livez"), health.status("/readyz")], [200, 503]);
        health.tell(Phase::Running, Outcome::Warn);
        health.wait_for("/readyz", 200);
        assert_eq!(health.health()["status"], "warn");
        health.tell(Phase::Stopping, Outcome::Warn);
        health.wait_for("/readyz", 503);
        assert_eq!([health.status("/livez"), health.status("/startupz")], [200, 200]);
        health.tell(Phase::Failed, Outcome::Fail);
        health.wait_for("/livez", 503);
    }

    #[test]
    fn it_ends_when_the_link_closes() {
        let mut health = Health::start(Lifetime::UntilLinkCloses);
        assert_eq!(health.status("/livez"), 200);
        health.link = None;
        assert_eq!(health.reap(), ENDED);
    }

    #[test]
    fn in_exec_mode_the_closed_link_means_that_the_workload_runs() {
        let mut health = Health::start(Lifetime::WithParent);
        health.tell(Phase::Verifying, Outcome::Pass);
        health.wait_for("/startupz", 503);
        health.link = None;
        health.wait_for("/readyz", 200);
        assert_eq!(health.health()["workload"]["pid"], std::process::id());
    }

    #[test]
    fn a_killed_one_is_replaced_on_the_same_socket_without_a_refusal() {
        let mut health = Health::running();
        health.signal(libc::SIGKILL);
        assert_eq!(health.reap(), 128 + libc::SIGKILL);
        let mut waiting = health.connect();
        waiting.write_all(b"GET /livez HTTP/1.0\r\n\r\n").unwrap();
        health.pid = Some(fork_and_serve(&health.plan, || {}));
        assert_eq!(status(&rest(&mut waiting)), 200);
        health.tell(Phase::Running, Outcome::Pass);
        health.wait_for("/readyz", 200);
    }

    #[test]
    fn it_has_no_rights_no_descriptors_and_its_own_name() {
        let (_reader, _writer) = rustix::pipe::pipe().unwrap();
        let health = Health::running();
        let report = health.health()["health"].clone();
        assert_eq!(report["no_new_privs"], true);
        assert_eq!(report["capabilities_dropped"], true);
        assert_eq!(health.proc_status("Name"), "mak-init:health");
        assert_eq!(health.proc_status("NoNewPrivs"), "1");
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            assert_eq!(health.proc_status(set), "0000000000000000", "{set}");
        }
        let uids = health.proc_status("Uid");
        let uid = report["uid"].to_string();
        assert!(uids.split(' ').all(|field| field == uid), "{uids} {uid}");
        if rustix::process::geteuid().is_root() {
            assert_eq!(uid, "65534");
            assert_eq!(health.proc_status("CapBnd"), "0000000000000000");
            assert_eq!(health.proc_status("Groups"), "");
            assert_eq!(health.open_files(), ["/", "/"]);
        }
    }

    impl Health {
        /// What its descriptors stand for, but for stderr, the listener (twice), the link, epoll,
        /// tokio's wake-up and connections.
        fn open_files(&self) -> Vec<String> {
            let folder = std::fs::read_dir(format!("/proc/{}/fd", self.pid.unwrap())).unwrap();
            folder
                .filter_map(Result::ok)
                .filter(|entry| entry.file_name() != "2")
                .filter_map(|entry| {
                    std::fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok()
                })
                .filter(|name| !name.starts_with("socket:") && !name.starts_with("anon_inode:"))
                .collect()
        }
    }

    #[test]
    fn a_workload_that_signals_everybody_does_not_take_it_away() {
        let health = Health::running();
        for signal in [
            libc::SIGTERM,
            libc::SIGINT,
            libc::SIGHUP,
            libc::SIGUSR1,
            libc::SIGQUIT,
            libc::SIGPIPE,
            libc::SIGTSTP,
        ] {
            health.signal(signal);
        }
        assert_eq!(health.status("/readyz"), 200);
    }

    #[test]
    fn requests_in_a_row_and_in_one_packet_are_answered_in_order() {
        let health = Health::running();
        let text = health.say(
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
        let health = Health::running();
        let mut stream = health.connect();
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
        let health = Health::running();
        let mut stream = health.connect();
        let mut reader = stream.try_clone().unwrap();
        let answers = std::thread::spawn(move || rest(&mut reader).matches("HTTP/1.1 200").count());
        stream.write_all("GET /health HTTP/1.1\r\n\r\n".repeat(2000).as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answers.join().unwrap(), 2000);
    }

    #[test]
    fn refusals_reach_a_client_that_is_still_sending() {
        let health = Health::running();
        let long = "a".repeat(20_000);
        let cases = [
            ("POST /livez HTTP/1.1\r\nContent-Length: 20000\r\n\r\n".to_owned() + &long, 405),
            ("GET /livez HTTP/1.1\r\nContent-Length: 20000\r\n\r\n".to_owned() + &long, 413),
            (format!("GET /{long} HTTP/1.1\r\n\r\n"), 414),
            (format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n"), 431),
            ("\x16\x03\x01\n".to_owned(), 400),
            ("GET / HTTP/3.0\r\n\r\n".to_owned(), 505),
        ];
        for (request, expected) in cases {
            let text = health.say(&request);
            assert_eq!(status(&text), expected, "{text}");
            assert!(text.contains("Connection: close"), "{text}");
        }
        assert_eq!(health.status("/livez"), 200);
    }

    #[test]
    fn a_client_that_never_ends_its_request_is_told_and_dropped() {
        let health = Health::running();
        let text = health.say("GET /livez HTTP/1.1\r\nA: b");
        assert_eq!(status(&text), 408, "{text}");
    }

    #[test]
    fn slow_clients_on_all_places_do_not_keep_a_probe_out() {
        let health = Health::running();
        let slow: Vec<TcpStream> = (0..200)
            .map(|_| {
                let mut stream = health.connect();
                stream.write_all(b"GET /livez HT").unwrap();
                stream
            })
            .collect();
        let url = url(&health);
        assert_eq!(probe(&url, &Question::simple(Duration::from_secs(4))), Ok(()));
        drop(slow);
        assert_eq!(health.status("/livez"), 200);
    }

    #[test]
    fn out_of_descriptors_it_lets_slow_clients_go_and_answers_on() {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let health = Health::prepared(Lifetime::UntilLinkCloses, || {
            let few = Rlimit { current: Some(16), maximum: Some(16) };
            let _ = setrlimit(Resource::Nofile, few);
        });
        health.tell(Phase::Running, Outcome::Pass);
        health.wait_for("/readyz", 200);
        let slow: Vec<TcpStream> = (0..60).map(|_| health.connect()).collect();
        let url = url(&health);
        assert_eq!(probe(&url, &Question::simple(ENOUGH)), Ok(()));
        drop(slow);
        assert_eq!(health.status("/livez"), 200);
    }

    #[test]
    fn two_hundred_clients_at_once_are_all_answered() {
        let health = Health::running();
        let mut clients: Vec<TcpStream> = (0..200)
            .map(|_| {
                let mut stream = health.connect();
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
        let health = Health::running();
        for _ in 0..50 {
            let mut stream = health.connect();
            stream.write_all("GET /health HTTP/1.1\r\n\r\n".repeat(100).as_bytes()).unwrap();
            drop(stream);
        }
        assert_eq!(health.status("/livez"), 200);
    }

    #[test]
    fn the_probe_tells_an_endpoint_that_is_up_from_one_that_is_not_ready() {
        let health = Health::start(Lifetime::UntilLinkCloses);
        let url = url(&health);
        let text = probe(&url, &Question::simple(ENOUGH)).unwrap_err().to_string();
        assert_eq!(text, format!("{url}: status 503: starting"));
        health.tell(Phase::Running, Outcome::Pass);
        health.wait_for("/readyz", 200);
        assert_eq!(probe(&url, &Question::simple(ENOUGH)), Ok(()));
    }

    #[test]
    fn health_shows_the_platform_the_workload_and_the_host() {
        let health = Health::running();
        let value = health.health();
        assert_eq!(value["version"], "0.1.0-test");
        assert_eq!(value["platform"]["architecture"], "amd64");
        assert_eq!(value["workload"]["pid"], std::process::id());
        assert!(value["workload"]["rss_bytes"].as_u64().unwrap() > 0);
        assert!(value["host"]["memory_bytes"].as_u64().unwrap() > 0);
    }
}
