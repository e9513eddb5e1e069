//! Many placed packets in one piece of memory, so that they cross borders together.

/// A packet and its place in the recording, in samples at 48 kHz from the beginning of the tracks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed<'a> {
    /// First sample, on the 2.5 ms grid of Opus. Never before the end of the packet placed before it.
    pub position: u64,
    /// Where its sound belongs exactly, for rendered sound, which is resampled: inside a talk spurt it advances with the
    /// timestamps within 0.5 %.
    pub exact: f64,
    pub samples: u32,
    /// Packets missing directly before this one, by sequence number.
    pub lost: u32,
    /// False for a packet that is left out of the track to make up for drift. Rendered sound needs it all the same.
    pub in_track: bool,
    pub payload: &'a [u8],
}

/// Placed packets in order.
#[derive(Clone, Debug, Default)]
pub struct PlacedBatch {
    records: Vec<Record>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    position: u64,
    exact: f64,
    samples: u32,
    lost: u32,
    in_track: bool,
    end: usize,
}

impl PlacedBatch {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn push(&mut self, placed: Placed<'_>) {
        let Placed { position, exact, samples, lost, in_track, payload } = placed;
        self.bytes.extend_from_slice(payload);
        self.records.push(Record { position, exact, samples, lost, in_track, end: self.bytes.len() });
    }

    pub fn get(&self, index: usize) -> Option<Placed<'_>> {
        let record = self.records.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.records[before].end);
        let Record { position, exact, samples, lost, in_track, end } = *record;
        Some(Placed { position, exact, samples, lost, in_track, payload: &self.bytes[start..end] })
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Placed<'_>> {
        (0..self.len()).map(|index| self.get(index).expect("below its length"))
    }
}
