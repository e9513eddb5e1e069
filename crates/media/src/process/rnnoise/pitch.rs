//! The period of a voice, as CELT finds it: the lag at which the last 20 ms are most alike to what was before them.

use crate::frame::PULL_SAMPLES;

/// In samples, as all periods here: 800 Hz to 62.5 Hz.
const SHORTEST: usize = 60;
pub const LONGEST: usize = 768;
const FRAME: usize = 2 * PULL_SAMPLES;
pub const HISTORY: usize = LONGEST + FRAME;

/// Looked at are half of the samples, and for the first guess a quarter.
const HALF: usize = FRAME / 2;
const HALF_LONGEST: usize = LONGEST / 2;
const HALF_SHORTEST: usize = SHORTEST / 2;
const HALF_HISTORY: usize = HISTORY / 2;
/// A lag that is searched is a place in the history; periods below three times the shortest are found as fractions of longer ones.
const HALF_PLACES: usize = (LONGEST - 3 * SHORTEST) / 2;

/// Of a whole period's fraction k: with which multiple of it, over k, the finding is checked.
const SECOND_CHECK: [usize; 16] = [0, 0, 3, 2, 3, 2, 5, 2, 3, 2, 3, 2, 5, 2, 3, 2];

#[derive(Default)]
pub struct PitchFinder {
    last_period: usize,
    last_likeness: f32,
}

impl PitchFinder {
    /// In samples; `history`: the newest `HISTORY` samples.
    pub fn period(&mut self, history: &[f32; HISTORY]) -> usize {
        let half = whitened(history);
        let guess = LONGEST - search(&half);
        let (period, likeness) = self.shortest_alike(&half, guess / 2);
        (self.last_period, self.last_likeness) = (period, likeness);
        period
    }

    /// A voice that is alike after one period is so after two: the shortest one that is nearly as good. `guess`: in half samples.
    fn shortest_alike(&self, half: &[f32; HALF_HISTORY], guess: usize) -> (usize, f32) {
        let guess = guess.min(HALF_LONGEST - 1);
        let newest = &half[HALF_LONGEST..];
        let with = |lag: usize| super::dot(newest, &half[HALF_LONGEST - lag..HALF_LONGEST - lag + HALF]);
        let energy = super::dot(newest, newest);
        let energies = energies_before(half, energy);
        let likeness_of = |product: f32, other: f32| product / (1.0 + energy * other).sqrt();

        let mut best = (guess, with(guess), energies[guess]);
        let whole = likeness_of(best.1, best.2);
        let mut likeness = whole;
        for (k, check) in SECOND_CHECK.into_iter().enumerate().skip(2) {
            let lag = (2 * guess + k) / (2 * k);
            if lag < HALF_SHORTEST {
                break;
            }
            let other = match k {
                2 if lag + guess > HALF_LONGEST => guess,
                2 => guess + lag,
                _ => (2 * check * guess + k) / (2 * k),
            };
            let product = 0.5 * (with(lag) + with(other));
            let other_energy = 0.5 * (energies[lag] + energies[other]);
            let found = likeness_of(product, other_energy);
            let bonus = match lag.abs_diff(self.last_period / 2) {
                0 | 1 => self.last_likeness,
                2 if 5 * k * k < guess => 0.5 * self.last_likeness,
                _ => 0.0,
            };
            // Very short periods are often alike by chance.
            let (share, least) = if lag < 3 * HALF_SHORTEST { (0.85, 0.4) } else { (0.7, 0.3) };
            if found > (share * whole - bonus).max(least) {
                best = (lag, product, other_energy);
                likeness = found;
            }
        }
        let (lag, product, other_energy) = (best.0, best.1.max(0.0), best.2);
        let share = if other_energy <= product { 1.0 } else { product / (other_energy + 1.0) };
        let around = [with(lag - 1), with(lag), with(lag + 1)];
        let period = (2 * lag).saturating_add_signed(between(around));
        (period.max(SHORTEST), share.min(likeness))
    }
}

/// At half the rate, and with the same energy at all frequencies, more or less: what is left is the period.
fn whitened(history: &[f32; HISTORY]) -> [f32; HALF_HISTORY] {
    let half: [f32; HALF_HISTORY] = std::array::from_fn(|number| {
        let (before, at, after) = (history[(2 * number).max(1) - 1], history[2 * number], history[2 * number + 1]);
        if number == 0 { 0.5 * (0.5 * after + at) } else { 0.5 * (0.5 * (before + after) + at) }
    });
    let mut likeness: [f32; 5] = std::array::from_fn(|lag| super::dot(&half[lag..], &half[..HALF_HISTORY - lag]));
    likeness[0] *= 1.0001;
    for (lag, likeness) in likeness.iter_mut().enumerate() {
        let fade = 0.008 * lag as f32;
        *likeness -= *likeness * fade * fade;
    }
    let mut predictor = prediction(&likeness);
    let mut share = 1.0;
    for value in &mut predictor {
        share *= 0.9;
        *value *= share;
    }
    // A zero at 0.8 more: a bit less at low frequencies.
    let [a, b, c, d] = predictor;
    let taps = [a + 0.8, b + 0.8 * a, c + 0.8 * b, d + 0.8 * c, 0.8 * d];
    std::array::from_fn(|number| {
        let before = |lag: usize| if number >= lag { half[number - lag] } else { 0.0 };
        half[number] + (1..).zip(taps).map(|(lag, tap)| tap * before(lag)).sum::<f32>()
    })
}

/// Linear prediction of order 4 by Levinson and Durbin, up to 30 dB of gain.
fn prediction(likeness: &[f32; 5]) -> [f32; 4] {
    let mut taps = [0.0; 4];
    let mut error = likeness[0];
    if error == 0.0 {
        return taps;
    }
    for order in 0..4 {
        let sum: f32 = (0..order).map(|tap| taps[tap] * likeness[order - tap]).sum();
        let reflection = -(sum + likeness[order + 1]) / error;
        let before = taps;
        taps[order] = reflection;
        for tap in 0..order {
            taps[tap] += reflection * before[order - 1 - tap];
        }
        error -= reflection * reflection * error;
        if error < 0.001 * likeness[0] {
            break;
        }
    }
    taps
}

/// The place in the history, in samples, from which on it is most alike to the newest.
fn search(half: &[f32; HALF_HISTORY]) -> usize {
    const QUARTER: usize = HALF / 2;
    const QUARTER_PLACES: usize = HALF_PLACES / 2;
    let quarter: [f32; QUARTER + QUARTER_PLACES] = std::array::from_fn(|number| half[2 * number]);
    let newest: [f32; QUARTER] = std::array::from_fn(|number| half[HALF_LONGEST + 2 * number]);
    let coarse: [f32; QUARTER_PLACES] =
        std::array::from_fn(|place| super::dot(&newest, &quarter[place..place + QUARTER]));
    let guesses = two_best(&coarse, &quarter, QUARTER);

    let newest = &half[HALF_LONGEST..];
    let mut fine = [0.0; HALF_PLACES];
    for (place, product) in fine.iter_mut().enumerate() {
        if guesses.iter().any(|guess| place.abs_diff(2 * guess) <= 2) {
            *product = super::dot(newest, &half[place..place + HALF]).max(-1.0);
        }
    }
    let [best, _] = two_best(&fine, half, HALF);
    let inner = best > 0 && best < HALF_PLACES - 1;
    let offset = if inner { between([fine[best - 1], fine[best], fine[best + 1]]) } else { 0 };
    (2 * best).saturating_add_signed(-offset)
}

/// Places with the largest product for the energy that is there.
fn two_best(products: &[f32], samples: &[f32], width: usize) -> [usize; 2] {
    let mut energy = 1.0 + super::dot(&samples[..width], &samples[..width]);
    let (mut first, mut second) = ((0, -1.0, 0.0), (1, -1.0, 0.0));
    for (place, product) in products.iter().enumerate() {
        if *product > 0.0 {
            let square = (product * 1e-12) * (product * 1e-12);
            let found = (place, square, energy);
            let better = |than: (usize, f32, f32)| square * than.2 > than.1 * energy;
            if better(first) {
                (first, second) = (found, first);
            } else if better(second) {
                second = found;
            }
        }
        let next = samples.get(place + width).map_or(0.0, |sample| sample * sample);
        energy = (energy + next - samples[place] * samples[place]).max(1.0);
    }
    [first.0, second.0]
}

/// Which way from the middle of three the peak lies, if far enough.
fn between([before, at, after]: [f32; 3]) -> isize {
    if after - before > 0.7 * (at - before) {
        1
    } else if before - after > 0.7 * (at - after) {
        -1
    } else {
        0
    }
}

/// Of as many samples as the newest, each a lag earlier.
fn energies_before(half: &[f32; HALF_HISTORY], newest: f32) -> [f32; HALF_LONGEST + 1] {
    let mut energies = [newest; HALF_LONGEST + 1];
    let mut energy = newest;
    for lag in 1..=HALF_LONGEST {
        let (in_, out) = (half[HALF_LONGEST - lag], half[HALF_LONGEST + HALF - lag]);
        energy += in_ * in_ - out * out;
        energies[lag] = energy.max(0.0);
    }
    energies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_of_a_buzz_is_found() {
        for period in [100, 160, 240, 480] {
            let mut history = [0.0; HISTORY];
            for (number, sample) in history.iter_mut().enumerate() {
                let phase = (number % period) as f32 / period as f32;
                *sample = 8_000.0 * ((-8.0 * phase).exp() - 0.12);
            }
            let mut finder = PitchFinder::default();
            let found = (0..3).map(|_| finder.period(&history)).last().unwrap_or(0);
            assert!(found.abs_diff(period) <= 2, "{found} for {period}");
        }
    }

    #[test]
    fn silence_has_some_period_within_the_history() {
        let period = PitchFinder::default().period(&[0.0; HISTORY]);
        assert!((SHORTEST..=LONGEST).contains(&period));
    }
}
