//! How loud sound is to people: integrated loudness, ITU-R BS.1770-4 and EBU R 128, by the `ebur128` crate.

use ebur128::{EbuR128, Mode};

const SAMPLE_RATE_HZ: u32 = 48_000;

/// Sound in, one number out. Blocks of 400 ms that are silent, or 10 dB below the rest, do not count, so pauses change
/// nothing. Memory is constant: the loudness of blocks is kept as a histogram.
pub struct LoudnessMeter {
    meter: EbuR128,
    channels: usize,
}

impl LoudnessMeter {
    /// `channels`: 1 or 2; `None` for another number. One channel counts once, as every meter has it, though it is
    /// heard from both loudspeakers.
    pub fn new(channels: u32) -> Option<Self> {
        if !(1..=2).contains(&channels) {
            return None;
        }
        let meter = EbuR128::new(channels, SAMPLE_RATE_HZ, Mode::I | Mode::HISTOGRAM).ok()?;
        Some(Self { meter, channels: channels as usize })
    }

    /// Append interleaved samples, of whole frames at 48 kHz. False when they are not whole frames.
    pub fn add(&mut self, samples: &[f32]) -> bool {
        samples.len().is_multiple_of(self.channels) && self.meter.add_frames_f32(samples).is_ok()
    }

    /// LUFS of everything so far; minus infinity when all of it was silence or it was shorter than 400 ms.
    pub fn lufs(&self) -> f64 {
        self.meter.loudness_global().unwrap_or(f64::NEG_INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(dbfs: f64, seconds: usize, channels: usize) -> Vec<f32> {
        let peak = 10_f64.powf(dbfs / 20.0);
        (0..seconds * 48_000)
            .map(|at| (peak * (std::f64::consts::TAU * 1000.0 * at as f64 / 48_000.0).sin()) as f32)
            .flat_map(|sample| std::iter::repeat_n(sample, channels))
            .collect()
    }

    /// EBU Tech 3341, test cases 1 and 2: a stereo sine of 1 kHz with peaks at -23 dBFS is -23 LUFS. One channel alone
    /// has half the power.
    #[test]
    fn a_sine_is_as_loud_as_the_standard_says() {
        for (dbfs, channels, lufs) in [(-23.0, 2, -23.0), (-33.0, 2, -33.0), (-23.0, 1, -26.0)] {
            let mut meter = LoudnessMeter::new(channels as u32).unwrap();
            assert!(meter.add(&sine(dbfs, 20, channels)));
            assert!((meter.lufs() - lufs).abs() < 0.1, "{} instead of {lufs}", meter.lufs());
        }
    }

    /// EBU Tech 3341, test case 3: what is quieter by more than 10 dB does not count.
    #[test]
    fn pauses_do_not_count() {
        let mut meter = LoudnessMeter::new(2).unwrap();
        for (dbfs, seconds) in [(-36.0, 10), (-23.0, 60), (-36.0, 10)] {
            meter.add(&sine(dbfs, seconds, 2));
        }
        assert!((meter.lufs() + 23.0).abs() < 0.1);
    }

    #[test]
    fn silence_has_no_loudness() {
        let mut meter = LoudnessMeter::new(1).unwrap();
        meter.add(&[0.0; 96_000]);
        assert_eq!(meter.lufs(), f64::NEG_INFINITY);
        assert!(LoudnessMeter::new(0).is_none() && LoudnessMeter::new(3).is_none());
    }
}
