//! The numbers that name things, each with the form in which people see it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names a forward for as long as it exists, over restarts of the daemon.
///
/// The daemon counts them; people see eight hexadecimal digits that look alike for no two
/// neighbours, so that a short prefix is enough to pick one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForwardId(pub u32);

/// Odd, so that multiplying by it maps the 32-bit numbers onto themselves one to one.
const SCATTER: u32 = 0x9E37_79B1;
/// The inverse of [`SCATTER`]: `SCATTER * GATHER == 1` in 32-bit arithmetic.
const GATHER: u32 = inverse(SCATTER);

const fn inverse(odd: u32) -> u32 {
    // Newton's iteration doubles the number of right bits at each step: 3, 6, 12, 24, 48.
    let mut x = odd;
    let mut step = 0;
    while step < 5 {
        x = x.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(x)));
        step += 1;
    }
    x
}

impl fmt::Display for ForwardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0.wrapping_mul(SCATTER))
    }
}

impl FromStr for ForwardId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 8 {
            return Err(format!("`{text}` is not an id: eight hexadecimal digits are"));
        }
        u32::from_str_radix(text, 16)
            .map(|scattered| ForwardId(scattered.wrapping_mul(GATHER)))
            .map_err(|_| format!("`{text}` is not an id: eight hexadecimal digits are"))
    }
}

impl Serialize for ForwardId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for ForwardId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            u32::deserialize(deserializer).map(ForwardId)
        }
    }
}

impl JsonSchema for ForwardId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ForwardId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{8}$" })
    }
}

/// Names one request on one connection; whoever asks chooses it and does not use it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Numbers the changes that watchers are told. Those of a later run of the daemon are greater.
pub type Seq = u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_printed() {
        for n in [0, 1, 2, 3, 1000, u32::MAX] {
            let id = ForwardId(n);
            assert_eq!(id.to_string().parse::<ForwardId>(), Ok(id));
        }
    }

    #[test]
    fn neighbours_differ_in_their_first_digits() {
        let shown: Vec<String> = (1..=3).map(|n| ForwardId(n).to_string()).collect();
        assert_eq!(shown, ["9e3779b1", "3c6ef362", "daa66d13"]);
    }
}
