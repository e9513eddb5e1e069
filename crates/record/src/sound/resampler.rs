//! Decoded sound onto the recording's clock.
//!
//! A sender's samples last a little longer or shorter than ours. Each span of sound (a packet's) begins and ends at a
//! whole sample of ours, the nearest: at 30 ppm that is as many samples as were decoded for 34 spans in a row, which are
//! copied, and then one more or less, whose sound is read between the samples, by a windowed sinc. So sound goes on
//! without a step, is never more than half a sample (10 µs) from its place, and costs next to nothing. What the reading
//! in between adds is below -80 dB up to 16 kHz (see the tests).

use std::collections::VecDeque;
use std::sync::LazyLock;

const TAPS: usize = 16;
const REACH: usize = TAPS / 2;
/// Samples that are computed together: they share the filters of their first and their last place.
const LANES: usize = 16;
/// How far the place between two samples may move in a block: the error of the straight line between two filters grows
/// with its square.
const MOST_MOVED: f64 = 0.02;
const PHASES: usize = 256;
/// Phases beyond 1: a block may end after the next sample. As many below 0.
const MARGIN: usize = 16;
/// Kaiser window for 80 dB.
const BETA: f64 = 8.0;
/// Old input is thrown away in lumps of this many frames.
const LUMP: usize = 9_600;

/// What is put out at once beyond what was asked for: a packet of 120 ms and a concealed gap.
const MOST_BEYOND: usize = 3 * 5_760;

type Filter = [f32; TAPS];

/// For phases from -MARGIN / PHASES to 1 + MARGIN / PHASES.
static FILTERS: LazyLock<Vec<Filter>> = LazyLock::new(|| {
    (0..=PHASES + 2 * MARGIN).map(|row| design((row as f64 - MARGIN as f64) / PHASES as f64)).collect()
});

/// Input that belongs at these places of the output.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Index of its first frame in the run.
    input: usize,
    frames: usize,
    begin: i64,
    end: i64,
}

impl Span {
    fn is_stretched(&self) -> bool {
        self.end - self.begin != self.frames as i64
    }
}

/// Runs of sound, each in spans that touch. Frames are interleaved.
pub struct Resampler {
    channels: usize,
    /// The run's input that is still needed; what lies before and after a run is silence.
    input: Vec<f32>,
    /// Frames of the run that were thrown away.
    gone: usize,
    spans: VecDeque<Span>,
    output: Vec<f32>,
    /// Position of the first frame in `output`.
    position: u64,
}

impl Resampler {
    /// The output begins at `position`.
    pub fn new(channels: usize, position: u64) -> Self {
        let input = vec![0.0; REACH * channels];
        Self { channels, input, gone: 0, spans: VecDeque::new(), output: Vec::new(), position }
    }

    /// One past the newest frame that can be taken.
    pub fn ready(&self) -> u64 {
        self.position + (self.output.len() / self.channels) as u64
    }

    /// Room for the next `frames` of input, zeros, which sound from `begin` to `end`, positions in the output. `begin` is
    /// the end of the span before, or later if a run begins.
    pub fn span(&mut self, frames: usize, begin: i64, end: i64) -> &mut [f32] {
        let old = self.input.len();
        self.spans.push_back(Span { input: self.gone + old / self.channels, frames, begin, end });
        self.input.resize(old + frames * self.channels, 0.0);
        &mut self.input[old..]
    }

    /// No more input follows directly; the next span begins a new run.
    pub fn end_run(&mut self) {
        self.input.resize(self.input.len() + REACH * self.channels, 0.0);
        self.run();
        debug_assert!(self.spans.is_empty());
        self.input.clear();
        self.input.resize(REACH * self.channels, 0.0);
        self.gone = 0;
    }

    /// Put out what the input suffices for.
    pub fn run(&mut self) {
        let written = self.gone + self.input.len() / self.channels;
        while let Some(span) = self.spans.front().copied() {
            let needed = span.input + span.frames + if span.is_stretched() { REACH } else { 0 };
            if needed > written {
                break;
            }
            self.put_out(&span);
            self.spans.pop_front();
        }
        let needed = self.spans.front().map_or(written, |span| span.input) - REACH;
        if needed - self.gone > LUMP {
            self.input.drain(..(needed - self.gone) * self.channels);
            self.gone = needed;
        }
    }

    /// Take everything up to `end`, silence where nothing was put in. `memory` is used again.
    pub fn take(&mut self, end: u64, mut memory: Vec<f32>) -> Vec<f32> {
        let length = end.saturating_sub(self.position) as usize * self.channels;
        if self.output.len() < length {
            self.output.resize(length, 0.0);
        }
        // Room for as much again, and for a packet that goes beyond: growing would copy it all.
        memory.clear();
        memory.reserve_exact(length + MOST_BEYOND * self.channels);
        memory.extend_from_slice(&self.output[length..]);
        self.output.truncate(length);
        self.position = self.position.max(end);
        std::mem::replace(&mut self.output, memory)
    }

    fn put_out(&mut self, span: &Span) {
        let ready = self.ready() as i64;
        let skipped = (ready - span.begin).max(0);
        if span.begin + skipped >= span.end {
            return;
        }
        let at = (span.begin.max(ready) - self.position as i64) as usize * self.channels;
        self.output.resize(at, 0.0);
        let skipped = skipped as usize * self.channels;
        let input = span.input - self.gone;
        if span.is_stretched() {
            // All of it, whatever is taken, so that a part is computed as the whole is.
            let mut sound = vec![0.0; (span.end - span.begin) as usize * self.channels];
            let pace = span.frames as f64 / (span.end - span.begin) as f64;
            match self.channels {
                1 => interpolate::<1>(&self.input, input, pace, &mut sound),
                _ => interpolate::<2>(&self.input, input, pace, &mut sound),
            }
            self.output.extend_from_slice(&sound[skipped..]);
        } else {
            let from = input * self.channels;
            self.output.extend_from_slice(&self.input[from + skipped..from + span.frames * self.channels]);
        }
    }
}

/// Fill `out` with the sound at `first`, `first + pace`, ...: places between the frames of `input`.
fn interpolate<const CHANNELS: usize>(input: &[f32], first: usize, pace: f64, out: &mut [f32]) {
    let moved = pace - 1.0;
    let most = LANES / CHANNELS;
    let fit = (MOST_MOVED / moved.abs()) as usize; // no less than there are for the least of stretches
    let frames = fit.clamp(1, most);
    let mut at = first as f64;
    for out in out.chunks_mut(frames * CHANNELS) {
        let whole = at.floor();
        let begin = filter(at - whole);
        let end = filter(at - whole + frames as f64 * moved);
        let from = (whole as usize + 1 - REACH) * CHANNELS;
        let block = convolve::<CHANNELS>(&input[from..], &begin, &end, 1.0 / frames as f32);
        out.copy_from_slice(&block[..out.len()]);
        at += (out.len() / CHANNELS) as f64 * pace;
    }
}

/// Each lane: the filter in force there, over `input` from the lane's frame on. So written, the loops over lanes become
/// vector instructions.
fn convolve<const CHANNELS: usize>(input: &[f32], begin: &Filter, end: &Filter, share: f32) -> [f32; LANES] {
    let needed = (TAPS - 1) * CHANNELS + LANES;
    let mut padded = [0.0; (TAPS - 1) * 2 + LANES];
    let input = if input.len() >= needed {
        &input[..needed]
    } else {
        padded[..input.len()].copy_from_slice(input);
        &padded[..needed]
    };
    let mut sum = [0.0f32; LANES];
    let mut change = [0.0f32; LANES];
    for tap in 0..TAPS {
        let samples: &[f32; LANES] = input[tap * CHANNELS..][..LANES].try_into().expect("LANES long");
        let (factor, difference) = (begin[tap], end[tap] - begin[tap]);
        for lane in 0..LANES {
            sum[lane] += samples[lane] * factor;
            change[lane] += samples[lane] * difference;
        }
    }
    std::array::from_fn(|lane| sum[lane] + change[lane] * ((lane / CHANNELS) as f32 * share))
}

/// The filter for a place `phase` of a sample after the first of the two it lies between.
fn filter(phase: f64) -> Filter {
    let row = (phase * PHASES as f64 + MARGIN as f64).clamp(0.0, (PHASES + 2 * MARGIN - 1) as f64);
    let share = row.fract() as f32;
    let (before, after) = (&FILTERS[row as usize], &FILTERS[row as usize + 1]);
    std::array::from_fn(|tap| before[tap] + (after[tap] - before[tap]) * share)
}

fn design(phase: f64) -> Filter {
    let taps: [f64; TAPS] = std::array::from_fn(|tap| {
        let x = tap as f64 + 1.0 - REACH as f64 - phase;
        let inside = (1.0 - (x / REACH as f64).powi(2)).max(0.0);
        let sinc = if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
        sinc * bessel_i0(BETA * inside.sqrt()) / bessel_i0(BETA)
    });
    let sum: f64 = taps.iter().sum();
    taps.map(|tap| (tap / sum) as f32)
}

/// The modified Bessel function of the first kind, order 0, by its series.
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: usize = 960;

    fn tone(hz: f64, at: f64) -> f64 {
        (std::f64::consts::TAU * hz * at / 48_000.0).sin()
    }

    /// What is left when the tone, warped as the spans say, is taken away; against the tone, in dB. The worst of spans.
    fn error_db(hz: f64, lengths: &[i64], channels: usize) -> f64 {
        let mut resampler = Resampler::new(channels, 0);
        let mut begin = 0;
        for (span, length) in lengths.iter().enumerate() {
            let out = resampler.span(FRAMES, begin, begin + length);
            for (frame, out) in out.chunks_exact_mut(channels).enumerate() {
                out.fill(tone(hz, (span * FRAMES + frame) as f64) as f32);
            }
            begin += length;
            resampler.run();
        }
        resampler.end_run();
        let sound = resampler.take(begin as u64, Vec::new());
        assert_eq!(sound.len(), begin as usize * channels);
        let mut worst = 0.0f64;
        let mut at = lengths[0] as usize;
        // Not the first and the last: around the run is silence.
        for (span, length) in lengths.iter().enumerate().skip(1).take(lengths.len() - 2) {
            let mut error = 0.0;
            for sample in 0..*length as usize {
                let wanted = tone(hz, span as f64 * 960.0 + sample as f64 * 960.0 / *length as f64);
                error += (f64::from(sound[(at + sample) * channels]) - wanted).powi(2);
            }
            worst = worst.max(error / *length as f64);
            at += *length as usize;
        }
        10.0 * (worst / 0.5).log10()
    }

    #[test]
    fn sound_read_between_samples_is_clean_up_to_16_khz() {
        for channels in [1, 2] {
            for lengths in [[960, 961, 960, 960, 959, 960], [960, 965, 955, 961, 956, 965]] {
                for hz in [100.0, 1_000.0, 4_000.0, 8_000.0, 12_000.0, 16_000.0] {
                    let db = error_db(hz, &lengths, channels);
                    assert!(db < if hz < 16_000.0 { -80.0 } else { -75.0 }, "{hz} Hz in {lengths:?}: {db:.1} dB");
                }
            }
        }
    }

    #[test]
    fn spans_as_long_as_their_input_are_copied() {
        let mut resampler = Resampler::new(2, 0);
        for span in 0..3 {
            let begin = span * FRAMES as i64;
            let out = resampler.span(FRAMES, begin, begin + FRAMES as i64);
            out.iter_mut().enumerate().for_each(|(n, sample)| *sample = n as f32);
            resampler.run();
            assert_eq!(resampler.ready(), (begin as usize + FRAMES) as u64);
        }
        let sound = resampler.take(3 * FRAMES as u64, Vec::new());
        assert!(sound.iter().enumerate().all(|(n, sample)| *sample == (n % (2 * FRAMES)) as f32));
    }

    #[test]
    fn what_lies_around_a_run_is_silence() {
        let mut resampler = Resampler::new(1, 0);
        resampler.span(FRAMES, 1_000, 1_961).fill(1.0);
        resampler.end_run();
        assert_eq!(resampler.ready(), 1_961);
        let sound = resampler.take(5_000, Vec::new());
        assert_eq!(sound.len(), 5_000);
        assert!(sound[..1_000].iter().chain(&sound[1_961..]).all(|sample| *sample == 0.0));
        assert!(sound[1_010..1_950].iter().all(|sample| (sample - 1.0).abs() < 1e-3));
    }

    #[test]
    fn sound_before_the_beginning_is_left_out() {
        for end in [648, 649] {
            let mut resampler = Resampler::new(1, 100);
            resampler.span(FRAMES, -312, end).fill(0.5);
            resampler.end_run();
            let sound = resampler.take(640, Vec::new());
            assert_eq!(sound.len(), 540);
            assert!(sound.iter().take(520).all(|sample| (sample - 0.5).abs() < 1e-3));
        }
    }

    #[test]
    fn hours_of_sound_need_no_more_memory_than_seconds() {
        let mut resampler = Resampler::new(1, 0);
        for span in 0..50 * 3_600 {
            let begin = span * 961;
            resampler.span(FRAMES, begin, begin + 961);
            resampler.run();
            resampler.take(resampler.ready(), Vec::new());
        }
        assert!(resampler.input.capacity() < 40_000);
        assert!(resampler.output.capacity() < 40_000);
    }
}
