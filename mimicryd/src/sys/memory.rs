//! Keeps memory from one mail to the next, gives what is no longer needed back to the system, and keeps processes that are forked from
//! writing to memory that they share.
//!
//! Must never: give the same memory back twice, or what another process took.
//!
//! Known limits: only glibc's allocator can be told to do so.

/// What is free at the end of the heap is kept up to so much. Less would be given back after each mail and asked for anew with the next
/// one: system calls, and pages that are faulted in one by one. A worker that is idle gives it back.
const KEPT: i32 = 8 << 20;

/// The heap grows by so much more than is asked for.
const GROWTH: i32 = 256 << 10;

/// From so much on an allocation has memory of its own, which goes back when it is freed: large mails leave nothing behind. It is said
/// because the allocator ceases to find it out by itself once it is told of the others. A mail that comes without SIZE is read into a
/// buffer that doubles: one of 1.2 MB takes 1 MB and 2 MB, which with what an edit makes of it is less than is kept.
const OWN: i32 = 4 << 20;

/// To be called in a process that handles one mail after the other.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (what, octets) in [
        (nix::libc::M_TRIM_THRESHOLD, KEPT),
        (nix::libc::M_TOP_PAD, GROWTH),
        (nix::libc::M_MMAP_THRESHOLD, OWN),
    ] {
        // SAFETY: it takes two numbers and touches nothing but the allocator's own settings; there is one thread. What it does not know
        // it leaves as it is.
        unsafe {
            nix::libc::mallopt(what, octets);
        }
    }
}

/// Gives what the allocator keeps free back to the system: malloc_trim(3). Costs time in proportion to it.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes a number and touches nothing but the allocator's own free memory; there is one thread.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// What was free between all that a process needs, taken so that nothing is put there. A page is shared after a fork until one of the
/// processes writes to it, and a configuration of thousands of rules leaves holes in thousands of pages, of which each worker would fill
/// one after the other.
///
/// The holes are free again when it is dropped in the process that took them; in one that was forked they stay.
#[derive(Debug)]
pub struct Holes {
    /// The first of them. Each begins with the address of the next one.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    first: *mut Hole,
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    taken_by: nix::unistd::Pid,
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[repr(C)]
#[derive(Debug)]
struct Hole {
    next: *mut Hole,
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
impl Holes {
    /// Holes are taken in pieces of so many octets at most: less than what has memory of its own.
    const LARGEST: usize = 64 << 10;

    /// Below this the allocator tells apart each size.
    const SMALL: usize = 1 << 10;

    /// How they are apart.
    const STEP: usize = 16;

    /// More than what the allocator has at hand of each small size (16 of 64 sizes at the most, 7 in older ones): it is taken first, and
    /// does not count as free.
    const AT_HAND: usize = 1 << 20;

    /// Takes all that is free below the end of the heap. To be called before a fork.
    pub fn take() -> Holes {
        // Whole pages within them take no memory then.
        give_back();
        let mut holes = Holes {
            first: std::ptr::null_mut(),
            taken_by: nix::unistd::getpid(),
        };
        // SAFETY: both only tell where the heap ends and how much of it is free.
        let (end, free) = unsafe { (nix::libc::sbrk(0), nix::libc::mallinfo2()) };
        // From here on the heap grows; a heap that is in pieces has no such place, and then what is free is a bound.
        let top = (end as usize).saturating_sub(free.keepcost);
        let below = free.fordblks.saturating_sub(free.keepcost);
        let mut left = below.saturating_add(Self::AT_HAND);
        let halves = std::iter::successors(Some(Self::LARGEST), |size| Some(size / 2));
        let large = halves.take_while(|size| *size >= Self::SMALL);
        let small = (1..Self::SMALL / Self::STEP).rev();
        // A piece has its size before it, and what is free begins with two addresses.
        let small = small.map(|steps| (steps * Self::STEP).saturating_add(8));
        for size in large.chain(small) {
            while left > size && holes.take_one(size, top) {
                left = left.saturating_sub(size);
            }
        }
        holes
    }

    /// Is there a hole of this size below the top.
    fn take_one(&mut self, size: usize, top: usize) -> bool {
        // SAFETY: what malloc returns is ours, has room for the address of the next one, as no size is less than its own, and is aligned
        // for it. What is not kept is freed at once.
        unsafe {
            let hole = nix::libc::malloc(size).cast::<Hole>();
            if hole.is_null() || hole as usize >= top {
                nix::libc::free(hole.cast());
                return false;
            }
            hole.write(Hole { next: self.first });
            self.first = hole;
        }
        true
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
impl Drop for Holes {
    fn drop(&mut self) {
        if self.taken_by != nix::unistd::getpid() {
            return;
        }
        while !self.first.is_null() {
            let hole = self.first;
            // SAFETY: each of the list came from malloc, is freed once, and its address of the next one is read before.
            unsafe {
                self.first = (*hole).next;
                nix::libc::free(hole.cast());
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
impl Holes {
    /// Only glibc's allocator is known.
    pub fn take() -> Holes {
        Holes {}
    }
}
