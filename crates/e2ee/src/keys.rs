//! What an epoch of the group gives each of its members to encrypt frames with.

use std::fmt;

use zeroize::Zeroize;

/// Of an AES-128 key, and of the secret that a sender's ratchet starts with.
pub const SECRET_BYTES: usize = 16;

pub type Secret = [u8; SECRET_BYTES];

/// The frame secrets of one epoch, for all its members. Immutable: made by the handshake, used by the voice thread. Wiped when dropped.
pub struct EpochKeys {
    epoch: u64,
    own_user_id: u64,
    /// Sorted by user id, each id once.
    secrets: Vec<(u64, Secret)>,
}

impl EpochKeys {
    /// `secrets`: user ids, each once, ours among them.
    pub fn new(epoch: u64, own_user_id: u64, mut secrets: Vec<(u64, Secret)>) -> Self {
        secrets.sort_unstable_by_key(|(user_id, _)| *user_id);
        Self { epoch, own_user_id, secrets }
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn own_user_id(&self) -> u64 {
        self.own_user_id
    }

    pub fn user_ids(&self) -> impl ExactSizeIterator<Item = u64> {
        self.secrets.iter().map(|(user_id, _)| *user_id)
    }

    pub fn secret(&self, user_id: u64) -> Option<&Secret> {
        self.index(user_id).map(|index| self.secret_at(index))
    }

    /// Of a user in `user_ids`.
    pub(crate) fn index(&self, user_id: u64) -> Option<usize> {
        self.secrets.binary_search_by_key(&user_id, |(user_id, _)| *user_id).ok()
    }

    pub(crate) fn secret_at(&self, index: usize) -> &Secret {
        &self.secrets[index].1
    }
}

impl Drop for EpochKeys {
    fn drop(&mut self) {
        for (_, secret) in &mut self.secrets {
            secret.zeroize();
        }
    }
}

/// Without the secrets.
impl fmt::Debug for EpochKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EpochKeys {{ epoch: {}, own_user_id: {}, members: {} }}",
            self.epoch,
            self.own_user_id,
            self.secrets.len()
        )
    }
}
