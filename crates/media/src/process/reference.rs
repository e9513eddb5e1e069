//! EchoReference: what sounds from the loudspeaker, in the microphone's time.
//!
//! Loudspeaker and microphone are two devices with two clocks, which call when they like. For each 10 ms of the microphone there must be
//! 10 ms of what sounded, always equally far ahead of their echo: the canceller finds how far, and has to learn anew when it changes.
//!
//! - It begins, and begins anew when it was lost, `cushion` samples ahead of the newest.
//! - What has not come in time is silence; when it comes later, it is left out, so that what follows keeps its place. If it never comes (the
//!   card has left something out, too), the cushion is made anew after half a second.
//! - What waits longer than needed for a second (the card has played something twice) would come after its echo: it is left out at once.
//! - Where the clocks drift apart by more than `DEAF_PPM`, it is resampled. AEC3 alone goes on to cancel at 100 ppm, and loses two
//!   thirds of its echo reduction at 200.

use std::collections::VecDeque;
use std::f64::consts::PI;

use super::Samples;
use crate::frame::{PULL_SAMPLES, SAMPLE_RATE_HZ};

/// More than any card asks for at once, twice. The oldest is left out.
const MOST_WAITING: usize = SAMPLE_RATE_HZ as usize;

/// A sample between samples is made of that many, half of them before it.
const TAPS: usize = 16;
const BEFORE: usize = TAPS / 2 - 1;
const AFTER: usize = TAPS - BEFORE;

/// Places between two samples for which the filter is known; it is drawn straight between them.
const PHASES: usize = 128;

/// An estimate wavers by a few ppm, and a canceller rather follows a slow drift than a wavering one.
const DEAF_PPM: f64 = 20.0;

/// No pair of sound cards is worse; one that seems to be was misjudged.
const MOST_PPM: f64 = 1_500.0;

/// Frames of 10 ms, each missing something, after which what is missing counts as gone.
const PATIENCE: u32 = 50;

const SECOND_FRAMES: u32 = 100;

pub struct EchoReference {
    /// The last `BEFORE` samples, already used, and then what waits.
    samples: VecDeque<f32>,
    /// Of the next sample, behind the one at `BEFORE`; below 1.
    phase: f64,
    /// Samples of the loudspeaker for each of the microphone.
    ratio: f64,
    cushion: usize,
    lost: bool,
    /// Silence was taken for that many that are still to come.
    owed: usize,
    short_frames: u32,
    /// The least that was left after a frame in this second, and the frames of this second.
    least_left: usize,
    frames: u32,
    jumps: u64,
    filter: Box<[[f32; TAPS]; PHASES + 1]>,
}

impl Default for EchoReference {
    fn default() -> Self {
        Self {
            samples: VecDeque::from(vec![0.0; BEFORE]),
            phase: 0.0,
            ratio: 1.0,
            cushion: PULL_SAMPLES,
            lost: true,
            owed: 0,
            short_frames: 0,
            least_left: usize::MAX,
            frames: 0,
            jumps: 0,
            filter: filter(),
        }
    }
}

impl EchoReference {
    /// Takes samples as they are handed to the loudspeaker.
    pub fn push(&mut self, samples: &[f32]) {
        let late = self.owed.min(samples.len());
        self.owed -= late;
        self.samples.extend(&samples[late..]);
        if self.samples.len() > MOST_WAITING {
            self.samples.drain(..self.samples.len() - MOST_WAITING);
        }
    }

    /// Gives the 10 ms that belong to the next 10 ms of the microphone; `to_come`: samples of the microphone that wait behind them.
    pub fn pull(&mut self, frame: &mut Samples, to_come: usize) {
        if self.lost {
            self.begin(PULL_SAMPLES + to_come + self.cushion);
        }
        let needed = (PULL_SAMPLES as f64 * self.ratio + self.phase) as usize + AFTER;
        let waiting = self.samples.len() - BEFORE;
        if waiting < needed {
            self.samples.extend(std::iter::repeat_n(0.0, needed - waiting));
            self.owed += needed - waiting;
            self.short_frames += 2;
        }
        self.short_frames = self.short_frames.saturating_sub(1);
        self.read(frame);
        let left = (self.samples.len() - BEFORE).saturating_sub(to_come);
        self.leave_out_what_waits_too_long(left);
        self.lost = self.short_frames > PATIENCE;
    }

    /// The microphone has lost samples: what sounded meanwhile is left out, too.
    pub fn skip(&mut self, samples: usize) {
        let out = (self.samples.len() - BEFORE).min(samples);
        self.samples.drain(..out);
        self.owed += samples - out;
    }

    /// What keeps it ahead of its use: one period of the loudspeaker's card.
    pub fn set_cushion(&mut self, samples: usize) {
        self.cushion = samples.max(PULL_SAMPLES);
    }

    /// How much faster the loudspeaker's clock runs than the microphone's.
    pub fn set_drift_ppm(&mut self, ppm: f64) {
        self.ratio = if ppm.abs() < DEAF_PPM { 1.0 } else { 1.0 + ppm.clamp(-MOST_PPM, MOST_PPM) * 1e-6 };
    }

    /// Begins anew with the next `pull`.
    pub fn reset(&mut self) {
        *self = Self { cushion: self.cushion, jumps: self.jumps, ..Self::default() };
    }

    /// How often the canceller had to find the echo's delay again.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    fn begin(&mut self, ahead: usize) {
        self.jumps += 1;
        self.owed = 0;
        self.short_frames = 0;
        self.least_left = usize::MAX;
        self.frames = 0;
        self.lost = false;
        let wanted = BEFORE + ahead;
        while self.samples.len() < wanted {
            self.samples.push_front(0.0);
        }
        self.samples.drain(..self.samples.len() - wanted);
    }

    fn leave_out_what_waits_too_long(&mut self, left: usize) {
        self.least_left = self.least_left.min(left);
        self.frames += 1;
        if self.frames == SECOND_FRAMES {
            if self.least_left > self.cushion + 2 * PULL_SAMPLES {
                self.samples.drain(..self.least_left - self.cushion);
                self.jumps += 1;
            }
            (self.least_left, self.frames) = (usize::MAX, 0);
        }
    }

    fn read(&mut self, frame: &mut Samples) {
        let samples = self.samples.make_contiguous();
        if self.ratio == 1.0 && self.phase == 0.0 {
            frame.copy_from_slice(&samples[BEFORE..BEFORE + PULL_SAMPLES]);
            self.samples.drain(..PULL_SAMPLES);
            return;
        }
        let mut position = self.phase;
        for sample in frame {
            let whole = position as usize;
            *sample = between(&self.filter, &samples[whole..whole + TAPS], position - whole as f64);
            position += self.ratio;
        }
        let used = position as usize;
        self.samples.drain(..used);
        self.phase = position - used as f64;
        if self.ratio == 1.0 && self.phase < 1e-6 {
            self.phase = 0.0;
        }
    }
}

/// The sample at `phase` behind the middle of `samples`.
fn between(filter: &[[f32; TAPS]; PHASES + 1], samples: &[f32], phase: f64) -> f32 {
    let place = phase * PHASES as f64;
    let below = place as usize;
    let share = (place - below as f64) as f32;
    let taps = filter[below].iter().zip(&filter[below + 1]).map(|(below, above)| below + (above - below) * share);
    taps.zip(samples).map(|(tap, sample)| tap * sample).sum()
}

/// A sinc under a Blackman window, for each place between two samples: flat up to 16 kHz, twice of what the canceller's filter looks at.
fn filter() -> Box<[[f32; TAPS]; PHASES + 1]> {
    let mut filter = Box::new([[0.0; TAPS]; PHASES + 1]);
    for (phase, taps) in filter.iter_mut().enumerate() {
        let offset = BEFORE as f64 + phase as f64 / PHASES as f64;
        for (number, tap) in taps.iter_mut().enumerate() {
            let x = number as f64 - offset;
            let sinc = if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
            let angle = 2.0 * PI * x / TAPS as f64;
            *tap = (sinc * (0.42 + 0.5 * angle.cos() + 0.08 * (2.0 * angle).cos())) as f32;
        }
        let sum: f32 = taps.iter().sum();
        taps.iter_mut().for_each(|tap| *tap /= sum);
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_MS: usize = PULL_SAMPLES;
    const HZ: f64 = 3_000.0;

    fn tone(position: f64) -> f32 {
        (0.5 * (2.0 * PI * HZ * position / f64::from(SAMPLE_RATE_HZ)).sin()) as f32
    }

    fn counting(from: usize, samples: usize) -> Vec<f32> {
        (from..from + samples).map(|number| number as f32).collect()
    }

    fn pull(reference: &mut EchoReference) -> Samples {
        let mut frame = [0.0; TEN_MS];
        reference.pull(&mut frame, 0);
        frame
    }

    #[test]
    fn it_begins_with_the_newest_and_goes_on_without_a_hole() {
        let mut reference = EchoReference::default();
        reference.push(&counting(0, 9_600));
        let mut next = 9_600;
        let first = pull(&mut reference);
        assert_eq!(first[0], (9_600 - 2 * TEN_MS) as f32, "one cushion and one frame before the end");
        let mut last = first[479];
        for _ in 0..500 {
            reference.push(&counting(next, TEN_MS));
            next += TEN_MS;
            for sample in pull(&mut reference) {
                assert_eq!(sample, last + 1.0);
                last = sample;
            }
        }
        assert_eq!(reference.jumps(), 1);
    }

    #[test]
    fn what_comes_late_was_silence_and_what_follows_keeps_its_place() {
        let mut reference = EchoReference::default();
        reference.push(&counting(1, 960));
        let mut at = 0.0;
        for number in 0..200 {
            // For 50 ms the loudspeaker's thread does not run; then it makes up for it.
            let late = (100..105).contains(&number);
            if number > 0 && !late {
                let from = 961 + (number - 1) * TEN_MS;
                let more = if number == 105 { 6 } else { 1 };
                reference.push(&counting(from - (more - 1) * TEN_MS, more * TEN_MS));
            }
            let frame = pull(&mut reference);
            if !(99..=106).contains(&number) {
                assert_eq!(frame[0], at + 1.0, "frame {number}");
            }
            at += TEN_MS as f32;
        }
        assert_eq!(reference.jumps(), 1);
    }

    #[test]
    fn what_never_comes_is_given_up() {
        let mut reference = EchoReference::default();
        reference.push(&counting(1, 960));
        for _ in 0..20 {
            pull(&mut reference);
        }
        let mut silent = 0;
        for number in 0..200 {
            reference.push(&counting(961 + number * TEN_MS, TEN_MS));
            silent += usize::from(pull(&mut reference)[0] == 0.0);
        }
        assert!(silent < 60, "{silent} frames");
        assert_eq!(reference.jumps(), 2);
        assert_eq!(pull(&mut reference)[479], (960 + 200 * TEN_MS) as f32, "ahead by a cushion again");
    }

    #[test]
    fn what_waits_too_long_is_left_out() {
        let mut reference = EchoReference::default();
        reference.push(&counting(1, 960));
        pull(&mut reference);
        reference.push(&counting(961, 4_800));
        let mut next = 5_761;
        let mut last = [0.0; TEN_MS];
        for _ in 0..220 {
            reference.push(&counting(next, TEN_MS));
            next += TEN_MS;
            last = pull(&mut reference);
        }
        assert_eq!(reference.jumps(), 2);
        assert_eq!(last[479] as usize, next - 1 - TEN_MS, "one cushion behind the newest");
    }

    #[test]
    fn what_the_microphone_lost_is_left_out_of_both() {
        let mut reference = EchoReference::default();
        reference.push(&counting(1, 960));
        assert_eq!(pull(&mut reference)[0], 1.0);
        reference.skip(600);
        reference.push(&counting(961, 960));
        assert_eq!(pull(&mut reference)[0], 1_081.0);
    }

    #[test]
    fn a_drift_is_taken_out() {
        for ppm in [500.0, -500.0, 100.0] {
            let mut reference = EchoReference::default();
            reference.set_drift_ppm(ppm);
            let ratio = 1.0 + ppm * 1e-6;
            // The loudspeaker's clock counts faster: in its samples, the tone is slower.
            let played: Vec<f32> = (0..96_000).map(|number| tone(f64::from(number) / ratio)).collect();
            let mut pushed = 960;
            reference.push(&played[..pushed]);
            let (mut worst, mut at) = (0f32, 0.0);
            for number in 0..180 {
                for sample in pull(&mut reference) {
                    worst = if number > 0 { worst.max((sample - tone(at)).abs()) } else { worst };
                    at += 1.0;
                }
                let wanted = 960 + (f64::from(number + 1) * TEN_MS as f64 * ratio) as usize;
                reference.push(&played[pushed..wanted]);
                pushed = wanted;
            }
            assert!(worst < 1e-3, "{worst} at {ppm} ppm");
            assert_eq!(reference.jumps(), 1);
        }
    }

    #[test]
    fn a_loudspeaker_that_is_silent_for_ever_is_silence() {
        let mut reference = EchoReference::default();
        for _ in 0..1_000 {
            assert_eq!(pull(&mut reference), [0.0; TEN_MS]);
        }
        assert!(reference.samples.len() < 2_000);
    }
}
