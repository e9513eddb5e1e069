//! One Source as a chain receives it: what came, who speaks, what it sounds like, what waits.

use std::collections::HashMap;

use raccall_wire::Nanos;
use raccall_wire::level::VOICE_DB;
use raccall_wire::rtp::Packet;

use super::ReceiveConfig;
use crate::encryption::Owner;
use crate::frame::{NANOS_PER_MS, SEND_SAMPLES};
use crate::held::{HeldQueue, Numbers};
use crate::level::Needle;
use crate::reception::Reception;
use crate::report::{Refusal, SourceReport};
use crate::voice::{Voice, VoiceFigures};

pub struct Source {
    pub reception: Reception,
    pub voice: Option<Box<Voice>>,
    /// Follows what the packets say while nothing is decoded.
    pub needle: Needle,
    pub owner: Owner,
    pub held: HeldQueue,
    /// With what was known then, those that are held were tried last.
    pub tried_with: Known,
    /// The newest encrypted frame is held, so plain silence waits behind it; some does.
    pub is_stuck: bool,
    pub plain_waits: bool,
    /// Not before then what is held is tried again.
    pub retry_from: Nanos,
}

/// Version of the keys; who is claimed and who proved to be the owner.
pub type Known = (u64, (Option<u64>, Option<u64>));

/// What a Source needs for a decoder, if anything is decoded: settings, volumes by SSRC, and whether the listener hears two channels.
pub type Voices<'a> = Option<(&'a ReceiveConfig, &'a HashMap<u32, f32>, bool)>;

impl Source {
    /// Takes a packet whose payload is in clear.
    pub fn take(&mut self, packet: &Packet<'_>, numbers: Numbers, arrival: Nanos, voices: Voices<'_>) {
        let Some((config, gains_db, hears_stereo)) = voices else { return self.needle.take(packet) };
        let voice = self.voice.get_or_insert_with(|| new_voice(config, gains_db, packet.ssrc));
        let Numbers { extended_sequence, extended_timestamp, .. } = numbers;
        voice.push(extended_sequence, extended_timestamp, packet.payload, hears_stereo, arrival);
    }

    /// Something waits, and more is known than when it was tried; or it waited only for those before it.
    pub fn is_to_retry(&self, version: u64, now: Nanos) -> bool {
        let is_new = self.tried_with != (version, self.owner.known());
        !self.held.is_empty() && now >= self.retry_from && (is_new || self.plain_waits && !self.is_stuck)
    }

    pub fn is_silent(&self, now: Nanos, timeout_ms: u32) -> bool {
        self.held.is_empty()
            && now.saturating_sub(self.reception.last_arrival) > u64::from(timeout_ms) * NANOS_PER_MS as u64
    }

    pub fn report(&self) -> SourceReport {
        let reception = &self.reception;
        let figures = self.voice.as_ref().map(|voice| voice.figures()).unwrap_or_else(|| VoiceFigures {
            level_db: self.needle.level_db,
            talking: self.needle.level_db > VOICE_DB,
            ..VoiceFigures::default()
        });
        SourceReport {
            ssrc: reception.ssrc,
            received: reception.received,
            lost: reception.lost(),
            concealed: figures.concealed_samples.div_ceil(SEND_SAMPLES as u64),
            concealed_samples: figures.concealed_samples,
            recovered: figures.recovered,
            respoken: figures.respoken_samples.div_ceil(SEND_SAMPLES as u64),
            late: figures.late,
            skipped: figures.skipped,
            left_out_samples: figures.left_out_samples,
            stretched_samples: figures.stretched_samples,
            paused_samples: figures.paused_samples,
            duplicates: reception.duplicates,
            undecodable: figures.undecodable,
            jitter_ms: reception.jitter_ms(),
            target_ms: figures.target_ms,
            delay_ms: figures.delay_ms,
            playing: figures.playing,
            level_db: figures.level_db,
            talking: figures.talking,
            owner: self.owner.proven,
        }
    }
}

/// The same packet with its payload in clear: `payload`, and no padding, which might be gone or have been forged.
pub fn rewritten<'a>(packet: &Packet<'_>, payload: &[u8], out: &'a mut Vec<u8>) -> Packet<'a> {
    out.clear();
    Packet { payload, padding_bytes: 0, ..*packet }.write(out);
    Packet::parse(out).expect("we wrote it")
}

fn new_voice(config: &ReceiveConfig, gains_db: &HashMap<u32, f32>, ssrc: u32) -> Box<Voice> {
    let gain_db = gains_db.get(&ssrc).copied().unwrap_or(0.0);
    let voice = Voice::new(config.deep_plc, config.min_target_ms, config.max_target_ms, gain_db);
    Box::new(voice.expect("libopus makes a 48 kHz mono decoder"))
}

pub fn find_or_add(
    sources: &mut Vec<Source>,
    most: usize,
    ssrc: u32,
    claims: &HashMap<u32, u64>,
    now: Nanos,
    timeout_ms: u32,
) -> Result<usize, Refusal> {
    if let Some(index) = sources.iter().position(|source| source.reception.ssrc == ssrc) {
        return Ok(index);
    }
    let source = Source {
        reception: Reception::new(ssrc, now),
        voice: None,
        needle: Needle::default(),
        owner: Owner::claimed(claims.get(&ssrc).copied()),
        held: HeldQueue::default(),
        tried_with: Known::default(),
        is_stuck: false,
        plain_waits: false,
        retry_from: 0,
    };
    if sources.len() < most {
        sources.push(source);
        return Ok(sources.len() - 1);
    }
    let oldest = (0..sources.len()).min_by_key(|&index| sources[index].reception.last_arrival);
    let oldest = oldest.filter(|&index| sources[index].is_silent(now, timeout_ms)).ok_or(Refusal::TooManySources)?;
    sources[oldest] = source;
    Ok(oldest)
}
