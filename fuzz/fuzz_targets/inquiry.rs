//! What crosses the socket between PID 1 and health, in both directions: what is understood is
//! sent as it was understood.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mak_init::init::frame::Frame;
use mak_init::init::inquiry::{Reply, Request};

fuzz_target!(|bytes: &[u8]| {
    if let Some(request) = Request::decode(bytes) {
        assert_eq!(Request::decode(&request.encode()), Some(request));
    }
    if let Some(reply) = Reply::decode(bytes) {
        // Text that is no UTF-8 grows by replacement characters; what fits is kept.
        let again = Reply::decode(&reply.encode()).unwrap();
        assert_eq!((again.check, again.number), (reply.check, reply.number));
        assert_eq!(again.result.is_ok(), reply.result.is_ok());
    }
    if let Some(frame) = Frame::decode(bytes) {
        assert_eq!(Frame::decode(&frame.encode()), Some(frame));
    }
});
