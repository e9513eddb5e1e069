//! Makes sound a little shorter or longer without changing its pitch (PICOLA: one pitch period is cut out or put in, with a cross-fade).
//!
//! Pure functions on decoded sound. A *splice* joins two stretches of sound that lie one period apart. Where they resemble each other the
//! join is not heard. They resemble in voiced speech at the pitch period, and nowhere in a consonant's onset: there nothing is done. Noise
//! has no period, but any splice of it sounds like noise, if the fade keeps its power: two parts that resemble by `r` are weighted so
//! that a² + b² + 2 r a b = 1.

use crate::frame::{SAMPLES_PER_MS, energy, product};
use crate::planes::MOST_PLANES;

/// 400 Hz down to 67 Hz: the pitch of a child and of a deep voice.
pub const SHORTEST_PERIOD: usize = 5 * SAMPLES_PER_MS / 2;
pub const LONGEST_PERIOD: usize = 15 * SAMPLES_PER_MS;

/// Resemblance (normalised correlation) from which a splice of speech is not heard.
const ALIKE: f32 = 0.85;

/// The search runs on every eighth sample's mean: 6 kHz hold the pitch and the first formant.
const COARSE: usize = 8;
const COARSE_LENGTH: usize = 2 * LONGEST_PERIOD / COARSE;

/// A lag is compared over at least this long: shorter parts resemble by chance.
const LEAST_WINDOW: usize = 5 * SAMPLES_PER_MS;

/// A place to splice: how long what is cut out or put in is, and how much the two sides resemble each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Splice {
    pub samples: usize,
    pub likeness: f32,
}

impl Splice {
    /// For sound that is nearly silent: any length will do.
    pub fn in_silence(samples: usize) -> Self {
        Self { samples, likeness: 0.0 }
    }

    /// Weights of what fades out and of what fades in, `part` (0 to 1) of the way.
    fn weights(&self, part: f32) -> (f32, f32) {
        let (out, into) = (1.0 - part, part);
        let power = out * out + into * into + 2.0 * self.likeness.max(0.0) * out * into;
        let scale = 1.0 / power.sqrt();
        (out * scale, into * scale)
    }
}

/// The best splice of at most `longest` samples around `middle`: what lies before it repeats after it. Nothing if no period is to be heard.
///
/// `sound`: a slice for each plane, equally long; what is found is best for all of them together. In each, `[..middle]` is the earlier side. Both
/// sides have to hold what is compared.
pub fn find(sound: &[&[f32]], middle: usize, longest: usize) -> Option<Splice> {
    let side = middle.min(sound[0].len().saturating_sub(middle)).min(LONGEST_PERIOD);
    let longest = longest.min(side);
    if longest < SHORTEST_PERIOD {
        return None;
    }
    let mut near: [&[f32]; MOST_PLANES] = [&[]; MOST_PLANES];
    near.iter_mut().zip(sound).for_each(|(near, sound)| *near = &sound[middle - side..middle + side]);
    let near = &near[..sound.len()];
    let coarse = coarse_period(near, side, longest)?;
    let lowest = (coarse - COARSE).max(SHORTEST_PERIOD);
    let highest = (coarse + COARSE).min(longest);
    let best = (lowest..=highest).map(|lag| Splice { samples: lag, likeness: likeness(near, side, lag, 1) });
    best.max_by(|one, other| one.likeness.total_cmp(&other.likeness)).filter(|splice| splice.likeness >= ALIKE)
}

/// Cuts the `splice.samples` before `middle` out of `queue`, which holds at least as many after it.
pub fn shorten(queue: &mut Vec<f32>, middle: usize, splice: Splice) {
    let length = splice.samples;
    for i in 0..length {
        let (out, into) = splice.weights(i as f32 / length as f32);
        queue[middle - length + i] = queue[middle - length + i] * out + queue[middle + i] * into;
    }
    queue.copy_within(middle + length.., middle);
    queue.truncate(queue.len() - length);
}

/// Puts `splice.samples` before the beginning of `queue`, which follows `played`; both hold at least that many.
pub fn lengthen(queue: &mut Vec<f32>, played: &[f32], splice: Splice) {
    let (length, before) = (splice.samples, queue.len());
    queue.resize(before + length, 0.0);
    queue.copy_within(..before, length);
    let again = &played[played.len() - length..];
    for i in 0..length {
        let (out, into) = splice.weights(i as f32 / length as f32);
        queue[i] = queue[i + length] * out + again[i] * into;
    }
}

/// The lag, a multiple of `COARSE`, at which both sides resemble each other most.
fn coarse_period(near: &[&[f32]], side: usize, longest: usize) -> Option<usize> {
    let mut means = [[0.0; COARSE_LENGTH]; MOST_PLANES];
    let first = side % COARSE;
    let count = ((near[0].len() - first) / COARSE).min(COARSE_LENGTH);
    for (means, near) in means.iter_mut().zip(near) {
        let chunks = near[first..].chunks_exact(COARSE);
        means.iter_mut().zip(chunks).for_each(|(mean, chunk)| *mean = chunk.iter().sum::<f32>() / COARSE as f32);
    }
    let means = means.each_ref().map(|means| &means[..count]);
    let means = &means[..near.len()];
    let middle = side / COARSE;
    let lags = SHORTEST_PERIOD.div_ceil(COARSE)..=longest / COARSE;
    lags.map(|lag| (lag * COARSE, likeness(means, middle, lag, COARSE)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(lag, _)| lag)
}

/// Normalised correlation, over all planes, of the `lag` samples before `middle` with the `lag` after it; of a longer window around, if the lag is short.
fn likeness(sound: &[&[f32]], middle: usize, lag: usize, step: usize) -> f32 {
    let window = lag.max(LEAST_WINDOW / step);
    let start = (middle - lag).saturating_sub((window - lag) / 2);
    let length = window.min(sound[0].len() - start - lag);
    let (mut alike, mut before, mut after) = (0.0, 0.0, 0.0);
    for sound in sound {
        let (one, other) = (&sound[start..start + length], &sound[start + lag..start + lag + length]);
        alike += product(one, other);
        before += energy(one);
        after += energy(other);
    }
    let power = before * after;
    if power > 0.0 { alike / length as f32 / power.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    /// A voice: a pulse train at `pitch_hz` through two resonances, as vowels are made.
    fn vowel(pitch_hz: f32, samples: usize) -> Vec<f32> {
        let period = (48_000.0 / pitch_hz) as usize;
        let ring = |age: usize, hz: f32| (TAU * hz * age as f32 / 48_000.0).sin() * (-(age as f32) / 150.0).exp();
        (0..samples).map(|i| i % period).map(|age| 0.3 * ring(age, 700.0) + 0.2 * ring(age, 1900.0)).collect()
    }

    fn noise(samples: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..samples).map(|_| 0.1 * next()).collect()
    }

    fn steepest(samples: &[f32]) -> f32 {
        samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_vowel_is_cut_and_lengthened_by_whole_periods_without_a_click() {
        for pitch_hz in [80.0, 120.0, 200.0, 320.0] {
            let period = (48_000.0 / pitch_hz) as usize;
            let sound = vowel(pitch_hz, 4 * LONGEST_PERIOD);
            let splice = find(&[&sound[..2 * LONGEST_PERIOD]], LONGEST_PERIOD, LONGEST_PERIOD).expect("a period");
            assert!(splice.samples.is_multiple_of(period) && splice.likeness > 0.98, "{pitch_hz} Hz: {splice:?}");
            let mut queue = sound.clone();
            shorten(&mut queue, LONGEST_PERIOD, splice);
            assert_eq!(queue.len(), sound.len() - splice.samples);
            assert!(steepest(&queue) <= 1.1 * steepest(&sound));
            let mut queue = sound[LONGEST_PERIOD..].to_vec();
            lengthen(&mut queue, &sound[..LONGEST_PERIOD], splice);
            assert_eq!(queue.len(), sound.len() - LONGEST_PERIOD + splice.samples);
            let joined = [&sound[..LONGEST_PERIOD], &queue].concat();
            assert!(steepest(&joined) <= 1.1 * steepest(&sound));
        }
    }

    #[test]
    fn what_has_no_period_is_left_alone() {
        assert_eq!(find(&[&noise(2 * LONGEST_PERIOD)], LONGEST_PERIOD, LONGEST_PERIOD), None);
        let mut onset = vec![0.0; LONGEST_PERIOD];
        onset.extend(vowel(120.0, LONGEST_PERIOD));
        assert_eq!(find(&[&onset], LONGEST_PERIOD, LONGEST_PERIOD), None);
        assert_eq!(find(&[&[0.0; 100]], 50, LONGEST_PERIOD), None, "too short for any period");
    }

    #[test]
    fn spliced_noise_keeps_its_power() {
        let sound = noise(9600);
        let mut queue = sound.clone();
        shorten(&mut queue, 480, Splice::in_silence(480));
        let ratio = energy(&queue[..480]) / energy(&sound);
        assert!((0.8..1.25).contains(&ratio), "{ratio}");
    }

    #[test]
    fn no_splice_is_longer_than_asked_for() {
        let sound = vowel(320.0, 2 * LONGEST_PERIOD);
        let splice = find(&[&sound], LONGEST_PERIOD, 200).expect("a period");
        assert_eq!(splice.samples, 150);
    }
}
