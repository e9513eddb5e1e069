//! Many packets in one piece of memory, so that they cross borders together.

use std::collections::HashMap;

use raccall_wire::rtp;

use crate::{Nanos, Received};

/// Packets in the order they arrived.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    records: Vec<Record>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    arrival: Nanos,
    ssrc: u32,
    sequence: u64,
    timestamp: u64,
    end: usize,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Of all RTP packets together.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn push(&mut self, packet: Received<'_>) {
        let Received { arrival, ssrc, sequence, timestamp, rtp } = packet;
        self.bytes.extend_from_slice(rtp);
        self.records.push(Record { arrival, ssrc, sequence, timestamp, end: self.bytes.len() });
    }

    pub fn get(&self, index: usize) -> Option<Received<'_>> {
        let record = self.records.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.records[before].end);
        let Record { arrival, ssrc, sequence, timestamp, end } = *record;
        Some(Received { arrival, ssrc, sequence, timestamp, rtp: &self.bytes[start..end] })
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Received<'_>> {
        (0..self.len()).map(|index| self.get(index).expect("below its length"))
    }

    /// Each source's packets by index, in their order; sources by their first packet.
    pub fn by_source(&self) -> Vec<(u32, Vec<usize>)> {
        let mut found: Vec<(u32, Vec<usize>)> = Vec::new();
        let mut places = HashMap::new();
        for (index, record) in self.records.iter().enumerate() {
            let place = *places.entry(record.ssrc).or_insert_with(|| {
                found.push((record.ssrc, Vec::new()));
                found.len() - 1
            });
            found[place].1.push(index);
        }
        found
    }
}

impl<'a> Received<'a> {
    /// The encoded bytes alone. Empty for anything that is no well-formed voice packet: video and its repairs share the
    /// socket.
    pub fn payload(&self) -> &'a [u8] {
        match rtp::Packet::parse(self.rtp) {
            Ok(packet) if packet.payload_type == rtp::OPUS_PAYLOAD_TYPE => packet.payload,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_as_they_went_in() {
        let packets = [&[1, 2, 3][..], &[], &[4]].map(|rtp| Received {
            arrival: rtp.len() as u64,
            ssrc: 7,
            sequence: 1 << 40,
            timestamp: 1 << 50,
            rtp,
        });
        let mut batch = Batch::default();
        packets.iter().for_each(|packet| batch.push(*packet));
        assert_eq!(batch.iter().collect::<Vec<_>>(), packets);
        assert_eq!((batch.len(), batch.bytes(), batch.get(3)), (3, 4, None));
    }

    #[test]
    fn packets_are_found_by_their_source() {
        let mut batch = Batch::default();
        for ssrc in [9, 3, 9, 9, 7, 3] {
            batch.push(Received { arrival: 0, ssrc, sequence: 0, timestamp: 0, rtp: &[] });
        }
        assert_eq!(batch.by_source(), [(9, vec![0, 2, 3]), (3, vec![1, 5]), (7, vec![4])]);
    }
}
