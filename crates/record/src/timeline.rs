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
mod sender_clock;
mod track;
mod waiting;

pub use clock_estimate::ClockEstimate;
pub use placed::{Placed, PlacedBatch};
pub use report::{Counts, MAX_SHIFTS, Reason, Shift};

use std::collections::VecDeque;

use crate::{Nanos, Received, SAMPLE_RATE_HZ};
use report::Report;
use runs::Runs;
use sender_clock::SenderClock;
use track::Track;
use waiting::{Before, Waiting};

/// Tracks begin 200 ms before the recording: who talks already is placed before their first packet arrived.
pub const LEAD_IN_SAMPLES: i64 = SAMPLE_RATE_HZ / 5;
/// How long packets wait, at most [`MAX_WAITING_PACKETS`] of them.
pub const LOOK_AHEAD: Nanos = 30_000_000_000;
pub const MAX_WAITING_PACKETS: usize = 4096;
/// 2.5 ms: the shortest Opus frame.
pub const GRID_SAMPLES: i64 = 120;

const MS: i64 = SAMPLE_RATE_HZ / 1000;
const PAUSE_SAMPLES: i64 = 60 * MS;
/// `drift_ppm` says nothing before.
const MIN_DRIFT_SPAN_SAMPLES: i64 = 60 * SAMPLE_RATE_HZ;

/// Packets of one speaker in, placed packets out. Pure; memory is bounded by the look-ahead.
#[derive(Debug)]
pub struct Timeline {
    start: Nanos,
    runs: Runs,
    /// SSRC, arrival and timestamp of the packet that came last.
    newest: Option<(u32, i64, i64)>,
    waiting: VecDeque<Waiting>,
    before: Option<Before>,
    clock: SenderClock,
    track: Track,
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
            clock: SenderClock::default(),
            track: Track::default(),
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
        self.track.end.unsigned_abs()
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
            self.clock.add(&item, before);
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
        let first = &self.waiting[0];
        let before = self.before.filter(|before| before.key.0 == first.run);
        let lost = before.map_or(0, |before| first.sequence - before.key.1 - 1);
        let upcoming = self.waiting.iter().take_while(|item| item.run == first.run);
        let restarted = match before {
            None => {
                self.clock.begin_run(upcoming);
                true
            }
            Some(before) => self.clock.is_boundary(first, before) && self.clock.check(before, first, upcoming),
        };
        let item = self.waiting.pop_front().expect("the caller looked");
        let delay = self.clock.advance(&item);
        self.follow_clock(&item, before, delay, restarted);
        if !restarted {
            self.track.correct_silence(&item, self.waiting.iter(), &mut self.report);
        }
        self.before = Some(Before::from(&item));
        self.track.place(&item, lost, delay, &mut self.report, out);
    }

    fn follow_clock(&mut self, item: &Waiting, before: Option<Before>, delay: f64, restarted: bool) {
        let Some(before) = before else { return self.track.begin(delay) };
        if restarted || self.track.is_far_from(delay) {
            return self.track.jump(item, delay, restarted, &mut self.report);
        }
        if let Some(slope) = self.clock.slope() {
            let since = item.timestamp - before.timestamp;
            self.drifted += slope * since as f64;
            self.drifted_in += since;
        }
        self.track.follow(item, before, delay);
    }
}
