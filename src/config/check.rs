//! `[[check]]`: what the health process looks at, how often, and what a failure means. Plain data;
//! `profile` and `resolve` read it, `health` acts on it, `init` holds what it may be asked to run.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::document::{Document, Placed, Section};
use super::word;

/// The most checks of one configuration: PID 1 and health keep a place for each.
pub const MOST: usize = 64;

/// Which question a check answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The workload lives; while it fails, `/livez` fails.
    Alive,
    /// The workload can serve; while it fails, `/readyz` fails.
    Ready,
}

/// What PID 1 does when a check of the level alive fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing.
    None,
    /// The workload is stopped; the restart policy has the last word on what follows.
    Restart,
    /// mak-init stops, as if it had been asked to.
    Stop,
}

/// A URL that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `http://`, with a host that needs no name service: the health process can ask none.
    Plain {
        /// Where to connect.
        address: SocketAddr,
        /// The `Host` header: host and port as they were written.
        host: String,
        /// Path and query, from the first `/` on.
        path: String,
    },
    /// `https://`, with any host: a child of PID 1 asks.
    Tls(String),
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A URL that has to answer.
    Http {
        /// Whom to ask.
        target: Target,
        /// The lowest and the highest good status.
        status: (u16, u16),
        /// What the body has to contain.
        body: Option<String>,
        /// A header that has to be there: name, and what its value has to contain.
        header: Option<(String, String)>,
    },
    /// A URL that has to answer 2xx with a JSON object whose `status` is `pass`, `ok`, `up` or
    /// `warn` (draft-inadarei-api-health-check).
    Endpoint(Target),
    /// A port that has to accept a connection.
    Tcp(SocketAddr),
    /// A stream socket in the file system that has to accept one.
    Unix(PathBuf),
    /// A program that has to end with 0.
    Exec(Vec<String>),
    /// A file that has to be there.
    File {
        /// Which one.
        path: PathBuf,
        /// As old as it may be at most, by its last change.
        younger_than: Option<Duration>,
    },
    /// A file system that has to have room.
    Disk {
        /// A path in it.
        path: PathBuf,
        /// Bytes that have to be free.
        free: u64,
    },
    /// The container's memory: its use has to stay below this part of its limit, in percent.
    Memory(u8),
    /// A process of this name has to run; the workload itself where none is named.
    Process(Option<String>),
    /// The workload says by `NOTIFY_SOCKET` that it is ready, and, where this is given, at least
    /// so often that it lives.
    Notify(Option<Duration>),
}

impl Subject {
    /// The word for it in a file.
    pub const fn kind(&self) -> &'static str {
        match self {
            Subject::Http { .. } => "http",
            Subject::Endpoint(_) => "endpoint",
            Subject::Tcp(_) => "tcp",
            Subject::Unix(_) => "unix",
            Subject::Exec(_) => "exec",
            Subject::File { .. } => "file",
            Subject::Disk { .. } => "disk",
            Subject::Memory(_) => "memory",
            Subject::Process(_) => "process",
            Subject::Notify(_) => "notify",
        }
    }

    /// Whether PID 1 has to look: the health process can run nothing, reaches no files, and knows
    /// neither names nor certificates.
    pub const fn needs_init(&self) -> bool {
        match self {
            Subject::Unix(_) | Subject::Exec(_) | Subject::File { .. } | Subject::Disk { .. } => {
                true
            }
            Subject::Http { target, .. } | Subject::Endpoint(target) => {
                matches!(target, Target::Tls(_))
            }
            Subject::Tcp(_) | Subject::Memory(_) | Subject::Process(_) | Subject::Notify(_) => {
                false
            }
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckEntry {
    /// Its name in URLs and metrics: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What is looked at.
    pub subject: Subject,
    /// From one look to the next.
    pub interval: Duration,
    /// How long a look may take.
    pub timeout: Duration,
    /// As much is added to the interval at most, by chance.
    pub jitter: Duration,
    /// Failures count from then on, or from the first success.
    pub start_period: Duration,
    /// As many failures in a row make it fail.
    pub failures: u32,
    /// As many successes in a row make it pass.
    pub successes: u32,
    /// Which question it answers.
    pub level: Level,
    /// What its failure leads to.
    pub on_failure: OnFailure,
}

const KINDS: &[&str] =
    &["http", "endpoint", "tcp", "unix", "exec", "file", "disk", "memory", "process", "notify"];

/// All `[[check]]` tables of a file.
pub(super) fn read_checks(doc: &mut Document, top: &mut Section) -> Vec<CheckEntry> {
    let mut checks: Vec<CheckEntry> = Vec::new();
    for table in top.tables(doc, "check") {
        let at = table.at();
        let Some(check) = read_check(doc, table) else { continue };
        if checks.iter().any(|known| known.name == check.name) {
            doc.problem(at, format!("there are two checks named {:?}", check.name));
        } else if checks.len() == MOST {
            doc.problem(at, format!("there are more than {MOST} checks"));
        } else {
            checks.push(check);
        }
    }
    checks
}

fn read_check(doc: &mut Document, mut table: Section) -> Option<CheckEntry> {
    let name = table.required_string(doc, "name");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.value.is_empty() || name.value.len() > 40 || !name.value.chars().all(plain) {
        doc.problem(name.at, "name must be 1 to 40 letters, digits, '-', '_' or '.'");
    }
    let subject = read_subject(doc, &mut table);
    let mut time = |doc: &mut Document, key: &str, default: u64| {
        read_time(doc, &mut table, key).unwrap_or(Duration::from_secs(default))
    };
    let interval = time(doc, "interval", 10);
    let timeout = time(doc, "timeout", 3);
    let jitter = time(doc, "jitter", 0);
    let start_period = time(doc, "start_period", 0);
    if interval < Duration::from_millis(100) || timeout.is_zero() {
        doc.problem(table.at(), "interval must be 100ms at least, and timeout more than nothing");
    }
    let failures = read_count(doc, &mut table, "failures", 3);
    let successes = read_count(doc, &mut table, "successes", 1);
    let level =
        choose(doc, &mut table, "level", &[("ready", Level::Ready), ("alive", Level::Alive)]);
    let actions =
        [("none", OnFailure::None), ("restart", OnFailure::Restart), ("stop", OnFailure::Stop)];
    let on_failure = choose(doc, &mut table, "on_failure", &actions);
    if on_failure != OnFailure::None && level != Level::Alive {
        doc.problem(table.at(), "on_failure needs level = \"alive\"");
    }
    table.finish(doc);
    Some(CheckEntry {
        name: name.value,
        subject: subject?,
        interval,
        timeout,
        jitter,
        start_period,
        failures,
        successes,
        level,
        on_failure,
    })
}

/// The first choice holds where nothing is said.
fn choose<T: Copy>(doc: &mut Document, table: &mut Section, key: &str, known: &[(&str, T)]) -> T {
    let word = table.string(doc, key);
    let found = word.as_ref().and_then(|word| known.iter().find(|(name, _)| *name == word.value));
    if let (Some(word), None) = (&word, found) {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        doc.problem(word.at, format!("{key} must be one of {}", names.join(", ")));
    }
    found.unwrap_or(&known[0]).1
}

fn read_time(doc: &mut Document, table: &mut Section, key: &str) -> Option<Duration> {
    let word = table.word(doc, key)?;
    noted(doc, key, &word, word::duration(&word.value))
}

fn read_count(doc: &mut Document, table: &mut Section, key: &str, default: u32) -> u32 {
    let Some(word) = table.word(doc, key) else { return default };
    let count = word.value.parse().ok().filter(|count| (1..=1000).contains(count));
    noted(doc, key, &word, count.ok_or_else(|| "is not 1 to 1000".to_owned())).unwrap_or(default)
}

fn noted<T>(
    doc: &mut Document,
    key: &str,
    word: &Placed<String>,
    read: Result<T, String>,
) -> Option<T> {
    read.map_err(|why| doc.problem(word.at, format!("{key}: {:?} {why}", word.value))).ok()
}

fn read_subject(doc: &mut Document, table: &mut Section) -> Option<Subject> {
    let kind = table.required_string(doc, "kind");
    Some(match kind.value.as_str() {
        "http" => Subject::Http {
            target: read_target(doc, table)?,
            status: read_status(doc, table),
            body: table.string(doc, "body").map(|text| text.value),
            header: read_header(doc, table),
        },
        "endpoint" => Subject::Endpoint(read_target(doc, table)?),
        "tcp" => {
            let word = table.required_string(doc, "address");
            let read = address(&word.value, None).ok_or_else(|| {
                "is not IP:PORT; localhost is known too, and for any other name use an exec check"
                    .to_owned()
            });
            Subject::Tcp(noted(doc, "address", &word, read)?)
        }
        "unix" => Subject::Unix(read_path(doc, table)?),
        "exec" => {
            let words = table.strings(doc, "command").unwrap_or_default();
            if words.first().is_none_or(|word| word.value.is_empty()) {
                doc.problem(table.at(), "an exec check needs command = [\"PROGRAM\", \"ARG\", …]");
            }
            Subject::Exec(words.into_iter().map(|word| word.value).collect())
        }
        "file" => Subject::File {
            path: read_path(doc, table)?,
            younger_than: read_time(doc, table, "younger_than"),
        },
        "disk" => {
            let path = read_path(doc, table)?;
            let word = table.word(doc, "free");
            let word = word.unwrap_or(Placed { value: "100M".to_owned(), at: table.at() });
            Subject::Disk { path, free: noted(doc, "free", &word, bytes(&word.value))? }
        }
        "memory" => {
            let word = table.word(doc, "below");
            let word = word.unwrap_or(Placed { value: "95".to_owned(), at: table.at() });
            let part = word.value.trim_end_matches('%').parse().ok();
            let part = part.filter(|part| (1..=100).contains(part));
            let part = part.ok_or_else(|| "is not 1% to 100%".to_owned());
            Subject::Memory(noted(doc, "below", &word, part)?)
        }
        "process" => Subject::Process(table.string(doc, "process").map(|text| text.value)),
        "notify" => Subject::Notify(read_time(doc, table, "watchdog")),
        other => {
            let hint = super::suggest::hint(other, KINDS.iter().copied());
            doc.problem(kind.at, format!("kind: {other:?} is none of {}{hint}", KINDS.join(", ")));
            return None;
        }
    })
}

fn read_path(doc: &mut Document, table: &mut Section) -> Option<PathBuf> {
    let path = table.required_string(doc, "path");
    let absolute = path.value.starts_with('/') && !path.value.contains('\0');
    noted(doc, "path", &path, absolute.then_some(()).ok_or("does not begin with /".to_owned()))?;
    Some(PathBuf::from(path.value))
}

fn read_status(doc: &mut Document, table: &mut Section) -> (u16, u16) {
    let Some(word) = table.word(doc, "status") else { return (200, 299) };
    let (low, high) = word.value.split_once('-').unwrap_or((&word.value, &word.value));
    let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
    let range = code(low).zip(code(high)).filter(|(low, high)| low <= high);
    let range = range.ok_or_else(|| "is not like 200 or 200-299".to_owned());
    noted(doc, "status", &word, range).unwrap_or((200, 299))
}

fn read_header(doc: &mut Document, table: &mut Section) -> Option<(String, String)> {
    let word = table.string(doc, "header")?;
    let pair = word.value.split_once(':').filter(|(name, _)| !name.trim().is_empty());
    let pair = pair.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    noted(doc, "header", &word, pair.ok_or_else(|| "is not like \"Name: value\"".to_owned()))
}

fn read_target(doc: &mut Document, table: &mut Section) -> Option<Target> {
    let url = table.required_string(doc, "url");
    let read = target(&url.value);
    noted(doc, "url", &url, read)
}

/// The parts of `http://HOST[:PORT][/PATH]`; an `https://` URL stays whole.
fn target(url: &str) -> Result<Target, String> {
    if url.chars().any(|c| c.is_control() || c == ' ') {
        return Err("has blanks or control characters in it".to_owned());
    }
    if let Some(rest) = url.strip_prefix("https://") {
        return match rest.starts_with(['/', '?', ':']) || rest.is_empty() {
            true => Err("names no host".to_owned()),
            false if cfg!(feature = "https") => Ok(Target::Tls(url.to_owned())),
            false => Err("cannot be asked: this mak-init is built without https; use an http:// \
                          URL, or build it with --features https"
                .to_owned()),
        };
    }
    let rest = url.strip_prefix("http://").ok_or("does not begin with http://")?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    let address = address(host, Some(80)).ok_or(
        "has no IP address for its host; localhost is known too, and for any other name use an \
         exec check of mak-init healthcheck --url",
    )?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Target::Plain { address, host: host.to_owned(), path: format!("{slash}{path}") })
}

/// `IP:PORT` and `localhost:PORT`; the port may be left out where there is a usual one.
fn address(text: &str, port: Option<u16>) -> Option<SocketAddr> {
    if let Some(rest) = text.strip_prefix("localhost") {
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok(),
            None => port.filter(|_| rest.is_empty()),
        };
        return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port?));
    }
    let bare = || {
        let ip = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        Some(SocketAddr::new(ip.parse().ok()?, port?))
    };
    text.parse().ok().or_else(bare)
}

/// A size: `500`, `64K`, `100M`, `2G`, in powers of 1024.
fn bytes(word: &str) -> Result<u64, String> {
    let refused = || "is not a size; write 500M or 2G".to_owned();
    let at = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (number, unit) = word.split_at(at);
    let power = match unit.trim_end_matches("iB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(refused()),
    };
    let number: u64 = number.parse().map_err(|_| refused())?;
    number.checked_mul(1 << power).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Vec<CheckEntry>, Vec<String>> {
        let mut document = Document::new(Path::new("/x.toml"), text);
        let mut top = document.parse();
        let checks = read_checks(&mut document, &mut top);
        top.finish(&mut document);
        let problems = document.finish();
        if problems.is_empty() { Ok(checks) } else { Err(problems) }
    }

    fn plain(address: &str, host: &str, path: &str) -> Target {
        let (host, path) = (host.to_owned(), path.to_owned());
        Target::Plain { address: address.parse().unwrap(), host, path }
    }

    #[test]
    fn every_kind_is_read_with_its_own_keys() {
        let text = r#"
[[check]]
name = "api"
kind = "http"
url = "http://localhost:5001/v?x=1"
status = "200-204"
body = "ok"
header = "Content-Type: json"
interval = "5s"
level = "alive"
on_failure = "restart"
[[check]]
name = "db"
kind = "tcp"
address = "[::1]:5432"
[[check]]
name = "room"
kind = "disk"
path = "/data"
free = "2G"
[[check]]
name = "mem"
kind = "memory"
below = "90%"
[[check]]
name = "run"
kind = "exec"
command = ["true", "-x"]
failures = 1
[[check]]
name = "beat"
kind = "notify"
watchdog = "30s"
"#;
        let checks = read(text).unwrap();
        let Subject::Http { target, status, .. } = &checks[0].subject else { panic!() };
        assert_eq!(target, &plain("127.0.0.1:5001", "localhost:5001", "/v?x=1"));
        assert_eq!(*status, (200, 204));
        assert_eq!((checks[0].level, checks[0].on_failure), (Level::Alive, OnFailure::Restart));
        assert_eq!(checks[1].subject, Subject::Tcp("[::1]:5432".parse().unwrap()));
        assert_eq!(checks[2].subject, Subject::Disk { path: "/data".into(), free: 2 << 30 });
        assert_eq!(checks[3].subject, Subject::Memory(90));
        assert_eq!((checks[4].failures, checks[1].failures, checks[1].successes), (1, 3, 1));
        assert_eq!(checks[5].subject, Subject::Notify(Some(Duration::from_secs(30))));
    }

    #[test]
    fn every_problem_of_a_check_is_named_with_its_place() {
        let text = r#"
[[check]]
name = "a b"
kind = "htp"
[[check]]
name = "b"
kind = "http"
url = "http://example.org/"
interval = "0s"
on_failure = "stop"
[[check]]
name = "c"
kind = "exec"
level = "dead"
[[check]]
name = "d"
kind = "file"
path = "relative"
url = "x"
"#;
        let problems = read(text).unwrap_err().join("\n");
        for wanted in [
            "3:8: name must",
            "did you mean \"http\"",
            "exec check of mak-init healthcheck",
            "interval must be",
            "on_failure needs",
            "needs command",
            "level must be one of ready, alive",
            "path: \"relative\"",
        ] {
            assert!(problems.contains(wanted), "{wanted}: {problems}");
        }
    }

    #[test]
    fn two_checks_of_one_name_are_refused() {
        let one = "[[check]]\nname = \"m\"\nkind = \"memory\"\n";
        let problems = read(&one.repeat(2)).unwrap_err();
        assert!(problems[0].contains("two checks"), "{problems:?}");
    }

    #[test]
    fn hosts_are_addresses_and_sizes_have_units() {
        for (url, wanted) in [
            ("http://127.0.0.1", plain("127.0.0.1:80", "127.0.0.1", "/")),
            ("http://[::1]/x", plain("[::1]:80", "[::1]", "/x")),
            ("http://localhost?q", plain("127.0.0.1:80", "localhost", "/?q")),
            ("http://10.0.0.1:8080/", plain("10.0.0.1:8080", "10.0.0.1:8080", "/")),
        ] {
            assert_eq!(target(url), Ok(wanted), "{url}");
        }
        for url in ["https:///x", "https://", "ftp://x", "http://", "http://a b/", "http://a"] {
            assert!(target(url).is_err(), "{url}");
        }
        match target("https://example.org/x") {
            Ok(found) => assert_eq!(found, Target::Tls("https://example.org/x".to_owned())),
            Err(why) => assert!(!cfg!(feature = "https") && why.contains("built without https")),
        }
        assert_eq!(bytes("64K"), Ok(65536));
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        for word in ["", "M", "-1", "1.5G", "99999999999999T"] {
            assert!(bytes(word).is_err(), "{word}");
        }
    }
}
