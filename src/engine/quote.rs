//! Words of a command as a person types them: split (`--scan`, `--sign`), and shown (`--dry-run`).

/// Splits a line into words as a shell would, without doing anything else a shell does: blanks
/// separate, single and double quotes hold together, a backslash takes the next character.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let next = letters.next().ok_or("ends in a backslash")?;
                word.get_or_insert_default().push(next);
            }
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    if words.is_empty() { Err("is empty".to_owned()) } else { Ok(words) }
}

/// The words as a line that can be pasted into a shell.
pub fn show(words: &[String]) -> String {
    words.iter().map(|each| word(each)).collect::<Vec<_>>().join(" ")
}

/// One word as a shell needs it.
pub fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/:.,@+%{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !expands(word) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `{a,b}` and `{1..3}` would be several words; a name in braces stands for itself.
fn expands(word: &str) -> bool {
    let (Some(first), Some(last)) = (word.find('{'), word.rfind('}')) else { return false };
    let inside = word.get(first..last).unwrap_or_default();
    inside.contains(',') || inside.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(split("trivy  image {ref}").unwrap(), ["trivy", "image", "{ref}"]);
        assert_eq!(
            split(r#"a 'b c' "d \" e" f\ g ''"#).unwrap(),
            ["a", "b c", "d \" e", "f g", ""]
        );
        assert_eq!(split("  ").unwrap_err(), "is empty");
        assert_eq!(split("'a").unwrap_err(), "a quote is not closed");
        assert_eq!(split("a\\").unwrap_err(), "ends in a backslash");
    }

    #[test]
    fn what_a_shell_would_make_more_of_is_quoted() {
        let words = ["{a,b}", "{1..3}", "it's", "", "$X", "a=b", "~"].map(str::to_owned);
        assert_eq!(show(&words), r"'{a,b}' '{1..3}' 'it'\''s' '' '$X' a=b '~'");
        let words = ["a,b={work}/c,d", "}{"].map(str::to_owned);
        assert_eq!(show(&words), "a,b={work}/c,d }{");
    }

    proptest! {
        #[test]
        fn what_is_shown_splits_into_the_same_words(words in prop::collection::vec(".{0,12}", 1..6)) {
            prop_assert_eq!(split(&show(&words)).unwrap(), words);
        }
    }
}
