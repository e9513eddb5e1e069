//! A session's key, and its change in mid-call without a lost packet.
//!
//! One key serves both directions, and each direction has its own space of nonces (`raccall_wire::transport`). Before one
//! of them ends the session wants a new key, and the control plane gives it one:
//! ```text
//! wanted ─▶ replace: both keys open, the old one seals ─▶ a datagram under the new one ─▶ the new one seals
//!                                                                        the old one opens for GRACE_NS more
//! ```
//! So it does not matter when the client learns of it. Only when the old key can no longer seal does the new one at once.

use raccall_wire::Nanos;
use raccall_wire::transport::{Cipher, Mode, OpenError, RelayNonces, is_relay_nonce};

use crate::Share;

/// What was sent under the old key before the client knew the new one is not under way for longer.
const GRACE_NS: Nanos = 5_000_000_000;
/// A client has twice the nonces that the relay has.
const CLIENT_SHARE: u64 = 2;

pub(crate) struct Keys {
    cipher: Cipher,
    key: [u8; 32],
    nonces: RelayNonces,
    share: Share,
    /// Datagrams opened under this key: each took a nonce of the client's.
    opened: u64,
    /// A nonce of the relay's came from the client. The next one might repeat.
    met: bool,
    other: Other,
}

enum Other {
    None,
    /// Told to the client, not yet used by it.
    Next(Box<Key>),
    /// Opens what is still under way, until then; None: its time begins when it is first needed.
    Former(Box<Cipher>, Option<Nanos>),
}

struct Key {
    cipher: Cipher,
    bytes: [u8; 32],
}

impl Keys {
    pub(crate) fn new(mode: Mode, key: &[u8; 32], share: Share) -> Self {
        Self {
            cipher: Cipher::new(mode, key),
            key: *key,
            nonces: share.nonces(),
            share,
            opened: 0,
            met: false,
            other: Other::None,
        }
    }

    /// A new key or mode. Nonces begin anew only with a new key: told twice, the same key must not repeat one.
    ///
    /// `in_use`: media flows under the key so far. Else the client does not have it yet, and nothing is kept of it.
    pub(crate) fn replace(&mut self, mode: Mode, key: &[u8; 32], in_use: bool) {
        let cipher = Cipher::new(mode, key);
        if self.key == *key {
            self.cipher = cipher;
            return;
        }
        if matches!(&self.other, Other::Next(next) if next.bytes == *key) {
            return;
        }
        self.other = Other::Next(Box::new(Key { cipher, bytes: *key }));
        if !in_use {
            self.switch();
            self.other = Other::None;
        } else if self.met || self.nonces.is_empty() {
            self.switch();
        }
    }

    /// Whether the control plane is to make a new key. Nine tenths of a space are used, or the spaces have met.
    pub(crate) fn wanted(&self) -> bool {
        let clients = u64::from(self.share.nonces) * CLIENT_SHARE / 10 * 9;
        !self.changing() && (self.met || self.nonces.is_scarce() || self.opened >= clients)
    }

    /// Whether a new key waits for its first use by the client.
    pub(crate) fn changing(&self) -> bool {
        matches!(self.other, Other::Next(_))
    }

    pub(crate) fn open_to(&mut self, now: Nanos, datagram: &[u8], out: &mut [u8]) -> Result<usize, OpenError> {
        match self.cipher.open_to(datagram, out) {
            Ok(length) => {
                self.opened += 1;
                self.met |= self.cipher.wire_nonce(datagram).is_some_and(is_relay_nonce);
                Ok(length)
            }
            Err(OpenError::BadSeal) if !matches!(self.other, Other::None) => self.open_other(now, datagram, out),
            Err(error) => Err(error),
        }
    }

    /// The next nonce to seal with. `None`: there is none that is safe.
    pub(crate) fn next_nonce(&mut self) -> Option<[u8; 4]> {
        if self.met { None } else { self.nonces.next() }
    }

    pub(crate) fn cipher(&self) -> &Cipher {
        &self.cipher
    }

    #[cold]
    fn open_other(&mut self, now: Nanos, datagram: &[u8], out: &mut [u8]) -> Result<usize, OpenError> {
        let length = match &mut self.other {
            Other::None => return Err(OpenError::BadSeal),
            Other::Next(next) => {
                let length = next.cipher.open_to(datagram, out)?;
                self.switch();
                length
            }
            Other::Former(former, until) => {
                if now >= *until.get_or_insert(now + GRACE_NS) {
                    self.other = Other::None;
                    return Err(OpenError::BadSeal);
                }
                return former.open_to(datagram, out);
            }
        };
        self.opened = 1;
        self.met = self.cipher.wire_nonce(datagram).is_some_and(is_relay_nonce);
        Ok(length)
    }

    /// The next key becomes the key.
    fn switch(&mut self) {
        if let Other::Next(next) = std::mem::replace(&mut self.other, Other::None) {
            let former = std::mem::replace(&mut self.cipher, next.cipher);
            self.key = next.bytes;
            self.nonces = self.share.nonces();
            self.opened = 0;
            self.met = false;
            self.other = Other::Former(Box::new(former), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: Mode = Mode::Aes256GcmRtpSize;
    const PACKET: [u8; 15] = [0x80, 120, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3];

    fn keys(nonces: u32) -> Keys {
        Keys::new(MODE, &[1; 32], Share { nonces, ..Share::default() })
    }

    fn sealed(key: u8, nonce: [u8; 4]) -> Vec<u8> {
        let mut datagram = Vec::new();
        Cipher::new(MODE, &[key; 32]).seal(&PACKET, nonce, &mut datagram).unwrap();
        datagram
    }

    fn opens(keys: &mut Keys, now: Nanos, key: u8) -> bool {
        keys.open_to(now, &sealed(key, [0, 0, 0, 1]), &mut [0; 100]).is_ok()
    }

    fn seals_with(keys: &mut Keys, key: u8) -> bool {
        let (mut datagram, nonce) = (Vec::new(), keys.next_nonce().unwrap());
        keys.cipher().seal(&PACKET, nonce, &mut datagram).unwrap();
        Cipher::new(MODE, &[key; 32]).open(&datagram, &mut Vec::new()).is_ok()
    }

    #[test]
    fn both_keys_open_and_the_client_decides_when_the_new_one_seals() {
        let mut keys = keys(100);
        keys.replace(MODE, &[2; 32], true);
        assert!(keys.changing() && !keys.wanted());
        assert!(opens(&mut keys, 0, 1) && seals_with(&mut keys, 1));
        assert!(opens(&mut keys, 0, 2) && seals_with(&mut keys, 2));
        assert!(!keys.changing());
        assert!(opens(&mut keys, 1, 1), "what was under way is heard");
        assert!(opens(&mut keys, GRACE_NS, 1) && !opens(&mut keys, GRACE_NS + 1, 1), "but not for ever");
        assert!(opens(&mut keys, GRACE_NS + 2, 2) && !opens(&mut keys, GRACE_NS + 2, 3));
    }

    #[test]
    fn a_tenth_of_the_nonces_is_left_for_the_change_of_the_key() {
        let mut keys = keys(1000);
        let first_wanted = (0..1000).find(|_| keys.next_nonce().is_none() || keys.wanted());
        assert_eq!(first_wanted, Some(899));
        assert_eq!((0..1000).filter(|_| keys.next_nonce().is_some()).count(), 100);
        keys.replace(MODE, &[2; 32], true); // too late: the old key has none left
        assert!(!keys.changing() && !keys.wanted() && seals_with(&mut keys, 2));
        assert!(opens(&mut keys, 0, 1));
    }

    #[test]
    fn a_client_that_has_sent_nine_tenths_wants_a_new_key() {
        let mut keys = keys(50);
        let sent = (1..200).find(|_| opens(&mut keys, 0, 1) && keys.wanted());
        assert_eq!(sent, Some(90));
    }

    #[test]
    fn a_nonce_of_the_relay_from_the_client_ends_sealing_at_once() {
        let mut keys = keys(1000);
        keys.open_to(0, &sealed(1, [0x80, 0, 0, 0x80]), &mut [0; 100]).unwrap();
        assert!(keys.wanted() && keys.next_nonce().is_none());
        keys.replace(MODE, &[2; 32], true);
        assert!(seals_with(&mut keys, 2) && opens(&mut keys, 0, 1) && !keys.wanted());
    }

    #[test]
    fn the_same_key_again_repeats_no_nonce() {
        let mut keys = keys(1000);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10 {
            keys.replace(MODE, &[1; 32], true);
            assert!(seen.insert(keys.next_nonce().unwrap()));
        }
        keys.replace(MODE, &[2; 32], true);
        keys.replace(MODE, &[2; 32], true);
        assert!(opens(&mut keys, 0, 2));
    }

    #[test]
    fn before_media_flows_nothing_is_kept_of_the_old_key() {
        let mut keys = keys(1000);
        keys.replace(Mode::XChaCha20Poly1305RtpSize, &[2; 32], false);
        assert!(!keys.changing() && !opens(&mut keys, 0, 1));
        assert_eq!(keys.cipher().mode(), Mode::XChaCha20Poly1305RtpSize);
    }
}
