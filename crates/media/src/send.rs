//! Frames in, sealed datagrams out.

use std::fmt;

use raccall_e2ee::{Encryptor, EpochKeys, OVERHEAD_BYTES};
use raccall_opus::{Application, Encoder};
use raccall_wire::Nanos;
use raccall_wire::level;
use raccall_wire::rtcp::{self, ReportBlock, Rtcp};
use raccall_wire::rtp::{Extension, ONE_BYTE_EXTENSION, OPUS_PAYLOAD_TYPE, Packet};
use raccall_wire::transport::{Cipher, ClientNonces, Mode, SealError};

use crate::encryption::Encryption;
use crate::flight::Flight;
use crate::frame::{NANOS_PER_MS, SAMPLE_RATE_HZ, SAMPLES_PER_MS, SEND_SAMPLES, SILENCE_PAYLOAD, energy, energy_db};
use crate::gain::Gain;
use crate::gate::{Gate, GateMode, Passing};
use crate::limiter::Limiter;
use crate::rate::Rate;
use crate::report::{LinkReport, alarm, link_report, ntp_of};
use crate::share::{SHARED_BPS, SHARED_CHANNELS, SHARED_SAMPLES, SILENCE, Share};

/// More than 20 ms of Opus can be (RFC 6716 section 3.2.1).
const PAYLOAD_BYTES: usize = 1276;

/// A report block count has five bits.
const BLOCKS_PER_REPORT: usize = 31;

/// What a push holds, and so many of them missing before a microphone counts as having been away: no sound card's period is as long.
const FRAME_NS: Nanos = 20 * NANOS_PER_MS as Nanos;
const AWAY_FRAMES: u64 = 10;

/// The longest packet that is sent, 60 ms.
const MOST_FRAME_SAMPLES: usize = 3 * SEND_SAMPLES;

/// More tells libopus nothing, and costs quality when it was one bad second.
const MAX_EXPECTED_LOSS_PCT: f32 = 30.0;

/// Below this bitrate speech is better off with the bits that DRED would take: at 32 kb/s and 21 % loss its PESQ falls from 2.34 to
/// 2.25, at 48 it rises from 2.48 to 2.80. (libopus then also keeps no bitrate.)
const DRED_FROM_BPS: i32 = 48_000;

/// Weight of the newest report, one a second, in the expected loss.
const LOSS_WEIGHT: f32 = 0.25;

#[derive(Debug, Clone)]
pub struct SendConfig {
    pub ssrc: u32,
    pub mode: Mode,
    pub key: [u8; 32],
    /// The largest used; poor links lower it.
    pub bitrate_bps: i32,
    /// Of the encoder, 0 to 10.
    pub complexity: u8,
    /// The least assumed; poor links raise it.
    pub expected_loss_pct: u8,
    /// Send each frame a second time, coarser, in the packet after it.
    pub lbrr: bool,
    /// Tell in each packet of so much before it, coarser still (DRED): 0 to 1040. Done from 48 kb/s on, and as far as libopus gives it of
    /// these bits: the more, the more loss is expected.
    pub dred_ms: u16,
    /// Send nothing while nobody speaks.
    pub dtx: bool,
    /// Whatever sounds, close to the original, instead of speech that is understood: no LBRR, no DRED, no DTX.
    pub music: bool,
    /// 1, or 2 interleaved.
    pub channels: u8,
    pub first_sequence: u16,
    pub first_timestamp: u32,
}

/// A setting that libopus does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaError(pub raccall_opus::Error);

impl fmt::Display for MediaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the encoder refuses a setting: {}", self.0)
    }
}

impl std::error::Error for MediaError {}

impl From<raccall_opus::Error> for MediaError {
    fn from(error: raccall_opus::Error) -> Self {
        Self(error)
    }
}

/// Gain, limit, mix with what is shared, encode, encrypt, packet, seal. Owned by one thread and clocked by its caller.
pub struct SendChain {
    config: SendConfig,
    cipher: Cipher,
    nonces: ClientNonces,
    encoder: Encoder,
    gain: Gain,
    limiter: Limiter,
    gate: Gate,
    share: Option<Box<Share>>,
    /// What is shared is being sent, by an encoder of its own.
    sharing: bool,
    /// Of all channels in 20 ms.
    push_samples: usize,
    captured: Vec<f32>,
    level_db: f32,
    /// The newest frames that the gate let through and that are not packed yet.
    unsent: usize,
    /// What waits for the rest of its packet, `framed` samples of all channels, the first of them with `frame_timestamp`.
    frame: Vec<f32>,
    framed: usize,
    frame_timestamp: u32,
    frame_samples: usize,
    payload: [u8; PAYLOAD_BYTES],
    encryption: Encryption,
    encryptor: Encryptor,
    encrypted: Vec<u8>,
    encrypted_frames: u64,
    unsent_frames: u64,
    packet: Vec<u8>,
    datagram: Vec<u8>,
    level_extension: bool,
    muted: bool,
    /// The listeners know that nothing follows: the last packet said silence.
    paused: bool,
    sequence: u16,
    timestamp: u32,
    last_push: Nanos,
    expected_loss_pct: f32,
    rate: Rate,
    flight: Flight,
    held_frames: u64,
    sent_packets: u64,
    sent_bytes: u64,
    payload_bytes: u64,
}

impl SendChain {
    pub fn new(config: SendConfig) -> Result<Self, MediaError> {
        let application = if config.music { Application::Audio } else { Application::Voip };
        let mut encoder = Encoder::new(SAMPLE_RATE_HZ, config.channels, application)?;
        let channels = usize::from(config.channels);
        encoder.set_bitrate(config.bitrate_bps)?;
        encoder.set_complexity(config.complexity)?;
        encoder.set_expected_loss(config.expected_loss_pct)?;
        encoder.set_lbrr(config.lbrr && !config.music)?;
        encoder.set_redundancy(frames_of_10_ms(config.dred_ms))?; // refused if out of range, used or not
        encoder.set_redundancy(dred_frames(&config, config.bitrate_bps))?;
        encoder.set_dtx(config.dtx && !config.music)?;
        Ok(Self {
            cipher: Cipher::new(config.mode, &config.key),
            nonces: ClientNonces::new(),
            encoder,
            gain: Gain::for_channels(1.0, channels),
            limiter: Limiter::for_channels(channels),
            gate: Gate::new(channels),
            share: None,
            sharing: false,
            push_samples: SEND_SAMPLES * channels,
            captured: vec![0.0; SEND_SAMPLES * channels],
            level_db: energy_db(0.0),
            unsent: 0,
            frame: vec![0.0; MOST_FRAME_SAMPLES * SHARED_CHANNELS],
            framed: 0,
            frame_timestamp: config.first_timestamp,
            frame_samples: SEND_SAMPLES * channels,
            payload: [0; PAYLOAD_BYTES],
            encryption: Encryption::Off,
            encryptor: Encryptor::default(),
            encrypted: Vec::with_capacity(PAYLOAD_BYTES + OVERHEAD_BYTES),
            encrypted_frames: 0,
            unsent_frames: 0,
            packet: Vec::with_capacity(2048),
            datagram: Vec::with_capacity(2048),
            level_extension: true,
            muted: false,
            paused: true,
            sequence: config.first_sequence,
            timestamp: config.first_timestamp,
            last_push: 0,
            expected_loss_pct: f32::from(config.expected_loss_pct),
            rate: Rate::new(config.bitrate_bps, config.mode.overhead_bytes()),
            flight: Flight::new(config.first_sequence),
            held_frames: 0,
            sent_packets: 0,
            sent_bytes: 0,
            payload_bytes: 0,
            config,
        })
    }

    /// To be called before a `push` of what a sound card captured. When it gave nothing for 200 ms or more (it was unplugged, the machine
    /// stood still), timestamps go on by as much: else all that follows would seem to have queued so long on the way.
    pub fn catch_up(&mut self, now: Nanos) {
        let away = now.saturating_sub(self.last_push) / FRAME_NS;
        if self.last_push == 0 || away < AWAY_FRAMES {
            return;
        }
        self.timestamp = self.timestamp.wrapping_add((away - 1) as u32 * SEND_SAMPLES as u32);
        self.framed = 0;
        self.gate.forget();
    }

    /// Takes 20 ms of sound, all channels interleaved. Gives the datagram to send at once, or nothing: the gate is closed, the packet is longer than that and not
    /// full, muted, silent under DTX, held back because it would only wait, or the key's nonces are used up. Then ask for `more`.
    pub fn push(&mut self, frame: &[f32], now: Nanos) -> Option<&[u8]> {
        if self.sharing && self.framed > 0 {
            return self.push_shared(frame, &SILENCE, now); // a packet holds one kind of sound
        }
        self.end_sharing();
        let timestamp = self.take(frame, now);
        if self.muted {
            self.gate.forget();
            return self.pause(timestamp, now);
        }
        match self.gate.push(&self.captured) {
            Passing::Closed | Passing::Closing => self.pause(timestamp, now),
            Passing::Open(frames) => {
                self.unsent = frames;
                self.more(now)
            }
        }
    }

    /// The same, mixed with 20 ms of what is shared, which is sent whatever gate and mute say of the microphone. Only while `may_share`.
    pub fn push_shared(&mut self, frame: &[f32], shared: &[f32; SHARED_SAMPLES], now: Nanos) -> Option<&[u8]> {
        self.begin_sharing();
        let timestamp = self.take(frame, now);
        let is_heard = if self.muted {
            self.gate.forget();
            false
        } else {
            self.gate.push(&self.captured);
            self.is_open()
        };
        self.begin_packet(timestamp, SHARED_SAMPLES, now);
        let share = self.share.as_mut().expect("who may share brought it");
        let mixed = share.mix(&mut self.captured, is_heard, shared);
        self.frame[self.framed..self.framed + SHARED_SAMPLES].copy_from_slice(mixed);
        self.framed += SHARED_SAMPLES;
        self.finish_packet(now)
    }

    /// Brings what it takes to share; the first one stays.
    pub fn set_share(&mut self, share: Box<Share>) {
        self.share.get_or_insert(share);
    }

    /// Whether `push_shared` may come next: not in the middle of a packet of speech.
    pub fn may_share(&self) -> bool {
        self.share.is_some() && (self.sharing || self.framed == 0)
    }

    /// Whether `more` has to be asked: the gate has opened, and what was said just before it did goes out, too.
    pub fn has_more(&self) -> bool {
        self.unsent > 0
    }

    /// The next frame's datagram, or nothing, as after `push`.
    pub fn more(&mut self, now: Nanos) -> Option<&[u8]> {
        if self.unsent == 0 {
            return None;
        }
        self.begin_packet(self.timestamp.wrapping_sub((self.unsent * SEND_SAMPLES) as u32), self.push_samples, now);
        self.unsent -= 1;
        self.frame[self.framed..self.framed + self.push_samples].copy_from_slice(self.gate.frame(self.unsent));
        self.framed += self.push_samples;
        self.finish_packet(now)
    }

    /// When it is open. Anyone is heard always at first.
    pub fn set_gate_mode(&mut self, mode: GateMode) {
        self.gate.set_mode(mode);
    }

    /// The key of push-to-talk.
    pub fn set_pressed(&mut self, pressed: bool) {
        self.gate.set_pressed(pressed);
    }

    /// Whether what is captured is sent. While something is shared no voice has to open the gate; a key still does.
    pub fn is_open(&self) -> bool {
        !self.muted && (self.gate.is_open() || (self.sharing && self.gate.mode() != GateMode::PushToTalk))
    }

    /// Of the newest 20 ms captured, with gain, sent or not: who is muted may want to know that they talk.
    pub fn level_db(&self) -> f32 {
        self.level_db
    }

    /// A new key, or mode, from the next datagram on. Told twice, the same key must not repeat a nonce.
    pub fn rekey(&mut self, mode: Mode, key: &[u8; 32]) {
        if self.config.key != *key {
            self.nonces = ClientNonces::new();
        }
        self.cipher = Cipher::new(mode, key);
        (self.config.mode, self.config.key) = (mode, *key);
    }

    /// Whether what leaves is encrypted end to end. Without keys, nothing leaves then.
    pub fn set_encryption(&mut self, encryption: Encryption) {
        self.encryption = encryption;
        let added = if encryption == Encryption::Off { 0 } else { OVERHEAD_BYTES };
        self.rate.set_seal_bytes(self.config.mode.overhead_bytes() + added);
    }

    /// Encrypts with these from the next packet on.
    pub fn use_keys(&mut self, keys: &EpochKeys) {
        self.encryptor.use_keys(keys);
    }

    /// Frames that left encrypted, and those that could not leave for want of a key.
    pub fn encryption_counts(&self) -> (u64, u64) {
        (self.encrypted_frames, self.unsent_frames)
    }

    /// A muted chain sends one packet of silence, then nothing; its timestamps go on. Unmuting fades in over 20 ms.
    pub fn set_muted(&mut self, muted: bool) {
        if self.muted && !muted {
            self.gain.start_from_silence();
        }
        self.muted = muted;
    }

    /// Range -60 to +12 dB, ramp of 20 ms.
    pub fn set_gain_db(&mut self, gain_db: f32) {
        self.gain.set_db(gain_db);
    }

    /// Whether each packet tells its level in the header (RFC 6464), so that nobody decodes to draw a meter. On at first; 8 bytes a packet.
    pub fn set_level_extension(&mut self, on: bool) {
        self.level_extension = on;
    }

    /// Reads an opened RTCP packet and follows what it says about us. None if that is nothing, or an alarm.
    pub fn take_rtcp(&mut self, rtcp: &[u8], now: Nanos) -> Option<LinkReport> {
        if let Some((alarm, highest)) = alarm(rtcp, self.config.ssrc) {
            self.rate.heed(alarm, self.flight.behind(highest), now);
            return None;
        }
        let report = link_report(rtcp, self.config.ssrc, now)?;
        self.apply(&report, now);
        Some(report)
    }

    /// Follows the link: bitrate and length of packets as `rate.rs` says, expected loss smoothly.
    pub fn apply(&mut self, report: &LinkReport, now: Nanos) {
        if !report.uplink_loss_pct.is_finite() {
            return;
        }
        let under_way = report.highest_sequence.map(|highest| self.flight.behind(highest)).unwrap_or_default();
        self.rate.take(report, under_way, now);
        let loss_pct = report.heard_loss_pct.unwrap_or(0.0).max(report.uplink_loss_pct).clamp(0.0, 100.0);
        self.expected_loss_pct += (loss_pct - self.expected_loss_pct) * LOSS_WEIGHT;
        let expected_pct = self
            .expected_loss_pct
            .clamp(f32::from(self.config.expected_loss_pct).min(MAX_EXPECTED_LOSS_PCT), MAX_EXPECTED_LOSS_PCT);
        self.encoder.set_expected_loss(expected_pct.round() as u8).expect("0 to 100");
        if let Some(share) = &mut self.share {
            share.encoder.set_expected_loss(expected_pct.round() as u8).expect("0 to 100");
        }
    }

    /// A sealed sender report about us, followed by receiver reports with `blocks`. Nothing if the key's nonces are used up, or if the mode
    /// cannot seal RTCP: `xsalsa20_poly1305`, whose nonce is the header.
    pub fn report_datagram(&mut self, blocks: &[ReportBlock], now: Nanos) -> Option<&[u8]> {
        let ssrc = self.config.ssrc;
        self.packet.clear();
        let sender = Rtcp::SenderReport {
            ssrc,
            ntp: ntp_of(now),
            timestamp: self.timestamp_at(now),
            packets: self.sent_packets as u32,
            bytes: self.payload_bytes as u32,
            blocks: Vec::new(),
        };
        rtcp::write(&sender, &mut self.packet);
        for part in blocks.chunks(BLOCKS_PER_REPORT) {
            rtcp::write(&Rtcp::ReceiverReport { ssrc, blocks: part.to_vec() }, &mut self.packet);
        }
        self.seal()
    }

    /// RTP packets so far.
    pub fn sent_packets(&self) -> u64 {
        self.sent_packets
    }

    /// Bytes of all datagrams so far, reports included, without UDP and IP headers.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// How it sends now, of payloads alone.
    pub fn bitrate_bps(&self) -> i32 {
        self.rate.choice().bitrate_bps
    }

    /// Of a packet.
    pub fn frame_ms(&self) -> usize {
        self.rate.choice().frame_ms
    }

    /// Frames of 20 ms that were not sent because they would only have waited.
    pub fn held_frames(&self) -> u64 {
        self.held_frames
    }

    /// Counts 20 ms on and prepares what was captured. Returns the timestamp of its beginning.
    fn take(&mut self, frame: &[f32], now: Nanos) -> u32 {
        assert_eq!(frame.len(), self.push_samples, "a push is 20 ms");
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(SEND_SAMPLES as u32);
        self.last_push = now;
        self.unsent = 0;
        self.captured.copy_from_slice(frame);
        self.gain.apply(&mut self.captured);
        self.limiter.apply(&mut self.captured);
        self.level_db = energy_db(energy(&self.captured));
        timestamp
    }

    fn begin_sharing(&mut self) {
        if self.sharing {
            return;
        }
        assert!(self.may_share(), "only between two packets");
        self.sharing = true;
        let share = self.share.as_mut().expect("it may share");
        share.begin(self.gate.is_open());
        self.rate.set_most_bps(SHARED_BPS.max(self.config.bitrate_bps));
    }

    /// What the microphone heard meanwhile was sent: the gate must not send it again when it opens.
    fn end_sharing(&mut self) {
        if !self.sharing {
            return;
        }
        self.sharing = false;
        self.gate.forget();
        self.encoder.reset().expect("takes no argument");
        self.rate.set_most_bps(self.config.bitrate_bps);
    }

    fn follow_rate(&mut self) {
        let bitrate_bps = self.rate.choice().bitrate_bps;
        let encoder = in_use(&mut self.encoder, &mut self.share, self.sharing);
        encoder.set_bitrate(bitrate_bps).expect("between the least and the most");
        let redundancy = if self.sharing { 0 } else { dred_frames(&self.config, bitrate_bps) };
        encoder.set_redundancy(redundancy).expect("as when it was made");
    }

    /// `samples`: of all channels in 20 ms.
    fn begin_packet(&mut self, timestamp: u32, samples: usize, now: Nanos) {
        if self.framed == 0 {
            self.rate.tick(now);
            self.follow_rate();
            self.frame_timestamp = timestamp;
            self.frame_samples = self.rate.choice().frame_ms / 20 * samples;
        }
    }

    /// Its datagram, once it is full.
    fn finish_packet(&mut self, now: Nanos) -> Option<&[u8]> {
        if self.framed < self.frame_samples {
            return None;
        }
        self.framed = 0;
        let frame_20_ms = if self.sharing { SHARED_SAMPLES } else { self.push_samples };
        if self.rate.holds(now) {
            self.held_frames += (self.frame_samples / frame_20_ms) as u64;
            self.paused = true;
            return None;
        }
        let encoder = in_use(&mut self.encoder, &mut self.share, self.sharing);
        let whole = &self.frame[..self.frame_samples];
        let length = encoder.encode_f32(whole, &mut self.payload).expect("a packet fits into 1276 bytes");
        let silent = length <= 2;
        if silent && self.paused {
            return None;
        }
        let level_db = energy_db(energy(whole));
        self.send(length, self.frame_timestamp, level_db, silent, now)
    }

    /// Says once that nothing follows.
    fn pause(&mut self, timestamp: u32, now: Nanos) -> Option<&[u8]> {
        self.framed = 0;
        if self.paused {
            return None;
        }
        self.payload[..SILENCE_PAYLOAD.len()].copy_from_slice(&SILENCE_PAYLOAD);
        self.send(SILENCE_PAYLOAD.len(), timestamp, energy_db(0.0), true, now)
    }

    /// Encrypts, packets and seals the first `length` bytes of `payload`. The marker says that a talk spurt begins (RFC 7587 section 4.1).
    fn send(&mut self, length: usize, timestamp: u32, level_db: f32, silent: bool, now: Nanos) -> Option<&[u8]> {
        let payload = if self.encryption == Encryption::Off {
            &self.payload[..length]
        } else if self.encryptor.encrypt(&self.payload[..length], &mut self.encrypted) {
            self.encrypted_frames += 1;
            &self.encrypted
        } else {
            self.unsent_frames += 1;
            self.paused = true;
            return None;
        };
        let level = level::write(level_db);
        self.packet.clear();
        let packet = Packet {
            marker: self.paused,
            payload_type: OPUS_PAYLOAD_TYPE,
            sequence: self.sequence,
            timestamp,
            ssrc: self.config.ssrc,
            csrc: &[],
            extension: (self.level_extension && self.rate.choice().level)
                .then_some(Extension { profile: ONE_BYTE_EXTENSION, body: &level }),
            payload,
            padding_bytes: 0,
        };
        packet.write(&mut self.packet);
        self.paused = silent;
        self.sequence = self.sequence.wrapping_add(1);
        self.sent_packets += 1;
        self.payload_bytes += payload.len() as u64;
        self.flight.sent(self.packet.len() + self.config.mode.overhead_bytes(), now);
        self.seal()
    }

    fn seal(&mut self) -> Option<&[u8]> {
        let nonce = self.nonces.next()?;
        self.datagram.clear();
        match self.cipher.seal(&self.packet, nonce, &mut self.datagram) {
            Ok(()) => {}
            Err(SealError::NonceWouldRepeat) => return None,
            Err(error) => unreachable!("our own packet is well-formed: {error}"),
        }
        self.sent_bytes += self.datagram.len() as u64;
        Some(&self.datagram)
    }

    /// The timestamp that sound captured at `now` would carry.
    fn timestamp_at(&self, now: Nanos) -> u32 {
        let since_push = now.saturating_sub(self.last_push).min(1_000 * NANOS_PER_MS as u64);
        self.timestamp.wrapping_add((since_push * SAMPLES_PER_MS as u64 / NANOS_PER_MS as u64) as u32)
    }
}

fn in_use<'a>(speech: &'a mut Encoder, share: &'a mut Option<Box<Share>>, sharing: bool) -> &'a mut Encoder {
    match share {
        Some(share) if sharing => &mut share.encoder,
        _ => speech,
    }
}

/// How many frames of 10 ms each packet tells of at this bitrate.
fn dred_frames(config: &SendConfig, bitrate_bps: i32) -> u8 {
    if config.music || bitrate_bps < DRED_FROM_BPS { 0 } else { frames_of_10_ms(config.dred_ms) }
}

fn frames_of_10_ms(ms: u16) -> u8 {
    u8::try_from(ms.div_ceil(10)).unwrap_or(u8::MAX)
}
