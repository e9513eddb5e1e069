//! Shortens and lengthens decoded sound, so that the delay follows its target.
//!
//! Policy
//! * **In a pause** any length of it may go, and each 10 ms of it may be doubled.
//! * **In speech** one pitch period at a time, where it is not heard (see `stretch`), and never so often that the pace changes by more than 25 %.
//! * **Both channels** are cut and lengthened at the same place, found in both together.
//! * A little too much or too little is left alone: less than a period could not be mended by one.

use crate::frame::{PULL_SAMPLES, SAMPLES_PER_MS};
use crate::planes::{MOST_PLANES, Planes};
use crate::silence::Pauses;
use crate::stretch::{self, LONGEST_PERIOD, SHORTEST_PERIOD, Splice};

/// Speech changes by at most this part of what is played.
const PACE: f32 = 0.25;

/// A pause becomes at most four times as long: a quarter of it is new.
const PAUSE_PACE: f32 = 0.75;

/// The delay is left alone while it is this near its target, in ms: below it, above it.
const TOLERANCE_MS: (f32, f32) = (-0.2, 2.5);

/// Least that is cut out of or put into a pause.
const LEAST_PAUSE_SAMPLES: usize = 2 * SAMPLES_PER_MS;

/// What may be done to the next 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// By at most that many samples.
    Shorten(usize),
    Lengthen(usize),
}

#[derive(Debug)]
pub struct Follower {
    pauses: Pauses,
    quiet: bool,
    /// Samples of speech that may be changed now; negative after a change.
    allowance: f32,
    /// What was given out last.
    played: [[f32; LONGEST_PERIOD]; MOST_PLANES],
    pub stretched_samples: u64,
    pub paused_samples: u64,
}

impl Default for Follower {
    fn default() -> Self {
        Self {
            pauses: Pauses::default(),
            quiet: false,
            allowance: 0.0,
            played: [[0.0; LONGEST_PERIOD]; MOST_PLANES],
            stretched_samples: 0,
            paused_samples: 0,
        }
    }
}

impl Follower {
    /// What would help with the frame that is played next, of this energy (mean square), for this surplus of delay.
    pub fn wanted(&mut self, energy: f32, surplus_ms: f32) -> Option<Change> {
        self.quiet = self.pauses.is_quiet(energy);
        let pace = if self.quiet { PAUSE_PACE } else { PACE };
        let most = if self.quiet { PULL_SAMPLES as f32 / 2.0 } else { 0.0 };
        self.allowance = (self.allowance + pace * PULL_SAMPLES as f32).min(most);
        let is_allowed = self.allowance >= 0.0;
        let samples = (surplus_ms.abs() * SAMPLES_PER_MS as f32) as usize;
        if surplus_ms > TOLERANCE_MS.1 && (self.quiet || is_allowed) {
            Some(Change::Shorten(samples))
        } else if surplus_ms < TOLERANCE_MS.0 && is_allowed {
            Some(Change::Lengthen(samples))
        } else {
            None
        }
    }

    /// Changes the beginning of `queue`, as far as it holds enough.
    pub fn change(&mut self, queue: &mut Planes, change: Change) {
        let done = match change {
            Change::Shorten(samples) => self.shorten(queue, samples),
            Change::Lengthen(samples) => self.lengthen(queue, samples),
        };
        self.allowance -= done as f32;
        if self.quiet {
            self.paused_samples += done as u64;
        } else {
            self.stretched_samples += done as u64;
        }
    }

    /// Remembers a frame that is given out, by its planes.
    pub fn played<P: AsRef<[f32]>>(&mut self, frame: &[P]) {
        for (played, frame) in self.played.iter_mut().zip(frame) {
            let frame = frame.as_ref();
            played.copy_within(frame.len().., 0);
            played[LONGEST_PERIOD - frame.len()..].copy_from_slice(frame);
        }
    }

    fn shorten(&mut self, queue: &mut Planes, samples: usize) -> usize {
        let mut middle = LONGEST_PERIOD.min(queue.len() / 2);
        let splice = if self.quiet {
            middle = samples.min(PULL_SAMPLES).min(queue.len() / 2);
            (middle >= LEAST_PAUSE_SAMPLES).then(|| Splice::in_silence(middle))
        } else {
            let count = queue.all().len();
            stretch::find(&queue.views(0..2 * middle)[..count], middle, samples.max(SHORTEST_PERIOD))
        };
        let Some(splice) = splice else { return 0 };
        queue.all_mut().iter_mut().for_each(|plane| stretch::shorten(plane, middle, splice));
        splice.samples
    }

    fn lengthen(&mut self, queue: &mut Planes, samples: usize) -> usize {
        let splice = if self.quiet {
            let longest = samples.clamp(LEAST_PAUSE_SAMPLES, PULL_SAMPLES).min(queue.len());
            (longest >= LEAST_PAUSE_SAMPLES).then(|| Splice::in_silence(longest))
        } else {
            let side = LONGEST_PERIOD.min(queue.len());
            let count = queue.all().len();
            let mut sounds = [[0.0; 2 * LONGEST_PERIOD]; MOST_PLANES];
            for (sound, (played, queue)) in sounds.iter_mut().zip(self.played.iter().zip(queue.all())) {
                sound[..LONGEST_PERIOD].copy_from_slice(played);
                sound[LONGEST_PERIOD..LONGEST_PERIOD + side].copy_from_slice(&queue[..side]);
            }
            let views = sounds.each_ref().map(|sound| &sound[LONGEST_PERIOD - side..LONGEST_PERIOD + side]);
            stretch::find(&views[..count], side, samples.max(SHORTEST_PERIOD))
        };
        let Some(splice) = splice else { return 0 };
        for (plane, played) in queue.all_mut().iter_mut().zip(&self.played) {
            stretch::lengthen(plane, played, splice);
        }
        splice.samples
    }
}
