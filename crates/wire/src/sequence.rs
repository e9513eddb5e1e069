//! Wrapping counters made 64 bits wide, once, at the border. All wrap arithmetic of the project is in this file.
//!
//! A value is read as the one nearest to the newest seen so far. The first value maps to itself plus one wrap, so that
//! packets which were sent before it and arrive after it do not fall below zero. Feed only values whose seal was valid:
//! a forged one would move the newest.

/// Extends 16-bit sequence numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extended16 {
    newest: Option<u64>,
}

impl Extended16 {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn extend(&mut self, value: u16) -> u64 {
        let Some(newest) = self.newest else {
            return *self.newest.insert(u64::from(value) + (1 << 16));
        };
        let step = value.wrapping_sub(newest as u16) as i16;
        let extended = newest.saturating_add_signed(step.into());
        self.newest = Some(newest.max(extended));
        extended
    }
}

/// Extends 32-bit RTP timestamps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extended32 {
    newest: Option<u64>,
}

impl Extended32 {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn extend(&mut self, value: u32) -> u64 {
        let Some(newest) = self.newest else {
            return *self.newest.insert(u64::from(value) + (1 << 32));
        };
        let step = value.wrapping_sub(newest as u32) as i32;
        let extended = newest.saturating_add_signed(step.into());
        self.newest = Some(newest.max(extended));
        extended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_than_the_first_does_not_underflow() {
        let mut sequence = Extended16::new();
        assert_eq!(sequence.extend(0), 65_536);
        assert_eq!(sequence.extend(65_535), 65_535);
        assert_eq!(sequence.extend(1), 65_537);
    }

    #[test]
    fn a_straggler_does_not_move_the_newest() {
        let mut sequence = Extended16::new();
        assert_eq!(sequence.extend(0), 65_536);
        assert_eq!(sequence.extend(40_000), 40_000);
        assert_eq!(sequence.extend(20_000), 85_536);
        let mut timestamp = Extended32::new();
        assert_eq!(timestamp.extend(0), 1 << 32);
        assert_eq!(timestamp.extend(2_600_000_000), 2_600_000_000);
        assert_eq!(timestamp.extend(1_300_000_000), (1 << 32) + 1_300_000_000);
    }

    #[test]
    fn order_survives_many_wraps_with_reordering() {
        let (mut sequence, mut timestamp) = (Extended16::new(), Extended32::new());
        for i in 0..400_000_u64 {
            let i = i ^ 3; // 3 2 1 0 7 6 5 4 ...
            let (seq, ts) = (i + 65_000, i * 96_000 + 0xFFF0_0000);
            assert_eq!(sequence.extend(seq as u16), seq + (1 << 16));
            assert_eq!(timestamp.extend(ts as u32), ts + (1 << 32));
        }
    }
}
