//! The table at the end: for each part how much is needed, there, missing, and what was installed
//! by this run.

use std::fmt::Write;

use super::install::Outcome;
use super::survey::Survey;
use crate::config::catalogue::{self, Group};
use crate::verify::{Check, Status};

/// The table of a look, or of a look after an installation.
pub fn table(survey: &Survey, before: Option<&[Check]>, outcome: Option<&Outcome>) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{:<24} {:>6} {:>8} {:>7}", "", "there", "missing", "warned");
    for group in Group::ALL {
        let of = |checks: &[Check], status: Status| {
            let checks = checks.iter().filter(|check| {
                check.status == status
                    && catalogue::find(check.id).is_some_and(|page| page.group == group)
            });
            checks.count()
        };
        let row =
            [Status::Pass, Status::Fail, Status::Warn].map(|status| of(&survey.checks, status));
        if row.iter().sum::<usize>() == 0 {
            continue;
        }
        let before = before.map(|before| of(before, Status::Fail) + of(before, Status::Warn));
        let now = row[1] + row[2];
        let note = match before {
            Some(before) if before > now => format!("   {} put right", before - now),
            _ => String::new(),
        };
        let _ =
            writeln!(out, "{:<24} {:>6} {:>8} {:>7}{note}", group.title(), row[0], row[1], row[2]);
    }
    if let Some(outcome) = outcome.filter(|outcome| !outcome.packages.is_empty()) {
        let _ = writeln!(out, "installed: {}", outcome.packages.join(", "));
    }
    out
}
