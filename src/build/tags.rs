//! The names of an image. A name with an architecture is that platform's image. A name without one
//! is the index where several platforms were built, else the image for the production platform:
//! whoever pulls it gets what production runs, or nothing.

use super::Platforms;
use crate::platform::Arch;

/// The environment whose names production pulls.
const PRODUCTION: &str = "prod";

/// Tags: of the whole, and of each platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Of what is built.
    pub whole: Vec<String>,
    /// Of one platform of it.
    pub each: Vec<(Arch, Vec<String>)>,
}

/// What names are made from.
pub struct Source<'a> {
    /// `--environment`: dev, staging, prod.
    pub environment: Option<&'a str>,
    /// `--tag`, as they were given.
    pub tags: &'a [String],
    /// The revision.
    pub revision: Option<&'a str>,
    /// When this is, in seconds.
    pub now: u64,
    /// What is built.
    pub platforms: &'a Platforms,
    /// What production runs on.
    pub production: Arch,
}

/// Makes them. The error is for the person.
pub fn names(source: &Source) -> Result<Names, String> {
    for tag in source.tags {
        valid(tag)?;
    }
    let platforms = source.platforms.all();
    let mut whole = source.tags.to_vec();
    let mut each: Vec<(Arch, Vec<String>)> = platforms.iter().map(|arch| (*arch, vec![])).collect();
    if let Some(environment) = source.environment {
        valid(environment)?;
        if environment == PRODUCTION && !platforms.contains(&source.production) {
            return Err(format!(
                "--environment prod: the image is not built for linux/{}, which production runs on \
                 (--production-platform)",
                source.production.docker()
            ));
        }
        let timed = format!("{environment}-{}", stamp(source.now));
        let revision = source.revision.map(ToOwned::to_owned);
        let revision = revision.map(|sha| valid(&sha).map(|()| sha)).transpose()?;
        if source.platforms.several() || platforms == [source.production] {
            whole.extend([timed.clone(), format!("{environment}-latest")]);
            whole.extend(revision.clone());
        }
        for (arch, names) in &mut each {
            let arch = arch.docker().replace('/', "");
            names.extend([format!("{timed}-{arch}"), format!("{environment}-{arch}-latest")]);
            names.extend(revision.as_ref().map(|sha| format!("{sha}-{arch}")));
        }
    } else if whole.is_empty() {
        whole.push("latest".to_owned());
    }
    each.retain(|(_, names)| !names.is_empty());
    Ok(Names { whole, each })
}

/// What a registry takes as a tag.
fn valid(tag: &str) -> Result<(), String> {
    let letters = tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let first = tag.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    if letters && first && tag.len() <= 100 {
        return Ok(());
    }
    Err(format!("{tag:?} is no tag: letters, digits, '.', '_' and '-', and not more than 100"))
}

/// `20261121-183000`, in UTC.
fn stamp(seconds: u64) -> String {
    let (year, month, day, rest) = civil(seconds);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// `2026-11-21T18:30:00Z`, as OCI's `created` wants it (RFC 3339).
pub fn rfc3339(seconds: u64) -> String {
    let (year, month, day, rest) = civil(seconds);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month, day, and the seconds of the day, of seconds since 1970. Years begin in March here,
/// so that the leap day is the last of one.
fn civil(seconds: u64) -> (u64, u64, u64, u64) {
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day, seconds % 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 18:30:05 UTC.
    const NOW: u64 = 1_795_285_805;

    fn made(environment: &str, platforms: &str) -> Result<Names, String> {
        let platforms = Platforms::read(platforms).unwrap();
        names(&Source {
            environment: Some(environment),
            tags: &[],
            revision: Some("0a1b2c3"),
            now: NOW,
            platforms: &platforms,
            production: Arch::Arm64,
        })
    }

    #[test]
    fn an_index_gets_the_names_without_architecture_and_each_platform_its_own() {
        let names = made("dev", "amd64,arm64").unwrap();
        assert_eq!(names.whole, ["dev-20261121-183005", "dev-latest", "0a1b2c3"]);
        let amd64 = ["dev-20261121-183005-amd64", "dev-amd64-latest", "0a1b2c3-amd64"];
        assert_eq!(names.each[0], (Arch::Amd64, amd64.map(String::from).to_vec()));
        assert_eq!(names.each.len(), 2);
    }

    #[test]
    fn one_platform_gets_them_only_if_production_runs_on_it() {
        assert!(made("dev", "amd64").unwrap().whole.is_empty());
        assert_eq!(made("dev", "arm64").unwrap().whole.len(), 3);
    }

    #[test]
    fn prod_without_its_platform_is_refused() {
        assert!(made("prod", "amd64").unwrap_err().contains("not built for linux/arm64"));
        assert!(made("prod", "arm64").is_ok());
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (NOW, "2026-11-21T18:30:05Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }

    #[test]
    fn a_tag_that_no_registry_takes_is_refused() {
        for wrong in ["", "-a", "a b", "a/b", "ä"] {
            assert!(valid(wrong).is_err(), "{wrong}");
        }
    }
}
