//! WebRTC's third echo canceller (AEC3): finds the echo's delay up to half a second, predicts the echo with a linear filter, and
//! suppresses what the filter leaves.
//!
//! WebRTC tunes it to leave no echo whatever it costs: while both ends talk, the near voice is suppressed along with the echo. Ours tells
//! better when the near voice is the louder one, and then lets it through; while it is not, it suppresses as much and more (`tuned`).
//! docs/explanation/echo.md has the numbers, and what else was tried.
//!
//! It works on blocks of 4 ms, while frames have 10: a block is the buffer between the two. Each sample that goes in takes the place of one
//! that was processed a block earlier, and a full block is processed.

use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::common::BLOCK_SIZE;
use sonora_aec3::config::{EchoCanceller3Config, MaskingThresholds};

use super::bands::{BAND_SAMPLES, BANDS, Bands};
use super::learning::Learning;
use crate::frame::SAMPLE_RATE_HZ;

pub struct EchoCanceller {
    processor: BlockProcessor,
    learning: Learning,
    far: Blocks,
    near: Blocks,
}

impl EchoCanceller {
    pub fn new() -> Self {
        Self {
            processor: BlockProcessor::new(&tuned(), SAMPLE_RATE_HZ as usize, 1, 1),
            learning: Learning::default(),
            far: Blocks::default(),
            near: Blocks::default(),
        }
    }

    pub fn reverse(&mut self, bands: &Bands) {
        self.learning.reverse(bands);
        let processor = &mut self.processor;
        let mut bands = *bands;
        self.far.pass(&mut bands, |block| processor.buffer_render(block));
    }

    /// `clipped`: the microphone is overdriven.
    pub fn capture(&mut self, bands: &mut Bands, clipped: bool) {
        let processor = &mut self.processor;
        self.near.pass(bands, |block| processor.process_capture(false, clipped, None, block));
        self.learning.capture(bands, self.delay_ms(), self.erle_db());
    }

    /// Of the linear filter.
    pub fn erle_db(&self) -> f32 {
        self.processor.get_metrics().echo_return_loss_enhancement as f32
    }

    pub fn delay_ms(&self) -> i32 {
        self.processor.get_metrics().delay_ms
    }
}

/// WebRTC's settings but for the suppressor. Ratios are of powers, echo to near end, in each band of 125 Hz.
fn tuned() -> EchoCanceller3Config {
    let mut config = EchoCanceller3Config::default();
    // 64 ms of echo's path instead of 52, at no measurable cost: the better the filter, the sooner it is seen that what it leaves is a
    // voice. From 80 ms on, a changed path is found more slowly. A longer start keeps it from judging before the filter has converged.
    config.filter.refined.length_blocks = 16;
    config.filter.initial_state_seconds = 4.0;
    // Where the near end dominates, echo 3 to 6 times as strong as it begins to be suppressed, not 1.1 times (high bands 1.5 to 4, not
    // 0.1 to 0.3), and its reverberation is believed to end sooner.
    let masking =
        |enr_transparent, enr_suppress| MaskingThresholds { enr_transparent, enr_suppress, emr_transparent: 0.3 };
    config.suppressor.nearend_tuning.mask_lf = masking(3.0, 6.0);
    config.suppressor.nearend_tuning.mask_hf = masking(1.5, 4.0);
    config.ep_strength.nearend_len = 0.5;
    // Where it does not, a third of the echo is enough to be suppressed: what the milder state lets through is made up for here.
    config.suppressor.normal_tuning.mask_lf = masking(0.1, 0.13);
    config.suppressor.normal_tuning.mask_hf = masking(0.02, 0.03);
    // Nobody dominates while the filter does not know the room yet: all that it leaves would look like a voice.
    let near_end = &mut config.suppressor.dominant_nearend_detection;
    near_end.use_during_initial_phase = false;
    // It takes 120 ms of it to dominate, not 48: shorter, what a distorting loudspeaker or a path that has changed leaves is taken for a voice.
    // Then it does so for 0.8 s, not 0.2, unless the echo is 20 times as strong, not 10: a word's softer syllables belong to it.
    near_end.trigger_threshold = 30;
    near_end.hold_duration = 200;
    near_end.enr_exit_threshold = 20.0;
    // The near end's spectrum is a mean over 32 ms, not 16, so that a gap between two harmonics is not taken for echo.
    config.suppressor.nearend_average_blocks = 8;
    config
}

struct Blocks {
    block: Block,
    filled: usize,
}

impl Default for Blocks {
    fn default() -> Self {
        Self { block: Block::new(BANDS, 1), filled: 0 }
    }
}

impl Blocks {
    /// Exchanges 10 ms with what was processed a block earlier.
    fn pass(&mut self, bands: &mut Bands, mut process: impl FnMut(&mut Block)) {
        let mut done = 0;
        while done < BAND_SAMPLES {
            let count = (BLOCK_SIZE - self.filled).min(BAND_SAMPLES - done);
            for (number, band) in bands.0.iter_mut().enumerate() {
                let place = &mut self.block.view_mut(number, 0)[self.filled..self.filled + count];
                place.swap_with_slice(&mut band[done..done + count]);
            }
            done += count;
            self.filled += count;
            if self.filled == BLOCK_SIZE {
                process(&mut self.block);
                self.filled = 0;
            }
        }
    }
}
