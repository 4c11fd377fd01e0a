//! Programs that are fetched (`[[binary]]` with downloads): to a file beside the destination,
//! hashed while it comes, looked at as ELF, and only then moved into place. An archive goes to a
//! file without a name, and the program in it to the file beside the destination (`archive`). A
//! server that is slow, lies or stops half-way leaves nothing behind.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::archive::{self, ArchiveError};
use super::progress::Progress;
use crate::config::Severity;
use crate::config::package::Download;
use crate::config::profile::BinaryEntry;
use crate::elf;
use crate::engine::process::interrupted;
use crate::image::digest::{Digest, Hashing};
use crate::image::spool::Spool;
use crate::platform::{Arch, Root};

/// A server has this for taking the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at Ctrl-C.
const PAUSE: Duration = Duration::from_millis(100);
/// Nothing that is fetched is larger, nor what an archive unpacks to.
const LARGEST: u64 = 4 << 30;
/// A server that answers with this is asked again a little later (RFC 9110, 15.6).
const BUSY: [u16; 5] = [429, 500, 502, 503, 504];

/// A program to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What the profile calls it.
    pub name: String,
    /// Where it comes from.
    pub url: String,
    /// The hash of what comes from there.
    pub sha256: [u8; 32],
    /// The program's name in the archive that comes from there; `None` where it is the program.
    pub member: Option<String>,
    /// Where it goes, on this machine.
    pub destination: PathBuf,
    /// The machine it has to be for.
    pub arch: Arch,
    /// Whether it has to be there.
    pub required: bool,
}

/// Why there is no file.
#[derive(Debug)]
pub enum FetchError {
    /// The server, or the way to it: it may work later.
    Network(String),
    /// The server gives something else than was agreed.
    Refused(String),
    /// The file cannot be written.
    File(PathBuf, std::io::Error),
    /// The person has had enough.
    Interrupted,
}

impl FetchError {
    /// Whether the same may work a little later.
    pub fn passes(&self) -> bool {
        matches!(self, FetchError::Network(_))
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::Network(why) | FetchError::Refused(why) => out.write_str(why),
            FetchError::File(path, why) => write!(out, "cannot write {}: {why}", path.display()),
            FetchError::Interrupted => out.write_str("interrupted; nothing was put in place"),
        }
    }
}

impl std::error::Error for FetchError {}

/// The download of a profile's program for this architecture.
pub fn of(
    entry: &BinaryEntry,
    download: &Download,
    arch: Arch,
    root: &Root,
    severity: Severity,
) -> Result<Fetch, String> {
    let platform = format!("linux/{}", arch.docker());
    let source = download.sources.iter().find(|source| source.platform == platform);
    let Some(source) = source else {
        let known: Vec<&str> = download.sources.iter().map(|one| one.platform.as_str()).collect();
        return Err(format!("not there, and the profile has it for {} only", known.join(", ")));
    };
    let inside = download.destination.strip_prefix("/").unwrap_or(&download.destination);
    Ok(Fetch {
        name: entry.name.clone(),
        url: source.url.clone(),
        sha256: source.sha256,
        member: source.member.clone(),
        destination: root.base().join(inside),
        arch,
        required: severity == Severity::Required,
    })
}

/// Fetches it, or leaves everything as it was.
pub fn fetch(fetch: &Fetch, limit: Duration, progress: &mut Progress) -> Result<(), FetchError> {
    let (place, file) = Place::of(&fetch.destination)?;
    let (tell, told) = mpsc::channel();
    let wanted = fetch.clone();
    // A read that hangs must not keep Ctrl-C waiting: it is left behind with its thread.
    std::thread::spawn(move || {
        let ended = make(&wanted, file, limit, &tell);
        let _ = tell.send(Event::Ended(ended));
    });
    loop {
        match told.recv_timeout(PAUSE) {
            Ok(Event::Ended(ended)) => {
                ended?;
                return place.move_to(&fetch.destination);
            }
            Ok(Event::Received(count, total)) => progress.detail(&shown(count, total)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(FetchError::Network("the download has died".to_owned()));
            }
        }
        if interrupted() {
            return Err(FetchError::Interrupted);
        }
    }
}

/// The program, whole and looked at, in `file`.
fn make(
    wanted: &Fetch,
    mut file: File,
    limit: Duration,
    tell: &mpsc::Sender<Event>,
) -> Result<(), FetchError> {
    let failed = |error| FetchError::File(wanted.destination.clone(), error);
    match &wanted.member {
        None => receive(wanted, &mut file, limit, tell)?,
        Some(member) => {
            let spooled = |error| FetchError::File("the archive".into(), error);
            let spool = Spool::new().map_err(spooled)?.file();
            let mut archive = &*spool;
            receive(wanted, &mut archive, limit, tell)?;
            archive.rewind().map_err(failed)?;
            archive::unpack(archive, member, &mut file, LARGEST).map_err(|error| match error {
                ArchiveError::Write(error) => failed(error),
                other => refused(&wanted.url, other.to_string()),
            })?;
        }
    }
    check_machine(&file, wanted)?;
    file.set_permissions(fs::Permissions::from_mode(0o755)).map_err(failed)?;
    file.sync_all().map_err(failed)
}

enum Event {
    Received(u64, Option<u64>),
    Ended(Result<(), FetchError>),
}

fn shown(count: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} of {} MiB", count >> 20, total >> 20),
        None => format!("{} MiB", count >> 20),
    }
}

/// A file beside the destination, which goes away with it unless it is moved.
struct Place {
    path: PathBuf,
    /// A folder that was made for it.
    folder: Option<PathBuf>,
}

impl Place {
    /// And that file, open and empty.
    fn of(destination: &Path) -> Result<(Place, File), FetchError> {
        let folder = destination.parent().unwrap_or(Path::new("/"));
        let made = !folder.exists();
        let failed = |error| FetchError::File(folder.to_owned(), error);
        fs::create_dir_all(folder).map_err(failed)?;
        let name = destination.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.join(format!(".{name}.mak-{}", std::process::id()));
        let place = Place { path, folder: made.then(|| folder.to_owned()) };
        let file = File::options().write(true).read(true).create_new(true).open(&place.path);
        let file = file.map_err(|error| FetchError::File(place.path.clone(), error))?;
        Ok((place, file))
    }

    fn move_to(self, destination: &Path) -> Result<(), FetchError> {
        fs::rename(&self.path, destination)
            .map_err(|error| FetchError::File(destination.to_owned(), error))?;
        // The rename itself has to outlive a power cut.
        let folder = destination.parent().unwrap_or(Path::new("/"));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        if let Some(folder) = &self.folder {
            // Fails where the program has come into it.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// What the server gives, held against its hash.
fn receive(
    wanted: &Fetch,
    file: &mut impl Write,
    limit: Duration,
    tell: &mpsc::Sender<Event>,
) -> Result<(), FetchError> {
    let url = &wanted.url;
    let network = |why: String| FetchError::Network(format!("{url}: {why}"));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .timeout_connect(Some(CONNECT_LIMIT.min(limit)))
        .http_status_as_error(false)
        .user_agent(concat!("mak/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut answer = agent.get(url).call().map_err(|error| match error {
        ureq::Error::Timeout(_) => network(format!("no answer within {} s", limit.as_secs())),
        other => network(other.to_string()),
    })?;
    let status = answer.status().as_u16();
    if status != 200 {
        let why = format!("the server answers with status {status}");
        let error = if BUSY.contains(&status) { network(why) } else { refused(url, why) };
        return Err(error);
    }
    let total = answer.headers().get("content-length");
    let total = total.and_then(|value| value.to_str().ok()?.parse().ok());
    let failed = |error| FetchError::File(wanted.destination.clone(), error);
    let mut body = Hashing::new(answer.body_mut().with_config().limit(LARGEST).reader());
    let mut buffer = vec![0; 64 * 1024];
    let mut count: u64 = 0;
    loop {
        let read = body.read(&mut buffer).map_err(|error| {
            network(format!("the download broke off after {count} bytes: {error}"))
        })?;
        if read == 0 {
            break;
        }
        count += read as u64;
        file.write_all(&buffer[..read]).map_err(failed)?;
        let _ = tell.send(Event::Received(count, total));
    }
    if let Some(total) = total.filter(|total| *total != count) {
        return Err(network(format!("{count} of {total} bytes have come")));
    }
    let found = body.finish().map_err(|error| network(error.to_string()))?;
    let agreed = Digest::from(wanted.sha256);
    if found != agreed {
        let (found, agreed) = (found.hex(), agreed.hex());
        let why = format!("the file's sha256 is {found}, and the profile has {agreed}");
        return Err(refused(url, why));
    }
    Ok(())
}

fn refused(url: &str, why: String) -> FetchError {
    FetchError::Refused(format!("{url}: {why}"))
}

fn check_machine(file: &File, wanted: &Fetch) -> Result<(), FetchError> {
    let identity = elf::identify(file)
        .map_err(|error| refused(&wanted.url, format!("it is no program: {error}")))?;
    identity.runs_on(wanted.arch).map_err(|mismatch| {
        refused(&wanted.url, format!("it {mismatch}: the profile's URL is another platform's"))
    })
}
