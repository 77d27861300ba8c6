//! How a process gets its memory.

/// Has glibc's allocator keep what is freed instead of giving it back, for programs that train or decode.
///
/// Every step allocates the same large tensors again; by default each comes from the kernel, which hands it out page by
/// page, a fault and four kilobytes of zeros at a time. What the program has held at its peak, it then holds to its end.
/// Does nothing with other C libraries. Call it first thing in `main`.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Asked of the kernel beyond what is needed, whenever something is: 64 MiB.
        const PAD: i32 = 64 << 20;
        // No mappings of their own for large blocks, no trimming.
        for (parameter, value) in [(libc::M_MMAP_MAX, 0), (libc::M_TRIM_THRESHOLD, -1), (libc::M_TOP_PAD, PAD)] {
            // SAFETY: `mallopt` takes two numbers and only sets parameters of the allocator, under its lock.
            unsafe { libc::mallopt(parameter, value) };
        }
    }
}
