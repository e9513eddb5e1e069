//! Our own frames out.

use crate::frame::{FrameKey, SILENCE, generation_of};
use crate::keys::{EpochKeys, Secret};
use crate::ratchet::Ratchet;

/// Encrypts with one epoch's key of ours at a time. Without one, or once the nonces are used up, nothing is encrypted, so nothing may be
/// sent.
///
/// Nonces go on when keys change. Whatever a server has us use, even former keys again, none is used twice with one key; all of them last
/// for 994 days of speech.
#[derive(Default)]
pub struct Encryptor {
    sender: Option<Sender>,
    /// Of the newest frame; the first one is 1, as libdave's.
    nonce: u32,
}

struct Sender {
    base: Secret,
    ratchet: Ratchet,
    key: FrameKey,
    generation: u32,
}

impl Encryptor {
    /// Encrypts with these keys from now on.
    pub fn use_keys(&mut self, keys: &EpochKeys) {
        let base = keys.secret(keys.own_user_id()).expect("we are a member");
        if self.sender.as_ref().is_some_and(|sender| sender.base == *base) {
            return;
        }
        let mut ratchet = Ratchet::new(base);
        let key = FrameKey::new(&ratchet.turn_to(0));
        self.sender = Some(Sender { base: *base, ratchet, key, generation: 0 });
    }

    pub fn has_keys(&self) -> bool {
        self.sender.is_some()
    }

    /// Puts what is to be sent into `out`: silence as it is, all else encrypted. False: it cannot be, and must not be sent.
    pub fn encrypt(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        if payload == SILENCE {
            out.extend_from_slice(payload);
            return true;
        }
        let Some(sender) = &mut self.sender else { return false };
        let Some(nonce) = self.nonce.checked_add(1) else { return false };
        self.nonce = nonce;
        let generation = generation_of(nonce);
        if generation != sender.generation {
            sender.key = FrameKey::new(&sender.ratchet.turn_to(generation));
            sender.generation = generation;
        }
        sender.key.encrypt(payload, nonce, out);
        true
    }

    /// As if so many frames had been sent: to see, within a test, what takes 93 hours of speech.
    #[doc(hidden)]
    pub fn skip_to(&mut self, nonce: u32) {
        self.nonce = nonce;
    }
}
