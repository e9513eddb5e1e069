//! Reading a journal, whatever happened to it.
//!
//! A packet is handed out only when its checksum holds; what stands between whole blocks is passed over (`blocks.rs`), so damage costs the
//! packets in it. Of the head nothing is needed but the time base, which the caller may know from elsewhere.

use std::collections::HashMap;
use std::io::{self, Read};

use raccall_wire::rtp;
use raccall_wire::sequence::{Extended16, Extended32};

use super::blocks::Blocks;
use super::format::{self, FORMAT, Head, INTERFACE, PACKET, Stored, TimeBase, Unreadable};
use crate::{Batch, Nanos, Received};

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

#[cfg(test)]
mod tests;
