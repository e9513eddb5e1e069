//! How a gap is filled, once the packet after it is there: from that packet as far as it tells of what is missing (its LBRR copy of the packet
//! before it, its deep redundancy), else by made-up sound, and then only as much as the delay cannot spare.

use std::ops::Range;

use crate::depth::LEAST_BRIDGE_MS;
use crate::frame::{PULL_SAMPLES, SAMPLES_PER_MS, SHORTEST_PACKET_SAMPLES};

/// Opus may only be concealed in multiples of 2.5 ms. A gap shorter than that is none.
pub const CONCEAL_GRID: u64 = SHORTEST_PACKET_SAMPLES as u64;

/// A gap is not shortened below this.
const LEAST_BRIDGE: u64 = (LEAST_BRIDGE_MS as u64) * SAMPLES_PER_MS as u64;

/// What is missing before a packet that is there, in samples.
#[derive(Debug, Clone)]
pub struct Gap {
    /// From the playhead to the packet.
    pub samples: u64,
    /// The packet's copy of the one before it; 0 without.
    pub copy: u64,
    /// Which samples before it the packet's deep redundancy tells of, counted backwards.
    pub told: Range<u64>,
    /// Made up already, since the last sound that was sent.
    pub made_up: u64,
    /// By so much the delay is longer than it has to be.
    pub spare: u64,
}

/// What to do about the beginning of a gap.
#[derive(Debug, PartialEq, Eq)]
pub enum Bridge {
    /// It is none: the packet follows.
    Joined,
    /// The packet's copy fills it, without its first `skip` samples.
    Copy { skip: u64 },
    /// The packet's deep redundancy tells of the next `samples`.
    Respeak { samples: u64 },
    /// So many samples are left out, then so many made up.
    Conceal { left_out: u64, samples: u64 },
}

impl Gap {
    pub fn bridge(&self) -> Bridge {
        let copied = self.copy.min(self.samples);
        let missing = self.samples - copied;
        if missing < CONCEAL_GRID {
            return if copied < CONCEAL_GRID { Bridge::Joined } else { Bridge::Copy { skip: self.copy - copied } };
        }
        if self.told.start < self.samples && self.samples < self.told.end + CONCEAL_GRID {
            return Bridge::Respeak { samples: missing.min(PULL_SAMPLES as u64) / CONCEAL_GRID * CONCEAL_GRID };
        }
        let tells_later = self.told.start < self.told.end && self.told.end < self.samples;
        let untold = if tells_later { missing.min(self.samples - self.told.end) } else { missing };
        let least = LEAST_BRIDGE.saturating_sub(self.made_up).max(CONCEAL_GRID);
        let left_out = self.spare.min(untold.saturating_sub(least));
        let samples = (untold - left_out).min(PULL_SAMPLES as u64).next_multiple_of(CONCEAL_GRID);
        Bridge::Conceal { left_out, samples: samples.min(untold / CONCEAL_GRID * CONCEAL_GRID) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = 960;
    const PULL: u64 = PULL_SAMPLES as u64;

    fn gap(samples: u64) -> Gap {
        Gap { samples, copy: 0, told: 0..0, made_up: 0, spare: 0 }
    }

    #[test]
    fn a_copy_stands_for_the_packet_before_it_or_what_is_left_of_that() {
        let copied = |samples| Gap { copy: PACKET, ..gap(samples) }.bridge();
        assert_eq!(copied(PACKET), Bridge::Copy { skip: 0 });
        assert_eq!(copied(PACKET - 240), Bridge::Copy { skip: 240 });
        assert_eq!(copied(CONCEAL_GRID - 1), Bridge::Joined);
        assert_eq!(copied(2 * PACKET), Bridge::Conceal { left_out: 0, samples: PULL }, "one of two was not copied");
    }

    #[test]
    fn what_is_told_of_is_spoken_again_and_what_lies_before_it_made_up() {
        let told = |samples| Gap { told: 0..2 * PACKET, ..gap(samples) }.bridge();
        assert_eq!(told(2 * PACKET), Bridge::Respeak { samples: PULL });
        assert_eq!(told(2 * PACKET + 240), Bridge::Conceal { left_out: 0, samples: 240 });
    }

    #[test]
    fn a_long_delay_leaves_out_all_but_20_ms() {
        let spared = |made_up| Gap { spare: 10 * PACKET, made_up, ..gap(3 * PACKET) }.bridge();
        assert_eq!(spared(0), Bridge::Conceal { left_out: 2 * PACKET, samples: PULL });
        assert_eq!(spared(PACKET), Bridge::Conceal { left_out: 3 * PACKET - CONCEAL_GRID, samples: CONCEAL_GRID });
    }
}
