//! Memory of an idle init: `Rss` and `Anonymous` of smaps_rollup, one program at a time, so that no second copy runs.

use std::path::PathBuf;

use crate::figure::{Figure, aim, median, must};
use crate::launch::{Launched, Line, Place, children};
use crate::program::{Part, Programs};

/// In KiB: Rss, Anonymous, and Anonymous of mak-init with everything on.
pub fn measure(programs: &Programs, times: usize) -> Result<Vec<Figure>, String> {
    let count = programs.inits.len();
    let (mut resident, mut anonymous) = (vec![Vec::new(); count], vec![Vec::new(); count]);
    let mut with_all_on = Vec::new();
    let profile = Everything::new(&programs.idle)?;
    for _ in 0..times {
        for (at, init) in programs.inits.iter().enumerate() {
            let words = init.words.iter().map(String::as_str).chain([programs.idle.as_str()]);
            let idle = start(&Line::new(words, &[]), init.name, 1)?;
            resident[at].extend(idle.number("smaps_rollup", "Rss").map(|kib| kib as f64));
            anonymous[at].extend(idle.number("smaps_rollup", "Anonymous").map(|kib| kib as f64));
            drop(idle);
            if init.part == Part::Ours {
                let line = Line::new([init.words[0].as_str()], &profile.variables);
                let idle = start(&line, "mak-init with configuration, profile and health", 2)?;
                with_all_on.extend(idle.number("smaps_rollup", "Anonymous").map(|kib| kib as f64));
            }
        }
    }
    let mut all_on = vec![None; count - 1];
    all_on.push(median(with_all_on));
    let medians = |lists: Vec<Vec<f64>>| lists.into_iter().map(median).collect();
    Ok(vec![
        Figure {
            name: "idle Rss, KiB".to_owned(),
            digits: 0,
            values: medians(resident),
            bounds: vec![must("≤ 400", 400.0), aim("≤ 128", 128.0)],
        },
        Figure {
            name: "idle Anonymous, KiB".to_owned(),
            digits: 0,
            values: medians(anonymous),
            bounds: vec![must("≤ 64", 64.0), aim("≤ 24", 24.0)],
        },
        Figure {
            name: "Anonymous of PID 1 with configuration, profile and health, KiB".to_owned(),
            digits: 0,
            values: all_on,
            bounds: vec![must("≤ 96", 96.0), aim("≤ 32", 32.0)],
        },
    ])
}

/// Starts it and waits until it idles with so many children.
fn start(line: &Line, name: &str, expected: usize) -> Result<Launched, String> {
    let idle = line.start(Place::default()).map_err(|error| format!("{name}: {error}"))?;
    idle.settle();
    let found = children(idle.pid).len();
    if found == expected {
        Ok(idle)
    } else {
        Err(format!("{name}: {found} children where {expected} were expected"))
    }
}

/// A configuration file that names a profile with a directory, a library and the workload, and health on a port that
/// is free now.
struct Everything {
    folder: PathBuf,
    variables: Vec<String>,
}

impl Everything {
    fn new(workload: &str) -> Result<Everything, String> {
        let folder = std::env::temp_dir().join(format!("mak-init-bench-{}", std::process::id()));
        let refused =
            |error: std::io::Error| format!("cannot prepare {}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(refused)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .map_err(refused)?;
        let at = folder.display();
        let profile = format!(
            "prefix = \"BENCH_\"\ncommand = [\"{workload}\"]\n[health]\nlisten = \"{port}\"\n\
             [[directory]]\nvariable = \"BENCH_DATA\"\ndefault = \"{at}/data\"\n\
             [[library]]\nsoname = \"libc.so.6\"\nquick = \"optional\"\nfull = \"required\"\n"
        );
        let configuration =
            format!("profile = \"{at}/profile.toml\"\ngrace = \"5s\"\n[log]\nlevel = \"error\"\n");
        std::fs::write(folder.join("profile.toml"), profile).map_err(refused)?;
        std::fs::write(folder.join("config.toml"), configuration).map_err(refused)?;
        let variables = vec![format!("MAK_INIT_CONFIG={at}/config.toml")];
        Ok(Everything { variables, folder })
    }
}

impl Drop for Everything {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
