//! One speaker's placed packets as sound.
//!
//! Policy
//! ------
//! - A packet's sound begins at `Placed.exact`, earlier by the look-ahead of encoders (which a player of the track skips
//!   too). What follows directly is stretched to meet the next packet: that takes up the drift of the sender's clock.
//! - Lost packets: the last one comes from the copy (LBRR) in the packet after it, when that has one; those before are
//!   spoken again as far as that packet tells of them (DRED), the rest is concealed by libopus's neural network, at full
//!   level for 100 ms and gone after 200.
//! - A pause of up to half a second, in which no packet is missing, is the sender's discontinuous transmission: its
//!   background noise goes on.
//! - When a sender stops without saying so, the sound is led out in 20 ms; after coded silence nothing is needed.
//! - A payload that libopus refuses is a lost packet, and counted.
//! - What would overlap the sound before begins at its end.

mod envelope;
mod resampler;

use std::collections::VecDeque;
use std::sync::Arc;

use raccall_opus::{DEEP_PLC_COMPLEXITY, Decoder, Error, Redundancy, packet_has_lbrr};
use raccall_wire::level::{MOST_DTX_BYTES, SILENCE_PAYLOAD};

use crate::PlacedBatch;
use envelope::{AUDIBLE, Envelope};
use resampler::Resampler;

const SAMPLE_RATE_HZ: u32 = 48_000;
/// libopus's look-ahead at 48 kHz: decoded sound comes this much late.
const PRE_SKIP: i64 = 312;
/// 2.5 ms: Opus packets last multiples of it.
const GRID: i64 = 120;
/// What two packets may be apart, or overlap, and still follow directly.
const DIRECT: i64 = GRID / 2;
/// Decoders need some past before what they put out is right.
const PRE_ROLL: i64 = 10 * SAMPLE_RATE_HZ as i64;
const CLASSIC_PLC_COMPLEXITY: u8 = 0;
/// Concealment is asked for in pieces of 20 ms.
const PIECE: usize = 960;
const LEAD_OUT: usize = PIECE;
/// The copy of a lost frame is as long as the frame; encoders write none for longer packets.
const MOST_COPIED: usize = 2880;
/// Discontinuous transmission sends one packet every 400 ms.
const MOST_PAUSED: usize = 500 * 48;

/// Samples by where they came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoundCounts {
    /// Made up for what was lost, or could not be decoded.
    pub concealed: u64,
    /// Lost, and decoded from what the packet after carries of it.
    pub recovered: u64,
    /// Packets that libopus refused.
    pub refused: u64,
}

struct Packet {
    /// Where its sound belongs, if nothing is in the way.
    begin: i64,
    frames: usize,
    follows_loss: bool,
    /// The index in the batch that holds its payload.
    index: usize,
    batch: Arc<PlacedBatch>,
}

impl Packet {
    fn payload(&self) -> &[u8] {
        self.batch.get(self.index).expect("it was there when it was pushed").payload
    }
}

/// Placed packets in, sound out. Memory does not grow with the length of the recording.
pub struct SpeakerSound {
    decoder: Decoder,
    redundancy: Redundancy,
    channels: usize,
    gain: f32,
    begin: u64,
    waiting: VecDeque<Packet>,
    resampler: Resampler,
    envelope: Envelope,
    /// Where the newest sound ends.
    end: i64,
    /// More sound may follow directly.
    sounding: bool,
    /// The newest packet said "nothing more to hear".
    silent: bool,
    counts: SoundCounts,
}

impl SpeakerSound {
    /// channels: 1 or 2, whatever the sender used. gain: a factor on everything. begin: position of the first sample put
    /// out; packets long before it are not decoded.
    pub fn new(channels: u8, gain: f32, begin: u64) -> Result<Self, Error> {
        let decoder = Decoder::new(SAMPLE_RATE_HZ, channels)?;
        let channels = usize::from(channels);
        Ok(Self {
            decoder,
            redundancy: Redundancy::new()?,
            channels,
            gain,
            begin,
            waiting: VecDeque::new(),
            resampler: Resampler::new(channels, begin),
            envelope: Envelope::new(channels),
            end: i64::MIN / 2,
            sounding: false,
            silent: true,
            counts: SoundCounts::default(),
        })
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    pub fn counts(&self) -> SoundCounts {
        self.counts
    }

    /// Packets in the order of their places.
    pub fn push(&mut self, batch: &Arc<PlacedBatch>) {
        for (index, placed) in batch.iter().enumerate() {
            let begin = placed.exact.round() as i64 - PRE_SKIP;
            let frames = placed.samples as usize;
            if begin + frames as i64 + PRE_ROLL >= self.begin as i64 {
                let follows_loss = placed.lost > 0;
                self.waiting.push_back(Packet { begin, frames, follows_loss, index, batch: Arc::clone(batch) });
            }
        }
    }

    /// Decode, and put out the sound from the last `end` to this one: interleaved, silence where nobody spoke. What is
    /// pushed later and belongs before `end` comes after it.
    ///
    /// `memory` is used again for sound to come; what it holds does not matter.
    pub fn pull(&mut self, end: u64, memory: Vec<f32>) -> Vec<f32> {
        self.resampler.run();
        while self.resampler.ready() < end {
            let Some(packet) = self.waiting.pop_front() else {
                self.fall_silent(LEAD_OUT);
                break;
            };
            let copied = self.copied_before(&packet);
            let begin = self.go_on_until(&packet, copied);
            if !self.sounding && begin >= end as i64 {
                self.waiting.push_front(packet);
                break;
            }
            self.put_in(&packet, copied, begin);
            self.resampler.run();
        }
        let mut sound = self.resampler.take(end, memory);
        if self.gain != 1.0 {
            sound.iter_mut().for_each(|sample| *sample *= self.gain);
        }
        sound
    }

    /// How many samples before a packet the copy in it gives back.
    fn copied_before(&self, packet: &Packet) -> usize {
        let there_is_room = self.end + packet.frames as i64 <= packet.begin + DIRECT;
        let copied = packet.follows_loss
            && there_is_room
            && packet.frames <= MOST_COPIED
            && packet_has_lbrr(packet.payload()).unwrap_or(false);
        if copied { packet.frames } else { 0 }
    }

    /// Fill what lies between the newest sound and a packet, as far as that is heard. Returns where the packet's sound,
    /// with the copy before it, begins.
    fn go_on_until(&mut self, packet: &Packet, copied: usize) -> i64 {
        let begin = packet.begin - copied as i64;
        let gap = begin - self.end;
        if gap <= DIRECT && (self.sounding || gap < 0) {
            return self.end;
        }
        if self.sounding {
            let whole = ((gap + GRID / 2) / GRID * GRID) as usize;
            if self.silent {
                self.close();
            } else if packet.follows_loss {
                self.bridge(whole, begin, packet, copied);
            } else if whole <= MOST_PAUSED {
                self.make_noise(whole, begin);
            } else {
                self.fall_silent(LEAD_OUT.min(whole));
            }
        }
        begin
    }

    /// Decode a packet, and the copy before it.
    fn put_in(&mut self, packet: &Packet, copied: usize, begin: i64) {
        let payload = packet.payload();
        let noise_only = payload.len() <= MOST_DTX_BYTES;
        set_deep_plc(&mut self.decoder, !noise_only);
        let mut at = begin;
        if copied > 0 {
            let end = at + copied as i64;
            let out = self.resampler.span(copied, at, end);
            if self.decoder.decode_lbrr_f32(payload, out).is_ok() {
                self.envelope.sent(out);
            }
            self.counts.recovered += copied as u64;
            at = end;
        }
        let frames = packet.frames;
        let natural = at + frames as i64;
        let next = self.waiting.front().map_or(natural, |next| next.begin);
        let end = if (next - natural).abs() <= DIRECT { next } else { natural };
        let out = self.resampler.span(frames, at, end);
        if self.decoder.decode_f32(payload, out) == Ok(frames) {
            self.envelope.sent(out);
        } else {
            self.counts.refused += 1;
            self.counts.concealed += frames as u64;
            for piece in out.chunks_mut(PIECE * self.channels) {
                conceal_piece(&mut self.decoder, piece);
                self.envelope.concealed(piece);
            }
        }
        self.silent = *payload == SILENCE_PAYLOAD;
        self.sounding = true;
        self.end = end;
    }

    /// Fill a loss of `frames` that ends at `end`, `copied` samples before the packet: speak what that tells of, conceal
    /// the rest.
    fn bridge(&mut self, frames: usize, end: i64, packet: &Packet, copied: usize) {
        let told = self.redundancy.reach(packet.payload()).unwrap_or(0..0);
        let (grid, lost) = (GRID as usize, copied + frames);
        let (oldest, newest) = (told.end.min(lost) / grid * grid, told.start.max(copied).next_multiple_of(grid));
        if newest >= oldest {
            return self.conceal(frames, end);
        }
        let spoken_end = end - (newest - copied) as i64;
        if oldest < lost {
            self.conceal(lost - oldest, spoken_end - (oldest - newest) as i64);
        }
        self.speak_again(packet, oldest, oldest - newest, spoken_end);
        if newest > copied {
            self.conceal(newest - copied, end);
        }
    }

    /// Speak `frames` of what was said from `before` samples before the packet on, until `end`.
    fn speak_again(&mut self, packet: &Packet, before: usize, frames: usize, end: i64) {
        let begin = if self.sounding { self.end } else { end - frames as i64 };
        let out = self.resampler.span(frames, begin, end);
        set_deep_plc(&mut self.decoder, true);
        let known = self.redundancy.read(packet.payload(), before).is_ok();
        for (number, piece) in out.chunks_mut(PIECE * self.channels).enumerate() {
            let at = before - number * PIECE;
            if !known || self.decoder.decode_redundancy_f32(&self.redundancy, at, piece).is_err() {
                piece.fill(0.0);
            }
            self.envelope.sent(piece);
        }
        self.counts.recovered += frames as u64;
        self.end = end;
        self.sounding = true;
    }

    /// Conceal a loss of `frames` that ends at `end`, as long as anything is heard of it.
    fn conceal(&mut self, frames: usize, end: i64) {
        let heard = frames.min(AUDIBLE);
        let end = if heard == frames { end } else { self.end + heard as i64 };
        let out = self.resampler.span(heard, self.end, end);
        set_deep_plc(&mut self.decoder, true);
        for piece in out.chunks_mut(PIECE * self.channels) {
            conceal_piece(&mut self.decoder, piece);
            self.envelope.concealed(piece);
        }
        self.counts.concealed += heard as u64;
        self.end = end;
        if heard < frames {
            self.close();
        }
    }

    /// The background noise of a sender who pauses for `frames`, until `end`.
    fn make_noise(&mut self, frames: usize, end: i64) {
        let out = self.resampler.span(frames, self.end, end);
        set_deep_plc(&mut self.decoder, false);
        for piece in out.chunks_mut(PIECE * self.channels) {
            conceal_piece(&mut self.decoder, piece);
            self.envelope.sent(piece);
        }
        self.end = end;
    }

    /// Lead the sound out in `frames`.
    fn fall_silent(&mut self, frames: usize) {
        if self.sounding && !self.silent {
            let end = self.end + frames as i64;
            let out = self.resampler.span(frames, self.end, end);
            set_deep_plc(&mut self.decoder, false);
            conceal_piece(&mut self.decoder, out);
            self.envelope.led_out(out);
            self.end = end;
        }
        self.close();
    }

    fn close(&mut self) {
        if self.sounding {
            self.resampler.end_run();
            self.sounding = false;
        }
    }
}

/// `out` is at most 20 ms long, a multiple of 2.5.
fn conceal_piece(decoder: &mut Decoder, out: &mut [f32]) {
    if decoder.conceal_f32(out).is_err() {
        out.fill(0.0);
    }
}

/// Without the neural network background noise goes on; with it, speech.
fn set_deep_plc(decoder: &mut Decoder, on: bool) {
    let complexity = if on { DEEP_PLC_COMPLEXITY } else { CLASSIC_PLC_COMPLEXITY };
    decoder.set_complexity(complexity).expect("a complexity of libopus");
}
