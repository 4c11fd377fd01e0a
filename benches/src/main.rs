//! Measures mak-init against its peers and writes the tables of docs/benchmarks.md.
//!
//!     cargo run --release --manifest-path benches/Cargo.toml
//!     cargo run --release --manifest-path benches/Cargo.toml -- --quick --print
//!
//! All programs are measured in one run, in turns: a machine's own drift hits all of them alike. Every figure is a
//! median. The end code is 1 where a figure misses what it must be.

mod figure;
mod latency;
mod launch;
mod memory;
mod program;
mod reaping;
mod shared;
mod start_up;
mod table;
mod wake_ups;

use std::path::PathBuf;
use std::process::ExitCode;

use figure::Figure;
use program::Programs;

/// How much is measured.
pub struct Effort {
    /// Rounds of the start-up.
    starts: usize,
    /// Repetitions of the memory figures.
    looks: usize,
    /// Seconds of idling.
    idle_seconds: u64,
    /// Signals to each program.
    signals: usize,
    /// Rounds of reaping.
    swarms: usize,
}

const FULL: Effort = Effort { starts: 2001, looks: 5, idle_seconds: 60, signals: 4001, swarms: 11 };
const QUICK: Effort = Effort { starts: 301, looks: 3, idle_seconds: 5, signals: 1001, swarms: 3 };

const USAGE: &str =
    "usage: mak-init-benches [--quick] [--print] [--mak-init FILE] [--idle-seconds N] [FIGURE…]
  --quick          fewer rounds, 5 s of idling
  --print          leave docs/benchmarks.md alone
  --mak-init FILE  the program to measure; dist/linux_amd64/mak-init otherwise
  FIGURE           start-up, memory, wake-ups, latency, reaping; all of them otherwise";

/// What was typed.
struct Asked {
    effort: Effort,
    print_only: bool,
    mak_init: PathBuf,
    figures: Vec<String>,
}

fn main() -> ExitCode {
    let asked = match read(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    match measure(&asked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let mut asked = Asked {
        effort: FULL,
        print_only: false,
        mak_init: root().join(format!("dist/linux_{machine}/mak-init")),
        figures: Vec::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => asked.effort = QUICK,
            "--print" => asked.print_only = true,
            "--mak-init" => asked.mak_init = PathBuf::from(value()?),
            "--idle-seconds" => {
                asked.effort.idle_seconds =
                    value()?.parse().map_err(|_| "--idle-seconds needs a number")?;
            }
            "start-up" | "memory" | "wake-ups" | "latency" | "reaping" => asked.figures.push(word),
            _ => return Err(format!("unknown word {word:?}")),
        }
    }
    Ok(asked)
}

/// True where every figure is what it must be.
fn measure(asked: &Asked) -> Result<bool, String> {
    let programs = Programs::find(&asked.mak_init)?;
    let wanted =
        |name: &str| asked.figures.is_empty() || asked.figures.iter().any(|figure| figure == name);
    let mut figures: Vec<Figure> = Vec::new();
    if wanted("start-up") {
        eprintln!("start-up: {} rounds", asked.effort.starts);
        figures.extend(start_up::measure(&programs, asked.effort.starts)?);
    }
    if wanted("memory") {
        eprintln!("memory: {} times", asked.effort.looks);
        figures.extend(memory::measure(&programs, asked.effort.looks)?);
    }
    if wanted("wake-ups") {
        eprintln!("wake-ups: {} s of idling", asked.effort.idle_seconds);
        figures.push(wake_ups::measure(&programs, asked.effort.idle_seconds)?);
    }
    if wanted("latency") {
        eprintln!("latency: {} signals each", asked.effort.signals);
        figures.push(latency::measure(&programs, asked.effort.signals)?);
    }
    if wanted("reaping") {
        eprintln!("reaping: {} rounds", asked.effort.swarms);
        figures.extend(reaping::measure(&programs, asked.effort.swarms)?);
    }
    let text = table::text(&programs, &figures);
    println!("{text}");
    if !asked.print_only && asked.figures.is_empty() {
        table::write(&root().join("docs/benchmarks.md"), &text)?;
    }
    Ok(figures.iter().all(Figure::holds))
}
