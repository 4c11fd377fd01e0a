//! Whether what is installed satisfies what is wanted, through all requirements of the
//! requirements: the question of `pip check`, asked for a list and answered with versions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::PathBuf;

use super::direct_url;
use super::distribution::{Broken, Distribution, Installed};
use super::interpreter::PythonVersion;
use super::marker::{Environment, Truth};
use super::name::normalize;
use super::requirement::Requirement;
use super::version::Specifiers;

/// A requirement and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What is required.
    pub requirement: Requirement,
    /// Who requires it: `requirements.txt:3`, `profile ipfs-kit`, `aiohttp 3.14.5`.
    pub required_by: String,
}

/// How far to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The given requirements only.
    Direct,
    /// Also what the distributions themselves require.
    Transitive,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Not installed.
    Missing {
        /// The requirement, as parsed.
        requirement: String,
        /// The normalized name.
        name: String,
        /// Who requires it.
        required_by: String,
    },
    /// Installed in a version that is not allowed.
    WrongVersion {
        /// The distribution.
        name: String,
        /// Its version.
        installed: String,
        /// The versions allowed.
        wanted: String,
        /// Who requires it.
        required_by: String,
        /// Its metadata.
        location: PathBuf,
    },
    /// The interpreter is not one that the distribution supports.
    RequiresPython {
        /// The distribution.
        name: String,
        /// Its version.
        version: String,
        /// Its `Requires-Python`.
        wanted: String,
        /// The interpreter's version.
        python: String,
        /// False if the patch level, which is not known, decides.
        certain: bool,
    },
    /// Metadata that the standards do not allow.
    Unparsable {
        /// The distribution or list it is in.
        of: String,
        /// What is wrong, with the text.
        problem: String,
    },
    /// Not satisfied, and files do not tell whether the marker makes it apply.
    UnknownMarker {
        /// The requirement.
        requirement: String,
        /// Who requires it.
        required_by: String,
    },
    /// An extra is asked for that the distribution does not offer.
    UnknownExtra {
        /// The distribution.
        name: String,
        /// The extra.
        extra: String,
        /// Who asks.
        required_by: String,
    },
    /// The distribution is there and cannot be read.
    Broken {
        /// The normalized name.
        name: String,
        /// The folder or file.
        location: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// Who requires it.
        required_by: String,
    },
    /// A constraint does not allow the version that is installed.
    Constrained {
        /// The distribution.
        name: String,
        /// Its version.
        installed: String,
        /// The versions allowed.
        wanted: String,
        /// The constraint's file and line.
        by: String,
        /// Its metadata.
        location: PathBuf,
    },
    /// Not from the address that the requirement names.
    OtherSource {
        /// The distribution.
        name: String,
        /// The address.
        wanted: String,
        /// Where it is from.
        found: String,
        /// Who requires it.
        required_by: String,
    },
    /// Installed more than once in one folder, in different versions: which of them Python sees
    /// hangs on the order of the directory.
    Shadowed {
        /// The distribution.
        name: String,
        /// The one that counts.
        used: PathBuf,
        /// The others.
        others: Vec<PathBuf>,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Missing { requirement, required_by, .. } => {
                write!(out, "{requirement} is not installed (required by {required_by})")
            }
            Finding::WrongVersion { name, installed, wanted, required_by, .. } => {
                write!(out, "{name} is {installed}, but {required_by} requires {name}{wanted}")
            }
            Finding::RequiresPython { name, version, wanted, python, certain } => {
                let needs =
                    if *certain { "needs" } else { "may need another patch level: it asks for" };
                write!(out, "{name} {version} {needs} Python {wanted}, the interpreter is {python}")
            }
            Finding::Unparsable { of, problem } => write!(out, "{of}: {problem}"),
            Finding::UnknownMarker { requirement, required_by } => write!(
                out,
                "{requirement} is not satisfied, and files do not tell whether its marker applies (required by {required_by})"
            ),
            Finding::UnknownExtra { name, extra, required_by } => {
                write!(out, "{name} has no extra \"{extra}\" (required by {required_by})")
            }
            Finding::Broken { name, location, problem, required_by } => write!(
                out,
                "{name} (required by {required_by}) is broken: {}: {problem}",
                location.display()
            ),
            Finding::Constrained { name, installed, wanted, by, .. } => {
                write!(out, "{name} is {installed}, but {by} allows {name}{wanted} only")
            }
            Finding::OtherSource { name, wanted, found, required_by } => write!(
                out,
                "{name} is required from {wanted} (by {required_by}), and was installed from {found}"
            ),
            Finding::Shadowed { name, used, others } => {
                write!(out, "{name} is installed more than once: {} beside", used.display())?;
                others.iter().try_for_each(|other| write!(out, " {}", other.display()))
            }
        }
    }
}

/// What a check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is wrong, in the order it was met.
    pub findings: Vec<Finding>,
    /// Every distribution that was reached, by normalized name.
    pub reached: Vec<Distribution>,
}

/// Checks what is installed against constraints (pip's `-c`): they ask for nothing by themselves.
pub fn constrained(
    installed: &Installed,
    environment: &Environment,
    constraints: &[Wanted],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Wanted { requirement, required_by } in constraints {
        let applies = requirement
            .marker
            .as_ref()
            .is_none_or(|marker| marker.evaluate(environment, "") == Truth::True);
        let Ok(Some(found)) = installed.find(&requirement.normalized()) else { continue };
        if applies && !requirement.specifiers.contains(&found.version) {
            findings.push(Finding::Constrained {
                name: found.name,
                installed: found.version,
                wanted: requirement.specifiers.to_string(),
                by: required_by.clone(),
                location: found.location,
            });
        }
    }
    findings
}

/// Checks `wanted` against what is installed.
pub fn check(
    installed: &Installed,
    python: &PythonVersion,
    environment: &Environment,
    wanted: &[Wanted],
    depth: Depth,
) -> Outcome {
    let mut check = Check {
        installed,
        python,
        environment,
        known: BTreeMap::new(),
        expanded: BTreeSet::new(),
        queue: VecDeque::new(),
        findings: Vec::new(),
    };
    for one in wanted {
        check.meet(one, "");
    }
    while let Some((name, extra)) = check.queue.pop_front() {
        if depth == Depth::Transitive {
            check.expand(&name, &extra);
        }
    }
    let reached = check.known.into_values().filter_map(|found| found.ok().flatten()).collect();
    Outcome { findings: check.findings, reached }
}

struct Check<'a> {
    installed: &'a Installed,
    python: &'a PythonVersion,
    environment: &'a Environment,
    known: BTreeMap<String, Result<Option<Distribution>, Broken>>,
    /// Pairs of name and extra, "" for the distribution itself, that were or will be expanded.
    expanded: BTreeSet<(String, String)>,
    queue: VecDeque<(String, String)>,
    findings: Vec<Finding>,
}

impl Check<'_> {
    /// Judges one requirement, seen with `extra` asked of the one that has it.
    fn meet(&mut self, wanted: &Wanted, extra: &str) {
        let requirement = &wanted.requirement;
        let applies = match &requirement.marker {
            Some(marker) => marker.evaluate(self.environment, extra),
            None => Truth::True,
        };
        if applies == Truth::False {
            return;
        }
        let name = requirement.normalized();
        self.look_up(&name);
        let before = self.findings.len();
        let found = self.judge(wanted, &name);
        if applies == Truth::Unknown {
            if self.findings.len() > before {
                self.findings.truncate(before);
                self.findings.push(Finding::UnknownMarker {
                    requirement: requirement.to_string(),
                    required_by: wanted.required_by.clone(),
                });
            }
            return;
        }
        if !found {
            return;
        }
        let extras = requirement.extras.iter().map(|extra| normalize(extra));
        for extra in std::iter::once(String::new()).chain(extras) {
            let key = (name.clone(), extra);
            if self.expanded.insert(key.clone()) {
                self.queue.push_back(key);
            }
        }
    }

    /// Reads a distribution once, and says what is odd about it by itself.
    fn look_up(&mut self, name: &str) {
        if self.known.contains_key(name) {
            return;
        }
        let found = self.installed.find(name);
        if let Ok(Some(distribution)) = &found {
            // An environment over the system's packages shadows some by design; two in one
            // folder are the remains of an upgrade. Debian ships pairs of the same version.
            let others: Vec<PathBuf> = distribution
                .shadowed
                .iter()
                .filter(|one| {
                    one.same_folder && one.version.as_ref() != Some(&distribution.version)
                })
                .map(|one| one.location.clone())
                .collect();
            if !others.is_empty() {
                self.findings.push(Finding::Shadowed {
                    name: distribution.name.clone(),
                    used: distribution.location.clone(),
                    others,
                });
            }
            self.findings.extend(python_finding(distribution, self.python));
        }
        self.known.insert(name.to_owned(), found);
    }

    /// Whether the distribution is there; its absence, version and extras become findings.
    fn judge(&mut self, wanted: &Wanted, name: &str) -> bool {
        let requirement = &wanted.requirement;
        let required_by = wanted.required_by.clone();
        match self.known.get(name) {
            Some(Ok(Some(found))) => {
                if !requirement.specifiers.contains(&found.version) {
                    self.findings.push(Finding::WrongVersion {
                        name: found.name.clone(),
                        installed: found.version.clone(),
                        wanted: requirement.specifiers.to_string(),
                        required_by: required_by.clone(),
                        location: found.location.clone(),
                    });
                }
                if let Some(url) = &requirement.url
                    && let Some(found_at) = self.other_source(found, url)
                {
                    self.findings.push(Finding::OtherSource {
                        name: found.name.clone(),
                        wanted: url.clone(),
                        found: found_at,
                        required_by: required_by.clone(),
                    });
                }
                for extra in &requirement.extras {
                    let offered = |one: &String| normalize(one) == normalize(extra);
                    if !found.provides_extra.iter().any(offered) {
                        self.findings.push(Finding::UnknownExtra {
                            name: found.name.clone(),
                            extra: extra.clone(),
                            required_by: required_by.clone(),
                        });
                    }
                }
                true
            }
            Some(Err(broken)) => {
                self.findings.push(Finding::Broken {
                    name: name.to_owned(),
                    location: broken.location.clone(),
                    problem: broken.problem.clone(),
                    required_by,
                });
                false
            }
            Some(Ok(None)) | None => {
                self.findings.push(Finding::Missing {
                    requirement: bare(requirement),
                    name: name.to_owned(),
                    required_by,
                });
                false
            }
        }
    }

    /// Where a distribution is from, if that is not the wanted address.
    fn other_source(&self, found: &Distribution, wanted: &str) -> Option<String> {
        match self.installed.read_beside(found, "direct_url.json", direct_url::LARGEST) {
            Ok(bytes) => direct_url::compare(wanted, &bytes).err(),
            Err(_) => Some("an index".to_owned()),
        }
    }

    fn expand(&mut self, name: &str, extra: &str) {
        let Some(Ok(Some(distribution))) = self.known.get(name) else { return };
        let required_by = format!("{} {}", distribution.name, distribution.version);
        for text in distribution.requires.clone() {
            match Requirement::parse(&text) {
                Ok(requirement) => {
                    // Seen already when the distribution itself was expanded.
                    let by_extra = !extra.is_empty() && self.applies_without_extra(&requirement);
                    if !by_extra {
                        let required_by = required_by.clone();
                        self.meet(&Wanted { requirement, required_by }, extra);
                    }
                }
                Err(error) if extra.is_empty() => self.findings.push(Finding::Unparsable {
                    of: required_by.clone(),
                    problem: error.to_string(),
                }),
                Err(_) => {}
            }
        }
    }

    fn applies_without_extra(&self, requirement: &Requirement) -> bool {
        requirement
            .marker
            .as_ref()
            .is_none_or(|marker| marker.evaluate(self.environment, "") != Truth::False)
    }
}

/// The requirement without its marker, which has been answered.
fn bare(requirement: &Requirement) -> String {
    Requirement { marker: None, ..requirement.clone() }.to_string()
}

fn python_finding(distribution: &Distribution, python: &PythonVersion) -> Option<Finding> {
    let wanted = distribution.requires_python.as_deref()?;
    let specifiers = match Specifiers::parse(wanted) {
        Ok(specifiers) => specifiers,
        Err(error) => {
            return Some(Finding::Unparsable {
                of: format!("{} {}", distribution.name, distribution.version),
                problem: format!("Requires-Python: {error}"),
            });
        }
    };
    let certain = match supports(&specifiers, python) {
        Truth::True => return None,
        Truth::False => true,
        Truth::Unknown => false,
    };
    Some(Finding::RequiresPython {
        name: distribution.name.clone(),
        version: distribution.version.clone(),
        wanted: wanted.to_owned(),
        python: python.to_string(),
        certain,
    })
}

/// Whether specifiers such as `>=3.12` accept an interpreter's version; unknown where the patch
/// level decides and is not known.
pub fn supports(specifiers: &Specifiers, python: &PythonVersion) -> Truth {
    let mut verdicts = python.candidates().into_iter().map(|full| specifiers.contains(&full));
    let first = verdicts.next().unwrap_or(false);
    if verdicts.any(|verdict| verdict != first) {
        return Truth::Unknown;
    }
    if first { Truth::True } else { Truth::False }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::tree::{Tree, paths};

    const SITE: &str = "/site";

    fn python() -> PythonVersion {
        PythonVersion { major: 3, minor: 11, micro: None, suffix: String::new() }
    }

    fn run(tree: &Tree, wanted: &[&str], depth: Depth) -> Outcome {
        let installed = Installed::list(&tree.root(), &paths(&[SITE]));
        let environment = Environment {
            python_version: vec!["3.11".into()],
            os_name: vec!["posix".into()],
            ..Environment::default()
        };
        let wanted: Vec<Wanted> = wanted
            .iter()
            .map(|text| Wanted {
                requirement: Requirement::parse(text).unwrap(),
                required_by: "list".into(),
            })
            .collect();
        check(&installed, &python(), &environment, &wanted, depth)
    }

    fn lines(outcome: &Outcome) -> Vec<String> {
        outcome.findings.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn an_old_version_and_a_missing_distribution_are_named_with_who_wants_them() {
        let tree = Tree::new("closure");
        tree.distribution(SITE, "aiohttp", "3.7.0", "Requires-Dist: Attrs_X>=20\nRequires-Dist: gone\nRequires-Dist: winonly; os_name == 'nt'");
        tree.distribution(SITE, "attrs.x", "19.1", "Requires-Dist: aiohttp");
        let outcome = run(&tree, &["aiohttp>=3.8.4", "toml"], Depth::Transitive);
        assert_eq!(
            lines(&outcome),
            [
                "aiohttp is 3.7.0, but list requires aiohttp>=3.8.4",
                "toml is not installed (required by list)",
                "attrs.x is 19.1, but aiohttp 3.7.0 requires attrs.x>=20",
                "gone is not installed (required by aiohttp 3.7.0)",
            ]
        );
        assert_eq!(outcome.reached.len(), 2);
        assert_eq!(run(&tree, &["aiohttp"], Depth::Direct).findings, []);
    }

    #[test]
    fn extras_are_followed_once_even_in_circles() {
        let tree = Tree::new("extras");
        tree.distribution(
            SITE,
            "eth-hash",
            "0.8.0",
            "Provides-Extra: py_cryptodome\nProvides-Extra: all\n\
             Requires-Dist: pycryptodome<4; extra == \"py-cryptodome\"\n\
             Requires-Dist: eth-hash[PY.cryptodome]; extra == \"all\"\n\
             Requires-Dist: eth-hash[all]; extra == \"py-cryptodome\"",
        );
        assert_eq!(run(&tree, &["eth-hash"], Depth::Transitive).findings, []);
        let outcome = run(&tree, &["eth-hash[all]"], Depth::Transitive);
        assert_eq!(
            lines(&outcome),
            ["pycryptodome<4 is not installed (required by eth-hash 0.8.0)"]
        );
        let outcome = run(&tree, &["eth-hash[nothing]"], Depth::Transitive);
        assert_eq!(lines(&outcome), ["eth-hash has no extra \"nothing\" (required by list)"]);
    }

    #[test]
    fn an_interpreter_too_old_is_told_apart_from_one_of_unknown_patch_level() {
        let tree = Tree::new("requires");
        tree.distribution(SITE, "new", "1", "Requires-Python: >=3.12");
        tree.distribution(SITE, "patch", "1", "Requires-Python: >=3.11.4");
        tree.distribution(SITE, "fine", "1", "Requires-Python: !=3.12.*,>=3.8");
        tree.distribution(SITE, "odd", "1", "Requires-Python: three");
        let outcome = run(&tree, &["new", "patch", "fine", "odd"], Depth::Direct);
        let lines = lines(&outcome);
        assert_eq!(lines[0], "new 1 needs Python >=3.12, the interpreter is 3.11");
        assert_eq!(
            lines[1],
            "patch 1 may need another patch level: it asks for Python >=3.11.4, the interpreter is 3.11"
        );
        assert!(matches!(&outcome.findings[2], Finding::Unparsable { of, .. } if of == "odd 1"));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn an_address_is_compared_with_where_the_distribution_is_from() {
        let tree = Tree::new("source");
        tree.distribution(SITE, "x", "1", "");
        tree.distribution(SITE, "y", "1", "");
        tree.file("/site/x-1.dist-info/direct_url.json", "{\"url\": \"https://h/x-1.whl\"}");
        let wanted = ["x @ https://h/x-1.whl", "x @ https://h/x-2.whl", "y @ https://h/y.whl"];
        assert_eq!(
            lines(&run(&tree, &wanted, Depth::Direct)),
            [
                "x is required from https://h/x-2.whl (by list), and was installed from https://h/x-1.whl",
                "y is required from https://h/y.whl (by list), and was installed from an index",
            ]
        );
    }

    #[test]
    fn a_constraint_counts_for_what_is_installed_only() {
        let tree = Tree::new("constraint");
        tree.distribution(SITE, "six", "2.0", "");
        let installed = Installed::list(&tree.root(), &paths(&[SITE]));
        let constraints: Vec<Wanted> = ["six<2", "gone<1", "six<1; os_name == 'nt'", "six>=2"]
            .iter()
            .map(|text| Wanted {
                requirement: Requirement::parse(text).unwrap(),
                required_by: "limits.txt:1".into(),
            })
            .collect();
        let environment = Environment { os_name: vec!["posix".into()], ..Environment::default() };
        let found = constrained(&installed, &environment, &constraints);
        let texts: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(texts, ["six is 2.0, but limits.txt:1 allows six<2 only"]);
    }

    #[test]
    fn a_marker_that_files_cannot_answer_matters_only_if_the_requirement_is_not_met() {
        let tree = Tree::new("unknown");
        tree.distribution(SITE, "six", "1.16.0", "");
        let outcome = run(
            &tree,
            &["six; platform_release >= '5'", "tomli; platform_release >= '5'"],
            Depth::Transitive,
        );
        assert_eq!(outcome.findings.len(), 1);
        assert!(
            matches!(&outcome.findings[0], Finding::UnknownMarker { requirement, .. } if requirement.starts_with("tomli"))
        );
    }

    #[test]
    fn metadata_without_a_name_and_remains_of_an_upgrade_are_findings() {
        let tree = Tree::new("broken");
        tree.file("/site/empty-1.dist-info/RECORD", "");
        tree.distribution(SITE, "twice", "1.0", "");
        tree.distribution(SITE, "twice", "2.0", "Requires-Dist: what is this");
        let outcome = run(&tree, &["empty", "twice>=2"], Depth::Transitive);
        assert!(
            matches!(&outcome.findings[0], Finding::Broken { location, .. } if location.ends_with("empty-1.dist-info"))
        );
        assert!(
            matches!(&outcome.findings[1], Finding::Shadowed { others, .. } if others.len() == 1)
        );
        assert!(
            matches!(&outcome.findings[2], Finding::WrongVersion { installed, .. } if installed == "1.0")
        );
    }
}
