//! How much longer a program takes under an init than without: from spawn to the end, with a child of two
//! instructions. In every round each program runs once, and its time is held against the child's own of that round.

use crate::figure::{Figure, aim, median, must};
use crate::launch::Line;
use crate::program::Programs;

/// In milliseconds, and in page faults.
pub fn measure(programs: &Programs, rounds: usize) -> Result<Vec<Figure>, String> {
    let child = programs.two_instructions.as_str();
    let direct = Line::new([child], &[]);
    let lines: Vec<Line> = programs
        .inits
        .iter()
        .map(|init| Line::new(init.words.iter().map(String::as_str).chain([child]), &[]))
        .collect();
    let mut times = vec![Vec::with_capacity(rounds); lines.len()];
    let mut faults = times.clone();
    for round in 0..rounds {
        let (alone, own_faults) = direct.run().map_err(|error| format!("cannot run the child: {error}"))?;
        for turn in 0..lines.len() {
            let at = (round + turn) % lines.len();
            let (time, faulted) =
                lines[at].run().map_err(|error| format!("{}: {error}", programs.inits[at].name))?;
            times[at].push(time - alone);
            faults[at].push(faulted as f64 - own_faults as f64);
        }
    }
    let values: Vec<Option<f64>> = times.into_iter().map(median).collect();
    let tini = values[programs.place("tini")].unwrap_or_default();
    let limit = values[programs.limit()].unwrap_or_default();
    Ok(vec![
        Figure {
            name: "start-up over a direct exec, ms".to_owned(),
            digits: 3,
            bounds: vec![
                must("≤ 0.25 × tini's", 0.25 * tini),
                aim("≤ 1.3 × the limit's", 1.3 * limit),
            ],
            values,
        },
        Figure {
            name: "… page faults of it".to_owned(),
            digits: 0,
            values: faults.into_iter().map(median).collect(),
            bounds: Vec::new(),
        },
    ])
}
