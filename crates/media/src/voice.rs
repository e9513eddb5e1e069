//! The sound of one Source: jitter buffer, decoder, concealment, gain.
//!
//! While its sender rests (DTX), the room that they speak in goes on: libopus's decoder has learnt its noise, level and colour, and makes more of it
//! when asked for what was not sent. A noise of our own would have to be matched to that, and a dead line makes people ask whether anyone is
//! there. It is made by the classic concealment: a neural network would make up words, at seventeen times the cost.

use raccall_opus::{DEEP_PLC_COMPLEXITY, Decoder, Error, packet_has_lbrr, packet_samples};
use raccall_wire::Nanos;
use raccall_wire::level::VOICE_DB;

use crate::concealment::Concealment;
use crate::follow::{Change, Follower};
use crate::frame::{LONGEST_PACKET_SAMPLES, PULL_SAMPLES, SAMPLE_RATE_HZ, energy, energy_db};
use crate::gain::Gain;
use crate::jitter::{Incoming, JitterBuffer, MOST_DTX_BYTES, Next};
use crate::stretch::LONGEST_PERIOD;

/// By that much at most each 10 ms of sound is lengthened while a packet is overdue.
const SLOW_DOWN_MS: f32 = 10.0;

/// Of the decoder: losses are concealed by repetition and noise.
const CLASSIC_PLC_COMPLEXITY: u8 = 0;

/// Weight of the newest 10 ms in the shown level: about 50 ms.
const LEVEL_WEIGHT: f32 = 0.2;

pub struct Voice {
    jitter: JitterBuffer,
    decoder: Decoder,
    /// Of the decoder, while its sender talks.
    complexity: u8,
    concealment: Concealment,
    gain: Gain,
    follower: Follower,
    /// Decoded and not yet played.
    queue: Vec<f32>,
    /// The frame that was played last, its delay and media time.
    played: [f32; PULL_SAMPLES],
    level: f32,
    delay_ms: f32,
    playing: Option<u64>,
    concealed_samples: u64,
    recovered: u64,
    undecodable: u64,
}

/// The counts and gauges of a voice, for the report.
#[derive(Debug)]
pub struct VoiceFigures {
    pub concealed_samples: u64,
    pub recovered: u64,
    pub late: u64,
    pub skipped: u64,
    pub left_out_samples: u64,
    pub stretched_samples: u64,
    pub paused_samples: u64,
    pub undecodable: u64,
    pub target_ms: f32,
    pub delay_ms: f32,
    pub playing: Option<u64>,
    pub level_db: f32,
    pub talking: bool,
}

impl Default for VoiceFigures {
    fn default() -> Self {
        Self {
            concealed_samples: 0,
            recovered: 0,
            late: 0,
            skipped: 0,
            left_out_samples: 0,
            stretched_samples: 0,
            paused_samples: 0,
            undecodable: 0,
            target_ms: 0.0,
            delay_ms: 0.0,
            playing: None,
            level_db: energy_db(0.0),
            talking: false,
        }
    }
}

impl Voice {
    pub fn new(deep_plc: bool, min_target_ms: u32, max_target_ms: u32, gain_db: f32) -> Result<Self, Error> {
        let mut decoder = Decoder::new(SAMPLE_RATE_HZ, 1)?;
        let complexity = if deep_plc { DEEP_PLC_COMPLEXITY } else { CLASSIC_PLC_COMPLEXITY };
        decoder.set_complexity(complexity)?;
        let mut gain = Gain::new(0.0);
        gain.set_db(gain_db);
        Ok(Self {
            jitter: JitterBuffer::new(min_target_ms, max_target_ms),
            decoder,
            complexity,
            concealment: Concealment::default(),
            gain,
            follower: Follower::default(),
            queue: Vec::with_capacity(2 * LONGEST_PACKET_SAMPLES + 3 * LONGEST_PERIOD),
            played: [0.0; PULL_SAMPLES],
            level: 0.0,
            delay_ms: 0.0,
            playing: None,
            concealed_samples: 0,
            recovered: 0,
            undecodable: 0,
        })
    }

    /// Hands over one fresh packet.
    pub fn push(&mut self, sequence: u64, timestamp: u64, payload: &[u8], now: Nanos) {
        match packet_samples(payload, SAMPLE_RATE_HZ) {
            Ok(samples) => {
                let lbrr = packet_has_lbrr(payload).unwrap_or(false);
                self.jitter.push(Incoming { sequence, timestamp, samples, lbrr, payload }, now);
            }
            Err(_) => self.undecodable += 1,
        }
    }

    /// The next 10 ms. Does not allocate.
    pub fn pull(&mut self, now: Nanos) -> &[f32; PULL_SAMPLES] {
        self.jitter.tick(now);
        let made_up = self.concealed_samples;
        self.fill(now);
        if self.concealed_samples == made_up {
            self.follow(now);
        }
        self.delay_ms = self.jitter.delay_ms(now, self.queue.len()).unwrap_or(0.0);
        self.playing = self.jitter.position().map(|position| position.saturating_sub(self.queue.len() as u64));
        self.played.copy_from_slice(&self.queue[..PULL_SAMPLES]);
        self.follower.played(&self.played);
        let rest = self.queue.len() - PULL_SAMPLES;
        self.queue.copy_within(PULL_SAMPLES.., 0);
        self.queue.truncate(rest);
        self.gain.apply(&mut self.played);
        self.level += (energy(&self.played) - self.level) * LEVEL_WEIGHT;
        &self.played
    }

    pub fn set_gain_db(&mut self, gain_db: f32) {
        self.gain.set_db(gain_db);
    }

    pub fn figures(&self) -> VoiceFigures {
        let level_db = energy_db(self.level);
        VoiceFigures {
            concealed_samples: self.concealed_samples,
            recovered: self.recovered,
            late: self.jitter.late(),
            skipped: self.jitter.skipped(),
            left_out_samples: self.jitter.left_out_samples(),
            stretched_samples: self.follower.stretched_samples,
            paused_samples: self.follower.paused_samples,
            undecodable: self.undecodable,
            target_ms: self.jitter.target_ms(),
            delay_ms: self.delay_ms,
            playing: self.playing,
            level_db,
            talking: level_db > VOICE_DB,
        }
    }

    /// Decodes or makes up sound until a frame is there.
    fn fill(&mut self, now: Nanos) {
        while self.queue.len() < PULL_SAMPLES {
            self.append(now);
        }
    }

    /// Decodes ahead until `wanted` samples are there, as far as nothing is missing.
    fn look_ahead(&mut self, now: Nanos, wanted: usize) {
        while self.queue.len() < wanted && self.jitter.is_ready() {
            self.append(now);
        }
    }

    /// Appends the next piece of sound; at least one frame if nobody talks.
    fn append(&mut self, now: Nanos) {
        let queued = self.queue.len();
        match self.jitter.next(now, queued) {
            Next::Wait => self.stop(now),
            Next::Play { payload, .. } => {
                let is_noise = payload.len() <= MOST_DTX_BYTES;
                set_complexity(&mut self.decoder, if is_noise { CLASSIC_PLC_COMPLEXITY } else { self.complexity });
                self.queue.resize(queued + LONGEST_PACKET_SAMPLES, 0.0);
                match self.decoder.decode_f32(payload, &mut self.queue[queued..]) {
                    Ok(samples) => {
                        self.queue.truncate(queued + samples);
                        self.concealment.real(&mut self.queue[queued..]);
                    }
                    Err(_) => {
                        let samples = packet_samples(payload, SAMPLE_RATE_HZ).unwrap_or(PULL_SAMPLES);
                        self.queue.truncate(queued);
                        self.undecodable += 1;
                        self.conceal(samples);
                    }
                }
            }
            Next::Recover { payload, samples, skip } => {
                self.queue.resize(queued + samples, 0.0);
                // An error leaves zeros: the packet's own decoding will count it.
                let _ = self.decoder.decode_lbrr_f32(payload, &mut self.queue[queued..]);
                self.queue.copy_within(queued + skip.., queued);
                self.queue.truncate(queued + samples - skip);
                self.concealment.real(&mut self.queue[queued..]);
                self.recovered += 1;
            }
            Next::Conceal { samples } => self.conceal(samples),
        }
    }

    fn conceal(&mut self, samples: usize) {
        let queued = self.make_up(samples);
        self.concealed_samples += samples as u64;
        self.concealment.concealed(&mut self.queue[queued..]);
    }

    /// Fills up the frame although nobody talks.
    fn stop(&mut self, now: Nanos) {
        if self.queue.len() >= PULL_SAMPLES {
            return;
        }
        let rests = self.jitter.is_resting(now);
        if rests {
            set_complexity(&mut self.decoder, CLASSIC_PLC_COMPLEXITY);
        }
        let queued = self.make_up(PULL_SAMPLES);
        if rests {
            self.concealment.real(&mut self.queue[queued..]);
        } else {
            self.concealment.stopped(&mut self.queue[queued..]);
        }
        self.queue.truncate(PULL_SAMPLES);
    }

    /// Appends PLC, or zeros if none of it would be heard. Returns where it begins.
    fn make_up(&mut self, samples: usize) -> usize {
        let queued = self.queue.len();
        self.queue.resize(queued + samples, 0.0);
        if !self.concealment.is_silent() {
            // Fails only for lengths off the 2.5 ms grid; the zeros are then what is heard.
            let _ = self.decoder.conceal_f32(&mut self.queue[queued..]);
        }
        queued
    }

    /// Brings the delay nearer to its target.
    fn follow(&mut self, now: Nanos) {
        let Some(surplus_ms) = self.jitter.surplus_ms(now, self.queue.len()) else { return };
        let surplus_ms = if self.jitter.is_overdue(now) { -SLOW_DOWN_MS } else { surplus_ms };
        let Some(change) = self.follower.wanted(&self.queue[..PULL_SAMPLES], surplus_ms) else { return };
        if let Change::Shorten(_) = change {
            self.look_ahead(now, 2 * LONGEST_PERIOD);
        }
        self.follower.change(&mut self.queue, change);
        self.fill(now);
    }
}

fn set_complexity(decoder: &mut Decoder, complexity: u8) {
    decoder.set_complexity(complexity).expect("0 to 10");
}
