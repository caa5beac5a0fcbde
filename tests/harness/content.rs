//! Bytes whose every position can be checked, so that lost, doubled and mixed-up data is noticed.

/// Says byte for byte what the stream named `seed` contains.
#[derive(Clone, Debug)]
pub struct Content {
    state: u64,
    word: [u8; 8],
    used: usize,
}

impl Content {
    /// The stream named `seed`, from its beginning.
    pub fn new(seed: u64) -> Self {
        Content { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xA5A5_5A5A_1234_5678, word: [0; 8], used: 8 }
    }

    /// Writes the next bytes of the stream into `buffer`.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.next_byte();
        }
    }

    /// Whether `bytes` are the next ones of the stream.
    pub fn matches(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| *byte == self.next_byte())
    }

    /// The first `length` bytes of the stream named `seed`.
    pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        Content::new(seed).fill(&mut bytes);
        bytes
    }

    #[inline]
    fn next_byte(&mut self) -> u8 {
        if self.used == self.word.len() {
            // xorshift64*: cheap enough to check gigabytes.
            self.state ^= self.state >> 12;
            self.state ^= self.state << 25;
            self.state ^= self.state >> 27;
            self.word = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes();
            self.used = 0;
        }
        let byte = self.word[self.used];
        self.used += 1;
        byte
    }
}

/// A checksum (FNV-1a, 64 bits) of what came so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u64);

impl Default for Checksum {
    fn default() -> Self {
        Checksum(0xCBF2_9CE4_8422_2325)
    }
}

impl Checksum {
    /// Takes in `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
        }
    }

    /// The checksum of `bytes`, as text.
    pub fn of(bytes: &[u8]) -> String {
        let mut checksum = Checksum::default();
        checksum.update(bytes);
        checksum.text()
    }

    /// The checksum as 16 hexadecimal digits.
    pub fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}
