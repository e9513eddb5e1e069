//! How loud a packet says that it is (RFC 6464): a meter for those who decode nothing.

use raccall_wire::rtp::{ONE_BYTE_EXTENSION, Packet};

use crate::frame::{SILENCE_PAYLOAD, energy_db};

/// Of the audio level in the header extension. No SDP negotiates it; browsers and Discord commonly use the same.
const LEVEL_EXTENSION_ID: u8 = 1;

/// Louder is a voice, not a room.
pub const VOICE_DB: f32 = -50.0;

/// Shown for a sender who tells no level, while its packets are more than silence.
const UNTOLD_DB: f32 = -30.0;

/// A needle falls by 40 dB in a second, so that one who looks twice a second sees words, not syllables.
const FALL_DB: f32 = 0.8;

/// One element: 7 bits of -dB, and a bit for voice activity (RFC 6464 section 3).
pub fn level_extension(level_db: f32) -> [u8; 4] {
    let active = u8::from(level_db > VOICE_DB) << 7;
    let below_full_scale = (-level_db).clamp(0.0, 127.0).round() as u8;
    [LEVEL_EXTENSION_ID << 4, active | below_full_scale, 0, 0]
}

/// The level of one Source that is not decoded: up at once, down slowly.
#[derive(Debug)]
pub struct Needle {
    pub level_db: f32,
}

impl Default for Needle {
    fn default() -> Self {
        Self { level_db: energy_db(0.0) }
    }
}

impl Needle {
    /// Takes one packet of 20 ms.
    pub fn take(&mut self, packet: &Packet<'_>) {
        let level_db = told_db(packet).unwrap_or_else(|| guessed_db(packet.payload));
        self.level_db = level_db.max(self.level_db - FALL_DB);
    }
}

/// What the header says. None for a sender that does not tell.
fn told_db(packet: &Packet<'_>) -> Option<f32> {
    let extension = packet.extension.filter(|extension| extension.profile == ONE_BYTE_EXTENSION)?;
    let mut rest = extension.body;
    while let [head, data @ ..] = rest {
        let (id, bytes) = (head >> 4, usize::from(head & 0x0F) + 1);
        match id {
            0 => rest = data, // one byte of padding (RFC 8285 section 4.2)
            LEVEL_EXTENSION_ID => return Some(-f32::from(data.first()? & 0x7F)),
            15 => return None,
            _ => rest = data.get(bytes..)?,
        }
    }
    None
}

fn guessed_db(payload: &[u8]) -> f32 {
    if payload.len() <= 2 || payload == SILENCE_PAYLOAD { energy_db(0.0) } else { UNTOLD_DB }
}

#[cfg(test)]
mod tests {
    use raccall_wire::rtp::Extension;

    use super::*;

    fn packet<'a>(body: Option<&'a [u8]>, payload: &'a [u8]) -> Packet<'a> {
        Packet {
            marker: false,
            payload_type: 120,
            sequence: 0,
            timestamp: 0,
            ssrc: 1,
            csrc: &[],
            extension: body.map(|body| Extension { profile: ONE_BYTE_EXTENSION, body }),
            payload,
            padding_bytes: 0,
        }
    }

    #[test]
    fn a_written_level_is_read_back_also_behind_other_elements() {
        let written = level_extension(-33.4);
        assert_eq!(told_db(&packet(Some(&written), b"")), Some(-33.0));
        assert_eq!(told_db(&packet(Some(&[0, 0x51, 7, 7, 0x10, 0x80 | 12, 0, 0]), b"")), Some(-12.0));
    }

    #[test]
    fn a_header_that_tells_nothing_or_is_cut_tells_nothing() {
        for body in [&[0u8; 4][..], &[0xF0, 0x10, 12, 0], &[0x53, 0x10, 12], &[0x10], &[]] {
            assert_eq!(told_db(&packet(Some(body), b"")), None, "{body:?}");
        }
        assert_eq!(told_db(&packet(None, b"")), None);
    }

    #[test]
    fn who_tells_no_level_is_seen_to_speak_and_to_pause() {
        assert_eq!(guessed_db(&[0x78; 60]), UNTOLD_DB);
        for silence in [&SILENCE_PAYLOAD[..], &[0x78, 0], &[]] {
            assert_eq!(guessed_db(silence), -127.0);
        }
    }

    #[test]
    fn the_needle_rises_at_once_and_falls_slowly() {
        let (loud, silent) = (level_extension(-10.0), level_extension(-127.0));
        let mut needle = Needle::default();
        needle.take(&packet(Some(&loud), b""));
        assert_eq!(needle.level_db, -10.0);
        for _ in 0..25 {
            needle.take(&packet(Some(&silent), b""));
        }
        assert!((needle.level_db + 30.0).abs() < 0.1, "{}", needle.level_db);
    }
}
