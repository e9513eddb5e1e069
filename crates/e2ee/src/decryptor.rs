//! Everybody's frames in: the epochs whose keys are at hand, and what each member has sent in them.

use std::sync::Arc;

use raccall_wire::Nanos;
use raccall_wire::replay::ReplayWindow;

use crate::frame::{Frame, FrameKey};
use crate::keys::{EpochKeys, Secret};
use crate::ratchet::Ratchet;

const NANOS_PER_S: Nanos = 1_000_000_000;

/// A former epoch's keys, and a former generation's, open for so long once the next one is in use (libdave, cpp/src/common.h).
const FORMER_NS: Nanos = 10 * NANOS_PER_S;

/// The same when nobody says that the next one is in use: a transition takes a few seconds at most.
const SUPERSEDED_NS: Nanos = 30 * NANOS_PER_S;

/// Epochs at hand: a room in which everybody joins at once has a new one every 100 ms, and changes to each.
const MAX_EPOCHS: usize = 8;

/// A frame further ahead was never sent (libdave: kMaxGenerationGap).
pub const MAX_GENERATION_GAP: u32 = 250;

/// Why a frame was not opened with a user's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// That user is not in any epoch at hand.
    NoKeys,
    /// Nothing that this user's keys have made, as far as they are known yet.
    BadTag,
    /// Genuine, and opened before, or too old to tell.
    Replayed,
    /// Of a generation that is gone, or too far ahead.
    Generation,
}

/// What strangers make us compute: turning a ratchet ahead for a frame that is not proved yet. One unit is a step, half a microsecond.
#[derive(Debug)]
pub struct Allowance {
    left: u32,
}

impl Allowance {
    pub fn new(units: u32) -> Self {
        Self { left: units }
    }

    /// False if there is not as much left.
    pub fn take(&mut self, units: u32) -> bool {
        let enough = self.left >= units;
        self.left -= if enough { units } else { 0 };
        enough
    }
}

#[derive(Default)]
pub struct Decryptor {
    /// The newest last.
    epochs: Vec<Epoch>,
    scratch: Vec<u8>,
}

struct Epoch {
    keys: Arc<EpochKeys>,
    expires: Option<Nanos>,
    /// As in `keys`; made by a user's first frame.
    senders: Vec<Option<Box<Sender>>>,
}

/// What one user has sent in one epoch.
struct Sender {
    ratchet: Ratchet,
    current: Generation,
    former: Option<(Generation, Nanos)>,
    window: ReplayWindow,
}

struct Generation {
    number: u32,
    key: FrameKey,
}

impl Decryptor {
    /// Opens with these, too, from now on. False: they are at hand already, and what they opened stays opened.
    pub fn add_keys(&mut self, keys: Arc<EpochKeys>, now: Nanos) -> bool {
        self.expire(now);
        if self.epochs.iter().any(|epoch| is_same(&epoch.keys, &keys)) {
            return false;
        }
        self.limit_all(now + SUPERSEDED_NS);
        if self.epochs.len() == MAX_EPOCHS {
            self.epochs.remove(0);
        }
        let senders = keys.user_ids().map(|_| None).collect();
        self.epochs.push(Epoch { keys, expires: None, senders });
        true
    }

    /// Everybody was told to use these; former ones expire.
    pub fn use_keys(&mut self, keys: &EpochKeys, now: Nanos) {
        let Some(index) = self.epochs.iter().position(|epoch| is_same(&epoch.keys, keys)) else { return };
        for epoch in &mut self.epochs[..index] {
            epoch.limit(now + FORMER_NS);
        }
    }

    /// Nobody encrypts any longer; what is under way still opens.
    pub fn retire_all(&mut self, now: Nanos) {
        self.limit_all(now + FORMER_NS);
    }

    pub fn has_keys(&self) -> bool {
        !self.epochs.is_empty()
    }

    /// Lets go what has expired. Call it now and then. True if some keys are gone.
    pub fn expire(&mut self, now: Nanos) -> bool {
        let before = self.epochs.len();
        self.epochs.retain(|epoch| epoch.expires.is_none_or(|expires| now < expires));
        for sender in self.epochs.iter_mut().flat_map(|epoch| epoch.senders.iter_mut().flatten()) {
            sender.former.take_if(|(_, expires)| *expires <= now);
        }
        self.epochs.len() < before
    }

    /// Everybody whose keys are at hand, those of the newest epoch first; who is in several is given several times.
    pub fn user_ids(&self) -> impl Iterator<Item = u64> {
        self.epochs.iter().rev().flat_map(|epoch| epoch.keys.user_ids())
    }

    /// Puts the payload of a frame that `user_id` made into `out`.
    pub fn decrypt(
        &mut self,
        frame: &Frame<'_>,
        user_id: u64,
        now: Nanos,
        allowance: &mut Allowance,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let mut failure = Failure::NoKeys;
        for epoch in self.epochs.iter_mut().rev().filter(|epoch| epoch.expires.is_none_or(|expires| now < expires)) {
            let Some(index) = epoch.keys.index(user_id) else { continue };
            let sender = epoch.senders[index].get_or_insert_with(|| Box::new(Sender::new(epoch.keys.secret_at(index))));
            match sender.decrypt(frame, now, allowance, out, &mut self.scratch) {
                Ok(()) => return Ok(()),
                Err(Failure::Replayed) => return Err(Failure::Replayed),
                Err(Failure::Generation) if failure == Failure::BadTag => {}
                Err(other) => failure = other,
            }
        }
        Err(failure)
    }

    fn limit_all(&mut self, expires: Nanos) {
        self.epochs.iter_mut().for_each(|epoch| epoch.limit(expires));
    }
}

impl Epoch {
    fn limit(&mut self, expires: Nanos) {
        self.expires = Some(self.expires.map_or(expires, |earlier| earlier.min(expires)));
    }
}

impl Sender {
    fn new(base: &Secret) -> Self {
        let mut ratchet = Ratchet::new(base);
        let key = FrameKey::new(&ratchet.turn_to(0));
        Self { ratchet, current: Generation { number: 0, key }, former: None, window: ReplayWindow::new() }
    }

    fn decrypt(
        &mut self,
        frame: &Frame<'_>,
        now: Nanos,
        allowance: &mut Allowance,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let number = frame.generation();
        let genuine = if number == self.current.number {
            self.current.key.decrypt(frame, out, scratch)
        } else if number < self.current.number {
            let former = self.former.as_ref().filter(|(former, expires)| former.number == number && now < *expires);
            let (former, _) = former.ok_or(Failure::Generation)?;
            former.key.decrypt(frame, out, scratch)
        } else {
            let ahead = number - self.current.number;
            if ahead > MAX_GENERATION_GAP || !allowance.take(ahead) {
                return Err(Failure::Generation);
            }
            let mut ratchet = self.ratchet.clone();
            let key = FrameKey::new(&ratchet.turn_to(number));
            let genuine = key.decrypt(frame, out, scratch);
            if genuine {
                let former = std::mem::replace(&mut self.current, Generation { number, key });
                self.former = Some((former, now + FORMER_NS));
                self.ratchet = ratchet;
            }
            genuine
        };
        // Only after the tag: what is not proved says nothing, and must not move the window.
        match genuine {
            false => Err(Failure::BadTag),
            true if self.window.accept(frame.nonce.into()).is_fresh() => Ok(()),
            true => Err(Failure::Replayed),
        }
    }
}

/// Whether both are of one epoch of one group.
fn is_same(keys: &EpochKeys, others: &EpochKeys) -> bool {
    let own = |keys: &EpochKeys| keys.secret(keys.own_user_id()).copied();
    keys.epoch() == others.epoch() && own(keys) == own(others)
}
