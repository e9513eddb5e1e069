//! The sequence numbers of a source that is not always heard.
//!
//! What was kept back must not look lost: a listener would conceal it, report it, and its sender would add redundancy in
//! vain. So the packets that are let through are numbered without a gap, and the first after an absence carries the marker,
//! which says that a new talk spurt begins (RFC 3551 section 4.1). Timestamps stay: they tell how long the absence was.
//! Real losses stay gaps, and late packets still fill them.

use raccall_wire::sequence::Extended16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Splice {
    sequence: Extended16,
    /// The newest that was let through, and the first since the last absence; as the sender numbered them.
    newest: Option<u64>,
    since: u64,
    /// By how much the listeners' numbers are lower.
    kept_back: u64,
    absent: bool,
}

/// What listeners get in place of a packet's sequence number and marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spliced {
    pub(crate) sequence: u16,
    /// Set the marker; else leave it as it is.
    pub(crate) begins: bool,
}

impl Splice {
    /// One fresh packet, in the order of arrival. `None`: it is not let through.
    pub(crate) fn pass(&mut self, sequence: u16, heard: bool) -> Option<Spliced> {
        let extended = self.sequence.extend(sequence);
        let begins = match self.newest {
            Some(newest) if extended < newest => {
                // Late: it belongs to what was let through, whoever is heard now, or to what was kept back.
                return (extended >= self.since).then(|| self.spliced(extended, false));
            }
            _ if !heard => {
                self.absent = true;
                return None;
            }
            Some(newest) if self.absent => {
                self.kept_back = extended - (newest - self.kept_back + 1);
                true
            }
            Some(_) => false,
            None => self.absent,
        };
        if begins || self.newest.is_none() {
            self.since = extended;
        }
        self.absent = false;
        self.newest = Some(extended);
        Some(self.spliced(extended, begins))
    }

    fn spliced(&self, extended: u64, begins: bool) -> Spliced {
        Spliced { sequence: (extended - self.kept_back) as u16, begins }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(splice: &mut Splice, packets: impl IntoIterator<Item = (u16, bool)>) -> Vec<(u16, bool)> {
        let passed = packets.into_iter().filter_map(|(sequence, heard)| splice.pass(sequence, heard));
        passed.map(|spliced| (spliced.sequence, spliced.begins)).collect()
    }

    #[test]
    fn who_is_always_heard_keeps_its_numbers() {
        let mut splice = Splice::default();
        let sent: Vec<u16> = (0..70_000_u32).filter(|i| i % 7 != 3).map(|i| (i + 65_000) as u16).collect();
        let passed = numbers(&mut splice, sent.iter().map(|sequence| (*sequence, true)));
        assert_eq!(passed, sent.into_iter().map(|sequence| (sequence, false)).collect::<Vec<_>>());
    }

    #[test]
    fn an_absence_leaves_no_gap_and_a_marker() {
        let mut splice = Splice::default();
        let packets =
            [(65_534, true), (65_535, true), (0, false), (1, false), (2, true), (3, true), (4, false), (9, true)];
        let passed = numbers(&mut splice, packets);
        assert_eq!(passed, [(65_534, false), (65_535, false), (0, true), (1, false), (2, true)]);
    }

    #[test]
    fn who_was_kept_back_from_the_start_begins_with_a_marker() {
        let mut splice = Splice::default();
        assert_eq!(numbers(&mut splice, [(5, false), (6, false), (7, true), (8, true)]), [(7, true), (8, false)]);
    }

    #[test]
    fn late_packets_fill_their_gap_or_stay_away() {
        let mut splice = Splice::default();
        let packets =
            [(10, true), (12, true), (13, false), (11, false), (15, false), (17, true), (16, true), (14, true)];
        let passed = numbers(&mut splice, packets);
        // 11 belongs to what was heard; 16 and 14 were sent before the return
        assert_eq!(passed, [(10, false), (12, false), (11, false), (13, true)]);
    }

    #[test]
    fn a_real_loss_stays_a_gap() {
        let mut splice = Splice::default();
        let packets = [(1, true), (2, false), (3, true), (5, true), (4, true)];
        assert_eq!(numbers(&mut splice, packets), [(1, false), (2, true), (4, false), (3, false)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Whatever is kept back, lost and reordered on the way to the relay: listeners get each number once, and miss
        /// exactly what was lost while the source was heard.
        #[test]
        fn listeners_miss_only_what_was_lost(
            first in any::<u16>(),
            spurts in prop::collection::vec((1..400_usize, 0..3000_usize), 1..30),
            lost in prop::collection::vec(0..10_u8, 97),
            swapped in any::<u64>(),
        ) {
            let heard = spurts.iter().flat_map(|(heard, away)| {
                std::iter::repeat_n(true, *heard).chain(std::iter::repeat_n(false, *away))
            });
            // A spurt's first and last packet always come, so that what lies between is known to be missing.
            let flags: Vec<bool> = heard.collect();
            let edge = |i: usize| i == 0 || i + 1 == flags.len() || flags[i - 1] != flags[i] || flags[i + 1] != flags[i];
            let mut packets: Vec<(usize, u16, bool)> = flags.iter().enumerate()
                .filter(|(i, _)| edge(*i) || lost[i % 97] > 0)
                .map(|(i, heard)| (i, first.wrapping_add(i as u16), *heard))
                .collect();
            for at in (1..packets.len().saturating_sub(1)).step_by(2) {
                let (a, b) = (packets[at].0, packets[at + 1].0);
                let inside = flags[a.saturating_sub(1)..=(b + 1).min(flags.len() - 1)].iter().all(|flag| *flag == flags[a]);
                if inside && swapped >> (at % 64) & 1 == 1 {
                    packets.swap(at, at + 1);
                }
            }
            let mut splice = Splice::default();
            let mut out = Extended16::new();
            let mut numbers = Vec::new();
            for (_, sequence, heard) in &packets {
                match splice.pass(*sequence, *heard) {
                    Some(spliced) => numbers.push(out.extend(spliced.sequence)),
                    None => prop_assert!(!heard, "{sequence} was heard and not let through"),
                }
            }
            let (sent, came) = (flags.iter().filter(|heard| **heard).count(), numbers.len());
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(numbers.len(), came, "a number twice");
            prop_assert_eq!((numbers[came - 1] - numbers[0]) as usize + 1, sent, "a gap that is no loss, or the reverse");
        }
    }
}
