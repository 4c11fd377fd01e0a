//! Argument vector in, exit code out.
fn main() {}
