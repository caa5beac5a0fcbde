//! Memory that streams through the daemon is kept for the next packet and not given back to the system each time.

/// glibc gives the end of its heap back when more than 128 KiB of it are free, which bulk transfers free and need again
/// thousands of times a second: each time the system clears the pages anew. It changes its mind, to twice the size,
/// when a block of more is freed. So this is half of what each of its heaps may keep after a burst.
const FREED_BYTES: usize = 1 << 20;

/// To be called once, before there is anything to carry. Does no harm where the allocator is another one.
pub(crate) fn keep_what_was_freed() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(FREED_BYTES)));
}
