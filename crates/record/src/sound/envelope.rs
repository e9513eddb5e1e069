//! The loudness of made-up sound: at full level for 100 ms, gone after 200; what comes after is back within 5 ms.

const SAMPLES_PER_MS: usize = 48;
const HOLD: usize = 100 * SAMPLES_PER_MS;
const FADE: usize = 100 * SAMPLES_PER_MS;
const RETURN: usize = 5 * SAMPLES_PER_MS;

/// After this much concealment nothing is heard.
pub const AUDIBLE: usize = HOLD + FADE;

pub struct Envelope {
    channels: usize,
    level: f32,
    /// Frames concealed since the newest that were not.
    concealed: usize,
}

impl Envelope {
    /// At full level: an encoder's first packet begins softly by itself.
    pub fn new(channels: usize) -> Self {
        Self { channels, level: 1.0, concealed: 0 }
    }

    /// Sound that was sent.
    pub fn sent(&mut self, samples: &mut [f32]) {
        self.concealed = 0;
        if self.level < 1.0 {
            self.slope(samples, 1.0 / RETURN as f32);
        }
    }

    /// Sound made up for a loss.
    pub fn concealed(&mut self, samples: &mut [f32]) {
        let frames = samples.len() / self.channels;
        let held = HOLD.saturating_sub(self.concealed).min(frames);
        self.concealed += frames;
        let (hold, fade) = samples.split_at_mut(held * self.channels);
        self.slope(hold, 0.0);
        self.slope(fade, -1.0 / FADE as f32);
    }

    /// Sound made up to end softly: silent at the end of these samples.
    pub fn led_out(&mut self, samples: &mut [f32]) {
        let frames = samples.len() / self.channels;
        self.slope(samples, -self.level / frames as f32);
        self.level = 0.0;
    }

    fn slope(&mut self, samples: &mut [f32], step: f32) {
        if self.level == 1.0 && step == 0.0 {
            return;
        }
        for frame in samples.chunks_exact_mut(self.channels) {
            self.level = (self.level + step).clamp(0.0, 1.0);
            frame.iter_mut().for_each(|sample| *sample *= self.level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_sound_is_gone_after_200_ms_and_sent_sound_back_after_5() {
        for channels in [1, 2] {
            let mut envelope = Envelope::new(channels);
            let mut made_up = vec![1.0; AUDIBLE * channels];
            made_up.chunks_mut(960 * channels).for_each(|piece| envelope.concealed(piece));
            assert_eq!(made_up[HOLD * channels - 1], 1.0);
            assert!((made_up[(HOLD + FADE / 2) * channels] - 0.5).abs() < 0.01);
            assert!(made_up[AUDIBLE * channels - 1] < 0.001);
            let mut sent = vec![1.0; 960 * channels];
            envelope.sent(&mut sent);
            assert!(sent[0] < 0.01 && (sent[RETURN / 2 * channels] - 0.5).abs() < 0.01);
            assert!(sent[RETURN * channels..].iter().all(|sample| *sample > 0.999));
        }
    }

    #[test]
    fn a_lead_out_ends_in_silence_whatever_its_length() {
        for frames in [120, 960] {
            let mut samples = vec![1.0; frames];
            Envelope::new(1).led_out(&mut samples);
            assert!(samples[0] > 0.99 && samples[frames - 1].abs() < 1e-3);
            assert!(samples.windows(2).all(|pair| pair[0] >= pair[1]));
        }
    }
}
