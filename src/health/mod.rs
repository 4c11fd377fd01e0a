//! The health process and the probe.
//!
//! PID 1 binds the listening socket once ([`bind`]), forks, and the child calls [`serve()`], which
//! gives up its rights and answers HTTP until PID 1 (or, in exec mode, the workload) is gone.
//! `mak-init healthcheck` is [`probe::probe`]. What each path answers is in `docs/health.md`.
//!
//! | file | idea |
//! |---|---|
//! | `endpoint` | the listening socket |
//! | `serve` | the process from its fork to its end |
//! | `confine` | giving up rights, descriptors and signals |
//! | `sandbox` | landlock and seccomp |
//! | `link` | frames from PID 1 |
//! | `check` | what is looked at, when, and what came of it |
//! | `known` | what the process knows at this moment |
//! | `figures` | the workload's and the host's numbers |
//! | `answer` | path + state → status and body |
//! | `page` | the same for a browser |
//! | `metrics` | the same for Prometheus |
//! | `token` | who may see more than the z-paths |
//! | `http` | bytes → request, answer → bytes |
//! | `connection` | one client |
//! | `crowd` | all clients, and how many |
//! | `probe` | the other end: asking an endpoint |

pub mod answer;
pub mod check;
pub mod confine;
mod connection;
mod crowd;
pub mod endpoint;
pub mod figures;
pub mod http;
mod known;
mod link;
mod metrics;
mod page;
pub mod probe;
mod sandbox;
pub mod serve;
pub mod token;

pub use endpoint::{HealthError, Listener, bind, bind_notice};
pub use serve::{Lifetime, Plan, serve};
