//! A small generator: the same seed gives the same history for ever.

pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }

    /// One of them, unless there is none.
    pub(crate) fn pick<T: Clone>(&mut self, all: impl Iterator<Item = T> + Clone) -> Option<T> {
        let n = all.clone().count() as u64;
        if n == 0 { None } else { all.into_iter().nth(self.roll(n) as usize) }
    }
}
