//! Reading a journal, whatever happened to it.
//!
//! A packet is handed out only when its checksum holds. Where no whole block stands, reading goes on at the next
//! place that holds a right packet block: damage costs the packets in it. Of the head nothing is needed but the time base,
//! which the caller may know from elsewhere. Memory is constant: one window on the file.

use std::collections::HashMap;
use std::io::{self, Read};

use memchr::memmem;
use raccall_wire::rtp;
use raccall_wire::sequence::{Extended16, Extended32};

use super::format::{
    self, BLOCK_BODY, BLOCK_FRAME_BYTES, FORMAT, Head, INTERFACE, PACKET, Stored, TimeBase, Unreadable,
};
use crate::{Batch, Nanos, Received};

/// A UDP datagram with all around it is half of this.
const MAX_BLOCK_BYTES: usize = 128 * 1024;
const WINDOW_BYTES: usize = 1 << 20;
/// Bounds the memory of a batch whose packets all arrived together.
const MAX_BATCH_PACKETS: usize = 4096;

/// Why reading stopped.
#[derive(Debug)]
pub enum ScanError {
    Io(io::Error),
    /// A later version of this program wrote it.
    TooNew {
        format: u32,
    },
    /// A capture, but none of ours.
    Foreign,
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What could not be read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Places where no whole block stood.
    pub places: u64,
    /// Bytes skipped there.
    pub lost_bytes: u64,
    /// Whole packet blocks whose checksum does not hold.
    pub unreadable: u64,
    /// Packets that are not there, by their numbers; those behind the last that is there are not known.
    pub missing: u64,
}

/// Goes through a journal once. Hand it the file unbuffered.
pub struct Scan<R> {
    blocks: Blocks<R>,
    base: Option<TimeBase>,
    head: Option<Head>,
    span: Nanos,
    batch: Batch,
    sources: HashMap<u32, (Extended16, Extended32)>,
    numbers: Extended32,
    /// One past the highest packet number, and how many packets were read.
    numbered: u64,
    packets: u64,
    unreadable: u64,
    foreign: u64,
}

impl<R: Read> Scan<R> {
    /// `base` is used when the head is damaged; without either, times count from 1970. A batch ends before `span`.
    pub fn new(file: R, base: Option<TimeBase>, span: Nanos) -> Self {
        Self {
            blocks: Blocks::new(file),
            base,
            head: None,
            span,
            batch: Batch::default(),
            sources: HashMap::new(),
            numbers: Extended32::new(),
            numbered: 0,
            packets: 0,
            unreadable: 0,
            foreign: 0,
        }
    }

    /// The next packets; None at the end. After an error it may not be called again.
    pub fn read(&mut self) -> Result<Option<Batch>, ScanError> {
        let Self { blocks, base, head, span, batch, sources, .. } = self;
        while let Some((kind, body)) = blocks.next()? {
            match kind {
                INTERFACE if head.is_none() => {
                    *head = format::read_head(body);
                    if let Some(Head { format, .. }) = head
                        && *format > FORMAT
                    {
                        return Err(ScanError::TooNew { format: *format });
                    }
                    *base = head.and_then(|head| head.base).or(*base);
                }
                PACKET => match format::read_packet(body) {
                    Ok(Stored { wall_ns, number, rtp }) => {
                        self.packets += 1;
                        self.numbered =
                            self.numbered.max((self.numbers.extend(number) + 1).saturating_sub(FIRST_NUMBER));
                        let arrival = base.unwrap_or_default().now_of(wall_ns);
                        let Some(packet) = extended(sources, arrival, rtp) else { continue };
                        let first = batch.get(0).map_or(arrival, |first| first.arrival);
                        let full = batch.len() == MAX_BATCH_PACKETS || arrival >= first.saturating_add(*span);
                        let done = full.then(|| std::mem::take(batch));
                        batch.push(packet);
                        if done.is_some() {
                            return Ok(done);
                        }
                    }
                    Err(Unreadable::Damaged) => self.unreadable += 1,
                    Err(Unreadable::Foreign) => {
                        self.unreadable += 1;
                        self.foreign += 1;
                    }
                },
                _ => {}
            }
        }
        if self.packets == 0 && (self.foreign > 0 || self.blocks.other_capture) {
            return Err(ScanError::Foreign);
        }
        let last = std::mem::take(&mut self.batch);
        Ok((!last.is_empty()).then_some(last))
    }

    /// What was given, or the head's once that is read.
    pub fn base(&self) -> Option<TimeBase> {
        self.base
    }

    /// The format's version, once the head is read; None while it is not, or when it is damaged.
    pub fn format(&self) -> Option<u32> {
        self.head.map(|head| head.format)
    }

    pub fn damage(&self) -> Damage {
        Damage {
            places: self.blocks.places,
            lost_bytes: self.blocks.lost_bytes,
            unreadable: self.unreadable,
            missing: self.numbered.saturating_sub(self.packets),
        }
    }
}

/// What `Extended32` makes of the number 0 when it comes first.
const FIRST_NUMBER: u64 = 1 << 32;

/// The packet with its counters made endless; None for bytes that are no RTP, which no recorder writes.
fn extended<'a>(
    sources: &mut HashMap<u32, (Extended16, Extended32)>,
    arrival: Nanos,
    rtp: &'a [u8],
) -> Option<Received<'a>> {
    let header = rtp.get(..rtp::FIXED_HEADER_BYTES)?;
    let sequence = u16::from_be_bytes([header[2], header[3]]);
    let timestamp = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    let counters = sources.entry(ssrc).or_default();
    let (sequence, timestamp) = (counters.0.extend(sequence), counters.1.extend(timestamp));
    Some(Received { arrival, ssrc, sequence, timestamp, rtp })
}

/// Whole blocks of a pcapng file; skips to the next right packet block after damage.
struct Blocks<R> {
    /// None, and so closed, once it is read to its end.
    file: Option<R>,
    window: Vec<u8>,
    at: usize,
    begun: bool,
    other_capture: bool,
    places: u64,
    lost_bytes: u64,
}

const PACKET_MARK: [u8; 4] = PACKET.to_le_bytes();

impl<R: Read> Blocks<R> {
    fn new(file: R) -> Self {
        Self {
            file: Some(file),
            window: Vec::new(),
            at: 0,
            begun: false,
            other_capture: false,
            places: 0,
            lost_bytes: 0,
        }
    }

    /// Type and body; None at the end.
    fn next(&mut self) -> io::Result<Option<(u32, &[u8])>> {
        if !self.begun {
            self.begun = true;
            self.need(BLOCK_FRAME_BYTES)?;
            self.other_capture = format::is_other_capture(&self.window);
        }
        let length = loop {
            if !self.need(1)? {
                return Ok(None);
            }
            match self.whole_block()? {
                Some(length) => break length,
                None => self.skip_damage()?,
            }
        };
        let block = &self.window[self.at..self.at + length];
        self.at += length;
        let kind = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
        Ok(Some((kind, &block[BLOCK_BODY..length - 4])))
    }

    /// Have `size` bytes from the current place in the window, if the file holds as many.
    fn need(&mut self, size: usize) -> io::Result<bool> {
        if self.window.len() - self.at < size {
            self.window.drain(..self.at);
            self.at = 0;
            let more = WINDOW_BYTES.max(size) - self.window.len();
            if let Some(file) = &mut self.file
                && file.take(more as u64).read_to_end(&mut self.window)? < more
            {
                self.file = None;
            }
        }
        Ok(self.window.len() - self.at >= size)
    }

    /// Length of the block here, None when it is not whole.
    fn whole_block(&mut self) -> io::Result<Option<usize>> {
        if !self.need(BLOCK_FRAME_BYTES)? {
            return Ok(None);
        }
        let Some(length) = format::block_length(&self.window[self.at..], MAX_BLOCK_BYTES) else { return Ok(None) };
        if !self.need(length)? {
            return Ok(None);
        }
        let block = &self.window[self.at..self.at + length];
        Ok((block[length - 4..] == block[4..8]).then_some(length))
    }

    /// Go on to the next packet block that is whole and right; to the end when there is none.
    fn skip_damage(&mut self) -> io::Result<()> {
        self.places += 1;
        loop {
            self.skip(1);
            let rest = &self.window[self.at..];
            if let Some(distance) = memmem::find(rest, &PACKET_MARK) {
                self.skip(distance);
                // The checksum, too: sound may look like a block, and would hide the true one behind it.
                if let Some(length) = self.whole_block()?
                    && format::read_packet(&self.window[self.at + BLOCK_BODY..self.at + length - 4]).is_ok()
                {
                    return Ok(());
                }
            } else {
                // With the one that is skipped next, three bytes stay: the mark may lie across the border of two windows.
                self.skip(rest.len().saturating_sub(PACKET_MARK.len()));
                if !self.need(BLOCK_FRAME_BYTES)? {
                    self.skip(self.window.len() - self.at);
                    return Ok(());
                }
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.lost_bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::{write_head, write_packet};
    use super::*;

    const BASE: TimeBase = TimeBase { monotonic: 1_000_000_000_000, wall_ns: 1_795_000_000_000_000_000 };
    const PACKETS: u16 = 60;
    const SECOND: Nanos = 1_000_000_000;

    /// What a packet is known by here.
    type Key = (Nanos, Vec<u8>);

    fn packet(number: u16) -> Key {
        let mut rtp = vec![0x80, 120];
        rtp.extend(number.wrapping_add(65_500).to_be_bytes());
        rtp.extend((u32::from(number) * 960).to_be_bytes());
        rtp.extend(u32::from(number % 3 + 7).to_be_bytes());
        // Payloads with block marks in them: damage must not make packets of these.
        rtp.extend([6, 0, 0, 0, 64, 0, 0, 0].iter().cycle().take(20 + usize::from(number) % 50));
        (BASE.monotonic + u64::from(number) * 20_000_000, rtp)
    }

    /// A journal in parts: its head, then one part a packet.
    fn parts() -> Vec<Vec<u8>> {
        let mut head = Vec::new();
        write_head("test", BASE, &mut head);
        let blocks = (0..PACKETS).map(|number| {
            let (arrival, rtp) = packet(number);
            let mut block = Vec::new();
            write_packet(number.into(), BASE.wall_of(arrival), &rtp, &mut block);
            block
        });
        std::iter::once(head).chain(blocks).collect()
    }

    fn scan(bytes: &[u8]) -> (Vec<Key>, Damage) {
        let mut scan = Scan::new(bytes, Some(BASE), SECOND);
        let mut read = Vec::new();
        while let Some(batch) = scan.read().unwrap() {
            read.extend(batch.iter().map(|packet| (packet.arrival, packet.rtp.to_vec())));
        }
        (read, scan.damage())
    }

    fn packets(numbers: impl IntoIterator<Item = u16>) -> Vec<Key> {
        numbers.into_iter().map(packet).collect()
    }

    #[test]
    fn an_undamaged_journal_comes_back_with_counters_that_go_on() {
        let bytes = parts().concat();
        assert_eq!(scan(&bytes), (packets(0..PACKETS), Damage::default()));
        let mut scan = Scan::new(&bytes[..], None, SECOND);
        let batch = scan.read().unwrap().unwrap();
        assert_eq!((batch.len(), scan.base(), scan.format()), (50, Some(BASE), Some(FORMAT)));
        let sequences: Vec<_> = batch.iter().filter(|packet| packet.ssrc == 7).map(|packet| packet.sequence).collect();
        assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 3), "past 65 535 and on");
    }

    #[test]
    fn a_later_format_is_refused() {
        let bytes = parts().concat();
        let text = format!("raccall format={}", FORMAT + 1);
        let checksum = format!("{text} crc32={:08x}", crc32fast::hash(text.as_bytes()));
        let mut later = Vec::new();
        let section = format::block_length(&bytes, 4096).unwrap();
        later.extend_from_slice(&bytes[..section]);
        let mut body = vec![252, 0, 0, 0, 0, 0, 0, 0, 1, 0, checksum.len() as u8, 0];
        body.extend_from_slice(checksum.as_bytes());
        body.resize(body.len().next_multiple_of(4), 0);
        let length = (body.len() as u32 + 12).to_le_bytes();
        later.extend([&INTERFACE.to_le_bytes()[..], &length, &body, &length].concat());
        later.extend_from_slice(&parts()[1..].concat());
        let mut scan = Scan::new(&later[..], None, SECOND);
        assert!(matches!(scan.read(), Err(ScanError::TooNew { format }) if format == FORMAT + 1));
    }

    #[test]
    fn other_captures_are_refused_and_nothing_is_no_packet() {
        for start in [&b"\xD4\xC3\xB2\xA1"[..], b"\xA1\xB2\x3C\x4D", b"\x0A\x0D\x0D\x0A\0\0\0\x1C\x1A\x2B\x3C\x4D"] {
            let file = [start, &[0; 100]].concat();
            assert!(matches!(Scan::new(&file[..], None, SECOND).read(), Err(ScanError::Foreign)));
        }
        assert_eq!(scan(&[]), (vec![], Damage::default()));
    }

    #[test]
    fn damage_wider_than_the_window_costs_one_place() {
        let parts = parts();
        let garbage = vec![6; 3 * WINDOW_BYTES + 5];
        let (before, after) = (parts[..30].concat(), parts[30..].concat());
        let (read, damage) = scan(&[before, garbage, after].concat());
        assert_eq!((read, damage.places), (packets(0..PACKETS), 1));
        assert_eq!(damage.lost_bytes, 3 * WINDOW_BYTES as u64 + 5);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_stands_before_a_cut_is_read(at in 0usize..9_000) {
            let parts = parts();
            let mut end = 0;
            let whole = parts.iter().take_while(|part| { end += part.len(); end <= at }).count();
            let bytes = parts.concat();
            let (read, damage) = scan(&bytes[..at.min(bytes.len())]);
            prop_assert_eq!(read, packets(0..whole.saturating_sub(1) as u16));
            prop_assert_eq!((damage.unreadable, damage.missing), (0, 0), "a cut tail is a place, no more is known");
        }

        #[test]
        fn a_flipped_bit_costs_its_packet_and_is_counted(bit in any::<prop::sample::Index>()) {
            let parts = parts();
            let mut bytes = parts.concat();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut end = 0;
            let hit = parts.iter().position(|part| { end += part.len(); bit / 8 < end }).unwrap();
            let (read, damage) = scan(&bytes);
            let without = packets((0..PACKETS).filter(|number| usize::from(*number) + 1 != hit));
            if read == packets(0..PACKETS) {
                prop_assert_eq!(damage.missing, 0, "what no packet says: interface, capture length, padding, head");
            } else {
                prop_assert_eq!(read, without);
                prop_assert!(damage.missing == 1 || damage.places + damage.unreadable > 0);
            }
        }

        #[test]
        fn bytes_put_in_cost_at_most_the_packet_they_split(
            at in any::<prop::sample::Index>(), garbage in vec(any::<u8>(), 1..600),
        ) {
            let parts = parts();
            let bytes = parts.concat();
            let at = at.index(bytes.len());
            let (mut end, mut split) = (0, None);
            for (index, part) in parts.iter().enumerate() {
                if end < at && at < end + part.len() { split = Some(index); }
                end += part.len();
            }
            let (read, damage) = scan(&[&bytes[..at], &garbage, &bytes[at..]].concat());
            let without = packets((0..PACKETS).filter(|number| Some(usize::from(*number) + 1) != split));
            prop_assert!(read == without || read == packets(0..PACKETS));
            prop_assert!(damage.places > 0 && damage.lost_bytes >= garbage.len() as u64);
            prop_assert!(damage.missing <= 1);
        }

        #[test]
        fn blocks_taken_out_are_counted_and_swapped_ones_all_there(
            order in Just((1..=usize::from(PACKETS)).collect::<Vec<_>>()).prop_shuffle(), taken in 0usize..20,
        ) {
            let parts = parts();
            let kept = &order[taken..];
            let bytes = kept.iter().fold(parts[0].clone(), |bytes, index| [bytes, parts[*index].clone()].concat());
            let (read, damage) = scan(&bytes);
            prop_assert_eq!(read, packets(kept.iter().map(|index| *index as u16 - 1)));
            prop_assert_eq!(damage.missing, (kept.iter().max().unwrap() - kept.len()) as u64);
            prop_assert_eq!((damage.places, damage.unreadable), (0, 0));
        }

        #[test]
        fn any_bytes_end(bytes in vec(any::<u8>(), 0..3_000)) {
            let mut scan = Scan::new(&bytes[..], None, SECOND);
            while let Ok(Some(batch)) = scan.read() {
                prop_assert!(!batch.is_empty());
            }
        }
    }
}
