//! Takes away what lies below 100 Hz: steps, wind, hum. WebRTC's filter.

use sonora::high_pass_filter::HighPassFilter;

use super::bands::BAND_SAMPLES;
use crate::frame::{PULL_SAMPLES, SAMPLE_RATE_HZ};

/// For the whole sound, or for its lowest band alone: the same, for a third of the work.
pub struct HighPass {
    filter: HighPassFilter,
    samples: Vec<Vec<f32>>,
}

impl HighPass {
    pub fn of_all() -> Self {
        Self::new(SAMPLE_RATE_HZ, PULL_SAMPLES)
    }

    pub fn of_lowest_band() -> Self {
        Self::new(SAMPLE_RATE_HZ / 3, BAND_SAMPLES)
    }

    fn new(rate_hz: u32, samples: usize) -> Self {
        Self { filter: HighPassFilter::new(rate_hz as i32, 1), samples: vec![vec![0.0; samples]] }
    }

    /// 10 ms.
    pub fn process(&mut self, samples: &mut [f32]) {
        self.samples[0].copy_from_slice(samples);
        self.filter.process_channels(&mut self.samples);
        samples.copy_from_slice(&self.samples[0]);
    }
}
