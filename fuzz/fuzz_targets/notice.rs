//! A datagram on the notify socket: what is kept of it is short and has no control characters.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mak_init::health::check::notice::Notice;

fuzz_target!(|bytes: &[u8]| {
    let mut notice = Notice::default();
    // Two datagrams, as a workload sends them.
    let (first, second) = bytes.split_at(bytes.len() / 2);
    notice.hear(first, 1_000);
    notice.hear(second, 2_000);
    assert!(notice.status.chars().count() <= 160);
    assert!(!notice.status.contains(char::is_control));
    for now in [0, 2_000, u64::MAX] {
        let _ = notice.judge(Some(Duration::from_secs(1)), now);
        let _ = notice.judge(None, now);
    }
});
