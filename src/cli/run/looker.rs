//! How PID 1's children look at what health cannot look at itself: as the workload's user, with
//! its environment. `run` makes it, and `init/inquiry` calls it.

use std::ffi::{CString, OsStr, OsString};
use std::path::PathBuf;

use super::Start;
use super::program::{environment_entries, explain, program_of};
use crate::cli::environment::find;
use crate::config::CheckEntry;
use crate::config::check::{OnFailure, Subject};
use crate::health::check::look::look_by_tls;
use crate::health::probe::Manners;
use crate::init::attributes::Attributes;
use crate::init::look::look;
use crate::init::mask::Inherited;
use crate::init::spawn::{Program, Standing};
use crate::init::title::Title;

/// What looks for health need of the start, in the children that PID 1 makes for them.
pub(super) struct Looker {
    title: Title,
    inherited: Inherited,
    environment: Vec<CString>,
    search_path: Option<OsString>,
    attributes: Attributes,
    manners: Manners,
}

impl Looker {
    /// In such a child, as the workload's user; a program is given its other attributes too.
    pub(super) fn look(&self, check: &CheckEntry) -> Result<(), String> {
        self.title.replace("mak-init: check");
        let runs = matches!(check.subject, Subject::Exec(_));
        if let Some(user) = self.attributes.identity.as_ref().filter(|_| !runs) {
            let taken = user.take_groups().and_then(|()| user.take_user());
            taken.map_err(|_| "it cannot be looked at as the workload's user".to_owned())?;
        }
        if let Some(found) = look_by_tls(&check.subject, &self.manners, check.timeout) {
            return found;
        }
        let program = |words: &[String]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let environment = self.environment.clone();
            let path = self.search_path.as_deref();
            let program = program_of(&words, environment, path, explain, Standing::Same)?;
            let attributes = Attributes { hand_over_streams: false, ..self.attributes.clone() };
            Some(Program { attributes, ..program })
        };
        look(&check.subject, check.timeout, &self.inherited, &program)
    }
}

impl Start<'_> {
    /// Empty where nothing will be looked at.
    pub(super) fn looker(&self) -> Looker {
        let runs = |check: &CheckEntry| matches!(check.subject, Subject::Exec(_));
        let runs = self.effective.checks.iter().any(runs);
        Looker {
            title: self.title,
            inherited: self.inherited,
            environment: match runs {
                true => environment_entries(&self.environment),
                false => Vec::new(),
            },
            search_path: find(&self.environment, "PATH").map(OsStr::to_owned),
            attributes: self.attributes.clone(),
            manners: Manners {
                token: None,
                authorities: find(&self.environment, "SSL_CERT_FILE").map(PathBuf::from),
            },
        }
    }
}

/// Whether PID 1 has something to do for one of these.
pub(super) fn needs_init(checks: &[CheckEntry]) -> bool {
    checks.iter().any(|check| check.subject.needs_init() || check.on_failure != OnFailure::None)
}
