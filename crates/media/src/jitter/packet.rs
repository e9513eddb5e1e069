//! A packet as the jitter buffer knows it: its numbers, apart from its payload.

use std::ops::Range;

use crate::depth::Carried;
use crate::frame::{LONGEST_PACKET_SAMPLES, SHORTEST_PACKET_SAMPLES};

/// A packet's numbers and payload, as they come.
#[derive(Debug, Clone)]
pub struct Incoming<'a> {
    /// Extended.
    pub sequence: u64,
    pub timestamp: u64,
    pub samples: usize,
    /// Whether it carries the packet before it a second time.
    pub lbrr: bool,
    /// Which samples before its first its deep redundancy tells of, counted backwards.
    pub redundancy: Range<usize>,
    pub payload: &'a [u8],
}

impl Incoming<'_> {
    /// Its length as far as it is believed.
    pub fn length(&self) -> u64 {
        self.samples.clamp(SHORTEST_PACKET_SAMPLES, LONGEST_PACKET_SAMPLES) as u64
    }
}

/// The same in media time.
#[derive(Debug, Clone, Default)]
pub struct Packet {
    pub sequence: u64,
    /// Of its first sample.
    pub media: u64,
    pub samples: u64,
    pub lbrr: bool,
    pub redundancy: Range<u64>,
}

impl Packet {
    pub fn new(incoming: &Incoming<'_>, media: u64) -> Self {
        let redundancy = incoming.redundancy.start as u64..incoming.redundancy.end as u64;
        Self { sequence: incoming.sequence, media, samples: incoming.length(), lbrr: incoming.lbrr, redundancy }
    }

    /// Media time behind its last sample.
    pub fn end(&self) -> u64 {
        self.media + self.samples
    }

    /// Samples of its copy of the packet before it.
    pub fn copy(&self) -> u64 {
        if self.lbrr { self.samples } else { 0 }
    }

    pub fn carried(&self) -> Carried {
        let told = if self.redundancy.start <= self.copy() { self.redundancy.end } else { 0 };
        Carried { copy: self.lbrr, told: told / self.samples }
    }
}
