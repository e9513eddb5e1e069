//! Datagrams in, mixed sound out.

mod source;
mod waiting;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use raccall_e2ee::EpochKeys;
use raccall_wire::Nanos;
use raccall_wire::old_layout::settle_extension;
use raccall_wire::replay::Verdict;
use raccall_wire::rtcp::ReportBlock;
use raccall_wire::rtp::{self, OPUS_PAYLOAD_TYPE, Packet};
use raccall_wire::transport::{Cipher, Mode, OpenError};

use self::source::{Source, find_or_add, rewritten};
use crate::encryption::{Decryption, Encryption, EncryptionCounts, Opened};
use crate::frame::{NANOS_PER_MS, PULL_SAMPLES};
use crate::held::Numbers;
use crate::mix::{Mix, interleave};
use crate::report::{ReceiveReport, Refusal, Refusals};

/// Sources heard at once. One more takes the place of the one that has been silent longest, if that one has timed out; else it is refused.
pub const MAX_SOURCES: usize = 64;

/// The same for one who only keeps packets: a Source then costs some hundred bytes, and none may be missed.
pub const MAX_KEPT_SOURCES: usize = 1024;

/// Volumes remembered for Sources that may not have been heard yet; further ones are not remembered.
const MAX_GAINS: usize = 1024;

/// Claims remembered, the same way.
const MAX_CLAIMS: usize = 4096;

/// How often `tend` looks after what waits.
const TEND_INTERVAL: Nanos = 200_000_000;

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
    /// A fresh packet that comes later, by `next_released`: its key is not known yet, or others of its Source have to come before.
    Held,
    Rtcp(&'a [u8]),
    Refused(Refusal),
}

/// A packet that had to wait, with the numbers that `Pushed::Packet` would have given, and the time when it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Released {
    pub arrival: Nanos,
    pub ssrc: u32,
    pub extended_sequence: u64,
    pub extended_timestamp: u64,
    pub plain: Vec<u8>,
}

/// Opens, de-duplicates, decrypts, orders, decodes, mixes. Owned by one thread and clocked by its caller.
pub struct ReceiveChain {
    cipher: Cipher,
    /// Of the key before: the relay seals with it until it has met the new one, and some of that is still under way.
    former: Option<Former>,
    config: ReceiveConfig,
    decoding: bool,
    sources: Vec<Source>,
    gains_db: HashMap<u32, f32>,
    mix: Mix,
    channels: usize,
    refused: Refusals,
    plain: Vec<u8>,
    encryption: Decryption,
    claims: HashMap<u32, u64>,
    /// The newest packet that was decrypted, as it would have been sent without encryption and padding.
    decrypted: Vec<u8>,
    held_bytes: usize,
    released: VecDeque<Released>,
    next_tend: Nanos,
    next_expiry: Nanos,
}

struct Former {
    cipher: Cipher,
    expires: Nanos,
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
            mix: Mix::default(),
            channels: 1,
            refused: Refusals::default(),
            plain: Vec::with_capacity(2048),
            encryption: Decryption::new(),
            claims: HashMap::new(),
            decrypted: Vec::with_capacity(2048),
            held_bytes: 0,
            released: VecDeque::new(),
            next_tend: 0,
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

    /// What the listener hears: 1 channel (at first) or 2. In 2, who sends stereo is heard in stereo from their next packet on; in 1, whoever it is
    /// by the middle of their channels.
    pub fn set_channels(&mut self, channels: usize) {
        assert!(channels == 1 || channels == 2, "mono or stereo");
        self.channels = channels;
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

    /// What is to be encrypted end to end. Nothing at first.
    pub fn set_encryption(&mut self, encryption: Encryption, now: Nanos) {
        self.encryption.set_mode(encryption, now, !self.sources.is_empty());
    }

    /// Opens what members encrypt with this epoch's keys, too, and what waited for them.
    pub fn add_keys(&mut self, keys: Arc<EpochKeys>, now: Nanos) {
        self.encryption.add_keys(keys, now);
        self.retry_with_new_keys(now);
    }

    /// Everybody was told to use these keys: others expire.
    pub fn use_keys(&mut self, keys: &Arc<EpochKeys>, now: Nanos) {
        self.encryption.use_keys(keys, now);
        self.retry_with_new_keys(now);
    }

    /// Who is said to speak as a Source. May come before its first packet, late, again, and be wrong.
    pub fn set_owner(&mut self, ssrc: u32, user_id: u64, now: Nanos) {
        if self.claims.len() >= MAX_CLAIMS && !self.claims.contains_key(&ssrc) {
            let sources = &self.sources;
            self.claims.retain(|ssrc, _| sources.iter().any(|source| source.reception.ssrc == *ssrc));
        }
        self.claims.insert(ssrc, user_id);
        if let Some(source) = self.source(ssrc) {
            source.owner.claimed = Some(user_id);
            self.retry_all(now);
        }
    }

    /// Hands over one datagram that arrived at `now`. Hostile bytes are counted by reason. Then ask for `next_released`.
    pub fn push(&mut self, datagram: &[u8], now: Nanos) -> Pushed<'_> {
        self.expire(now);
        self.tend(now);
        match self.accept(datagram, now) {
            Ok(Accepted::Rtcp) => Pushed::Rtcp(&self.plain),
            Ok(Accepted::Packet { numbers: Numbers { ssrc, extended_sequence, extended_timestamp }, decrypted }) => {
                let plain = if decrypted { &self.decrypted } else { &self.plain };
                Pushed::Packet { plain, ssrc, extended_sequence, extended_timestamp }
            }
            Ok(Accepted::Held) => Pushed::Held,
            Err(reason) => {
                self.refused.add(reason);
                Pushed::Refused(reason)
            }
        }
    }

    /// A packet that can be opened now and could not when it came. Ask again until there is none, after `push`, `tend`, and whatever may
    /// make something open. Of each Source they come in order.
    pub fn next_released(&mut self) -> Option<Released> {
        self.released.pop_front()
    }

    /// Looks after what waits. Call it at least once a second, also when nothing comes.
    pub fn tend(&mut self, now: Nanos) {
        if now < self.next_tend {
            return;
        }
        self.next_tend = now + TEND_INTERVAL;
        self.encryption.expire(now);
        if self.held_bytes > 0 {
            self.drop_what_waited_too_long(now);
            self.retry_all(now);
        }
    }

    /// The next 10 ms of everyone: `out` holds `PULL_SAMPLES` of each channel, interleaved. Never allocates or fails.
    pub fn pull(&mut self, now: Nanos, out: &mut [f32]) {
        assert_eq!(out.len(), PULL_SAMPLES * self.channels, "a pull is 10 ms");
        self.mix.begin();
        for voice in self.sources.iter_mut().filter_map(|source| source.voice.as_mut()) {
            self.mix.add(voice.pull(now));
        }
        self.mix.finish(out);
    }

    /// The next 10 ms of each Source before the mix, its gain applied, not limited. Takes the place of `pull`: both advance the time.
    pub fn pull_each(&mut self, now: Nanos, mut each: impl FnMut(u32, &[f32])) {
        for source in &mut self.sources {
            let Some(voice) = &mut source.voice else { continue };
            let frame = voice.pull(now);
            if self.channels == 1 {
                each(source.reception.ssrc, frame.middle());
            } else {
                let mut pairs = [0.0; 2 * PULL_SAMPLES];
                interleave(frame.middle(), frame.side(), &mut pairs);
                each(source.reception.ssrc, &pairs);
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
        if let Some(index) = self.sources.iter().position(|source| source.reception.ssrc == ssrc) {
            let held = self.sources.swap_remove(index).held;
            self.held_bytes -= held.bytes();
            self.encryption.counts.expired += held.len() as u64;
        }
        self.gains_db.remove(&ssrc);
        self.claims.remove(&ssrc);
    }

    pub fn report(&self) -> ReceiveReport {
        let waiting = self.sources.iter().map(|source| source.held.len() as u64).sum();
        ReceiveReport {
            sources: self.sources.iter().map(Source::report).collect(),
            refused: self.refused,
            encryption: EncryptionCounts { waiting, ..self.encryption.counts },
        }
    }

    /// Blocks for the next receiver report, one per Source; their loss fraction is about the time since the last call.
    pub fn report_blocks(&mut self) -> Vec<ReportBlock> {
        self.sources.iter_mut().map(|source| source.reception.report_block()).collect()
    }

    fn accept(&mut self, datagram: &[u8], now: Nanos) -> Result<Accepted, Refusal> {
        self.plain.clear();
        let mut opened = self.cipher.open(datagram, &mut self.plain);
        let mut mode = self.cipher.mode();
        if opened == Err(OpenError::BadSeal)
            && let Some(former) = &self.former
            && now < former.expires
        {
            opened = former.cipher.open(datagram, &mut self.plain);
            mode = former.cipher.mode();
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
        if mode.encrypts_whole_extension() {
            settle_extension(&mut self.plain);
        }
        let packet = Packet::parse(&self.plain).map_err(|_| Refusal::Malformed)?;
        if packet.payload_type != OPUS_PAYLOAD_TYPE {
            return Err(Refusal::PayloadType);
        }
        let most = if self.decoding { MAX_SOURCES } else { MAX_KEPT_SOURCES };
        let timeout_ms = self.config.source_timeout_ms;
        let index = find_or_add(&mut self.sources, most, packet.ssrc, &self.claims, now, timeout_ms)?;
        let source = &mut self.sources[index];
        let (extended_sequence, extended_timestamp) =
            source
                .reception
                .accept(packet.sequence, packet.timestamp, now)
                .map_err(|verdict| if verdict == Verdict::TooOld { Refusal::TooOld } else { Refusal::Duplicate })?;
        let numbers = Numbers { ssrc: packet.ssrc, extended_sequence, extended_timestamp };
        let voices = self.decoding.then_some((&self.config, &self.gains_db, self.channels == 2));
        match self.encryption.open(&mut source.owner, packet.payload, now) {
            Opened::Plain if source.is_stuck && !source.held.is_empty() => {
                source.plain_waits = true;
                self.encryption.counts.plain -= 1; // counted again when it is released
                self.hold(index, numbers, now);
                Ok(Accepted::Held)
            }
            Opened::Plain => {
                source.take(&packet, numbers, now, voices);
                Ok(Accepted::Packet { numbers, decrypted: false })
            }
            Opened::Decrypted => {
                source.is_stuck = false;
                let packet = rewritten(&packet, self.encryption.payload(), &mut self.decrypted);
                if source.is_to_retry(self.encryption.version(), now) {
                    // What waits came first, and whose key has just been found may open it.
                    let plain = self.decrypted.clone();
                    self.retry(index, now);
                    self.release(index, numbers, now, plain, now);
                    return Ok(Accepted::Held);
                }
                source.take(&packet, numbers, now, voices);
                Ok(Accepted::Packet { numbers, decrypted: true })
            }
            Opened::Refused(reason) => Err(reason),
            Opened::NotYet => {
                self.encryption.counts.bad_tag += 1;
                source.is_stuck = true;
                self.hold(index, numbers, now);
                Ok(Accepted::Held)
            }
        }
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
    Packet { numbers: Numbers, decrypted: bool },
    Held,
    Rtcp,
}
