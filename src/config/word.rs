//! The words people write for yes, no and a length of time. An error says what is wrong with a
//! word and never repeats it: the word may be the value of an environment variable.

use std::time::Duration;

/// `1 true yes on` enable; `0 false no off` and nothing at all disable, in any case.
/// Anything else is refused, so that a typing error never passes for either.
pub fn switch(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" | "" => Ok(false),
        _ => Err("is neither yes (1, true, yes, on) nor no (0, false, no, off)".to_owned()),
    }
}

/// The longest time that may be configured: longer ones are typing errors, and deadlines made
/// from them stay far from the clock's end.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A length of time: `7s`, `500ms`, `2m`, `1h`, `1.5s`, or whole seconds without a unit.
pub fn duration(word: &str) -> Result<Duration, String> {
    let refused = || "is not a time; write 500ms, 7s, 2m or 1h".to_owned();
    let at = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let (number, unit) = word.split_at(at);
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(refused()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 3 || fraction.contains('.') {
        return Err(refused());
    }
    let whole: u64 = whole.parse().map_err(|_| refused())?;
    let thousandths: u64 = format!("{fraction:0<3}").parse().map_err(|_| refused())?;
    let length = whole
        .checked_mul(milliseconds)
        .and_then(|ms| ms.checked_add(thousandths * milliseconds / 1000))
        .map(Duration::from_millis)
        .ok_or_else(refused)?;
    if length > LONGEST { Err("is longer than a year".to_owned()) } else { Ok(length) }
}

/// A length of time as `duration` reads it.
pub fn show_duration(length: Duration) -> String {
    let ms = length.as_millis();
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

/// A number of bytes: `512MiB`, `4GiB`, `64KiB`, or whole bytes without a unit.
pub fn bytes(word: &str) -> Result<u64, String> {
    let refused = || "is not a size; write 64KiB, 512MiB or 4GiB".to_owned();
    let at = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (number, unit) = word.split_at(at);
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(refused()),
    };
    let number: u64 = number.parse().map_err(|_| refused())?;
    number.checked_mul(1 << shift).ok_or_else(refused)
}

/// A number of bytes in the largest unit that leaves a whole number.
pub fn show_bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(shift, _)| bytes != 0 && bytes.is_multiple_of(1 << shift));
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(shift, name)| format!("{}{name}", bytes >> shift),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("2 GiB"), Ok(2 << 30));
        for word in ["", "1GB", "-1", "1.5GiB", "99999999999TiB"] {
            assert!(bytes(word).is_err(), "{word}");
        }
        assert_eq!(show_bytes(64 << 10), "64KiB");
        assert_eq!(show_bytes(1000), "1000 bytes");
    }

    #[test]
    fn only_the_known_words_switch() {
        for word in ["1", "true", "YES", "On"] {
            assert_eq!(switch(word), Ok(true));
        }
        for word in ["0", "false", "no", "OFF", ""] {
            assert_eq!(switch(word), Ok(false));
        }
        for word in ["maybe", "2", " 1", "enabled"] {
            assert!(switch(word).is_err(), "{word}");
        }
    }

    #[test]
    fn times_have_units_and_bounds() {
        for (word, ms) in
            [("7s", 7000), ("7", 7000), ("500ms", 500), ("1.5s", 1500), ("2m", 120_000), ("0", 0)]
        {
            assert_eq!(duration(word), Ok(Duration::from_millis(ms)), "{word}");
        }
        for word in ["", "s", "-1s", "1.s", ".5s", "1.2.3s", "7 s", "7d", "99999999999999999999h"] {
            assert!(duration(word).is_err(), "{word}");
        }
        assert!(duration("9000h").is_err());
        for word in ["7s", "1500ms", "0s"] {
            assert_eq!(show_duration(duration(word).unwrap()), word);
        }
    }
}
