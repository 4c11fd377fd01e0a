//! An archive of an image: its index, manifests and configurations, of docker save and of OCI.
//! Opening and loading end, and what does not have its digest is told.
#![no_main]

use std::os::fd::AsRawFd;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use mak_init::image::source::{self, Opened, Source};
use mak_init_fuzz::memory_file;

/// As many images of one input as are loaded.
const MOST_LOADED: usize = 4;

fuzz_target!(|input: &[u8]| {
    // `layers` has compression, and bounds what it may come to.
    let is_compressed = |four: &[u8]| matches!(four, [0x1f, 0x8b, 8, _] | [0x28, 0xb5, 0x2f, 0xfd]);
    if input.windows(4).any(is_compressed) {
        return;
    }
    let file = memory_file(input);
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let Ok(Opened::Images(images)) = source::open(&Source::Archive(path)) else { return };
    for candidate in images.candidates.iter().take(MOST_LOADED) {
        let _ = images.platform(candidate);
        let Ok(image) = images.load(candidate) else { continue };
        assert!(image.root.is_some() || !image.troubles.is_empty());
        let promised = &image.config.rootfs.diff_ids;
        for (layer, said) in image.layers.iter().zip(promised) {
            let is_told = image.troubles.iter().any(|(id, _, _)| *id == "image.digest");
            assert!(layer.diff_id.to_string() == *said || is_told);
        }
    }
});
