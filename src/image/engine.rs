//! An image of the container engine, asked for at its socket (Docker Engine API, "Export an
//! image"): the archive that `docker save` would write, into a file without a name.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use super::error::ImageError;
use super::percent::encoded;
use super::spool::{Spool, Spooling};
use crate::engine::socket::{self, NoAddress, Request};

/// An engine that packs a large image says nothing for a while.
const PATIENCE: Duration = Duration::from_secs(300);
/// What an engine says in an error.
const MOST_TEXT: u64 = 4096;

/// The archive of the image of this name.
pub fn save(name: &str) -> Result<File, ImageError> {
    let environment: Vec<_> = std::env::vars_os().collect();
    let address = socket::address(&environment).map_err(|error| match error {
        NoAddress::Unspoken(_) => ImageError::usage(format!(
            "{error}; pipe it instead: docker save NAME | mak image verify -"
        )),
        NoAddress::NoSocket(_) => ImageError::passing(format!("{error} (DOCKER_HOST names one)")),
    })?;
    let passing = |error: io::Error| {
        ImageError::passing(format!("no engine answers at {address} (DOCKER_HOST): {error}"))
    };
    let path = format!("/images/{}/get", encoded(name, b"/:@"));
    let request = Request { method: "GET", path: &path, body: &[], limit: PATIENCE };
    let answer = socket::ask(&address, request).map_err(passing)?;
    if answer.status != 200 {
        let mut text = String::new();
        let _ = answer.body.take(MOST_TEXT).read_to_string(&mut text);
        let text = text.trim();
        return Err(match answer.status {
            404 => ImageError::usage(format!("the engine has no image {name}: {text}")),
            status => {
                ImageError::passing(format!("the engine answers {status} for {name}: {text}"))
            }
        });
    }
    let spool = Spool::of(answer.body).map_err(|error| match error {
        Spooling::Read(error) => passing(error),
        Spooling::Write(error) => ImageError::io(&format!("docker:{name}"), &error),
    })?;
    spool.file().try_clone().map_err(|error| ImageError::io(&format!("docker:{name}"), &error))
}
