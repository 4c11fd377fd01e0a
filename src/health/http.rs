//! Bytes → request, answer → bytes: the part of HTTP/1.0 and 1.1 (RFC 9112) that an endpoint
//! needs whose requests have no body. Pure functions; `connection` does the reading and writing.

use std::io::Write;

use super::answer::{Answer, Form};

/// The longest request line with its headers, in bytes. It bounds what a client can make us hold.
pub const LONGEST_HEAD: usize = 8 * 1024;

/// The most headers of one request; browsers send about 20.
const MOST_HEADERS: usize = 64;

/// What the bytes received so far are.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A request that has not ended.
    Partial,
    /// A request, and how many bytes it took.
    Complete(Request<'a>, usize),
    /// Nothing that is answered with a page; the connection closes after the refusal.
    Refused(Refusal),
}

/// A request without a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// HEAD: the same answer without its body.
    pub head_only: bool,
    /// The path without scheme, host and query.
    pub path: &'a str,
    /// What stands behind the `?`; may be empty.
    pub query: &'a str,
    /// The bearer token, where one was sent.
    pub bearer: Option<&'a [u8]>,
    /// The form asked for.
    pub form: Form,
    /// What happens to the connection afterwards.
    pub after: After,
}

/// What happens to the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It stays open, as it does in HTTP/1.1 unless told otherwise.
    Keep,
    /// It stays open because an HTTP/1.0 client asked for that, who wants to be told so.
    KeepAsAsked,
    /// It is closed.
    Close,
}

/// Why a request gets no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP, or lengths that contradict it.
    Malformed,
    /// A method other than GET and HEAD.
    Method,
    /// It did not end in time.
    Late,
    /// It has a body.
    Body,
    /// The request line alone is longer than [`LONGEST_HEAD`].
    LongTarget,
    /// The headers are too long or too many.
    LargeHead,
    /// Neither HTTP/1.0 nor 1.1.
    Version,
}

impl Refusal {
    /// The answer that says so.
    pub fn answer(self) -> Answer {
        match self {
            Refusal::Malformed => Answer::text(400, "bad request\n"),
            Refusal::Method => Answer::text(405, "only GET and HEAD\n"),
            Refusal::Late => Answer::text(408, "the request did not end in time\n"),
            Refusal::Body => Answer::text(413, "a request has no body here\n"),
            Refusal::LongTarget => Answer::text(414, "the request line is too long\n"),
            Refusal::LargeHead => Answer::text(431, "the request headers are too large\n"),
            Refusal::Version => Answer::text(505, "only HTTP/1.0 and HTTP/1.1\n"),
        }
    }
}

/// Reads the first request in `bytes`.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(used)) if used <= LONGEST_HEAD => match request(&head) {
            Ok(request) => Parsed::Complete(request, used),
            Err(refusal) => Parsed::Refused(refusal),
        },
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => Parsed::Partial,
        Ok(_) if head.version.is_none() => Parsed::Refused(Refusal::LongTarget),
        Ok(_) => Parsed::Refused(Refusal::LargeHead),
        Err(httparse::Error::TooManyHeaders) => Parsed::Refused(Refusal::LargeHead),
        Err(httparse::Error::Version) => Parsed::Refused(Refusal::Version),
        Err(_) => Parsed::Refused(Refusal::Malformed),
    }
}

fn request<'a>(head: &httparse::Request<'_, 'a>) -> Result<Request<'a>, Refusal> {
    let head_only = match head.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Refusal::Method),
    };
    let (mut close, mut keep) = (false, false);
    let mut form = Form::Text;
    let (mut bearer, mut is_curl) = (None, false);
    for header in head.headers.iter() {
        let name = header.name;
        if name.eq_ignore_ascii_case("connection") {
            close |= lists(header.value, "close");
            keep |= lists(header.value, "keep-alive");
        } else if name.eq_ignore_ascii_case("accept") {
            form = preferred(form, header.value);
        } else if name.eq_ignore_ascii_case("authorization") {
            bearer = bearer_token(header.value);
        } else if name.eq_ignore_ascii_case("user-agent") {
            is_curl = header.value.starts_with(b"curl/");
        } else if name.eq_ignore_ascii_case("content-length") {
            refuse_body(header.value)?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Refusal::Malformed);
        }
    }
    if is_curl && form == Form::Text {
        form = Form::Terminal;
    }
    let after = match head.version {
        Some(1) if !close => After::Keep,
        Some(0) if keep && !close => After::KeepAsAsked,
        _ => After::Close,
    };
    let (path, query) = path_and_query(head.path.unwrap_or_default());
    Ok(Request { head_only, path, query, bearer, form, after })
}

/// The token of `Bearer TOKEN` (RFC 6750, 2.1); the scheme in any case.
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// A length of zero is no body; anything that is no number cannot be trusted to end where we think.
fn refuse_body(length: &[u8]) -> Result<(), Refusal> {
    if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Malformed);
    }
    if length.iter().any(|digit| *digit != b'0') {
        return Err(Refusal::Body);
    }
    Ok(())
}

/// Whether the comma-separated `value` has the item `wanted`, whatever its parameters.
fn lists(value: &[u8], wanted: &str) -> bool {
    value.split(|byte| *byte == b',').any(|item| {
        let name = item.split(|byte| *byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
    })
}

/// The most telling form of those named; quality values are not weighed.
fn preferred(so_far: Form, accept: &[u8]) -> Form {
    if so_far == Form::HealthJson || lists(accept, "application/health+json") {
        Form::HealthJson
    } else if so_far == Form::Json || lists(accept, "application/json") {
        Form::Json
    } else if so_far == Form::Html || lists(accept, "text/html") {
        Form::Html
    } else if lists(accept, "application/openmetrics-text") {
        Form::OpenMetrics
    } else {
        so_far
    }
}

/// Path and query of a request target: `/path?query`, or `http://host/path?query`, which a server has to
/// understand as well (RFC 9112, 3.2.2).
fn path_and_query(target: &str) -> (&str, &str) {
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    target.split_once('?').unwrap_or((target, ""))
}

/// Appends the response to `out`.
pub fn write(out: &mut Vec<u8>, answer: &Answer, head_only: bool, after: After) {
    let Answer { status, content_type, body } = answer;
    let allow = if *status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let challenge = if *status == 401 { "WWW-Authenticate: Bearer\r\n" } else { "" };
    let connection = match after {
        After::Keep => "",
        After::KeepAsAsked => "Connection: keep-alive\r\n",
        After::Close => "Connection: close\r\n",
    };
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\n{allow}{challenge}{connection}\r\n",
        reason(*status),
        body.len(),
    );
    if !head_only {
        out.extend_from_slice(body);
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn complete(text: &str) -> Request<'_> {
        match parse(text.as_bytes()) {
            Parsed::Complete(request, used) => {
                assert_eq!(used, text.len());
                request
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    fn refused(text: &str) -> Refusal {
        match parse(text.as_bytes()) {
            Parsed::Refused(refusal) => refusal,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_plain_get_needs_no_host() {
        let request = complete("GET /livez?verbose HTTP/1.1\r\n\r\n");
        let expected = Request {
            head_only: false,
            path: "/livez",
            query: "verbose",
            bearer: None,
            form: Form::Text,
            after: After::Keep,
        };
        assert_eq!(request, expected);
        assert!(complete("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").head_only);
    }

    #[test]
    fn the_absolute_form_leads_to_the_same_path() {
        for target in ["/health", "/health?a", "http://h/health", "http://[::1]:80/health?x=/y"] {
            assert_eq!(complete(&format!("GET {target} HTTP/1.1\r\n\r\n")).path, "/health");
        }
        assert_eq!(complete("GET http://h HTTP/1.1\r\n\r\n").path, "/");
    }

    #[test]
    fn the_connection_lives_as_the_version_and_the_header_say() {
        let cases = [
            ("1.1", "", After::Keep),
            ("1.1", "Connection: Close\r\n", After::Close),
            ("1.1", "Connection: upgrade, close\r\n", After::Close),
            ("1.0", "", After::Close),
            ("1.0", "Connection: Keep-Alive\r\n", After::KeepAsAsked),
            ("1.0", "Connection: keep-alive, close\r\n", After::Close),
        ];
        for (version, header, after) in cases {
            let text = format!("GET / HTTP/{version}\r\n{header}\r\n");
            assert_eq!(complete(&text).after, after, "{text}");
        }
    }

    #[test]
    fn a_bearer_token_is_taken_from_its_header_alone() {
        for (header, token) in [
            ("Authorization: Bearer abc", Some(&b"abc"[..])),
            ("authorization: bearer  abc ", Some(b"abc")),
            ("Authorization: Basic abc", None),
            ("Authorization: Bearer", None),
            ("X: Bearer abc", None),
        ] {
            let text = format!("GET / HTTP/1.1\r\n{header}\r\n\r\n");
            assert_eq!(complete(&text).bearer, token, "{header}");
        }
    }

    #[test]
    fn json_is_for_those_who_name_it() {
        let cases = [
            ("*/*", Form::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Form::Html),
            ("application/openmetrics-text;version=1.0.0,text/plain;q=0.1", Form::OpenMetrics),
            ("text/html, Application/JSON;q=0.9", Form::Json),
            ("application/json, application/health+json", Form::HealthJson),
            ("application/jsonp", Form::Text),
        ];
        for (accept, form) in cases {
            let text = format!("GET / HTTP/1.1\r\nAccept: {accept}\r\n\r\n");
            assert_eq!(complete(&text).form, form, "{accept}");
        }
    }

    #[test]
    fn curl_is_a_person_at_a_terminal_unless_it_names_a_form() {
        for (headers, form) in [
            ("User-Agent: curl/8.5.0\r\nAccept: */*", Form::Terminal),
            ("Accept: */*\r\nuser-agent: curl/7.88.1", Form::Terminal),
            ("User-Agent: curl/8.5.0\r\nAccept: application/json", Form::Json),
            ("User-Agent: python-requests/2.32.3\r\nAccept: */*", Form::Text),
            ("User-Agent: libcurl", Form::Text),
        ] {
            let text = format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n");
            assert_eq!(complete(&text).form, form, "{headers}");
        }
    }

    #[test]
    fn what_is_no_request_for_a_page_is_refused_by_its_own_status() {
        let cases = [
            ("POST / HTTP/1.1\r\n\r\n", Refusal::Method, 405),
            ("get / HTTP/1.1\r\n\r\n", Refusal::Method, 405),
            ("GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", Refusal::Body, 413),
            ("GET / HTTP/1.1\r\nContent-Length: +0\r\n\r\n", Refusal::Malformed, 400),
            ("GET / HTTP/1.1\r\nContent-Length: 0, 7\r\n\r\n", Refusal::Malformed, 400),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::Malformed, 400),
            ("GET / HTTP/2.0\r\n\r\n", Refusal::Version, 505),
            ("\x16\x03\x01 hello", Refusal::Malformed, 400),
            ("GET / HTTP/1.1\r\nA : b\r\n\r\n", Refusal::Malformed, 400),
        ];
        for (text, refusal, status) in cases {
            assert_eq!(refused(text), refusal, "{text:?}");
            assert_eq!(refusal.answer().status, status);
        }
        assert_eq!(complete("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").after, After::Keep);
    }

    #[test]
    fn a_head_that_does_not_end_in_8_kib_is_refused() {
        let long = "a".repeat(LONGEST_HEAD);
        assert_eq!(refused(&format!("GET /{long}")), Refusal::LongTarget);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nA: {long}")), Refusal::LargeHead);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n")), Refusal::LargeHead);
        let many = "A: b\r\n".repeat(MOST_HEADERS + 1);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Refusal::LargeHead);
        assert_eq!(parse(b"GET / HTT"), Parsed::Partial);
    }

    #[test]
    fn a_second_request_waits_behind_the_first() {
        let first = "GET /livez HTTP/1.1\r\n\r\n";
        match parse(format!("{first}GET /read").as_bytes()) {
            Parsed::Complete(request, used) => {
                assert_eq!((request.path, used), ("/livez", first.len()));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_response_has_its_length_with_and_without_its_body() {
        let mut out = Vec::new();
        write(&mut out, &Refusal::Method.answer(), false, After::Close);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 18\r\nCache-Control: no-store\r\nAllow: GET, HEAD\r\n\
             Connection: close\r\n\r\nonly GET and HEAD\n"
        );
        let mut head = Vec::new();
        write(&mut head, &Refusal::Method.answer(), true, After::Close);
        assert_eq!(head, text.strip_suffix("only GET and HEAD\n").unwrap().as_bytes());
    }

    proptest! {
        #[test]
        fn any_bytes_are_partial_complete_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..10_000)
        ) {
            if let Parsed::Complete(_, used) = parse(&bytes) {
                prop_assert!(used > 0 && used <= bytes.len());
            }
        }

        #[test]
        fn a_request_is_the_same_however_it_is_cut(
            target in "/[!-~]{0,40}", header in "[a-zA-Z-]{1,20}: [ -~]{0,60}", cut in 0_usize..150
        ) {
            let text = format!("GET {target} HTTP/1.1\r\n{header}\r\n\r\n");
            let cut = cut.min(text.len() - 1);
            let whole = parse(text.as_bytes());
            let part = parse(&text.as_bytes()[..cut]);
            // What is refused early is refused in the end; nothing is complete before its end.
            match part {
                Parsed::Partial => {}
                Parsed::Refused(_) => prop_assert!(matches!(whole, Parsed::Refused(_))),
                Parsed::Complete(..) => prop_assert!(false, "complete at {cut} of {text:?}"),
            }
        }

        #[test]
        fn an_absolute_target_never_panics(target in "\\PC{0,60}") {
            let (path, _) = path_and_query(&target);
            prop_assert!(!path.contains('?'));
        }
    }
}
