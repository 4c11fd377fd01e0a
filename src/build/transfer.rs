//! An image as one file to carry: compressed, with its checksum beside it in the form that
//! `sha256sum --check` reads. Both appear under their names only when they are whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::image::digest::Hashing;

/// Where the file is written before it is whole.
pub fn partial(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    file.with_file_name(name)
}

/// The checksum's file.
pub fn checksum_file(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".sha256");
    file.with_file_name(name)
}

/// Gives the whole file its name, and writes the checksum.
pub fn finish(file: &Path) -> io::Result<String> {
    let partial = partial(file);
    let sum = sha256(&partial)?;
    std::fs::rename(&partial, file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    std::fs::write(checksum_file(file), format!("{sum}  {name}\n"))?;
    Ok(sum)
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256(file: &Path) -> io::Result<String> {
    Ok(Hashing::new(File::open(file)?).finish()?.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_its_name_and_its_checksum_together() {
        let folder = std::env::temp_dir().join(format!("mak-transfer-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("image.tar.zst");
        std::fs::write(partial(&file), "abc").unwrap();
        let sum = finish(&file).unwrap();
        assert_eq!(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let line = std::fs::read_to_string(folder.join("image.tar.zst.sha256")).unwrap();
        assert_eq!(line, format!("{sum}  image.tar.zst\n"));
        assert!(!partial(&file).exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
