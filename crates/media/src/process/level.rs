//! Brings a voice to one level, whatever microphone and distance: WebRTC's second gain control (AGC2), which raises a quiet voice; what it
//! lacks, lowering a loud one; and its limiter.
//!
//! Only speech moves the gain: a network judges every 10 ms. It brings the peaks of a voice to 3 dB below full scale, which is -20 dB over
//! its active parts, and raises noise to -50 dB at most.

use sonora_agc2::adaptive_digital_gain_controller::{AdaptiveDigitalGainController, FrameInfo};
use sonora_agc2::common::{
    ADJACENT_SPEECH_FRAMES_THRESHOLD, SATURATION_PROTECTOR_INITIAL_HEADROOM_DB, float_s16_to_dbfs,
};
use sonora_agc2::limiter::Limiter;
use sonora_agc2::noise_level_estimator::NoiseLevelEstimator;
use sonora_agc2::saturation_protector::SaturationProtector;
use sonora_agc2::speech_level_estimator::{AdaptiveDigitalConfig, SpeechLevelEstimator};
use sonora_agc2::vad_wrapper::VoiceActivityDetectorWrapper;

use super::{FULL_SCALE, Samples};
use crate::frame::{PULL_SAMPLES, SAMPLE_RATE_HZ, energy, energy_db};

/// WebRTC's own but for three. It begins at +15 dB and moves by 6 dB a second, which lets a near voice shout for three seconds, and leaves a
/// far one (-50 dB) 9 dB short after five. And 5 dB of headroom leave voices at -23 dB (bench/gain.py).
const AGC2: AdaptiveDigitalConfig = AdaptiveDigitalConfig {
    headroom_db: 3.0,
    max_gain_db: 50.0,
    initial_gain_db: 8.0,
    max_gain_change_db_per_second: 12.0,
    max_output_noise_level_dbfs: -50.0,
};

const MOST_ATTENUATION_DB: f32 = 20.0;

/// 12 dB a second: too loud is worse than too quiet.
const ATTENUATION_STEP_DB: f32 = 0.12;

/// What is quieter is not asked about, because the highest gain would not make it a voice. The network is most of the work.
const QUIETEST_VOICE_DB: f32 = -70.0;

pub struct LevelControl {
    voice: VoiceActivityDetectorWrapper,
    noise: NoiseLevelEstimator,
    speech: SpeechLevelEstimator,
    peaks: SaturationProtector,
    amplifier: AdaptiveDigitalGainController,
    limiter: Limiter,
    attenuation_db: f32,
    noise_db: f32,
    gain_db: f32,
}

impl LevelControl {
    pub fn new() -> Self {
        Self {
            voice: VoiceActivityDetectorWrapper::new(sonora_simd::detect_backend(), SAMPLE_RATE_HZ as i32),
            noise: NoiseLevelEstimator::default(),
            speech: SpeechLevelEstimator::new(&AGC2, ADJACENT_SPEECH_FRAMES_THRESHOLD),
            peaks: SaturationProtector::new(SATURATION_PROTECTOR_INITIAL_HEADROOM_DB, ADJACENT_SPEECH_FRAMES_THRESHOLD),
            amplifier: AdaptiveDigitalGainController::new(AGC2, ADJACENT_SPEECH_FRAMES_THRESHOLD),
            limiter: Limiter::new(PULL_SAMPLES),
            attenuation_db: 0.0,
            noise_db: energy_db(0.0),
            gain_db: 0.0,
        }
    }

    /// Returns how likely it is a voice.
    pub fn process(&mut self, frame: &mut Samples) -> f32 {
        let before_db = energy_db(energy(frame));
        frame.iter_mut().for_each(|sample| *sample *= FULL_SCALE);
        let probability = if before_db > QUIETEST_VOICE_DB { self.voice.analyze(frame) } else { 0.0 };
        let peak = frame.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
        let rms = energy(frame).sqrt();
        self.noise_db = self.noise.analyze(&[&frame[..]]);
        self.speech.update(float_s16_to_dbfs(rms), probability);
        let speech_db = self.speech.level_dbfs();
        self.peaks.analyze(probability, float_s16_to_dbfs(peak), speech_db);
        let info = FrameInfo {
            speech_probability: probability,
            speech_level_dbfs: speech_db,
            speech_level_reliable: self.speech.is_confident(),
            noise_rms_dbfs: self.noise_db,
            headroom_db: self.peaks.headroom_db(),
            limiter_envelope_dbfs: float_s16_to_dbfs(self.limiter.last_audio_level()),
        };
        self.amplifier.process(&info, &mut [&mut frame[..]]);
        let peaks_db = speech_db + self.peaks.headroom_db();
        self.attenuate(frame, if self.speech.is_confident() { peaks_db + AGC2.headroom_db } else { 0.0 });
        self.limiter.process(&mut [&mut frame[..]]);
        frame.iter_mut().for_each(|sample| *sample = (*sample / FULL_SCALE).clamp(-1.0, 1.0));
        if before_db > MEASURABLE_DB {
            self.gain_db = energy_db(energy(frame)) - before_db;
        }
        probability
    }

    /// What it does now.
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }

    pub fn noise_db(&self) -> f32 {
        self.noise_db
    }

    fn attenuate(&mut self, frame: &mut Samples, above_db: f32) {
        let wanted_db = above_db.clamp(0.0, MOST_ATTENUATION_DB);
        let from = factor(self.attenuation_db);
        let step_db = (wanted_db - self.attenuation_db).clamp(-ATTENUATION_STEP_DB, ATTENUATION_STEP_DB);
        self.attenuation_db += step_db;
        if from == 1.0 && self.attenuation_db == 0.0 {
            return;
        }
        let step = (factor(self.attenuation_db) - from) / PULL_SAMPLES as f32;
        for (sample, number) in frame.iter_mut().zip(1u16..) {
            *sample *= from + step * f32::from(number);
        }
    }
}

/// Below that a ratio of levels says nothing.
const MEASURABLE_DB: f32 = -90.0;

fn factor(attenuation_db: f32) -> f32 {
    10f32.powf(-attenuation_db / 20.0)
}
