//! A sender's keys, one after the other (RFC 9420 section 9.1): each generation's secret gives its key and the next one's secret.

use ring::hkdf::{HKDF_SHA256, KeyType, Prk};
use zeroize::Zeroize;

use crate::keys::{SECRET_BYTES, Secret};

const HASH_BYTES: usize = 32;

/// Stands before the generation whose key it gives next. A copy is a ratchet that may be turned without turning this one.
#[derive(Clone)]
pub struct Ratchet {
    /// The first has as many bytes as a key, all others as many as a hash.
    secret: [u8; HASH_BYTES],
    secret_bytes: usize,
    generation: u32,
}

impl Ratchet {
    pub fn new(base: &Secret) -> Self {
        let mut secret = [0; HASH_BYTES];
        secret[..SECRET_BYTES].copy_from_slice(base);
        Self { secret, secret_bytes: SECRET_BYTES, generation: 0 }
    }

    /// The key of `generation`, which must not lie behind.
    pub fn turn_to(&mut self, generation: u32) -> Secret {
        assert!(self.generation <= generation, "a ratchet does not turn back");
        while self.generation < generation {
            self.next_secret();
        }
        let mut key = [0; SECRET_BYTES];
        self.derive(b"MLS 1.0 key", &mut key);
        self.next_secret();
        key
    }

    fn next_secret(&mut self) {
        let mut next = [0; HASH_BYTES];
        self.derive(b"MLS 1.0 secret", &mut next);
        self.secret = next;
        self.secret_bytes = HASH_BYTES;
        self.generation += 1;
    }

    /// DeriveTreeSecret. mlspp, and so DAVE, takes a first secret that is shorter than a hash as it is.
    fn derive(&self, label: &[u8], out: &mut [u8]) {
        let length = Length(out.len());
        let (size, generation) = ((out.len() as u16).to_be_bytes(), self.generation.to_be_bytes());
        let info = [&size[..], &[label.len() as u8], label, &[generation.len() as u8], &generation];
        let secret = Prk::new_less_safe(HKDF_SHA256, &self.secret[..self.secret_bytes]);
        let okm = secret.expand(&info, length).expect("a hash at most");
        okm.fill(out).expect("as many bytes as asked for");
    }
}

impl Drop for Ratchet {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libdave, cpp/test/cryptor_manager_tests.cpp by way of davey, tests/unit/hash_ratchet.rs.
    #[test]
    fn the_first_key_is_the_published_one() {
        let base = [206, 221, 97, 177, 184, 161, 202, 105, 4, 101, 84, 40, 44, 247, 11, 123];
        let key = [117, 48, 249, 169, 148, 94, 45, 46, 6, 208, 101, 31, 123, 42, 134, 75];
        assert_eq!(Ratchet::new(&base).turn_to(0), key);
    }

    #[test]
    fn a_far_turn_is_as_many_near_ones() {
        let mut near = Ratchet::new(&[9; 16]);
        let keys: Vec<_> = (0..40).map(|generation| near.turn_to(generation)).collect();
        assert_eq!(Ratchet::new(&[9; 16]).turn_to(39), keys[39]);
        assert!((1..40).all(|i| keys[i] != keys[i - 1]));
    }
}
