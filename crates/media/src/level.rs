//! A meter for those who decode nothing: it shows what packets say of themselves (`raccall_wire::level`).

use raccall_wire::level::{SILENCE_DB, supposed_db};
use raccall_wire::rtp::Packet;

/// A needle falls by 40 dB in a second, so that one who looks twice a second sees words, not syllables.
const FALL_DB: f32 = 0.8;

/// The level of one Source that is not decoded: up at once, down slowly.
#[derive(Debug)]
pub struct Needle {
    pub level_db: f32,
}

impl Default for Needle {
    fn default() -> Self {
        Self { level_db: SILENCE_DB }
    }
}

impl Needle {
    /// Takes one packet of 20 ms.
    pub fn take(&mut self, packet: &Packet<'_>) {
        let level_db = supposed_db(packet);
        self.level_db = level_db.max(self.level_db - FALL_DB);
    }
}

#[cfg(test)]
mod tests {
    use raccall_wire::level;
    use raccall_wire::rtp::{Extension, ONE_BYTE_EXTENSION};

    use super::*;

    fn packet(body: &[u8]) -> Packet<'_> {
        Packet {
            marker: false,
            payload_type: 120,
            sequence: 0,
            timestamp: 0,
            ssrc: 1,
            csrc: &[],
            extension: Some(Extension { profile: ONE_BYTE_EXTENSION, body }),
            payload: b"",
            padding_bytes: 0,
        }
    }

    #[test]
    fn the_needle_rises_at_once_and_falls_slowly() {
        let (loud, silent) = (level::write(-10.0), level::write(-127.0));
        let mut needle = Needle::default();
        needle.take(&packet(&loud));
        assert_eq!(needle.level_db, -10.0);
        for _ in 0..25 {
            needle.take(&packet(&silent));
        }
        assert!((needle.level_db + 30.0).abs() < 0.1, "{}", needle.level_db);
    }
}
