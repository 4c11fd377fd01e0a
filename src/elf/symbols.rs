//! Whether a shared object exports a function, found as the loader finds it: through DT_GNU_HASH
//! or DT_HASH (gABI, chapter 5), and only where there is neither, symbol by symbol.

use super::ElfError;
use super::image::{Image, Windows};
use super::object::{PT_DYNAMIC, Tags, tags};
use super::versions::Strings;
use crate::platform::Contents;

/// Symbols compared for one name. A chain of a hash table has a few entries.
const MOST_STEPS: u64 = 4096;
/// Symbols looked at where there is no hash table.
const MOST_SYMBOLS: u64 = 16 * 1024;

/// Which of `names` the file defines as dynamic symbols, in their order. A file without a dynamic
/// section or symbol table exports nothing.
pub fn exports(file: &dyn Contents, names: &[&str]) -> Result<Vec<bool>, ElfError> {
    let mut windows = Windows::default();
    let mut image = Image::open(file, &mut windows)?;
    let nothing = vec![false; names.len()];
    let Some(segment) = image.segment(PT_DYNAMIC) else { return Ok(nothing) };
    let tags = tags(&mut image, segment)?;
    let (Some(address), Some(strings)) = (tags.symbols, tags.strings(&image)?) else {
        return Ok(nothing);
    };
    let start = image.offset_of(address, WHAT)?;
    let mut table = Table { image, start, strings };
    names.iter().map(|name| table.defines(name, &tags)).collect()
}

const WHAT: &str = "the table of dynamic symbols";
const HASH: &str = "the hash table of dynamic symbols";

struct Table<'f> {
    image: Image<'f>,
    start: u64,
    strings: Strings,
}

impl Table<'_> {
    fn defines(&mut self, name: &str, tags: &Tags) -> Result<bool, ElfError> {
        if let Some(address) = tags.gnu_hash {
            return self.by_gnu_hash(name, address);
        }
        if let Some(address) = tags.hash {
            return self.by_hash(name, address);
        }
        self.by_walk(name, tags)
    }

    /// u32 buckets, u32 first hashed symbol, u32 words of the Bloom filter, u32 its shift; the
    /// filter, the buckets, then one hash a symbol, whose lowest bit ends a chain.
    fn by_gnu_hash(&mut self, name: &str, address: u64) -> Result<bool, ElfError> {
        let wide = if self.image.wide() { 8 } else { 4 };
        let base = self.image.offset_of(address, HASH)?;
        let buckets = u64::from(self.word(base)?);
        let first = u64::from(self.word(base + 4)?);
        let filter = u64::from(self.word(base + 8)?) * wide;
        if buckets == 0 {
            return Ok(false);
        }
        let wanted = gnu_hash(name);
        let table = base.saturating_add(16 + filter);
        let hashes = table.saturating_add(4 * buckets);
        let start = u64::from(self.word(table.saturating_add(4 * (u64::from(wanted) % buckets)))?);
        for index in start..start + MOST_STEPS {
            let Some(skip) = index.checked_sub(first) else { return Ok(false) };
            let hash = self.word(hashes.saturating_add(4 * skip))?;
            if hash | 1 == wanted | 1 && self.is_defined(index, name)? {
                return Ok(true);
            }
            if hash & 1 == 1 {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// nbucket, nchain, the buckets, the chains. Entries have 32 bits, on 64-bit IBM Z 64.
    fn by_hash(&mut self, name: &str, address: u64) -> Result<bool, ElfError> {
        const S390: u16 = 22;
        let long = self.image.wide() && self.image.identity.machine.0 == S390;
        let size: u64 = if long { 8 } else { 4 };
        let base = self.image.offset_of(address, HASH)?;
        let buckets = self.entry(base, size)?;
        if buckets == 0 {
            return Ok(false);
        }
        let chains = base.saturating_add(buckets.saturating_add(2).saturating_mul(size));
        let bucket = (u64::from(hash(name)) % buckets + 2) * size;
        let mut index = self.entry(base.saturating_add(bucket), size)?;
        for _ in 0..MOST_STEPS {
            if index == 0 {
                return Ok(false);
            }
            if self.is_defined(index, name)? {
                return Ok(true);
            }
            index = self.entry(chains.saturating_add(index.saturating_mul(size)), size)?;
        }
        Ok(false)
    }

    /// Nothing says how many symbols there are; linkers put the strings right behind them.
    fn by_walk(&mut self, name: &str, tags: &Tags) -> Result<bool, ElfError> {
        let bytes = tags.strings.unwrap_or(0).saturating_sub(tags.symbols.unwrap_or(0));
        for index in 1..(bytes / self.size()).min(MOST_SYMBOLS) {
            if self.is_defined(index, name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn size(&self) -> u64 {
        if self.image.wide() { 24 } else { 16 }
    }

    /// Whether the symbol at `index` has this name and a section (st_shndx), so that it is
    /// defined here and not needed from elsewhere.
    fn is_defined(&mut self, index: u64, name: &str) -> Result<bool, ElfError> {
        let at = self.start.saturating_add(index.saturating_mul(self.size()));
        let section = if self.image.wide() { 6 } else { 14 };
        let fields = self.image.table(at, self.size() as usize, WHAT)?;
        let (Some(string), Some(section)) = (fields.u32(0), fields.u16(section)) else {
            return Ok(false);
        };
        if section == 0 {
            return Ok(false);
        }
        let found = self.strings.get(&mut self.image, string.into(), "the name of a symbol")?;
        Ok(found == name)
    }

    fn word(&mut self, at: u64) -> Result<u32, ElfError> {
        Ok(self.image.table(at, 4, HASH)?.u32(0).unwrap_or(0))
    }

    fn entry(&mut self, at: u64, size: u64) -> Result<u64, ElfError> {
        let wide = size == 8;
        Ok(self.image.table(at, size as usize, HASH)?.word(0, wide).unwrap_or(0))
    }
}

/// The hash of DT_GNU_HASH (glibc, elf/dl-lookup.c).
fn gnu_hash(name: &str) -> u32 {
    name.bytes().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}

/// The hash of DT_HASH (gABI, chapter 5).
fn hash(name: &str) -> u32 {
    name.bytes().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::fixture::Folder;
    use proptest::prelude::*;
    use std::fs::File;

    const SOURCE: &str = "int one(void){return 1;} int two(void){return 2;}
        static int hidden(void){return 3;} int absent(void);
        int use(void){return hidden() + absent();}";

    #[test]
    fn defined_functions_are_found_through_either_hash_table_and_needed_ones_are_not() {
        let folder = Folder::new("symbols");
        for style in ["-Wl,--hash-style=gnu", "-Wl,--hash-style=sysv", "-Wl,--hash-style=both"] {
            folder.library("liba.so", SOURCE, &[style]);
            let file = File::open(folder.path("liba.so")).unwrap();
            let found = exports(&file, &["one", "two", "hidden", "absent", "three"]).unwrap();
            assert_eq!(found, [true, true, false, false, false], "{style}");
        }
    }

    #[test]
    fn without_a_hash_table_the_symbols_are_walked() {
        let folder = Folder::new("walk");
        folder.library("liba.so", SOURCE, &["-Wl,--hash-style=sysv"]);
        let file = File::open(folder.path("liba.so")).unwrap();
        let mut windows = Windows::default();
        let mut image = Image::open(&file, &mut windows).unwrap();
        let segment = image.segment(PT_DYNAMIC).unwrap();
        let mut tags = tags(&mut image, segment).unwrap();
        tags.hash = None;
        let strings = tags.strings(&image).unwrap().unwrap();
        let start = image.offset_of(tags.symbols.unwrap(), WHAT).unwrap();
        let mut table = Table { image, start, strings };
        assert!(table.defines("two", &tags).unwrap());
        assert!(!table.defines("absent", &tags).unwrap());
    }

    #[test]
    fn the_hashes_are_those_of_the_documents() {
        assert_eq!(gnu_hash(""), 5381);
        assert_eq!(gnu_hash("printf"), 0x156b_2bb8);
        assert_eq!(hash("printf"), 0x0779_05a6);
    }

    /// A library with both hash tables, built once.
    fn library() -> &'static [u8] {
        static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        BYTES.get_or_init(|| {
            let folder = Folder::new("built-once");
            folder.library("liba.so", SOURCE, &["-Wl,--hash-style=both"]);
            std::fs::read(folder.path("liba.so")).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_changed_library_is_searched_or_refused(
            changes in proptest::collection::vec((64usize..4096, any::<u8>()), 1..16),
        ) {
            let folder = Folder::new("changed-symbols");
            let mut bytes = library().to_vec();
            let length = bytes.len();
            for (at, byte) in changes {
                bytes[at % length] = byte;
            }
            std::fs::write(folder.path("liba.so"), bytes).unwrap();
            let _ = exports(&File::open(folder.path("liba.so")).unwrap(), &["one", "absent"]);
        }
    }
}
