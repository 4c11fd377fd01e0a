//! Where a core went (`man 5 core`): the pattern of the kernel, and the file itself where it lies
//! in the folder that mak-init was started in.

use std::path::{Path, PathBuf};

use crate::platform::Root;

/// A pattern has at most 127 bytes (`CORENAME_MAX_SIZE`).
const MOST_BYTES: u64 = 256;

/// The end of "a core was dumped": where, as far as it can be told.
pub fn place(root: &Root, pid: u32, signal: u8, program: Option<PathBuf>) -> String {
    let read = |name: &str| {
        let path = format!("/proc/sys/kernel/{name}");
        let bytes = root.read(Path::new(&path), MOST_BYTES).unwrap_or_default();
        String::from_utf8_lossy(bytes.trim_ascii()).into_owned()
    };
    let pattern = read("core_pattern");
    if let Some(handler) = pattern.strip_prefix('|') {
        let handler = handler.split(' ').next().unwrap_or_default();
        return format!("a core was handed to {handler} on the host");
    }
    if pattern.is_empty() {
        return "a core was dumped; where to cannot be seen here".to_owned();
    }
    let name = program.as_deref().and_then(Path::file_name).unwrap_or_default();
    let found = expand(&pattern, pid, signal, &name.to_string_lossy()).and_then(|name| {
        let with_pid = format!("{name}.{pid}");
        let first = if read("core_uses_pid") == "1" { [with_pid, name] } else { [name, with_pid] };
        first.into_iter().filter_map(|name| std::path::absolute(name).ok()).find(|at| at.exists())
    });
    match found {
        Some(path) => format!("a core was dumped to {}", path.display()),
        None if pattern.starts_with('/') => format!("a core was dumped to {pattern}"),
        None => format!("a core was dumped in the folder it worked in, as {pattern}"),
    }
}

/// The pattern with what is known put in; `None` where something else is asked for, as the time.
fn expand(pattern: &str, pid: u32, signal: u8, name: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = pattern.chars();
    while let Some(next) = rest.next() {
        if next != '%' {
            out.push(next);
            continue;
        }
        match rest.next() {
            Some('p') => out.push_str(&pid.to_string()),
            Some('s') => out.push_str(&signal.to_string()),
            // A command's name has at most 15 bytes (`TASK_COMM_LEN`).
            Some('e') => out.extend(name.chars().take(15)),
            Some('%') => out.push('%'),
            Some(_) => return None,
            None => break,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_pattern_is_filled_in_as_far_as_it_is_known() {
        assert_eq!(expand("core", 7, 11, "x").as_deref(), Some("core"));
        assert_eq!(expand("/c/%e.%p.%s%%", 7, 11, "prog").as_deref(), Some("/c/prog.7.11%"));
        assert_eq!(expand("core.%t", 7, 11, "x"), None);
        assert_eq!(expand("core%", 7, 11, "x").as_deref(), Some("core"));
    }

    #[test]
    fn the_file_is_named_where_it_is_there_and_else_the_pattern() {
        let base = std::env::temp_dir().join(format!("mak-core-{}", std::process::id()));
        fs::create_dir_all(base.join("proc/sys/kernel")).unwrap();
        let root = Root::at(&base).unwrap();
        let said = |pattern: &str| {
            fs::write(base.join("proc/sys/kernel/core_pattern"), pattern).unwrap();
            place(&root, 7, 6, None)
        };
        let handler = said("|/usr/lib/systemd-coredump %P %u\n");
        assert!(handler.contains("/usr/lib/systemd-coredump on the host"), "{handler}");
        let file = base.join("core.7");
        fs::write(&file, "").unwrap();
        let wanted = format!("a core was dumped to {}", file.display());
        assert_eq!(said(&format!("{}/core.%p\n", base.display())), wanted);
        assert_eq!(said(&format!("{}/core\n", base.display())), wanted);
        assert!(said("no-such-core\n").contains("folder it worked in"));
        assert!(said("").contains("cannot be seen"));
        fs::remove_dir_all(&base).unwrap();
    }
}
