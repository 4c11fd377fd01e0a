//! The health process from its fork to its end. PID 1 calls [`serve`] in the child it made and
//! leaves with its result as exit code.
//!
//! It runs in a copy of PID 1 made by fork (supervise mode) or raw clone (exec mode), never by
//! exec, with one thread. While nobody asks, it sleeps in one epoll_wait without a timeout.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::process::{Pid, getppid};
use tokio::task::JoinSet;

use super::check::{notice, notice_socket, rounds};
use super::confine::confine;
use super::crowd::{self, Door};
use super::endpoint::Listener;
use super::known::{About, Known};
use super::link;
use crate::config::CheckEntry;
use crate::init::board::Board;
use crate::init::memory::give_back;

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
    /// Where PID 1 shows what it has counted.
    pub board: Option<Board>,
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
    if let Some(board) = &plan.board {
        board.only_read();
    }
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
            board: plan.board,
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
    // What setting up took of the program; serving reads in what it needs.
    give_back();
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
        match notice_socket::receive(&socket, &mut bytes) {
            Ok(message) if message.sender.is_some() => {
                known.hear(bytes.get(..message.length).unwrap_or_default());
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => guard.clear_ready(),
            Ok(_) | Err(_) => {}
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
