//! How much is kept ahead of a loudspeaker besides one period of it: as little as its card and this machine allow.
//!
//! A call begins with two frames; each gap adds one; a calm time, in which the last one was never needed, takes one away. After each change
//! that time is twice as long, so that a busy machine does not try again and again.

use super::PLAYBACK_FRAME;

pub const FIRST_AHEAD: usize = 2;
const MOST_AHEAD: usize = 6;

/// 3 s and 16 min, in frames of 10 ms.
pub const FIRST_CALM_FRAMES: usize = 300;
const LONGEST_CALM_FRAMES: usize = 96_000;

/// What a look at the card has shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing new.
    Plain,
    /// The card has run dry since the last look.
    Gap,
    /// A calm time is over: what was least left is to be counted anew.
    Calm,
}

pub struct Ahead {
    frames: usize,
    gaps: u64,
    calm_frames: usize,
    calm_time: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { frames: FIRST_AHEAD, gaps: 0, calm_frames: 0, calm_time: FIRST_CALM_FRAMES }
    }
}

impl Ahead {
    /// Frames of 10 ms.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// `gaps`: all so far. `least_left`: the fewest samples that a callback has left since the last look that was not plain.
    pub fn look(&mut self, gaps: u64, least_left: usize) -> Look {
        let look = if gaps > self.gaps {
            self.change((self.frames + 1).min(MOST_AHEAD));
            Look::Gap
        } else if self.calm_frames >= self.calm_time {
            if least_left >= PLAYBACK_FRAME && self.frames > 0 {
                self.change(self.frames - 1);
            }
            Look::Calm
        } else {
            return Look::Plain;
        };
        self.gaps = gaps;
        self.calm_frames = 0;
        look
    }

    /// So many frames were given to the card.
    pub fn count(&mut self, frames: usize) {
        self.calm_frames += frames;
    }

    fn change(&mut self, frames: usize) {
        self.frames = frames;
        self.calm_time = (2 * self.calm_time).min(LONGEST_CALM_FRAMES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gap_adds_a_frame_and_doubles_the_time_that_takes_one_away() {
        let mut ahead = Ahead::default();
        assert_eq!([ahead.look(1, 0), ahead.look(1, 0)], [Look::Gap, Look::Plain]);
        ahead.count(2 * FIRST_CALM_FRAMES - 1);
        assert_eq!(ahead.look(1, PLAYBACK_FRAME), Look::Plain);
        ahead.count(1);
        assert_eq!((ahead.frames(), ahead.look(1, PLAYBACK_FRAME), ahead.frames()), (3, Look::Calm, 2));
        (2..20).for_each(|gaps| _ = ahead.look(gaps, 0));
        assert_eq!(ahead.frames(), MOST_AHEAD);
    }

    #[test]
    fn what_was_needed_in_a_calm_time_stays() {
        let mut ahead = Ahead::default();
        ahead.count(FIRST_CALM_FRAMES);
        assert_eq!((ahead.look(0, PLAYBACK_FRAME - 1), ahead.frames()), (Look::Calm, FIRST_AHEAD));
    }
}
