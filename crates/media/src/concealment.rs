//! The loudness of made-up sound: PLC at full level for 100 ms, gone after 200; 10 ms when the talker has stopped; back within 5 ms.

use crate::frame::SAMPLES_PER_MS;

const HOLD_SAMPLES: usize = 100 * SAMPLES_PER_MS;
const FADE_STEP: f32 = 1.0 / (100 * SAMPLES_PER_MS) as f32;
const STOP_STEP: f32 = 1.0 / (10 * SAMPLES_PER_MS) as f32;
const RETURN_STEP: f32 = 1.0 / (5 * SAMPLES_PER_MS) as f32;

/// Starts silent, so that a Source's first packet is faded in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Concealment {
    level: f32,
    run: usize,
}

impl Concealment {
    /// Whether nothing would be heard of concealed sound: no need to make it.
    pub fn is_silent(&self) -> bool {
        self.level == 0.0
    }

    /// Sound that was sent.
    pub fn real(&mut self, samples: &mut [f32]) {
        self.run = 0;
        if self.level < 1.0 {
            self.slope(samples, RETURN_STEP);
        }
    }

    /// Sound made up for a loss.
    pub fn concealed(&mut self, samples: &mut [f32]) {
        let held = HOLD_SAMPLES.saturating_sub(self.run).min(samples.len());
        self.run += samples.len();
        let (hold, fade) = samples.split_at_mut(held);
        if self.level < 1.0 {
            hold.iter_mut().for_each(|sample| *sample *= self.level);
        }
        self.slope(fade, -FADE_STEP);
    }

    /// Sound made up to end softly.
    pub fn stopped(&mut self, samples: &mut [f32]) {
        self.slope(samples, -STOP_STEP);
    }

    fn slope(&mut self, samples: &mut [f32], step: f32) {
        for sample in samples {
            self.level = (self.level + step).clamp(0.0, 1.0);
            *sample *= self.level;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_sound_is_gone_after_200_ms_and_real_sound_back_after_5() {
        let mut concealment = Concealment::default();
        concealment.real(&mut [1.0; 480]);
        let mut made_up = vec![1.0; 9600];
        made_up.chunks_mut(480).for_each(|chunk| concealment.concealed(chunk));
        assert_eq!(made_up[4799], 1.0);
        assert!((made_up[7200] - 0.5).abs() < 0.01);
        assert!(made_up[9599] < 0.001);
        let mut real = [1.0; 480];
        concealment.real(&mut real);
        assert!(real[0] < 0.01 && real[240] > 0.99);
    }
}
