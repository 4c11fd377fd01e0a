//! What goes wrong in Dockerfiles for several platforms and can be seen before anything is built.
//! Warnings only: the image that comes out is what is judged.

use super::dockerfile::{Dockerfile, Instruction, Stage};

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which rule, stable: `mak build` prints it in brackets.
    pub rule: &'static str,
    /// Where.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// Looks at what the target is built from.
pub fn lint(file: &Dockerfile, target: Option<&str>) -> Vec<Warning> {
    let mut found = Vec::new();
    let needed = file.needed(target);
    for stage in &needed {
        found.extend(python_on_build_platform(stage, &needed));
        found.extend(undeclared_platform_arguments(file, stage));
        found.extend(no_platform(file, stage));
        found.extend(shell_without_shell(file, stage));
    }
    found.sort_by_key(|warning| warning.line);
    found
}

/// Whether something of the target's own platform is run while building: then an emulator, or
/// such a machine, is needed.
pub fn runs_on_target(file: &Dockerfile, target: Option<&str>) -> bool {
    let runs = |stage: &&Stage| {
        !on_build_platform(file, stage) && stage.instructions.iter().any(|one| one.keyword == "RUN")
    };
    file.needed(target).iter().any(runs)
}

fn on_build_platform(file: &Dockerfile, stage: &Stage) -> bool {
    let base = file.stage(&stage.base).filter(|base| base.line < stage.line);
    stage.on_build_platform()
        || stage.platform.is_none() && base.is_some_and(|base| on_build_platform(file, base))
}

/// Words that install Python packages with what is compiled for the machine they run on.
const INSTALLERS: &[&str] = &[
    "pip install",
    "pip3 install",
    "pip wheel",
    "pip3 wheel",
    "uv sync",
    "uv pip install",
    "poetry install",
    "pipenv install",
    "pipenv sync",
    "pdm install",
    "pdm sync",
    "conda install",
    "setup.py install",
];
/// What makes them choose files for another machine, or none.
const FOREIGN: &[&str] = &["--platform", "--python-platform", "--dry-run"];

fn python_on_build_platform(stage: &Stage, needed: &[&Stage]) -> Option<Warning> {
    if !stage.on_build_platform() {
        return None;
    }
    let name = stage.name.as_deref()?;
    let copied = needed.iter().flat_map(|stage| &stage.instructions).any(|one| {
        one.keyword == "COPY" && one.option("from").any(|from| from.eq_ignore_ascii_case(name))
    });
    let installs = |one: &&Instruction| {
        one.keyword == "RUN"
            && commands(one).any(|command| {
                INSTALLERS.iter().any(|words| command.contains(words))
                    && !FOREIGN.iter().any(|words| command.contains(words))
            })
    };
    let run = stage.instructions.iter().find(installs).filter(|_| copied)?;
    Some(Warning {
        rule: "python-on-build-platform",
        line: run.line,
        message: format!(
            "stage {name} installs Python packages on $BUILDPLATFORM and is copied from: its \
             compiled files are for the machine that builds; install on $TARGETPLATFORM, or choose \
             wheels with --platform"
        ),
    })
}

/// The commands of a RUN, one by one, blanks between words made single.
fn commands(run: &Instruction) -> impl Iterator<Item = String> {
    run.text
        .replace("\\\n", " ")
        .replace("&&", "\n")
        .replace("||", "\n")
        .replace(';', "\n")
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .into_iter()
}

/// What BuildKit sets, in every stage that declares it.
const PLATFORM_ARGUMENTS: &[&str] = &[
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
];

fn undeclared_platform_arguments(file: &Dockerfile, stage: &Stage) -> Vec<Warning> {
    let mut found = Vec::new();
    for name in PLATFORM_ARGUMENTS {
        let uses = |one: &&Instruction| one.keyword != "ARG" && mentions(&one.text, name);
        let Some(used) = stage.instructions.iter().find(uses) else { continue };
        if !declared(file, stage, name) {
            found.push(Warning {
                rule: "platform-argument",
                line: used.line,
                message: format!(
                    "${name} is empty here: an ARG before FROM is not known behind it; write \
                     ARG {name} in this stage, without a value"
                ),
            });
        }
    }
    found
}

/// Stages inherit the ARGs of the stage they stand on.
fn declared(file: &Dockerfile, stage: &Stage, name: &str) -> bool {
    let here = stage.instructions.iter().flat_map(Instruction::arguments);
    let sets = |one: &Instruction| {
        one.keyword == "ENV" && one.text.split_whitespace().any(|word| word.starts_with(name))
    };
    here.into_iter().any(|(known, _)| known == name)
        || stage.instructions.iter().any(sets)
        || file
            .stage(&stage.base)
            .filter(|base| base.line < stage.line)
            .is_some_and(|base| declared(file, base, name))
}

/// `$NAME` or `${NAME…}` as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = &text[..at];
        let after = text[at + name.len()..].chars().next();
        let whole = !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        whole && (before.ends_with('$') || before.ends_with("${"))
    })
}

fn no_platform(file: &Dockerfile, stage: &Stage) -> Option<Warning> {
    let own = file.stage(&stage.base).is_some_and(|base| base.line < stage.line);
    if stage.platform.is_some() || own || stage.base == "scratch" {
        return None;
    }
    Some(Warning {
        rule: "from-without-platform",
        line: stage.line,
        message: format!(
            "FROM {} does not say which machine it is for: --platform=$BUILDPLATFORM where it \
             compiles for others, --platform=$TARGETPLATFORM where the result runs",
            stage.base
        ),
    })
}

/// Bases that have no shell.
fn shell_less(image: &str) -> bool {
    if image == "scratch" {
        return true;
    }
    let debug = image.rsplit_once(':').is_some_and(|(_, tag)| tag.contains("debug"));
    let chainguard = image.contains("cgr.dev/chainguard/") && !image.contains("-dev");
    (image.contains("/distroless/") || chainguard) && !debug
}

fn shell_without_shell(file: &Dockerfile, stage: &Stage) -> Vec<Warning> {
    let mut found = Vec::new();
    let image = file.root_of(stage);
    for one in &stage.instructions {
        let command = one.command();
        let health = one.keyword == "HEALTHCHECK" && !command.eq_ignore_ascii_case("none");
        if health {
            let words = command.get(..3).filter(|word| word.eq_ignore_ascii_case("CMD"));
            let rest = words.map_or("", |_| command[3..].trim());
            let exec = serde_json::from_str::<Vec<String>>(rest).is_ok();
            let broken = !exec && rest.starts_with('[');
            if !exec && (shell_less(&image) || broken) {
                let why = if broken {
                    "is no list of words in JSON, so /bin/sh has to run it".to_owned()
                } else {
                    format!("needs /bin/sh, which {image} does not have")
                };
                found.push(Warning {
                    rule: "healthcheck-shell",
                    line: one.line,
                    message: format!(
                        "this HEALTHCHECK {why}; write CMD [\"/mak-init\", \"healthcheck\"]"
                    ),
                });
            }
        }
        // A shell may have been copied there; a RUN in words needs none.
        if one.keyword == "RUN" && shell_less(&image) && image != "scratch" && !one.exec_form() {
            found.push(Warning {
                rule: "run-shell",
                line: one.line,
                message: format!("this RUN needs /bin/sh, which {image} does not have"),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(&'static str, usize)> {
        let found = lint(&Dockerfile::read(text), None);
        found.into_iter().map(|warning| (warning.rule, warning.line)).collect()
    }

    #[test]
    fn a_python_builder_on_the_building_machine_is_warned_of() {
        let text = "FROM --platform=$BUILDPLATFORM python:3.13 AS builder\n\
            RUN apt-get update && CC=aarch64-linux-gnu-gcc pip install \\\n --user -r r.txt\n\
            FROM --platform=$TARGETPLATFORM python:3.13\nCOPY --from=builder /root/.local /root/.local\n";
        assert_eq!(rules(text), [("python-on-build-platform", 2)]);
        assert_eq!(
            rules(&text.replace("--user", "--platform manylinux2014_aarch64 --target /x")),
            []
        );
        assert_eq!(rules(&text.replace("$BUILDPLATFORM", "$TARGETPLATFORM")), []);
    }

    #[test]
    fn a_platform_argument_before_from_only_is_warned_of() {
        let text = "ARG TARGETARCH\nFROM --platform=$TARGETPLATFORM x\nRUN echo ${TARGETARCH}\n";
        assert_eq!(rules(text), [("platform-argument", 3)]);
        assert_eq!(rules(&text.replace("x\n", "x\nARG TARGETARCH\n")), []);
        let inherited = "FROM --platform=$TARGETPLATFORM x AS a\nARG TARGETARCH\nFROM a\nRUN echo $TARGETARCH\n";
        assert_eq!(rules(inherited), []);
    }

    #[test]
    fn a_from_without_platform_is_warned_of_but_not_scratch_or_a_stage() {
        assert_eq!(
            rules("FROM debian AS a\nFROM scratch AS b\nFROM a\nCOPY --from=b / /\n"),
            [("from-without-platform", 1)]
        );
    }

    #[test]
    fn a_healthcheck_that_needs_a_shell_where_there_is_none_is_warned_of() {
        let base = "FROM --platform=$TARGETPLATFORM gcr.io/distroless/static:nonroot\n";
        let shell = [("healthcheck-shell", 2)];
        assert_eq!(rules(&format!("{base}HEALTHCHECK CMD /service --health\n")), shell);
        assert_eq!(
            rules(&format!("{base}HEALTHCHECK --interval=5s CMD [\"/s\", \"-h\"] || exit 1\n")),
            shell
        );
        assert_eq!(rules(&format!("{base}HEALTHCHECK CMD [\"/s\", \"-h\"]\n")), []);
        assert_eq!(rules(&format!("{base}HEALTHCHECK NONE\n")), []);
        let debian =
            "FROM --platform=$TARGETPLATFORM debian:12\nHEALTHCHECK CMD curl -f http://localhost\n";
        assert_eq!(rules(debian), []);
    }

    #[test]
    fn only_what_the_target_is_built_from_is_looked_at() {
        let file = Dockerfile::read("FROM debian AS a\nFROM scratch AS b\n");
        assert_eq!(lint(&file, Some("b")), []);
    }

    #[test]
    fn an_emulator_is_needed_only_where_something_of_the_target_runs() {
        let cross = "FROM --platform=$BUILDPLATFORM rust AS b\nRUN cargo build\nFROM b AS c\nRUN x\nFROM scratch\nCOPY --from=c /a /a\n";
        assert!(!runs_on_target(&Dockerfile::read(cross), None));
        assert!(runs_on_target(&Dockerfile::read("FROM debian\nRUN true\n"), None));
    }
}
