//! What the relay knows of one session's sending: replay window, loss and jitter (RFC 3550 sections 6.4.1, A.3 and A.8).

use raccall_wire::Nanos;
use raccall_wire::replay::{ReplayWindow, Verdict};
use raccall_wire::rtcp::ReportBlock;
use raccall_wire::sequence::Extended16;

use crate::queueing::Queueing;

/// The first extended sequence number is one wrap up, so that reordered ones before it do not underflow.
const FIRST_WRAP: u64 = 1 << 16;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

pub(crate) struct Uplink {
    sequence: Extended16,
    window: ReplayWindow,
    lowest: Option<u64>,
    highest: u64,
    received: u64,
    /// Arrival minus RTP timestamp of the newest packet, in 48 kHz ticks.
    transit: u32,
    /// In ticks, times 16, as RFC 3550 A.8 keeps it.
    jitter_16ths: u32,
    last_report: Progress,
    last_sender_report: Option<SenderReport>,
    pub(crate) queueing: Queueing,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    expected: u64,
    received: u64,
}

#[derive(Clone, Copy)]
struct SenderReport {
    ntp: u64,
    arrived: Nanos,
}

impl Uplink {
    pub(crate) fn new() -> Self {
        Self {
            sequence: Extended16::new(),
            window: ReplayWindow::new(),
            lowest: None,
            highest: 0,
            received: 0,
            transit: 0,
            jitter_16ths: 0,
            last_report: Progress::default(),
            last_sender_report: None,
            queueing: Queueing::default(),
        }
    }

    /// Takes an authentic packet of `bytes` sealed bytes into account, unless it is a duplicate or too old.
    pub(crate) fn accept(&mut self, now: Nanos, sequence: u16, timestamp: u32, bytes: usize) -> Verdict {
        let extended = self.sequence.extend(sequence);
        let verdict = self.window.accept(extended);
        if !verdict.is_fresh() {
            return verdict;
        }
        let transit = ticks(now).wrapping_sub(timestamp);
        if self.lowest.is_some() {
            let deviation = (transit.wrapping_sub(self.transit) as i32).unsigned_abs().min(1 << 24);
            self.jitter_16ths = self.jitter_16ths - ((self.jitter_16ths + 8) >> 4) + deviation;
        }
        self.transit = transit;
        self.received += 1;
        self.lowest = Some(self.lowest.map_or(extended, |lowest| lowest.min(extended)));
        self.highest = self.highest.max(extended);
        self.queueing.count(bytes);
        if verdict == Verdict::Newest {
            self.queueing.take(now, extended, timestamp);
        }
        verdict
    }

    /// Takes a sender report into account. Whether it is newer than every one before it.
    pub(crate) fn sender_report(&mut self, now: Nanos, ntp: u64) -> bool {
        if self.last_sender_report.is_some_and(|last| ntp <= last.ntp) {
            return false;
        }
        self.last_sender_report = Some(SenderReport { ntp, arrived: now });
        true
    }

    /// What to tell the session about its own sending; the next fraction is that since this report.
    pub(crate) fn report(&mut self, ssrc: u32, now: Nanos) -> ReportBlock {
        let block = self.block(ssrc, now);
        self.last_report = Progress { expected: self.expected(), received: self.received };
        block
    }

    /// The same beside the reports; the fraction is that since the last of them.
    pub(crate) fn block(&self, ssrc: u32, now: Nanos) -> ReportBlock {
        let expected = self.expected() - self.last_report.expected;
        let lost = expected.saturating_sub(self.received - self.last_report.received);
        let (last_sr, delay_since_last_sr) = self.last_sender_report.map_or((0, 0), |report| {
            let delay = u128::from(now.saturating_sub(report.arrived)) * 65_536 / u128::from(NANOS_PER_SECOND);
            ((report.ntp >> 16) as u32, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        ReportBlock {
            ssrc,
            fraction_lost: (lost * 256).checked_div(expected).unwrap_or(0).min(255) as u8,
            lost: self.lost().min(0x7F_FFFF) as i32,
            highest_sequence: self.highest.saturating_sub(FIRST_WRAP) as u32,
            jitter: self.jitter_ticks(),
            last_sr,
            delay_since_last_sr,
        }
    }

    pub(crate) fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    pub(crate) fn jitter_ticks(&self) -> u32 {
        self.jitter_16ths >> 4
    }

    fn expected(&self) -> u64 {
        self.lowest.map_or(0, |lowest| self.highest - lowest + 1)
    }
}

/// A monotonic time as 48 kHz RTP ticks, which wrap.
fn ticks(now: Nanos) -> u32 {
    (u128::from(now) * 48_000 / u128::from(NANOS_PER_SECOND)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_NS: Nanos = 20_000_000;

    #[test]
    fn loss_since_the_last_report_and_in_all() {
        let mut uplink = Uplink::new();
        for step in (0..100_u64).filter(|step| step % 4 != 3) {
            uplink.accept(step * FRAME_NS, (65_500 + step) as u16, 960 * step as u32, 100);
        }
        let block = uplink.report(7, 2_000_000_000);
        assert_eq!((block.ssrc, block.lost), (7, 24)); // the very last loss cannot be known yet
        assert_eq!(block.fraction_lost, (24 * 256 / 99) as u8);
        assert_eq!(block.highest_sequence, 65_500 + 98);
        assert_eq!(block.jitter, 0);
        for step in 100..200_u64 {
            uplink.accept(step * FRAME_NS, (65_500 + step) as u16, 960 * step as u32, 100);
        }
        let block = uplink.report(7, 4_000_000_000);
        assert_eq!((block.lost, block.fraction_lost), (25, (256 / 101) as u8));
    }

    #[test]
    fn reordering_duplicates_and_replays_are_no_loss() {
        let mut uplink = Uplink::new();
        let verdicts = [5_u16, 4, 6, 6, 3].map(|sequence| uplink.accept(0, sequence, 0, 100));
        assert_eq!(verdicts, [Verdict::Newest, Verdict::Late, Verdict::Newest, Verdict::Duplicate, Verdict::Late]);
        assert_eq!(uplink.report(1, 0).lost, 0);
    }

    #[test]
    fn jitter_settles_at_the_mean_deviation() {
        let mut uplink = Uplink::new();
        for step in 0..1000_u64 {
            let late = if step % 2 == 1 { 2_000_000 } else { 0 }; // 2 ms = 96 ticks
            uplink.accept(step * FRAME_NS + late, step as u16, 960 * step as u32, 100);
        }
        assert!((90..=97).contains(&uplink.jitter_ticks()), "{}", uplink.jitter_ticks());
    }

    #[test]
    fn round_trip_fields_echo_the_newest_sender_report() {
        let mut uplink = Uplink::new();
        assert!(uplink.sender_report(1_000_000_000, 0x1111_2222_3333_4444));
        assert!(!uplink.sender_report(1_100_000_000, 0x1111_2222_3333_4444));
        let block = uplink.report(1, 1_500_000_000);
        assert_eq!((block.last_sr, block.delay_since_last_sr), (0x2222_3333, 32_768));
    }
}
