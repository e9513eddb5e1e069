//! One speaker's place in the recording: for each packet, at which sample it belongs.
//!
//! # Policy
//! The recording has one clock, the recorder's. A packet's *relative delay* is arrival minus timestamp; the network only
//! adds to it. The least relative delay, which moves in a straight line as the sender's clock drifts, is estimated by
//! [`ClockEstimate`], and a packet's sound belongs *exactly* at timestamp + that. So jitter moves nothing.
//!
//! - Packets wait thirty seconds before they are placed. In this look-ahead they are put in order by extended sequence,
//!   duplicates are dropped, and the clock is known from what follows as well as from what came before.
//! - `exact` is for rendered sound, which is resampled. Inside a talk spurt it follows the estimate by 0.5 % of the time
//!   at most, which nobody hears; in a pause of 60 ms or more it goes there at once.
//! - `position` is for tracks, whose packets are passed through on a 2.5 ms grid. Packets in sequence lie end to end. A
//!   pause of 60 ms or more is made longer or shorter by what has come together. Without a pause, once 7.5 ms are
//!   exceeded, up to 15 ms are taken out (a packet; what it was longer is concealed) or put in (concealed) at the
//!   quietest of the next two seconds: at the smallest packet, because Opus spends few bytes where there is little to
//!   hear. Such a packet stays in rendered sound.
//! - At a *boundary* (a packet missing, timestamps that jump, an arrival 40 ms later than the packet before allows, or a
//!   place 100 ms after the arrival) the least delay of what follows is compared with the clock. When it is more than 20
//!   ms away (100 ms when fewer than fifty packets tell) the sender's timestamps have not counted a pause, or began anew:
//!   the clock begins anew.
//! - A network that stalls does not look like this: it drains, and the least delay of thirty seconds is the old one.
//! - A delay that steps up and stays is the sender's pause if it may be: if half of the step lies between this packet and
//!   the five before (congestion rises little by little), and if this sender's timestamps were never seen to count a
//!   pause or the step is more than a second. Then the clock begins anew at once.
//! - Any other step that stays is held back for two minutes, and followed if it lasts longer, whether a route became
//!   longer or a sender's sound card stopped for a moment: the packets look the same. To follow a route errs by its
//!   step, once. Not to follow a sound card errs by the sum of all its stops, without bound. Those who listened live
//!   heard it the same way.
//! - Drift in the sender and a slow rise of the network look the same, too, below 15 ms. Above, the rise is held back.
//! - A new SSRC, or numbers that begin anew, is a sender that began anew (see [`Runs`]): its clock is estimated from its
//!   own packets, and it goes on in the same track.
//! - A packet that would overlap the one before moves behind it, at most 200 ms, and the rules for drift make up for
//!   that. Beyond that it is left out: a speaker who sends faster than time passes must not make everybody's recording
//!   longer.
//! - Whatever was moved or left out is told as a [`Shift`]: where, by how much, why.

mod clock_estimate;
mod placed;
mod report;
mod runs;

pub use clock_estimate::ClockEstimate;
pub use placed::{Placed, PlacedBatch};
pub use report::{Counts, MAX_SHIFTS, Reason, Shift};

use std::collections::VecDeque;

use crate::{Nanos, Received, SAMPLE_RATE_HZ};
use report::Report;
use runs::{Run, Runs};

/// Tracks begin 200 ms before the recording: who talks already is placed before their first packet arrived.
pub const LEAD_IN_SAMPLES: i64 = SAMPLE_RATE_HZ / 5;
/// How long packets wait, at most [`MAX_WAITING_PACKETS`] of them.
pub const LOOK_AHEAD: Nanos = 30_000_000_000;
pub const MAX_WAITING_PACKETS: usize = 4096;
/// 2.5 ms: the shortest Opus frame.
pub const GRID_SAMPLES: i64 = 120;

const MS: i64 = SAMPLE_RATE_HZ / 1000;
const STALL_SAMPLES: i64 = 40 * MS;
const RESTART_SAMPLES: i64 = 20 * MS;
const RESTART_SAMPLES_FEW: i64 = 100 * MS;
const ENOUGH_PACKETS: usize = 50;
/// An hour: beyond that timestamps jumped.
const MAX_COUNTED_SAMPLES: i64 = 3600 * SAMPLE_RATE_HZ;
const LASTING_SAMPLES: i64 = 120 * SAMPLE_RATE_HZ;
const PAUSE_SAMPLES: i64 = 60 * MS;
const MAX_DRIFT_SAMPLES: i64 = 15 * MS / 2;
const MAX_STEP_SAMPLES: i64 = 15 * MS;
const QUIETEST_OF_SAMPLES: i64 = 2 * SAMPLE_RATE_HZ;
const MAX_OVERLAP_SAMPLES: i64 = 200 * MS;
/// 8.6 hundredths of a semitone.
const MAX_SLEW: f64 = 0.005;
/// `drift_ppm` says nothing before.
const MIN_DRIFT_SPAN_SAMPLES: i64 = 60 * SAMPLE_RATE_HZ;

#[derive(Clone, Debug)]
struct Waiting {
    run: Run,
    sequence: i64,
    /// All in samples.
    arrival: i64,
    timestamp: i64,
    samples: i64,
    payload: Box<[u8]>,
}

impl Waiting {
    fn key(&self) -> (Run, i64) {
        (self.run, self.sequence)
    }

    fn delay(&self) -> i64 {
        self.arrival - self.timestamp
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

/// What stays of the packet before.
#[derive(Clone, Copy, Debug)]
struct Before {
    key: (Run, i64),
    arrival: i64,
    timestamp: i64,
    samples: i64,
}

/// Packets of one speaker in, placed packets out. Pure; memory is bounded by the look-ahead.
#[derive(Debug)]
pub struct Timeline {
    start: Nanos,
    runs: Runs,
    /// SSRC, arrival and timestamp of the packet that came last.
    newest: Option<(u32, i64, i64)>,
    waiting: VecDeque<Waiting>,
    before: Option<Before>,
    clock: ClockEstimate,
    /// False once packets came that `clock` cannot hold, until it begins anew.
    clock_goes_on: bool,
    /// The clock at the packet before.
    delay: f64,
    recent: Recent,
    /// Whether the timestamps of this run went on in a pause.
    counts_pauses: bool,
    /// Since when, in timestamps, everything comes later than the clock says.
    elevated_since: Option<i64>,
    /// What is added to timestamps for `exact` and for `position`.
    exact_offset: f64,
    track_offset: i64,
    exact_end: f64,
    end: i64,
    /// The packet at which drift is made up for.
    quiet: Option<(Run, i64)>,
    drifted: f64,
    drifted_in: i64,
    report: Report,
}

impl Timeline {
    /// For a recording that began at `start`.
    pub fn new(start: Nanos) -> Self {
        Self {
            start,
            runs: Runs::default(),
            newest: None,
            waiting: VecDeque::new(),
            before: None,
            clock: ClockEstimate::default(),
            clock_goes_on: false,
            delay: 0.0,
            recent: Recent::default(),
            counts_pauses: false,
            elevated_since: None,
            exact_offset: 0.0,
            track_offset: 0,
            exact_end: f64::MIN,
            end: 0,
            quiet: None,
            drifted: 0.0,
            drifted_in: 0,
            report: Report::default(),
        }
    }

    /// The sample that sounds at `now`.
    pub fn position_of(&self, now: Nanos) -> i64 {
        let samples = (i128::from(now) - i128::from(self.start)) * i128::from(SAMPLE_RATE_HZ);
        samples.div_euclid(1_000_000_000) as i64 + LEAD_IN_SAMPLES
    }

    /// One past the last placed sample.
    pub fn end(&self) -> u64 {
        self.end.unsigned_abs()
    }

    pub fn counts(&self) -> Counts {
        Counts { sources: self.runs.count, ..self.report.counts }
    }

    /// Every correction so far.
    pub fn shifts(&self) -> &[Shift] {
        &self.report.shifts
    }

    /// How much slower the sender's clock runs than ours (negative: faster); nothing before a minute has passed.
    pub fn drift_ppm(&self) -> Option<f64> {
        (self.drifted_in >= MIN_DRIFT_SPAN_SAMPLES).then(|| self.drifted / self.drifted_in as f64 * 1e6)
    }

    /// What is sent until the next packet is not for us: nothing of it counts as lost, nor is concealed.
    pub fn begin_anew(&mut self) {
        self.runs.begin_anew();
    }

    /// Takes a packet of any of this speaker's sources, in order of arrival.
    pub fn push(&mut self, packet: Received<'_>) {
        let payload = packet.payload();
        let Ok(samples) = raccall_opus::whole_packet_samples(payload) else {
            self.report.counts.malformed += 1;
            return;
        };
        let (samples, sequence, timestamp) = (samples as i64, packet.sequence as i64, packet.timestamp as i64);
        let arrival = self.checked_arrival(packet.ssrc, self.position_of(packet.arrival), timestamp);
        let Some(run) = self.runs.of(packet.ssrc, sequence, arrival, arrival - timestamp) else {
            self.report.left_out(arrival, samples, Reason::OverlappingSource);
            return;
        };
        let item = Waiting { run, sequence, arrival, timestamp, samples, payload: payload.into() };
        if let Some(before) = self.before
            && item.key() <= before.key
        {
            if item.key() == before.key {
                self.report.counts.duplicates += 1;
            } else {
                self.report.left_out(arrival, samples, Reason::Late);
            }
            return;
        }
        let place = self.waiting.iter().rposition(|waiting| waiting.key() <= item.key());
        if place.is_some_and(|index| self.waiting[index].key() == item.key()) {
            self.report.counts.duplicates += 1;
            return;
        }
        if let Some(before) = self.before
            && before.key.0 == run
        {
            self.clock_goes_on &= self.away(&item, before.timestamp) >= -RESTART_SAMPLES_FEW as f64;
            if self.clock_goes_on {
                self.clock.add(item.timestamp, item.delay());
            }
        }
        self.waiting.insert(place.map_or(0, |index| index + 1), item);
    }

    /// Everything whose look-ahead has passed at `now`, appended to `out`.
    pub fn pull(&mut self, now: Nanos, out: &mut PlacedBatch) {
        let due = self.position_of(now.saturating_sub(LOOK_AHEAD));
        while let Some(first) = self.waiting.front()
            && (first.arrival <= due || self.waiting.len() > MAX_WAITING_PACKETS)
        {
            self.place_first(out);
        }
    }

    /// The rest.
    pub fn finish(&mut self, out: &mut PlacedBatch) {
        while !self.waiting.is_empty() {
            self.place_first(out);
        }
    }

    /// A time of arrival that goes back is wrong: a wall clock was set while the packet lay in the socket. Then it is
    /// taken as late as the packet before.
    fn checked_arrival(&mut self, ssrc: u32, arrival: i64, timestamp: i64) -> i64 {
        let arrival = match self.newest {
            Some((newest_ssrc, newest, newest_timestamp)) if arrival < newest => {
                let since = if ssrc == newest_ssrc { timestamp - newest_timestamp } else { 0 };
                newest + since.clamp(0, SAMPLE_RATE_HZ)
            }
            _ => arrival,
        };
        self.newest = Some((ssrc, arrival, timestamp));
        arrival
    }

    fn place_first(&mut self, out: &mut PlacedBatch) {
        let item = &self.waiting[0];
        let before = self.before.filter(|before| before.key.0 == item.run);
        let lost = before.map_or(0, |before| item.sequence - before.key.1 - 1);
        let restarted = match before {
            None => {
                self.begin_clock();
                self.counts_pauses = false;
                true
            }
            Some(before) => self.is_boundary(before) && self.check_clock(before),
        };
        let item = self.waiting.pop_front().expect("the caller looked");
        self.advance_clock(&item, before, restarted);
        if !restarted {
            self.correct_silence(&item);
        }
        self.recent.push(item.delay());
        self.before =
            Some(Before { key: item.key(), arrival: item.arrival, timestamp: item.timestamp, samples: item.samples });
        self.emit(&item, lost, out);
    }

    fn is_boundary(&self, before: Before) -> bool {
        let item = &self.waiting[0];
        if (item.delay() as f64) < self.delay - RESTART_SAMPLES_FEW as f64 {
            return true; // its place is long after it arrived
        }
        let in_sequence = item.sequence == before.key.1 + 1 && item.timestamp == before.timestamp + before.samples;
        !in_sequence || item.arrival - before.arrival > before.samples + STALL_SAMPLES
    }

    /// The first waiting packet and those of its run.
    fn upcoming(&self) -> impl Iterator<Item = &Waiting> {
        let run = self.waiting.front().map(|first| first.run);
        self.waiting.iter().take_while(move |item| Some(item.run) == run)
    }

    /// How much later than its clock's place a packet came, the place being known at `known_at`.
    fn away(&self, item: &Waiting, known_at: i64) -> f64 {
        let drift = self.clock.slope().unwrap_or(0.0) * (item.timestamp - known_at) as f64;
        item.delay() as f64 - self.delay - drift
    }

    /// Takes the upcoming packets, as far as they are of one clock: where delays fall by more than the network can
    /// have held back, timestamps jumped.
    fn begin_clock(&mut self) {
        let mut clock = ClockEstimate::default();
        let mut recent = Recent::default();
        let mut sequence = self.waiting[0].sequence;
        let mut goes_on = true;
        for item in self.upcoming() {
            let held_back = (item.sequence - sequence) * item.samples;
            if recent.least().is_some_and(|least| item.delay() < least - held_back - RESTART_SAMPLES_FEW) {
                goes_on = false;
                break;
            }
            clock.add(item.timestamp, item.delay());
            recent.push(item.delay());
            sequence = item.sequence;
        }
        (self.clock, self.clock_goes_on) = (clock, goes_on);
        (self.recent, self.elevated_since) = (Recent::default(), None);
        self.quiet = None;
    }

    /// Begins the clock anew if what follows says so.
    fn check_clock(&mut self, before: Before) -> bool {
        let first = &self.waiting[0];
        let at = first.timestamp;
        let paused = at - before.timestamp - (first.sequence - before.key.1) * first.samples;
        self.counts_pauses |= (PAUSE_SAMPLES..MAX_COUNTED_SAMPLES).contains(&paused);
        let (mut count, mut least) = (0, f64::MAX);
        for item in self.upcoming() {
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
            self.begin_clock();
        }
        restarts
    }

    /// Brings clock and offsets to the time of `item`.
    fn advance_clock(&mut self, item: &Waiting, before: Option<Before>, restarted: bool) {
        let delay = self.clock.delay_at(item.timestamp);
        let Some(before) = before else {
            (self.delay, self.exact_offset, self.track_offset) = (delay, delay, on_grid(delay));
            return;
        };
        if restarted || (delay - self.exact_offset).abs() > MAX_OVERLAP_SAMPLES as f64 {
            let step = on_grid(delay) - self.track_offset;
            (self.exact_offset, self.track_offset) = (delay, on_grid(delay));
            self.report.shifted(item.timestamp + self.track_offset, step, Reason::ClockRestarted);
        } else {
            let since = item.timestamp - before.timestamp;
            if let Some(slope) = self.clock.slope() {
                self.drifted += slope * since as f64;
                self.drifted_in += since;
            }
            let paused = since - before.samples >= PAUSE_SAMPLES;
            let most = if paused { f64::MAX } else { MAX_SLEW * since.max(0) as f64 };
            self.exact_offset += (delay - self.exact_offset).clamp(-most, most);
        }
        self.delay = delay;
    }

    /// How far the track is from where it belongs.
    fn drift(&self) -> f64 {
        self.exact_offset - self.track_offset as f64
    }

    fn correct_silence(&mut self, item: &Waiting) {
        let drift = self.drift();
        let pause = on_grid((item.timestamp + self.track_offset) as f64) - self.end;
        if pause >= PAUSE_SAMPLES && drift.abs() >= GRID_SAMPLES as f64 {
            let step = on_grid(drift).max(-pause); // a pause may vanish, but the packet must not overlap the one before
            self.track_offset += step;
            self.report.shifted(self.end, step, Reason::DriftInSilence);
            self.quiet = None;
        } else if self.quiet.is_none() && drift.abs() > MAX_DRIFT_SAMPLES as f64 {
            let until = item.arrival + QUIETEST_OF_SAMPLES;
            let next = self.upcoming().take_while(|next| next.run == item.run && next.arrival <= until);
            let quietest = [item].into_iter().chain(next).min_by_key(|next| next.payload.len());
            self.quiet = quietest.map(Waiting::key);
        }
    }

    /// Whether `item` stays in the track, after making up for drift at it if it was chosen for that.
    fn correct_speech(&mut self, item: &Waiting) -> bool {
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
        self.report.shifted(self.end, step, Reason::DriftInSpeech);
        drift > 0.0
    }

    fn emit(&mut self, item: &Waiting, lost: i64, out: &mut PlacedBatch) {
        let in_track = self.correct_speech(item);
        let belongs = item.timestamp as f64 + self.delay;
        if self.end as f64 - belongs > MAX_OVERLAP_SAMPLES as f64 {
            self.report.left_out(self.end, item.samples, Reason::Excess);
            return;
        }
        let overlap = self.exact_end - (item.timestamp as f64 + self.exact_offset);
        if overlap > 2.0 * MAX_SLEW * item.samples as f64 {
            self.exact_offset += overlap;
        }
        let exact = item.timestamp as f64 + self.exact_offset;
        let mut position = on_grid((item.timestamp + self.track_offset) as f64);
        if position < 0 || exact < 0.0 {
            self.report.left_out(0, item.samples, Reason::BeforeBeginning);
            return;
        }
        if in_track && position < self.end {
            self.report.shifted(self.end, self.end - position, Reason::Overlap);
            self.track_offset += self.end - position;
            position = self.end;
        }
        self.exact_end = exact + item.samples as f64;
        if in_track {
            self.end = position + item.samples;
        }
        self.report.placed(lost, in_track);
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
