//! Frames in, sealed datagrams out.
//!
//! The chain says in which order things happen, and when nothing is sent. What each step does is in a file of its own: `gain.rs`,
//! `limiter.rs` and `gate.rs` for what was captured, `share.rs` for what joins it, `packing.rs`, `coding.rs` and `sealing.rs` for the way from
//! frames to a datagram. How much a link takes, and in which packets, `rate.rs` says.

mod coding;
mod config;
mod packing;
mod sealing;

use raccall_e2ee::EpochKeys;
use raccall_wire::Nanos;
use raccall_wire::rtcp::ReportBlock;
use raccall_wire::transport::Mode;

use self::coding::Coding;
pub use self::config::{MediaError, SendConfig};
use self::packing::Packing;
use self::sealing::{Outgoing, Sealing};
use crate::encryption::Encryption;
use crate::frame::{MOST_DTX_BYTES, NANOS_PER_MS, SAMPLES_PER_MS, SEND_SAMPLES, SILENCE_PAYLOAD, energy, energy_db};
use crate::gain::Gain;
use crate::gate::{Gate, GateMode, Passing};
use crate::limiter::Limiter;
use crate::rate::Rate;
use crate::report::{LinkReport, alarm, link_report};
use crate::share::{SHARED_BPS, SHARED_SAMPLES, SILENCE, Share};

/// What a push holds, and so many of them missing before a microphone counts as having been away: no sound card's period is as long.
const FRAME_NS: Nanos = 20 * NANOS_PER_MS as Nanos;
const AWAY_FRAMES: u64 = 10;

/// Gain, limit, mix with what is shared, encode, encrypt, packet, seal. Owned by one thread and clocked by its caller.
pub struct SendChain {
    ssrc: u32,
    /// The most of payloads, while nothing is shared.
    most_bps: i32,
    gain: Gain,
    limiter: Limiter,
    gate: Gate,
    muted: bool,
    /// The newest 20 ms, with gain, of all channels.
    captured: Vec<f32>,
    level_db: f32,
    /// The newest frames that the gate let through and that are not packed yet.
    unsent: usize,
    /// Of the next push.
    timestamp: u32,
    last_push: Nanos,
    packing: Packing,
    coding: Coding,
    sealing: Sealing,
    level_extension: bool,
    rate: Rate,
    held_frames: u64,
}

impl SendChain {
    pub fn new(config: SendConfig) -> Result<Self, MediaError> {
        let channels = usize::from(config.channels);
        Ok(Self {
            ssrc: config.ssrc,
            most_bps: config.bitrate_bps,
            gain: Gain::for_channels(1.0, channels),
            limiter: Limiter::for_channels(channels),
            gate: Gate::new(channels),
            muted: false,
            captured: vec![0.0; SEND_SAMPLES * channels],
            level_db: energy_db(0.0),
            unsent: 0,
            timestamp: config.first_timestamp,
            last_push: 0,
            packing: Packing::new(),
            coding: Coding::new(&config)?,
            sealing: Sealing::new(&config),
            level_extension: true,
            rate: Rate::new(config.bitrate_bps, config.mode.overhead_bytes()),
            held_frames: 0,
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
        self.packing.forget();
        self.gate.forget();
    }

    /// Takes 20 ms of sound, all channels interleaved. Gives the datagram to send at once, or nothing: the gate is closed, the packet is longer than that and not
    /// full, muted, silent under DTX, held back because it would only wait, or the key's nonces are used up. Then ask for `more`.
    pub fn push(&mut self, frame: &[f32], now: Nanos) -> Option<&[u8]> {
        if self.coding.is_sharing() && !self.packing.is_empty() {
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
        self.packing.add(self.coding.mix(&mut self.captured, is_heard, shared));
        self.finish_packet(now)
    }

    /// Brings what it takes to share; the first one stays.
    pub fn set_share(&mut self, share: Box<Share>) {
        self.coding.set_share(share);
    }

    /// Whether `push_shared` may come next: not in the middle of a packet of speech.
    pub fn may_share(&self) -> bool {
        self.coding.can_share() && (self.coding.is_sharing() || self.packing.is_empty())
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
        let timestamp = self.timestamp.wrapping_sub((self.unsent * SEND_SAMPLES) as u32);
        self.begin_packet(timestamp, self.captured.len(), now);
        self.unsent -= 1;
        self.packing.add(self.gate.frame(self.unsent));
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
        !self.muted && (self.gate.is_open() || (self.coding.is_sharing() && self.gate.mode() != GateMode::PushToTalk))
    }

    /// Of the newest 20 ms captured, with gain, sent or not: who is muted may want to know that they talk.
    pub fn level_db(&self) -> f32 {
        self.level_db
    }

    /// A new key, or mode, from the next datagram on. Told twice, the same key must not repeat a nonce.
    pub fn rekey(&mut self, mode: Mode, key: &[u8; 32]) {
        self.sealing.rekey(mode, key);
        self.rate.set_seal_bytes(self.sealing.overhead_bytes());
    }

    /// Whether what leaves is encrypted end to end. Without keys, nothing leaves then.
    pub fn set_encryption(&mut self, encryption: Encryption) {
        self.sealing.set_encryption(encryption);
        self.rate.set_seal_bytes(self.sealing.overhead_bytes());
    }

    /// Encrypts with these from the next packet on.
    pub fn use_keys(&mut self, keys: &EpochKeys) {
        self.sealing.use_keys(keys);
    }

    /// Frames that left encrypted, and those that could not leave for want of a key.
    pub fn encryption_counts(&self) -> (u64, u64) {
        self.sealing.encryption_counts()
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
        if let Some((alarm, highest)) = alarm(rtcp, self.ssrc) {
            self.rate.heed(alarm, self.sealing.behind(highest), now);
            return None;
        }
        let report = link_report(rtcp, self.ssrc, now)?;
        self.apply(&report, now);
        Some(report)
    }

    /// Follows the link: bitrate and length of packets as `rate.rs` says, expected loss smoothly.
    pub fn apply(&mut self, report: &LinkReport, now: Nanos) {
        if !report.uplink_loss_pct.is_finite() {
            return;
        }
        let under_way = report.highest_sequence.map(|highest| self.sealing.behind(highest)).unwrap_or_default();
        self.rate.take(report, under_way, now);
        self.coding.expect_loss(report.heard_loss_pct.unwrap_or(0.0).max(report.uplink_loss_pct));
    }

    /// A sealed sender report about us, followed by receiver reports with `blocks`. Nothing if the key's nonces are used up, or if the mode
    /// cannot seal RTCP: `xsalsa20_poly1305`, whose nonce is the header.
    pub fn report_datagram(&mut self, blocks: &[ReportBlock], now: Nanos) -> Option<&[u8]> {
        let timestamp = self.timestamp_at(now);
        self.sealing.seal_report(timestamp, blocks, now)
    }

    /// RTP packets so far.
    pub fn sent_packets(&self) -> u64 {
        self.sealing.sent_packets()
    }

    /// Bytes of all datagrams so far, reports included, without UDP and IP headers.
    pub fn sent_bytes(&self) -> u64 {
        self.sealing.sent_bytes()
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
        assert_eq!(frame.len(), self.captured.len(), "a push is 20 ms");
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
        if self.coding.is_sharing() {
            return;
        }
        assert!(self.may_share(), "only between two packets");
        self.coding.begin_sharing(self.gate.is_open());
        self.rate.set_most_bps(SHARED_BPS.max(self.most_bps));
    }

    /// What the microphone heard meanwhile was sent: the gate must not send it again when it opens.
    fn end_sharing(&mut self) {
        if !self.coding.is_sharing() {
            return;
        }
        self.coding.end_sharing();
        self.gate.forget();
        self.rate.set_most_bps(self.most_bps);
    }

    /// `samples`: of all channels in 20 ms.
    fn begin_packet(&mut self, timestamp: u32, samples: usize, now: Nanos) {
        if self.packing.is_empty() {
            self.rate.tick(now);
            let choice = self.rate.choice();
            self.coding.set_bitrate(choice.bitrate_bps);
            self.packing.begin(timestamp, choice.frame_ms / 20, samples);
        }
    }

    /// Its datagram, once it is full.
    fn finish_packet(&mut self, now: Nanos) -> Option<&[u8]> {
        let tells_level = self.tells_level();
        let packed = self.packing.take()?;
        if self.rate.holds(now) {
            self.held_frames += packed.frames as u64;
            self.sealing.leave_out();
            return None;
        }
        let payload = self.coding.encode(packed.samples);
        let silent = payload.len() <= MOST_DTX_BYTES;
        if silent && self.sealing.is_paused() {
            return None;
        }
        let level_db = tells_level.then(|| energy_db(energy(packed.samples)));
        self.sealing.seal(Outgoing { payload, timestamp: packed.timestamp, level_db, silent }, now)
    }

    /// Says once that nothing follows.
    fn pause(&mut self, timestamp: u32, now: Nanos) -> Option<&[u8]> {
        self.packing.forget();
        if self.sealing.is_paused() {
            return None;
        }
        let level_db = self.tells_level().then(|| energy_db(0.0));
        self.sealing.seal(Outgoing { payload: &SILENCE_PAYLOAD, timestamp, level_db, silent: true }, now)
    }

    fn tells_level(&self) -> bool {
        self.level_extension && self.rate.choice().level
    }

    /// The timestamp that sound captured at `now` would carry.
    fn timestamp_at(&self, now: Nanos) -> u32 {
        let since_push = now.saturating_sub(self.last_push).min(1_000 * NANOS_PER_MS as u64);
        self.timestamp.wrapping_add((since_push * SAMPLES_PER_MS as u64 / NANOS_PER_MS as u64) as u32)
    }
}
