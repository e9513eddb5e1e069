//! How much faster one sound card's clock runs than another's.
//!
//! Each card tells how many samples it has moved, and when. That wavers by a callback's period and by what the machine did meanwhile, so a
//! second's reports become one point, and a straight line through the points of half a minute is a card's clock. Where a card leaves out or
//! repeats something, the line breaks: then it begins anew, and until it is known again the last answer holds.

use std::collections::VecDeque;

use raccall_wire::Nanos;

use crate::frame::SAMPLE_RATE_HZ;

const NANOS_PER_SECOND: f64 = 1e9;

const MOST_POINTS: usize = 30;

/// Below that, nobody knows how far the reports waver.
const LEAST_POINTS: usize = 8;

/// An answer that wavers more is none: a busy machine's reports do for longer.
const MOST_ERROR_PPM: f64 = 15.0;

/// Two clocks drift by 1.5 ms in a second at most: what jumps further is no clock.
const JUMP_SECONDS: f64 = 0.006;

/// Of the loudspeaker against the microphone.
#[derive(Debug, Default)]
pub struct Drift {
    played: CardClock,
    captured: CardClock,
    ppm: f64,
}

impl Drift {
    /// Samples moved since the device was opened, and when the last of them were.
    pub fn take(&mut self, played: (u64, Nanos), captured: (u64, Nanos)) {
        self.played.take(played);
        self.captured.take(captured);
        if let (Some(played), Some(captured)) = (self.played.line(), self.captured.line())
            && played.error.hypot(captured.error) * 1e6 < MOST_ERROR_PPM
        {
            self.ppm = ((1.0 + played.slope) / (1.0 + captured.slope) - 1.0) * 1e6;
        }
    }

    /// 0 until it is known: ten seconds after the beginning, later where a machine is busy.
    pub fn ppm(&self) -> f64 {
        self.ppm
    }
}

#[derive(Debug, Default)]
struct CardClock {
    began: Option<(u64, Nanos)>,
    /// Seconds since it began, and by how many seconds the card is ahead then; one point a second.
    points: VecDeque<(f64, f64)>,
    second: f64,
    sum: (f64, f64),
    reports: u32,
    last: (u64, Nanos),
}

impl CardClock {
    fn take(&mut self, (samples, at): (u64, Nanos)) {
        if (samples, at) == self.last {
            return;
        }
        self.last = (samples, at);
        let (first, start) = *self.began.get_or_insert((samples, at));
        if samples < first || at < start {
            return self.begin();
        }
        let time = (at - start) as f64 / NANOS_PER_SECOND;
        let ahead = (samples - first) as f64 / f64::from(SAMPLE_RATE_HZ) - time;
        if time >= self.second + 1.0 {
            self.finish_second();
            self.second = time.floor();
        }
        self.sum = (self.sum.0 + time, self.sum.1 + ahead);
        self.reports += 1;
    }

    fn finish_second(&mut self) {
        let reports = f64::from(self.reports);
        let point = (self.sum.0 / reports, self.sum.1 / reports);
        (self.sum, self.reports) = ((0.0, 0.0), 0);
        let jumped =
            self.points.back().is_some_and(|last| (point.1 - last.1).abs() > JUMP_SECONDS * (point.0 - last.0));
        if jumped {
            self.points.clear();
        }
        self.points.push_back(point);
        if self.points.len() > MOST_POINTS {
            self.points.pop_front();
        }
    }

    fn begin(&mut self) {
        *self = Self::default();
    }

    /// The line that fits best, by least squares.
    fn line(&self) -> Option<Line> {
        if self.points.len() < LEAST_POINTS {
            return None;
        }
        let count = self.points.len() as f64;
        let (times, aheads) = self.points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let (mean_time, mean_ahead) = (times / count, aheads / count);
        let (mut covariance, mut variance) = (0.0, 0.0);
        for (time, ahead) in &self.points {
            covariance += (time - mean_time) * (ahead - mean_ahead);
            variance += (time - mean_time) * (time - mean_time);
        }
        let slope = covariance / variance;
        let beside: f64 =
            self.points.iter().map(|(time, ahead)| (ahead - mean_ahead - slope * (time - mean_time)).powi(2)).sum();
        Some(Line { slope, error: (beside / (count - 2.0) / variance).sqrt() })
    }
}

/// Seconds that a card gains in a second, and the standard error of that.
struct Line {
    slope: f64,
    error: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card that calls every `period` samples of its own clock, up to 4 ms late.
    struct Card {
        ppm: f64,
        period: u64,
        samples: u64,
        seed: u32,
    }

    impl Card {
        /// Its newest report at `now`, in ns.
        fn report(&mut self, now: f64) -> (u64, Nanos) {
            let due = |samples: u64| samples as f64 / 48_000.0 / (1.0 + self.ppm * 1e-6) * 1e9;
            while due(self.samples + self.period) <= now {
                self.samples += self.period;
            }
            let at = due(self.samples);
            self.seed = (self.samples as u32).wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.samples, (1e9 + at + f64::from(self.seed >> 8) / f64::from(1 << 24) * 4e6) as Nanos)
        }
    }

    fn estimate(speaker: &mut Card, microphone: &mut Card, drift: &mut Drift, from_s: u32, to_s: u32) -> f64 {
        for tick in from_s * 100..to_s * 100 {
            let now = f64::from(tick) * 1e7;
            drift.take(speaker.report(now), microphone.report(now));
        }
        drift.ppm()
    }

    #[test]
    fn two_clocks_are_told_apart_within_a_few_ppm() {
        for (speaker_ppm, microphone_ppm) in [(0.0, 0.0), (500.0, 0.0), (-30.0, 120.0), (40.0, -460.0)] {
            let mut speaker = Card { ppm: speaker_ppm, period: 480, samples: 0, seed: 0 };
            let mut microphone = Card { ppm: microphone_ppm, period: 1_024, samples: 0, seed: 0 };
            let mut drift = Drift::default();
            let soon = estimate(&mut speaker, &mut microphone, &mut drift, 0, 12);
            let later = estimate(&mut speaker, &mut microphone, &mut drift, 12, 60);
            let expected = speaker_ppm - microphone_ppm;
            assert!((soon - expected).abs() < 40.0, "{soon} ppm instead of {expected}");
            assert!((later - expected).abs() < 8.0, "{later} ppm instead of {expected}");
        }
    }

    #[test]
    fn what_wavers_too_much_is_not_believed() {
        let mut drift = Drift::default();
        for tick in 0..2_000u64 {
            let due = 1_000_000_000 + tick * 10_000_000;
            let late = if tick % 1_000 < 500 { 5_000_000 } else { 0 }; // a machine that is busy for seconds
            drift.take((tick * 480, due + late), (tick * 480, due));
        }
        assert_eq!(drift.ppm(), 0.0);
    }

    #[test]
    fn a_card_that_leaves_something_out_changes_nothing() {
        let mut speaker = Card { ppm: 200.0, period: 480, samples: 0, seed: 0 };
        let mut microphone = Card { ppm: 0.0, period: 480, samples: 0, seed: 0 };
        let mut drift = Drift::default();
        estimate(&mut speaker, &mut microphone, &mut drift, 0, 20);
        speaker.ppm = 200.0;
        for second in 20..60 {
            let mut late = |now: f64| {
                let (samples, at) = speaker.report(now);
                (samples - 4_800, at) // 100 ms that it did not play
            };
            for tick in second * 100..second * 100 + 100 {
                let now = f64::from(tick) * 1e7;
                drift.take(late(now), microphone.report(now));
            }
            assert!((drift.ppm() - 200.0).abs() < 40.0, "{} ppm in second {second}", drift.ppm());
        }
    }

    #[test]
    fn a_device_opened_anew_counts_from_zero() {
        let mut drift = Drift::default();
        drift.take((480_000, 5_000_000_000), (480_000, 5_000_000_000));
        drift.take((480, 6_000_000_000), (480_480, 6_000_000_000));
        drift.take((960, 6_010_000_000), (480_960, 6_010_000_000));
        assert_eq!(drift.ppm(), 0.0);
    }
}
