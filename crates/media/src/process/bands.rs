//! 48 kHz in three bands of 16 kHz each, and back: the canceller and the light suppressor work on the lowest and steer the others.

use sonora::three_band_filter_bank::{NUM_BANDS, SPLIT_BAND_SIZE, ThreeBandFilterBank};

use super::Samples;

pub const BANDS: usize = NUM_BANDS;
pub const BAND_SAMPLES: usize = SPLIT_BAND_SIZE;

/// 10 ms of each band, the lowest first.
#[derive(Clone, Copy)]
pub struct Bands(pub [[f32; BAND_SAMPLES]; BANDS]);

impl Default for Bands {
    fn default() -> Self {
        Self([[0.0; BAND_SAMPLES]; BANDS])
    }
}

/// Splits or merges one signal; both together delay it by 0.8 ms.
#[derive(Default)]
pub struct FilterBank(ThreeBandFilterBank);

impl FilterBank {
    pub fn split(&mut self, frame: &Samples, bands: &mut Bands) {
        self.0.analysis(frame, &mut bands.0);
    }

    pub fn merge(&mut self, bands: &Bands, frame: &mut Samples) {
        self.0.synthesis(&bands.0, frame);
    }
}
