//! What `[workload]` asks for, settled against this image: names become numbers. `run` calls it
//! before anything is started; `init/attributes` applies the result in the workload's process.

use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities};

use crate::config::workload::Workload;
use crate::init::attributes::Attributes;
use crate::init::identity::Identity;
use crate::init::pid::is_init;
use crate::platform::users::{UserError, find};
use crate::platform::{Root, User};

/// Whom the workload runs as, if that was asked for.
pub fn user(workload: &Workload) -> Result<Option<User>, UserError> {
    let Some(account) = &workload.account else { return Ok(None) };
    find(&Root::host(), account, getegid().as_raw()).map(Some)
}

/// What is applied to the workload.
pub fn attributes(workload: &Workload, user: Option<&User>) -> Attributes {
    Attributes {
        nice: workload.nice,
        oom_score_adj: workload.oom_score_adj,
        umask: workload.umask,
        limits: workload.limits.clone(),
        dropped: CapabilitySet::from_bits_retain(workload.dropped.0),
        identity: user.map(identity),
        // Elsewhere the terminal is somebody's who goes on with it afterwards.
        hand_over_streams: user.is_some() && is_init(),
        folder: workload.folder.clone(),
        no_new_privs: workload.no_new_privs,
        parent_death_signal: None,
    }
}

fn identity(user: &User) -> Identity {
    Identity {
        uid: Uid::from_raw(user.uid),
        gid: Gid::from_raw(user.gid),
        groups: user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect(),
    }
}

/// Whether signals to a workload of this user would be refused (`man 2 kill`).
pub fn cannot_signal(user: &User) -> bool {
    let has_kill = || capabilities(None).is_ok_and(|s| s.effective.contains(CapabilitySet::KILL));
    geteuid().is_root() && user.uid != 0 && !has_kill()
}
