//! When the next packet should come: the sender's rhythm, as its packets have shown it until now.
//!
//! A sender with discontinuous transmission (DTX) tells of a pause by a payload of at most two bytes, then sends a lone packet of its room each
//! 400 ms, followed by the same. The second packet of such a pair may get lost, so the first is taken for all that comes, until another
//! says otherwise.

use raccall_wire::Nanos;

use crate::frame::{MOST_DTX_BYTES, NANOS_PER_MS, SILENCE_PAYLOAD, nanos};

/// A sender that rests sends every 400 ms; two of those packets may get lost. After that it is gone.
const REST_LIFE_NANOS: u64 = 1_250 * NANOS_PER_MS as u64;

/// A packet is overdue when the last one came by its length and this ago.
const GRACE_NANOS: u64 = 5 * NANOS_PER_MS as u64;

#[derive(Debug, Default)]
pub struct Rhythm {
    last_arrival: Nanos,
    /// Of the packet that was played last.
    packet_samples: u64,
    ends_in_silence: bool,
    /// The sender pauses, but for packets that tell how its room sounds.
    rests: bool,
}

impl Rhythm {
    pub fn arrive(&mut self, now: Nanos) {
        self.last_arrival = now;
    }

    /// A packet is played; `begins`: nothing was, before it.
    pub fn play(&mut self, payload: &[u8], samples: u64, begins: bool) {
        let is_silence = payload == SILENCE_PAYLOAD;
        let breaks_rest = self.rests && begins;
        self.rests = payload.len() <= MOST_DTX_BYTES || (breaks_rest && !is_silence);
        self.ends_in_silence = self.rests || is_silence;
        self.packet_samples = samples;
    }

    /// Whether what was played last said that nothing follows.
    pub fn ends_in_silence(&self) -> bool {
        self.ends_in_silence
    }

    /// Whether nothing comes because the sender has said so, while its room is still to be heard.
    pub fn is_resting(&self, now: Nanos) -> bool {
        self.rests && !self.has_stopped_for(REST_LIFE_NANOS, now)
    }

    /// Whether no packet has come for longer than `time`.
    pub fn has_stopped_for(&self, time: Nanos, now: Nanos) -> bool {
        now.saturating_sub(self.last_arrival) > time
    }

    /// Whether the next packet has been due for longer than jitter and `more`.
    pub fn is_overdue_by(&self, more: Nanos, now: Nanos) -> bool {
        let length = nanos(self.packet_samples as i64) as u64;
        !self.ends_in_silence && now > self.last_arrival + length + GRACE_NANOS + more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;
    const ROOM: &[u8] = &[0x78; 20];
    const DTX: &[u8] = &[0x78];

    #[test]
    fn a_packet_is_due_its_length_after_the_last_unless_that_said_silence() {
        let mut rhythm = Rhythm::default();
        rhythm.arrive(1_000 * MS);
        rhythm.play(ROOM, 960, true);
        assert!(!rhythm.is_overdue_by(0, 1_025 * MS) && rhythm.is_overdue_by(0, 1_026 * MS));
        assert!(!rhythm.is_overdue_by(15 * MS, 1_040 * MS) && rhythm.is_overdue_by(15 * MS, 1_041 * MS));
        rhythm.play(&SILENCE_PAYLOAD, 960, false);
        assert!(!rhythm.is_overdue_by(0, 9_000 * MS) && !rhythm.is_resting(1_020 * MS));
    }

    #[test]
    fn a_resting_sender_goes_on_resting_after_a_packet_of_its_room() {
        let mut rhythm = Rhythm::default();
        rhythm.arrive(1_000 * MS);
        rhythm.play(DTX, 960, false);
        rhythm.play(ROOM, 960, true);
        assert!(rhythm.is_resting(2_250 * MS) && !rhythm.is_resting(2_251 * MS));
        rhythm.play(ROOM, 960, false);
        assert!(!rhythm.is_resting(1_020 * MS), "it goes on talking");
    }
}
