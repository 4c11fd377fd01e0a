//! The container engine, spoken to by its own command line (`process`: by argument vectors, never
//! through a shell) and by its socket. `build` and `trial` use the first, `image` the second,
//! `deps` both; nothing here runs inside an image.

pub mod known;
pub mod process;
pub mod quote;
pub mod socket;
