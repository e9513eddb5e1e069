//! One Source's jitter buffer: packets in as they come, one decision out whenever more sound is needed.
//!
//! Policy
//! * **Order.** Packets are kept by extended sequence number; 128 places, each packet has its own. A packet whose turn is over is *late*: dropped
//!   and counted. Duplicates are dropped. Numbers are extended to 64 bits before they come here, so nothing wraps.
//! * **Clock.** The playhead counts media samples. Sound is played when it is `target` later than the fastest packet would have allowed.
//! * **Target.** The 0.95 quantile of the arrival delay (see `delay`), plus one pull, plus one packet if more than 2 % were missing when needed:
//!   only then is the packet after a gap, which carries the lost one a second time, there in time. Kept within the two limits given;
//!   60 ms until there is something to measure.
//! * **Gaps.** When the packet after a gap is there: its LBRR copy replaces the packet just before it, PLC all earlier ones. When nothing is
//!   there: PLC in steps of 10 ms. If the delay is below the target the playhead stands still meanwhile, so that late packets
//!   still find their turn; else it goes on.
//! * **Pauses.** A packet that follows in sequence but not in time begins a new talk spurt. So does any packet after 200 ms of nothing, after a
//!   payload that says silence, or after a jump of the sender's clock. A spurt is anchored afresh: its first packet waits for its target delay, and
//!   packets that would start well above the largest target are skipped, except the newest.
//! * **Correction.** In between, the owner of the decoded sound drops or repeats 10 ms in silence, as `surplus_ms` asks. Speech is not stretched.

use raccall_wire::Nanos;

use crate::delay::ArrivalDelay;
use crate::frame::{LONGEST_PACKET_SAMPLES, NANOS_PER_MS, PULL_SAMPLES, SILENCE_PAYLOAD, nanos};

const PLACES: u64 = 128;

/// Packets that may still come before the first one that came.
const OVERTAKEN: u64 = 16;

/// Concealing longer than this only sings (research: fade after 100 to 200 ms).
pub const GIVE_UP_SAMPLES: u64 = 9600;

const QUANTILE: f32 = 0.95;
const FIRST_TARGET_MS: f32 = 60.0;

/// A transit that differs by more than this from the base is another clock, not a slow network.
const CLOCK_JUMP_NANOS: i64 = 3_000 * NANOS_PER_MS;

/// After that long without a packet the drift between the clocks has made the base worthless.
const BASE_LIFE_NANOS: u64 = 2_000 * NANOS_PER_MS as u64;

/// A missing part above which waiting for LBRR pays, and below which it no longer does.
const LBRR_PAYS: (f32, f32) = (0.02, 0.01);

/// Weight of the newest packet in the missing part: about the last 200 packets.
const MISSING_WEIGHT: f32 = 0.005;

/// So much above the largest target a spurt may begin: whoever pulls comes only now and then, and would else skip what just became due.
const START_SLACK_MS: f32 = 40.0;

/// Opus may only be concealed in multiples of 2.5 ms.
const CONCEAL_GRID: u64 = 120;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Held,
    Duplicate,
    /// Its turn is over.
    Late,
}

/// What to do for the next piece of sound.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Nobody talks, or the first packet still waits for its time.
    Wait,
    Play {
        sequence: u64,
        payload: &'a [u8],
    },
    /// The packet before this one is lost: take its second copy from here. The payload comes again as `Play`.
    Recover {
        payload: &'a [u8],
        samples: usize,
    },
    Conceal {
        samples: usize,
    },
}

#[derive(Debug, Default)]
struct Place {
    full: bool,
    sequence: u64,
    timestamp: u64,
    samples: u64,
    payload: Vec<u8>,
}

#[derive(Debug)]
pub struct JitterBuffer {
    places: Vec<Place>,
    held: usize,
    /// The first sequence number that may still be played.
    next_sequence: u64,
    begun: bool,
    /// The playhead: media time of the next sample to decode; none between talk spurts.
    position: Option<u64>,
    packet_samples: u64,
    concealed_run: u64,
    ends_in_silence: bool,
    last_arrival: Nanos,
    delay: ArrivalDelay,
    missing_part: f32,
    lbrr_pays: bool,
    limits_ms: (f32, f32),
    target_ms: f32,
    late: u64,
}

impl JitterBuffer {
    pub fn new(min_target_ms: u32, max_target_ms: u32) -> Self {
        let limits_ms = (min_target_ms as f32, max_target_ms.max(min_target_ms) as f32);
        Self {
            places: (0..PLACES).map(|_| Place::default()).collect(),
            held: 0,
            next_sequence: 0,
            begun: false,
            position: None,
            packet_samples: 960,
            concealed_run: 0,
            ends_in_silence: false,
            last_arrival: 0,
            delay: ArrivalDelay::default(),
            missing_part: 0.0,
            lbrr_pays: false,
            limits_ms,
            target_ms: FIRST_TARGET_MS.clamp(limits_ms.0, limits_ms.1),
            late: 0,
        }
    }

    /// Hands over one packet: extended sequence and timestamp, its length in samples, its arrival.
    pub fn push(&mut self, sequence: u64, timestamp: u64, samples: usize, payload: &[u8], now: Nanos) -> Pushed {
        let samples = (samples as u64).clamp(CONCEAL_GRID, LONGEST_PACKET_SAMPLES as u64);
        if !self.begun {
            self.begun = true;
            self.restart_at(sequence.saturating_sub(OVERTAKEN));
        }
        let transit = now as i64 - nanos(timestamp as i64);
        if sequence < self.next_sequence {
            self.observe(transit, now);
            return self.too_late();
        }
        let jumped = self.delay.base().is_some_and(|base| (transit - base).abs() > CLOCK_JUMP_NANOS);
        if jumped || sequence >= self.next_sequence + PLACES {
            self.restart_at(sequence);
        }
        if jumped {
            self.delay.forget_base();
        }
        self.observe(transit, now);
        if self.position.is_some_and(|position| timestamp + samples <= position) {
            return self.too_late();
        }
        let place = &mut self.places[(sequence % PLACES) as usize];
        if place.full {
            return Pushed::Duplicate;
        }
        place.full = true;
        (place.sequence, place.timestamp, place.samples) = (sequence, timestamp, samples);
        place.payload.clear();
        place.payload.extend_from_slice(payload);
        self.held += 1;
        Pushed::Held
    }

    /// Decides the next piece. `queued` samples are decoded and not yet played at `now`.
    pub fn next(&mut self, now: Nanos, queued: usize) -> Next<'_> {
        let Some(position) = self.position else { return self.start(now) };
        let Some(index) = self.first() else { return self.starve(now, queued) };
        let (sequence, timestamp) = (self.places[index].sequence, self.places[index].timestamp);
        let gap = timestamp.saturating_sub(position);
        if gap < CONCEAL_GRID {
            return self.play(index);
        }
        if sequence == self.next_sequence || self.concealed_run >= GIVE_UP_SAMPLES {
            self.position = None;
            return self.start(now);
        }
        // LBRR copies a whole packet: if its beginning has been made up meanwhile, so must be its end.
        let copy_samples = self.places[index].samples;
        let samples = if gap >= copy_samples + CONCEAL_GRID { gap - copy_samples } else { gap };
        let recovers = (copy_samples..copy_samples + CONCEAL_GRID).contains(&gap);
        let samples = if recovers { copy_samples } else { samples.min(PULL_SAMPLES as u64) };
        let samples = samples / CONCEAL_GRID * CONCEAL_GRID;
        self.position = Some(position + samples);
        self.concealed_run += samples;
        if recovers {
            Next::Recover { payload: &self.places[index].payload, samples: samples as usize }
        } else {
            Next::Conceal { samples: samples as usize }
        }
    }

    /// How much longer than wanted sound waits here, in ms; negative if shorter. Nothing between spurts.
    pub fn surplus_ms(&self, now: Nanos, queued: usize) -> Option<f32> {
        Some(self.delay_ms(now, queued)? - self.target_ms)
    }

    /// Playout delay above the fastest packet of the sample that is played at `now`; nothing between spurts.
    pub fn delay_ms(&self, now: Nanos, queued: usize) -> Option<f32> {
        let position = self.position?;
        Some(self.lateness(now, position as i64 - queued as i64)? as f32 / NANOS_PER_MS as f32)
    }

    pub fn target_ms(&self) -> f32 {
        self.target_ms
    }

    /// Packets that came after their turn.
    pub fn late(&self) -> u64 {
        self.late
    }

    pub fn held(&self) -> usize {
        self.held
    }

    /// How far `timestamp` is behind what the fastest packet would allow, in ns.
    fn lateness(&self, now: Nanos, timestamp: i64) -> Option<i64> {
        Some(now as i64 - nanos(timestamp) - self.delay.base()?)
    }

    fn observe(&mut self, transit: i64, now: Nanos) {
        if now.saturating_sub(self.last_arrival) > BASE_LIFE_NANOS {
            self.delay.forget_base();
        }
        self.last_arrival = now;
        self.delay.observe(transit);
        if let Some(quantile_ms) = self.delay.quantile_ms(QUANTILE) {
            let pull_ms = 1000.0 * PULL_SAMPLES as f32 / 48_000.0;
            let lbrr_ms = if self.lbrr_pays { self.packet_samples as f32 / 48.0 } else { 0.0 };
            self.target_ms = (quantile_ms + pull_ms + lbrr_ms).clamp(self.limits_ms.0, self.limits_ms.1);
        }
    }

    fn too_late(&mut self) -> Pushed {
        self.late += 1;
        Pushed::Late
    }

    /// Drops everything held; the next spurt begins at `sequence` or later.
    fn restart_at(&mut self, sequence: u64) {
        self.places.iter_mut().for_each(|place| place.full = false);
        self.held = 0;
        self.next_sequence = sequence;
        self.position = None;
    }

    /// The held packet with the lowest sequence.
    fn first(&self) -> Option<usize> {
        if self.held == 0 {
            return None;
        }
        (self.next_sequence..self.next_sequence + PLACES)
            .map(|sequence| (sequence % PLACES) as usize)
            .find(|&index| self.places[index].full)
    }

    /// Begins a talk spurt if its first packet is due.
    fn start(&mut self, now: Nanos) -> Next<'_> {
        while let Some(index) = self.first() {
            let waited = self.lateness(now, self.places[index].timestamp as i64).unwrap_or(i64::MAX);
            let waited_ms = waited as f32 / NANOS_PER_MS as f32;
            if waited_ms > self.limits_ms.1 + START_SLACK_MS && self.held > 1 {
                self.take(index);
                self.late += 1;
                continue;
            }
            if waited_ms < self.target_ms {
                break;
            }
            return self.play(index);
        }
        Next::Wait
    }

    /// Nothing is held although sound is due.
    fn starve(&mut self, now: Nanos, queued: usize) -> Next<'_> {
        if self.ends_in_silence || self.concealed_run >= GIVE_UP_SAMPLES {
            self.position = None;
            return Next::Wait;
        }
        let below_target = self.surplus_ms(now, queued).is_some_and(|surplus| surplus < 0.0);
        if !below_target {
            self.position = self.position.map(|position| position + PULL_SAMPLES as u64);
        }
        self.concealed_run += PULL_SAMPLES as u64;
        Next::Conceal { samples: PULL_SAMPLES }
    }

    fn play(&mut self, index: usize) -> Next<'_> {
        let skipped = self.places[index].sequence - self.next_sequence;
        if self.position.is_some() {
            self.count_missing(skipped);
        }
        self.take(index);
        let place = &self.places[index];
        self.position = Some(place.timestamp + place.samples);
        self.packet_samples = place.samples;
        self.concealed_run = 0;
        self.ends_in_silence = place.payload.len() <= 2 || place.payload == SILENCE_PAYLOAD;
        Next::Play { sequence: place.sequence, payload: &place.payload }
    }

    fn take(&mut self, index: usize) {
        self.places[index].full = false;
        self.held -= 1;
        self.next_sequence = self.places[index].sequence + 1;
    }

    fn count_missing(&mut self, packets: u64) {
        for _ in 0..packets.min(PLACES) {
            self.missing_part += (1.0 - self.missing_part) * MISSING_WEIGHT;
        }
        self.missing_part *= 1.0 - MISSING_WEIGHT;
        self.lbrr_pays = self.missing_part > if self.lbrr_pays { LBRR_PAYS.1 } else { LBRR_PAYS.0 };
    }
}
