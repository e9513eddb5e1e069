//! Payloads that are encrypted end to end: whose they are, and what they say.
//!
//! Who speaks as a Source is proved by the key that opens its frames. So keys are tried in this order: of the user who was proved last, of
//! the user who is claimed (op 5), then of everyone. A claim only saves work: a wrong one is as good as none, and a Source may change its
//! owner at any time. What cannot be opened yet waits (`held.rs`): op 5, 29 or 30 may be late.
//!
//! Trying costs, and strangers decide how often: everyone's keys are tried for a Source when they are new, then four times a second, and
//! never more than `TRIALS_PER_SECOND` users in all. The owner's own keys are always tried.

use std::sync::Arc;

use raccall_e2ee::{Allowance, Decryptor, EpochKeys, Failure, Frame, SILENCE};
use raccall_wire::Nanos;

use crate::report::Refusal;

const NANOS_PER_S: Nanos = 1_000_000_000;

/// Each a quarter of a microsecond for every epoch at hand.
const TRIALS_PER_SECOND: u32 = 10_000;
/// Steps of ratchets, half a microsecond each.
const STEPS_PER_SECOND: u32 = 2_000;
const TRIAL_INTERVAL: Nanos = NANOS_PER_S / 4;

/// Plain frames that were under way when encryption was turned on (DAVE protocol, "Protocol transitions").
const PLAIN_GRACE: Nanos = 10 * NANOS_PER_S;

/// What is to be encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Plain goes out and in; with keys at hand what is encrypted is opened.
    #[default]
    Off,
    /// On the way down: as `On`, and plain comes in, too.
    Either,
    /// Nothing goes out without a key, nothing comes in plain.
    On,
}

/// What became of frames, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EncryptionCounts {
    pub decrypted: u64,
    /// Came plain and might.
    pub plain: u64,
    /// Fitted no key at hand when they came.
    pub bad_tag: u64,
    /// Held now.
    pub waiting: u64,
    pub released: u64,
    pub expired: u64,
    pub overflowed: u64,
    /// Times that everyone's keys were not tried, or not all of them, because of `TRIALS_PER_SECOND`.
    pub untried: u64,
}

/// What is known of who speaks as one Source.
#[derive(Debug, Clone, Copy, Default)]
pub struct Owner {
    pub claimed: Option<u64>,
    /// Whose key opened the newest encrypted frame.
    pub proven: Option<u64>,
    /// Everyone's keys have been tried, all of that version of them.
    tried: u64,
    try_again: Nanos,
}

/// What became of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It is what it is.
    Plain,
    /// See `Decryption::payload`.
    Decrypted,
    /// No key at hand has made it.
    NotYet,
    Refused(Refusal),
}

pub struct Decryption {
    mode: Encryption,
    plain_until: Nanos,
    decryptor: Decryptor,
    /// Everybody whose keys are at hand, each once; and how often that has changed.
    members: Vec<u64>,
    version: u64,
    allowance: Allowance,
    trials_left: u32,
    next_allowance: Nanos,
    payload: Vec<u8>,
    pub counts: EncryptionCounts,
}

impl Decryption {
    pub fn new() -> Self {
        Self {
            mode: Encryption::Off,
            plain_until: 0,
            decryptor: Decryptor::default(),
            members: Vec::new(),
            version: 1,
            allowance: Allowance::new(STEPS_PER_SECOND),
            trials_left: TRIALS_PER_SECOND,
            next_allowance: 0,
            payload: Vec::with_capacity(2048),
            counts: EncryptionCounts::default(),
        }
    }

    /// `started`: packets may have come before, in the former mode.
    pub fn set_mode(&mut self, mode: Encryption, now: Nanos, started: bool) {
        if self.mode == mode {
            return;
        }
        match mode {
            Encryption::On if started => self.plain_until = now + PLAIN_GRACE,
            Encryption::Off => self.decryptor.retire_all(now),
            _ => {}
        }
        self.mode = mode;
    }

    pub fn add_keys(&mut self, keys: Arc<EpochKeys>, now: Nanos) {
        if self.decryptor.add_keys(keys, now) {
            self.changed();
        }
    }

    pub fn use_keys(&mut self, keys: &Arc<EpochKeys>, now: Nanos) {
        self.add_keys(keys.clone(), now);
        self.decryptor.use_keys(keys, now);
    }

    /// Lets go what has expired. Call it now and then.
    pub fn expire(&mut self, now: Nanos) {
        if self.decryptor.expire(now) {
            self.changed();
        }
    }

    /// Changes when something may open that did not before.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What `Opened::Decrypted` was about.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Opens one payload, and learns from it whose it is.
    pub fn open(&mut self, owner: &mut Owner, payload: &[u8], now: Nanos) -> Opened {
        if self.mode == Encryption::Off && !self.decryptor.has_keys() {
            return Opened::Plain;
        }
        let Some(frame) = Frame::parse(payload) else {
            if payload != SILENCE && self.mode == Encryption::On && now >= self.plain_until {
                return Opened::Refused(Refusal::Unencrypted);
            }
            self.counts.plain += 1;
            return Opened::Plain;
        };
        if now >= self.next_allowance {
            self.next_allowance = now + NANOS_PER_S;
            self.allowance = Allowance::new(STEPS_PER_SECOND);
            self.trials_left = TRIALS_PER_SECOND;
        }
        let known = [owner.proven, owner.claimed.filter(|claimed| owner.proven != Some(*claimed))];
        for user_id in known.into_iter().flatten() {
            if let Some(opened) = self.try_user(owner, &frame, user_id, now) {
                return opened;
            }
        }
        if owner.tried == self.version && now < owner.try_again {
            return Opened::NotYet;
        }
        owner.try_again = now + TRIAL_INTERVAL;
        for index in 0..self.members.len() {
            let user_id = self.members[index];
            if known.contains(&Some(user_id)) {
                continue;
            }
            if self.trials_left == 0 {
                self.counts.untried += 1;
                return Opened::NotYet;
            }
            self.trials_left -= 1;
            if let Some(opened) = self.try_user(owner, &frame, user_id, now) {
                return opened;
            }
        }
        owner.tried = self.version;
        Opened::NotYet
    }

    fn try_user(&mut self, owner: &mut Owner, frame: &Frame<'_>, user_id: u64, now: Nanos) -> Option<Opened> {
        match self.decryptor.decrypt(frame, user_id, now, &mut self.allowance, &mut self.payload) {
            Ok(()) => {
                owner.proven = Some(user_id);
                self.counts.decrypted += 1;
                Some(Opened::Decrypted)
            }
            Err(Failure::Replayed) => Some(Opened::Refused(Refusal::Replayed)),
            Err(Failure::NoKeys | Failure::BadTag | Failure::Generation) => None,
        }
    }

    fn changed(&mut self) {
        self.version += 1;
        self.members.clear();
        self.members.extend(self.decryptor.user_ids());
        self.members.sort_unstable();
        self.members.dedup();
    }
}

impl Owner {
    pub fn claimed(claimed: Option<u64>) -> Self {
        Self { claimed, ..Self::default() }
    }

    /// What may be opened depends on this, beside the keys.
    pub fn known(&self) -> (Option<u64>, Option<u64>) {
        (self.claimed, self.proven)
    }

    /// Everyone's keys were not all tried, and may be now.
    pub fn has_untried(&self, version: u64, now: Nanos) -> bool {
        self.tried != version && now >= self.try_again
    }
}
