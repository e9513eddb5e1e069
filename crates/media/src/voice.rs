//! The sound of one Source: jitter buffer, decoder, concealment, gain.

use raccall_opus::{DEEP_PLC_COMPLEXITY, Decoder, Error, packet_has_lbrr, packet_samples};
use raccall_wire::Nanos;

use crate::concealment::Concealment;
use crate::frame::{LONGEST_PACKET_SAMPLES, PULL_SAMPLES, SAMPLE_RATE_HZ, energy, energy_db};
use crate::gain::Gain;
use crate::jitter::{JitterBuffer, Next};
use crate::level::VOICE_DB;
use crate::silence::{Pauses, drop_frame, repeat_frame};

/// The delay is left alone while it is this near its target, in ms: below it, above it. A step is 10 ms.
const TOLERANCE_MS: (f32, f32) = (-10.0, 9.5);

/// Weight of the newest 10 ms in the shown level: about 50 ms.
const LEVEL_WEIGHT: f32 = 0.2;

pub struct Voice {
    jitter: JitterBuffer,
    decoder: Decoder,
    concealment: Concealment,
    gain: Gain,
    pauses: Pauses,
    /// Decoded and not yet played.
    queue: Vec<f32>,
    /// The last frame before gain, and as it was given out.
    last: [f32; PULL_SAMPLES],
    played: [f32; PULL_SAMPLES],
    level: f32,
    /// Of the frame that was played last.
    delay_ms: f32,
    concealed_samples: u64,
    recovered: u64,
    undecodable: u64,
}

/// The counts and gauges of a voice, for the report.
#[derive(Debug)]
pub struct VoiceFigures {
    pub concealed: u64,
    pub recovered: u64,
    pub late: u64,
    pub undecodable: u64,
    pub target_ms: f32,
    pub delay_ms: f32,
    pub level_db: f32,
    pub talking: bool,
}

impl Default for VoiceFigures {
    fn default() -> Self {
        Self {
            concealed: 0,
            recovered: 0,
            late: 0,
            undecodable: 0,
            target_ms: 0.0,
            delay_ms: 0.0,
            level_db: energy_db(0.0),
            talking: false,
        }
    }
}

impl Voice {
    pub fn new(deep_plc: bool, min_target_ms: u32, max_target_ms: u32, gain_db: f32) -> Result<Self, Error> {
        let mut decoder = Decoder::new(SAMPLE_RATE_HZ, 1)?;
        decoder.set_complexity(if deep_plc { DEEP_PLC_COMPLEXITY } else { 0 })?;
        let mut gain = Gain::new(0.0);
        gain.set_db(gain_db);
        Ok(Self {
            jitter: JitterBuffer::new(min_target_ms, max_target_ms),
            decoder,
            concealment: Concealment::default(),
            gain,
            pauses: Pauses::default(),
            queue: Vec::with_capacity(LONGEST_PACKET_SAMPLES + 3 * PULL_SAMPLES),
            last: [0.0; PULL_SAMPLES],
            played: [0.0; PULL_SAMPLES],
            level: 0.0,
            delay_ms: 0.0,
            concealed_samples: 0,
            recovered: 0,
            undecodable: 0,
        })
    }

    /// Hands over one fresh packet.
    pub fn push(&mut self, sequence: u64, timestamp: u64, payload: &[u8], now: Nanos) {
        match packet_samples(payload, SAMPLE_RATE_HZ) {
            Ok(samples) => {
                self.jitter.push(sequence, timestamp, samples, payload, now);
            }
            Err(_) => self.undecodable += 1,
        }
    }

    /// The next 10 ms. Does not allocate.
    pub fn pull(&mut self, now: Nanos) -> &[f32; PULL_SAMPLES] {
        self.fill(now, PULL_SAMPLES);
        self.correct(now);
        self.delay_ms = self.jitter.delay_ms(now, self.queue.len()).unwrap_or(0.0);
        self.last.copy_from_slice(&self.queue[..PULL_SAMPLES]);
        self.played = self.last;
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
            concealed: self.concealed_samples.div_ceil(960),
            recovered: self.recovered,
            late: self.jitter.late(),
            undecodable: self.undecodable,
            target_ms: self.jitter.target_ms(),
            delay_ms: self.delay_ms,
            level_db,
            talking: level_db > VOICE_DB,
        }
    }

    /// Decodes or makes up sound until `wanted` samples are there, at least one frame if nobody talks.
    fn fill(&mut self, now: Nanos, wanted: usize) {
        while self.queue.len() < wanted {
            let queued = self.queue.len();
            match self.jitter.next(now, queued) {
                Next::Wait => {
                    self.stop();
                    return;
                }
                Next::Play { payload, .. } => {
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
                Next::Recover { payload, samples } => {
                    if !packet_has_lbrr(payload).unwrap_or(false) {
                        self.conceal(samples);
                        continue;
                    }
                    self.queue.resize(queued + samples, 0.0);
                    // An error leaves zeros: the packet's own decoding will count it.
                    let _ = self.decoder.decode_lbrr_f32(payload, &mut self.queue[queued..]);
                    self.concealment.real(&mut self.queue[queued..]);
                    self.recovered += 1;
                }
                Next::Conceal { samples } => self.conceal(samples),
            }
        }
    }

    fn conceal(&mut self, samples: usize) {
        let queued = self.make_up(samples);
        self.concealed_samples += samples as u64;
        self.concealment.concealed(&mut self.queue[queued..]);
    }

    /// Fills up the frame although nobody talks.
    fn stop(&mut self) {
        if self.queue.len() >= PULL_SAMPLES {
            return;
        }
        let queued = self.make_up(PULL_SAMPLES);
        self.concealment.stopped(&mut self.queue[queued..]);
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

    /// Brings the delay nearer to its target if this frame is a pause.
    fn correct(&mut self, now: Nanos) {
        if !self.pauses.is_quiet(&self.queue[..PULL_SAMPLES]) {
            return;
        }
        let Some(surplus_ms) = self.jitter.surplus_ms(now, self.queue.len()) else { return };
        if surplus_ms > TOLERANCE_MS.1 && self.jitter.held() > 0 {
            self.fill(now, 2 * PULL_SAMPLES);
            if self.queue.len() >= 2 * PULL_SAMPLES {
                drop_frame(&mut self.queue);
            }
        } else if surplus_ms < TOLERANCE_MS.0 {
            repeat_frame(&mut self.queue, &self.last);
        }
    }
}
