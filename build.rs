//! Lists the profiles in `config/`, so that a profile is added by adding its file, and notes the
//! year, against which a container's clock is checked.
#![allow(clippy::expect_used, reason = "a build script may stop the build")]
use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=config");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rustc-env=MAK_INIT_BUILD_YEAR={}", year());
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let mut names: Vec<String> = fs::read_dir(Path::new(&manifest).join("config"))
        .expect("config/ is part of the package")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned()))
        .collect();
    names.sort();
    let entries: String = names
        .iter()
        .map(|name| {
            let path = Path::new(&manifest).join("config").join(format!("{name}.toml"));
            format!("    ({name:?}, include_str!({path:?})),\n")
        })
        .collect();
    let text = format!("&[\n{entries}]\n");
    fs::write(Path::new(&out).join("profiles.rs"), text).expect("OUT_DIR is writable");
}

/// The year of SOURCE_DATE_EPOCH where a reproducible build sets it, else of today.
fn year() -> u64 {
    const SECONDS: u64 = 31_556_952;
    let set = env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    };
    1970 + set.unwrap_or_else(now) / SECONDS
}
