//! Gives memory that is no longer needed back to the system.
//!
//! Known limits: only glibc's allocator can be told to do so.

/// Gives what the allocator keeps free back to the system: malloc_trim(3). Costs time in proportion to it.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes a number and touches nothing but the allocator's own free memory; there is one thread.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
