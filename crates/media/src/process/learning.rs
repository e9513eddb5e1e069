//! Holds back what an echo canceller lets through while it does not know the room yet.
//!
//! For two to five seconds after it has found the echo's delay AEC3's filter takes nothing away, and its suppressor has only a guess of the
//! echo: a loud, distorted one comes back whole, a syllable at a time. So until the filter is seen to work, what the microphone hears while
//! the loudspeaker sounds is kept as low as a quiet room. That costs a word that is said into it; none where there is no echo whose delay
//! could be found, as with headphones, and none later in the call.

use super::bands::Bands;

/// A frame of the lowest band that is louder is held back to it: -50 dB of full scale.
const QUIET: f32 = 32_768.0 * 0.003_162;
/// Of the far end, likewise: what is softer makes no echo.
const SOUNDING: f32 = QUIET;
/// A room rings on for that long.
const RINGING_MS: i32 = 300;
/// Of the linear filter: it works.
const WORKING_DB: f32 = 1.0;
/// Of sound from the loudspeaker, in frames of 10 ms. A filter that has found nothing to take away by then never will: the echo is too weak.
const MOST_FRAMES: u32 = 600;

pub struct Learning {
    /// What the canceller says before it knows the delay: what it said at first.
    no_delay_ms: Option<i32>,
    frames: u32,
    since_sounding_ms: i32,
    gain: f32,
}

impl Default for Learning {
    fn default() -> Self {
        Self { no_delay_ms: None, frames: 0, since_sounding_ms: i32::MAX, gain: 1.0 }
    }
}

impl Learning {
    /// Before the canceller takes it.
    pub fn reverse(&mut self, bands: &Bands) {
        self.since_sounding_ms = if level(bands) > SOUNDING { 0 } else { self.since_sounding_ms.saturating_add(10) };
    }

    /// After the canceller.
    pub fn capture(&mut self, bands: &mut Bands, delay_ms: i32, erle_db: f32) {
        if erle_db >= WORKING_DB {
            self.frames = MOST_FRAMES;
        }
        let sounds = self.since_sounding_ms < delay_ms + RINGING_MS;
        let knows_delay = delay_ms != *self.no_delay_ms.get_or_insert(delay_ms);
        let learning = knows_delay && self.frames < MOST_FRAMES;
        let held_back = learning && sounds;
        self.frames += u32::from(held_back);
        let wanted = if held_back { (QUIET / level(bands).max(QUIET)).min(1.0) } else { 1.0 };
        if wanted == 1.0 && self.gain == 1.0 {
            return;
        }
        // Down at once, or the syllable's beginning would be heard; up over a frame.
        let from = self.gain.min(wanted);
        for band in &mut bands.0 {
            let step = (wanted - from) / band.len() as f32;
            for (sample, number) in band.iter_mut().zip(1u16..) {
                *sample *= from + step * f32::from(number);
            }
        }
        self.gain = wanted;
    }
}

/// Root of the mean square.
fn level(bands: &Bands) -> f32 {
    let lowest = &bands.0[0];
    (lowest.iter().map(|sample| sample * sample).sum::<f32>() / lowest.len() as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_DELAY_MS: i32 = 12;
    const LOUD: f32 = 3_000.0;

    fn bands(amplitude: f32) -> Bands {
        let mut bands = Bands::default();
        for band in &mut bands.0 {
            band.iter_mut()
                .enumerate()
                .for_each(|(number, sample)| *sample = if number % 2 == 0 { amplitude } else { -amplitude });
        }
        bands
    }

    /// How loud a frame comes out.
    fn given(learning: &mut Learning, far: f32, delay_ms: i32, erle_db: f32) -> f32 {
        learning.reverse(&bands(far));
        let mut near = bands(LOUD);
        learning.capture(&mut near, delay_ms, erle_db);
        level(&near)
    }

    fn whole(level: f32) -> bool {
        (level / LOUD - 1.0).abs() < 1e-3
    }

    #[test]
    fn an_echo_is_held_back_until_the_filter_works() {
        let mut learning = Learning::default();
        given(&mut learning, 0.0, NO_DELAY_MS, 0.0);
        for _ in 0..200 {
            assert!(given(&mut learning, LOUD, 192, 0.0) < 1.1 * QUIET);
        }
        given(&mut learning, LOUD, 192, 1.5);
        for _ in 0..200 {
            assert!(whole(given(&mut learning, LOUD, 192, 0.0)), "once is for the whole call");
        }
    }

    #[test]
    fn a_voice_goes_through_where_no_echo_was_found_and_where_nothing_sounds() {
        let mut learning = Learning::default();
        given(&mut learning, 0.0, NO_DELAY_MS, 0.0);
        for _ in 0..200 {
            assert!(whole(given(&mut learning, LOUD, NO_DELAY_MS, 0.0)), "headphones");
        }
        for number in 0..200 {
            let out = given(&mut learning, 0.0, 100, 0.0);
            assert!(whole(out) || number <= 41, "{out} in silence, frame {number}");
        }
    }

    #[test]
    fn an_echo_too_weak_to_be_learnt_holds_nobody_back_for_ever() {
        let mut learning = Learning::default();
        given(&mut learning, 0.0, NO_DELAY_MS, 0.0);
        for _ in 0..MOST_FRAMES {
            given(&mut learning, LOUD, 100, 0.0);
        }
        given(&mut learning, LOUD, 100, 0.0);
        assert!(whole(given(&mut learning, LOUD, 100, 0.0)));
    }
}
