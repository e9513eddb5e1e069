//! What it takes to share sound: music, a jingle, whatever a person plays into the call.
//!
//! It joins behind all processing, so that noise suppression does not take it for noise nor gain control for a voice. It is sent as music,
//! in stereo and by an encoder of its own, because libopus chooses between speech and music once for all: the chain changes encoders
//! between two packets, each begins without a past, and the listeners' decoder fades from one to the other. The microphone goes along, on
//! both sides alike; one limiter for both channels keeps the sum within full scale.

use raccall_opus::{Application, Encoder};

use crate::frame::{SAMPLE_RATE_HZ, SEND_SAMPLES};
use crate::gain::Gain;
use crate::limiter::Limiter;
use crate::send::MediaError;

pub const SHARED_CHANNELS: usize = 2;

/// 20 ms, interleaved.
pub const SHARED_SAMPLES: usize = SHARED_CHANNELS * SEND_SAMPLES;

pub const SILENCE: [f32; SHARED_SAMPLES] = [0.0; SHARED_SAMPLES];

/// Of a payload, on a good link: beyond, nobody hears a difference (RFC 7587 section 3.1.1 recommends 64 to 128 kb/s for stereo music).
pub const SHARED_BPS: i32 = 128_000;

/// Encoder and mixer of shared sound, for one SendChain. Made where allocating is allowed.
pub struct Share {
    pub(crate) encoder: Encoder,
    limiter: Limiter,
    /// Of the microphone: 1 while it is heard.
    microphone: Gain,
    is_heard: bool,
    mixed: Box<[f32; SHARED_SAMPLES]>,
}

impl Share {
    /// `channels`: of the microphone, 1 or 2. `complexity`: 0 to 10.
    pub fn new(channels: usize, complexity: u8, expected_loss_pct: u8) -> Result<Self, MediaError> {
        let mut encoder = Encoder::new(SAMPLE_RATE_HZ, SHARED_CHANNELS as u8, Application::Audio)?;
        encoder.set_bitrate(SHARED_BPS)?;
        encoder.set_complexity(complexity)?;
        encoder.set_expected_loss(expected_loss_pct)?;
        Ok(Self {
            encoder,
            limiter: Limiter::for_channels(SHARED_CHANNELS),
            microphone: Gain::for_channels(1.0, channels),
            is_heard: true,
            mixed: Box::new(SILENCE),
        })
    }

    /// Forgets what was shared before. `is_heard`: the microphone is, until now.
    pub(crate) fn begin(&mut self, is_heard: bool) {
        self.encoder.reset().expect("takes no argument");
        self.limiter = Limiter::for_channels(SHARED_CHANNELS);
        self.microphone.jump(if is_heard { 1.0 } else { 0.0 });
        self.is_heard = is_heard;
    }

    /// The microphone's 20 ms, faded in or out where `is_heard` changes, and what is shared.
    pub(crate) fn mix(
        &mut self,
        captured: &mut [f32],
        is_heard: bool,
        shared: &[f32; SHARED_SAMPLES],
    ) -> &[f32; SHARED_SAMPLES] {
        if is_heard != self.is_heard {
            self.microphone.set_factor(if is_heard { 1.0 } else { 0.0 });
            self.is_heard = is_heard;
        }
        self.microphone.apply(captured);
        let channels = captured.len() / SEND_SAMPLES;
        let both = captured.chunks_exact(channels).flat_map(|sample| [sample[0], sample[channels - 1]]);
        for ((mixed, voice), sound) in self.mixed.iter_mut().zip(both).zip(shared) {
            *mixed = voice + sound;
        }
        self.limiter.apply(&mut self.mixed[..]);
        &self.mixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_microphone_is_on_both_sides_and_fades_with_its_gate() {
        let mut share = Share::new(1, 0, 0).unwrap();
        share.begin(false);
        let mut voice = [0.5; SEND_SAMPLES];
        let left: [f32; SHARED_SAMPLES] = std::array::from_fn(|i| if i % 2 == 0 { 0.25 } else { 0.0 });
        assert_eq!(share.mix(&mut voice, false, &left), &left, "who is not heard adds nothing");
        voice.fill(0.5);
        let mixed = share.mix(&mut voice, true, &left);
        let step = mixed.chunks(2).map(|pair| pair[1]).collect::<Vec<_>>();
        assert!(step[0] < 0.01 && step.windows(2).all(|pair| pair[1] >= pair[0]), "a fade of 20 ms");
        voice.fill(0.5);
        assert_eq!(share.mix(&mut voice, true, &left)[..2], [0.75, 0.5]);
    }

    #[test]
    fn the_sum_stays_within_full_scale_and_moves_to_neither_side() {
        let mut share = Share::new(2, 0, 0).unwrap();
        share.begin(true);
        let tone = |i: usize| (i as f32 * 0.05).sin();
        for second in 0..50 {
            let mut voice: Vec<f32> = (0..SEND_SAMPLES).flat_map(|i| [0.9 * tone(second * 960 + i), 0.0]).collect();
            let sound = std::array::from_fn(|i| tone(second * 960 + i / 2) * if i % 2 == 0 { 0.9 } else { 0.45 });
            let mixed = share.mix(&mut voice, true, &sound);
            assert!(mixed.iter().all(|sample| sample.abs() <= crate::limiter::CEILING));
            let loud = mixed.chunks(2).filter(|pair| pair[0].abs() > 0.5 && pair[0].abs() < 0.96);
            assert!(loud.into_iter().all(|pair| (pair[1] / pair[0] - 0.25).abs() < 5e-3));
        }
    }
}
