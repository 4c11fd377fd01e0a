//! What would be done about what is missing: commands in their order, each as it would be typed.
//! Plain data; `install` runs it, `--dry-run` prints it.

use super::download::Fetch;
use super::manager::Manager;
use super::python::{Form, Wanting};
use super::step::Step;
use super::survey::{Absent, Survey};

/// A plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What the manager is told, if it is told anything.
    pub system: Option<SystemPlan>,
    /// Python's requirements.
    pub python: Option<Wanting>,
    /// Programs to fetch.
    pub downloads: Vec<Fetch>,
}

/// The package manager's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemPlan {
    /// The manager.
    pub manager: Manager,
    /// Whether an interrupted run is to be finished first.
    pub repair: bool,
    /// Packages that have to be there.
    pub required: Vec<String>,
    /// Packages whose absence is tolerated, each with what it is for: one that fails keeps
    /// nothing else out.
    pub optional: Vec<Absent>,
    /// Whether commands get `sudo` before them.
    pub sudo: bool,
}

impl Plan {
    /// What would settle everything that the survey has found missing.
    pub fn of(survey: &Survey, sudo: bool) -> Plan {
        let system = survey.manager.filter(|(_, is_there)| *is_there).and_then(|(manager, _)| {
            let mut required: Vec<String> = Vec::new();
            for name in
                survey.absent.iter().filter(|one| one.required).flat_map(|one| &one.packages)
            {
                if !required.contains(name) {
                    required.push(name.clone());
                }
            }
            let optional: Vec<Absent> = survey
                .absent
                .iter()
                .filter(|one| !one.required)
                .filter(|one| one.packages.iter().any(|name| !required.contains(name)))
                .cloned()
                .collect();
            let repair = !survey.unfinished.is_empty() && manager.repair().is_some();
            let plan = SystemPlan { manager, repair, required, optional, sudo };
            (repair || !plan.is_empty()).then_some(plan)
        });
        let open = |one: &&Wanting| !one.required.is_empty() || !one.optional.is_empty();
        let python = survey.python.as_ref().filter(open).cloned();
        Plan { system, python, downloads: survey.downloads.clone() }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.system.is_none() && self.python.is_none() && self.downloads.is_empty()
    }

    /// Every command and download, as a person would type it.
    pub fn commands(&self) -> Vec<String> {
        let mut commands = Vec::new();
        if let Some(system) = &self.system {
            commands.extend(system.commands().iter().map(Step::to_string));
        }
        if let Some(python) = self.python.as_ref().filter(|python| python.managed.is_none()) {
            let required = Some(&python.required).filter(|list| !list.is_empty()).cloned();
            let optional = python.optional.iter().map(|one| vec![one.clone()]);
            let lists = required.into_iter().chain(optional);
            let steps = lists.filter_map(|list| python.step(&list, Form::Install));
            commands.extend(steps.map(|step| step.to_string()));
        }
        for fetch in &self.downloads {
            commands.push(format!(
                "fetch {} -> {} (sha256 and machine checked)",
                fetch.url,
                fetch.destination.display()
            ));
        }
        commands
    }
}

impl SystemPlan {
    /// Whether no package is to be installed.
    pub fn is_empty(&self) -> bool {
        self.required.is_empty() && self.optional.is_empty()
    }

    /// Every command in its order.
    pub fn commands(&self) -> Vec<Step> {
        let repair = self.repair().into_iter();
        let update = (!self.is_empty()).then(|| self.update());
        let required = (!self.required.is_empty()).then(|| self.install(&self.required));
        let optional = self.optional.iter().map(|one| self.install(&one.packages));
        repair.chain(update).chain(required.into_iter().chain(optional).flatten()).collect()
    }

    /// Finishes an interrupted run.
    pub fn repair(&self) -> Option<Step> {
        let command = self.manager.repair().filter(|_| self.repair)?;
        Some(self.step(command, true))
    }

    /// Fetches the lists of packages.
    pub fn update(&self) -> Step {
        self.step(self.manager.update(), false)
    }

    /// Fetches and installs packages: what may be cut off, then what may not.
    pub fn install(&self, packages: &[String]) -> Vec<Step> {
        let fetch = self.manager.fetch(packages).map(|command| self.step(command, false));
        let install = self.step(self.manager.install(packages), true);
        fetch.into_iter().chain([install]).collect()
    }

    fn step(&self, command: Vec<String>, guarded: bool) -> Step {
        let variables = self.manager.environment();
        if !self.sudo {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let environment = variables.iter().map(own).collect();
            return Step { argv: command, environment, guarded };
        }
        // sudo drops the environment; it must not ask where nobody answers.
        let mut argv = ["sudo", "-n", "env"].map(str::to_owned).to_vec();
        argv.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
        argv.extend(command);
        Step { argv, environment: Vec::new(), guarded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_come_first_and_what_is_optional_stands_alone() {
        let absent = Absent { what: "x".into(), packages: vec!["b".into()], required: false };
        let plan = SystemPlan {
            manager: Manager::Apt,
            repair: true,
            required: vec!["a".into()],
            optional: vec![absent],
            sudo: false,
        };
        let commands: Vec<String> = plan.commands().iter().map(Step::to_string).collect();
        assert!(commands[0].contains("dpkg --force-confdef"), "{commands:#?}");
        assert!(commands[1].ends_with(" update"), "{commands:#?}");
        assert!(commands[2].ends_with(" --download-only install a"), "{commands:#?}");
        assert!(commands[3].ends_with("confold install a"), "{commands:#?}");
        assert!(commands[5].ends_with(" install b"), "{commands:#?}");
        assert_eq!(commands.len(), 6);
        assert!(commands.iter().all(|one| one.starts_with("LC_ALL=C DEBIAN_FRONTEND=")));
        let by_sudo = SystemPlan { sudo: true, ..plan };
        let first = by_sudo.update().to_string();
        assert!(first.starts_with("sudo -n env LC_ALL=C DEBIAN_FRONTEND="), "{first}");
    }
}
