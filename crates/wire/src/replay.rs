//! Each packet once: a sliding window over extended sequence numbers (the scheme of RFC 6479).
//!
//! Keep one per source and ask it only about packets whose seal was valid. It runs on the sequence and never on the nonce,
//! because clients count nonces from anywhere and in either byte order.

/// How far behind the newest a packet is still judged: 20 s of voice. More than any jitter buffer waits.
pub const WINDOW_PACKETS: u64 = 1024;

// One word more than the window: the word that the newest is in is being filled while the oldest is still needed.
const WORDS: u64 = WINDOW_PACKETS / 64 + 1;

/// What the window says about one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Ahead of everything seen.
    Newest,
    /// Behind the newest, seen for the first time.
    Late,
    /// Seen before.
    Duplicate,
    /// So far behind that it cannot be told; treat like a duplicate.
    TooOld,
}

impl Verdict {
    /// Whether the packet is to be used.
    pub fn is_fresh(self) -> bool {
        matches!(self, Self::Newest | Self::Late)
    }
}

#[derive(Clone, Debug, Default)]
pub struct ReplayWindow {
    newest: Option<u64>,
    seen: [u64; WORDS as usize],
}

impl ReplayWindow {
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges one packet and remembers it.
    pub fn accept(&mut self, extended_sequence: u64) -> Verdict {
        let verdict = match self.newest {
            Some(newest) if extended_sequence <= newest => {
                if newest - extended_sequence >= WINDOW_PACKETS {
                    return Verdict::TooOld;
                }
                Verdict::Late
            }
            newest => {
                self.forget_between(newest, extended_sequence);
                self.newest = Some(extended_sequence);
                Verdict::Newest
            }
        };
        let word = &mut self.seen[(extended_sequence / 64 % WORDS) as usize];
        let bit = 1 << (extended_sequence % 64);
        if *word & bit != 0 {
            return Verdict::Duplicate;
        }
        *word |= bit;
        verdict
    }

    /// Clears the words that the window enters by moving on to `next`.
    fn forget_between(&mut self, newest: Option<u64>, next: u64) {
        let Some(newest) = newest else { return };
        let (from, to) = (newest / 64, next / 64);
        for word in (to - (to - from).min(WORDS) + 1)..=to {
            self.seen[(word % WORDS) as usize] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_verdict() {
        let mut window = ReplayWindow::new();
        assert_eq!(window.accept(70_000), Verdict::Newest);
        assert_eq!(window.accept(70_000), Verdict::Duplicate);
        assert_eq!(window.accept(69_990), Verdict::Late);
        assert_eq!(window.accept(69_990), Verdict::Duplicate);
        assert_eq!(window.accept(71_000), Verdict::Newest);
        assert_eq!(window.accept(71_000 - 1023), Verdict::Late);
        assert_eq!(window.accept(71_000 - 1024), Verdict::TooOld);
        assert_eq!(window.accept(u64::MAX), Verdict::Newest);
        assert_eq!(window.accept(71_000), Verdict::TooOld);
    }

    #[test]
    fn nothing_within_the_window_is_forgotten() {
        let mut window = ReplayWindow::new();
        for newest in 70_000..72_300 {
            assert_eq!(window.accept(newest), Verdict::Newest);
            for seen in (newest - WINDOW_PACKETS + 1).max(70_000)..=newest {
                assert_eq!(window.accept(seen), Verdict::Duplicate, "{seen} with newest {newest}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_a_plain_set(steps in prop::collection::vec(-1100_i64..1400, 1..300)) {
            let (mut window, mut seen) = (ReplayWindow::new(), HashSet::new());
            let mut newest = 0_u64;
            for step in steps {
                let sequence = (newest.max(200_000)).saturating_add_signed(step);
                let expected = if !seen.is_empty() && sequence + WINDOW_PACKETS <= newest {
                    Verdict::TooOld
                } else if !seen.insert(sequence) {
                    Verdict::Duplicate
                } else if sequence > newest {
                    Verdict::Newest
                } else {
                    Verdict::Late
                };
                newest = newest.max(sequence);
                prop_assert_eq!(window.accept(sequence), expected);
            }
        }
    }
}
