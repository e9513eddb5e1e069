//! Keeps a sum of voices below full scale, without a click and without distortion.
//!
//! The needed gain of each millisecond is known 50 ms ahead. The gain in use is a moving average, 50 ms long, of the least
//! gain needed in the 50 ms to come: so it has always come down before a peak, and never moves faster than speech hides.
//! What is not loud passes untouched, to the bit.
//!
//! The limiter of a live mix (`raccall_media`) is another one: it may not wait for what comes, and has to make do with a
//! gain that falls at once and comes back slowly.

use crate::pcm::Sample;

/// -1.5 dBFS: Opus is lossy, and its decoder may put out a little more than went in.
pub const CEILING: f32 = 0.84;

/// A millisecond has one needed gain.
const PIECE: usize = 48;
/// In pieces: how far ahead peaks are known, and how long gains are averaged.
const WINDOW: usize = 50;
/// So many pieces are looked at together: most of the time none of them is loud.
const TOGETHER: usize = 100;

/// Sound in, the same sound out, never above [`CEILING`]. What is pushed comes out up to 51 ms later, nothing is added.
pub struct Limiter {
    channels: usize,
    gain: f32,
    /// Not put out yet: WINDOW whole pieces, and what follows them.
    held: Vec<f32>,
    gains: Gains,
    /// The gain at the end of the piece WINDOW before the newest whole one.
    reached: f32,
}

impl Limiter {
    /// `gain` is a factor on everything, before it is limited.
    ///
    /// # Panics
    /// Without a channel.
    pub fn new(channels: usize, gain: f32) -> Self {
        assert!(channels > 0, "sound has channels");
        Self { channels, gain, held: Vec::new(), gains: Gains::default(), reached: 1.0 }
    }

    /// Takes interleaved samples, as many as there are; appends to `out` what is ready.
    pub fn push<S: Sample>(&mut self, samples: &[f32], out: &mut Vec<S>) {
        out.reserve(samples.len() + self.piece());
        for samples in samples.chunks(TOGETHER * self.piece()) {
            if self.gains.are_one() && peak(samples) * self.gain <= CEILING {
                self.pass_on(samples, out);
            } else {
                self.limit(samples, out);
            }
        }
    }

    /// Appends the rest. The limiter is as new then.
    pub fn finish<S: Sample>(&mut self, out: &mut Vec<S>) {
        let whole = out.len() + self.held.len();
        self.limit(&vec![0.0; (WINDOW + 1) * self.piece()], out);
        out.truncate(whole);
        *self = Self::new(self.channels, self.gain);
    }

    /// In samples.
    fn piece(&self) -> usize {
        PIECE * self.channels
    }

    /// Neither `samples` nor what is held is loud.
    fn pass_on<S: Sample>(&mut self, samples: &[f32], out: &mut Vec<S>) {
        let gain = self.gain;
        let whole = (self.held.len() + samples.len()) / self.piece();
        let ready = whole.saturating_sub(WINDOW) * self.piece();
        let before = ready.min(self.held.len());
        out.extend(self.held.drain(..before).map(S::of));
        let (now, later) = samples.split_at(ready - before);
        out.extend(now.iter().map(|sample| S::of(sample * gain)));
        self.held.extend(later.iter().map(|sample| sample * gain));
    }

    fn limit<S: Sample>(&mut self, samples: &[f32], out: &mut Vec<S>) {
        let (gain, length) = (self.gain, self.piece());
        let known = self.held.len() / length;
        self.held.extend(samples.iter().map(|sample| sample * gain));
        let whole = self.held.len() / length;
        for newest in known..whole {
            let gain = self.gains.after(peak(&self.held[newest * length..][..length]));
            let begin = std::mem::replace(&mut self.reached, gain);
            let Some(oldest) = newest.checked_sub(WINDOW) else { continue };
            let oldest = &self.held[oldest * length..][..length];
            let step = (gain - begin) / PIECE as f32;
            for (index, frame) in oldest.chunks_exact(self.channels).enumerate() {
                let gain = begin + step * index as f32;
                out.extend(frame.iter().map(|sample| S::of((sample * gain).clamp(-CEILING, CEILING))));
            }
        }
        self.held.drain(..whole.saturating_sub(WINDOW) * length);
    }
}

/// The gains at the borders between pieces.
struct Gains {
    /// Of the newest piece.
    needed: f32,
    /// The least that both sides of a border need, and the least of what the WINDOW borders behind one need: the newest
    /// WINDOW of each, in any order.
    borders: [f32; WINDOW],
    least: [f32; WINDOW],
    /// The oldest of both.
    oldest: usize,
    /// Pieces since one needed anything.
    unneeded: usize,
}

impl Default for Gains {
    fn default() -> Self {
        Self { needed: 1.0, borders: [1.0; WINDOW], least: [1.0; WINDOW], oldest: 0, unneeded: 2 * WINDOW }
    }
}

impl Gains {
    /// Nothing was loud for so long that all are 1, and stay so until something is.
    fn are_one(&self) -> bool {
        self.unneeded >= 2 * WINDOW
    }

    /// The gain at the end of the piece that lies WINDOW before the newest, whose peak this is.
    fn after(&mut self, peak: f32) -> f32 {
        let needed = if peak > CEILING { CEILING / peak } else { 1.0 };
        if needed == 1.0 && self.are_one() {
            return 1.0;
        }
        self.unneeded = if needed < 1.0 { 0 } else { self.unneeded + 1 };
        let before = std::mem::replace(&mut self.needed, needed);
        self.borders[self.oldest] = before.min(needed);
        self.least[self.oldest] = self.borders.iter().copied().fold(1.0, f32::min);
        self.oldest = (self.oldest + 1) % WINDOW;
        (self.least.iter().copied().map(f64::from).sum::<f64>() / WINDOW as f64) as f32
    }
}

fn peak(samples: &[f32]) -> f32 {
    let larger = |most: f32, sample: f32| if sample > most { sample } else { most };
    let mut lanes = [0.0_f32; 16]; // so written, the loop becomes vector instructions
    let (whole, rest) = samples.as_chunks::<16>();
    for samples in whole {
        for (lane, sample) in lanes.iter_mut().zip(samples) {
            *lane = larger(*lane, sample.abs());
        }
    }
    lanes.into_iter().chain(rest.iter().map(|sample| sample.abs())).fold(0.0, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(sound: &[f32], channels: usize, gain: f32, piece: usize) -> Vec<f32> {
        let mut limiter = Limiter::new(channels, gain);
        let mut out = Vec::new();
        sound.chunks(piece * channels).for_each(|samples| limiter.push(samples, &mut out));
        limiter.finish(&mut out);
        out
    }

    /// A tone that is three times too loud for 300 ms of two seconds.
    fn tone() -> Vec<f32> {
        let loud = |at: usize| if (40_000..54_400).contains(&at) { 2.52 } else { 0.5 };
        (0..96_000).map(|at| loud(at) * (at as f32 * 0.06).sin()).collect()
    }

    #[test]
    fn nothing_passes_the_ceiling_and_what_is_far_from_loud_is_untouched() {
        let out = limited(&tone(), 1, 1.0, 4_800);
        assert_eq!(out.len(), 96_000);
        assert!(out.iter().all(|sample| sample.abs() <= CEILING));
        assert_eq!(out[..35_000], tone()[..35_000]);
        assert_eq!(out[60_000..], tone()[60_000..]);
        let flat = out.windows(2).filter(|pair| pair[0].abs() == CEILING && pair[1].abs() == CEILING).count();
        assert_eq!(flat, 0);
    }

    #[test]
    fn pieces_do_not_matter_to_the_bit() {
        let whole = limited(&tone(), 1, 1.0, 96_000);
        for piece in [1, 47, 1_000, 7_777] {
            assert_eq!(limited(&tone(), 1, 1.0, piece), whole);
        }
    }

    #[test]
    fn channels_share_one_gain_and_a_gain_comes_first() {
        let both: Vec<f32> = tone().iter().flat_map(|sample| [*sample, sample * -0.25]).collect();
        let out = limited(&both, 2, 1.5, 480);
        assert!(out.chunks(2).all(|frame| (frame[0] * -0.25 - frame[1]).abs() < 1e-6));
        assert!(out.iter().all(|sample| sample.abs() <= CEILING));
        assert_eq!(out[2_000], both[2_000] * 1.5);
    }

    #[test]
    fn short_sound_is_as_long_as_it_was_and_the_next_begins_anew() {
        for length in [0, 1, 47, 48, 2_399, 2_400, 2_448, 2_449] {
            assert_eq!(limited(&tone()[..length], 1, 1.0, 13), tone()[..length]);
        }
        let mut limiter = Limiter::new(1, 1.0);
        for _ in 0..2 {
            let mut out: Vec<f32> = Vec::new();
            limiter.push(&tone(), &mut out);
            limiter.finish(&mut out);
            assert_eq!(out, limited(&tone(), 1, 1.0, 960));
        }
    }

    #[test]
    fn as_16_bit_integers_it_is_the_same_rounded() {
        let mut limiter = Limiter::new(1, 1.0);
        let mut out: Vec<i16> = Vec::new();
        limiter.push(&tone(), &mut out);
        limiter.finish(&mut out);
        let floats = limited(&tone(), 1, 1.0, 960);
        assert!(out.iter().zip(floats).all(|(whole, float)| (f32::from(*whole) - float * 32_768.0).abs() <= 0.5));
    }
}
