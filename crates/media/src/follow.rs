//! Shortens and lengthens decoded sound, so that the delay follows its target.
//!
//! Policy
//! * **In a pause** any length of it may go, and each 10 ms of it may be doubled.
//! * **In speech** one pitch period at a time, where it is not heard (see `stretch`), and never so often that the pace changes by more than 25 %.
//! * **While packets are held up** speech may take twice as long: the alternative is to make sound up.
//! * **Both channels** are cut and lengthened at the same place, found in both together.
//! * A little too much or too little is left alone: less than a period could not be mended by one.

use crate::frame::{PULL_SAMPLES, SAMPLES_PER_MS};
use crate::planes::{MOST_PLANES, Planes};
use crate::silence::Pauses;
use crate::stretch::{self, LONGEST_PERIOD, SHORTEST_PERIOD, Splice};

/// Speech changes by at most this part of what is played.
const PACE: f32 = 0.25;

/// The same while packets are held up.
const URGENT_PACE: f32 = 0.5;

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
    /// `is_urgent`: sound may run out.
    pub fn wanted(&mut self, energy: f32, surplus_ms: f32, is_urgent: bool) -> Option<Change> {
        self.quiet = self.pauses.is_quiet(energy);
        let speech_pace = if is_urgent { URGENT_PACE } else { PACE };
        let pace = if self.quiet { PAUSE_PACE } else { speech_pace };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planes::PlaneFrame;

    /// For how many pulls a second of a 200 Hz voice lasts while it is wanted slower.
    fn pulls_of_a_second(is_urgent: bool) -> usize {
        let mut follower = Follower::default();
        let mut queue = Planes::with_capacity(100 * PULL_SAMPLES + 3 * LONGEST_PERIOD);
        queue.grow(100 * PULL_SAMPLES);
        let voice = queue.all_mut()[0].iter_mut().enumerate();
        voice.for_each(|(n, sample)| *sample = 0.3 * (n as f32 * std::f32::consts::TAU / 240.0).sin());
        let mut frame = PlaneFrame::default();
        let mut pulls = 0;
        while queue.len() >= PULL_SAMPLES {
            if let Some(change) = follower.wanted(0.045, -15.0, is_urgent) {
                follower.change(&mut queue, change);
            }
            queue.take(&mut frame);
            follower.played(frame.all());
            pulls += 1;
        }
        pulls
    }

    #[test]
    fn speech_is_slowed_by_a_quarter_and_to_half_while_packets_are_held_up() {
        let (calm, urgent) = (pulls_of_a_second(false), pulls_of_a_second(true));
        assert!((125..=135).contains(&calm), "{calm}");
        assert!((190..=205).contains(&urgent), "{urgent}");
    }
}
