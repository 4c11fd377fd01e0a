//! Images as they lie in archives, layouts, engines and registries, and what is in them: `mak
//! image verify` calls this. Nothing is unpacked and nothing of an image is run.
//!
//! | file | idea |
//! |---|---|
//! | `source` | what SOURCE names, and the images in it |
//! | `store` | where the blobs lie |
//! | `registry`, `engine`, `credentials`, `percent` | blobs and archives that are asked for |
//! | `manifest` | the documents of an image |
//! | `digest`, `decode`, `spool`, `tar` | what blobs are made of |
//! | `layer` | one layer over those below |
//! | `inspect` | the label held against the contents |
//! | `scan` | every file of the final file system |
//! | `start` | whether entrypoint, command and health check would start |
//! | `findings` | the whole report: text, JSON, JUnit |
//! | `sarif` | the same for code scanners |
//! | `packages`, `sbom` | what is installed, as CycloneDX |

mod credentials;
pub mod decode;
pub mod digest;
mod engine;
pub mod error;
pub mod findings;
pub mod inspect;
pub mod layer;
pub mod manifest;
pub mod packages;
mod percent;
pub mod registry;
pub mod sarif;
pub mod sbom;
pub mod scan;
pub mod source;
pub mod spool;
pub mod start;
pub mod store;
pub mod tar;
pub mod verify;

pub use error::{ImageError, Meaning};
