//! Percent-encoding (RFC 3986, 2.1), for references, purls and the names in requests.

/// The text with all but letters, digits, `-._~` and the bytes of `also` as a percent sign and two
/// digits.
pub fn encoded(text: &str, also: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_request() {
        assert_eq!(encoded("host:5000/a/b@sha256:0", b"/:@"), "host:5000/a/b@sha256:0");
        assert_eq!(encoded("x y\r\n?é", b"/:@"), "x%20y%0D%0A%3F%C3%A9");
        assert_eq!(encoded("a/b", b""), "a%2Fb");
    }
}
