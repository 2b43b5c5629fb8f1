//! Memory that a process shares with the children that it forks: rows of counters.
//!
//! It holds atomic numbers and nothing else. A pointer would mean a different thing in each process, and a lock would
//! stay locked if its holder is killed.

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Numbers in a row.
pub const WORDS: usize = 48;

/// One row: it begins at a cache line and shares none with another row.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Row {
    words: [AtomicU64; WORDS],
}

/// Rows of numbers, all zero at first. They go with the last process that has them.
#[derive(Debug)]
pub struct Rows {
    start: NonNull<Row>,
    count: usize,
}

// SAFETY: the mapping belongs to no thread, it holds atomics only, and nobody else unmaps it.
unsafe impl Send for Rows {}

impl Rows {
    pub fn new(count: usize) -> io::Result<Rows> {
        let octets = size(count).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the kernel chooses a place of its own, so that no other memory is touched.
        let start = unsafe {
            mmap_anonymous(
                None,
                octets,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
            )
        }?;
        Ok(Rows {
            start: start.cast(),
            count,
        })
    }

    pub fn row(&self, index: usize) -> Option<&Row> {
        if index >= self.count {
            return None;
        }
        // SAFETY: `start` is the beginning of a mapping of `count` rows, aligned to a page and thereby to a row, which is
        // unmapped only when `self` is dropped. Zero octets are valid atomics, and whatever another process does to
        // them it does by atomics too.
        Some(unsafe { self.start.add(index).as_ref() })
    }

    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if let Some(octets) = size(self.count) {
            // SAFETY: this is the mapping that `new` made, of the same size, and no reference into it outlives `self`.
            let unmapped = unsafe { munmap(self.start.cast(), octets.get()) };
            debug_assert!(unmapped.is_ok());
        }
    }
}

impl Row {
    /// 0 beyond the row.
    pub fn get(&self, word: usize) -> u64 {
        self.words
            .get(word)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    pub fn set(&self, word: usize, value: u64) {
        if let Some(word) = self.words.get(word) {
            word.store(value, Ordering::Release);
        }
    }

    /// Adds, wrapping around. Each row has one writer, so a plain load and store would do; this is as cheap.
    pub fn add(&self, word: usize, value: u64) {
        if let Some(word) = self.words.get(word) {
            word.fetch_add(value, Ordering::AcqRel);
        }
    }

    /// A number that nobody else gets from this word: the first one is 1.
    pub fn next(&self, word: usize) -> u64 {
        let before = self
            .words
            .get(word)
            .map_or(0, |word| word.fetch_add(1, Ordering::AcqRel));
        before.wrapping_add(1)
    }

    /// What it was; it is zero then.
    pub fn take(&self, word: usize) -> u64 {
        self.words
            .get(word)
            .map_or(0, |word| word.swap(0, Ordering::AcqRel))
    }

    /// Sets it if it is `before`. False = it is not, because somebody else was quicker.
    pub fn swap(&self, word: usize, before: u64, value: u64) -> bool {
        self.words.get(word).is_some_and(|word| {
            word.compare_exchange(before, value, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        })
    }

    pub fn clear(&self) {
        for word in &self.words {
            word.store(0, Ordering::Release);
        }
    }
}

fn size(count: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(count.checked_mul(size_of::<Row>())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_apart() {
        let rows = Rows::new(3).unwrap();
        let (first, last) = (rows.row(0).unwrap(), rows.row(2).unwrap());
        first.set(WORDS - 1, 7);
        last.set(0, 9);
        last.add(0, 1);
        assert_eq!((first.get(WORDS - 1), first.get(WORDS)), (7, 0));
        assert_eq!(last.get(0), 10);
        assert_eq!(rows.row(1).map(|row| row.get(0)), Some(0));
        assert!(rows.row(3).is_none());
        assert_eq!((last.next(0), last.take(0)), (11, 11));
        last.set(0, 10);
        assert_eq!((last.take(0), last.take(0), last.take(WORDS)), (10, 0, 0));
        assert!(last.swap(0, 0, 5) && !last.swap(0, 0, 6) && !last.swap(WORDS, 0, 1));
        assert_eq!(last.get(0), 5);
        last.clear();
        assert_eq!(last.get(0), 0);
        assert_eq!((size_of::<Row>() % 64, align_of::<Row>()), (0, 64));
        assert!(Rows::new(0).is_err());
        assert!(Rows::new(usize::MAX / 2).is_err());
    }
}
