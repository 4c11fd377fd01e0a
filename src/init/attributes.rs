//! What the workload is beyond its program: limits, rights, user, working directory. Plain data,
//! prepared before the fork; `spawn` applies it in the process that becomes the workload. PID 1
//! itself keeps what it was started with, so that it can signal the workload.

use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, fchown, fstat};
use rustix::io::Errno;
use rustix::process::{Uid, chdir, geteuid, setpriority_process, setrlimit, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::ancestry::die_with_parent;
use super::identity::Identity;
use crate::config::Signal;
use crate::config::workload::Limit;

/// What is applied; by default nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Nice value.
    pub nice: Option<i32>,
    /// Score adjustment for the out-of-memory killer.
    pub oom_score_adj: Option<i32>,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// Resource limits, in this order.
    pub limits: Vec<Limit>,
    /// Capabilities that are given up for good.
    pub dropped: CapabilitySet,
    /// User and groups.
    pub identity: Option<Identity>,
    /// Whether the pipes and the terminal it gets as 0, 1 and 2 become that user's.
    pub hand_over_streams: bool,
    /// Working directory.
    pub folder: Option<PathBuf>,
    /// Whether execve(2) grants no rights from here on.
    pub no_new_privs: bool,
    /// What it gets when mak-init's own parent dies, whose child it then is: in exec mode.
    pub parent_death_signal: Option<Signal>,
}

/// A step that the kernel refused. Shown, it is one line: what cannot be done, why, what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What cannot be done, as in "cannot …".
    pub step: String,
    /// Why.
    pub errno: Errno,
    /// What it takes, where the right is missing; may be empty.
    pub needs: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot {}: {}", self.step, std::io::Error::from(self.errno))?;
        match self.errno {
            Errno::PERM | Errno::ACCESS if !self.needs.is_empty() => {
                write!(out, "; {}", self.needs)
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Refused {}

impl Attributes {
    /// Nothing at all.
    pub const fn none() -> Attributes {
        Attributes {
            nice: None,
            oom_score_adj: None,
            umask: None,
            limits: Vec::new(),
            dropped: CapabilitySet::empty(),
            identity: None,
            hand_over_streams: false,
            folder: None,
            no_new_privs: false,
            parent_death_signal: None,
        }
    }

    /// Applies all of it to this process. The order is of consequence: what needs root's rights
    /// comes before they go, groups before the user who could not set them, and the working
    /// directory after it, so that it is one the workload can really use.
    pub fn apply(&self) -> Result<(), Refused> {
        if let Some(nice) = self.nice {
            set_nice(nice)?;
        }
        if let Some(score) = self.oom_score_adj {
            set_oom_score_adj(score)?;
        }
        if let Some(mask) = self.umask {
            umask(Mode::from_raw_mode(mask));
        }
        for limit in &self.limits {
            set_limit(limit)?;
        }
        if let Some(identity) = &self.identity {
            if self.hand_over_streams {
                hand_over_streams(identity.uid);
            }
            identity.take_groups()?;
        }
        drop_from_bounding_set(self.dropped)?;
        if let Some(identity) = &self.identity {
            identity.take_user()?;
        }
        drop_from_own_sets(self.dropped)?;
        if let Some(folder) = &self.folder {
            enter(folder)?;
        }
        if self.no_new_privs {
            set_no_new_privs(true).map_err(|errno| Refused {
                step: "set no_new_privs".to_owned(),
                errno,
                needs: "",
            })?;
        }
        // Last: a change of user or rights takes it back (`man 2 PR_SET_PDEATHSIG`).
        if let Some(signal) = self.parent_death_signal {
            die_with_parent(signal);
        }
        Ok(())
    }
}

fn set_nice(nice: i32) -> Result<(), Refused> {
    setpriority_process(None, nice).map_err(|errno| Refused {
        step: format!("set the nice value to {nice}"),
        errno,
        needs: "a lower one than before needs CAP_SYS_NICE",
    })
}

/// `man 5 proc_pid_oom_score_adj`.
fn set_oom_score_adj(score: i32) -> Result<(), Refused> {
    std::fs::write("/proc/self/oom_score_adj", score.to_string()).map_err(|error| Refused {
        step: format!("write {score} to /proc/self/oom_score_adj"),
        errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        needs: "a lower one than before needs CAP_SYS_RESOURCE",
    })
}

fn set_limit(limit: &Limit) -> Result<(), Refused> {
    setrlimit(limit.resource, limit.rlimit).map_err(|errno| Refused {
        step: format!("set the limit {limit}"),
        errno,
        needs: "a higher hard limit than before needs CAP_SYS_RESOURCE; \
                `docker run --ulimit` sets it from outside",
    })
}

/// Pipes and terminals that we were given belong to whoever made them, and `/dev/stdout` opens
/// them anew: without this a user's own log to it would be refused. Engines do the same for their
/// `--user`. A file keeps its owner, and a refusal changes nothing for the streams themselves.
fn hand_over_streams(uid: Uid) {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for stream in streams {
        let Ok(stat) = fstat(stream) else { continue };
        let is_pipe = FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
        if stat.st_uid != uid.as_raw() && (is_pipe || stream.is_terminal()) {
            let _ = fchown(stream, Some(uid), None);
        }
    }
}

/// What is not in the bounding set no program can gain, not even one of root's. What is missing
/// from it already needs no right to be dropped.
fn drop_from_bounding_set(dropped: CapabilitySet) -> Result<(), Refused> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if !dropped.contains(capability) {
            continue;
        }
        match capability_is_in_bounding_set(capability) {
            Ok(true) => {}
            Ok(false) => continue,
            // The kernel knows no further ones.
            Err(_) => break,
        }
        remove_capability_from_bounding_set(capability).map_err(|errno| Refused {
            step: "drop capabilities from the bounding set".to_owned(),
            errno,
            needs: "--cap-drop needs CAP_SETPCAP; `docker run --cap-drop` does it from outside",
        })?;
    }
    Ok(())
}

/// What this process holds or could hand on; ambient capabilities go with these.
fn drop_from_own_sets(dropped: CapabilitySet) -> Result<(), Refused> {
    if dropped.is_empty() {
        return Ok(());
    }
    let lower = |sets: CapabilitySets| {
        set_capabilities(
            None,
            CapabilitySets {
                effective: sets.effective.difference(dropped),
                permitted: sets.permitted.difference(dropped),
                inheritable: sets.inheritable.difference(dropped),
            },
        )
    };
    capabilities(None).and_then(lower).map_err(|errno| Refused {
        step: "drop capabilities".to_owned(),
        errno,
        needs: "",
    })
}

fn enter(folder: &Path) -> Result<(), Refused> {
    chdir(folder).map_err(|errno| Refused {
        step: format!(
            "work in {} as {}:{}",
            folder.display(),
            geteuid().as_raw(),
            rustix::process::getegid().as_raw()
        ),
        errno,
        needs: "the user has to have the right to enter it",
    })
}
