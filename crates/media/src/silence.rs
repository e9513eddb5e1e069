//! Where nobody speaks: there the delay may follow its target unheard.

use crate::frame::energy;

/// A frame 25 dB below the loudest of the last seconds is silence between words.
const QUIET: f32 = 0.003;

/// Per 10 ms: the loudest fades by half in about 3 s.
const FORGET: f32 = 0.9977;

/// Below -70 dB it is silence whatever came before.
const ALWAYS_QUIET: f32 = 1e-7;

#[derive(Debug, Default)]
pub struct Pauses {
    loudest: f32,
}

impl Pauses {
    /// Whether this frame is a pause. Asked once per frame played.
    pub fn is_quiet(&mut self, frame: &[f32]) -> bool {
        let energy = energy(frame);
        self.loudest = (self.loudest * FORGET).max(energy);
        energy <= self.loudest * QUIET || energy <= ALWAYS_QUIET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_quiet_against_the_speech_around_it() {
        let mut pauses = Pauses::default();
        assert!(pauses.is_quiet(&[0.0; 480]));
        assert!(!pauses.is_quiet(&[0.1; 480]));
        assert!(pauses.is_quiet(&[0.004; 480]));
        assert!(!pauses.is_quiet(&[0.02; 480]));
    }
}
