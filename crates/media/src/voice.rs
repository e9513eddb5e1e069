//! The sound of one Source: jitter buffer, decoder, concealment, gain. In one channel or, once it is stereo, two (`planes`): both go every step together.
//!
//! While its sender rests (DTX), the room that they speak in goes on: libopus's decoder has learnt its noise, level and colour, and makes more of it
//! when asked for what was not sent. A noise of our own would have to be matched to that, and a dead line makes people ask whether anyone is
//! there. It is made by the classic concealment: a neural network would make up words, at seventeen times the cost.

use raccall_opus::{DEEP_PLC_COMPLEXITY, Decoder, Error, packet_has_lbrr, packet_is_stereo, packet_samples};
use raccall_wire::Nanos;
use raccall_wire::level::VOICE_DB;

use crate::concealment::Concealment;
use crate::decoding::VoiceDecoder;
use crate::follow::{Change, Follower};
use crate::frame::{LONGEST_PACKET_SAMPLES, MOST_DTX_BYTES, PULL_SAMPLES, SAMPLE_RATE_HZ, energy_db};
use crate::gain::Gain;
use crate::jitter::{Incoming, JitterBuffer, Next};
use crate::planes::{PlaneFrame, Planes, energy_of};
use crate::respeak::Respeaker;
use crate::stretch::LONGEST_PERIOD;

/// By that much at most 10 ms of sound are lengthened at once while a packet is overdue, and while packets are held up.
const SLOW_DOWN_MS: f32 = 10.0;
const URGENT_SLOW_DOWN_MS: f32 = 15.0;

/// Of the decoder: losses are concealed by repetition and noise.
const CLASSIC_PLC_COMPLEXITY: u8 = 0;

/// Weight of the newest 10 ms in the shown level: about 50 ms.
const LEVEL_WEIGHT: f32 = 0.2;

pub struct Voice {
    jitter: JitterBuffer,
    decoder: VoiceDecoder,
    /// Of the decoder, while its sender talks.
    complexity: u8,
    concealment: Concealment,
    respeaker: Respeaker,
    gain: Gain,
    follower: Follower,
    /// Decoded and not yet played.
    queue: Planes,
    /// The frame that was played last, its delay and media time.
    played: PlaneFrame,
    level: f32,
    delay_ms: f32,
    playing: Option<u64>,
    concealed_samples: u64,
    recovered: u64,
    respoken_samples: u64,
    undecodable: u64,
}

/// The counts and gauges of a voice, for the report.
#[derive(Debug)]
pub struct VoiceFigures {
    pub concealed_samples: u64,
    pub recovered: u64,
    pub respoken_samples: u64,
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
            respoken_samples: 0,
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
        let mut decoder = VoiceDecoder::new()?;
        let complexity = if deep_plc { DEEP_PLC_COMPLEXITY } else { CLASSIC_PLC_COMPLEXITY };
        decoder.set_complexity(complexity);
        let mut gain = Gain::new(0.0);
        gain.set_db(gain_db);
        Ok(Self {
            jitter: JitterBuffer::new(min_target_ms, max_target_ms),
            decoder,
            complexity,
            concealment: Concealment::default(),
            respeaker: Respeaker::new(deep_plc)?,
            gain,
            follower: Follower::default(),
            queue: Planes::with_capacity(2 * LONGEST_PACKET_SAMPLES + 3 * LONGEST_PERIOD),
            played: PlaneFrame::default(),
            level: 0.0,
            delay_ms: 0.0,
            playing: None,
            concealed_samples: 0,
            recovered: 0,
            respoken_samples: 0,
            undecodable: 0,
        })
    }

    /// Hands over one fresh packet. With `hears_stereo`, a stereo one makes this voice stereo, for good.
    pub fn push(&mut self, sequence: u64, timestamp: u64, payload: &[u8], hears_stereo: bool, now: Nanos) {
        match packet_samples(payload, SAMPLE_RATE_HZ) {
            Ok(samples) => {
                if hears_stereo && packet_is_stereo(payload) {
                    self.decoder.reserve_stereo(&mut self.queue).expect("libopus makes a 48 kHz stereo decoder");
                }
                let lbrr = packet_has_lbrr(payload).unwrap_or(false);
                let redundancy = self.respeaker.read(sequence, payload, samples);
                self.jitter.push(Incoming { sequence, timestamp, samples, lbrr, redundancy, payload }, now);
            }
            Err(_) => self.undecodable += 1,
        }
    }

    /// The next 10 ms. Does not allocate.
    pub fn pull(&mut self, now: Nanos) -> &PlaneFrame {
        self.jitter.tick(now);
        let made_up = self.concealed_samples;
        self.fill(now);
        if self.concealed_samples == made_up {
            self.follow(now);
        }
        self.delay_ms = self.jitter.delay_ms(now, self.queue.len()).unwrap_or(0.0);
        self.playing = self.jitter.position().map(|position| position.saturating_sub(self.queue.len() as u64));
        self.queue.take(&mut self.played);
        self.follower.played(self.played.all());
        let gain = self.gain.clone();
        for plane in self.played.all_mut() {
            self.gain = gain.clone();
            self.gain.apply(plane);
        }
        self.level += (energy_of(self.played.all()) - self.level) * LEVEL_WEIGHT;
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
            respoken_samples: self.respoken_samples,
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
                self.decoder.set_complexity(if is_noise { CLASSIC_PLC_COMPLEXITY } else { self.complexity });
                if packet_is_stereo(payload) {
                    self.decoder.expect_stereo(&mut self.queue);
                }
                let decode = |decoder: &mut Decoder, out: &mut [f32]| decoder.decode_f32(payload, out);
                let samples = packet_samples(payload, SAMPLE_RATE_HZ).unwrap_or(PULL_SAMPLES);
                match self.decoder.append(&mut self.queue, samples, decode) {
                    Ok(_) => self.shape(queued, Concealment::real),
                    Err(_) => {
                        self.undecodable += 1;
                        self.conceal(samples);
                    }
                }
            }
            Next::Recover { payload, samples, skip } => {
                let decode = |decoder: &mut Decoder, out: &mut [f32]| decoder.decode_lbrr_f32(payload, out);
                if self.decoder.append(&mut self.queue, samples, decode).is_err() {
                    self.queue.grow(samples); // silence: the packet's own decoding will count the error
                }
                self.queue.cut(queued, skip);
                self.shape(queued, Concealment::real);
                self.recovered += 1;
            }
            Next::Respeak { sequence, payload, before, samples } => {
                self.decoder.set_complexity(self.complexity);
                let respeaker = &mut self.respeaker;
                let speak =
                    |decoder: &mut Decoder, out: &mut [f32]| respeaker.speak(decoder, (sequence, payload), before, out);
                if self.decoder.append(&mut self.queue, samples, speak).is_err() {
                    self.queue.grow(samples); // only for lengths off the 2.5 ms grid
                }
                self.shape(queued, Concealment::real);
                self.respoken_samples += samples as u64;
            }
            Next::Conceal { samples } => self.conceal(samples),
        }
    }

    fn conceal(&mut self, samples: usize) {
        let queued = self.make_up(samples);
        self.concealed_samples += samples as u64;
        self.shape(queued, Concealment::concealed);
    }

    /// Gives what was appended from `start` on the loudness that it should have, both planes alike.
    fn shape(&mut self, start: usize, shape: fn(&mut Concealment, &mut [f32])) {
        let concealment = self.concealment;
        for plane in self.queue.all_mut() {
            self.concealment = concealment;
            shape(&mut self.concealment, &mut plane[start..]);
        }
    }

    /// Fills up the frame although nobody talks.
    fn stop(&mut self, now: Nanos) {
        if self.queue.len() >= PULL_SAMPLES {
            return;
        }
        let rests = self.jitter.is_resting(now);
        if rests {
            self.decoder.set_complexity(CLASSIC_PLC_COMPLEXITY);
        }
        let queued = self.make_up(PULL_SAMPLES);
        self.shape(queued, if rests { Concealment::real } else { Concealment::stopped });
        self.queue.truncate(PULL_SAMPLES);
    }

    /// Appends PLC, or zeros if none of it would be heard. Returns where it begins.
    fn make_up(&mut self, samples: usize) -> usize {
        let queued = self.queue.len();
        let conceal = |decoder: &mut Decoder, out: &mut [f32]| decoder.conceal_f32(out);
        // Fails only for lengths off the 2.5 ms grid; silence is then what is heard.
        if self.concealment.is_silent() || self.decoder.append(&mut self.queue, samples, conceal).is_err() {
            self.queue.grow(samples);
        }
        queued
    }

    /// Brings the delay nearer to its target.
    fn follow(&mut self, now: Nanos) {
        let Some(surplus_ms) = self.jitter.surplus_ms(now, self.queue.len()) else { return };
        let is_urgent = self.jitter.is_held_up(now);
        let surplus_ms = if is_urgent {
            -URGENT_SLOW_DOWN_MS
        } else if self.jitter.is_overdue(now) {
            -SLOW_DOWN_MS
        } else {
            surplus_ms
        };
        let count = self.queue.all().len();
        let energy = energy_of(&self.queue.views(0..PULL_SAMPLES)[..count]);
        let Some(change) = self.follower.wanted(energy, surplus_ms, is_urgent) else { return };
        if let Change::Shorten(_) = change {
            self.look_ahead(now, 2 * LONGEST_PERIOD);
        }
        self.follower.change(&mut self.queue, change);
        self.fill(now);
    }
}
