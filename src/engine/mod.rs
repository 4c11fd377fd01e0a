//! The container engine, spoken to by its own command line: by argument vectors, never through a
//! shell. `build` and `trial` use it; nothing here runs inside an image.

pub mod known;
pub mod process;
pub mod quote;
