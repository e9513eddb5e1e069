//! How loud a packet says that it is (RFC 6464): what those go by who decode nothing. It is the sender's claim.

use crate::rtp::{ONE_BYTE_EXTENSION, Packet};

/// Of the audio level in the header extension. No SDP negotiates it; browsers and Discord commonly use the same.
const LEVEL_EXTENSION_ID: u8 = 1;
/// Reserved: a parser must stop there (RFC 8285 section 4.2).
const STOP_ID: u8 = 15;

/// Louder is a voice, not a room.
pub const VOICE_DB: f32 = -50.0;
/// Assumed of a sender who tells no level, while its packets are more than silence.
pub const UNTOLD_DB: f32 = -30.0;
/// The quietest that can be told: silence.
pub const SILENCE_DB: f32 = -127.0;
/// An Opus packet that decodes to 20 ms of silence; says "the talker pauses" (Discord's voice documentation).
pub const SILENCE_PAYLOAD: [u8; 3] = [0xF8, 0xFF, 0xFE];
/// Up to this size a payload says "no new sound": TOC only, or with one byte (libopus, DTX).
pub const MOST_DTX_BYTES: usize = 2;

/// The body of a one-byte header extension: 7 bits of -dB, and a bit for voice activity (RFC 6464 section 3).
pub fn write(level_db: f32) -> [u8; 4] {
    let active = u8::from(level_db > VOICE_DB) << 7;
    let below_full_scale = (-level_db).clamp(0.0, -SILENCE_DB).round() as u8;
    [LEVEL_EXTENSION_ID << 4, active | below_full_scale, 0, 0]
}

/// What the header says, -127 to 0 dB. None for a sender that does not tell.
pub fn told_db(packet: &Packet<'_>) -> Option<f32> {
    let extension = packet.extension.filter(|extension| extension.profile == ONE_BYTE_EXTENSION)?;
    let mut rest = extension.body;
    while let [head, data @ ..] = rest {
        let (id, bytes) = (head >> 4, usize::from(head & 0x0F) + 1);
        match id {
            0 => rest = data, // one byte of padding (RFC 8285 section 4.2)
            LEVEL_EXTENSION_ID => return Some(-f32::from(data.first()? & 0x7F)),
            STOP_ID => return None,
            _ => rest = data.get(bytes..)?,
        }
    }
    None
}

/// What the header says, else what the payload's length lets suppose.
pub fn supposed_db(packet: &Packet<'_>) -> f32 {
    told_db(packet).unwrap_or_else(|| {
        if packet.payload.len() <= MOST_DTX_BYTES || packet.payload == SILENCE_PAYLOAD { SILENCE_DB } else { UNTOLD_DB }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Extension;

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
        let written = write(-33.4);
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
        assert_eq!(supposed_db(&packet(None, &[0x78; 60])), UNTOLD_DB);
        for silence in [&SILENCE_PAYLOAD[..], &[0x78, 0], &[]] {
            assert_eq!(supposed_db(&packet(None, silence)), SILENCE_DB);
        }
    }
}
