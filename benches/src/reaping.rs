//! How long an init takes to reap 10,000 orphans that die at once, as a true PID 1, and how many it leaves.

use crate::figure::{Figure, median, must};
use crate::launch::{Line, Place};
use crate::program::{Part, Programs};
use crate::shared::Shared;

const ORPHANS: &str = "10000";

/// In milliseconds, and the most that were left in any round.
pub fn measure(programs: &Programs, rounds: usize) -> Result<Vec<Figure>, String> {
    let count = programs.inits.len();
    let (mut times, mut left) = (vec![Vec::new(); count], vec![None; count]);
    for round in 0..rounds {
        for turn in 0..count {
            let at = (round + turn) % count;
            // fork+exec+wait reaps nobody.
            if programs.inits[at].part == Part::Bare {
                continue;
            }
            let (time, rest) = once(programs, at)?;
            times[at].push(time);
            left[at] = Some(rest.max(left[at].unwrap_or(0.0)));
        }
    }
    let values: Vec<Option<f64>> = times.into_iter().map(median).collect();
    let peers = programs.inits.iter().zip(&values).filter(|(init, _)| init.part == Part::Peer);
    let fastest = peers.filter_map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    Ok(vec![
        Figure {
            name: "10,000 children dying at once, ms".to_owned(),
            digits: 0,
            values,
            bounds: vec![must("≤ 1.15 × the fastest peer's", 1.15 * fastest)],
        },
        Figure {
            name: "… left of them".to_owned(),
            digits: 0,
            values: left,
            bounds: vec![must("none", 0.0)],
        },
    ])
}

fn once(programs: &Programs, at: usize) -> Result<(f64, f64), String> {
    let init = &programs.inits[at];
    let refused = |error: std::io::Error| format!("{}: {error}", init.name);
    let shared = Shared::new("swarm").map_err(refused)?;
    let workload = [programs.swarm.as_str(), shared.path(), ORPHANS];
    let line = Line::new(init.words.iter().map(String::as_str).chain(workload), &[]);
    let status = line.start(Place { first: true, processor: None }).map_err(refused)?.end();
    if shared.word(0) != 1 {
        return Err(format!(
            "{}: the workload could not make {ORPHANS} processes (status {status:#x})",
            init.name
        ));
    }
    Ok((shared.word(1) as f64 / 1e6, shared.word(2) as f64))
}
