//! What the workload is to be, beyond its command: user, limits, rights, environment. The words
//! of `[workload]` become plain data; what they mean in an image is settled by `cli/`, and
//! `init/attributes` applies it.

use std::ffi::OsStr;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit};

/// All of it; by default nothing is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Whom it runs as.
    pub account: Option<Account>,
    /// Its working directory, absolute.
    pub folder: Option<PathBuf>,
    /// Its file mode creation mask.
    pub umask: Option<u32>,
    /// Its nice value, -20 to 19; not an increment.
    pub nice: Option<i32>,
    /// How readily the kernel kills it where memory is out, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Resource limits, to be set in this order.
    pub limits: Vec<Limit>,
    /// Whether programs it starts may gain rights (set-user-ID, file capabilities).
    pub no_new_privs: bool,
    /// Capabilities it can never have.
    pub dropped: Capabilities,
    /// Files with variables.
    pub environment_files: Vec<PathBuf>,
    /// Variables whose value may come from the file that `<NAME>_FILE` names.
    pub secrets: Vec<String>,
    /// Whether what was given is left out, but for `kept`.
    pub clear_environment: bool,
    /// What stays of a cleared environment.
    pub kept: Vec<NamePattern>,
}

/// A user and perhaps a group, as they were named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: Id,
    /// The group; `None` for the user's own groups.
    pub group: Option<Id>,
}

/// A user or group. Digits are always the number, as for `docker run --user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// A name of `/etc/passwd` or `/etc/group`.
    Name(String),
    /// A number.
    Number(u32),
}

/// A resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// Soft and hard, in the units of setrlimit(2); `None` is unlimited.
    pub rlimit: Rlimit,
}

/// A variable's name, or with a `*` at its end how names begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    text: String,
    is_prefix: bool,
}

impl NamePattern {
    /// Whether this name is meant.
    pub fn matches(&self, name: &OsStr) -> bool {
        let (name, text) = (name.as_encoded_bytes(), self.text.as_bytes());
        if self.is_prefix { name.starts_with(text) } else { name == text }
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.group {
            None => self.user.fmt(out),
            Some(group) => write!(out, "{}:{group}", self.user),
        }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Id::Name(name) => out.write_str(name),
            Id::Number(number) => number.fmt(out),
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: Option<u64>| value.map_or("unlimited".to_owned(), |n| n.to_string());
        let (soft, hard) = (shown(self.rlimit.current), shown(self.rlimit.maximum));
        write!(out, "{}={soft}:{hard}", resource_name(self.resource))
    }
}

impl std::fmt::Display for NamePattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}{}", self.text, if self.is_prefix { "*" } else { "" })
    }
}

/// `USER` or `USER:GROUP`, names or numbers; nothing for nobody else.
pub fn account(word: &str) -> Result<Option<Account>, String> {
    if word.is_empty() {
        return Ok(None);
    }
    let (user, group) = match word.split_once(':') {
        None => (word, None),
        Some((user, group)) => (user, Some(id(group)?)),
    };
    Ok(Some(Account { user: id(user)?, group }))
}

fn id(word: &str) -> Result<Id, String> {
    if word.is_empty() || word.contains([':', '/', ',']) || word.contains(char::is_whitespace) {
        return Err("is not USER or USER:GROUP, each a name or a number".to_owned());
    }
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Id::Name(word.to_owned()));
    }
    // The highest number means "leave it" to the system calls.
    let number = word.parse().ok().filter(|id| *id != u32::MAX);
    number.map(Id::Number).ok_or_else(|| format!("has a number above {}", u32::MAX - 1))
}

/// An absolute path; nothing for the directory mak-init was started in.
pub fn folder(word: &str) -> Result<Option<PathBuf>, String> {
    match word {
        "" => Ok(None),
        _ if word.starts_with('/') => Ok(Some(PathBuf::from(word))),
        _ => Err("is not an absolute path".to_owned()),
    }
}

/// An octal mask that begins with 0. So a number of TOML, which would come as decimal digits, is
/// never taken for one.
pub fn umask(word: &str) -> Result<Option<u32>, String> {
    if word.is_empty() {
        return Ok(None);
    }
    let octal = word.starts_with('0').then(|| u32::from_str_radix(word, 8).ok()).flatten();
    octal
        .filter(|mask| *mask <= 0o777)
        .map(Some)
        .ok_or_else(|| "is not an octal mask that begins with 0, such as \"027\"".to_owned())
}

/// A whole number between two others; nothing to leave it.
pub fn whole(word: &str, lowest: i32, highest: i32) -> Result<Option<i32>, String> {
    if word.is_empty() {
        return Ok(None);
    }
    let number = word.parse().ok().filter(|number| (lowest..=highest).contains(number));
    number.map(Some).ok_or_else(|| format!("is not a whole number from {lowest} to {highest}"))
}

/// `NAME=SOFT:HARD` or `NAME=BOTH`, several with commas.
pub fn limits(word: &str) -> Result<Vec<Limit>, String> {
    list(word).map(limit).collect()
}

fn limit(word: &str) -> Result<Limit, String> {
    let (name, values) = word
        .split_once('=')
        .ok_or_else(|| "is not NAME=SOFT or NAME=SOFT:HARD, such as nofile=1024:4096".to_owned())?;
    let resource = resource(name)?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let rlimit = Rlimit { current: bound(soft)?, maximum: bound(hard)? };
    if rlimit.current.unwrap_or(u64::MAX) > rlimit.maximum.unwrap_or(u64::MAX) {
        return Err("has a soft limit above the hard one".to_owned());
    }
    Ok(Limit { resource, rlimit })
}

fn bound(word: &str) -> Result<Option<u64>, String> {
    if ["unlimited", "infinity", "-1"].contains(&word) {
        return Ok(None);
    }
    // The highest number is the kernel's own word for unlimited.
    match word.parse() {
        Ok(u64::MAX) => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => Err("has a limit that is neither a number nor unlimited".to_owned()),
    }
}

/// Names as in `docker run --ulimit` and setrlimit(2).
const RESOURCES: &[(&str, Resource)] = &[
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    #[cfg(target_os = "linux")]
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    #[cfg(target_os = "linux")]
    ("msgqueue", Resource::Msgqueue),
    #[cfg(target_os = "linux")]
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    #[cfg(target_os = "linux")]
    ("rtprio", Resource::Rtprio),
    #[cfg(target_os = "linux")]
    ("rttime", Resource::Rttime),
    #[cfg(target_os = "linux")]
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

fn resource(word: &str) -> Result<Resource, String> {
    let lower = word.to_ascii_lowercase();
    let name = lower.strip_prefix("rlimit_").unwrap_or(&lower);
    let found = RESOURCES.iter().find(|(known, _)| *known == name);
    found.map(|(_, resource)| *resource).ok_or_else(|| {
        let names: Vec<&str> = RESOURCES.iter().map(|(name, _)| *name).collect();
        format!("names no resource; there are {}", names.join(", "))
    })
}

fn resource_name(resource: Resource) -> &'static str {
    RESOURCES.iter().find(|(_, known)| *known == resource).map_or("?", |(name, _)| name)
}

/// Capabilities in the kernel's order (`man 7 capabilities`): the place is the number.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities, a bit for each number of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Every capability there can be, those that later kernels add included.
    const EVERY: Capabilities = Capabilities(u64::MAX);
}

/// `ALL`, or names with commas, with or without `CAP_`, in any case.
pub fn capabilities(word: &str) -> Result<Capabilities, String> {
    let mut set = Capabilities::default();
    for name in list(word) {
        let upper = name.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        set.0 |= match CAPABILITIES.iter().position(|known| *known == name) {
            Some(number) => 1 << number,
            None if name == "ALL" => Capabilities::EVERY.0,
            None => return Err("names no capability; see capabilities(7), or write ALL".to_owned()),
        };
    }
    Ok(set)
}

/// Capabilities as `capabilities` reads them.
pub fn show_capabilities(set: Capabilities) -> String {
    if set == Capabilities::EVERY {
        return "ALL".to_owned();
    }
    let has = |number: usize| set.0 >> number & 1 == 1;
    let named = CAPABILITIES.iter().enumerate().filter(|(number, _)| has(*number));
    named.map(|(_, name)| format!("CAP_{name}")).collect::<Vec<_>>().join(",")
}

/// Paths with commas between.
pub fn paths(word: &str) -> Vec<PathBuf> {
    list(word).map(PathBuf::from).collect()
}

/// Names of variables with commas between.
pub fn names(word: &str) -> Result<Vec<String>, String> {
    list(word)
        .map(|name| match name.contains(['=', '*', '\0']) || name.contains(char::is_whitespace) {
            true => Err("is not a list of names of variables".to_owned()),
            false => Ok(name.to_owned()),
        })
        .collect()
}

/// Names or `PREFIX_*`, with commas between.
pub fn patterns(word: &str) -> Result<Vec<NamePattern>, String> {
    list(word)
        .map(|name| {
            let text = name.strip_suffix('*').unwrap_or(name);
            match text.contains(['=', '*', '\0']) || text.contains(char::is_whitespace) {
                true => Err("is not a list of names such as LANG,APP_*".to_owned()),
                false => Ok(NamePattern { text: text.to_owned(), is_prefix: text != name }),
            }
        })
        .collect()
}

/// Shows a list as the functions above read it.
pub fn show_list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

fn list(word: &str) -> impl Iterator<Item = &str> {
    word.split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::CapabilitySet;

    #[test]
    fn a_user_is_a_name_or_a_number_and_digits_are_never_a_name() {
        let name = |text: &str| Id::Name(text.to_owned());
        for (word, user, group) in [
            ("app", name("app"), None),
            ("1000", Id::Number(1000), None),
            ("app:0", name("app"), Some(Id::Number(0))),
            ("4294967294:www-data", Id::Number(4_294_967_294), Some(name("www-data"))),
        ] {
            assert_eq!(account(word), Ok(Some(Account { user, group })), "{word}");
            assert_eq!(account(word).unwrap().unwrap().to_string(), word);
        }
        assert_eq!(account(""), Ok(None));
        for word in [":", "a:", ":b", "a:b:c", "4294967295", "a b", "99999999999", "/etc"] {
            assert!(account(word).is_err(), "{word}");
        }
    }

    #[test]
    fn a_mask_that_may_have_lost_its_octal_notation_is_refused() {
        assert_eq!(umask("027"), Ok(Some(0o27)));
        assert_eq!(umask("0"), Ok(Some(0)));
        assert_eq!(umask("0777"), Ok(Some(0o777)));
        for word in ["23", "511", "01000", "08", "0o27", "-1", "0-1"] {
            assert!(umask(word).is_err(), "{word}");
        }
    }

    #[test]
    fn limits_are_read_as_engines_read_them() {
        let read = limits("nofile=1024:4096,RLIMIT_CORE=unlimited,nproc=5").unwrap();
        assert_eq!(show_list(&read), "nofile=1024:4096,core=unlimited:unlimited,nproc=5:5");
        assert_eq!(limits(&show_list(&read)), Ok(read));
        for word in ["nofile", "files=1", "nofile=", "nofile=2:1", "nofile=unlimited:1", "cpu=1:x"]
        {
            assert!(limits(word).is_err(), "{word}");
        }
    }

    #[test]
    fn capabilities_have_the_numbers_of_the_kernel() {
        let set = capabilities("CAP_KILL,net_raw").unwrap();
        assert_eq!(set.0, (CapabilitySet::KILL | CapabilitySet::NET_RAW).bits());
        assert_eq!(show_capabilities(set), "CAP_KILL,CAP_NET_RAW");
        let last = capabilities("CHECKPOINT_RESTORE").unwrap();
        assert_eq!(last.0, CapabilitySet::CHECKPOINT_RESTORE.bits());
        assert_eq!(show_capabilities(capabilities("all").unwrap()), "ALL");
        assert!(capabilities("CAP_EVERYTHING").is_err());
    }

    #[test]
    fn a_pattern_is_a_name_or_how_names_begin() {
        let kept = patterns("LANG, APP_*").unwrap();
        let matches = |name: &str| kept.iter().any(|pattern| pattern.matches(OsStr::new(name)));
        assert!(matches("LANG") && matches("APP_") && matches("APP_X"));
        assert!(!matches("LANGUAGE") && !matches("APP") && !matches("XAPP_"));
        assert!(patterns("A*B").is_err() && patterns("A=1").is_err());
        assert!(names("A*").is_err() && names("A=/x").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_word_is_read_or_refused_without_a_panic(word in "[a-zA-Z0-9=:,*_ -]{0,30}") {
            let _ = (account(&word), umask(&word), whole(&word, -20, 19), limits(&word));
            let _ = (capabilities(&word), names(&word), patterns(&word));
        }
    }
}
