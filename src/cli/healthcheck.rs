//! `mak-init healthcheck`: asks the container's own endpoint, for `HEALTHCHECK`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use super::words::{self, Words};
use super::{Started, code, configuration, refuse, say, usage};
use crate::config::setting::Listen;
use crate::config::{ConfigError, Effective, word};
use crate::health::probe::{Expected, Question, Target, probe, target_from_listen};
use crate::health::token;

/// What is asked of the container's own endpoint: the verdict of `/health` without its figures, and
/// open without a token.
const PATH: &str = "/readyz";
/// How long the whole probe may take, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// As much of PID 1's command line as is read.
const LONGEST_COMMAND_LINE: u64 = 1 << 20;
/// The most further attempts.
const MOST_RETRIES: u32 = 1000;

/// Asks; 0 is healthy, 1 is not, with one line that says why.
#[inline(never)]
pub fn main(started: &Started, words: &Words) -> u8 {
    let mut question = match question(started, words) {
        Ok(question) => question,
        Err(why) => return usage(&why),
    };
    let target = match target(started, words) {
        Ok(Some(target)) => target,
        Ok(None) => match endpoint(started, words, PATH) {
            Ok(Some((target, token))) => {
                question.manners.token = token;
                target
            }
            Ok(None) => {
                say(NO_ENDPOINT);
                return code::UNHEALTHY;
            }
            Err(error) => return refuse(&error),
        },
        Err(why) => return usage(&why),
    };
    match probe(&target, &question) {
        Ok(()) => code::FINE,
        Err(error) => {
            say(&error.to_string());
            code::UNHEALTHY
        }
    }
}

/// What to say where nothing is configured.
pub const NO_ENDPOINT: &str = "there is no health endpoint to ask: name one with --url, or \
     configure one with --listen, MAK_INIT_LISTEN, [health] listen, or a profile that has one";

/// The value of `--timeout`.
pub fn timeout(started: &Started, words: &Words) -> Result<Duration, String> {
    let Some(value) = words.option(started, "timeout") else { return Ok(TIMEOUT) };
    match word::duration(&value.to_string_lossy()) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("--timeout: no time is too short for any probe".to_owned()),
        Err(why) => Err(format!("--timeout: the value {why}")),
    }
}

fn question(started: &Started, words: &Words) -> Result<Question, String> {
    let mut question = Question::simple(timeout(started, words)?);
    question.manners.authorities = authorities(started);
    if let Some(value) = words.option(started, "expect") {
        question.expected = Expected::parse(&words::text("expect", value)?);
    }
    if let Some(value) = words.option(started, "retries") {
        let number = value.to_str().and_then(|word| word.parse().ok());
        question.retries = number
            .filter(|number| *number <= MOST_RETRIES)
            .ok_or_else(|| format!("--retries: the value is not 0 to {MOST_RETRIES}"))?;
    }
    Ok(question)
}

/// The file of certificates that SSL_CERT_FILE names, as OpenSSL has it.
pub fn authorities(started: &Started) -> Option<PathBuf> {
    let mut named = started.environment.iter().filter(|(name, _)| name == "SSL_CERT_FILE");
    named.next().map(|(_, path)| PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty())
}

/// What was named to be asked.
fn target(started: &Started, words: &Words) -> Result<Option<Target>, String> {
    let option = |flag| words.option(started, flag).map(|value| words::text(flag, value));
    let url = option("url").transpose()?;
    let tcp = option("tcp").transpose()?;
    let unix = words.option(started, "unix").map(PathBuf::from);
    Ok(match (url, tcp, unix) {
        (None, None, None) => None,
        (Some(url), None, None) => Some(Target::Url(url)),
        (None, Some(address), None) => Some(Target::Tcp(address)),
        (None, None, Some(path)) => Some(Target::Unix(path)),
        (Some(url), None, Some(path)) => Some(Target::Own(Listen::Unix(path), path_of(&url)?)),
        (_, Some(_), _) => return Err("--tcp stands alone; leave out --url and --unix".to_owned()),
    })
}

/// The path of a URL that is asked behind a socket: its host says nothing there.
fn path_of(url: &str) -> Result<String, String> {
    let rest = match url.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None if url.starts_with('/') => url,
        None => return Err("--url: with --unix it is a path or begins with http://".to_owned()),
    };
    if rest.chars().any(|c| c.is_control() || c == ' ') {
        return Err("--url: it has blanks or control characters in it".to_owned());
    }
    Ok(rest.to_owned())
}

/// An endpoint of mak-init's own, and the token that opens it.
pub type Own = (Target, Option<Vec<u8>>);

/// The endpoint's target for `path` and its token: from the configuration as it stands here, else
/// as it stands with what PID 1 was told on its command line. Where the token cannot be read,
/// `/readyz` is asked, which needs none.
pub fn endpoint(started: &Started, words: &Words, path: &str) -> Result<Option<Own>, ConfigError> {
    let here = configuration(started, words)?;
    if here.values.listen.is_some() {
        return Ok(of(&here, path));
    }
    match words_of_init() {
        None => Ok(None),
        Some(of_init) => configuration(started, &of_init).map(|there| of(&there, path)),
    }
}

fn of(effective: &Effective, path: &str) -> Option<Own> {
    let listen = effective.values.listen.as_ref()?;
    Some(match &effective.values.token_file {
        None => (target_from_listen(listen, path), None),
        Some(file) => match token::read(file) {
            Ok(token) => (target_from_listen(listen, path), Some(token)),
            Err(_) => (target_from_listen(listen, "/readyz"), None),
        },
    })
}

/// What PID 1 was told, if it is a mak-init that runs a workload: arguments that make no sense
/// belong to another program.
fn words_of_init() -> Option<Words> {
    use std::io::Read;
    let mut line = Vec::new();
    std::fs::File::open("/proc/1/cmdline")
        .and_then(|file| file.take(LONGEST_COMMAND_LINE).read_to_end(&mut line))
        .ok()?;
    let arguments = line.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    words::read(arguments.skip(1)).ok()
}
