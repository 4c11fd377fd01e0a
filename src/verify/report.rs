//! The report: one shape for every verdict (docs/report.md). Its order is stable, and so are
//! the identifiers of the checks, of the form part.problem (docs/checks.md).

use std::fmt::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::config::catalogue::{self, Group};
use crate::platform::{Platform, Root};

/// The version of the report's shape.
pub const SCHEMA: u32 = 1;
/// As many checks of a group that are as they should be are listed without being asked for.
const LONGEST_LIST: usize = 8;

/// What the whole comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Fit.
    Pass,
    /// Fit, and something optional is wanting.
    Warn,
    /// Not fit.
    Fail,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// Not as it should be, and tolerated.
    Warn,
    /// Not as it should be.
    Fail,
    /// Could not be made.
    Skip,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which problem was looked for.
    pub id: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was looked at: a SONAME, a distribution, a path.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What it was found from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Every path that was looked at for it, where that was asked for (`--verbose`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

impl Check {
    /// A check that ended so.
    pub fn new(
        id: &'static str,
        status: Status,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Check {
        Check {
            id,
            status,
            subject: subject.into(),
            message: message.into(),
            remedy: None,
            evidence: Vec::new(),
            paths: Vec::new(),
        }
    }

    /// The same with what to do.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Check {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same with the paths that `root` was asked about since the last check.
    pub fn looked_at(self, root: &Root) -> Check {
        self.with_paths(&root.take_trail())
    }

    /// The same with the paths that were looked at for it.
    pub fn with_paths(mut self, paths: &[PathBuf]) -> Check {
        self.paths = paths.iter().map(|path| path.display().to_string()).collect();
        self
    }

    /// Where it belongs.
    fn group(&self) -> Group {
        catalogue::find(self.id).map_or(Group::Platform, |page| page.group)
    }

    /// The same with what it was found from.
    pub fn evidence(mut self, evidence: Vec<String>) -> Check {
        self.evidence = evidence;
        self
    }
}

impl fmt::Display for Check {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} [{}]", Plain(&self.subject), Plain(&self.message), self.id)?;
        match &self.remedy {
            Some(remedy) => write!(out, "; {}", Plain(remedy)),
            None => Ok(()),
        }
    }
}

/// What verification found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this shape.
    pub schema: u32,
    /// What the whole comes to.
    pub verdict: Verdict,
    /// Where it was found.
    pub platform: Platform,
    /// The checks in their order.
    pub checks: Vec<Check>,
}

impl Report {
    /// The report of these checks.
    pub fn new(platform: Platform, checks: Vec<Check>) -> Report {
        let has = |status| checks.iter().any(|check| check.status == status);
        let verdict = if has(Status::Fail) {
            Verdict::Fail
        } else if has(Status::Warn) {
            Verdict::Warn
        } else {
            Verdict::Pass
        };
        Report { schema: SCHEMA, verdict, platform, checks }
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.status == Status::Fail)
    }

    /// The checks whose failure is tolerated.
    pub fn warned(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.status == Status::Warn)
    }

    /// How many checks ended so.
    pub fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }

    /// As JSON, with a line break at the end.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// For people: by group, those with problems first, and in each the problems first, each
    /// with what to do. What is as it should be is counted where it would be a long list;
    /// `verbose` lists it all the same, with every path that was looked at.
    pub fn text(&self, verbose: bool) -> String {
        let mut out = String::new();
        let mut groups = self.groups();
        let worst = |checks: &[&Check]| checks.iter().map(|check| check.status.severity()).max();
        groups.sort_by_key(|(_, checks)| std::cmp::Reverse(worst(checks)));
        for (group, checks) in groups {
            let _ = writeln!(out, "{}", group.title());
            let fine = checks.iter().filter(|check| check.status == Status::Pass).count();
            let brief = !verbose && fine > LONGEST_LIST;
            for status in Status::WORST_FIRST {
                let shown = checks.iter().filter(|check| check.status == status);
                for check in shown.filter(|_| !(brief && status == Status::Pass)) {
                    check.lines(&mut out, verbose);
                }
            }
            if brief {
                let _ = writeln!(out, "  ok    {fine} more as they should be (--verbose)");
            }
        }
        let _ = writeln!(
            out,
            "{}: {} ok, {} tolerated, {} failed, {} skipped on {}",
            self.verdict.word(),
            self.count(Status::Pass),
            self.count(Status::Warn),
            self.count(Status::Fail),
            self.count(Status::Skip),
            self.platform.platform
        );
        out
    }

    /// The groups that have checks, and these in their order.
    fn groups(&self) -> Vec<(Group, Vec<&Check>)> {
        let mut groups: Vec<(Group, Vec<&Check>)> =
            Group::ALL.into_iter().map(|group| (group, Vec::new())).collect();
        for check in &self.checks {
            let of = check.group();
            if let Some((_, checks)) = groups.iter_mut().find(|(group, _)| *group == of) {
                checks.push(check);
            }
        }
        groups.retain(|(_, checks)| !checks.is_empty());
        groups
    }

    /// As JUnit XML, which CI systems show: a suite for each group, a case for each check. What
    /// is tolerated passes, with its text as output. `command` is what made it.
    pub fn junit(&self, command: &str) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            out,
            "<testsuites name=\"{command}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">",
            self.checks.len(),
            self.count(Status::Fail),
            self.count(Status::Skip)
        );
        self.suites(&mut out, "");
        out.push_str("</testsuites>\n");
        out
    }

    /// The suites of the groups, their names behind `prefix`.
    pub(crate) fn suites(&self, out: &mut String, prefix: &str) {
        for (group, checks) in self.groups() {
            let count = |status| checks.iter().filter(|check| check.status == status).count();
            let _ = writeln!(
                out,
                "  <testsuite name=\"{prefix}{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" \
                 skipped=\"{}\">",
                group.title(),
                checks.len(),
                count(Status::Fail),
                count(Status::Skip)
            );
            for check in checks {
                check.case(out);
            }
            out.push_str("  </testsuite>\n");
        }
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        }
    }
}

impl Status {
    const WORST_FIRST: [Status; 4] = [Status::Fail, Status::Warn, Status::Skip, Status::Pass];

    fn word(self) -> &'static str {
        match self {
            Status::Pass => "ok",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
            Status::Skip => "skip",
        }
    }

    fn severity(self) -> usize {
        Status::WORST_FIRST.len() - Status::WORST_FIRST.iter().take_while(|s| **s != self).count()
    }
}

impl Check {
    fn lines(&self, out: &mut String, verbose: bool) {
        let word = self.status.word();
        let (subject, message) = (Plain(&self.subject), Plain(&self.message));
        let _ = writeln!(out, "  {word:<5} {subject}: {message} [{}]", self.id);
        if self.status != Status::Pass || verbose {
            for line in &self.evidence {
                let _ = writeln!(out, "          {}", Plain(line));
            }
        }
        if let Some(remedy) = self.remedy.as_ref().filter(|_| self.status != Status::Pass) {
            let _ = writeln!(out, "        > {}", Plain(remedy));
        }
        for path in self.paths.iter().filter(|_| verbose) {
            let _ = writeln!(out, "          - {}", Plain(path));
        }
    }

    fn case(&self, out: &mut String) {
        let (id, subject) = (Xml(self.id), Xml(&self.subject));
        let _ = write!(out, "    <testcase classname=\"{id}\" name=\"{subject}\"");
        let mut more = self.evidence.join("\n");
        if let Some(remedy) = &self.remedy {
            more = format!("{remedy}\n{more}");
        }
        let (message, more) = (Xml(&self.message), Xml(more.trim_end()));
        let _ = match self.status {
            Status::Pass => writeln!(out, "/>"),
            Status::Skip => writeln!(out, "><skipped message=\"{message}\"/></testcase>"),
            Status::Fail => writeln!(
                out,
                "><failure type=\"{id}\" message=\"{message}\">{more}</failure></testcase>"
            ),
            Status::Warn => {
                writeln!(out, "><system-out>tolerated: {message}\n{more}</system-out></testcase>")
            }
        };
    }
}

/// As much of one text is shown to people, in characters.
const MOST_SHOWN: usize = 1000;

/// Foreign text on a terminal or in a log: on one line, of bounded length, and without what moves
/// the cursor or turns the direction of writing. An image must not be able to write lines of its
/// own into the report about it.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, letter) in self.0.chars().enumerate() {
            if count == MOST_SHOWN {
                return out.write_char('…');
            }
            match letter {
                '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(out, "{}", letter.escape_default())?;
                }
                letter if letter.is_control() => write!(out, "{}", letter.escape_default())?,
                letter => out.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// Text inside XML: markup is escaped, and what XML 1.0 does not allow at all is replaced.
struct Xml<'a>(&'a str);

impl fmt::Display for Xml<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\n' | '\t' => out.write_char(letter)?,
                '\u{fffe}' | '\u{ffff}' => out.write_char('\u{fffd}')?,
                letter if letter < ' ' => out.write_char('\u{fffd}')?,
                letter => out.write_char(letter)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::detect;

    fn report(checks: Vec<Check>) -> Report {
        Report::new(detect(&Root::host()), checks)
    }

    #[test]
    fn problems_come_first_and_what_is_fine_is_counted() {
        let mut checks = vec![Check::new("lib.missing", Status::Pass, "libc.so.6", "found")];
        for number in 0..=LONGEST_LIST {
            let subject = format!("dist{number}");
            checks.push(Check::new("dist.version", Status::Pass, subject, "1 satisfies it"));
        }
        let bad = Check::new("dist.missing", Status::Fail, "gone", "gone is not installed");
        let mut bad = bad.remedy("pip install gone").evidence(vec!["looked".to_owned()]);
        bad.paths = vec!["/site".to_owned()];
        checks.push(bad);
        checks.push(Check::new("python.version", Status::Warn, "python", "unknown"));
        let report = report(checks);
        let text = report.text(false);
        let lines: Vec<&str> = text.lines().take(9).collect();
        assert_eq!(
            lines,
            [
                "Distributions",
                "  FAIL  gone: gone is not installed [dist.missing]",
                "          looked",
                "        > pip install gone",
                &format!("  ok    {} more as they should be (--verbose)", LONGEST_LIST + 1),
                "Python",
                "  warn  python: unknown [python.version]",
                "Libraries and programs",
                "  ok    libc.so.6: found [lib.missing]",
            ]
        );
        let verbose = report.text(true);
        assert!(verbose.contains("          - /site\n") && verbose.contains("dist0: 1 satisfies"));
    }

    #[test]
    fn an_image_cannot_write_lines_of_its_own_into_the_report() {
        let odd = "six\n  ok    gone\u{1b}[2J\u{202e}";
        let check = Check::new("dist.missing", Status::Fail, odd, "é".repeat(5000)).remedy(odd);
        let line = check.to_string();
        let text = report(vec![check.evidence(vec![odd.to_owned()])]).text(true);
        assert!(!line.contains(char::is_control) && line.chars().count() < 1200, "{line}");
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("FAIL  six\\n  ok    gone\\u{1b}[2J\\u{202e}: éé"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.contains("é… [dist.missing]"));
    }

    #[test]
    fn junit_has_a_case_for_each_check_and_escapes_what_it_holds() {
        let odd = "a<b>&\"c\"\u{1}";
        let report = report(vec![
            Check::new("dist.missing", Status::Fail, odd, odd).remedy("x & y"),
            Check::new("dist.extra", Status::Warn, "w", "tolerable"),
            Check::new("record.none", Status::Skip, "s", "none"),
            Check::new("lib.missing", Status::Pass, "libc.so.6", "found"),
        ]);
        let xml = report.junit("mak-init verify");
        let escaped = "a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}";
        assert!(xml.contains("tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"1\""), "{xml}");
        assert!(
            xml.contains(&format!(
                "<testcase classname=\"dist.missing\" name=\"{escaped}\"><failure \
                 type=\"dist.missing\" message=\"{escaped}\">x &amp; y</failure></testcase>"
            )),
            "{xml}"
        );
        assert!(xml.contains("<system-out>tolerated: tolerable"), "{xml}");
        assert!(xml.contains("name=\"libc.so.6\"/>"), "{xml}");
        assert_eq!(xml.matches("<testsuite ").count(), 3);
    }
}
