//! PID 1: signals, spawn, reap, shutdown, exit code.
//!
//! Set-up may fail with a code. The loop may not: it allocates nothing, parses nothing and waits
//! for nothing but a signal, a deadline it set itself, or room in the health process's socket.

pub mod frame;
