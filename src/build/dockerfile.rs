//! A Dockerfile as instructions and stages: as much as `lint` asks about, no more. Continued
//! lines, comments, here-documents and the escape directive are read as BuildKit reads them.

/// As much of a file as is read.
pub const LONGEST: u64 = 1 << 20;

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its keyword, in capitals.
    pub keyword: String,
    /// What follows it, continued lines joined, the text of here-documents behind it.
    pub text: String,
    /// Where it begins, from 1.
    pub line: usize,
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// `AS name`.
    pub name: Option<String>,
    /// The base: an image or an earlier stage's name, as written.
    pub base: String,
    /// `--platform=…`, as written.
    pub platform: Option<String>,
    /// Where its FROM is.
    pub line: usize,
    /// What follows the FROM.
    pub instructions: Vec<Instruction>,
}

/// The whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// ARG and whatever else stands before the first FROM.
    pub before: Vec<Instruction>,
    /// The stages.
    pub stages: Vec<Stage>,
}

impl Dockerfile {
    /// Reads it. What makes no sense to us is kept as it is: BuildKit has the last word.
    pub fn read(text: &str) -> Dockerfile {
        let mut file = Dockerfile::default();
        for instruction in instructions(text) {
            match (instruction.keyword.as_str(), file.stages.last_mut()) {
                ("FROM", _) => file.stages.push(stage(&instruction)),
                (_, Some(stage)) => stage.instructions.push(instruction),
                (_, None) => file.before.push(instruction),
            }
        }
        file
    }

    /// The stage of that name, or of that number.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        let named = |stage: &&Stage| {
            stage.name.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        self.stages.iter().rfind(named).or_else(|| self.stages.get(name.parse::<usize>().ok()?))
    }

    /// The stages that the target is built from, the target itself included, last first.
    pub fn needed(&self, target: Option<&str>) -> Vec<&Stage> {
        let Some(last) = target.map_or(self.stages.last(), |name| self.stage(name)) else {
            return Vec::new();
        };
        let mut needed = vec![last];
        let mut at = 0;
        while let Some(stage) = needed.get(at).copied() {
            let copied = stage.instructions.iter().flat_map(|one| one.option("from"));
            for name in copied.chain([stage.base.as_str()]) {
                // A stage that builds on an image of its own name is not its own base.
                if let Some(next) = self.stage(name).filter(|next| next.line < stage.line)
                    && !needed.contains(&next)
                {
                    needed.push(next);
                }
            }
            at += 1;
        }
        needed
    }

    /// The image that a stage stands on in the end, defaults of ARG filled in.
    pub fn root_of(&self, stage: &Stage) -> String {
        let mut stage = stage;
        for _ in 0..self.stages.len() {
            match self.stage(&stage.base).filter(|next| next.line < stage.line) {
                Some(next) => stage = next,
                None => break,
            }
        }
        self.fill(&stage.base)
    }

    /// Fills in the defaults of the ARGs before the first FROM.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in self.before.iter().flat_map(Instruction::arguments) {
            let value = value.unwrap_or_default();
            filled = filled
                .replace(&format!("${{{name}}}"), &value)
                .replace(&format!("${name}"), &value);
        }
        filled
    }

    /// Whether an ARG of that name is declared anywhere.
    pub fn declares(&self, name: &str) -> bool {
        let stages = self.stages.iter().flat_map(|stage| &stage.instructions);
        self.before
            .iter()
            .chain(stages)
            .flat_map(Instruction::arguments)
            .any(|(known, _)| known == name)
    }
}

impl Stage {
    /// Whether it is built for the machine that builds.
    pub fn on_build_platform(&self) -> bool {
        self.platform.as_deref().is_some_and(|platform| {
            platform.contains("BUILDPLATFORM") || platform.contains("BUILDARCH")
        })
    }
}

impl Instruction {
    /// The values of an option, as in `--from=NAME`.
    pub fn option<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.text
            .split_whitespace()
            .take_while(|word| word.starts_with("--"))
            .filter_map(move |word| word.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='))
    }

    /// What follows its options.
    pub fn command(&self) -> &str {
        let mut rest = self.text.trim_start();
        while rest.starts_with("--") {
            rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
        }
        rest
    }

    /// Whether its command is words in JSON, which no shell reads.
    pub fn exec_form(&self) -> bool {
        serde_json::from_str::<Vec<String>>(self.command().trim()).is_ok()
    }

    /// The names that an ARG declares, with their defaults.
    pub fn arguments(&self) -> Vec<(String, Option<String>)> {
        if self.keyword != "ARG" {
            return Vec::new();
        }
        let unquoted = |value: &str| value.trim_matches(['"', '\'']).to_owned();
        let one = |word: &str| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(unquoted(value))),
            None => (word.to_owned(), None),
        };
        self.text.split_whitespace().map(one).collect()
    }
}

fn stage(from: &Instruction) -> Stage {
    let platform = from.option("platform").next().map(ToOwned::to_owned);
    let mut words = from.command().split_whitespace();
    let base = words.next().unwrap_or_default().to_owned();
    let name = match (words.next(), words.next()) {
        (Some(word), Some(name)) if word.eq_ignore_ascii_case("AS") => Some(name.to_owned()),
        _ => None,
    };
    Stage { name, base, platform, line: from.line, instructions: Vec::new() }
}

fn instructions(text: &str) -> Vec<Instruction> {
    let escape = escape(text);
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut whole = line.to_owned();
        while let Some(open) = whole.strip_suffix(escape).map(|open| open.trim_end().to_owned()) {
            // Comments and empty lines inside a continued instruction are left out.
            let next =
                lines.find(|(_, line)| !(line.trim().is_empty() || line.trim().starts_with('#')));
            let Some((_, next)) = next else {
                whole = open;
                break;
            };
            whole = format!("{open} {}", next.trim());
        }
        let (keyword, rest) = whole.split_once(char::is_whitespace).unwrap_or((&whole, ""));
        let keyword = keyword.to_uppercase();
        let mut text = rest.trim().to_owned();
        if ["RUN", "COPY", "ADD"].contains(&keyword.as_str()) {
            for end in here_documents(rest) {
                for (_, line) in
                    lines.by_ref().take_while(|(_, line)| line.trim_start_matches('\t') != end)
                {
                    text.push('\n');
                    text.push_str(line);
                }
            }
        }
        found.push(Instruction { keyword, text, line: at + 1 });
    }
    found
}

/// The escape character: a backslash, or what `# escape=` says before anything else.
fn escape(text: &str) -> char {
    let directives = text.lines().map(str::trim).take_while(|line| line.starts_with('#'));
    let named = directives
        .filter_map(|line| line.trim_start_matches('#').trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("escape"));
    if named.is_some_and(|(_, value)| value.trim() == "`") { '`' } else { '\\' }
}

/// The words that end the here-documents which a line begins: `<<EOF`, `<<-"EOF"`.
fn here_documents(line: &str) -> Vec<String> {
    let mut ends = Vec::new();
    for (at, _) in line.match_indices("<<") {
        let rest = &line[at + 2..];
        // `<<<` is a shell's here-string, and `$((1<<2))` no document.
        let rest = rest.strip_prefix('-').unwrap_or(rest).trim_start_matches(['"', '\'']);
        let end: String =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if end.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            ends.push(end);
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: &str = r#"# comment
ARG BASE=debian:12
FROM --platform=$BUILDPLATFORM golang:1 AS build
RUN --mount=type=cache,target=/x go build \
    # inside
    -o /service
RUN <<EOF
FROM nothing
EOF
FROM ${BASE}
COPY --from=build /service /service
HEALTHCHECK --interval=5s CMD ["/service", "--health"]
"#;

    #[test]
    fn stages_options_and_continued_lines_are_read() {
        let file = Dockerfile::read(SAMPLE);
        assert_eq!(file.stages.len(), 2);
        let build = &file.stages[0];
        assert_eq!(build.name.as_deref(), Some("build"));
        assert!(build.on_build_platform());
        assert_eq!(build.instructions[0].command(), "go build -o /service");
        assert_eq!(build.instructions[1].text, "<<EOF\nFROM nothing");
        assert_eq!(file.root_of(&file.stages[1]), "debian:12");
        assert_eq!(file.needed(None).len(), 2);
        assert_eq!(file.needed(Some("build")).len(), 1);
        assert!(file.declares("BASE") && !file.declares("TARGETARCH"));
    }

    #[test]
    fn a_shell_form_that_looks_like_words_is_told_from_words() {
        let file =
            Dockerfile::read("FROM x\nHEALTHCHECK CMD [\"/a\"] || exit 1\nCMD [\"a\", \"b\"]");
        let [health, command] = &file.stages[0].instructions[..] else { panic!("two") };
        assert!(!health.exec_form() && command.exec_form());
    }

    #[test]
    fn the_escape_directive_changes_what_continues_a_line() {
        let file = Dockerfile::read("# escape=`\nFROM x\nRUN a `\n b\nRUN c \\\nRUN d");
        let commands: Vec<&str> =
            file.stages[0].instructions.iter().map(Instruction::command).collect();
        assert_eq!(commands, ["a b", "c \\", "d"]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_to_read(text in "(FROM|RUN|ARG|COPY|<<A|A|\\\\|\n| |--from=|x|#|=|\\$\\{)*") {
            let file = Dockerfile::read(&text);
            for stage in &file.stages {
                let _ = (file.root_of(stage), file.needed(stage.name.as_deref()));
            }
        }
    }
}
