//! What was sent lately, so that a report can be read: which packets it is about, and what is still on its way.

use raccall_wire::Nanos;

/// More than a second of packets of 20 ms. What is older has arrived, or never will.
const REMEMBERED: usize = 64;

/// Packets sent and not arrived when a report was written.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct UnderWay {
    pub packets: u16,
    /// Sealed, without UDP and IP headers.
    pub bytes: u32,
    /// When the oldest of them was sent.
    pub since: Option<Nanos>,
}

#[derive(Debug)]
pub struct Flight {
    sent: [(Nanos, u32); REMEMBERED],
    count: usize,
    /// Of the next packet.
    sequence: u16,
}

impl Flight {
    pub fn new(first_sequence: u16) -> Self {
        Self { sent: [(0, 0); REMEMBERED], count: 0, sequence: first_sequence }
    }

    /// One packet more, of `bytes` sealed bytes.
    pub fn sent(&mut self, bytes: usize, now: Nanos) {
        self.sent[usize::from(self.sequence) % REMEMBERED] = (now, bytes as u32);
        self.count = (self.count + 1).min(REMEMBERED);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// What followed `highest`, which has arrived. Nothing if that is so long ago that the report is about an earlier sender.
    pub fn behind(&self, highest: u16) -> UnderWay {
        let packets = self.sequence.wrapping_sub(highest).wrapping_sub(1);
        if packets == 0 || usize::from(packets) > self.count {
            return UnderWay::default();
        }
        let place = |behind: u16| usize::from(self.sequence.wrapping_sub(behind)) % REMEMBERED;
        let bytes = (1..=packets).map(|behind| self.sent[place(behind)].1).sum();
        UnderWay { packets, bytes, since: Some(self.sent[place(packets)].0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_counted_across_the_wrap() {
        let mut flight = Flight::new(65_530);
        assert_eq!(flight.behind(65_529), UnderWay::default());
        (0..10).for_each(|number| flight.sent(100 + number, 1_000 * number as Nanos));
        assert_eq!(flight.behind(3), UnderWay::default());
        assert_eq!(flight.behind(1), UnderWay { packets: 2, bytes: 108 + 109, since: Some(8_000) });
        assert_eq!(flight.behind(65_529), UnderWay { packets: 10, bytes: 1_045, since: Some(0) });
    }

    #[test]
    fn a_report_about_another_sender_tells_nothing() {
        let mut flight = Flight::new(0);
        (0..200).for_each(|number| flight.sent(100, number));
        assert_eq!(flight.behind(135).packets, 64);
        for stranger in [134, 30_000, 200] {
            assert_eq!(flight.behind(stranger), UnderWay::default(), "{stranger}");
        }
    }
}
