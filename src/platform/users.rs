//! Users and groups as the image's own `/etc/passwd` and `/etc/group` have them (`man 5 passwd`,
//! `man 5 group`). No name service is asked: a static program has none, and an image need not.
//! `cli/` looks up whom the workload runs as.
//!
//! Lines that are not in the form of these files are passed over, as libc does.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::Root;
use crate::config::workload::{Account, Id};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// The largest of these files that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Somebody to run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name; `None` for a number without a line in `/etc/passwd`.
    pub name: Option<OsString>,
    /// The number.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// All groups, `gid` first, each once.
    pub groups: Vec<u32>,
    /// The home directory; `/` where none is known.
    pub home: OsString,
}

/// Why there is no such user.
#[derive(Debug)]
pub enum UserError {
    /// No line of the file has this name.
    Unknown {
        /// "user" or "group".
        kind: &'static str,
        /// The name.
        name: String,
        /// Where it was looked for.
        file: &'static str,
    },
    /// The file is there and cannot be read.
    Unreadable(&'static str, io::Error),
}

impl fmt::Display for UserError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserError::Unknown { kind, name, file } => write!(
                out,
                "there is no {kind} {name:?} in {file}; add it to the image or give its number"
            ),
            UserError::Unreadable(file, error) => write!(out, "cannot read {file}: {error}"),
        }
    }
}

impl std::error::Error for UserError {}

/// Looks an account up. As engines do: a group that is named is the only one; otherwise it is
/// the user's own and all that list the user. A number without a line has `own_group`, the group
/// of the process that asks.
pub fn find(root: &Root, account: &Account, own_group: u32) -> Result<User, UserError> {
    let passwd = read(root, PASSWD)?;
    let (uid, entry) = match &account.user {
        Id::Number(uid) => (*uid, passwd_entries(&passwd).find(|entry| entry.uid == *uid)),
        Id::Name(name) => {
            let found = passwd_entries(&passwd).find(|entry| entry.name == name.as_bytes());
            let entry = found.ok_or_else(|| unknown("user", name, PASSWD))?;
            (entry.uid, Some(entry))
        }
    };
    let mut user = User {
        name: entry.as_ref().map(|entry| os_string(entry.name)),
        uid,
        gid: entry.as_ref().map_or(own_group, |entry| entry.gid),
        groups: Vec::new(),
        home: os_string(entry.as_ref().map_or(b"/", |entry| entry.home)),
    };
    match &account.group {
        Some(Id::Number(gid)) => user.gid = *gid,
        Some(Id::Name(name)) => {
            let groups = read(root, GROUP)?;
            let found = group_entries(&groups).find(|entry| entry.name == name.as_bytes());
            user.gid = found.ok_or_else(|| unknown("group", name, GROUP))?.gid;
        }
        None => {}
    }
    user.groups.push(user.gid);
    if let (None, Some(name)) = (&account.group, &user.name) {
        let groups = read(root, GROUP)?;
        let theirs = group_entries(&groups).filter(|entry| entry.lists(name.as_bytes()));
        let mut more: Vec<u32> = theirs.map(|entry| entry.gid).collect();
        more.sort_unstable();
        more.dedup();
        more.retain(|gid| *gid != user.gid);
        user.groups.extend(more);
    }
    Ok(user)
}

/// The whole file; nothing where there is none.
fn read(root: &Root, file: &'static str) -> Result<Vec<u8>, UserError> {
    match root.read(Path::new(file), LARGEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| UserError::Unreadable(file, error)),
    }
}

fn os_string(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_owned())
}

fn unknown(kind: &'static str, name: &str, file: &'static str) -> UserError {
    UserError::Unknown { kind, name: name.to_owned(), file }
}

/// A line of `/etc/passwd`: `name:password:uid:gid:comment:home:shell`.
struct PasswdEntry<'f> {
    name: &'f [u8],
    uid: u32,
    gid: u32,
    home: &'f [u8],
}

fn passwd_entries(file: &[u8]) -> impl Iterator<Item = PasswdEntry<'_>> {
    lines(file).filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = number(fields.nth(1)?)?;
        let gid = number(fields.next()?)?;
        let home = fields.nth(1).filter(|home| !home.is_empty() && !home.contains(&0));
        Some(PasswdEntry { name, uid, gid, home: home.unwrap_or(b"/") })
    })
}

/// A line of `/etc/group`: `name:password:gid:member,member`.
struct GroupEntry<'f> {
    name: &'f [u8],
    gid: u32,
    members: &'f [u8],
}

impl GroupEntry<'_> {
    fn lists(&self, name: &[u8]) -> bool {
        self.members.split(|byte| *byte == b',').any(|member| member.trim_ascii() == name)
    }
}

fn group_entries(file: &[u8]) -> impl Iterator<Item = GroupEntry<'_>> {
    lines(file).filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = number(fields.nth(1)?)?;
        Some(GroupEntry { name, gid, members: fields.next().unwrap_or_default() })
    })
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| {
        // Comments, and entries of NIS, which names no user by itself.
        !matches!(line.first(), None | Some(b'#' | b'+' | b'-')) && !line.contains(&0)
    })
}

/// An id; the highest number is none.
fn number(field: &[u8]) -> Option<u32> {
    if field.is_empty() || !field.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(field).ok()?.parse().ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::workload::account;

    const PASSWD_FILE: &str = "root:x:0:0:root:/root:/bin/sh\n# app:x:1:1::/no:\n+nis::::::\n\
        broken:x:many:1::/:\napp:x:1000:1001:App,,,:/srv/app:/bin/false\nbare:x:7:7\n\
        homeless:x:8:8:::\ntwin:x:1000:5::/twin:/bin/sh\n123:x:9:9::/nine:/bin/sh\n";
    const GROUP_FILE: &str = "root:x:0:\nvideo:x:44:other,app\napp:x:1001:app\naudio:x:29: app\n\
        video:x:44:app\napple:x:50:apps,ap\n";

    fn image(name: &str, files: &[(&str, &str)]) -> Root {
        let base = std::env::temp_dir().join(format!("mak-users-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&base);
        std::fs::create_dir_all(base.join("etc")).unwrap();
        for (file, text) in files {
            std::fs::write(base.join("etc").join(file), text).unwrap();
        }
        Root::at(&base).unwrap()
    }

    fn look(root: &Root, word: &str) -> Result<User, String> {
        find(root, &account(word).unwrap().unwrap(), 99).map_err(|error| error.to_string())
    }

    fn ids(user: &User) -> (u32, u32, &[u32], &str) {
        (user.uid, user.gid, &user.groups, user.home.to_str().unwrap())
    }

    #[test]
    fn a_user_has_the_groups_and_the_home_of_the_image() {
        let root = image("found", &[("passwd", PASSWD_FILE), ("group", GROUP_FILE)]);
        for (word, name, expected) in [
            ("app", Some("app"), (1000, 1001, [1001, 29, 44].as_slice(), "/srv/app")),
            ("1000", Some("app"), (1000, 1001, &[1001, 29, 44], "/srv/app")),
            ("app:video", Some("app"), (1000, 44, &[44], "/srv/app")),
            ("app:7", Some("app"), (1000, 7, &[7], "/srv/app")),
            ("twin", Some("twin"), (1000, 5, &[5], "/twin")),
            ("bare", Some("bare"), (7, 7, &[7], "/")),
            ("homeless", Some("homeless"), (8, 8, &[8], "/")),
            ("root", Some("root"), (0, 0, &[0], "/root")),
            ("123", None, (123, 99, &[99], "/")),
            ("4242:4243", None, (4242, 4243, &[4243], "/")),
        ] {
            let user = look(&root, word).unwrap();
            assert_eq!(ids(&user), expected, "{word}");
            assert_eq!(user.name.as_deref(), name.map(std::ffi::OsStr::new), "{word}");
        }
        std::fs::remove_dir_all(root.base()).unwrap();
    }

    #[test]
    fn a_name_nobody_has_is_refused_with_the_file_it_was_looked_for_in() {
        let root = image("unknown", &[("passwd", PASSWD_FILE), ("group", GROUP_FILE)]);
        for (word, name, file) in [
            ("broken", "broken", PASSWD),
            ("+nis", "+nis", PASSWD),
            ("apps", "apps", PASSWD),
            ("app:apps", "apps", GROUP),
        ] {
            let refused = look(&root, word).unwrap_err();
            assert!(refused.contains(name) && refused.contains(file), "{refused}");
        }
        std::fs::remove_dir_all(root.base()).unwrap();
    }

    #[test]
    fn an_image_without_these_files_has_numbers_only() {
        let root = image("empty", &[]);
        assert_eq!(ids(&look(&root, "5").unwrap()), (5, 99, [99].as_slice(), "/"));
        assert!(look(&root, "app").is_err());
        std::fs::remove_dir_all(root.base()).unwrap();
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(file in proptest::collection::vec(
            proptest::sample::select(b"a:0149,\n\0#+ \xff".to_vec()), 0..80)) {
            for entry in passwd_entries(&file) {
                assert!(entry.uid != u32::MAX && !entry.name.is_empty() && !entry.home.is_empty());
            }
            for entry in group_entries(&file) {
                assert!(entry.gid != u32::MAX && !entry.name.is_empty());
                entry.lists(b"a");
            }
        }
    }
}
