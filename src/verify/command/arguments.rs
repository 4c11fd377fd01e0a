//! E2BIG: which argument or variable is too long for execve(2), or how long all are together.
//! Names only: a value may be a secret.

use std::ffi::CString;

/// Bytes that one argument or variable may have, with its NUL: 32 pages (`MAX_ARG_STRLEN`).
const PAGES_EACH: u64 = 32;
/// What all of them may have at most, whatever the stack may grow to (`_STK_LIM / 4 * 3`).
const MOST_TOGETHER: u64 = 6 << 20;

/// Why these are too long. `stack` is the soft limit of the stack in bytes.
pub fn too_long(
    arguments: &[CString],
    environment: &[CString],
    page: u64,
    stack: Option<u64>,
) -> String {
    let each = page.saturating_mul(PAGES_EACH);
    let size = |text: &CString| text.as_bytes_with_nul().len() as u64;
    if let Some(at) = arguments.iter().position(|argument| size(argument) > each) {
        let bytes = size(&arguments[at]) - 1;
        return format!(
            "its argument {at} has {bytes} bytes, and one may have {} (E2BIG); hand it over in a file",
            each - 1
        );
    }
    if let Some(variable) = environment.iter().find(|variable| size(variable) > each) {
        return format!(
            "the environment variable {} has {} bytes, and one may have {} (E2BIG); hand it over \
             in a file",
            name(variable),
            size(variable) - 1,
            each - 1
        );
    }
    // Each also costs a pointer (`bprm_stack_limits`).
    let pointer = size_of::<usize>() as u64;
    let all: u64 = arguments.iter().chain(environment).map(|text| size(text) + pointer).sum();
    let most = stack.map_or(MOST_TOGETHER, |stack| (stack / 4).min(MOST_TOGETHER)).max(each);
    let longest = environment.iter().max_by_key(|variable| size(variable));
    let longest = longest.map(|variable| {
        format!("; the longest variable is {} with {} bytes", name(variable), size(variable) - 1)
    });
    format!(
        "its {} arguments and {} variables have {all} bytes together, and may have {most} (E2BIG){}",
        arguments.len(),
        environment.len(),
        longest.unwrap_or_default()
    )
}

fn name(variable: &CString) -> String {
    let name = variable.to_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
    // A name this long is no name.
    String::from_utf8_lossy(&name[..name.len().min(100)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize, begin: &str) -> CString {
        let mut bytes = begin.as_bytes().to_vec();
        bytes.resize(length, b's');
        CString::new(bytes).unwrap()
    }

    #[test]
    fn the_one_that_is_too_long_is_named_and_its_value_is_not_shown() {
        let short = [text(10, "a")];
        let said = too_long(&[text(4, "x"), text(131_072, "")], &short, 4096, None);
        assert!(said.contains("argument 1") && said.contains("131071"), "{said}");
        let said = too_long(&short, &[text(131_071, "OK="), text(200_000, "TOKEN=")], 4096, None);
        assert!(said.contains("variable TOKEN has 200000"), "{said}");
        assert!(!said.contains("ss"), "{said}");
        let many = vec![text(100_000, "PART="); 40];
        let said = too_long(&short, &many, 4096, Some(8 << 20));
        assert!(said.contains("2097152") && said.contains("PART"), "{said}");
        assert!(!said.contains("sss"), "{said}");
    }
}
