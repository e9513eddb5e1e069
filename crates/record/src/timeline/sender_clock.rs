//! The clock of the sender that speaks now: whether it goes on, and where it stands. See the timeline's policy for why.

use std::collections::VecDeque;

use super::clock_estimate::ClockEstimate;
use super::waiting::{Before, Waiting};
use super::{MS, PAUSE_SAMPLES};
use crate::SAMPLE_RATE_HZ;

const STALL_SAMPLES: i64 = 40 * MS;
const RESTART_SAMPLES: i64 = 20 * MS;
const RESTART_SAMPLES_FEW: i64 = 100 * MS;
const ENOUGH_PACKETS: usize = 50;
/// An hour: beyond that timestamps jumped.
const MAX_COUNTED_SAMPLES: i64 = 3600 * SAMPLE_RATE_HZ;
const LASTING_SAMPLES: i64 = 120 * SAMPLE_RATE_HZ;

#[derive(Debug, Default)]
pub struct SenderClock {
    estimate: ClockEstimate,
    /// False once packets came that `estimate` cannot hold, until it begins anew.
    goes_on: bool,
    /// At the packet before.
    delay: f64,
    recent: Recent,
    /// Whether the timestamps of this run went on in a pause.
    counts_pauses: bool,
    /// Since when, in timestamps, everything comes later than the clock says.
    elevated_since: Option<i64>,
}

impl SenderClock {
    /// Takes a packet that came for the look-ahead, behind `before`.
    pub fn add(&mut self, item: &Waiting, before: Before) {
        self.goes_on &= self.away(item, before.timestamp) >= -RESTART_SAMPLES_FEW as f64;
        if self.goes_on {
            self.estimate.add(item.timestamp, item.delay());
        }
    }

    /// Another sender speaks: `upcoming` are its packets.
    pub fn begin_run<'a>(&mut self, upcoming: impl Iterator<Item = &'a Waiting>) {
        self.begin(upcoming);
        self.counts_pauses = false;
    }

    /// Takes the upcoming packets, as far as they are of one clock: where delays fall by more than the network can
    /// have held back, timestamps jumped.
    fn begin<'a>(&mut self, upcoming: impl Iterator<Item = &'a Waiting>) {
        let mut estimate = ClockEstimate::default();
        let mut recent = Recent::default();
        let mut last = None;
        let mut goes_on = true;
        for item in upcoming {
            let held_back = (item.sequence - last.unwrap_or(item.sequence)) * item.samples;
            if recent.least().is_some_and(|least| item.delay() < least - held_back - RESTART_SAMPLES_FEW) {
                goes_on = false;
                break;
            }
            estimate.add(item.timestamp, item.delay());
            recent.push(item.delay());
            last = Some(item.sequence);
        }
        (self.estimate, self.goes_on) = (estimate, goes_on);
        (self.recent, self.elevated_since) = (Recent::default(), None);
    }

    /// Whether the next packet does not simply follow the one before.
    pub fn is_boundary(&self, item: &Waiting, before: Before) -> bool {
        if (item.delay() as f64) < self.delay - RESTART_SAMPLES_FEW as f64 {
            return true; // its place is long after it arrived
        }
        let in_sequence = item.sequence == before.key.1 + 1 && item.timestamp == before.timestamp + before.samples;
        !in_sequence || item.arrival - before.arrival > before.samples + STALL_SAMPLES
    }

    /// At a boundary: begins anew if what follows says so. `upcoming`: `first` and those behind it.
    pub fn check<'a>(
        &mut self,
        before: Before,
        first: &Waiting,
        upcoming: impl Iterator<Item = &'a Waiting> + Clone,
    ) -> bool {
        let at = first.timestamp;
        let paused = at - before.timestamp - (first.sequence - before.key.1) * first.samples;
        self.counts_pauses |= (PAUSE_SAMPLES..MAX_COUNTED_SAMPLES).contains(&paused);
        let (mut count, mut least) = (0, f64::MAX);
        for item in upcoming.clone() {
            let away = self.away(item, at);
            if away < -RESTART_SAMPLES_FEW as f64 {
                break;
            }
            count += 1;
            least = least.min(away);
            if away < RESTART_SAMPLES as f64 {
                break;
            }
        }
        let restarts = if count == 0 {
            true
        } else if least < RESTART_SAMPLES as f64 {
            self.elevated_since = None;
            false
        } else if count < ENOUGH_PACKETS && least < RESTART_SAMPLES_FEW as f64 {
            false
        } else {
            let already = self.recent.least().map_or(0.0, |delay| (delay as f64 - self.delay).max(0.0));
            let is_step = least - already >= least / 2.0 && (!self.counts_pauses || least >= SAMPLE_RATE_HZ as f64);
            is_step || at - *self.elevated_since.get_or_insert(at) > LASTING_SAMPLES
        };
        if restarts {
            self.begin(upcoming);
        }
        restarts
    }

    /// How much later than its clock's place a packet came, the place being known at `known_at`.
    fn away(&self, item: &Waiting, known_at: i64) -> f64 {
        let drift = self.slope().unwrap_or(0.0) * (item.timestamp - known_at) as f64;
        item.delay() as f64 - self.delay - drift
    }

    /// `item` is placed: the clock at it.
    pub fn advance(&mut self, item: &Waiting) -> f64 {
        self.delay = self.estimate.delay_at(item.timestamp);
        self.recent.push(item.delay());
        self.delay
    }

    pub fn slope(&self) -> Option<f64> {
        self.estimate.slope()
    }
}

/// The relative delays of the last five packets.
#[derive(Debug, Default)]
struct Recent(VecDeque<i64>);

impl Recent {
    fn push(&mut self, delay: i64) {
        if self.0.len() == 5 {
            self.0.pop_front();
        }
        self.0.push_back(delay);
    }

    fn least(&self) -> Option<i64> {
        self.0.iter().copied().min()
    }
}
