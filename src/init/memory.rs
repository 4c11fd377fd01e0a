//! Memory of the set-up, given back before the loop: PID 1 idles for weeks on what it needs then,
//! not on what it once needed to read its configuration.
//!
//! The program's allocator (`bin/mak-init.rs`) takes from one array while set-up lasts (in a
//! subcommand, which ends soon, to its end), each piece behind the one before, and counts what is
//! alive in each page of it. [`give_back`] hands the pages to the kernel in which nothing is alive,
//! and with them the stack below and the clean pages of the program itself. What is left alive stays
//! where it is.

#![allow(unsafe_code, reason = "an allocator, and advice about memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering::Relaxed};

use rustix::mm::{Advice, madvise};

/// The array's size: what verifying some hundred distributions takes, which goes on with it. Only
/// touched pages cost anything; what does not fit comes from libc.
const SIZE: usize = 8 << 20;
/// Pieces from this size on come from libc, which returns them to the kernel by itself.
const LARGE: usize = 128 << 10;
/// The smallest page there is. Machines with larger ones are asked in `give_back`.
const GRANULE: usize = 4096;
/// In so many of them is counted what is alive: PID 1's own set-up is far smaller. Those behind
/// stay as they are.
const COUNTED: usize = 256;
/// The kernel maps up to so many bytes of a file around the one that was touched
/// (`fault_around_bytes` of debugfs).
const WINDOW: usize = 64 << 10;
/// How far below the loop's frame the stack may have been used; the kernel keeps a gap of
/// 1 MiB below it free of other mappings (`stack_guard_gap`).
const STACK: usize = 512 << 10;

/// The frame of `discard`, many times over.
const CALLED: usize = 1024;

/// In the shipped program it begins in the page that holds the other data a start writes
/// (scripts/hot-code.ld): what shares a page with that is never given back.
#[repr(C, align(16))]
struct Room(UnsafeCell<[u8; SIZE]>);

// SAFETY: pieces of it are handed out once each, by compare-and-exchange on `USED`.
unsafe impl Sync for Room {}

#[unsafe(link_section = ".bss.set_up")]
static ROOM: Room = Room(UnsafeCell::new([0; SIZE]));
/// Bytes handed out from the front.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Pieces alive in each of the first granules.
static ALIVE: [AtomicU16; COUNTED] = [const { AtomicU16::new(0) }; COUNTED];
static SET_UP_IS_OVER: AtomicBool = AtomicBool::new(false);

/// The allocator: the array during set-up, libc's afterwards.
pub struct SetUpMemory;

// SAFETY: a piece is inside the array, aligned as asked for, and overlaps no other one that is
// alive, as `USED` only ever goes back over the piece that ends there. Everything else is libc's.
unsafe impl GlobalAlloc for SetUpMemory {
    // SAFETY: what GlobalAlloc asks of a caller is what the array and libc need.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match take(layout) {
            Some(piece) => piece,
            // SAFETY: as this function's own caller promises.
            None => unsafe { System.alloc(layout) },
        }
    }

    // SAFETY: what GlobalAlloc asks of a caller is what the array and libc need.
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match place(piece) {
            Some(start) => put_back(start, layout.size()),
            // SAFETY: as this function's own caller promises; it is not from the array.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    // SAFETY: what GlobalAlloc asks of a caller is what the array and libc need.
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = place(piece) else {
            // SAFETY: as this function's own caller promises; it is not from the array.
            return unsafe { System.realloc(piece, layout, size) };
        };
        if resize(start, layout.size(), size) {
            return piece;
        }
        // SAFETY: the caller promises that `size` is not zero and makes a layout with this
        // alignment. Both pieces are as long as what is copied, and they do not overlap.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(piece, new, layout.size().min(size));
                put_back(start, layout.size());
            }
            new
        }
    }
}

fn base() -> usize {
    ROOM.0.get() as usize
}

/// Where in the array a piece begins; `None` where it is libc's.
fn place(piece: *mut u8) -> Option<usize> {
    let place = (piece as usize).wrapping_sub(base());
    (place < SIZE).then_some(place)
}

fn take(layout: Layout) -> Option<*mut u8> {
    if SET_UP_IS_OVER.load(Relaxed) || layout.size() >= LARGE || layout.align() > GRANULE {
        return None;
    }
    let mut used = USED.load(Relaxed);
    loop {
        let start = (base() + used).next_multiple_of(layout.align()) - base();
        let end = start.checked_add(layout.size()).filter(|end| *end <= SIZE)?;
        match USED.compare_exchange_weak(used, end, Relaxed, Relaxed) {
            Ok(_) => {
                count(start, layout.size(), |alive| alive.fetch_add(1, Relaxed));
                // SAFETY: `start` is inside the array.
                return Some(unsafe { ROOM.0.get().cast::<u8>().add(start) });
            }
            Err(now) => used = now,
        }
    }
}

fn put_back(start: usize, size: usize) {
    count(start, size, |alive| alive.fetch_sub(1, Relaxed));
    let _ = USED.compare_exchange(start + size, start, Relaxed, Relaxed);
}

/// Grows or shrinks in place the piece that was handed out last.
fn resize(start: usize, old: usize, new: usize) -> bool {
    let fits = new < LARGE && start + new <= SIZE && !SET_UP_IS_OVER.load(Relaxed);
    if !fits || USED.compare_exchange(start + old, start + new, Relaxed, Relaxed).is_err() {
        return false;
    }
    count(start, old, |alive| alive.fetch_sub(1, Relaxed));
    count(start, new, |alive| alive.fetch_add(1, Relaxed));
    true
}

fn count(start: usize, size: usize, change: impl Fn(&AtomicU16) -> u16) {
    let last = granule(start + size.max(1) - 1);
    for alive in (granule(start)..=last).filter_map(|at| ALIVE.get(at)) {
        change(alive);
    }
}

/// The granule, counted from the array's first, in which this place of it lies.
fn granule(place: usize) -> usize {
    (base() % GRANULE + place) / GRANULE
}

/// Where in memory a granule begins, or the array where that begins within it.
fn edge(granule: usize) -> usize {
    (base() - base() % GRANULE + granule * GRANULE).max(base())
}

/// From now on libc's allocator serves: in PID 1 before the loop, and in every child that goes
/// on to do something else.
pub fn end_set_up() {
    SET_UP_IS_OVER.store(true, Relaxed);
}

/// Gives back what set-up no longer needs. Called by the loop when the workload has started.
#[inline(never)]
pub fn give_back() {
    end_set_up();
    let page = page_size();
    give_back_array(page);
    give_back_stack(page);
    give_back_program(page);
}

/// As the kernel told us at the start: no system call is made for it.
fn page_size() -> usize {
    // SAFETY: getauxval(3) takes a number; 0 where there is no such entry, which is always there.
    let page = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
    page.max(GRANULE)
}

/// The pages of the array in which nothing is alive, a run of them at a time.
fn give_back_array(page: usize) {
    let end = (granule(USED.load(Relaxed)) + 1).min(COUNTED);
    let mut dead = 0;
    for (at, alive) in ALIVE[..end].iter().enumerate() {
        if alive.load(Relaxed) != 0 {
            discard(edge(dead), edge(at), page);
            dead = at + 1;
        }
    }
    discard(edge(dead), edge(end).min(base() + SIZE), page);
}

/// The stack below the frame of this function and of what it calls.
fn give_back_stack(page: usize) {
    let here = 0_u8;
    let end = (&raw const here as usize).saturating_sub(CALLED);
    discard(end.saturating_sub(STACK), end, page);
}

/// The program's pages that are as they are in the file: code and constants. What the loop
/// needs of them comes back from the page cache when it is touched. The window that this very
/// code is in would come back at once.
fn give_back_program(page: usize) {
    let here = give_back as fn() as usize;
    let window = here - here % WINDOW;
    for (start, end) in read_only_parts().into_iter().flatten() {
        discard(start, end.min(window), page);
        discard(start.max(window + WINDOW), end, page);
    }
}

/// A program has three such parts with today's linkers: headers, code, constants.
type Parts = [Option<(usize, usize)>; 4];

/// From its own program headers: loaded and not writable. Relocated pages are in a writable part.
fn read_only_parts() -> Parts {
    unsafe extern "C" {
        /// The ELF header, where it has been loaded; every linker for Linux defines it.
        static __ehdr_start: libc::Elf64_Ehdr;
    }
    let mut parts: Parts = [None; 4];
    // SAFETY: the program headers are in the first loaded part, as the kernel needs them there
    // for AT_PHDR; there are as many as the header says.
    let headers = unsafe {
        let first = (&raw const __ehdr_start).cast::<u8>().add(__ehdr_start.e_phoff as usize);
        std::slice::from_raw_parts(first.cast::<libc::Elf64_Phdr>(), __ehdr_start.e_phnum.into())
    };
    let loaded = headers.iter().filter(|part| part.p_type == libc::PT_LOAD);
    let Some(first) = loaded.clone().find(|part| part.p_offset == 0) else { return parts };
    let moved_by = (&raw const __ehdr_start as usize).wrapping_sub(first.p_vaddr as usize);
    let clean = loaded.filter(|part| part.p_flags & libc::PF_W == 0);
    for (slot, part) in parts.iter_mut().zip(clean) {
        let start = moved_by.wrapping_add(part.p_vaddr as usize);
        *slot = Some((start, start + part.p_memsz as usize));
    }
    parts
}

/// Whole pages between the two.
fn discard(start: usize, end: usize, page: usize) {
    let (start, end) = (start.next_multiple_of(page), end - end % page);
    if start < end {
        // SAFETY: every caller names memory in which nothing is alive, or that comes back from
        // its file as it was. ENOMEM says that a part is not mapped; the rest is done.
        let _ = unsafe { madvise(start as *mut c_void, end - start, Advice::LinuxDontNeed) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_pages_are_given_back_and_what_lives_stays() {
        let allocator = SetUpMemory;
        let layout = Layout::from_size_align(3 * GRANULE, 16).unwrap();
        // SAFETY: each piece is used within its layout and given back once.
        unsafe {
            let dead = allocator.alloc(layout);
            let living = allocator.alloc(layout);
            assert!(place(dead).is_some() && place(living).is_some());
            living.write_bytes(7, layout.size());
            dead.write_bytes(9, layout.size());
            allocator.dealloc(dead, layout);
            end_set_up();
            give_back_array(page_size());
            assert_eq!(dead.add(GRANULE).read(), 0, "it came back empty");
            let all = std::slice::from_raw_parts(living, layout.size());
            assert!(all.iter().all(|byte| *byte == 7));
            let grown = allocator.realloc(living, layout, 2 * layout.size());
            assert!(place(grown).is_none(), "libc serves after set-up");
            assert_eq!(grown.read(), 7);
            allocator.dealloc(grown, Layout::from_size_align(6 * GRANULE, 16).unwrap());
        }
    }

    #[test]
    fn code_and_constants_are_given_back_and_data_is_not() {
        static WRITTEN: AtomicUsize = AtomicUsize::new(1);
        let has = |parts: &Parts, address: usize| {
            parts.iter().flatten().any(|(start, end)| (*start..*end).contains(&address))
        };
        let parts = read_only_parts();
        assert!(has(&parts, read_only_parts as fn() -> Parts as usize));
        assert!(!has(&parts, &raw const WRITTEN as usize));
        WRITTEN.store(2, Relaxed);
        give_back_program(page_size());
        assert_eq!(WRITTEN.load(Relaxed), 2);
    }
}
