//! Lays the layers over each other: defaults < profile < file < environment < flags.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::check::{CheckEntry, MOST, OnFailure, read_checks};
use super::document::{Document, LARGEST};
use super::profile::{Profile, read_command, read_settings};
use super::setting::{LISTS, LogLevel, Mode, Origin, Policy, SETTINGS, Values, by_key};
use super::word;

/// Where configuration and profiles stand in an image.
pub const FOLDER: &str = "/etc/mak-init";
/// The configuration file that is read where no other is named.
pub const FILE: &str = "/etc/mak-init/config.toml";
/// The variable that names another.
pub const FILE_VARIABLE: &str = "MAK_INIT_CONFIG";

/// The profiles built into this program: name and text.
pub const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

/// What was typed and what the environment says.
pub struct Request<'a> {
    /// Settings given as flags: row of the table and word.
    pub flags: Vec<(usize, String)>,
    /// The file named by `--config`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: &'a [(OsString, OsString)],
}

/// How much is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    Off,
    /// What every start can afford.
    Quick,
    /// Everything.
    Full,
}

/// What holds, and where each value came from.
#[derive(Debug)]
pub struct Effective {
    /// The settings.
    pub values: Values,
    /// Where each came from, in the order of `SETTINGS`, as far as one is not the default.
    origins: Vec<Origin>,
    /// The active profile.
    pub profile: Option<Profile>,
    /// The command to run when none is typed: from the file, else from the profile.
    pub command: Option<Vec<String>>,
    /// What health looks at: the profile's checks, and the file's in their place or behind them.
    pub checks: Vec<CheckEntry>,
    /// How much is verified at a start.
    pub form: Form,
    /// What should be said, but stops nothing.
    pub warnings: Vec<String>,
}

/// The contents of a configuration file.
struct File {
    path: PathBuf,
    settings: Vec<(usize, String, usize)>,
    command: Option<Vec<String>>,
    checks: Vec<CheckEntry>,
}

/// Reads the files there are and settles every value.
pub fn resolve(request: &Request) -> Result<Box<Effective>, ConfigError> {
    let file = read_file(request)?;
    let profile = active_profile(request, file.as_ref())?;
    let mut effective = Box::new(Effective {
        values: Values::default(),
        origins: Vec::new(),
        profile: None,
        command: None,
        checks: Vec::new(),
        form: Form::Off,
        warnings: Vec::new(),
    });
    if let Some(profile) = &profile {
        for (row, word, _) in &profile.settings {
            effective.put(*row, word, Origin::Profile(profile.name.clone())).map_err(in_file)?;
        }
        effective.command.clone_from(&profile.command);
        effective.checks.clone_from(&profile.checks);
    }
    if let Some(file) = &file {
        for (row, word, line) in &file.settings {
            effective.put(*row, word, Origin::File(file.path.clone(), *line)).map_err(in_file)?;
        }
        if file.command.is_some() {
            effective.command.clone_from(&file.command);
        }
        effective.add_checks(&file.checks);
    }
    effective.profile = profile;
    effective.take_log_level(request);
    // Most starts have no variable of ours: nothing is looked for then.
    let any = request.environment.iter().any(|(name, _)| is_ours(name));
    for (row, setting) in SETTINGS.iter().enumerate().take(if any { SETTINGS.len() } else { 0 }) {
        if let Some(word) = text(request, setting.variable)? {
            effective.put(row, &word, Origin::Environment(setting.variable)).map_err(|why| {
                ConfigError::Usage(format!("{}: its value {why}", setting.variable))
            })?;
        }
    }
    let any = !request.flags.is_empty();
    for (row, setting) in SETTINGS.iter().enumerate().take(if any { SETTINGS.len() } else { 0 }) {
        let Some(word) = typed(request, row) else { continue };
        let flag = setting.flag;
        effective
            .put(row, &word, Origin::Flag(flag))
            .map_err(|why| ConfigError::Usage(format!("--{flag}: {word:?} {why}")))?;
    }
    effective.settle_form(request)?;
    effective.settle_checks()?;
    let workload = &effective.values.workload;
    if !workload.kept.is_empty() && !workload.clear_environment {
        effective.warnings.push("keep_env does nothing without clear_env".to_owned());
    }
    Ok(effective)
}

impl Effective {
    /// Where the value of this row of `SETTINGS` came from.
    pub fn origin(&self, row: usize) -> &Origin {
        self.origins.get(row).unwrap_or(&Origin::Default)
    }

    fn put(&mut self, row: usize, word: &str, origin: Origin) -> Result<(), String> {
        (SETTINGS[row].set)(&mut self.values, word)?;
        self.came_from(row, origin);
        Ok(())
    }

    fn came_from(&mut self, row: usize, origin: Origin) {
        if self.origins.len() <= row {
            self.origins.resize(row + 1, Origin::Default);
        }
        self.origins[row] = origin;
    }

    fn add_checks(&mut self, more: &[CheckEntry]) {
        for check in more {
            match self.checks.iter_mut().find(|known| known.name == check.name) {
                Some(known) => known.clone_from(check),
                None => self.checks.push(check.clone()),
            }
        }
    }

    /// In exec mode nobody is left who could look for health, or act on what it finds.
    fn settle_checks(&mut self) -> Result<(), ConfigError> {
        let refused = |why: String| Err(ConfigError::File(vec![why]));
        if self.checks.len() > MOST {
            return refused(format!("profile and file have more than {MOST} checks together"));
        }
        if self.values.listen.is_none() && !self.checks.is_empty() {
            self.warnings.push("there are checks and no health endpoint: none is made".to_owned());
        }
        let needs_init =
            |check: &&CheckEntry| check.subject.needs_init() || check.on_failure != OnFailure::None;
        match self.checks.iter().find(needs_init) {
            Some(check) if self.values.mode == Mode::Exec => refused(format!(
                "check {:?} needs mak-init beside the workload (kind {}, or on_failure), and in \
                 exec mode it becomes the workload; use mode = \"supervise\" or another check",
                check.name,
                check.subject.kind()
            )),
            _ => Ok(()),
        }
    }

    /// `LOG_LEVEL` may belong to the workload, so that a strange word is only a warning.
    fn take_log_level(&mut self, request: &Request) {
        let (Some(word), Some(row)) = (value(request, "LOG_LEVEL"), by_key("log.level")) else {
            return;
        };
        let Some(word) = word.to_str().filter(|word| !word.is_empty()) else { return };
        match LogLevel::parse(word) {
            Ok(level) => {
                self.values.log_level = level;
                self.came_from(row, Origin::Environment("LOG_LEVEL"));
            }
            Err(_) => self.warnings.push(
                "LOG_LEVEL is not one of ERROR, WARNING, INFO, DEBUG, TRACE; the level stays"
                    .to_owned(),
            ),
        }
    }

    /// How much a start verifies, by `<PREFIX>VERIFY_DEPS` and the policy.
    fn settle_form(&mut self, request: &Request) -> Result<(), ConfigError> {
        refuse_a_second_profile(request, self.profile.as_ref())?;
        let expects = self.values.expect_platform.is_some();
        let Some(profile) = &self.profile else {
            if expects && self.values.verify_policy != Policy::Off {
                self.form = Form::Quick;
            }
            return Ok(());
        };
        let variable = profile.verify_variable();
        let asked = match text(request, &variable)? {
            None => None,
            Some(word) => Some(
                word::switch(&word)
                    .map_err(|why| ConfigError::Usage(format!("{variable}: its value {why}")))?,
            ),
        };
        if asked == Some(true) && !profile.verifies() {
            return Err(ConfigError::File(vec![format!(
                "{variable} asks for verification, but profile {:?} has nothing to verify; \
                 add [[library]], [[binary]], [opencl], [platform] or [python] to it, or unset the variable",
                profile.name
            )]));
        }
        self.form = match asked {
            _ if self.values.verify_policy == Policy::Off => Form::Off,
            Some(true) => Form::Full,
            None if profile.verifies() || expects => Form::Quick,
            Some(false) | None => Form::Off,
        };
        if asked == Some(true) && self.form == Form::Off {
            self.warnings
                .push(format!("{variable} is set, but the policy off wins: no check is made"));
        }
        Ok(())
    }
}

/// The word that was typed for a setting: the last one, or of a list all of them.
fn typed(request: &Request, row: usize) -> Option<String> {
    let mut words =
        request.flags.iter().filter(|(at, _)| *at == row).map(|(_, word)| word.as_str());
    if !LISTS.contains(&SETTINGS[row].key) {
        return words.next_back().map(str::to_owned);
    }
    let words: Vec<&str> = words.collect();
    (!words.is_empty()).then(|| words.join(","))
}

/// Whether a variable may be one of mak-init's own.
pub fn is_ours(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"MAK_INIT_")
}

fn in_file(why: String) -> ConfigError {
    ConfigError::File(vec![why])
}

/// The value of a variable; the last one where there are several, as `getenv` of most shells.
fn value<'a>(request: &'a Request, name: &str) -> Option<&'a OsStr> {
    let found = request.environment.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_os_str())
}

/// The value of a variable of ours, which has to be text.
fn text(request: &Request, name: &str) -> Result<Option<String>, ConfigError> {
    match value(request, name) {
        None => Ok(None),
        Some(value) => value
            .to_str()
            .map(|text| Some(text.to_owned()))
            .ok_or_else(|| ConfigError::Usage(format!("{name}: the value is not UTF-8 text"))),
    }
}

fn read_file(request: &Request) -> Result<Option<File>, ConfigError> {
    let named = match (&request.file, text(request, FILE_VARIABLE)?) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(path)) if !path.is_empty() => Some(PathBuf::from(path)),
        (None, _) => None,
    };
    let path = named.clone().unwrap_or_else(|| PathBuf::from(FILE));
    let Some(text) = read_text(&path)? else {
        return match named {
            None => Ok(None),
            Some(path) => Err(ConfigError::File(vec![format!(
                "cannot read {}: there is no such file",
                path.display()
            )])),
        };
    };
    let mut document = Document::new(&path, &text);
    let mut top = document.parse();
    let command = read_command(&mut document, &mut top);
    let checks = read_checks(&mut document, &mut top);
    let settings = read_settings(&mut document, &mut top, &[]);
    top.finish(&mut document);
    let problems = document.finish();
    if problems.is_empty() {
        Ok(Some(File { path, settings, command, checks }))
    } else {
        Err(ConfigError::File(problems))
    }
}

/// The text of a file; `None` where there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, ConfigError> {
    let refused = |why: &dyn std::fmt::Display| {
        ConfigError::File(vec![format!("cannot read {}: {why}", path.display())])
    };
    // Without waiting for somebody to write into a FIFO; a device may be named: /dev/null.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match std::fs::File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(&error)),
    };
    if file.metadata().is_ok_and(|meta| meta.file_type().is_fifo()) {
        return Err(refused(&"it is a FIFO, not a file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| refused(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(refused(&format!("it is larger than {LARGEST} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| refused(&"it is not UTF-8 text"))
}

/// The profile that is named, else the built-in one whose `<PREFIX>VERIFY_DEPS` is set.
fn active_profile(request: &Request, file: Option<&File>) -> Result<Option<Profile>, ConfigError> {
    let row = by_key("profile").unwrap_or_default();
    let flag = request.flags.iter().rev().find(|(at, _)| *at == row).map(|(_, word)| word.clone());
    let variable = text(request, SETTINGS[row].variable)?;
    let from_file =
        || file?.settings.iter().find(|(at, ..)| *at == row).map(|(_, word, _)| word.clone());
    match flag.or(variable).or_else(from_file).filter(|name| !name.is_empty()) {
        Some(name) => load_profile(&name).map(Some),
        None => built_in_that_is_asked_for(request),
    }
}

/// The profile of this name: in `/etc/mak-init/`, else built in; with a slash it is a path.
pub fn load_profile(name: &str) -> Result<Profile, ConfigError> {
    if name.contains('/') {
        let path = Path::new(name);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return match read_text(path)? {
            Some(text) => Profile::read(&stem, path, &text).map_err(ConfigError::File),
            None => Err(no_such_profile(name, &[name.to_owned()])),
        };
    }
    let path = Path::new(FOLDER).join(format!("{name}.toml"));
    if let Some(text) = read_text(&path)? {
        return Profile::read(name, &path, &text).map_err(ConfigError::File);
    }
    match BUILT_IN.iter().find(|(known, _)| *known == name) {
        Some((name, text)) => read_built_in(name, text),
        None => Err(no_such_profile(
            name,
            &[path.display().to_string(), "the profiles built in".to_owned()],
        )),
    }
}

fn no_such_profile(name: &str, looked: &[String]) -> ConfigError {
    let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    ConfigError::File(vec![format!(
        "there is no profile {name:?}: looked at {}; built in: {}",
        looked.join(" and "),
        known.join(", ")
    )])
}

fn read_built_in(name: &str, text: &str) -> Result<Profile, ConfigError> {
    Profile::read(name, Path::new(&format!("built-in {name}.toml")), text)
        .map_err(ConfigError::File)
}

/// Built-in profiles are only parsed where a variable's name says that one may be meant.
fn built_ins_named_by(request: &Request) -> Result<Vec<Profile>, ConfigError> {
    let asks = |name: &OsStr| name.as_encoded_bytes().ends_with(b"_VERIFY_DEPS");
    match request.environment.iter().any(|(name, _)| asks(name)) {
        true => built_ins_whose_variable_is_set(request),
        false => Ok(Vec::new()),
    }
}

/// Most starts never come here, and are spared its stack.
#[inline(never)]
fn built_ins_whose_variable_is_set(request: &Request) -> Result<Vec<Profile>, ConfigError> {
    let mut named = Vec::new();
    for (name, text) in BUILT_IN {
        let profile = read_built_in(name, text)?;
        if value(request, &profile.verify_variable()).is_some() {
            named.push(profile);
        }
    }
    Ok(named)
}

fn built_in_that_is_asked_for(request: &Request) -> Result<Option<Profile>, ConfigError> {
    Ok(built_ins_named_by(request)?.into_iter().next())
}

/// Verification that is asked for is never left out silently: not by another active profile.
fn refuse_a_second_profile(request: &Request, active: Option<&Profile>) -> Result<(), ConfigError> {
    for other in built_ins_named_by(request)? {
        if active.is_some_and(|profile| profile.prefix == other.prefix) {
            continue;
        }
        let variable = other.verify_variable();
        let word = text(request, &variable)?.unwrap_or_default();
        let asks = word::switch(&word)
            .map_err(|why| ConfigError::Usage(format!("{variable}: its value {why}")))?;
        if asks {
            return Err(ConfigError::File(vec![format!(
                "{variable} asks for profile {:?}, but profile {:?} is active; unset one of them",
                other.name,
                active.map(|profile| profile.name.as_str()).unwrap_or_default()
            )]));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(
        variables: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Box<Effective>, ConfigError> {
        let environment: Vec<(OsString, OsString)> =
            variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let flags = flags
            .iter()
            .map(|(flag, word)| (super::super::setting::by_flag(flag).unwrap(), word.to_string()))
            .collect();
        resolve(&Request { flags, file: None, environment: &environment })
    }

    fn file(name: &str, text: &str) -> String {
        let path = std::env::temp_dir().join(format!("mak-config-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_stronger_layer_wins_and_says_so() {
        let path =
            file("layers.toml", "grace = \"1s\"\ndrain = \"1s\"\n[log]\nlevel = \"error\"\n");
        let variables = [("MAK_INIT_CONFIG", path.as_str()), ("MAK_INIT_GRACE", "2s")];
        let effective = with(&variables, &[("grace", "3s")]).unwrap();
        assert_eq!(effective.values.grace.as_secs(), 3);
        assert_eq!(*effective.origin(by_key("grace").unwrap()), Origin::Flag("grace"));
        assert_eq!(*effective.origin(by_key("drain").unwrap()), Origin::File(path.into(), 2));
        assert_eq!(effective.values.log_level, LogLevel::Error);
        assert_eq!(effective.form, Form::Off);
    }

    #[test]
    fn a_list_grows_on_the_command_line_and_is_replaced_by_a_stronger_layer() {
        let variables = [("MAK_INIT_SECRET", "A,B"), ("MAK_INIT_CAP_DROP", "KILL")];
        let effective = with(&variables, &[("secret", "C"), ("secret", "D")]).unwrap();
        assert_eq!(effective.values.workload.secrets, ["C", "D"]);
        let origin = effective.origin(by_key("workload.cap_drop").unwrap());
        assert_eq!(*origin, Origin::Environment("MAK_INIT_CAP_DROP"));
        assert_eq!(with(&[], &[("keep-env", "A")]).unwrap().warnings.len(), 1);
        let both = with(&[], &[("keep-env", "A"), ("clear-env", "1")]).unwrap();
        assert!(both.warnings.is_empty() && both.values.workload.clear_environment);
        let twice = with(&[], &[("grace", "1s"), ("grace", "2s")]).unwrap();
        assert_eq!(twice.values.grace.as_secs(), 2);
    }

    #[test]
    fn a_repeated_flag_adds_to_a_list_and_replaces_anything_else() {
        let flags = [("rewrite", "1:2"), ("grace", "1s"), ("rewrite", "15:0"), ("grace", "2s")];
        let values = with(&[], &flags).unwrap().values;
        assert_eq!((values.rewrite.len(), values.grace.as_secs()), (2, 2));
    }

    #[test]
    fn a_built_in_profile_becomes_active_by_its_variable() {
        for (word, form) in [("1", Form::Full), ("true", Form::Full), ("0", Form::Off)] {
            let effective = with(&[("IPFS_KIT_VERIFY_DEPS", word)], &[]).unwrap();
            assert_eq!(effective.profile.unwrap().name, "ipfs-kit");
            assert_eq!(effective.form, form, "{word}");
        }
        let refused = with(&[("IPFS_KIT_VERIFY_DEPS", "maybe")], &[]).unwrap_err();
        assert!(
            matches!(refused, ConfigError::Usage(text) if text.contains("IPFS_KIT_VERIFY_DEPS"))
        );
        assert_eq!(with(&[("MAK_INIT_PROFILE", "ipfs-kit")], &[]).unwrap().form, Form::Quick);
        assert!(with(&[("OTHER_VERIFY_DEPS", "1")], &[]).unwrap().profile.is_none());
    }

    #[test]
    fn verification_that_is_asked_for_is_never_left_out_silently() {
        let path = file("empty.toml", "prefix = \"X_\"\n");
        let profile = [("MAK_INIT_PROFILE", path.as_str()), ("X_VERIFY_DEPS", "1")];
        assert!(matches!(with(&profile, &[]).unwrap_err(), ConfigError::File(_)));
        let profile = [("MAK_INIT_PROFILE", path.as_str()), ("IPFS_KIT_VERIFY_DEPS", "1")];
        assert!(matches!(with(&profile, &[]).unwrap_err(), ConfigError::File(_)));
        let off = with(&[("IPFS_KIT_VERIFY_DEPS", "1"), ("MAK_INIT_VERIFY", "off")], &[]).unwrap();
        assert_eq!((off.form, off.warnings.len()), (Form::Off, 1));
    }

    #[test]
    fn a_strange_log_level_is_a_warning_and_its_value_is_not_repeated() {
        let effective = with(&[("LOG_LEVEL", "s3cret")], &[]).unwrap();
        assert_eq!(effective.warnings.len(), 1);
        assert!(!effective.warnings[0].contains("s3cret"));
        let effective = with(&[("LOG_LEVEL", "WARNING")], &[]).unwrap();
        assert_eq!(effective.values.log_level, LogLevel::Warn);
        let both = [("LOG_LEVEL", "WARNING"), ("MAK_INIT_LOG_LEVEL", "debug")];
        assert_eq!(with(&both, &[]).unwrap().values.log_level, LogLevel::Debug);
    }

    #[test]
    fn a_named_file_or_profile_has_to_exist() {
        let missing = [("MAK_INIT_CONFIG", "/nowhere/at/all.toml")];
        assert!(matches!(with(&missing, &[]).unwrap_err(), ConfigError::File(_)));
        let ConfigError::File(lines) = with(&[], &[("profile", "ipfs-kat")]).unwrap_err() else {
            panic!("a missing profile is a configuration error");
        };
        assert!(lines[0].contains("ipfs-kit"), "{lines:?}");
    }
}
