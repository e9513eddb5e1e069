//! WebRTC's third echo canceller (AEC3): finds the echo's delay up to half a second, predicts the echo with a linear filter, and
//! suppresses what the filter leaves.
//!
//! It works on blocks of 4 ms, while frames have 10: a block is the buffer between the two. Each sample that goes in takes the place of one
//! that was processed a block earlier, and a full block is processed.

use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::common::BLOCK_SIZE;
use sonora_aec3::config::EchoCanceller3Config;

use super::bands::{BAND_SAMPLES, BANDS, Bands};
use crate::frame::SAMPLE_RATE_HZ;

pub struct EchoCanceller {
    processor: BlockProcessor,
    far: Blocks,
    near: Blocks,
}

impl EchoCanceller {
    pub fn new() -> Self {
        let config = EchoCanceller3Config::default();
        Self {
            processor: BlockProcessor::new(&config, SAMPLE_RATE_HZ as usize, 1, 1),
            far: Blocks::default(),
            near: Blocks::default(),
        }
    }

    pub fn reverse(&mut self, bands: &Bands) {
        let processor = &mut self.processor;
        let mut bands = *bands;
        self.far.pass(&mut bands, |block| processor.buffer_render(block));
    }

    /// `clipped`: the microphone is overdriven.
    pub fn capture(&mut self, bands: &mut Bands, clipped: bool) {
        let processor = &mut self.processor;
        self.near.pass(bands, |block| processor.process_capture(false, clipped, None, block));
    }

    /// Of the linear filter.
    pub fn erle_db(&self) -> f32 {
        self.processor.get_metrics().echo_return_loss_enhancement as f32
    }

    pub fn delay_ms(&self) -> i32 {
        self.processor.get_metrics().delay_ms
    }
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
