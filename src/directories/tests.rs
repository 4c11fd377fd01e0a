//! On real folders. Users, umask and mounts are changed in forked children, since they belong to
//! the whole process. Run as root, as CI does, everything here is tried; without root the parts
//! are that one user can set up.
#![allow(unsafe_code, reason = "fork, umask, unshare and mount have no safe form here")]

use std::ffi::CString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use super::*;

const NOBODY: u32 = 65534;
const SOMEBODY: u32 = 12345;

/// A folder of the test's own, mode 0755, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("mak-directories-{}-{name}", std::process::id());
        let path = std::env::temp_dir().canonicalize().unwrap().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        let folder = Folder(path);
        folder.chmod("", 0o755);
        folder
    }

    fn at(&self, rest: &str) -> PathBuf {
        if rest.is_empty() { self.0.clone() } else { self.0.join(rest) }
    }

    fn chmod(&self, rest: &str, mode: u32) {
        fs::set_permissions(self.at(rest), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mkdir(&self, rest: &str, mode: u32) {
        fs::create_dir(self.at(rest)).unwrap();
        self.chmod(rest, mode);
    }

    fn mode(&self, rest: &str) -> u32 {
        self.at(rest).metadata().unwrap().mode() & MODE_BITS
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

fn directory(path: &Path) -> Directory {
    Directory {
        variable: "APP_DATA_DIR".to_owned(),
        path: path.to_owned(),
        mode: None,
        owner: None,
        user: None,
        access: Access::ReadWrite,
    }
}

/// What `prepare` says, as text: a child hands it to its parent.
fn outcome(directory: &Directory) -> String {
    match prepare(directory) {
        Ok(Prepared { created, notes }) => format!("ok created={created} {}", notes.join("; ")),
        Err(error) => error.to_string(),
    }
}

/// Runs `work` in a forked child and gives back what it said.
fn in_child(work: impl FnOnce() -> String) -> String {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: the libc in use keeps its allocator usable in a child of a process with threads;
    // the child runs `work` and nothing of the test harness, and leaves by _exit.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        drop(reader);
        let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let _ = writer.write_all(said.unwrap_or_else(|_| "child panicked".into()).as_bytes());
        // SAFETY: ends this process; nothing is left to clean up.
        unsafe { libc::_exit(0) }
    }
    drop(writer);
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    let mut status = 0;
    // SAFETY: `status` outlives the call, `child` is our own child, not yet waited for.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    said
}

/// Becomes another user for good, without groups and therefore without capabilities.
fn become_user(uid: u32) {
    // SAFETY: plain system calls; an empty list of groups needs no pointer.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setgid(uid), 0);
        assert_eq!(libc::setuid(uid), 0);
    }
}

fn umask(mask: u32) {
    // SAFETY: cannot fail; called in a child only.
    unsafe { libc::umask(mask) };
}

/// Mounts a tmpfs that only this process sees.
fn mount_tmpfs(at: &Path, flags: libc::c_ulong, options: &str) {
    let at = CString::new(at.as_os_str().as_bytes()).unwrap();
    let options = CString::new(options).unwrap();
    let null = std::ptr::null();
    // SAFETY: every pointer is null or a string that ends in NUL and outlives the call.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
        let private = libc::MS_REC | libc::MS_PRIVATE;
        assert_eq!(libc::mount(null, c"/".as_ptr(), null, private, null.cast()), 0);
        let tmpfs = c"tmpfs".as_ptr();
        assert_eq!(libc::mount(tmpfs, at.as_ptr(), tmpfs, flags, options.as_ptr().cast()), 0);
    }
}

#[test]
fn parents_and_leaf_get_exact_modes_whatever_the_umask_takes_from_others() {
    for (mask, name) in [(0o077, "umask077"), (0o027, "umask027"), (0o000, "umask000")] {
        let folder = Folder::new(name);
        let mut wanted = directory(&folder.at("a/b/leaf"));
        wanted.mode = Some(0o2770);
        let said = in_child(|| {
            umask(mask);
            outcome(&wanted)
        });
        assert_eq!(said, "ok created=true ");
        assert_eq!(folder.mode("a"), 0o755);
        assert_eq!(folder.mode("a/b"), 0o755);
        assert_eq!(folder.mode("a/b/leaf"), 0o2770);
    }
}

#[test]
fn the_mode_of_a_new_directory_is_0755_and_it_keeps_the_group_of_a_volume() {
    let folder = Folder::new("setgid");
    folder.mkdir("volume", 0o2775);
    assert_eq!(outcome(&directory(&folder.at("volume/data"))), "ok created=true ");
    assert_eq!(folder.mode("volume/data"), 0o2755);
}

#[test]
fn a_new_directory_is_its_users_and_an_old_one_and_the_group_of_a_volume_stay() {
    if !root() {
        return;
    }
    let folder = Folder::new("user");
    folder.mkdir("volume", 0o2775);
    std::os::unix::fs::chown(folder.at("volume"), None, Some(7)).unwrap();
    folder.mkdir("old", 0o755);
    for (name, expected) in
        [("new", (SOMEBODY, NOBODY)), ("volume/new", (SOMEBODY, 7)), ("old", (0, 0))]
    {
        let user = Some(Owner { uid: Some(SOMEBODY), gid: Some(NOBODY) });
        let wanted = Directory { user, ..directory(&folder.at(name)) };
        assert!(make(&wanted).unwrap().notes.is_empty());
        let made = folder.at(name).metadata().unwrap();
        assert_eq!((made.uid(), made.gid()), expected, "{name}");
        let proven = in_child(|| {
            become_user(SOMEBODY);
            prove(&wanted).map_or_else(|error| error.to_string(), |()| "usable".to_owned())
        });
        assert_eq!(proven == "usable", name != "old", "{name}: {proven}");
    }
}

#[test]
fn a_directory_that_exists_stays_as_it_is_unless_the_profile_names_a_mode() {
    let folder = Folder::new("exists");
    folder.mkdir("data", 0o711);
    fs::write(folder.at("data/file"), "x").unwrap();
    folder.chmod("data/file", 0o640);
    let mut wanted = directory(&folder.at("data"));
    assert_eq!(outcome(&wanted), "ok created=false ");
    assert_eq!(folder.mode("data"), 0o711);
    wanted.mode = Some(0o700);
    assert_eq!(outcome(&wanted), "ok created=false ");
    assert_eq!((folder.mode("data"), folder.mode("data/file")), (0o700, 0o640));
    let names: Vec<_> = fs::read_dir(folder.at("data")).unwrap().collect();
    assert_eq!(names.len(), 1, "the proof leaves nothing behind");
}

#[test]
fn only_the_named_directory_is_given_to_its_owner() {
    let folder = Folder::new("owner");
    let mut wanted = directory(&folder.at("a/data"));
    wanted.owner = Some(Owner { uid: Some(SOMEBODY), gid: Some(SOMEBODY + 1) });
    let said = outcome(&wanted);
    let us = rustix::process::geteuid().as_raw();
    assert_eq!(folder.at("a").metadata().unwrap().uid(), us);
    let data = folder.at("a/data").metadata().unwrap();
    if !root() {
        assert!(said.contains("keeps its owner") && said.contains("not permitted"), "{said}");
        return;
    }
    assert_eq!(said, "ok created=true ");
    assert_eq!((data.uid(), data.gid()), (SOMEBODY, SOMEBODY + 1));
    fs::create_dir(folder.at("a/data/inside")).unwrap();
    wanted.owner = Some(Owner { uid: Some(NOBODY), gid: None });
    assert_eq!(outcome(&wanted), "ok created=false ");
    let data = folder.at("a/data").metadata().unwrap();
    assert_eq!((data.uid(), data.gid()), (NOBODY, SOMEBODY + 1));
    assert_eq!(folder.at("a/data/inside").metadata().unwrap().uid(), us);
}

#[test]
fn a_user_without_an_entry_in_passwd_creates_what_it_may_and_is_told_what_it_may_not() {
    let folder = Folder::new("user");
    folder.mkdir("open", 0o1777);
    folder.mkdir("closed", 0o555);
    if !root() {
        let said = outcome(&directory(&folder.at("closed/data")));
        assert!(said.contains("mode 0555") && said.contains("chmod u+rwx"), "{said}");
        return;
    }
    let user = 1_000_650_000;
    let mut wanted = directory(&folder.at("open/a/data"));
    wanted.mode = Some(0o700);
    wanted.owner = Some(Owner { uid: Some(1000), gid: None });
    let said = in_child(|| {
        become_user(user);
        outcome(&wanted)
    });
    assert!(said.starts_with("ok created=true "), "{said}");
    assert!(said.contains("keeps its owner 1000650000:1000650000"), "{said}");
    assert_eq!(folder.at("open/a/data").metadata().unwrap().uid(), user);
    assert_eq!((folder.mode("open/a"), folder.mode("open/a/data")), (0o755, 0o700));

    let path = folder.at("closed/data");
    let said = in_child(|| {
        become_user(user);
        outcome(&directory(&path))
    });
    let closed = folder.at("closed").display().to_string();
    assert_eq!(
        said,
        format!(
            "cannot use the directory \"{closed}/data\" (APP_DATA_DIR): not writable: cannot \
             create a directory in {closed}, which belongs to 0:0 with mode 0555; this process is \
             {user}:{user}; `chown {user}:{user}` it on the host, or run with `docker run --user \
             0:0`, or in Kubernetes set securityContext.fsGroup: {user}"
        )
    );
}

#[test]
fn a_directory_that_exists_and_is_not_writable_is_named_with_its_owner() {
    let folder = Folder::new("notwritable");
    folder.mkdir("data", 0o555);
    let path = folder.at("data");
    let said = in_child(|| {
        if root() {
            lchown(&path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
            become_user(NOBODY);
        }
        outcome(&directory(&path))
    });
    assert!(said.contains("not writable: cannot write to"), "{said}");
    assert!(said.contains("with mode 0555"), "{said}");
    if root() {
        assert!(said.contains("belongs to 12345:12345"), "{said}");
        assert!(said.contains("this process is 65534:65534"), "{said}");
        assert!(said.contains("--user 12345:12345"), "{said}");
        assert!(said.contains("fsGroup: 65534"), "{said}");
    }
}

#[test]
fn root_without_capabilities_is_told_so() {
    let folder = Folder::new("nocaps");
    folder.mkdir("data", 0o555);
    if !root() {
        // The same way through the code for one who never had them.
        assert!(outcome(&directory(&folder.at("data"))).contains("not writable"));
        return;
    }
    let path = folder.at("data");
    lchown(&path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let said = in_child(|| {
        let none = rustix::thread::CapabilitySet::empty();
        let sets =
            rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).unwrap();
        outcome(&directory(&path))
    });
    assert!(said.contains("this process is 0:0 without the right"), "{said}");
    assert!(said.contains("CAP_DAC_OVERRIDE"), "{said}");
}

#[test]
fn a_link_that_somebody_else_planted_is_not_followed() {
    let folder = Folder::new("planted");
    folder.mkdir("shared", 0o1777);
    folder.mkdir("target", 0o755);
    symlink(folder.at("target"), folder.at("shared/link")).unwrap();
    let path = folder.at("shared/link/data");
    assert_eq!(outcome(&directory(&path)), "ok created=true ", "our own link in a sticky folder");
    folder.chmod("shared", 0o777);
    let said = outcome(&directory(&path));
    assert!(said.contains("shared/link belongs to uid"), "{said}");
    assert!(said.contains("others can write to (mode 0777)"), "{said}");
    if !root() {
        return;
    }
    folder.chmod("shared", 0o1777);
    lchown(folder.at("shared/link"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    for path in ["shared/link", "shared/link/new"] {
        let said = outcome(&directory(&folder.at(path)));
        assert!(said.contains("belongs to uid 12345, which is neither root nor"), "{said}");
    }
    assert!(!folder.at("target/new").exists());
    folder.mkdir("theirs", 0o755);
    lchown(folder.at("theirs"), Some(SOMEBODY), None).unwrap();
    symlink(folder.at("target"), folder.at("theirs/link")).unwrap();
    let said = outcome(&directory(&folder.at("theirs/link")));
    assert!(said.contains("stands in a directory of uid 12345"), "{said}");
}

#[test]
fn a_trusted_link_leads_where_it_says_even_if_nothing_is_there_yet() {
    let folder = Folder::new("trusted");
    folder.mkdir("a", 0o755);
    symlink("../real/./deep", folder.at("a/relative")).unwrap();
    symlink(folder.at("a/relative"), folder.at("absolute")).unwrap();
    assert_eq!(outcome(&directory(&folder.at("absolute/data"))), "ok created=true ");
    assert!(folder.at("real/deep/data").is_dir());
    symlink("round", folder.at("about")).unwrap();
    symlink("about", folder.at("round")).unwrap();
    let said = outcome(&directory(&folder.at("about/data")));
    assert!(said.contains("lead in a circle"), "{said}");
}

#[test]
fn dots_of_a_link_do_not_climb_out_of_the_root() {
    let folder = Folder::new("climb");
    let up = "../".repeat(30);
    symlink(format!("{up}{}", folder.at("real").display()), folder.at("link")).unwrap();
    assert_eq!(outcome(&directory(&folder.at("link"))), "ok created=true ");
    assert!(folder.at("real").is_dir());
}

#[test]
fn something_in_the_way_is_named_by_its_kind() {
    let folder = Folder::new("way");
    fs::write(folder.at("file"), "x").unwrap();
    let pipe = CString::new(folder.at("pipe").as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a string that ends in NUL.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    let said = outcome(&directory(&folder.at("file/data")));
    assert!(said.contains("/file is a regular file, not a directory"), "{said}");
    let said = outcome(&directory(&folder.at("pipe")));
    assert!(said.contains("/pipe is a FIFO, not a directory"), "{said}");
    assert_eq!(fs::read(folder.at("file")).unwrap(), b"x");
}

#[test]
fn a_read_only_file_system_is_an_error_unless_the_directory_is_declared_so() {
    let folder = Folder::new("readonly");
    folder.mkdir("mount", 0o755);
    folder.mkdir("mount/config", 0o555);
    let mut config = directory(&folder.at("mount/config"));
    config.access = Access::ReadOnly;
    config.mode = Some(0o700);
    assert_eq!(outcome(&config), "ok created=false ");
    assert_eq!(folder.mode("mount/config"), 0o555, "what is only read is left as it is");
    if !root() {
        assert!(outcome(&directory(&folder.at("mount/config"))).contains("not writable"));
        return;
    }
    let mount = folder.at("mount");
    let said = in_child(|| {
        mount_tmpfs(&mount, libc::MS_RDONLY, "mode=755");
        config.path = mount.clone();
        let there = outcome(&config);
        config.path = mount.join("missing");
        [there, outcome(&directory(&mount)), outcome(&directory(&config.path)), outcome(&config)]
            .join("\n")
    });
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert_eq!(lines[0], "ok created=false ");
    assert!(lines[1].contains("cannot write to") && lines[1].contains("is read-only"), "{said}");
    for line in &lines[2..] {
        assert!(line.contains("cannot create a directory in"), "{said}");
        assert!(line.contains("its file system is read-only"), "{said}");
    }
}

#[test]
fn a_read_only_directory_must_be_readable_and_is_created_if_it_is_missing() {
    let folder = Folder::new("readable");
    folder.mkdir("secret", 0o300);
    folder.mkdir("open", 0o1777);
    let (secret, missing) = (folder.at("secret"), folder.at("open/new"));
    let said = in_child(|| {
        if root() {
            become_user(NOBODY);
        }
        let ask = |path: &Path| outcome(&Directory { access: Access::ReadOnly, ..directory(path) });
        [ask(&secret), ask(&missing)].join("\n")
    });
    folder.chmod("secret", 0o700);
    let (secret, missing) = said.split_once('\n').unwrap();
    assert!(secret.contains("not readable: cannot read"), "{said}");
    assert_eq!(missing, "ok created=true ");
}

#[test]
fn a_full_file_system_is_called_full() {
    let folder = Folder::new("full");
    folder.mkdir("mount", 0o755);
    let mount = folder.at("mount");
    if !root() {
        let problem = Problem::of_errno("write to", &mount, None, rustix::io::Errno::NOSPC);
        assert!(problem.to_string().contains("No space left on device; free space or inodes"));
        return;
    }
    let said = in_child(|| {
        // The root of the mount takes the one inode.
        mount_tmpfs(&mount, 0, "nr_inodes=1");
        [outcome(&directory(&mount.join("data"))), outcome(&directory(&mount))].join("\n")
    });
    assert_eq!(said.lines().count(), 2);
    for line in said.lines() {
        assert!(line.contains("No space left on device; free space or inodes there"), "{said}");
    }
}

#[test]
fn names_that_no_file_system_takes_are_refused_in_one_line() {
    let folder = Folder::new("names");
    let said = outcome(&directory(&folder.at(&"n".repeat(256))));
    assert!(said.contains("the path is too long"), "{said}");
    fs::write(folder.at("two\nlines"), "").unwrap();
    let said = outcome(&directory(&folder.at("two\nlines/data")));
    assert!(said.contains("two\\nlines is a regular file"), "{said}");
    assert_eq!(said.lines().count(), 1);
    let mut wanted = directory(&folder.at("data"));
    wanted.mode = Some(0o10000);
    assert!(outcome(&wanted).contains("0o10000 is no mode"));
    wanted.mode = None;
    wanted.owner = Some(Owner { uid: Some(u32::MAX), gid: None });
    assert!(outcome(&wanted).contains("4294967295 is no user"));
    assert!(!folder.at("data").exists(), "nothing half-done");
}

#[test]
fn a_path_that_is_swapped_all_the_time_never_leads_to_where_the_link_points() {
    let folder = Folder::new("race");
    folder.mkdir("victim", 0o755);
    folder.mkdir("shared", 0o777);
    symlink(folder.at("victim"), folder.at("link")).unwrap();
    let place = folder.at("shared/place");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::sync::atomic::Ordering::Relaxed;
            while !done.load(Relaxed) {
                let _ = fs::rename(folder.at("link"), &place);
                let _ = fs::rename(&place, folder.at("link"));
                let _ = fs::remove_dir_all(folder.at("shared/place"));
            }
        });
        for _ in 0..500 {
            let _ = prepare(&directory(&place.join("data")));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(!folder.at("victim/data").exists());
}
