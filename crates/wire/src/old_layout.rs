//! What is left to settle in a packet that came by a mode of the old layout: where its Opus begins.
//!
//! There CSRC list, extension preamble and body are all inside the ciphertext, and those who wrote receivers in 2018 to 2021
//! saw an opened packet only: they looked for BE DE and ignored the header's X bit. Both hints are asked here, so that
//! whatever such a receiver could read is read, and the packet that goes on says the truth in its X bit.
//!
//! The extension is cut as a whole: 4 bytes and 4 for each word. The "undocumented byte of Discord", 00 or 02, that
//! receivers of that time skipped behind it was never behind it. They counted *elements* against the number of words and
//! so stopped inside the body; of `BE DE 00 01 | 10 level 90 flags` (RFC 8285 section 4.2: level, speaker flags) exactly the
//! flags remained, 00 for nobody special and 02 for voice. A sender with priority has 03: there they failed.

use crate::rtp::{EXTENSION, EXTENSION_PREAMBLE_BYTES, FIXED_HEADER_BYTES, ONE_BYTE_EXTENSION, is_rtcp, u16_at};

/// Two-byte extensions are 0x1000 to 0x100F (RFC 8285 section 4.3).
const TWO_BYTE_EXTENSION: u16 = 0x1000;
/// Discord's had one to three. So an Opus packet that begins with BE DE (two CELT frames of 20 ms, the first of 222 bytes)
/// is taken for an extension only if its sound begins with 00 and one of these.
const MOST_WORDS_UNTOLD: u16 = 8;

/// Makes the X bit of an opened RTP packet agree with what follows the header. Anything else is left as it is.
pub fn settle_extension(packet: &mut [u8]) {
    if packet.len() < FIXED_HEADER_BYTES || is_rtcp(packet) {
        return;
    }
    let at = FIXED_HEADER_BYTES + 4 * usize::from(packet[0] & 0x0F);
    let told = packet[0] & EXTENSION != 0;
    let stands = packet.get(at..at + EXTENSION_PREAMBLE_BYTES).is_some_and(|preamble| {
        let (profile, words) = (u16_at(preamble, 0), u16_at(preamble, 2));
        if told {
            profile == ONE_BYTE_EXTENSION || profile & 0xFFF0 == TWO_BYTE_EXTENSION
        } else {
            let end = at + EXTENSION_PREAMBLE_BYTES + 4 * usize::from(words);
            profile == ONE_BYTE_EXTENSION && (1..=MOST_WORDS_UNTOLD).contains(&words) && end < packet.len()
        }
    });
    if told != stands {
        packet[0] ^= EXTENSION;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Packet;

    const OPUS: [u8; 4] = [0x78, 1, 2, 3];

    fn settled(first: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = [&[first, 120, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3][..], body].concat();
        settle_extension(&mut packet);
        packet
    }

    fn payload(first: u8, body: &[u8]) -> Vec<u8> {
        Packet::parse(&settled(first, body)).unwrap().payload.to_vec()
    }

    #[test]
    fn an_extension_is_cut_whatever_the_bit_says() {
        for first in [0x80, 0x90] {
            for words in 1..=3 {
                let body = [&[0xBE, 0xDE, 0, words][..], &vec![0x10; 4 * usize::from(words)], &OPUS].concat();
                assert_eq!(payload(first, &body), OPUS, "{first:#x}, {words} words");
            }
        }
        assert_eq!(payload(0x90, &[&[0xBE, 0xDE, 0, 0][..], &OPUS].concat()), OPUS);
        assert_eq!(payload(0x91, &[&[9, 9, 9, 9, 0xBE, 0xDE, 0, 0][..], &OPUS].concat()), OPUS);
    }

    #[test]
    fn a_bit_without_an_extension_cuts_nothing() {
        assert_eq!(payload(0x90, &OPUS), OPUS);
        assert_eq!(payload(0x90, &[0xF8, 0xFF, 0xFE]), [0xF8, 0xFF, 0xFE]);
    }

    #[test]
    fn opus_that_begins_like_an_extension_stays() {
        let sound = [&[0xBE, 0xDE, 0x55, 0x01][..], &[7; 300]].concat();
        assert_eq!(payload(0x80, &sound), sound);
    }

    #[test]
    fn no_byte_is_skipped_behind_the_extension() {
        // Narrow-band speech of 10 ms has the first byte 00, in two frames 02: once taken for Discord's stray byte.
        for toc in [0x00, 0x02] {
            let body = [&[0xBE, 0xDE, 0, 1, 0x10, 0x7F, 0x90, 0x03][..], &[toc, 5, 6]].concat();
            assert_eq!(payload(0x90, &body), [toc, 5, 6]);
        }
    }

    #[test]
    fn other_bytes_are_left_alone() {
        let report = [0x80, 200, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0, 1, 0, 0, 0, 0, 0];
        let mut settled = report;
        settle_extension(&mut settled);
        assert_eq!(settled, report);
        settle_extension(&mut [0x90; 11]);
        settle_extension(&mut []);
        settle_extension(&mut [0x9F; 12]);
    }
}
