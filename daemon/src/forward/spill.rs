//! What came out of a channel and was not taken by a slow local program: a bounded queue.
//!
//! One channel that nobody reads stops its whole session, so the relay reads every channel into such a queue. Only
//! when [`DEFAULT_LIMIT_BYTES`] are waiting does it stop, and with it the session, until the program takes some.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// The most that waits for one connection: what bulk transfers bring in a few hundredths of a second.
pub(super) const DEFAULT_LIMIT_BYTES: usize = 8 << 20;
/// What a chunk costs beside its bytes, so that a million chunks of ten bytes are not thought of as small.
const CHUNK_OVERHEAD_BYTES: usize = 96;
/// Chunks that one system call takes.
pub(super) const SLICES_AT_ONCE: usize = 16;
/// A queue that was longer than this gives its memory back when it is empty.
const KEPT_CHUNKS: usize = 32;

/// Bytes in the order in which they came, at most about a limit of them.
#[derive(Debug)]
pub(super) struct Spill {
    chunks: VecDeque<Bytes>,
    held_bytes: usize,
    limit_bytes: usize,
}

impl Spill {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Spill { chunks: VecDeque::new(), held_bytes: 0, limit_bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether another chunk may be pushed; the last one may reach over the limit.
    pub(super) fn has_room(&self) -> bool {
        self.held_bytes < self.limit_bytes
    }

    /// What waits, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether one write would not take more.
    pub(super) fn fills_a_write(&self) -> bool {
        SLICES_AT_ONCE <= self.chunks.len()
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.held_bytes += cost(&chunk);
        self.chunks.push_back(chunk);
    }

    /// Fills `slices` with what comes first and says how many of them it filled.
    pub(super) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_AT_ONCE]) -> usize {
        let mut n_slices = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            n_slices += 1;
        }
        n_slices
    }

    /// Forgets the first `n_bytes`: they were written.
    pub(super) fn advance(&mut self, mut n_bytes: usize) {
        while 0 < n_bytes
            && let Some(first) = self.chunks.front_mut()
        {
            if n_bytes < first.len() {
                first.advance(n_bytes);
                self.held_bytes -= n_bytes;
                return;
            }
            n_bytes -= first.len();
            self.held_bytes -= cost(first);
            self.chunks.pop_front();
        }
        if self.chunks.is_empty() && KEPT_CHUNKS < self.chunks.capacity() {
            self.chunks = VecDeque::new();
        }
    }
}

fn cost(chunk: &Bytes) -> usize {
    chunk.len() + CHUNK_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first_bytes(spill: &Spill) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES_AT_ONCE];
        let n_slices = spill.fill(&mut slices);
        slices[..n_slices].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn many_small_chunks_fill_it_too() {
        let mut spill = Spill::new(1 << 20);

        let n_pushed = (0..).take_while(|_| {
            spill.push(Bytes::from_static(b"ten bytes."));
            spill.has_room()
        });

        assert!(n_pushed.count() < 10_000, "the overhead of the chunks is counted");
    }

    #[test]
    fn an_empty_one_holds_no_memory_of_a_burst() {
        let mut spill = Spill::new(1 << 20);
        for _ in 0..1000 {
            spill.push(Bytes::from_static(b"x"));
        }

        spill.advance(1000);

        assert!(spill.is_empty() && spill.chunks.capacity() <= KEPT_CHUNKS);
    }

    proptest! {
        #[test]
        fn whatever_the_steps_the_bytes_come_out_in_order(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..60),
            steps in prop::collection::vec(1..200usize, 1..50),
        ) {
            let pushed = chunks.concat();
            let mut spill = Spill::new(1 << 20);
            for chunk in chunks {
                spill.push(Bytes::from(chunk));
            }

            let mut taken = Vec::new();
            for step in steps.iter().cycle() {
                if spill.is_empty() {
                    break;
                }
                let mut first = first_bytes(&spill);
                first.truncate(*step);
                spill.advance(first.len());
                taken.extend(first);
            }

            prop_assert_eq!(taken, pushed);
            prop_assert_eq!(spill.held_bytes, 0);
        }
    }
}
