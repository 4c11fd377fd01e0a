//! Whose rights a process has: a user, a group and further groups, by number. `attributes` takes
//! one on for good, before the workload starts; the preparation borrows it to prove that the
//! directories can be used by it.

use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid, getgid, getgroups, getuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::attributes::Refused;

/// A user and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: Uid,
    /// The group.
    pub gid: Gid,
    /// All groups, `gid` included.
    pub groups: Vec<Gid>,
}

impl Identity {
    /// Takes the groups on, for good. This has to come before the user, who could not.
    pub fn take_groups(&self) -> Result<(), Refused> {
        set_groups(&self.groups, self.gid).map_err(|errno| self.refused(errno))?;
        set_thread_res_gid(self.gid, self.gid, self.gid).map_err(|errno| self.refused(errno))
    }

    /// Takes the user on, for good: real, effective and saved.
    pub fn take_user(&self) -> Result<(), Refused> {
        set_thread_res_uid(self.uid, self.uid, self.uid).map_err(|errno| self.refused(errno))
    }

    /// Does `work` with this identity's rights and then takes the old ones back. While it lasts
    /// only the effective ids are these; the kernel takes effective capabilities away with them.
    pub fn lend<T>(&self, work: impl FnOnce() -> T) -> Result<T, Refused> {
        let (uid, gid) = (geteuid(), getegid());
        let groups = getgroups().map_err(|errno| self.refused(errno))?;
        set_groups(&self.groups, self.gid).map_err(|errno| self.refused(errno))?;
        set_thread_res_gid(getgid(), self.gid, gid).map_err(|errno| self.refused(errno))?;
        set_thread_res_uid(getuid(), self.uid, uid).map_err(|errno| self.refused(errno))?;
        let result = work();
        set_thread_res_uid(getuid(), uid, uid).map_err(|errno| self.refused(errno))?;
        set_thread_res_gid(getgid(), gid, gid).map_err(|errno| self.refused(errno))?;
        set_groups(&groups, gid).map_err(|errno| self.refused(errno))?;
        Ok(result)
    }

    fn refused(&self, errno: Errno) -> Refused {
        Refused {
            step: format!("run the workload as {}:{}", self.uid.as_raw(), self.gid.as_raw()),
            errno,
            needs: "--user needs mak-init to be started as root, with CAP_SETUID and CAP_SETGID",
        }
    }
}

/// Without the right to, groups cannot be set at all; that is no error where they are as wanted.
fn set_groups(groups: &[Gid], gid: Gid) -> Result<(), Errno> {
    match set_thread_groups(groups) {
        Err(Errno::PERM) if getegid() == gid => {
            let are = getgroups()?;
            if sorted(&are, gid) == sorted(groups, gid) { Ok(()) } else { Err(Errno::PERM) }
        }
        result => result,
    }
}

/// Groups to compare: each once, without the one that is held anyway.
fn sorted(groups: &[Gid], held: Gid) -> Vec<u32> {
    let mut ids: Vec<u32> = groups.iter().map(|gid| gid.as_raw()).collect();
    ids.retain(|id| *id != held.as_raw());
    ids.sort_unstable();
    ids.dedup();
    ids
}
