//! What the chain does with packets whose key is not known yet: hold, try again, release, drop.

use raccall_wire::Nanos;
use raccall_wire::rtp::Packet;

use super::source::rewritten;
use super::{ReceiveChain, Released};
use crate::encryption::Opened;
use crate::held::{ALL_BYTES, HOLD_NS, Held, HeldQueue, Numbers, SOURCE_BYTES};

/// What waited longer for its key is for the record alone: playing it would put the speaker that much behind.
const STILL_HEARD_NS: Nanos = 200_000_000;

/// After some of what a Source holds has been tried in vain it is left alone that long: whoever fills it with nonsense may not have it
/// all tried with each packet.
const RETRY_INTERVAL: Nanos = 250_000_000;

impl ReceiveChain {
    /// Keeps the packet that was opened last.
    pub(super) fn hold(&mut self, index: usize, numbers: Numbers, now: Nanos) {
        let source = &mut self.sources[index];
        let before = source.held.bytes();
        source.held.push(Held { arrival: now, numbers, packet: self.plain.clone() });
        source.tried_with = (self.encryption.version(), source.owner.known());
        self.held_bytes += source.held.bytes() - before;
        while self.sources[index].held.bytes() > SOURCE_BYTES {
            self.drop_oldest(index);
        }
        while self.held_bytes > ALL_BYTES {
            let most = (0..self.sources.len()).max_by_key(|&index| self.sources[index].held.bytes());
            self.drop_oldest(most.expect("somebody holds something"));
        }
    }

    fn drop_oldest(&mut self, index: usize) {
        let held = &mut self.sources[index].held;
        let before = held.bytes();
        held.pop();
        self.held_bytes -= before - held.bytes();
        self.encryption.counts.overflowed += 1;
    }

    pub(super) fn drop_what_waited_too_long(&mut self, now: Nanos) {
        for source in &mut self.sources {
            let before = source.held.bytes();
            while source.held.oldest().is_some_and(|arrival| now.saturating_sub(arrival) > HOLD_NS) {
                source.held.pop();
                self.encryption.counts.expired += 1;
            }
            self.held_bytes -= before - source.held.bytes();
        }
    }

    /// New keys: everything is tried at once.
    pub(super) fn retry_with_new_keys(&mut self, now: Nanos) {
        self.sources.iter_mut().for_each(|source| source.retry_from = 0);
        self.retry_all(now);
    }

    pub(super) fn retry_all(&mut self, now: Nanos) {
        if self.held_bytes == 0 {
            return;
        }
        for index in 0..self.sources.len() {
            let source = &self.sources[index];
            let version = self.encryption.version();
            if source.is_to_retry(version, now) || (!source.held.is_empty() && source.owner.has_untried(version, now)) {
                self.retry(index, now);
            }
        }
    }

    /// Tries to open what a Source has waiting, from the oldest on; what does not open stays where it is.
    pub(super) fn retry(&mut self, index: usize, now: Nanos) {
        let mut waiting = std::mem::take(&mut self.sources[index].held);
        self.held_bytes -= waiting.bytes();
        let mut staying = HeldQueue::default();
        let may_wait = self.sources[index].is_stuck;
        let (mut is_stuck, mut plain_waits) = (false, false);
        while let Some(held) = waiting.pop() {
            let packet = Packet::parse(&held.packet).expect("parsed when it came");
            match self.encryption.open(&mut self.sources[index].owner, packet.payload, now) {
                Opened::NotYet => {
                    is_stuck = true;
                    staying.push(held);
                }
                Opened::Refused(reason) => self.refused.add(reason),
                Opened::Plain if may_wait && is_stuck => {
                    plain_waits = true;
                    self.encryption.counts.plain -= 1;
                    staying.push(held);
                }
                Opened::Plain => self.release(index, held.numbers, held.arrival, held.packet, now),
                Opened::Decrypted => {
                    is_stuck = false;
                    let mut plain = Vec::with_capacity(held.packet.len());
                    rewritten(&packet, self.encryption.payload(), &mut plain);
                    self.release(index, held.numbers, held.arrival, plain, now);
                }
            }
        }
        self.held_bytes += staying.bytes();
        let source = &mut self.sources[index];
        source.retry_from = if staying.is_empty() { 0 } else { now + RETRY_INTERVAL };
        (source.plain_waits, source.is_stuck) = (plain_waits, may_wait && is_stuck);
        source.held = staying;
        source.tried_with = (self.encryption.version(), source.owner.known());
    }

    pub(super) fn release(&mut self, index: usize, numbers: Numbers, arrival: Nanos, plain: Vec<u8>, now: Nanos) {
        self.encryption.counts.released += 1;
        if now.saturating_sub(arrival) <= STILL_HEARD_NS {
            let voices = self.decoding.then_some((&self.config, &self.gains_db, self.channels == 2));
            let packet = Packet::parse(&plain).expect("we wrote it");
            self.sources[index].take(&packet, numbers, arrival, voices);
        }
        let Numbers { ssrc, extended_sequence, extended_timestamp } = numbers;
        self.released.push_back(Released { arrival, ssrc, extended_sequence, extended_timestamp, plain });
    }
}
