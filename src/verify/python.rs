//! Python.
use super::{report::*, request::*};
use crate::loader::Loader;

/// Pending.
pub fn check(_: &Request, _: &PythonCheck, _: &Loader) -> Vec<Check> {
    Vec::new()
}
