//! The package managers: which one is here, what it is told to do without asking anybody, and
//! what its output says of a failure. Plain tables; `plan` makes commands of them, `step` runs
//! these.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::platform::Root;

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// Debian, Ubuntu and what comes from them.
    Apt,
    /// Fedora, RHEL from 8 on.
    Dnf,
    /// RHEL and CentOS up to 7; on newer ones another name of dnf.
    Yum,
    /// Alpine.
    Apk,
    /// Arch.
    Pacman,
    /// SUSE.
    Zypper,
    /// macOS, and Linux beside the distribution's own.
    Brew,
}

/// os-release is a dozen lines.
const LARGEST_OS_RELEASE: u64 = 64 * 1024;
/// Where os-release may be (`man 5 os-release`).
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// What a failed command says of the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Another process has the package lock.
    Locked,
    /// A repository does not answer.
    Network,
    /// There is no room.
    Disk,
    /// No repository has these.
    Unknown(Vec<String>),
    /// Something else.
    Other,
}

impl Reason {
    /// Whether the same command may work a little later.
    pub fn passes(&self) -> bool {
        matches!(self, Reason::Locked | Reason::Network)
    }
}

impl Manager {
    /// All of them; those that are asked for by name come before their heirs.
    pub const ALL: [Manager; 7] = [
        Manager::Apt,
        Manager::Dnf,
        Manager::Yum,
        Manager::Apk,
        Manager::Pacman,
        Manager::Zypper,
        Manager::Brew,
    ];

    /// Its name, also its key in a profile.
    pub fn name(self) -> &'static str {
        match self {
            Manager::Apt => "apt",
            Manager::Dnf => "dnf",
            Manager::Yum => "yum",
            Manager::Apk => "apk",
            Manager::Pacman => "pacman",
            Manager::Zypper => "zypper",
            Manager::Brew => "brew",
        }
    }

    /// The program that is run.
    pub fn program(self) -> &'static str {
        match self {
            Manager::Apt => "apt-get",
            other => other.name(),
        }
    }

    /// Homebrew refuses root; all others need it.
    pub fn needs_root(self) -> bool {
        self != Manager::Brew
    }

    /// The manager of a root, and whether its program is there: by what os-release says the
    /// system is or is like, else the first program found.
    pub fn of(root: &Root, search_path: &OsStr) -> Option<(Manager, bool)> {
        let is_there = |manager: Manager| find_program(root, search_path, manager.program());
        let mut named: Option<Manager> = None;
        for word in like(root) {
            let Some(manager) = Manager::of_distribution(&word) else { continue };
            // A newer RHEL has both, and dnf is the one.
            let choices = match manager {
                Manager::Dnf | Manager::Yum => vec![Manager::Dnf, Manager::Yum],
                one => vec![one],
            };
            if let Some(found) = choices.into_iter().find(|one| is_there(*one).is_some()) {
                return Some((found, true));
            }
            named = named.or(Some(manager));
        }
        if let Some(manager) = named {
            return Some((manager, false));
        }
        Manager::ALL.into_iter().find(|one| is_there(*one).is_some()).map(|one| (one, true))
    }

    fn of_distribution(id: &str) -> Option<Manager> {
        Some(match id {
            "debian" | "ubuntu" | "linuxmint" | "pop" | "raspbian" => Manager::Apt,
            "fedora" | "rhel" | "rocky" | "almalinux" | "centos" | "amzn" | "ol" => Manager::Dnf,
            "alpine" | "wolfi" | "chainguard" => Manager::Apk,
            "arch" | "archarm" | "manjaro" => Manager::Pacman,
            "suse" | "opensuse" | "sles" | "opensuse-leap" | "opensuse-tumbleweed" => {
                Manager::Zypper
            }
            "macos" => Manager::Brew,
            _ => return None,
        })
    }

    /// Variables that keep it from asking, and its messages in the words that [`Manager::reason`]
    /// knows.
    pub fn environment(self) -> Vec<(&'static str, &'static str)> {
        let mut variables = vec![("LC_ALL", "C")];
        match self {
            Manager::Apt => variables.push(("DEBIAN_FRONTEND", "noninteractive")),
            Manager::Brew => {
                variables.extend([("HOMEBREW_NO_AUTO_UPDATE", "1"), ("NONINTERACTIVE", "1")]);
            }
            _ => {}
        }
        variables
    }

    /// Fetches the lists of packages.
    pub fn update(self) -> Vec<String> {
        words(match self {
            // Without the mode a list that cannot be fetched is a warning, and the code 0.
            Manager::Apt => &["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update"],
            Manager::Dnf => &["dnf", "-y", "makecache"],
            Manager::Yum => &["yum", "-y", "makecache"],
            Manager::Apk => &["apk", "update"],
            Manager::Pacman => &["pacman", "-Sy", "--noconfirm"],
            Manager::Zypper => &["zypper", "--non-interactive", "refresh"],
            Manager::Brew => &["brew", "update"],
        })
    }

    /// Fetches packages and changes nothing else; `None` where it cannot do that apart.
    pub fn fetch(self, packages: &[String]) -> Option<Vec<String>> {
        let start: &[&str] = match self {
            Manager::Apt => {
                &["apt-get", "-q", "-y", "--no-install-recommends", "--download-only", "install"]
            }
            Manager::Dnf => &[
                "dnf",
                "-y",
                "--setopt=install_weak_deps=False",
                "--setopt=keepcache=True",
                "--downloadonly",
                "install",
            ],
            Manager::Pacman => &["pacman", "-Sw", "--noconfirm", "--needed"],
            Manager::Zypper => {
                &["zypper", "--non-interactive", "install", "--no-recommends", "--download-only"]
            }
            Manager::Brew => &["brew", "fetch"],
            Manager::Yum | Manager::Apk => return None,
        };
        Some(with(start, packages))
    }

    /// Installs packages.
    pub fn install(self, packages: &[String]) -> Vec<String> {
        let start: &[&str] = match self {
            // A changed configuration file stays as the person left it.
            Manager::Apt => &[
                "apt-get",
                "-q",
                "-y",
                "--no-install-recommends",
                "-o",
                "Dpkg::Options::=--force-confdef",
                "-o",
                "Dpkg::Options::=--force-confold",
                "install",
            ],
            Manager::Dnf => &["dnf", "-y", "--setopt=install_weak_deps=False", "install"],
            Manager::Yum => &["yum", "-y", "install"],
            Manager::Apk => &["apk", "add"],
            Manager::Pacman => &["pacman", "-S", "--noconfirm", "--needed"],
            Manager::Zypper => &["zypper", "--non-interactive", "install", "--no-recommends"],
            Manager::Brew => &["brew", "install"],
        };
        with(start, packages)
    }

    /// What a person would type to install packages.
    pub fn typed(self, packages: &[String]) -> String {
        let verb = match self {
            Manager::Apk => "add",
            Manager::Pacman => "-S",
            _ => "install",
        };
        format!("{} {verb} {}", self.program(), packages.join(" "))
    }

    /// What finishes a run that was cut off; `None` where the next run does it by itself.
    pub fn repair(self) -> Option<Vec<String>> {
        match self {
            Manager::Apt => {
                Some(words(&["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"]))
            }
            Manager::Apk => Some(words(&["apk", "fix"])),
            _ => None,
        }
    }

    /// The files of its locks, the one for installing first.
    pub fn locks(self) -> &'static [&'static str] {
        match self {
            Manager::Apt => &[
                "/var/lib/dpkg/lock-frontend",
                "/var/lib/dpkg/lock",
                "/var/lib/apt/lists/lock",
                "/var/cache/apt/archives/lock",
            ],
            Manager::Dnf | Manager::Yum => &[
                "/var/lib/dnf/rpmdb_lock.pid",
                "/var/cache/dnf/metadata_lock.pid",
                "/var/cache/dnf/download_lock.pid",
                "/var/run/yum.pid",
                "/var/lib/rpm/.rpm.lock",
                "/usr/lib/sysimage/rpm/.rpm.lock",
            ],
            Manager::Apk => &["/lib/apk/db/lock", "/usr/lib/apk/db/lock"],
            Manager::Pacman => &["/var/lib/pacman/db.lck"],
            Manager::Zypper => &[
                "/run/zypp.pid",
                "/var/run/zypp.pid",
                "/var/lib/rpm/.rpm.lock",
                "/usr/lib/sysimage/rpm/.rpm.lock",
            ],
            Manager::Brew => &[],
        }
    }

    /// Why a command failed, from what it printed (in the C locale) and its exit code.
    pub fn reason(self, code: Option<i32>, output: &str) -> Reason {
        let says = |phrases: &[&str]| {
            phrases.iter().any(|phrase| output.to_ascii_lowercase().contains(phrase))
        };
        if says(DISK) {
            return Reason::Disk;
        }
        // `man 8 zypper`: 7 is "locked".
        if says(LOCKED) || (self == Manager::Zypper && code == Some(7)) {
            return Reason::Locked;
        }
        let unknown = unknown_packages(output);
        if says(NETWORK) || (unknown.is_empty() && self == Manager::Zypper && code == Some(106)) {
            return Reason::Network;
        }
        if unknown.is_empty() { Reason::Other } else { Reason::Unknown(unknown) }
    }
}

const DISK: &[&str] = &[
    "no space left on device",
    "you don't have enough free space",
    "not enough free disk space",
    "not enough free space",
    "no space on ",
    "disk requirements:",
    "not enough space",
    "more space needed on the",
];

const LOCKED: &[&str] = &[
    "could not get lock",
    "unable to acquire the dpkg frontend lock",
    "is another process using it",
    "unable to lock database",
    "unable to lock directory",
    "system management is locked",
    "can't create transaction lock",
    "waiting for process with pid",
];

const NETWORK: &[&str] = &[
    "could not resolve",
    "couldn't resolve",
    "temporary failure",
    "temporary error",
    "failed to fetch",
    "could not connect",
    "couldn't connect",
    "failed to connect",
    "connection refused",
    "connection timed out",
    "connection failed",
    "connection reset",
    "network is unreachable",
    "network error",
    "curl error",
    "cannot download",
    "failed retrieving file",
    "failed to synchronize",
    "failed to download",
    "errors during downloading metadata",
    "hash sum mismatch",
    "timed out",
    "timeout exceeded",
    "valid metadata not found",
    "download (curl) error",
    "dns error",
    "error sending request",
];

/// The words before and behind the name of a package that no repository has: apt twice, dnf
/// twice, yum, pacman, zypper twice, apk, brew.
const UNKNOWN: &[(&str, &str)] = &[
    ("Unable to locate package ", ""),
    ("Package '", "' has no installation candidate"),
    ("Unable to find a match: ", ""),
    ("No match for argument: ", ""),
    ("No package ", " available."),
    ("target not found: ", ""),
    ("No provider of '", "' found."),
    ("Package '", "' not found."),
    ("  ", " (no such package):"),
    ("No available formula with the name \"", "\""),
];

fn unknown_packages(output: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in output.lines() {
        for (before, behind) in UNKNOWN {
            let Some(at) = line.find(before) else { continue };
            let rest = &line[at + before.len()..];
            let Some(end) = (if behind.is_empty() { Some(rest.len()) } else { rest.find(behind) })
            else {
                continue;
            };
            let name = rest[..end].trim().trim_end_matches('.');
            if !name.is_empty() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// What the system is, and what it is like, most like first.
fn like(root: &Root) -> Vec<String> {
    if root.is_host() && cfg!(target_os = "macos") {
        return vec!["macos".to_owned()];
    }
    let (id, others) = os_release(root);
    id.into_iter().chain(others).collect()
}

/// ID and ID_LIKE of os-release.
fn os_release(root: &Root) -> (Option<String>, Vec<String>) {
    let read = |path: &&str| root.read(Path::new(path), LARGEST_OS_RELEASE).ok();
    let Some(bytes) = OS_RELEASE.iter().find_map(read) else { return (None, Vec::new()) };
    let text = String::from_utf8_lossy(&bytes);
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key))?;
        Some(line.trim().trim_matches(['"', '\'']).to_ascii_lowercase())
    };
    let likes = value("ID_LIKE=").unwrap_or_default();
    (value("ID="), likes.split_whitespace().map(str::to_owned).collect())
}

/// The distribution's name for itself; what files tell where there is no os-release.
pub fn distribution(root: &Root) -> Option<String> {
    const OTHERS: [(&str, &str); 4] = [
        ("/etc/debian_version", "debian"),
        ("/etc/redhat-release", "rhel"),
        ("/etc/alpine-release", "alpine"),
        ("/etc/arch-release", "arch"),
    ];
    let other = || {
        let found = OTHERS.iter().find(|(path, _)| root.exists(Path::new(path)));
        found.map(|(_, name)| (*name).to_owned())
    };
    os_release(root).0.or_else(other)
}

/// A program in the search path of a root.
pub fn find_program(root: &Root, search_path: &OsStr, name: &str) -> Option<PathBuf> {
    let folders = std::env::split_paths(search_path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(|path| root.is_file(path))
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn with(start: &[&str], packages: &[String]) -> Vec<String> {
    let mut command = words(start);
    command.extend(packages.iter().cloned());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_managers_print_tells_why_they_failed() {
        let unknown = |name: &str| Reason::Unknown(vec![name.to_owned()]);
        for (manager, code, output, reason) in [
            (
                Manager::Apt,
                100,
                "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)",
                Reason::Locked,
            ),
            (Manager::Apt, 100, "E: Unable to locate package nope", unknown("nope")),
            (Manager::Apt, 100, "E: Package 'gone' has no installation candidate", unknown("gone")),
            (
                Manager::Apt,
                100,
                "E: Failed to fetch http://x/y  Could not connect to 127.0.0.1:1",
                Reason::Network,
            ),
            (
                Manager::Apt,
                100,
                "E: You don't have enough free space in /var/cache/apt/archives/.",
                Reason::Disk,
            ),
            (Manager::Dnf, 1, "Error: Unable to find a match: nope", unknown("nope")),
            (
                Manager::Dnf,
                1,
                "Errors during downloading metadata for repository 'x'",
                Reason::Network,
            ),
            (Manager::Pacman, 1, "error: target not found: nope", unknown("nope")),
            (
                Manager::Pacman,
                1,
                "error: failed to synchronize all databases (unable to lock database)",
                Reason::Locked,
            ),
            (
                Manager::Pacman,
                1,
                "error: Partition / too full: 10 blocks needed, 2 blocks free\nerror: failed to commit transaction (not enough free disk space)",
                Reason::Disk,
            ),
            (Manager::Zypper, 104, "No provider of 'nope' found.", unknown("nope")),
            (
                Manager::Zypper,
                7,
                "System management is locked by the application with pid 12 (zypper).",
                Reason::Locked,
            ),
            (Manager::Zypper, 106, "Skipping repository", Reason::Network),
            (
                Manager::Apk,
                1,
                "ERROR: unable to select packages:\n  nope (no such package):\n    required by: world[nope]",
                unknown("nope"),
            ),
            (
                Manager::Apk,
                99,
                "ERROR: Unable to lock database: Resource temporarily unavailable",
                Reason::Locked,
            ),
            (
                Manager::Brew,
                1,
                "Warning: No available formula with the name \"nope\".",
                unknown("nope"),
            ),
            (Manager::Apt, 100, "dpkg: error processing package x (--configure)", Reason::Other),
        ] {
            assert_eq!(manager.reason(Some(code), output), reason, "{output}");
        }
    }

    #[test]
    fn nobody_is_asked_and_every_command_begins_with_the_program() {
        let packages = ["a".to_owned(), "b".to_owned()];
        for manager in Manager::ALL {
            for command in [manager.update(), manager.install(&packages)] {
                assert_eq!(command[0], manager.program());
            }
            let install = manager.install(&packages);
            assert!(install.ends_with(&packages), "{install:?}");
        }
    }
}
