//! A packet in the look-ahead, and what stays of it once it is placed. All in samples, at 48 kHz.

use super::runs::Run;

#[derive(Clone, Debug)]
pub struct Waiting {
    pub run: Run,
    pub sequence: i64,
    pub arrival: i64,
    pub timestamp: i64,
    pub samples: i64,
    pub payload: Box<[u8]>,
}

impl Waiting {
    /// In this order packets are placed.
    pub fn key(&self) -> (Run, i64) {
        (self.run, self.sequence)
    }

    /// Relative: the network only adds to it.
    pub fn delay(&self) -> i64 {
        self.arrival - self.timestamp
    }
}

/// What stays of the packet before.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    pub key: (Run, i64),
    pub arrival: i64,
    pub timestamp: i64,
    pub samples: i64,
}

impl From<&Waiting> for Before {
    fn from(item: &Waiting) -> Self {
        Self { key: item.key(), arrival: item.arrival, timestamp: item.timestamp, samples: item.samples }
    }
}
