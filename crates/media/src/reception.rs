//! What arrives of one Source: extended numbers, each packet once, and the counts of RFC 3550.

use raccall_wire::Nanos;
use raccall_wire::replay::{ReplayWindow, Verdict};
use raccall_wire::rtcp::ReportBlock;
use raccall_wire::sequence::{Extended16, Extended32};

use crate::frame::nanos;

#[derive(Debug)]
pub struct Reception {
    pub ssrc: u32,
    pub last_arrival: Nanos,
    pub received: u64,
    pub duplicates: u64,
    sequences: Extended16,
    timestamps: Extended32,
    window: ReplayWindow,
    first_sequence: u64,
    newest_sequence: u64,
    last_transit: Option<i64>,
    jitter_ns: f64,
    reported: Reported,
}

/// Counts at the last report block, whose loss fraction is about the time since.
#[derive(Debug, Default)]
struct Reported {
    expected: u64,
    received: u64,
}

impl Reception {
    pub fn new(ssrc: u32, now: Nanos) -> Self {
        Self {
            ssrc,
            last_arrival: now,
            received: 0,
            duplicates: 0,
            sequences: Extended16::new(),
            timestamps: Extended32::new(),
            window: ReplayWindow::new(),
            first_sequence: 0,
            newest_sequence: 0,
            last_transit: None,
            jitter_ns: 0.0,
            reported: Reported::default(),
        }
    }

    /// Takes the numbers of an authentic packet. Gives its extended sequence and timestamp if it is fresh.
    pub fn accept(&mut self, sequence: u16, timestamp: u32, now: Nanos) -> Result<(u64, u64), Verdict> {
        let sequence = self.sequences.extend(sequence);
        let verdict = self.window.accept(sequence);
        if !verdict.is_fresh() {
            self.duplicates += u64::from(verdict == Verdict::Duplicate);
            return Err(verdict);
        }
        let timestamp = self.timestamps.extend(timestamp);
        if self.received == 0 {
            self.first_sequence = sequence;
        }
        self.received += 1;
        self.first_sequence = self.first_sequence.min(sequence);
        self.newest_sequence = self.newest_sequence.max(sequence);
        self.last_arrival = now;
        let transit = now as i64 - nanos(timestamp as i64);
        if let Some(last) = self.last_transit.replace(transit) {
            self.jitter_ns += (transit.abs_diff(last) as f64 - self.jitter_ns) / 16.0;
        }
        Ok((sequence, timestamp))
    }

    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    pub fn jitter_ms(&self) -> f32 {
        (self.jitter_ns / 1e6) as f32
    }

    /// The block of the next receiver report.
    pub fn report_block(&mut self) -> ReportBlock {
        let expected = self.expected() - self.reported.expected;
        let lost = expected.saturating_sub(self.received - self.reported.received);
        self.reported = Reported { expected: self.expected(), received: self.received };
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (lost * 256).checked_div(expected).unwrap_or(0).min(255) as u8,
            lost: self.lost().min(0x7F_FFFF) as i32,
            highest_sequence: self.newest_sequence.wrapping_sub(1 << 16) as u32,
            jitter: (self.jitter_ns * 48_000.0 / 1e9).min(f64::from(u32::MAX)) as u32,
            last_sr: 0,
            delay_since_last_sr: 0,
        }
    }

    fn expected(&self) -> u64 {
        if self.received == 0 { 0 } else { self.newest_sequence - self.first_sequence + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_counted_across_the_wrap_and_per_report() {
        let mut reception = Reception::new(7, 0);
        for i in 0..100u32 {
            if i % 4 != 1 {
                reception.accept(65_500u16.wrapping_add(i as u16), i * 960, u64::from(i) * 20_000_000).unwrap();
            }
        }
        assert_eq!(reception.lost(), 25);
        let block = reception.report_block();
        assert_eq!((block.fraction_lost, block.lost), (64, 25));
        assert_eq!(block.highest_sequence, 65_599);
        assert_eq!(reception.report_block().fraction_lost, 0);
        assert!(reception.jitter_ms() < 0.01);
        assert_eq!(reception.accept(65_500, 0, 0), Err(Verdict::Duplicate));
        assert_eq!(reception.duplicates, 1);
    }
}
