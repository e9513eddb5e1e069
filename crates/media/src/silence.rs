//! Where nobody speaks: there the delay may follow its target unheard.

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
    /// Whether a frame of this energy (mean square) is a pause. Asked once per frame played.
    pub fn is_quiet(&mut self, energy: f32) -> bool {
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
        let mut is_quiet = |amplitude: f32| pauses.is_quiet(amplitude * amplitude);
        assert!(is_quiet(0.0));
        assert!(!is_quiet(0.1));
        assert!(is_quiet(0.004));
        assert!(!is_quiet(0.02));
    }
}
