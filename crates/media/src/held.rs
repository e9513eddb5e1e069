//! Packets that cannot be opened yet.
//!
//! Drop rule: what waited ten seconds goes, it will not be opened any more. A Source that holds more than its share loses its own oldest;
//! when all together hold too much, the Source that holds most does. So one who sends nonsense harms nobody else's.

use std::collections::VecDeque;

use raccall_wire::Nanos;

pub const HOLD_NS: Nanos = 10_000_000_000;

/// Ten seconds of 50 packets a second, each three times as large as speech is.
pub const SOURCE_BYTES: usize = 256 << 10;

/// Ten seconds of fifty who speak at once.
pub const ALL_BYTES: usize = 4 << 20;

/// What a packet costs beside its bytes.
const PACKET_BYTES: usize = 64;

/// Whose packet, and which, without wraps.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    pub ssrc: u32,
    pub extended_sequence: u64,
    pub extended_timestamp: u64,
}

/// One packet as it came, opened but for its payload.
#[derive(Debug)]
pub struct Held {
    pub arrival: Nanos,
    pub numbers: Numbers,
    pub packet: Vec<u8>,
}

/// Those of one Source, in the order they came.
#[derive(Debug, Default)]
pub struct HeldQueue {
    queue: VecDeque<Held>,
    bytes: usize,
}

impl HeldQueue {
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn push(&mut self, held: Held) {
        self.bytes += cost(&held);
        self.queue.push_back(held);
    }

    pub fn pop(&mut self) -> Option<Held> {
        let held = self.queue.pop_front()?;
        self.bytes -= cost(&held);
        Some(held)
    }

    /// When the oldest came.
    pub fn oldest(&self) -> Option<Nanos> {
        self.queue.front().map(|held| held.arrival)
    }
}

fn cost(held: &Held) -> usize {
    held.packet.len() + PACKET_BYTES
}
