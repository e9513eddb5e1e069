//! How far a sound card's clock has come, told by its callback to another thread.
//!
//! Count and time change together and must be read together, without a lock: both are in one number, 24 bits of samples and 40 of
//! microseconds. Each wraps; the reader goes on counting.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use raccall_wire::Nanos;

const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const TIME_MASK: u64 = (1 << (64 - COUNT_BITS)) - 1;
const NANOS_PER_MICRO: u64 = 1_000;

/// The callback's end.
#[derive(Default)]
pub struct Beat(AtomicU64);

impl Beat {
    /// Counts `samples` that were moved just now. Only one thread does.
    pub fn strike(&self, samples: usize, now: Nanos) {
        let count = ((self.0.load(Relaxed) & COUNT_MASK) + samples as u64) & COUNT_MASK;
        self.0.store((now / NANOS_PER_MICRO) << COUNT_BITS | count, Relaxed);
    }
}

/// The reader's end: all samples since it began to look, and when the last of them were moved, in the clock of `strike`.
#[derive(Default)]
pub struct BeatReader {
    last: Option<u64>,
    samples: u64,
    at: Nanos,
}

impl BeatReader {
    pub fn read(&mut self, beat: &Beat) -> (u64, Nanos) {
        let now = beat.0.load(Relaxed);
        match self.last {
            Some(last) => {
                self.samples += now.wrapping_sub(last) & COUNT_MASK;
                self.at += ((now >> COUNT_BITS).wrapping_sub(last >> COUNT_BITS) & TIME_MASK) * NANOS_PER_MICRO;
            }
            None => self.at = (now >> COUNT_BITS) * NANOS_PER_MICRO,
        }
        self.last = Some(now);
        (self.samples, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_goes_on_where_the_number_wraps() {
        let (beat, mut reader) = (Beat::default(), BeatReader::default());
        let start = (1u64 << 40) * NANOS_PER_MICRO - 5_000_000_000; // five seconds before the microseconds wrap
        beat.strike(480, start);
        assert_eq!(reader.read(&beat).0, 0, "what was before does not count");
        let mut expected = 0;
        for second in 1..=40 {
            beat.strike(1_000_000, start + second * 1_000_000_000);
            expected += 1_000_000;
            let (samples, at) = reader.read(&beat);
            assert_eq!(samples, expected);
            assert_eq!(at, start / 1_000 * 1_000 + second * 1_000_000_000);
        }
        assert_eq!(reader.read(&beat).0, expected, "nothing new");
    }
}
