//! `mak deps`: what a profile needs, against this machine or image; what would install it; doing
//! so. For build hosts and CI, never in PID 1.
//!
//! [`survey`] looks and changes nothing: `verify`'s checks, then packages, tools, downloads and
//! the container engine. [`plan`] turns what is missing into commands, [`install`] runs them and
//! looks again. Everything ends in verify's report, so that all that reads one reads this too.

pub mod archive;
pub mod checker_report;
pub mod database;
pub mod download;
pub mod engine;
pub mod install;
pub mod lock;
pub mod manager;
pub mod plan;
pub mod progress;
pub mod proof;
pub mod python;
pub mod step;
pub mod summary;
pub mod survey;

pub use install::{Outcome, install};
pub use plan::Plan;
pub use survey::{Settings, Survey, survey};
