//! `mak-init status`: how the run is, for a person with `docker exec` and an image without curl.

use std::fmt::Write;

use serde_json::Value;

use super::healthcheck::{NO_ENDPOINT, Own, authorities, endpoint, timeout};
use super::words::{self, Words};
use super::{Started, code, print, refuse, say, usage};
use crate::health::probe::{Manners, Target, fetch};

/// Asks the endpoint for everything and shows it; 0 where it is healthy, else 1.
#[inline(never)]
pub fn main(started: &Started, words: &Words) -> u8 {
    let limit = match timeout(started, words) {
        Ok(limit) => limit,
        Err(why) => return usage(&why),
    };
    let as_json = match words.option(started, "format").unwrap_or("text".into()).to_str() {
        Some("text") => false,
        Some("json") => true,
        _ => return usage("--format: the value is neither text nor json"),
    };
    let (target, token) = match find(started, words) {
        Ok(Some(found)) => found,
        Ok(None) => {
            say(NO_ENDPOINT);
            return code::UNHEALTHY;
        }
        Err(code) => return code,
    };
    let manners = Manners { token, authorities: authorities(started) };
    let (status, body) = match fetch(&target, &manners, limit) {
        Ok(answer) => answer,
        Err(error) => {
            say(&error.to_string());
            return code::UNHEALTHY;
        }
    };
    let Ok(health) = serde_json::from_slice::<Value>(&body) else {
        say(&format!("{target}: status {status}, and the answer is not mak-init's"));
        return code::UNHEALTHY;
    };
    let text = if as_json { format!("{health:#}\n") } else { show(&health) };
    print(&text);
    if (200..=299).contains(&status) { code::FINE } else { code::UNHEALTHY }
}

fn find(started: &Started, words: &Words) -> Result<Option<Own>, u8> {
    match words.option(started, "url") {
        Some(url) => {
            let url = words::text("url", url).map_err(|why| usage(&why))?;
            Ok(Some((Target::Url(url), None)))
        }
        None => endpoint(started, words, "/health").map_err(|error| refuse(&error)),
    }
}

fn show(health: &Value) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{name:<13} {value}");
        }
    };
    line("status", &format!("{} ({})", word(&health["status"]), word(&health["state"])));
    let workload = &health["workload"];
    line(
        "workload",
        &match workload["pid"].as_u64() {
            Some(pid) => format!("pid {pid}, {} restarts", number(&workload["restarts"])),
            None => format!("not running, {} restarts", number(&workload["restarts"])),
        },
    );
    line("uptime", &format!("{} s", number(&health["uptime_seconds"])));
    line("verification", &word(&health["verification"]["outcome"]));
    let mut last: Option<(u64, String)> = None;
    for (name, list) in health["checks"].as_object().into_iter().flatten() {
        let check = &list[0];
        let output = word(&check["output"]);
        let why = if output.is_empty() { output } else { format!(": {output}") };
        line("check", &format!("{name} {}{why}", word(&check["status"])));
        if let Some(ago) = check["lastFailure"]["seconds_ago"].as_u64()
            && last.as_ref().is_none_or(|(known, _)| ago < *known)
        {
            last = Some((ago, format!("{name}: {}", word(&check["lastFailure"]["output"]))));
        }
    }
    if let Some((ago, text)) = last {
        line("last failure", &format!("{text}, {ago} s ago"));
    }
    out
}

/// Text as a terminal may see it; nothing where there is none.
fn word(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_of_all_failures_is_told() {
        let health = json!({
            "status": "fail", "state": "running", "uptime_seconds": 61,
            "workload": {"running": true, "pid": 7, "restarts": 2},
            "verification": {"outcome": "pass"},
            "checks": {
                "db": [{"status": "pass", "lastFailure": {"seconds_ago": 50, "output": "old"}}],
                "api": [{"status": "fail", "output": "status 500\u{1b}",
                    "lastFailure": {"seconds_ago": 3, "output": "status 500"}}],
            },
        });
        let text = show(&health);
        for wanted in [
            "status        fail (running)",
            "workload      pid 7, 2 restarts",
            "uptime        61 s",
            "check         api fail: status 500\n",
            "check         db pass\n",
            "last failure  api: status 500, 3 s ago",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }

    #[test]
    fn what_is_missing_is_no_reason_to_fail() {
        assert!(show(&json!({})).contains("not running"));
        assert!(show(&json!([1])).contains("status"));
    }
}
