//! `mak-init healthcheck`: asks the container's own endpoint, for `HEALTHCHECK`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use super::words::{self, Words};
use super::{Started, code, configuration, refuse, say, usage};
use crate::config::{ConfigError, word};
use crate::health::probe::{probe, target_from_listen};

/// How long the whole probe may take, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// As much of PID 1's command line as is read.
const LONGEST_COMMAND_LINE: u64 = 1 << 20;

/// Asks once; 0 is healthy, 1 is not, with one line that says why.
#[inline(never)]
pub fn main(started: &Started, words: &Words) -> u8 {
    let timeout = match words.option(started, "timeout") {
        None => TIMEOUT,
        Some(value) => match word::duration(&value.to_string_lossy()) {
            Ok(time) if !time.is_zero() => time,
            Ok(_) => return usage("--timeout: no time is too short for any probe"),
            Err(why) => return usage(&format!("--timeout: the value {why}")),
        },
    };
    let url = match endpoint(started, words) {
        Ok(Some(url)) => url,
        Ok(None) => {
            say("there is no health endpoint to ask: name one with --url, or configure one with \
                 --listen, MAK_INIT_LISTEN, [health] listen, or a profile that has one");
            return code::UNHEALTHY;
        }
        Err(error) => return refuse(&error),
    };
    match probe(&url, timeout) {
        Ok(_) => code::FINE,
        Err(error) => {
            say(&error.to_string());
            code::UNHEALTHY
        }
    }
}

/// The endpoint's URL: from `--url`, else from the configuration as it stands here, else as it
/// stands with what PID 1 was told on its command line.
fn endpoint(started: &Started, words: &Words) -> Result<Option<String>, ConfigError> {
    if let Some(url) = words.option(started, "url") {
        return words::text("url", url).map(Some).map_err(ConfigError::Usage);
    }
    if let Some(address) = configuration(started, words)?.values.listen {
        return Ok(Some(target_from_listen(address)));
    }
    let Some(of_init) = words_of_init() else { return Ok(None) };
    let address = configuration(started, &of_init)?.values.listen;
    Ok(address.map(target_from_listen))
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
