//! Checks: what the configuration says to look at, and what came out.
//!
//! | file | idea |
//! |---|---|
//! | `tracker` | findings → pending, pass or fail: thresholds, start period, history |
//! | `rounds` | when to look: one task for each check |
//! | `look` | looking at what this process reaches |
//! | `ask` | asking PID 1 to look where this process does not reach |
//! | `notice` | the workload's own words on `NOTIFY_SOCKET` |
//! | `notice_socket` | who said them |

pub mod ask;
pub mod look;
pub mod notice;
pub mod notice_socket;
pub mod rounds;
pub mod tracker;
