//! `mak image verify SOURCE`: an image held against what it says of itself, for each of its
//! platforms. The exit code is the verdict.

use std::path::{Path, PathBuf};

use super::words::Words;
use super::{Opt, Subcommand, code, print, say, usage};
use crate::config::resolve::BUILT_IN;
use crate::config::{Profile, suggest};
use crate::image::findings::Findings;
use crate::image::inspect::Wanted;
use crate::image::manifest::Platform;
use crate::image::source::Source;
use crate::image::{ImageError, Meaning, sarif, sbom, verify};
use crate::platform::read_regular;
use crate::verify::Verdict;

/// A profile is a page.
const LARGEST_PROFILE: u64 = 1 << 20;

/// The row of the table.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "image verify",
    operands: "SOURCE",
    help: "Hold an image's label against its contents, for each platform. SOURCE is an archive \
           (docker save, OCI), a folder (OCI layout, root file system), - for stdin, docker:NAME, \
           or registry:HOST/NAME[:TAG|@DIGEST]",
    options: &[
        Opt {
            flag: "platform",
            short: None,
            value: Some("OS/ARCH[,…]"),
            help: "The platforms that have to be there [all that are]",
        },
        Opt {
            flag: "profile",
            short: None,
            value: Some("NAME|FILE"),
            help: "Make the full verification of this profile, built in or from a file",
        },
        Opt {
            flag: "hashes",
            short: None,
            value: None,
            help: "Compare the contents of installed Python files with their hashes too",
        },
        Opt {
            flag: "foreign",
            short: None,
            value: Some("FOLDER"),
            help: "A folder whose ELF files may be for another machine; repeatable",
        },
        Opt {
            flag: "format",
            short: None,
            value: Some("text|json|junit|sarif"),
            help: "The form of the report on stdout [text]",
        },
        Opt {
            flag: "report",
            short: None,
            value: Some("FILE"),
            help: "Also write the report as JSON to this file",
        },
        Opt {
            flag: "sbom",
            short: None,
            value: Some("FILE"),
            help: "Write what is installed as CycloneDX JSON; of several platforms to a file each, \
                   FILE-OS-ARCH.json",
        },
        Opt {
            flag: "verbose",
            short: Some('v'),
            value: None,
            help: "Show what is as it should be too",
        },
    ],
    main,
};

/// What was typed, as it is needed.
struct Typed {
    word: String,
    source: Source,
    platforms: Vec<Platform>,
    profile: Option<Profile>,
    hashes: bool,
    foreign: Vec<PathBuf>,
    format: Format,
    report: Option<PathBuf>,
    sbom: Option<PathBuf>,
    verbose: bool,
}

#[derive(Clone, Copy)]
enum Format {
    Text,
    Json,
    Junit,
    Sarif,
}

fn main(words: &Words) -> u8 {
    let typed = match typed(words) {
        Ok(typed) => typed,
        Err(code) => return code,
    };
    let wanted =
        Wanted { profile: typed.profile.as_ref(), foreign: &typed.foreign, hashes: typed.hashes };
    let findings = match verify::verify(&typed.word, &typed.source, &typed.platforms, &wanted) {
        Ok(findings) => findings,
        Err(error) => return refused(&error),
    };
    let written = write(&typed, &findings).and_then(|()| shown(&typed, &findings));
    let text = match written {
        Ok(text) => text,
        Err(why) => {
            say(&why);
            return code::FAILED;
        }
    };
    match (print(&text), findings.verdict()) {
        (code::FINE, Verdict::Fail) => code::NOT_VERIFIED,
        (printed, _) => printed,
    }
}

fn refused(error: &ImageError) -> u8 {
    say(&error.text);
    match error.meaning {
        Meaning::Usage => code::USAGE,
        Meaning::Unfit => code::NOT_VERIFIED,
        Meaning::Passing => code::PASSING,
        Meaning::Failed => code::FAILED,
    }
}

fn typed(words: &Words) -> Result<Typed, u8> {
    let bad = |why: String| usage(&why);
    let [word] = words.operands.as_slice() else {
        return Err(usage(
            "image verify: name one SOURCE; mak image verify --help says what it can be",
        ));
    };
    let word = word.to_string_lossy().into_owned();
    let format = match words.text("format").map_err(bad)?.as_deref() {
        None | Some("text") => Format::Text,
        Some("json") => Format::Json,
        Some("junit") => Format::Junit,
        Some("sarif") => Format::Sarif,
        Some(_) => return Err(usage("--format: the value is none of text, json, junit and sarif")),
    };
    Ok(Typed {
        platforms: platforms(words)?,
        profile: profile(words)?,
        hashes: words.switch("hashes").map_err(bad)?,
        foreign: words.all("foreign").map_err(bad)?.into_iter().map(PathBuf::from).collect(),
        format,
        report: words.option("report").map(PathBuf::from),
        sbom: words.option("sbom").map(PathBuf::from),
        verbose: words.switch("verbose").map_err(bad)?,
        source: Source::parse(&word).map_err(|error| refused(&error))?,
        word,
    })
}

fn platforms(words: &Words) -> Result<Vec<Platform>, u8> {
    let mut platforms = Vec::new();
    for list in words.all("platform").map_err(|why| usage(&why))? {
        for word in list.split(',').map(str::trim) {
            let Some(platform) = Platform::parse(word) else {
                return Err(usage(&format!("--platform: {word:?} is not like linux/arm64")));
            };
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
    }
    Ok(platforms)
}

fn profile(words: &Words) -> Result<Option<Profile>, u8> {
    let Some(named) = words.text("profile").map_err(|why| usage(&why))? else { return Ok(None) };
    if named.is_empty() {
        return Ok(None);
    }
    let path = Path::new(&named);
    let built_in = BUILT_IN.iter().find(|(known, _)| *known == named);
    let (name, text) = match built_in {
        Some((name, text)) => ((*name).to_owned(), (*text).to_owned()),
        None if named.contains('/') || named.ends_with(".toml") => {
            let bytes = read_regular(path, LARGEST_PROFILE)
                .map_err(|error| usage(&format!("--profile: {named}: {error}")))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, String::from_utf8_lossy(&bytes).into_owned())
        }
        None => {
            let hint = suggest::hint(&named, BUILT_IN.iter().map(|(known, _)| *known));
            return Err(usage(&format!("--profile: there is no profile {named:?}{hint}")));
        }
    };
    Profile::read(&name, path, &text).map(Some).map_err(|errors| {
        for error in errors {
            say(&error);
        }
        code::CONFIGURATION
    })
}

/// Writes the files that were asked for.
fn write(typed: &Typed, findings: &Findings) -> Result<(), String> {
    let put = |path: &Path, text: &str| {
        std::fs::write(path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    if let Some(path) = &typed.report {
        put(path, &findings.json().map_err(|error| error.to_string())?)?;
    }
    if let Some(path) = &typed.sbom {
        for image in &findings.images {
            let path = match findings.images.len() {
                1 => path.clone(),
                _ => for_platform(path, &image.platform),
            };
            put(&path, &sbom::document(image))?;
        }
    }
    Ok(())
}

/// `sbom.json` as `sbom-linux-arm64.json`.
fn for_platform(path: &Path, platform: &Platform) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let suffix = path.extension().map(|suffix| format!(".{}", suffix.to_string_lossy()));
    let platform = platform.to_string().replace('/', "-");
    path.with_file_name(format!("{stem}-{platform}{}", suffix.unwrap_or_default()))
}

fn shown(typed: &Typed, findings: &Findings) -> Result<String, String> {
    match typed.format {
        Format::Text => Ok(findings.text(typed.verbose)),
        Format::Json => findings.json().map_err(|error| error.to_string()),
        Format::Junit => Ok(findings.junit()),
        Format::Sarif => Ok(sarif::log(findings)),
    }
}
