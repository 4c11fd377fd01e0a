//! How long a signal takes through an init: from kill(2) here until the workload has it, sender on one processor, init
//! and workload on another. All programs idle side by side and get one signal each in turn.

use crate::figure::{Figure, aim, median, must};
use crate::launch::{Launched, Line, Place, nanoseconds, pin, processors};
use crate::program::{Init, Part, Programs};
use crate::shared::Shared;

/// In microseconds.
pub fn measure(programs: &Programs, signals: usize) -> Result<Figure, String> {
    let [sender, target, ..] = processors()[..] else {
        return Err("latency is measured between two processors, and there is one".to_owned());
    };
    let mut targets: Vec<Option<(Launched, Shared)>> = Vec::new();
    for init in &programs.inits {
        // fork+exec+wait forwards nothing.
        targets.push(if init.part == Part::Bare {
            None
        } else {
            Some(start(programs, init, target)?)
        });
    }
    pin(sender);
    let mut times = vec![Vec::with_capacity(signals); targets.len()];
    for signal in 1..=signals as u64 {
        for (at, (init, shared)) in
            targets.iter().enumerate().filter_map(|(at, t)| Some((at, t.as_ref()?)))
        {
            let begin = nanoseconds();
            // SAFETY: kill(2) takes two numbers; the init is our child and not yet reaped.
            unsafe { libc::kill(init.pid, libc::SIGUSR1) };
            if !shared.reaches(1, signal) {
                return Err(format!("{}: signal {signal} did not arrive", programs.inits[at].name));
            }
            times[at].push((shared.word(2) - begin) as f64 / 1000.0);
        }
    }
    let values: Vec<Option<f64>> = times.into_iter().map(median).collect();
    let of = |at: usize| values[at].unwrap_or_default();
    let (tini, limit) = (of(programs.place("tini")), of(programs.limit()));
    Ok(Figure {
        name: "forwarded signal, µs".to_owned(),
        digits: 2,
        bounds: vec![must("≤ tini's", tini), aim("≤ 1.1 × the limit's", 1.1 * limit)],
        values,
    })
}

fn start(programs: &Programs, init: &Init, processor: usize) -> Result<(Launched, Shared), String> {
    let shared = Shared::new(init.name.split(' ').next().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    let words =
        init.words.iter().map(String::as_str).chain([programs.receiver.as_str(), shared.path()]);
    let place = Place { first: false, processor: Some(processor) };
    let started =
        Line::new(words, &[]).start(place).map_err(|error| format!("{}: {error}", init.name))?;
    if !shared.reaches(0, 1) {
        return Err(format!("{}: the workload did not start", init.name));
    }
    started.settle();
    Ok((started, shared))
}
