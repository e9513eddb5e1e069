//! One Source's lost packets, spoken again from the deep redundancy (DRED) in the packets after them.
//!
//! What a packet tells of is read only when one before it is missing, and as it comes, not when it is to be played: 10 to 90 µs, which
//! would all fall into one pull. The neural network then takes 130 µs for each 10 ms of speech, told or made up.

use std::ops::Range;

use raccall_opus::{Decoder, Error, Redundancy};

/// More packets than that fill the longest reach, whatever their length.
const MOST_MISSING: u64 = 416;

pub struct Respeaker {
    /// Nothing where losses are concealed without the neural network.
    redundancy: Option<Redundancy>,
    /// The highest sequence that has come.
    newest: Option<u64>,
    /// The packet that was read last.
    read: Option<u64>,
}

impl Respeaker {
    pub fn new(deep_plc: bool) -> Result<Self, Error> {
        let redundancy = if deep_plc { Some(Redundancy::new()?) } else { None };
        Ok(Self { redundancy, newest: None, read: None })
    }

    /// Reads what a fresh packet, `samples` long, tells of those missing right before it. Returns which samples before its first, counted
    /// backwards.
    pub fn read(&mut self, sequence: u64, payload: &[u8], samples: usize) -> Range<usize> {
        let missing = self.newest.map_or(0, |newest| sequence.saturating_sub(newest + 1)).min(MOST_MISSING);
        self.newest = self.newest.max(Some(sequence));
        let Some(redundancy) = self.redundancy.as_mut().filter(|_| missing > 0) else { return 0..0 };
        self.read = Some(sequence);
        redundancy.read(payload, missing as usize * samples).unwrap_or(0..0)
    }

    /// Fills `out` with what was said `before` samples before the packet's first. Returns samples per channel.
    pub fn speak(
        &mut self,
        decoder: &mut Decoder,
        (sequence, payload): (u64, &[u8]),
        before: usize,
        out: &mut [f32],
    ) -> Result<usize, Error> {
        let Some(redundancy) = &mut self.redundancy else { return decoder.conceal_f32(out) };
        if self.read != Some(sequence) {
            // Another has been read since, because another packet is missing.
            redundancy.read(payload, before)?;
            self.read = Some(sequence);
        }
        decoder.decode_redundancy_f32(redundancy, before, out)
    }
}
