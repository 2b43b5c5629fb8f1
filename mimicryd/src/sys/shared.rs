//! Memory that a process shares with the children that it forks: rows of counters.
//!
//! It holds atomic numbers and nothing else. A pointer would mean a different thing in each process, and a lock would
//! stay locked if its holder is killed.
//!
//! A process that has given rows up ([`Rows::give_up`]) reads them and can never write to them again, whoever it obeys by then: the
//! kernel forgets that the memory could be written to, and no descriptor of it is left. So what one process decides for all is written by
//! that process alone.
//!
//! Known limits: a kernel before Linux 5.1 cannot make memory so; there what was given up is only protected from mistakes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{
    MRemapFlags, MapFlags, ProtFlags, mmap, mmap_anonymous, mprotect, mremap, munmap,
};
use nix::unistd::ftruncate;

/// Numbers in a row.
pub const WORDS: usize = 48;

/// One row: it begins at a cache line and shares none with another row.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Row {
    words: [AtomicU64; WORDS],
}

/// A row that this process may write to.
#[derive(Clone, Copy, Debug)]
pub struct Pen<'r>(&'r Row);

/// Rows of numbers, all zero at first. They go with the last process that has them.
#[derive(Debug)]
pub struct Rows {
    start: NonNull<Row>,
    count: usize,
    /// The same memory once more, which cannot be written to and never will be; it takes the place of the other when that is given up.
    view: Cell<Option<NonNull<Row>>>,
    is_given_up: Cell<bool>,
}

/// The mappings of this process: first octet, octets, and the first octet of the view.
static ALL: Mutex<BTreeMap<usize, (NonZeroUsize, Option<usize>)>> = Mutex::new(BTreeMap::new());

fn all() -> MutexGuard<'static, BTreeMap<usize, (NonZeroUsize, Option<usize>)>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All rows that there are, given up, by a child of a fork that is never to write to any: whoever has them in this process and
/// writes all the same ends it.
pub fn give_up_all() {
    for (start, (octets, view)) in std::mem::take(&mut *all()) {
        let place = |at: usize| NonNull::new(std::ptr::with_exposed_provenance_mut(at));
        if let Some(start) = place(start) {
            // SAFETY: what is listed is a mapping of rows that was not given up yet, and its view.
            unsafe { protect(start, octets, view.and_then(place)) };
        }
    }
}

// SAFETY: the mapping belongs to no thread, it holds atomics only, and nobody else unmaps it.
unsafe impl Send for Rows {}

impl Rows {
    pub fn new(count: usize) -> io::Result<Rows> {
        let octets = size(count).ok_or(io::ErrorKind::OutOfMemory)?;
        let (start, view) = match sealed(octets) {
            Ok((start, view)) => (start, Some(view)),
            Err(_) => (anonymous(octets)?, None),
        };
        let listed = view.map(|view| view.as_ptr().expose_provenance());
        all().insert(start.as_ptr().expose_provenance(), (octets, listed));
        Ok(Rows {
            start,
            count,
            view: Cell::new(view),
            is_given_up: Cell::new(false),
        })
    }

    /// Rows in a file that has no name and keeps its size, for another program to go on with; all zero at first.
    ///
    /// What is given up of them is only protected from mistakes: who could never write to the file could not go on with it.
    pub fn in_file(count: usize) -> io::Result<(Rows, OwnedFd)> {
        let octets = size(count).ok_or(io::ErrorKind::OutOfMemory)?;
        let file = memory_file()?;
        ftruncate(
            &file,
            i64::try_from(octets.get()).map_err(|_| Errno::ENOMEM)?,
        )?;
        // A file that becomes shorter kills who reads its end.
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok((Rows::of_file(&file, count)?, file))
    }

    /// Rows in a file of [`Rows::in_file`], which another program may have made.
    pub fn of_file(file: &OwnedFd, count: usize) -> io::Result<Rows> {
        let octets = size(count).ok_or(io::ErrorKind::OutOfMemory)?;
        let seals = SealFlag::from_bits_retain(fcntl(file, FcntlArg::F_GET_SEALS)?);
        let length = nix::sys::stat::fstat(file)?.st_size;
        let is_whole = usize::try_from(length).is_ok_and(|length| length == octets.get());
        if !is_whole || !seals.contains(SealFlag::F_SEAL_SHRINK) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses a place of its own, so that no other memory is touched, and the file never becomes shorter.
        let start = unsafe { mmap(None, octets, rights, MapFlags::MAP_SHARED, file, 0) }?;
        let start: NonNull<Row> = start.cast();
        all().insert(start.as_ptr().expose_provenance(), (octets, None));
        Ok(Rows {
            start,
            count,
            view: Cell::new(None),
            is_given_up: Cell::new(false),
        })
    }

    /// To be read.
    pub fn row(&self, index: usize) -> Option<&Row> {
        if index >= self.count {
            return None;
        }
        // SAFETY: `start` is the beginning of a mapping of `count` rows, aligned to a page and thereby to a row, which is
        // unmapped only when `self` is dropped. Zero octets are valid atomics, and whatever another process does to
        // them it does by atomics too.
        Some(unsafe { self.start.add(index).as_ref() })
    }

    /// To be written to; `None` = there is no such row, or this process has given them up.
    pub fn pen(&self, index: usize) -> Option<Pen<'_>> {
        match self.is_given_up.get() {
            true => None,
            false => self.row(index).map(Pen),
        }
    }

    /// From here on this process, and what it forks, only reads them. The others go on writing.
    pub fn give_up(&self) {
        if self.is_given_up.replace(true) {
            return;
        }
        let start: NonNull<c_void> = self.start.cast();
        if let (Some((octets, _)), view) = (
            all().remove(&start.as_ptr().addr()),
            self.view.take().map(NonNull::cast),
        ) {
            // SAFETY: both are mappings of `self` of this size, and of the same memory.
            unsafe { protect(start, octets, view) };
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        let Some(octets) = size(self.count) else {
            return;
        };
        all().remove(&self.start.as_ptr().addr());
        for mapping in [Some(self.start), self.view.take()].into_iter().flatten() {
            // SAFETY: this is a mapping that `new` made, of the same size, and no reference into it outlives `self`.
            let unmapped = unsafe { munmap(mapping.cast(), octets.get()) };
            debug_assert!(unmapped.is_ok());
        }
    }
}

/// Puts the view in the place of a mapping: whoever has a reference into that reads the same numbers at the same place.
///
/// # Safety
///
/// Both are mappings of rows, of this size and of the same memory, and the view is used by nobody.
unsafe fn protect(start: NonNull<c_void>, octets: NonZeroUsize, view: Option<NonNull<c_void>>) {
    let octets = octets.get();
    let done = match view {
        // SAFETY: as the caller says.
        Some(view) => unsafe {
            let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
            mremap(view, octets, octets, flags, Some(start)).map(drop)
        },
        None => Err(Errno::ENOSYS),
    };
    if done.is_err() {
        // SAFETY: the mapping stays and can still be read; nobody writes to it any more.
        let _ = unsafe { mprotect(start, octets, ProtFlags::PROT_READ) };
    }
}

/// Two mappings of the same new memory: one that is written to, and one that is read only for good.
fn sealed(octets: NonZeroUsize) -> nix::Result<(NonNull<Row>, NonNull<Row>)> {
    let memory = memory_file()?;
    let length = i64::try_from(octets.get()).map_err(|_| Errno::ENOMEM)?;
    ftruncate(&memory, length)?;
    let map = |rights| {
        // SAFETY: the kernel chooses a place of its own, so that no other memory is touched.
        unsafe { mmap(None, octets, rights, MapFlags::MAP_SHARED, &memory, 0) }
    };
    let start = map(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?;
    // What is mapped from here on is not written to, and never can be.
    let seals = SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::from_bits_retain(F_SEAL_FUTURE_WRITE);
    let view = fcntl(&memory, FcntlArg::F_ADD_SEALS(seals)).and_then(|_| map(ProtFlags::PROT_READ));
    match view {
        Ok(view) => Ok((start.cast(), view.cast())),
        Err(error) => {
            // SAFETY: the mapping was made here, and nobody knows it.
            let _ = unsafe { munmap(start, octets.get()) };
            Err(error)
        }
    }
}

/// Since Linux 5.1; neither crate has it.
const F_SEAL_FUTURE_WRITE: i32 = 0x10;

/// Since Linux 6.3, where it may be required; no file of memory is a program.
const MFD_NOEXEC_SEAL: u32 = 0x8;

fn memory_file() -> nix::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let newer = flags | MFdFlags::from_bits_retain(MFD_NOEXEC_SEAL);
    let make = |flags| memfd_create(c"mimicryd", flags);
    match make(newer) {
        Err(Errno::EINVAL) => make(flags),
        made => made,
    }
}

/// What a kernel can do that has no such files.
fn anonymous(octets: NonZeroUsize) -> io::Result<NonNull<Row>> {
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses a place of its own, so that no other memory is touched.
    let start = unsafe { mmap_anonymous(None, octets, rights, MapFlags::MAP_SHARED) }?;
    Ok(start.cast())
}

/// What this process wrote before, others see before it reads what follows.
pub fn settle() {
    fence(Ordering::SeqCst);
}

impl Row {
    /// 0 beyond the row.
    pub fn get(&self, word: usize) -> u64 {
        self.words
            .get(word)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }
}

impl Pen<'_> {
    /// 0 beyond the row.
    pub fn get(self, word: usize) -> u64 {
        self.0.get(word)
    }

    pub fn set(self, word: usize, value: u64) {
        if let Some(word) = self.0.words.get(word) {
            word.store(value, Ordering::Release);
        }
    }

    /// Adds, wrapping around. Each row has one writer, so a plain load and store would do; this is as cheap.
    pub fn add(self, word: usize, value: u64) {
        if let Some(word) = self.0.words.get(word) {
            word.fetch_add(value, Ordering::AcqRel);
        }
    }

    /// What it was; it is zero then.
    pub fn take(self, word: usize) -> u64 {
        self.0
            .words
            .get(word)
            .map_or(0, |word| word.swap(0, Ordering::AcqRel))
    }

    /// Sets it if it is `before`. False = it is not, because somebody else was quicker.
    pub fn swap(self, word: usize, before: u64, value: u64) -> bool {
        self.0.words.get(word).is_some_and(|word| {
            word.compare_exchange(before, value, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        })
    }

    pub fn clear(self) {
        for word in &self.0.words {
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
        let (first, last) = (rows.pen(0).unwrap(), rows.pen(2).unwrap());
        first.set(WORDS - 1, 7);
        last.set(0, 9);
        last.add(0, 1);
        assert_eq!((first.get(WORDS - 1), first.get(WORDS)), (7, 0));
        assert_eq!(last.get(0), 10);
        assert_eq!(rows.row(1).map(|row| row.get(0)), Some(0));
        assert!(rows.row(3).is_none() && rows.pen(3).is_none());
        assert_eq!((last.take(0), last.take(0), last.take(WORDS)), (10, 0, 0));
        assert!(last.swap(0, 0, 5) && !last.swap(0, 0, 6) && !last.swap(WORDS, 0, 1));
        assert_eq!(last.get(0), 5);
        last.clear();
        assert_eq!(last.get(0), 0);
        assert_eq!((size_of::<Row>() % 64, align_of::<Row>()), (0, 64));
        assert!(Rows::new(0).is_err());
        assert!(Rows::new(usize::MAX / 2).is_err());
    }

    /// The rights of the mapping that begins here, as the kernel has them.
    fn rights(rows: &Rows) -> String {
        let start = format!("{:x}-", rows.start.as_ptr().addr());
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| !line.starts_with(&start));
        let head = lines.next().unwrap_or_default();
        let flags = lines.find(|line| line.starts_with("VmFlags:"));
        let mode = head.split(' ').nth(1).unwrap_or_default();
        format!("{mode} {}", flags.unwrap_or_default())
    }

    // T205
    #[test]
    fn what_was_given_up_cannot_be_written_to_again() {
        let rows = Rows::new(20).unwrap();
        rows.pen(1).unwrap().set(2, 3);
        assert!(rights(&rows).starts_with("rw-s"));
        rows.give_up();
        rows.give_up();
        assert!(rows.pen(1).is_none());
        assert_eq!(rows.row(1).unwrap().get(2), 3, "the same memory");
        let shown = rights(&rows);
        // "mw" = it may become writable.
        assert!(
            shown.starts_with("r--s") && !shown.contains(" mw"),
            "{shown}"
        );
        let (start, octets) = (rows.start.cast(), size(20).unwrap().get());
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: if the kernel allowed it, the mapping would be what it was before.
        let again = unsafe { mprotect(start, octets, rights) };
        assert_eq!(again, Err(Errno::EACCES));
    }

    #[test]
    fn rows_in_a_file_are_found_again() {
        let (rows, file) = Rows::in_file(2).unwrap();
        rows.pen(1).unwrap().add(3, 7);
        let again = Rows::of_file(&file, 2).unwrap();
        assert_eq!(again.row(1).map(|row| row.get(3)), Some(7));
        again.pen(1).unwrap().add(3, 1);
        assert_eq!(rows.row(1).map(|row| row.get(3)), Some(8));
        again.give_up();
        assert!(again.pen(1).is_none());
        rows.pen(1).unwrap().add(3, 1);
        assert_eq!(again.row(1).map(|row| row.get(3)), Some(9));
        assert!(Rows::of_file(&file, 3).is_err(), "it has another size");
        let other = memory_file().unwrap();
        ftruncate(&other, 2 * size_of::<Row>() as i64).unwrap();
        assert!(Rows::of_file(&other, 2).is_err(), "it could become shorter");
    }
}
