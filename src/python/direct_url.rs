//! `direct_url.json`: where a distribution that came from no index was installed from (PEP 610),
//! against a requirement that names an address (`name @ git+https://…@v1`).

use serde::Deserialize;

/// The file is a few lines.
pub const LARGEST: u64 = 1 << 16;

/// What the file says.
#[derive(Debug, Deserialize)]
struct DirectUrl {
    url: String,
    vcs_info: Option<Vcs>,
    subdirectory: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Vcs {
    vcs: String,
    requested_revision: Option<String>,
    commit_id: Option<String>,
}

/// Whether what was installed came from the wanted address. The error is what it came from
/// instead.
pub fn compare(wanted: &str, recorded: &[u8]) -> Result<(), String> {
    let Ok(recorded) = serde_json::from_slice::<DirectUrl>(recorded) else {
        return Err("somewhere that its direct_url.json does not tell".to_owned());
    };
    let wanted = Wanted::of(wanted);
    let vcs = recorded.vcs_info.as_ref();
    let same = plain(&wanted.url) == plain(&recorded.url)
        && wanted.vcs.as_deref() == vcs.map(|vcs| vcs.vcs.as_str())
        && wanted
            .subdirectory
            .is_none_or(|folder| recorded.subdirectory.as_deref() == Some(&folder))
        && wanted.revision.as_ref().is_none_or(|revision| {
            vcs.is_some_and(|vcs| {
                [&vcs.requested_revision, &vcs.commit_id].contains(&&Some(revision.clone()))
            })
        });
    if same { Ok(()) } else { Err(recorded.shown()) }
}

impl DirectUrl {
    fn shown(&self) -> String {
        let Some(vcs) = &self.vcs_info else { return self.url.clone() };
        let revision = vcs.requested_revision.as_ref().or(vcs.commit_id.as_ref());
        let revision = revision.map(|revision| format!("@{revision}")).unwrap_or_default();
        format!("{}+{}{revision}", vcs.vcs, self.url)
    }
}

/// An address as requirements write it.
struct Wanted {
    vcs: Option<String>,
    url: String,
    revision: Option<String>,
    subdirectory: Option<String>,
}

impl Wanted {
    fn of(text: &str) -> Wanted {
        let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
        let subdirectory = fragment.split('&').find_map(|part| part.strip_prefix("subdirectory="));
        let vcs = ["git", "hg", "svn", "bzr"]
            .into_iter()
            .find(|vcs| address.strip_prefix(vcs).is_some_and(|rest| rest.starts_with('+')));
        let mut url = address;
        let mut revision = None;
        if let Some(vcs) = vcs {
            url = address.get(vcs.len() + 1..).unwrap_or_default();
            // An @ before the last slash belongs to the user's name.
            let path = url.rfind('/').unwrap_or(0);
            if let Some(at) = url.rfind('@').filter(|at| *at > path) {
                revision = url.get(at + 1..).map(str::to_owned);
                url = url.get(..at).unwrap_or_default();
            }
        }
        Wanted {
            vcs: vcs.map(str::to_owned),
            url: url.to_owned(),
            revision,
            subdirectory: subdirectory.map(str::to_owned),
        }
    }
}

/// Without user and password, which are not recorded, and without a slash at the end.
fn plain(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(host);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{}://{}{path}", scheme.to_ascii_lowercase(), authority.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_folders_and_repositories_are_compared_by_address_and_revision() {
        let git = br#"{"url": "https://h/x.git", "vcs_info": {"vcs": "git", "requested_revision": "v1", "commit_id": "abc"}}"#;
        for wanted in [
            "git+https://h/x.git@v1",
            "git+https://user:secret@H/x.git@abc#egg=x",
            "git+https://h/x.git",
        ] {
            assert_eq!(compare(wanted, git), Ok(()), "{wanted}");
        }
        for wanted in ["git+https://h/x.git@v2", "https://h/x.git", "git+https://h/y.git@v1"] {
            assert_eq!(compare(wanted, git), Err("git+https://h/x.git@v1".into()), "{wanted}");
        }
        let archive = br#"{"url": "https://h/p/x-1.whl", "archive_info": {}}"#;
        assert_eq!(compare("https://h/p/x-1.whl#sha256=00", archive), Ok(()));
        assert_eq!(compare("https://h/p/x-2.whl", archive), Err("https://h/p/x-1.whl".into()));
        let folder = br#"{"url": "file:///src/x", "dir_info": {"editable": true}}"#;
        assert_eq!(compare("file:///src/x/", folder), Ok(()));
        assert!(compare("file:///src/x", b"{\"url\": 3}").is_err());
        let sub = br#"{"url": "file:///src", "dir_info": {}, "subdirectory": "a"}"#;
        assert_eq!(compare("file:///src#subdirectory=a", sub), Ok(()));
        assert!(compare("file:///src#subdirectory=b", sub).is_err());
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_addresses_never_panic(text in "(git\\+)?[a-z:/@#é]{0,30}") {
            let _ = compare(&text, b"{\"url\": \"x\"}");
            plain(&text);
        }
    }
}
