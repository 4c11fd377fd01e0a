//! What is measured: the C programs of this folder, compiled here, the peers, and mak-init.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The part a program plays in the comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// fork, execve, wait.
    Bare,
    /// The least that is an init.
    Limit,
    /// Another init.
    Peer,
    /// mak-init.
    Ours,
}

/// An init to measure.
pub struct Init {
    /// Its name in the tables.
    pub name: &'static str,
    /// Its part.
    pub part: Part,
    /// Its words before the workload, the first being its path.
    pub words: Vec<String>,
}

/// Everything that is run.
pub struct Programs {
    /// In the order of the tables; mak-init is the last.
    pub inits: Vec<Init>,
    /// Ends at once.
    pub two_instructions: String,
    /// Never ends.
    pub idle: String,
    /// Notes when signals arrive.
    pub receiver: String,
    /// Makes orphans that die at once.
    pub swarm: String,
}

impl Programs {
    /// Compiles what has to be compiled and finds the rest.
    pub fn find(mak_init: &Path) -> Result<Programs, String> {
        let mak_init = mak_init.canonicalize().map_err(|error| {
            format!("cannot measure {}: {error}; scripts/build-static makes it", mak_init.display())
        })?;
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("programs");
        let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/programs");
        std::fs::create_dir_all(&built)
            .map_err(|error| format!("cannot make {}: {error}", built.display()))?;
        let compile = |file: &str, compiler: &str, flags: &[&str]| {
            compile(&source, &built, file, compiler, flags)
        };
        let alone = ["-static", "-nostdlib", "-no-pie"];
        let musl = ["-static", "-no-pie", "-O2", "-s"];
        let bare = compile("bare.c", "musl-gcc", &musl)?;
        let limit = compile("limit.c", "musl-gcc", &musl)?;
        let init = |name, part, path: &str, rest: &[&str]| Init {
            name,
            part,
            words: std::iter::once(path).chain(rest.iter().copied()).map(str::to_owned).collect(),
        };
        Ok(Programs {
            inits: vec![
                init("fork+exec+wait in C", Part::Bare, &bare, &[]),
                init("the limit: an init in C", Part::Limit, &limit, &[]),
                init("tini", Part::Peer, &installed("tini")?, &["-s", "--"]),
                init("dumb-init", Part::Peer, &installed("dumb-init")?, &["--"]),
                init("catatonit", Part::Peer, &installed("catatonit")?, &["--"]),
                init("mak-init", Part::Ours, &mak_init.to_string_lossy(), &["--"]),
            ],
            two_instructions: compile("two_instructions.S", "gcc", &alone)?,
            idle: compile("idle.S", "gcc", &alone)?,
            receiver: compile("receiver.c", "musl-gcc", &musl)?,
            swarm: compile("swarm.c", "musl-gcc", &musl)?,
        })
    }

    /// Where in the tables the program of this name stands.
    pub fn place(&self, name: &str) -> usize {
        self.inits.iter().position(|init| init.name == name).unwrap_or(0)
    }

    /// Where the limit stands.
    pub fn limit(&self) -> usize {
        self.inits.iter().position(|init| init.part == Part::Limit).unwrap_or(0)
    }
}

fn compile(
    source: &Path,
    built: &Path,
    file: &str,
    compiler: &str,
    flags: &[&str],
) -> Result<String, String> {
    let (from, to) = (source.join(file), built.join(file).with_extension(""));
    let ended = Command::new(compiler).args(flags).arg("-o").args([&to, &from]).status();
    match ended {
        Ok(status) if status.success() => Ok(to.to_string_lossy().into_owned()),
        Ok(_) => Err(format!("{compiler} cannot compile {}", from.display())),
        Err(error) => {
            Err(format!("cannot run {compiler}: {error}; Debian: apt-get install gcc musl-tools"))
        }
    }
}

fn installed(name: &str) -> Result<String, String> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .map(|folder| format!("{folder}/{name}"))
        .find(|candidate| Path::new(candidate).is_file())
        .ok_or(format!("{name} is not installed; Debian: apt-get install tini dumb-init catatonit"))
}
