//! Seal and open whole packets. What is encrypted and where tag and nonce stand is decided here and nowhere else.
//!
//! ```text
//! AEAD           clear | ciphertext | tag 16 | nonce 4         clear is authenticated
//! XSalsa20       clear | tag 16 | ciphertext | nonce 0, 24, 4  clear is NOT authenticated (that is how it was in 2021)
//! ```
//! A 4 byte nonce is the beginning of the full one, the rest is zero (12 bytes AES-GCM, 24 XChaCha20 and XSalsa20).
//!
//! Why ring (`cd bench/aead && cargo run --release`; 2 cores of a Xeon with AES and AVX2, 2026-11-21; ns to seal and open
//! 120 bytes, one context per key):
//! ```text
//! AES-256-GCM  ring 0.17            104    90    builds in  6 s
//! AES-256-GCM  aws-lc-rs 1.19        89    83    builds in 30 s
//! AES-256-GCM  aes-gcm 0.10         166   179
//! XChaCha20    chacha20poly1305    1544  1520
//! XChaCha20    HChaCha20 + ring     286   291
//! ```
//! The 15 ns that aws-lc-rs saves are a sixtieth of one sendto (0.9 us there, to loopback) and not worth five times the
//! build. XChaCha20 is what discord.py speaks, so a relay seals with it for every such listener: hence ring's ChaCha20
//! below the HChaCha20 step of its definition.

use chacha20::cipher::consts::U10;
use crypto_secretbox::XSalsa20Poly1305;
use crypto_secretbox::aead::{AeadInPlace, KeyInit};
use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;

use super::Mode;
use crate::rtp;

pub(super) const TAG_BYTES: usize = 16;
const WIRE_NONCE_BYTES: usize = 4;

/// Why a packet was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SealError {
    /// Not RTP or RTCP, or shorter than its header.
    Malformed,
    /// RTCP in `xsalsa20_poly1305`: the nonce would be the header, and every report has the same one.
    NonceWouldRepeat,
    /// The output slice is shorter than the datagram.
    NoRoom,
}

/// Why a datagram was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenError {
    /// Shorter than header, tag and nonce.
    TooShort,
    /// Neither RTP nor RTCP.
    Malformed,
    /// Wrong key, or changed on the way.
    BadSeal,
    /// The output slice is shorter than the datagram.
    NoRoom,
}

impl SealError {
    /// Stable, for programs and counters.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NonceWouldRepeat => "nonce_would_repeat",
            Self::NoRoom => "no_room",
        }
    }
}

impl OpenError {
    /// Stable, for programs and counters.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::Malformed => "malformed",
            Self::BadSeal => "bad_seal",
            Self::NoRoom => "no_room",
        }
    }
}

impl std::fmt::Display for SealError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a whole RTP or RTCP packet",
            Self::NonceWouldRepeat => "this mode cannot seal RTCP without repeating a nonce",
            Self::NoRoom => "the output is shorter than the datagram",
        })
    }
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooShort => "shorter than header, tag and nonce",
            Self::Malformed => "neither RTP nor RTCP",
            Self::BadSeal => "the seal does not fit: wrong key, or changed on the way",
            Self::NoRoom => "the output is shorter than the datagram",
        })
    }
}

impl std::error::Error for SealError {}
impl std::error::Error for OpenError {}

/// One key in one mode, expanded once. Immutable: threads may share it.
pub struct Cipher {
    mode: Mode,
    key: Key,
}

// Not boxed: nearly every cipher is the large one, and a pointer more would be a cache miss per packet.
#[allow(clippy::large_enum_variant)]
enum Key {
    Aes256Gcm(LessSafeKey),
    /// Nothing can be expanded beforehand: each nonce has its own subkey.
    XChaCha20Poly1305([u8; 32]),
    XSalsa20Poly1305 {
        secretbox: XSalsa20Poly1305,
        nonces: hmac::Key,
    },
}

impl Cipher {
    pub fn new(mode: Mode, key: &[u8; 32]) -> Self {
        let key = match mode {
            Mode::Aes256GcmRtpSize | Mode::Aes256Gcm => Key::Aes256Gcm(expand(&AES_256_GCM, key)),
            Mode::XChaCha20Poly1305RtpSize => Key::XChaCha20Poly1305(*key),
            _ => Key::XSalsa20Poly1305 {
                secretbox: XSalsa20Poly1305::new(key.into()),
                nonces: hmac::Key::new(hmac::HMAC_SHA256, key),
            },
        };
        Self { mode, key }
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Seals a whole plain RTP or RTCP packet and appends the datagram to `out`, which is unchanged on failure.
    ///
    /// `nonce` must never repeat for a key: take it from `ClientNonces` or `RelayNonces`. `xsalsa20_poly1305` does not use it.
    pub fn seal(&self, packet: &[u8], nonce: [u8; 4], out: &mut Vec<u8>) -> Result<(), SealError> {
        let start = out.len();
        out.resize(start + packet.len() + self.mode.overhead_bytes(), 0);
        let sealed = self.seal_to(packet, nonce, &mut out[start..]);
        if sealed.is_err() {
            out.truncate(start);
        }
        sealed.map(drop)
    }

    /// As `seal`, into a slice. Returns the datagram's length: the packet's plus `Mode::overhead_bytes`.
    pub fn seal_to(&self, packet: &[u8], nonce: [u8; 4], out: &mut [u8]) -> Result<usize, SealError> {
        let clear = self.mode.clear_bytes(packet).ok_or(SealError::Malformed)?;
        if self.mode == Mode::XSalsa20Poly1305 && rtp::is_rtcp(packet) {
            return Err(SealError::NonceWouldRepeat);
        }
        let total = packet.len() + self.mode.overhead_bytes();
        let out = out.get_mut(..total).ok_or(SealError::NoRoom)?;
        let (header, rest) = out.split_at_mut(clear);
        header.copy_from_slice(&packet[..clear]);
        let plain = &packet[clear..];
        let (sealed, wire_nonce) = rest.split_at_mut(TAG_BYTES + plain.len());
        match &self.key {
            Key::Aes256Gcm(key) => seal_aead(key, short_nonce(&nonce), header, plain, sealed),
            Key::XChaCha20Poly1305(key) => seal_aead(&subkey(key, &nonce), short_nonce(&[]), header, plain, sealed),
            Key::XSalsa20Poly1305 { secretbox, nonces } => {
                let full = match self.mode {
                    Mode::XSalsa20Poly1305 => start_with(header),
                    Mode::XSalsa20Poly1305Suffix => unpredictable(nonces, nonce, packet),
                    _ => start_with(&nonce),
                };
                let (tag, body) = sealed.split_at_mut(TAG_BYTES);
                body.copy_from_slice(plain);
                let made = secretbox.encrypt_in_place_detached(&full.into(), &[], body);
                tag.copy_from_slice(&made.expect("less than gigabytes"));
                wire_nonce.copy_from_slice(&full[..wire_nonce.len()]);
                return Ok(total);
            }
        }
        wire_nonce.copy_from_slice(&nonce);
        Ok(total)
    }

    /// Opens a datagram and appends the plain packet to `out`: exactly the bytes that were sealed, extension and padding
    /// still in place. `out` is unchanged on failure.
    pub fn open(&self, datagram: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        let start = out.len();
        out.resize(start + datagram.len(), 0);
        let opened = self.open_to(datagram, &mut out[start..]);
        out.truncate(start + opened.unwrap_or(0));
        opened.map(drop)
    }

    /// As `open`, into a slice at least as long as the datagram, whose contents are undefined on failure. Returns the
    /// packet's length.
    pub fn open_to(&self, datagram: &[u8], out: &mut [u8]) -> Result<usize, OpenError> {
        let overhead = self.mode.overhead_bytes();
        let clear = match self.mode.clear_bytes(datagram) {
            Some(clear) if datagram.len() >= clear + overhead => clear,
            _ if datagram.first().is_some_and(|first| first >> 6 != 2) => return Err(OpenError::Malformed),
            _ => return Err(OpenError::TooShort),
        };
        let out = out.get_mut(..datagram.len()).ok_or(OpenError::NoRoom)?;
        let total = datagram.len() - overhead;
        let (sealed, wire_nonce) = datagram[clear..].split_at(total - clear + TAG_BYTES);
        let (header, rest) = out.split_at_mut(clear);
        header.copy_from_slice(&datagram[..clear]);
        match &self.key {
            Key::Aes256Gcm(key) => {
                open_aead(key, short_nonce(wire_nonce), header, sealed, rest)?;
            }
            Key::XChaCha20Poly1305(key) => {
                open_aead(&subkey(key, wire_nonce), short_nonce(&[]), header, sealed, rest)?;
            }
            Key::XSalsa20Poly1305 { secretbox, .. } => {
                let nonce = if wire_nonce.is_empty() { start_with(header) } else { start_with(wire_nonce) };
                let (tag, ciphertext) = sealed.split_at(TAG_BYTES);
                let body = &mut rest[..ciphertext.len()];
                body.copy_from_slice(ciphertext);
                secretbox
                    .decrypt_in_place_detached(&nonce.into(), &[], body, tag.into())
                    .map_err(|_| OpenError::BadSeal)?;
            }
        }
        Ok(total)
    }

    /// The 4 byte counter at a datagram's end, to be judged by `is_relay_nonce`; `None` in a mode that carries none.
    pub fn wire_nonce(&self, datagram: &[u8]) -> Option<[u8; 4]> {
        if self.mode.nonce_bytes() != WIRE_NONCE_BYTES {
            return None;
        }
        datagram.last_chunk().copied()
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cipher").field("mode", &self.mode).finish_non_exhaustive() // never the key
    }
}

fn expand(algorithm: &'static Algorithm, key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(algorithm, key).expect("a key of 32 bytes"))
}

/// XChaCha20-Poly1305 is ChaCha20-Poly1305 with a key made by HChaCha20 from the first 16 bytes of the nonce; the other 8,
/// behind 4 zeros, are the inner nonce (draft-irtf-cfrg-xchacha-03, section 2). Ours are all zero.
fn subkey(key: &[u8; 32], wire_nonce: &[u8]) -> LessSafeKey {
    let mut first_16 = [0; 16];
    first_16[..wire_nonce.len()].copy_from_slice(wire_nonce);
    expand(&CHACHA20_POLY1305, &chacha20::hchacha::<U10>(key.into(), &first_16.into()).into())
}

fn short_nonce(wire: &[u8]) -> Nonce {
    let mut full = [0; 12];
    full[..wire.len()].copy_from_slice(wire);
    Nonce::assume_unique_for_key(full)
}

fn seal_aead(key: &LessSafeKey, nonce: Nonce, header: &[u8], plain: &[u8], sealed: &mut [u8]) {
    let (body, tag) = sealed.split_at_mut(plain.len());
    body.copy_from_slice(plain);
    let made = key.seal_in_place_separate_tag(nonce, Aad::from(header), body);
    tag.copy_from_slice(made.expect("less than gigabytes").as_ref());
}

fn open_aead(key: &LessSafeKey, nonce: Nonce, header: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), OpenError> {
    let body = &mut out[..sealed.len()];
    body.copy_from_slice(sealed);
    key.open_in_place(nonce, Aad::from(header), body).map(drop).map_err(|_| OpenError::BadSeal)
}

/// A full nonce of 24 bytes: these first, then zeros.
fn start_with(bytes: &[u8]) -> [u8; 24] {
    let mut full = [0; 24];
    full[..bytes.len()].copy_from_slice(bytes);
    full
}

/// The `_suffix` mode wants 24 random bytes. They are a keyed hash of counter and packet instead: as unpredictable to a
/// stranger, never repeated even by a counter that is, and no source of randomness in a core.
fn unpredictable(key: &hmac::Key, counter: [u8; 4], packet: &[u8]) -> [u8; 24] {
    let mut context = hmac::Context::with_key(key);
    context.update(&counter);
    context.update(packet);
    let digest = context.sign();
    *digest.as_ref().first_chunk().expect("SHA-256 gives 32 bytes")
}
