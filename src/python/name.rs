//! Names of distributions and extras, as PEP 503 and PEP 685 compare them.

/// The normalized form: lower case, every run of `-`, `_` and `.` one `-` (PEP 503).
pub fn normalize(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut in_run = false;
    for letter in name.chars() {
        let separator = matches!(letter, '-' | '_' | '.');
        if letter.is_ascii() && !separator {
            out.push(letter.to_ascii_lowercase());
        } else if !separator {
            out.extend(letter.to_lowercase());
        } else if !in_run {
            out.push('-');
        }
        in_run = separator;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_runs_of_separators_do_not_matter() {
        assert_eq!(normalize("Eth_Hash"), "eth-hash");
        assert_eq!(normalize("ruamel.yaml-_.CLIB"), "ruamel-yaml-clib");
        assert_eq!(normalize(&normalize("A--b__C")), normalize("A--b__C"));
    }
}
