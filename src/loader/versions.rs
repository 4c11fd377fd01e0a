//! Whether the versions a file needs are defined by the file that was found for it (glibc,
//! elf/dl-version.c, `_dl_check_map_versions`). musl knows no versions.

use crate::elf::Object;

/// The highest defined version of the same set as `wanted`: `GLIBC_2.36` for `GLIBC_2.38`.
/// Versions whose last part is not a number, as `GLIBC_PRIVATE`, do not count.
pub fn highest<'o>(found: &'o Object, wanted: &str) -> Option<&'o str> {
    let (set, _) = numbered(wanted)?;
    let same = found.defined_versions.iter().filter_map(|version| {
        let (other, numbers) = numbered(version)?;
        (other == set).then_some((numbers, version.as_str()))
    });
    same.max_by(|left, right| left.0.cmp(&right.0)).map(|(_, version)| version)
}

/// The set's name and the numbers behind it.
fn numbered(version: &str) -> Option<(&str, Vec<u32>)> {
    let (set, numbers) = version.rsplit_once('_')?;
    let numbers: Option<Vec<u32>> =
        numbers.split('.').take(8).map(|number| number.parse().ok()).collect();
    Some((set, numbers?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_within_their_set() {
        assert_eq!(numbered("GLIBC_2.34"), Some(("GLIBC", vec![2, 34])));
        assert_eq!(numbered("GLIBCXX_3.4.30"), Some(("GLIBCXX", vec![3, 4, 30])));
        assert_eq!(numbered("GLIBC_PRIVATE"), None);
        assert!(numbered("A_2.9").unwrap().1 < numbered("A_2.10").unwrap().1);
    }
}
