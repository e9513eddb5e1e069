//! The layout of an encrypted audio frame (DAVE protocol, "Protocol frame").
//!
//! ```text
//! ciphertext | tag 8 | nonce ULEB128 | size of all but the ciphertext 1 | FA FA
//! ```
//!
//! Between nonce and size other codecs list ranges that stay in clear. Opus has none, so a frame that lists some is refused.

use crate::keys::{SECRET_BYTES, Secret};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// A frame of silence, which a server may put in: passes unencrypted, and is trusted no more than that.
pub const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];

/// By so much a frame grows at most: tag, five bytes of nonce, size, marker.
pub const OVERHEAD_BYTES: usize = TAG_BYTES + 5 + 1 + MARKER.len();

const MARKER: [u8; 2] = [0xFA, 0xFA];
const TAG_BYTES: usize = 8;
/// Tag, an empty nonce, size, marker.
const LEAST_SUPPLEMENT_BYTES: usize = TAG_BYTES + 1 + MARKER.len();

/// The top byte of a nonce is the generation of the key.
const GENERATION_SHIFT: u32 = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub ciphertext: &'a [u8],
    pub tag: [u8; TAG_BYTES],
    pub nonce: u32,
}

impl<'a> Frame<'a> {
    /// None: these bytes are no encrypted frame.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (rest, [size, marker @ ..]) = bytes.split_last_chunk::<3>()?;
        let supplement_bytes = usize::from(*size);
        if *marker != MARKER || supplement_bytes < LEAST_SUPPLEMENT_BYTES {
            return None;
        }
        let (ciphertext, supplement) = rest.split_at_checked(bytes.len().checked_sub(supplement_bytes)?)?;
        let (tag, nonce) = supplement.split_first_chunk()?;
        Some(Self { ciphertext, tag: *tag, nonce: read_nonce(nonce)? })
    }

    pub fn generation(&self) -> u32 {
        generation_of(self.nonce)
    }
}

pub fn generation_of(nonce: u32) -> u32 {
    nonce >> GENERATION_SHIFT
}

/// An AES-128 key of one generation.
pub struct FrameKey(LessSafeKey);

impl FrameKey {
    pub fn new(key: &Secret) -> Self {
        const { assert!(SECRET_BYTES == 16) };
        Self(LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).expect("16 bytes")))
    }

    /// Appends the encrypted frame to `out`.
    pub fn encrypt(&self, payload: &[u8], nonce: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(payload);
        let tag = self.seal(nonce, &mut out[start..]);
        let supplement = out.len();
        out.extend_from_slice(&tag);
        write_nonce(nonce, out);
        let size = out.len() - supplement + 1 + MARKER.len();
        out.push(u8::try_from(size).expect("16 bytes at most"));
        out.extend_from_slice(&MARKER);
    }

    /// Puts the payload into `out`. False, and nothing that may be used, if this key did not make the frame.
    ///
    /// No library opens tags of 8 bytes. But what GCM encrypts with does not depend on the text, so encrypting the ciphertext gives the
    /// plaintext, and encrypting that gives the ciphertext again with its whole tag, whose beginning must be the frame's.
    pub fn decrypt(&self, frame: &Frame<'_>, out: &mut Vec<u8>, scratch: &mut Vec<u8>) -> bool {
        out.clear();
        out.extend_from_slice(frame.ciphertext);
        self.seal(frame.nonce, out);
        scratch.clear();
        scratch.extend_from_slice(out);
        let tag = self.seal(frame.nonce, scratch);
        let differing = tag.iter().zip(frame.tag).fold(0, |bits, (ours, theirs)| bits | (ours ^ theirs));
        std::hint::black_box(differing) == 0
    }

    fn seal(&self, nonce: u32, in_out: &mut [u8]) -> [u8; TAG_BYTES] {
        let mut full = [0; NONCE_LEN];
        full[NONCE_LEN - 4..].copy_from_slice(&nonce.to_le_bytes());
        let nonce = Nonce::assume_unique_for_key(full);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::empty(), in_out).expect("a frame is short");
        *tag.as_ref().first_chunk().expect("a tag of GCM has 16 bytes")
    }
}

/// Of ULEB128, all of `bytes`.
fn read_nonce(bytes: &[u8]) -> Option<u32> {
    let (last, before) = bytes.split_last()?;
    if bytes.len() > 5 || last & 0x80 != 0 || before.iter().any(|byte| byte & 0x80 == 0) {
        return None;
    }
    let value = bytes.iter().rev().fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7F));
    u32::try_from(value).ok()
}

fn write_nonce(mut nonce: u32, out: &mut Vec<u8>) {
    while nonce >= 0x80 {
        out.push(0x80 | nonce as u8);
        nonce >>= 7;
    }
    out.push(nonce as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: Secret = [7; 16];

    fn encrypted(payload: &[u8], nonce: u32) -> Vec<u8> {
        let mut out = Vec::new();
        FrameKey::new(&KEY).encrypt(payload, nonce, &mut out);
        out
    }

    fn decrypted(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let frame = Frame::parse(bytes)?;
        FrameKey::new(&KEY).decrypt(&frame, &mut out, &mut Vec::new()).then_some(out)
    }

    #[test]
    fn ranges_in_clear_are_refused() {
        let mut frame = encrypted(b"payload", 1);
        assert!(Frame::parse(&frame).is_some());
        let end = frame.len();
        frame.splice(end - 3..end, [0, 2, frame[end - 3] + 2, 0xFA, 0xFA]);
        assert_eq!(Frame::parse(&frame), None);
    }

    #[test]
    fn padding_hides_the_marker() {
        let mut frame = encrypted(b"payload", 1);
        frame.extend_from_slice(&[0, 2]);
        assert_eq!(Frame::parse(&frame), None, "it has to be cut before");
    }

    proptest! {
        #[test]
        fn what_was_encrypted_comes_back_and_nothing_else(
            payload in proptest::collection::vec(any::<u8>(), 0..1300),
            nonce: u32,
            place: proptest::sample::Index,
            bit in 0..8,
        ) {
            let frame = encrypted(&payload, nonce);
            prop_assert!(frame.len() <= payload.len() + OVERHEAD_BYTES);
            prop_assert_eq!(decrypted(&frame), Some(payload));
            let mut broken = frame.clone();
            broken[place.index(frame.len())] ^= 1u8 << bit;
            prop_assert_eq!(decrypted(&broken), None);
        }

        #[test]
        fn any_bytes_are_a_frame_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64), size: u8) {
            let mut marked = bytes.clone();
            marked.extend_from_slice(&[size, 0xFA, 0xFA]);
            for bytes in [bytes, marked] {
                prop_assert_eq!(decrypted(&bytes), None);
            }
        }
    }
}
