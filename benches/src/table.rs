//! The tables, and their place in docs/benchmarks.md.

use std::fmt::Write;
use std::path::Path;

use crate::figure::Figure;
use crate::program::Programs;

const BEGIN: &str = "<!-- figures: begin (written by benches/, not by hand) -->\n";
const END: &str = "<!-- figures: end -->\n";

/// Both tables as Markdown.
pub fn text(programs: &Programs, figures: &[Figure]) -> String {
    let mut text = String::from("| |");
    for init in &programs.inits {
        let _ = write!(text, " {} |", init.name);
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(programs.inits.len()));
    text.push('\n');
    for figure in figures {
        let _ = write!(text, "| {} |", figure.name);
        for value in &figure.values {
            let _ = write!(text, " {} |", shown(*value, figure.digits));
        }
        text.push('\n');
    }
    text.push_str("\n| figure of mak-init | is | must | aim |\n|---|---:|---|---|\n");
    for figure in figures.iter().filter(|figure| !figure.bounds.is_empty()) {
        let bound = |aims: bool| {
            let found = figure.bounds.iter().find(|bound| bound.is_aim == aims);
            found.zip(figure.ours()).map_or("–".to_owned(), |(bound, ours)| {
                let verdict = if ours <= bound.largest { "holds" } else { "**missed**" };
                format!("{} ({:.*}): {verdict}", bound.words, figure.digits, bound.largest)
            })
        };
        let ours = shown(figure.ours(), figure.digits);
        let _ = writeln!(text, "| {} | {ours} | {} | {} |", figure.name, bound(false), bound(true));
    }
    text
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}

/// Puts them between the markers of the page.
pub fn write(page: &Path, tables: &str) -> Result<(), String> {
    let refused = |why: &dyn std::fmt::Display| format!("cannot write {}: {why}", page.display());
    let old = std::fs::read_to_string(page).map_err(|error| refused(&error))?;
    let (before, rest) =
        old.split_once(BEGIN).ok_or_else(|| refused(&"it has no marker for the figures"))?;
    let (_, after) =
        rest.split_once(END).ok_or_else(|| refused(&"the marker behind the figures is missing"))?;
    std::fs::write(page, format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
        .map_err(|error| refused(&error))
}
