//! Where the packets of one speaker lie: exactly, for rendered sound, and on the grid of a track whose packets are passed through. See the
//! timeline's policy for why.

use super::placed::{Placed, PlacedBatch};
use super::report::{Reason, Report};
use super::runs::Run;
use super::waiting::{Before, Waiting};
use super::{GRID_SAMPLES, MS, PAUSE_SAMPLES};
use crate::SAMPLE_RATE_HZ;

const MAX_DRIFT_SAMPLES: i64 = 15 * MS / 2;
const MAX_STEP_SAMPLES: i64 = 15 * MS;
const QUIETEST_OF_SAMPLES: i64 = 2 * SAMPLE_RATE_HZ;
const MAX_OVERLAP_SAMPLES: i64 = 200 * MS;
/// 8.6 hundredths of a semitone.
const MAX_SLEW: f64 = 0.005;

#[derive(Debug)]
pub struct Track {
    /// What is added to timestamps for `exact` and for `position`.
    exact_offset: f64,
    track_offset: i64,
    exact_end: f64,
    /// One past the last placed sample.
    pub end: i64,
    /// The packet at which drift is made up for.
    quiet: Option<(Run, i64)>,
}

impl Default for Track {
    fn default() -> Self {
        Self { exact_offset: 0.0, track_offset: 0, exact_end: f64::MIN, end: 0, quiet: None }
    }
}

impl Track {
    /// Another sender speaks, whose clock stands at `delay`.
    pub fn begin(&mut self, delay: f64) {
        (self.exact_offset, self.track_offset) = (delay, on_grid(delay));
        self.quiet = None;
    }

    /// Whether the clock is too far away to be followed little by little.
    pub fn is_far_from(&self, delay: f64) -> bool {
        (delay - self.exact_offset).abs() > MAX_OVERLAP_SAMPLES as f64
    }

    /// The clock began anew, or is far away: what follows lies where it says, at once.
    pub fn jump(&mut self, item: &Waiting, delay: f64, restarted: bool, report: &mut Report) {
        let step = on_grid(delay) - self.track_offset;
        (self.exact_offset, self.track_offset) = (delay, on_grid(delay));
        report.shifted(item.timestamp + self.track_offset, step, Reason::ClockRestarted);
        if restarted {
            self.quiet = None;
        }
    }

    /// The clock goes on: it is followed, in speech slowly.
    pub fn follow(&mut self, item: &Waiting, before: Before, delay: f64) {
        let since = item.timestamp - before.timestamp;
        let paused = since - before.samples >= PAUSE_SAMPLES;
        let most = if paused { f64::MAX } else { MAX_SLEW * since.max(0) as f64 };
        self.exact_offset += (delay - self.exact_offset).clamp(-most, most);
    }

    /// How far the track is from where it belongs.
    fn drift(&self) -> f64 {
        self.exact_offset - self.track_offset as f64
    }

    /// Makes up for drift in the pause before `item`, or chooses the packet at which it will be; `upcoming`: what follows it.
    pub fn correct_silence<'a>(
        &mut self,
        item: &'a Waiting,
        upcoming: impl Iterator<Item = &'a Waiting>,
        report: &mut Report,
    ) {
        let drift = self.drift();
        let pause = on_grid((item.timestamp + self.track_offset) as f64) - self.end;
        if pause >= PAUSE_SAMPLES && drift.abs() >= GRID_SAMPLES as f64 {
            let step = on_grid(drift).max(-pause); // a pause may vanish, but the packet must not overlap the one before
            self.track_offset += step;
            report.shifted(self.end, step, Reason::DriftInSilence);
            self.quiet = None;
        } else if self.quiet.is_none() && drift.abs() > MAX_DRIFT_SAMPLES as f64 {
            let until = item.arrival + QUIETEST_OF_SAMPLES;
            let next = upcoming.take_while(|next| next.run == item.run && next.arrival <= until);
            let quietest = [item].into_iter().chain(next).min_by_key(|next| next.payload.len());
            self.quiet = quietest.map(Waiting::key);
        }
    }

    /// Whether `item` stays in the track, after making up for drift at it if it was chosen for that.
    fn correct_speech(&mut self, item: &Waiting, report: &mut Report) -> bool {
        if self.quiet != Some(item.key()) {
            return true;
        }
        self.quiet = None;
        let step = item.samples.min(MAX_STEP_SAMPLES);
        let drift = self.drift();
        if drift.abs() < MAX_DRIFT_SAMPLES as f64 {
            return true; // has gone by itself
        }
        let step = if drift < 0.0 { -step } else { step };
        self.track_offset += step;
        report.shifted(self.end, step, Reason::DriftInSpeech);
        drift > 0.0
    }

    /// Places `item`, `lost` packets behind the one before, where the sender's clock stands at `delay`.
    pub fn place(&mut self, item: &Waiting, lost: i64, delay: f64, report: &mut Report, out: &mut PlacedBatch) {
        let in_track = self.correct_speech(item, report);
        let belongs = item.timestamp as f64 + delay;
        if self.end as f64 - belongs > MAX_OVERLAP_SAMPLES as f64 {
            report.left_out(self.end, item.samples, Reason::Excess);
            return;
        }
        let overlap = self.exact_end - (item.timestamp as f64 + self.exact_offset);
        if overlap > 2.0 * MAX_SLEW * item.samples as f64 {
            self.exact_offset += overlap;
        }
        let exact = item.timestamp as f64 + self.exact_offset;
        let mut position = on_grid((item.timestamp + self.track_offset) as f64);
        if position < 0 || exact < 0.0 {
            report.left_out(0, item.samples, Reason::BeforeBeginning);
            return;
        }
        if in_track && position < self.end {
            report.shifted(self.end, self.end - position, Reason::Overlap);
            self.track_offset += self.end - position;
            position = self.end;
        }
        self.exact_end = exact + item.samples as f64;
        if in_track {
            self.end = position + item.samples;
        }
        report.placed(lost, in_track);
        out.push(Placed {
            position: position.max(self.end - item.samples).unsigned_abs(),
            exact,
            samples: item.samples as u32,
            lost: u32::try_from(lost).unwrap_or(u32::MAX),
            in_track,
            payload: &item.payload,
        });
    }
}

fn on_grid(position: f64) -> i64 {
    (position / GRID_SAMPLES as f64).round() as i64 * GRID_SAMPLES
}
