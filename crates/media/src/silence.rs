//! Drops or repeats 10 ms where nobody speaks, so that the delay follows its target unheard.

use crate::frame::{PULL_SAMPLES, energy};

/// A frame 25 dB below the loudest of the last seconds is silence between words.
const QUIET: f32 = 0.003;

/// Per 10 ms: the loudest fades by half in about 3 s.
const FORGET: f32 = 0.9977;

/// Below -70 dB it is silence whatever came before.
const ALWAYS_QUIET: f32 = 1e-7;

#[derive(Debug, Default)]
pub struct Pauses {
    loudest: f32,
}

impl Pauses {
    /// Whether this frame is a pause. Asked once per frame played.
    pub fn is_quiet(&mut self, frame: &[f32]) -> bool {
        let energy = energy(frame);
        self.loudest = (self.loudest * FORGET).max(energy);
        energy <= self.loudest * QUIET || energy <= ALWAYS_QUIET
    }
}

/// Makes the first two frames of `queue` one: the first fades into the second.
pub fn drop_frame(queue: &mut Vec<f32>) {
    for i in 0..PULL_SAMPLES {
        let part = i as f32 / PULL_SAMPLES as f32;
        queue[i] = queue[i] * (1.0 - part) + queue[i + PULL_SAMPLES] * part;
    }
    queue.copy_within(2 * PULL_SAMPLES.., PULL_SAMPLES);
    queue.truncate(queue.len() - PULL_SAMPLES);
}

/// Puts a frame before the first of `queue`: it begins like the first and ends like `played`, the one before it.
pub fn repeat_frame(queue: &mut Vec<f32>, played: &[f32; PULL_SAMPLES]) {
    let length = queue.len();
    queue.resize(length + PULL_SAMPLES, 0.0);
    queue.copy_within(..length, PULL_SAMPLES);
    for i in 0..PULL_SAMPLES {
        let part = i as f32 / PULL_SAMPLES as f32;
        queue[i] = queue[i + PULL_SAMPLES] * (1.0 - part) + played[i] * part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(from: usize, frames: usize) -> Vec<f32> {
        (from..from + frames * PULL_SAMPLES).map(|i| i as f32).collect()
    }

    #[test]
    fn dropping_joins_without_a_step() {
        let mut queue = line(0, 3);
        drop_frame(&mut queue);
        assert_eq!(queue.len(), 2 * PULL_SAMPLES);
        assert_eq!(queue[0], 0.0);
        assert!(queue.windows(2).all(|pair| (pair[1] - pair[0]).abs() <= 2.1));
        assert_eq!(queue[PULL_SAMPLES], 960.0);
    }

    #[test]
    fn repeating_joins_without_a_step() {
        let played: [f32; PULL_SAMPLES] = line(0, 1).try_into().unwrap();
        let mut queue = line(480, 2);
        repeat_frame(&mut queue, &played);
        assert_eq!(queue.len(), 3 * PULL_SAMPLES);
        assert_eq!(queue[0], 480.0);
        assert!((queue[PULL_SAMPLES] - queue[PULL_SAMPLES - 1]).abs() < 2.1);
        assert_eq!(&queue[PULL_SAMPLES..], &line(480, 2));
    }

    #[test]
    fn a_pause_is_quiet_against_the_speech_around_it() {
        let mut pauses = Pauses::default();
        assert!(pauses.is_quiet(&[0.0; 480]));
        assert!(!pauses.is_quiet(&[0.1; 480]));
        assert!(pauses.is_quiet(&[0.004; 480]));
        assert!(!pauses.is_quiet(&[0.02; 480]));
    }
}
