//! `mak-init platform`: what this machine is.

use std::path::Path;

use super::words::Words;
use super::{Started, code, print, say, usage};
use crate::platform::{Root, detect, text};

/// Prints it in the form asked for.
#[inline(never)]
pub fn main(started: &Started, words: &Words) -> u8 {
    let format = words.option(started, "format").unwrap_or("text".into());
    let root = match words.option(started, "root") {
        None => Root::host(),
        Some(path) => match Root::at(Path::new(&path)) {
            Ok(root) => root,
            Err(error) => return usage(&format!("--root: {path:?}: {error}")),
        },
    };
    match format.to_str() {
        Some("text") => print(&text::for_people(&detect(&root))),
        Some("env") => print(&text::for_shells(&detect(&root))),
        Some("json") => match serde_json::to_string_pretty(&detect(&root)) {
            Ok(json) => print(&(json + "\n")),
            Err(error) => {
                say(&format!("cannot show the platform as JSON: {error}"));
                code::FAILED
            }
        },
        _ => usage("--format: the value is not one of text, json, env"),
    }
}
