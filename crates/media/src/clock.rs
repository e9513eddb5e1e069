//! Media time out of a sender's timestamps, which may be wrong.
//!
//! A timestamp that goes on with the numbers is believed, pauses included. One that stands still, goes back, or runs ahead of real time by
//! seconds is not the time of what was said: then the packet is taken to follow its predecessor, and later ones are shifted alike.

use raccall_wire::Nanos;

use crate::frame::{NANOS_PER_MS, SHORTEST_PACKET_SAMPLES, nanos};

/// A sender that pauses sends nothing; timestamps may not advance further than the time that has passed, but for jitter.
const AHEAD_NANOS: i64 = 3_000 * NANOS_PER_MS;

#[derive(Debug, Default)]
pub struct SenderClock {
    newest: Option<Newest>,
    shift: i64,
}

#[derive(Debug)]
struct Newest {
    sequence: u64,
    media: u64,
    samples: u64,
    arrival: Nanos,
}

impl SenderClock {
    /// The media time of a packet of `samples` that arrived at `now`. Numbers without wraps.
    pub fn media(&mut self, sequence: u64, timestamp: u64, samples: u64, now: Nanos) -> u64 {
        let mut media = timestamp.wrapping_add_signed(self.shift);
        if let Some(newest) = &self.newest {
            if sequence <= newest.sequence {
                return media;
            }
            let packets = sequence - newest.sequence;
            let advance = media as i64 - newest.media as i64;
            let passed = now.saturating_sub(newest.arrival) as i64;
            let stands = advance < packets.saturating_mul(SHORTEST_PACKET_SAMPLES as u64) as i64;
            let expected = packets.saturating_mul(newest.samples) as i64;
            let runs_ahead = nanos(advance - expected.min(advance)) > passed.saturating_add(AHEAD_NANOS);
            if stands || runs_ahead {
                let follows = newest.media.wrapping_add_signed(expected);
                self.shift = self.shift.wrapping_add(follows.wrapping_sub(media) as i64);
                media = follows;
            }
        }
        self.newest = Some(Newest { sequence, media, samples, arrival: now });
        media
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = NANOS_PER_MS as u64;

    fn media(stamps: &[(u64, u64)]) -> Vec<u64> {
        let mut clock = SenderClock::default();
        stamps.iter().map(|&(sequence, stamp)| clock.media(sequence, stamp, 960, sequence * 20 * MS)).collect()
    }

    #[test]
    fn what_goes_on_is_believed_with_losses_and_overtaking() {
        assert_eq!(media(&[(0, 5000), (1, 5960), (5, 9800), (3, 7880)]), [5000, 5960, 9800, 7880]);
    }

    #[test]
    fn a_frozen_or_restarted_clock_is_replaced_by_the_numbers() {
        assert_eq!(media(&[(0, 5000), (1, 5000), (2, 5000), (4, 5000)]), [5000, 5960, 6920, 8840]);
        assert_eq!(media(&[(0, 1 << 33), (1, 0), (2, 960)]), [1 << 33, (1 << 33) + 960, (1 << 33) + 1920]);
    }

    #[test]
    fn a_pause_is_believed_and_a_leap_is_not() {
        let mut clock = SenderClock::default();
        clock.media(0, 0, 960, 0);
        assert_eq!(clock.media(1, 480_000, 960, 10_000 * MS), 480_000, "ten seconds of pause");
        assert_eq!(clock.media(2, 4_800_000, 960, 10_020 * MS), 480_960, "ninety seconds in twenty milliseconds");
        assert_eq!(clock.media(3, 4_800_960, 960, 10_040 * MS), 481_920);
    }
}
