//! Datagrams in, mixed sound out.

use std::collections::HashMap;

use raccall_wire::Nanos;
use raccall_wire::level::VOICE_DB;
use raccall_wire::replay::Verdict;
use raccall_wire::rtcp::ReportBlock;
use raccall_wire::rtp::{self, OPUS_PAYLOAD_TYPE, Packet};
use raccall_wire::transport::{Cipher, Mode, OpenError};

use crate::frame::{NANOS_PER_MS, PULL_SAMPLES, SEND_SAMPLES};
use crate::level::Needle;
use crate::limiter::Limiter;
use crate::reception::Reception;
use crate::report::{ReceiveReport, Refusal, Refusals, SourceReport};
use crate::voice::{Voice, VoiceFigures};

/// Sources heard at once. One more takes the place of the one that has been silent longest, if that one has timed out; else it is refused.
pub const MAX_SOURCES: usize = 64;

/// The same for one who only keeps packets: a Source then costs some hundred bytes, and none may be missed.
pub const MAX_KEPT_SOURCES: usize = 1024;

/// Volumes remembered for Sources that may not have been heard yet; further ones are not remembered.
const MAX_GAINS: usize = 1024;

/// Longer than a relay takes to meet the new key, and than a datagram is under way.
const FORMER_KEY_NS: Nanos = 10_000_000_000;

#[derive(Debug, Clone)]
pub struct ReceiveConfig {
    pub mode: Mode,
    pub key: [u8; 32],
    /// Conceal with the neural network: better, and about 17 times the work per lost frame.
    pub deep_plc: bool,
    pub min_target_ms: u32,
    pub max_target_ms: u32,
    /// A Source's decoder is let go after that long without a packet.
    pub source_timeout_ms: u32,
}

/// What became of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<'a> {
    /// A fresh packet, each given once: the opened bytes, and its numbers without wraps.
    Packet {
        plain: &'a [u8],
        ssrc: u32,
        extended_sequence: u64,
        extended_timestamp: u64,
    },
    Rtcp(&'a [u8]),
    Refused(Refusal),
}

/// Opens, de-duplicates, orders, decodes, mixes. Owned by one thread and clocked by its caller.
pub struct ReceiveChain {
    cipher: Cipher,
    /// Of the key before: the relay seals with it until it has met the new one, and some of that is still under way.
    former: Option<Former>,
    config: ReceiveConfig,
    decoding: bool,
    sources: Vec<Source>,
    gains_db: HashMap<u32, f32>,
    limiter: Limiter,
    refused: Refusals,
    plain: Vec<u8>,
    next_expiry: Nanos,
}

struct Former {
    cipher: Cipher,
    expires: Nanos,
}

struct Source {
    reception: Reception,
    voice: Option<Box<Voice>>,
    /// Follows what the packets say while nothing is decoded.
    needle: Needle,
}

impl ReceiveChain {
    pub fn new(config: ReceiveConfig) -> Self {
        Self {
            cipher: Cipher::new(config.mode, &config.key),
            former: None,
            config,
            decoding: true,
            sources: Vec::with_capacity(MAX_SOURCES),
            gains_db: HashMap::new(),
            limiter: Limiter::default(),
            refused: Refusals::default(),
            plain: Vec::with_capacity(2048),
            next_expiry: 0,
        }
    }

    /// A listener that only keeps packets (a recorder) turns decoding off: no jitter buffer, no decoder, `pull` gives silence.
    pub fn set_decoding(&mut self, decoding: bool) {
        self.decoding = decoding;
        if !decoding {
            self.sources.iter_mut().for_each(|source| source.voice = None);
        }
    }

    /// A new key, or mode, from now on; the former one opens for ten seconds more.
    pub fn rekey(&mut self, mode: Mode, key: &[u8; 32], now: Nanos) {
        if (self.config.mode, &self.config.key) == (mode, key) {
            return;
        }
        let former = std::mem::replace(&mut self.cipher, Cipher::new(mode, key));
        self.former = Some(Former { cipher: former, expires: now + FORMER_KEY_NS });
        (self.config.mode, self.config.key) = (mode, *key);
    }

    /// Hands over one datagram that arrived at `now`. Hostile bytes are counted by reason.
    pub fn push(&mut self, datagram: &[u8], now: Nanos) -> Pushed<'_> {
        self.expire(now);
        match self.accept(datagram, now) {
            Ok(Accepted::Rtcp) => Pushed::Rtcp(&self.plain),
            Ok(Accepted::Packet { ssrc, extended_sequence, extended_timestamp }) => {
                Pushed::Packet { plain: &self.plain, ssrc, extended_sequence, extended_timestamp }
            }
            Err(reason) => {
                self.refused.add(reason);
                Pushed::Refused(reason)
            }
        }
    }

    /// The next 10 ms of everyone: `out` holds `PULL_SAMPLES`. Never allocates or fails.
    pub fn pull(&mut self, now: Nanos, out: &mut [f32]) {
        assert_eq!(out.len(), PULL_SAMPLES, "a pull is 10 ms");
        out.fill(0.0);
        self.pull_each(now, |_, frame| {
            out.iter_mut().zip(frame).for_each(|(sum, sample)| *sum += sample);
        });
        self.limiter.apply(out);
    }

    /// The next 10 ms of each Source before the mix, its gain applied, not limited. Takes the place of `pull`: both advance the time.
    pub fn pull_each(&mut self, now: Nanos, mut each: impl FnMut(u32, &[f32])) {
        for source in &mut self.sources {
            if let Some(voice) = &mut source.voice {
                each(source.reception.ssrc, voice.pull(now));
            }
        }
    }

    /// Volume of one Source, also before its first packet; kept until `remove_source`. Range -60 to +12 dB, ramp of 20 ms.
    pub fn set_gain_db(&mut self, ssrc: u32, gain_db: f32) {
        if self.gains_db.len() < MAX_GAINS || self.gains_db.contains_key(&ssrc) {
            self.gains_db.insert(ssrc, gain_db);
        }
        if let Some(voice) = self.source(ssrc).and_then(|source| source.voice.as_mut()) {
            voice.set_gain_db(gain_db);
        }
    }

    /// Forgets a Source, because its owner has left.
    pub fn remove_source(&mut self, ssrc: u32) {
        self.sources.retain(|source| source.reception.ssrc != ssrc);
        self.gains_db.remove(&ssrc);
    }

    pub fn report(&self) -> ReceiveReport {
        ReceiveReport { sources: self.sources.iter().map(Source::report).collect(), refused: self.refused }
    }

    /// Blocks for the next receiver report, one per Source; their loss fraction is about the time since the last call.
    pub fn report_blocks(&mut self) -> Vec<ReportBlock> {
        self.sources.iter_mut().map(|source| source.reception.report_block()).collect()
    }

    fn accept(&mut self, datagram: &[u8], now: Nanos) -> Result<Accepted, Refusal> {
        self.plain.clear();
        let mut opened = self.cipher.open(datagram, &mut self.plain);
        if opened == Err(OpenError::BadSeal)
            && let Some(former) = &self.former
            && now < former.expires
        {
            opened = former.cipher.open(datagram, &mut self.plain);
        }
        opened.map_err(|error| match error {
            OpenError::TooShort => Refusal::TooShort,
            OpenError::Malformed => Refusal::Malformed,
            OpenError::BadSeal => Refusal::BadSeal,
            OpenError::NoRoom => unreachable!("a Vec grows"),
        })?;
        if rtp::is_rtcp(&self.plain) {
            return Ok(Accepted::Rtcp);
        }
        let packet = Packet::parse(&self.plain).map_err(|_| Refusal::Malformed)?;
        if packet.payload_type != OPUS_PAYLOAD_TYPE {
            return Err(Refusal::PayloadType);
        }
        let most = if self.decoding { MAX_SOURCES } else { MAX_KEPT_SOURCES };
        let index = find_or_add(&mut self.sources, most, packet.ssrc, now, self.config.source_timeout_ms)?;
        let source = &mut self.sources[index];
        let (extended_sequence, extended_timestamp) =
            source
                .reception
                .accept(packet.sequence, packet.timestamp, now)
                .map_err(|verdict| if verdict == Verdict::TooOld { Refusal::TooOld } else { Refusal::Duplicate })?;
        if self.decoding {
            let voice = source.voice.get_or_insert_with(|| new_voice(&self.config, &self.gains_db, packet.ssrc));
            voice.push(extended_sequence, extended_timestamp, packet.payload, now);
        } else {
            source.needle.take(&packet);
        }
        Ok(Accepted::Packet { ssrc: packet.ssrc, extended_sequence, extended_timestamp })
    }

    /// Lets decoders of silent Sources go, once a second. Their replay windows stay, or a recorded packet could be played again.
    fn expire(&mut self, now: Nanos) {
        if now < self.next_expiry {
            return;
        }
        self.next_expiry = now + 1_000 * NANOS_PER_MS as u64;
        for source in &mut self.sources {
            if source.is_silent(now, self.config.source_timeout_ms) {
                source.voice = None;
            }
        }
    }

    fn source(&mut self, ssrc: u32) -> Option<&mut Source> {
        self.sources.iter_mut().find(|source| source.reception.ssrc == ssrc)
    }
}

enum Accepted {
    Packet { ssrc: u32, extended_sequence: u64, extended_timestamp: u64 },
    Rtcp,
}

impl Source {
    fn is_silent(&self, now: Nanos, timeout_ms: u32) -> bool {
        now.saturating_sub(self.reception.last_arrival) > u64::from(timeout_ms) * NANOS_PER_MS as u64
    }

    fn report(&self) -> SourceReport {
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
        }
    }
}

fn new_voice(config: &ReceiveConfig, gains_db: &HashMap<u32, f32>, ssrc: u32) -> Box<Voice> {
    let gain_db = gains_db.get(&ssrc).copied().unwrap_or(0.0);
    let voice = Voice::new(config.deep_plc, config.min_target_ms, config.max_target_ms, gain_db);
    Box::new(voice.expect("libopus makes a 48 kHz mono decoder"))
}

fn find_or_add(
    sources: &mut Vec<Source>,
    most: usize,
    ssrc: u32,
    now: Nanos,
    timeout_ms: u32,
) -> Result<usize, Refusal> {
    if let Some(index) = sources.iter().position(|source| source.reception.ssrc == ssrc) {
        return Ok(index);
    }
    let source = Source { reception: Reception::new(ssrc, now), voice: None, needle: Needle::default() };
    if sources.len() < most {
        sources.push(source);
        return Ok(sources.len() - 1);
    }
    let oldest = (0..sources.len()).min_by_key(|&index| sources[index].reception.last_arrival);
    let oldest = oldest.filter(|&index| sources[index].is_silent(now, timeout_ms)).ok_or(Refusal::TooManySources)?;
    sources[oldest] = source;
    Ok(oldest)
}
