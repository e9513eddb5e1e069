//! Who is heard where many send: at most K voices of a room at once, the loudest.
//!
//! A room has K seats; who sits is heard by all, who does not is heard by recorders and bots alone.
//! - **A free seat is anyone's**, also a quiet one's: in a room of K sources everyone is always heard.
//! - **Else a seat must be taken** by one who speaks, from the quietest. From one who has not spoken for [`HANGOVER_NS`]
//!   (or is gone) at once. From one who speaks only by being [`HYSTERESIS_DB`] louder for [`CONTEST_NS`] on end, and no
//!   sooner than [`TENURE_NS`] after that one sat down or spoke up. So the outgoing voice ends its word, and two equal ones do not
//!   alternate. The newcomer is heard from its next packet on: never K + 1 within 20 ms.
//! - **Loudness is a claim of the sender** (RFC 6464), so it is worth little: above [`CEILING_DB`], where ordinary speech is,
//!   all claims are equal, and who claims to speak without the pauses of speech gets tired: after [`STAMINA_NS`] it
//!   loses rank, 1 dB a second, by up to [`MOST_TIRED_DB`], until it has paused for a while. What pretends to pause like
//!   speech is one loud speaker, no more; that one has no route once a moderator has muted it.
//! - **Who tells no level** counts as middling loud while its packets are more than silence. As such a voice tires
//!   as well, those rank first who have begun most recently.

use raccall_wire::Nanos;
use raccall_wire::level::{SILENCE_DB, VOICE_DB};

const MS: Nanos = 1_000_000;
const SECOND_NS: Nanos = 1000 * MS;

/// Pauses between words are shorter.
pub(crate) const HANGOVER_NS: Nanos = 400 * MS;
pub(crate) const CONTEST_NS: Nanos = 200 * MS;
pub(crate) const TENURE_NS: Nanos = SECOND_NS;
/// Twice as loud is 10 dB; less than that is no reason to silence someone, but much less would never let anyone in.
pub(crate) const HYSTERESIS_DB: f32 = 6.0;
pub(crate) const CEILING_DB: f32 = -20.0;
/// Twelve recordings of read speech, each over and over for three minutes, never come above 1.2 s; dishes that clatter do.
const STAMINA_NS: Nanos = 5 * SECOND_NS;
const TIRING_DB_PER_S: f32 = 1.0;
const MOST_TIRED_DB: f32 = 30.0;
/// A pause restores this many times what speaking costs: speech that pauses for a fifth of its time never tires.
const REST: Nanos = 4;
/// A frame this much below the loudest of late is part of a pause. Real speech dips so deep between syllables.
const PAUSE_DB: f32 = 12.0;
/// How fast the loudest of late is forgotten.
const PEAK_FALL_DB_PER_S: f32 = 3.0;
/// Weight of a packet in the smoothed level: up within 60 ms, down within a second, so that words count and not syllables.
const RISE: f32 = 0.3;
const FALL: f32 = 0.02;
/// A source that sends nothing at all for so long has no seat.
const GONE_NS: Nanos = SECOND_NS;
/// A longer gap between two packets is no longer one of 20 ms frames but a pause.
const GAP_NS: Nanos = 100 * MS;

/// What is known of one source's loudness.
#[derive(Clone, Debug)]
pub(crate) struct Loudness {
    /// Smoothed.
    level_db: f32,
    /// The loudest of late.
    peak_db: f32,
    /// Time spoken, less the rest taken.
    effort: Nanos,
    last: Nanos,
    /// Since when it would have been worth the quietest seat.
    contends: Option<Nanos>,
}

impl Default for Loudness {
    fn default() -> Self {
        Self { level_db: SILENCE_DB, peak_db: SILENCE_DB, effort: 0, last: 0, contends: None }
    }
}

impl Loudness {
    /// Takes one packet's level into account. Packets that come late may be left out.
    fn take(&mut self, now: Nanos, level_db: f32) {
        let passed = now.saturating_sub(self.last);
        self.last = self.last.max(now);
        let speaks = level_db > VOICE_DB;
        let fallen = self.peak_db - PEAK_FALL_DB_PER_S * passed as f32 / SECOND_NS as f32;
        self.peak_db = level_db.max(fallen);
        if passed > GAP_NS || level_db < self.peak_db - PAUSE_DB || !speaks {
            self.effort = self.effort.saturating_sub(REST * passed);
        } else {
            self.effort = (self.effort + passed).min(STAMINA_NS + longest_tiring());
        }
        // A pause that was not sent was none the less one.
        let from_db = if passed > GAP_NS { SILENCE_DB } else { self.level_db };
        let heard_db = level_db.max(VOICE_DB);
        let weight = if heard_db > from_db { RISE } else { FALL };
        self.level_db = if from_db < VOICE_DB { heard_db } else { from_db + weight * (heard_db - from_db) };
    }

    fn rank_db(&self) -> f32 {
        let tired_s = self.effort.saturating_sub(STAMINA_NS) as f32 / SECOND_NS as f32;
        self.level_db.min(CEILING_DB) - (tired_s * TIRING_DB_PER_S).min(MOST_TIRED_DB)
    }
}

fn longest_tiring() -> Nanos {
    (MOST_TIRED_DB / TIRING_DB_PER_S) as Nanos * SECOND_NS
}

/// The seats of one room.
#[derive(Debug)]
pub(crate) struct Stage {
    places: usize,
    seats: Vec<Seat>,
}

#[derive(Debug)]
struct Seat {
    source: u32,
    rank_db: f32,
    since: Nanos,
    /// Its last packet, and its last that was a voice.
    last: Nanos,
    spoke: Nanos,
}

impl Seat {
    /// Whether anyone who speaks may have it.
    fn idle(&self, now: Nanos) -> bool {
        now.saturating_sub(self.spoke) >= HANGOVER_NS || now.saturating_sub(self.last) >= GONE_NS
    }

    /// What a challenger must reach: an idle one nothing.
    fn worth_db(&self, now: Nanos) -> f32 {
        if self.idle(now) { f32::NEG_INFINITY } else { self.rank_db }
    }
}

impl Stage {
    /// `places`: at least 1.
    pub(crate) fn new(places: usize) -> Self {
        Self { places, seats: Vec::with_capacity(places) }
    }

    /// One packet of a source with its level: whether it is heard.
    pub(crate) fn hear(&mut self, now: Nanos, source: u32, loudness: &mut Loudness, level_db: f32) -> bool {
        loudness.take(now, level_db);
        let speaks = level_db > VOICE_DB;
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.source == source) {
            if speaks && seat.idle(now) {
                seat.since = now; // a new talk spurt
            }
            seat.rank_db = loudness.rank_db();
            seat.last = now;
            seat.spoke = if speaks { now } else { seat.spoke };
            return true;
        }
        let seat =
            Seat { source, rank_db: loudness.rank_db(), since: now, last: now, spoke: if speaks { now } else { 0 } };
        if self.seats.len() < self.places {
            self.seats.push(seat);
            return true;
        }
        if speaks && self.may_take(now, loudness) {
            loudness.contends = None;
            *self.quietest(now) = seat;
        }
        false
    }

    /// The source has left or may not be heard any more.
    pub(crate) fn leave(&mut self, source: u32) {
        self.seats.retain(|seat| seat.source != source);
    }

    fn may_take(&mut self, now: Nanos, loudness: &mut Loudness) -> bool {
        let rank_db = loudness.rank_db();
        let seat = self.quietest(now);
        if seat.idle(now) {
            return true;
        }
        if rank_db < seat.rank_db + HYSTERESIS_DB {
            loudness.contends = None;
            return false;
        }
        let contends = *loudness.contends.get_or_insert(now);
        now.saturating_sub(contends) >= CONTEST_NS && now.saturating_sub(seat.since) >= TENURE_NS
    }

    fn quietest(&mut self, now: Nanos) -> &mut Seat {
        let worth = |seat: &&mut Seat| seat.worth_db(now);
        self.seats.iter_mut().min_by(|a, b| worth(a).total_cmp(&worth(b))).expect("at least one place")
    }
}

#[cfg(test)]
#[path = "loudest_tests.rs"]
mod tests;
