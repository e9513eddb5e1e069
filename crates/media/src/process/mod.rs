//! What makes a microphone's sound fit to be sent: high-pass, echo, noise, gain, in this order, 10 ms at a time.
//!
//! ```text
//! far end ─▶ reverse ──────────┐
//! microphone ─▶ high-pass ─▶ echo ─▶ noise (light) ─▶ noise (neural) ─▶ gain ─▶ gain control, limiter ─▶ send chain
//!                              └─ on three bands of 16 kHz ─┘
//! ```
//!
//! The order is not a matter of taste: what suppresses noise is not linear, and before the echo canceller it would hide the echo's path
//! from it; gain control before it would be a path that changes all the time. Signal processing is WebRTC's, in the Rust port `sonora`
//! (WebRTC M145), whose echo canceller is driven here directly for its settings; and RNNoise's (`rnnoise`).
//!
//! Added delay: echo 9 ms, light noise suppression 6 ms more (7 ms alone), neural 20 ms; the rest none.

mod bands;
mod drift;
mod echo;
mod high_pass;
mod learning;
mod level;
mod noise;
mod reference;
mod rnnoise;

use crate::frame::{PULL_SAMPLES, energy, energy_db};
use crate::gain::Gain;

use bands::{Bands, FilterBank};
use echo::EchoCanceller;
use high_pass::HighPass;
use level::LevelControl;
use noise::LightSuppressor;
use rnnoise::RnNoise;

pub use drift::Drift;
pub use reference::EchoReference;

/// 10 ms, what is processed at a time.
pub type Samples = [f32; PULL_SAMPLES];

/// All signal processing inside is made for samples of 16 bits.
const FULL_SCALE: f32 = 32_768.0;

/// Of a microphone's own gain.
pub const MICROPHONE_GAIN_RANGE_DB: (f32, f32) = (-20.0, 30.0);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoiseSuppression {
    #[default]
    Off,
    /// WebRTC's: nearly free, takes the edge off steady noise, keeps every voice.
    Light,
    /// RNNoise: silences keyboards and dishes, too, for many times the CPU. Takes some voices for noise.
    Neural,
}

/// What is switched on. All off: the sound passes untouched.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Processing {
    pub echo: bool,
    pub noise: NoiseSuppression,
    pub gain_control: bool,
    /// The microphone's own gain, within [`MICROPHONE_GAIN_RANGE_DB`]. Gain control, if on, goes on from there.
    pub gain_db: f32,
    /// Takes away what lies below 100 Hz. The echo canceller brings it along.
    pub high_pass: bool,
}

/// What processing did last.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ProcessReport {
    /// By how much the echo canceller's filter alone lowers the echo; None while it is off.
    pub erle_db: Option<f32>,
    /// From a sample's `reverse` to its echo, as the canceller found it.
    pub echo_delay_ms: Option<i32>,
    /// Level of what is no voice, against full scale; None without gain control.
    pub noise_db: Option<f32>,
    /// Of microphone gain and gain control together.
    pub gain_db: f32,
    /// That the newest 10 ms are a voice; None where neither gain control nor the neural suppressor listens.
    pub voice_probability: Option<f32>,
    /// Of the newest 10 ms before anything was done to them, -127 to 0 against full scale.
    pub captured_db: f32,
}

/// Processes one microphone. Pure: owned by one thread, 10 ms a call.
///
/// For each `capture` there is one `reverse`, before it: what is about to sound. Several may come in one go, up to `MOST_AHEAD`; where one
/// is missing, silence takes its place, because a skipped one would shift all that follow.
pub struct Processor {
    settings: Processing,
    high_pass: Option<HighPass>,
    near_bank: FilterBank,
    far_bank: FilterBank,
    echo: Option<EchoCanceller>,
    light: Option<LightSuppressor>,
    neural: Option<RnNoise>,
    gain: Gain,
    level: Option<LevelControl>,
    /// `reverse` calls that no `capture` has followed yet.
    ahead: usize,
    voice_probability: Option<f32>,
    captured_db: f32,
}

/// Of `reverse` calls; the canceller keeps a second, but what is further ahead belongs to another time.
const MOST_AHEAD: usize = 32;

impl Default for Processor {
    fn default() -> Self {
        Self::new(&Processing::default())
    }
}

impl Processor {
    pub fn new(settings: &Processing) -> Self {
        let mut processor = Self {
            settings: Processing::default(),
            high_pass: None,
            near_bank: FilterBank::default(),
            far_bank: FilterBank::default(),
            echo: None,
            light: None,
            neural: None,
            gain: Gain::new(1.0),
            level: None,
            ahead: 0,
            voice_probability: None,
            captured_db: energy_db(0.0),
        };
        processor.set(settings);
        processor
    }

    /// Switches from the next frame on. What stays on keeps what it has learnt; what is switched on begins to learn.
    pub fn set(&mut self, settings: &Processing) {
        let banded = |settings: &Processing| settings.echo || settings.noise == NoiseSuppression::Light;
        if banded(settings) != banded(&self.settings) {
            self.near_bank = FilterBank::default();
            self.high_pass = None;
        }
        if settings.echo && !self.settings.echo {
            self.far_bank = FilterBank::default();
        }
        let make_high_pass = if banded(settings) { HighPass::of_lowest_band } else { HighPass::of_all };
        keep_or_make(&mut self.high_pass, settings.high_pass || settings.echo, make_high_pass);
        keep_or_make(&mut self.echo, settings.echo, EchoCanceller::new);
        keep_or_make(&mut self.light, settings.noise == NoiseSuppression::Light, LightSuppressor::new);
        keep_or_make(&mut self.neural, settings.noise == NoiseSuppression::Neural, RnNoise::new);
        keep_or_make(&mut self.level, settings.gain_control, LevelControl::new);
        let (least, most) = MICROPHONE_GAIN_RANGE_DB;
        let gain_db =
            if settings.gain_db.is_nan() { self.settings.gain_db } else { settings.gain_db.clamp(least, most) };
        if gain_db != self.settings.gain_db {
            self.gain.set_factor(10f32.powf(gain_db / 20.0));
        }
        self.settings = Processing { gain_db, ..*settings };
    }

    pub fn settings(&self) -> &Processing {
        &self.settings
    }

    /// Takes 10 ms that are about to sound from the loudspeaker: the whole mix, as the card gets it.
    pub fn reverse(&mut self, frame: &Samples) {
        let Some(echo) = &mut self.echo else { return };
        let mut samples = *frame;
        sanitise(&mut samples);
        let mut bands = Bands::default();
        self.far_bank.split(&samples, &mut bands);
        echo.reverse(&bands);
        self.ahead = (self.ahead + 1).min(MOST_AHEAD);
    }

    /// Processes 10 ms of the microphone in place. Samples that are not finite become silence, those beyond ±1 are clipped.
    pub fn capture(&mut self, frame: &mut Samples) {
        self.captured_db = energy_db(energy(frame)).min(0.0);
        if self.settings == Processing::default() && !self.gain.is_moving() {
            return;
        }
        if self.echo.is_some() && self.ahead == 0 {
            self.reverse(&[0.0; PULL_SAMPLES]);
        }
        self.ahead = self.ahead.saturating_sub(1);
        let clipped = sanitise(frame);
        self.voice_probability = None;
        if self.echo.is_some() || self.light.is_some() {
            self.in_bands(frame, clipped);
        } else if let Some(high_pass) = &mut self.high_pass {
            high_pass.process(frame);
        }
        if let Some(neural) = &mut self.neural {
            self.voice_probability = Some(neural.process(frame));
        }
        for sample in &mut *frame {
            *sample /= FULL_SCALE;
        }
        self.gain.apply(frame);
        if let Some(level) = &mut self.level {
            self.voice_probability = Some(level.process(frame));
        }
    }

    /// Begins anew, as when a microphone or a loudspeaker was replaced: nothing learnt holds any more. Settings stay.
    pub fn reset(&mut self) {
        let settings = self.settings;
        *self = Self::new(&settings);
    }

    pub fn report(&self) -> ProcessReport {
        let level_gain_db = self.level.as_ref().map_or(0.0, LevelControl::gain_db);
        ProcessReport {
            erle_db: self.echo.as_ref().map(EchoCanceller::erle_db),
            echo_delay_ms: self.echo.as_ref().map(EchoCanceller::delay_ms),
            noise_db: self.level.as_ref().map(LevelControl::noise_db),
            gain_db: self.settings.gain_db + level_gain_db,
            voice_probability: self.voice_probability,
            captured_db: self.captured_db,
        }
    }

    fn in_bands(&mut self, frame: &mut Samples, clipped: bool) {
        let mut bands = Bands::default();
        self.near_bank.split(frame, &mut bands);
        if let Some(high_pass) = &mut self.high_pass {
            high_pass.process(&mut bands.0[0]);
        }
        if let Some(light) = &mut self.light {
            light.listen(&bands); // to the room with its echo, as WebRTC does: the canceller's comfort noise is no noise of the room
        }
        if let Some(echo) = &mut self.echo {
            echo.capture(&mut bands, clipped);
        }
        if let Some(light) = &mut self.light {
            light.process(&mut bands);
        }
        self.near_bank.merge(&bands, frame);
    }
}

fn keep_or_make<T>(stage: &mut Option<T>, wanted: bool, make: impl FnOnce() -> T) {
    match (&stage, wanted) {
        (None, true) => *stage = Some(make()),
        (Some(_), false) => *stage = None,
        _ => {}
    }
}

/// To 16 bit's scale. True where the microphone is overdriven: an echo in it is no longer linear.
fn sanitise(frame: &mut Samples) -> bool {
    let mut clipped = false;
    for sample in frame {
        *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) * FULL_SCALE } else { 0.0 };
        clipped |= sample.abs() >= CLIPPED;
    }
    clipped
}

/// 0.02 dB below full scale, as WebRTC has it.
const CLIPPED: f32 = 32_700.0;

#[cfg(test)]
mod tests;
