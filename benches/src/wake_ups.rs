//! How often an idle init runs: its voluntary and involuntary context switches, all programs side by side.

use std::time::Duration;

use crate::figure::{Figure, aim, must};
use crate::launch::{Launched, Line, Place};
use crate::program::Programs;

/// In so many seconds of idling.
pub fn measure(programs: &Programs, seconds: u64) -> Result<Figure, String> {
    let mut idle: Vec<Launched> = Vec::new();
    for init in &programs.inits {
        let words = init.words.iter().map(String::as_str).chain([programs.idle.as_str()]);
        let place = Place { first: true, processor: None };
        idle.push(
            Line::new(words, &[])
                .start(place)
                .map_err(|error| format!("{}: {error}", init.name))?,
        );
    }
    idle.iter().for_each(Launched::settle);
    let before: Vec<u64> = idle.iter().map(Launched::switches).collect();
    std::thread::sleep(Duration::from_secs(seconds));
    let values = idle
        .iter()
        .zip(before)
        .map(|(init, before)| Some((init.switches() - before) as f64))
        .collect();
    Ok(Figure {
        name: format!("wake-ups in {seconds} s idle"),
        digits: 0,
        values,
        bounds: vec![must("0", 0.0), aim("0", 0.0)],
    })
}
