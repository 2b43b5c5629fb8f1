//! Keeps memory from one mail to the next, and gives what is no longer needed back to the system.
//!
//! Known limits: only glibc's allocator can be told to do so.

/// What is free at the end of the heap is kept up to so much. Less would be given back after each mail and asked for anew with the next
/// one: system calls, and pages that are faulted in one by one.
const KEPT: i32 = 4 << 20;

/// The heap grows by so much more than is asked for.
const GROWTH: i32 = 256 << 10;

/// From so much on an allocation has memory of its own, which goes back when it is freed: large mails leave nothing behind. It is said
/// because the allocator ceases to find it out by itself once it is told of the others.
const OWN: i32 = 2 << 20;

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
