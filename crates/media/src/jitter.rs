//! One Source's jitter buffer: packets in as they come, one decision out whenever more sound is needed.
//!
//! Policy
//! * **Order.** Packets are kept by extended sequence number; 256 places, each packet has its own. A packet whose turn is over is *late*: dropped
//!   and counted. Duplicates are dropped. Numbers are extended to 64 bits before they come here, so nothing wraps.
//! * **Clock.** The playhead counts media samples. Sound is played when it is `target` later than the fastest packet would have allowed.
//! * **Target.** The depth that would have cost least until now, delay against made-up sound (see `depth`). What counts is when a packet could be
//!   played: at the first pull after its arrival. Kept within the two limits given; equal limits ask for a constant delay, and nothing below is
//!   shortened or lengthened but to make up for drift.
//! * **Waiting.** When nothing is there the playhead stands still and sound is made up, until a packet comes. If it is the next one, it was late: it
//!   is played all the same, and the delay has grown. If there is a gap before it, the made-up sound stood for the gap.
//! * **Gaps.** Once the packet after a gap is there, its LBRR copy replaces the packet before it, and what its deep redundancy (DRED) tells of is
//!   spoken again. What else is missing is made up by PLC: 20 ms at least, and then only as much as the delay cannot spare, for longer
//!   concealment is invention. What is left out was lost anyway (see `gap`).
//! * **Stalls.** When a packet is overdue and no sound but the decoded is there, that is played slower, pauses first. From 15 ms later on speech
//!   is played up to half as fast, however much is still held: most of a stall passes before sound runs out. But not where the link has shown
//!   that what is that late never comes (see `outages`): to stretch speech over a loss only takes the place of what bridges it.
//! * **Pauses.** A packet that follows in sequence but not in time begins a new talk spurt. So does any packet after a payload that says
//!   silence, or after two seconds of nothing. A spurt is anchored afresh: its first packet waits for its target delay.
//! * **Rests.** A sender that pauses with discontinuous transmission (DTX) sends a lone packet of its room now and then. Nothing is missing then,
//!   and the room may be heard on (see `rhythm`).
//! * **Bound.** Nothing is played more than two seconds late: older packets are skipped, and counted.
//! * **Correction.** In between, the owner of the decoded sound shortens and lengthens it, as `surplus_ms` asks.

mod gap;
mod packet;
mod places;
mod rhythm;

use raccall_wire::Nanos;

use self::gap::{Bridge, CONCEAL_GRID, Gap};
pub use self::packet::Incoming;
use self::packet::Packet;
use self::places::{PLACES, Places};
use self::rhythm::Rhythm;
use crate::clock::SenderClock;
use crate::delay::ArrivalDelay;
use crate::depth::Depths;
use crate::frame::{
    LONGEST_PACKET_SAMPLES, NANOS_PER_MS, PULL_SAMPLES, SAMPLES_PER_MS, SHORTEST_PACKET_SAMPLES, nanos,
};
use crate::outages::Outages;

/// Packets that may still come before the first one that came.
const OVERTAKEN: u64 = 16;

/// A transit that differs by more than this from the base is another clock, not a slow network.
const CLOCK_JUMP_NANOS: i64 = 3_000 * NANOS_PER_MS;

/// After that long without a packet the drift between the clocks has made the base worthless, and nobody waits for the next word.
const BASE_LIFE_NANOS: u64 = 2_000 * NANOS_PER_MS as u64;

/// What is later than that is skipped.
const MOST_BEHIND_NANOS: i64 = 2_000 * NANOS_PER_MS;

/// What has been overdue for this long is not jitter: a stall, or a loss.
const OUTAGE_NANOS: u64 = 15 * NANOS_PER_MS as u64;

/// Equal limits ask for a constant delay: the fastest packet of the last third of a second is not always equally fast.
const FIXED_SLACK_MS: f32 = 20.0;

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
    /// The packet before this one is lost: take its second copy from here, without its first `skip` samples. The payload comes again as
    /// `Play`.
    Recover {
        payload: &'a [u8],
        samples: usize,
        skip: usize,
    },
    /// Speak the next `samples` again from the deep redundancy in this packet, which begins `before` samples after them. The payload comes
    /// again as `Play`.
    Respeak {
        sequence: u64,
        payload: &'a [u8],
        before: usize,
        samples: usize,
    },
    Conceal {
        samples: usize,
    },
}

#[derive(Debug)]
pub struct JitterBuffer {
    places: Places,
    begun: bool,
    clock: SenderClock,
    /// The playhead: media time of the next sample to decode; none between talk spurts.
    position: Option<u64>,
    /// Samples made up while the playhead stood still.
    waited: u64,
    /// Samples made up since the last that was sent.
    made_up: u64,
    rhythm: Rhythm,
    /// What has come since the last pull.
    arrived: Vec<Packet>,
    delay: ArrivalDelay,
    outages: Outages,
    depths: Depths,
    limits_ms: (f32, f32),
    late: u64,
    skipped: u64,
    left_out_samples: u64,
}

impl JitterBuffer {
    pub fn new(min_target_ms: u32, max_target_ms: u32) -> Self {
        let limits_ms = (min_target_ms as f32, max_target_ms.max(min_target_ms) as f32);
        Self {
            places: Places::new(),
            begun: false,
            clock: SenderClock::default(),
            position: None,
            waited: 0,
            made_up: 0,
            rhythm: Rhythm::default(),
            arrived: Vec::with_capacity(PLACES as usize),
            delay: ArrivalDelay::default(),
            outages: Outages::default(),
            depths: Depths::new(limits_ms),
            limits_ms,
            late: 0,
            skipped: 0,
            left_out_samples: 0,
        }
    }

    /// Hands over one packet that arrived at `now`.
    pub fn push(&mut self, incoming: Incoming<'_>, now: Nanos) -> Pushed {
        let sequence = incoming.sequence;
        let media = self.clock.media(sequence, incoming.timestamp, incoming.length(), now);
        if self.is_silent_for(OUTAGE_NANOS, now) && !self.is_ready() {
            self.outages.end(sequence <= self.places.next_sequence());
        }
        if !self.begun {
            self.begun = true;
            self.places.go_on_to(sequence.saturating_sub(OVERTAKEN));
        }
        let transit = now as i64 - nanos(media as i64);
        let packet = Packet::new(&incoming, media);
        if sequence < self.places.next_sequence() {
            self.late += 1;
            return self.observe(packet, transit, now, Pushed::Late);
        }
        if self.delay.base().is_some_and(|base| (transit - base).abs() > CLOCK_JUMP_NANOS) {
            self.delay.forget();
        }
        if sequence >= self.places.next_sequence() + PLACES {
            self.make_room(sequence + 1 - PLACES);
        }
        let pushed = self.keep(&packet, incoming.payload);
        self.observe(packet, transit, now, pushed)
    }

    /// To be called once per pull, before `next`: what has come can be played from `now` on.
    pub fn tick(&mut self, now: Nanos) {
        let Some(base) = self.delay.base() else { return self.arrived.clear() };
        for packet in self.arrived.drain(..) {
            let delay_ms = (now as i64 - nanos(packet.media as i64) - base) as f32 / NANOS_PER_MS as f32;
            let length_ms = packet.samples as f32 / SAMPLES_PER_MS as f32;
            self.depths.observe(packet.sequence, delay_ms, length_ms, packet.carried());
        }
    }

    /// Decides the next piece. `queued` samples are decoded and not yet played at `now`.
    pub fn next(&mut self, now: Nanos, queued: usize) -> Next<'_> {
        self.skip_what_is_too_old(now);
        let Some(position) = self.position else { return self.start(now) };
        let Some(index) = self.places.first() else { return self.starve(now, queued) };
        let packet = &self.places[index].packet;
        let gap = packet.media.saturating_sub(position);
        if gap < CONCEAL_GRID {
            return self.play(index);
        }
        let missing = packet.sequence - self.places.next_sequence();
        if gap > missing * LONGEST_PACKET_SAMPLES as u64 {
            self.position = None;
            return self.start(now);
        }
        let stood_for = self.waited.min(gap - packet.copy().min(gap));
        self.waited -= stood_for;
        self.position = Some(position + stood_for);
        self.bridge(index, gap - stood_for, now, queued)
    }

    /// Fills the beginning of the gap of so many `samples` between the playhead and the packet there.
    fn bridge(&mut self, index: usize, samples: u64, now: Nanos, queued: usize) -> Next<'_> {
        let packet = &self.places[index].packet;
        let (sequence, media, copy) = (packet.sequence, packet.media, packet.copy());
        let told = packet.redundancy.clone();
        let gap = Gap { samples, copy, told, made_up: self.made_up, spare: self.spare(now, queued) };
        match gap.bridge() {
            Bridge::Joined => self.play(index),
            Bridge::Copy { skip } => {
                self.position = Some(media);
                let payload = &self.places[index].payload;
                Next::Recover { payload, samples: copy as usize, skip: skip as usize }
            }
            Bridge::Respeak { samples: spoken } => {
                self.position = Some(media - samples + spoken);
                let payload = &self.places[index].payload;
                Next::Respeak { sequence, payload, before: samples as usize, samples: spoken as usize }
            }
            Bridge::Conceal { left_out, samples: made_up } => {
                self.position = Some(media - samples + left_out + made_up);
                self.left_out_samples += left_out;
                self.made_up += made_up;
                Next::Conceal { samples: made_up as usize }
            }
        }
    }

    /// By how many samples the delay is longer than it has to be.
    fn spare(&self, now: Nanos, queued: usize) -> u64 {
        let spare_ms = self.delay_ms(now, queued).unwrap_or(0.0) - self.depths.floor_ms();
        if self.is_fixed() { 0 } else { (spare_ms.max(0.0) * SAMPLES_PER_MS as f32) as u64 }
    }

    /// Whether the next packet is there and nothing is missing before it: it may be decoded ahead.
    pub fn is_ready(&self) -> bool {
        let first = self.places.first().map(|index| self.places[index].packet.media);
        matches!((first, self.position), (Some(media), Some(position)) if media < position + CONCEAL_GRID)
    }

    /// Whether the next packet should have come meanwhile and has not.
    pub fn is_overdue(&self, now: Nanos) -> bool {
        self.is_silent_for(0, now) && !self.is_ready()
    }

    /// Whether packets have stayed away for so long that sound may run out, and may still come.
    pub fn is_held_up(&self, now: Nanos) -> bool {
        self.is_silent_for(OUTAGE_NANOS, now) && self.outages.are_delays()
    }

    /// Whether nothing comes because the sender has said so, while its room is still to be heard.
    pub fn is_resting(&self, now: Nanos) -> bool {
        self.rhythm.is_resting(now)
    }

    /// How much longer than wanted sound waits here, in ms; negative if shorter. Nothing between spurts.
    pub fn surplus_ms(&self, now: Nanos, queued: usize) -> Option<f32> {
        let surplus_ms = self.delay_ms(now, queued)? - self.target_ms();
        let is_near = self.is_fixed() && surplus_ms.abs() < FIXED_SLACK_MS;
        Some(if is_near { 0.0 } else { surplus_ms })
    }

    /// Playout delay above the fastest packet of the sample that is played at `now`; nothing between spurts.
    pub fn delay_ms(&self, now: Nanos, queued: usize) -> Option<f32> {
        let played = self.position? as i64 - queued as i64;
        Some(self.lateness(now, played)? as f32 / NANOS_PER_MS as f32)
    }

    /// Media time of the next sample to decode, as the sender counts unless its clock was wrong; nothing between spurts.
    pub fn position(&self) -> Option<u64> {
        self.position
    }

    pub fn target_ms(&self) -> f32 {
        self.depths.best_ms().clamp(self.limits_ms.0, self.limits_ms.1)
    }

    /// Packets that came after their turn.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Packets that came and were not played, because too much had to be caught up.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Lost sound that was left out rather than made up.
    pub fn left_out_samples(&self) -> u64 {
        self.left_out_samples
    }

    pub fn held(&self) -> usize {
        self.places.held()
    }

    fn is_fixed(&self) -> bool {
        self.limits_ms.0 == self.limits_ms.1
    }

    /// Whether a packet has been due for longer than jitter and `more`, and the delay may grow.
    fn is_silent_for(&self, more: Nanos, now: Nanos) -> bool {
        self.position.is_some() && !self.is_fixed() && self.rhythm.is_overdue_by(more, now)
    }

    /// How far `media` is behind what the fastest packet would allow, in ns.
    fn lateness(&self, now: Nanos, media: i64) -> Option<i64> {
        Some(now as i64 - nanos(media) - self.delay.base()?)
    }

    fn keep(&mut self, packet: &Packet, payload: &[u8]) -> Pushed {
        if self.position.is_some_and(|position| packet.end() <= position) {
            self.late += 1;
            return Pushed::Late;
        }
        if self.places.keep(packet, payload) { Pushed::Held } else { Pushed::Duplicate }
    }

    fn observe(&mut self, packet: Packet, transit: i64, now: Nanos, pushed: Pushed) -> Pushed {
        if self.rhythm.has_stopped_for(BASE_LIFE_NANOS, now) {
            self.delay.forget();
        }
        self.rhythm.arrive(now);
        if pushed != Pushed::Duplicate {
            let risen = self.delay.observe(transit);
            self.depths.rebase(risen as f32 / NANOS_PER_MS as f32);
            if self.arrived.len() < self.arrived.capacity() {
                self.arrived.push(packet);
            }
        }
        pushed
    }

    /// Skips whatever comes before `sequence`.
    fn make_room(&mut self, sequence: u64) {
        while let Some(index) = self.places.first().filter(|&index| self.places[index].packet.sequence < sequence) {
            self.skip(index);
        }
        self.places.go_on_to(sequence);
        self.position = None;
    }

    fn skip_what_is_too_old(&mut self, now: Nanos) {
        while let Some(index) = self.places.first().filter(|_| self.places.held() > 1) {
            let end = self.places[index].packet.end();
            if self.lateness(now, end as i64).is_none_or(|lateness| lateness <= MOST_BEHIND_NANOS) {
                break;
            }
            self.skip(index);
        }
    }

    fn skip(&mut self, index: usize) {
        self.places.take(index);
        self.skipped += 1;
        self.position = None;
    }

    /// Begins a talk spurt if its first packet is due.
    fn start(&mut self, now: Nanos) -> Next<'_> {
        let Some(index) = self.places.first() else { return Next::Wait };
        let waited = self.lateness(now, self.places[index].packet.media as i64).unwrap_or(i64::MAX);
        if (waited as f32) < self.target_ms() * NANOS_PER_MS as f32 {
            return Next::Wait;
        }
        self.play(index)
    }

    /// Nothing is held although sound is due.
    fn starve(&mut self, now: Nanos, queued: usize) -> Next<'_> {
        if self.rhythm.ends_in_silence() || self.rhythm.has_stopped_for(BASE_LIFE_NANOS, now) {
            self.position = None;
            self.waited = 0;
            return Next::Wait;
        }
        let samples = PULL_SAMPLES.saturating_sub(queued).next_multiple_of(SHORTEST_PACKET_SAMPLES);
        self.waited += samples as u64;
        self.made_up += samples as u64;
        Next::Conceal { samples }
    }

    fn play(&mut self, index: usize) -> Next<'_> {
        let begins = self.position.is_none();
        let place = self.places.take(index);
        self.rhythm.play(&place.payload, place.packet.samples, begins);
        self.position = Some(place.packet.end());
        (self.waited, self.made_up) = (0, 0);
        Next::Play { sequence: place.packet.sequence, payload: &place.payload }
    }
}
