//! Two ways to suppress noise.

use sonora_ns::config::{NsConfig, SuppressionLevel};
use sonora_ns::noise_suppressor::NoiseSuppressor;

use super::bands::{BANDS, Bands};

/// WebRTC's: a Wiener filter over noise that changes slowly, by 12 dB at most. 18 and 21 dB lower no more of what is not steady, and cost a
/// voice more (DNSMOS at 5 dB over four noises: 2.13, 2.09, 2.08).
pub struct LightSuppressor(NoiseSuppressor);

impl LightSuppressor {
    pub fn new() -> Self {
        let config = NsConfig { target_level: SuppressionLevel::K12dB };
        Self(NoiseSuppressor::new_with_bands(config, BANDS))
    }

    /// Learns the room.
    pub fn listen(&mut self, bands: &Bands) {
        self.0.analyze(&bands.0[0]);
    }

    pub fn process(&mut self, bands: &mut Bands) {
        let [lowest, upper @ ..] = &mut bands.0;
        self.0.process(lowest);
        let gain = self.0.upper_band_gain();
        for (number, band) in upper.iter_mut().enumerate() {
            self.0.process_upper_band(band, number, gain);
        }
        bands.0.iter_mut().for_each(NoiseSuppressor::clamp_frame);
    }
}
