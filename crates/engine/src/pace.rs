//! When each frame was due that a card plays: the card's own time, without the lateness of its callbacks and of our looks at it.
//!
//! A frame is pulled when the card has made room for it. What a busy machine adds to that moment is no delay: the card plays the
//! frame when its turn comes. Told as the time of the pull, it would look like jitter of the network, and be waited for. So frames are
//! due 10 ms apart, as early as the earliest looks were, and follow a slower card by at most `RISE`.

use raccall_wire::Nanos;

use crate::sound::PLAYBACK_FRAME;

pub const FRAME_NANOS: Nanos = PLAYBACK_FRAME as Nanos * 62_500 / 3;

/// Per frame: 5000 ppm, more than any card is slow.
const RISE: Nanos = FRAME_NANOS / 200;

/// Later than that the card has stood still.
const LOST: Nanos = 10 * FRAME_NANOS;

#[derive(Default)]
pub struct Pace {
    last: Option<Nanos>,
}

impl Pace {
    /// When the first of `frames` was due that are pulled `now`; the others follow 10 ms apart.
    pub fn due(&mut self, frames: usize, now: Nanos) -> Nanos {
        let length = frames as Nanos * FRAME_NANOS;
        let last = match self.last {
            Some(last) if now < last + length + LOST => now.min(last + length + frames as Nanos * RISE),
            _ => now,
        };
        self.last = Some(last);
        last + FRAME_NANOS - length
    }

    /// The card has played silence meanwhile: what follows is later by that.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn late_looks_change_nothing() {
        let mut pace = Pace::default();
        let start = 1_000 * MS;
        pace.due(1, start);
        for number in 1..=300 {
            let nominal = start + number * 10 * MS;
            let late = if number % 10 == 0 { 0 } else { number * 7_919 % 9 * MS };
            let due = pace.due(1, nominal + late);
            assert!((nominal..nominal + MS / 2).contains(&due), "{number}: {} us", (due - nominal) / 1_000);
        }
    }

    #[test]
    fn what_a_missed_look_left_was_due_one_after_the_other() {
        let mut pace = Pace::default();
        pace.due(1, 1_000 * MS);
        let due = pace.due(2, 1_020 * MS);
        assert_eq!((due, pace.due(1, 1_030 * MS)), (1_010 * MS, 1_030 * MS));
    }

    #[test]
    fn a_slow_card_is_followed_and_one_that_stood_still_begins_anew() {
        let mut pace = Pace::default();
        let mut now = 1_000 * MS;
        for _ in 0..1_000 {
            now += FRAME_NANOS + FRAME_NANOS / 1_000;
            assert!(now - pace.due(1, now) < MS / 10);
        }
        assert_eq!(pace.due(1, now + 500 * MS), now + 500 * MS);
        pace.reset();
        assert_eq!(pace.due(1, now + 530 * MS), now + 530 * MS);
    }
}
