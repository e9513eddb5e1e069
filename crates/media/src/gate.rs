//! Which captured frames are sent: all, those with a voice in them, or those while a key is held.
//!
//! The newest 120 ms are kept. When the gate opens, what was said just before goes out first, all at once: 100 ms before a voice was
//! noticed, 60 ms before a key was pressed, for people press late. So no word loses its beginning, and nothing is delayed for it; the
//! listener's jitter buffer takes the burst for what it is, a talk spurt that began earlier. After the last voiced frame the gate stays
//! open for 400 ms, the pauses inside a sentence; after the key, for 200 ms.
//!
//! A voice is what stands out from the room. The level is that of the differences between samples, which are small in hum and large in
//! the consonants that words begin with; the room's level is its minimum over the last three seconds (after R. Martin, "Noise power
//! spectral density estimation based on optimal smoothing and minimum statistics", 2001), because even fast talkers pause that often.
//! Two frames 9 dB above it, or one 15 dB above, are a voice; 6 dB above keep it going. Until one second was heard the gate is open: what is
//! not known to be the room may be a word.
//!
//! Of two channels, interleaved, their middle is listened to.

use std::ops::Range;

use crate::frame::{SEND_SAMPLES, energy_db};

const KEPT_FRAMES: usize = 6;
/// Of 20 ms, besides the newest.
const VOICE_BEFORE: usize = 5;
const KEY_BEFORE: usize = 3;
const VOICE_AFTER: u32 = 20;
const KEY_AFTER: u32 = 10;

/// Above the room: one frame, two in a row, any that follows.
const SUDDEN_DB: f32 = 15.0;
const VOICE_DB: f32 = 9.0;
const LASTING_DB: f32 = 6.0;
/// No room is quieter: the noise of a digital microphone that is switched off is no voice.
const QUIETEST_ROOM_DB: f32 = -75.0;

const SECOND_FRAMES: u32 = 50;
const ROOM_SECONDS: usize = 3;
/// Weight of the newest frame in the level whose minimum is the room's.
const ROOM_WEIGHT: f32 = 0.3;

/// When a person is heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GateMode {
    /// Always.
    #[default]
    Open,
    /// While they speak.
    Voice,
    /// While they hold a key.
    PushToTalk,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    Closed,
    /// The first frame that is not sent.
    Closing,
    /// So many of the newest frames are to be sent, this one included.
    Open(usize),
}

#[derive(Debug)]
pub struct Gate {
    mode: GateMode,
    pressed: bool,
    channels: usize,
    frames: Vec<f32>,
    /// Of `frames`, and how many of them hold something.
    newest: usize,
    kept: usize,
    /// Frames more that it stays open without a new reason.
    left: u32,
    open: bool,
    room: Room,
    was_loud: bool,
    last_sample: f32,
}

impl Gate {
    /// `channels`: 1 or 2.
    pub fn new(channels: usize) -> Self {
        Self {
            mode: GateMode::Open,
            pressed: false,
            channels,
            frames: vec![0.0; KEPT_FRAMES * SEND_SAMPLES * channels],
            newest: 0,
            kept: 0,
            left: 0,
            open: false,
            room: Room::default(),
            was_loud: false,
            last_sample: 0.0,
        }
    }

    pub fn set_mode(&mut self, mode: GateMode) {
        self.mode = mode;
    }

    pub fn mode(&self) -> GateMode {
        self.mode
    }

    /// The key of push-to-talk.
    pub fn set_pressed(&mut self, pressed: bool) {
        self.pressed = pressed;
    }

    /// Whether frames pass.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Takes the next 20 ms, all channels. Always listens, whatever the mode, so that it knows the room when it is asked.
    pub fn push(&mut self, frame: &[f32]) -> Passing {
        self.newest = (self.newest + 1) % KEPT_FRAMES;
        self.kept = (self.kept + 1).min(KEPT_FRAMES);
        let place = self.place(self.newest);
        self.frames[place].copy_from_slice(frame);
        let voiced = self.is_voice(frame);
        let (reason, before, after) = match self.mode {
            GateMode::Open => (true, 0, 0),
            GateMode::Voice => (voiced, VOICE_BEFORE, VOICE_AFTER),
            GateMode::PushToTalk => (self.pressed, KEY_BEFORE, KEY_AFTER),
        };
        let was_open = self.open;
        self.open = reason || self.left > 0;
        self.left = if reason { after } else { self.left.saturating_sub(1) };
        match (was_open, self.open) {
            (false, true) => Passing::Open((before + 1).min(self.kept)),
            (true, true) => Passing::Open(1),
            (true, false) => Passing::Closing,
            (false, false) => Passing::Closed,
        }
    }

    /// A frame by its age: 0 is the newest.
    pub fn frame(&self, age: usize) -> &[f32] {
        &self.frames[self.place((self.newest + KEPT_FRAMES - age) % KEPT_FRAMES)]
    }

    fn place(&self, number: usize) -> Range<usize> {
        let length = SEND_SAMPLES * self.channels;
        number * length..(number + 1) * length
    }

    /// Nothing of what was captured until now may ever be sent: the microphone was muted.
    pub fn forget(&mut self) {
        self.kept = 0;
        self.left = 0;
        self.open = false;
    }

    fn is_voice(&mut self, frame: &[f32]) -> bool {
        let mut sum = 0.0;
        for samples in frame.chunks_exact(self.channels) {
            let sample = samples.iter().sum::<f32>() / samples.len() as f32;
            let difference = sample - self.last_sample;
            sum += difference * difference;
            self.last_sample = sample;
        }
        let level_db = energy_db(sum / SEND_SAMPLES as f32);
        let Some(room_db) = self.room.take(level_db) else { return true };
        let above_db = level_db - room_db.max(QUIETEST_ROOM_DB);
        let loud = above_db > VOICE_DB;
        let voiced = above_db > SUDDEN_DB || (loud && self.was_loud) || (self.open && above_db > LASTING_DB);
        self.was_loud = loud;
        voiced
    }
}

/// The level of the room without voices.
#[derive(Debug)]
struct Room {
    smooth_db: Option<f32>,
    /// The least of this second and of the ones before.
    least_db: [f32; ROOM_SECONDS],
    frames: u32,
}

impl Default for Room {
    fn default() -> Self {
        Self { smooth_db: None, least_db: [f32::INFINITY; ROOM_SECONDS], frames: 0 }
    }
}

impl Room {
    /// None until a second was heard.
    fn take(&mut self, level_db: f32) -> Option<f32> {
        let before_db = self.smooth_db.unwrap_or(level_db);
        let smooth_db = before_db + (level_db - before_db) * ROOM_WEIGHT;
        self.smooth_db = Some(smooth_db);
        self.frames += 1;
        if self.frames.is_multiple_of(SECOND_FRAMES) {
            self.least_db.rotate_right(1);
            self.least_db[0] = smooth_db;
        }
        self.least_db[0] = self.least_db[0].min(smooth_db);
        (self.frames >= SECOND_FRAMES).then(|| self.least_db.iter().copied().fold(f32::INFINITY, f32::min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// White noise of `amplitude`, the same each time.
    fn noise(number: usize, amplitude: f32) -> [f32; SEND_SAMPLES] {
        let mut state = number as u32 * 7919 + 1;
        std::array::from_fn(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            amplitude * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
        })
    }

    fn gate(mode: GateMode) -> Gate {
        let mut gate = Gate::new(1);
        gate.set_mode(mode);
        gate
    }

    /// Two seconds of a quiet room.
    fn settle(gate: &mut Gate) -> Vec<Passing> {
        (0..100).map(|number| gate.push(&noise(number, 0.002))).collect()
    }

    #[test]
    fn an_open_microphone_sends_everything_and_nothing_twice() {
        let mut gate = gate(GateMode::Open);
        assert!(settle(&mut gate).iter().all(|passing| *passing == Passing::Open(1)));
    }

    #[test]
    fn a_voice_opens_with_what_was_before_it_and_closes_after_the_pause() {
        let mut gate = gate(GateMode::Voice);
        let passings = settle(&mut gate);
        assert_eq!(passings[99], Passing::Closed, "the room is not sent");
        assert_eq!(gate.push(&noise(100, 0.1)), Passing::Open(1 + VOICE_BEFORE));
        assert_eq!(*gate.frame(0), noise(100, 0.1));
        assert_eq!(*gate.frame(VOICE_BEFORE), noise(95, 0.002));
        let after: Vec<_> = (101..130).map(|number| gate.push(&noise(number, 0.002))).collect();
        let closing = after.iter().position(|passing| *passing == Passing::Closing);
        assert_eq!(closing, Some(VOICE_AFTER as usize));
        assert_eq!(after[28], Passing::Closed);
    }

    #[test]
    fn a_room_that_gets_louder_is_the_room_after_three_seconds() {
        let mut gate = gate(GateMode::Voice);
        settle(&mut gate);
        let fan: Vec<_> = (0..250).map(|number| gate.push(&noise(number, 0.02))).collect();
        assert!(matches!(fan[0], Passing::Open(_)) && fan[249] == Passing::Closed);
        assert!(matches!(gate.push(&noise(1, 0.3)), Passing::Open(_)), "and a voice stands out from that one, too");
    }

    #[test]
    fn of_two_channels_both_pass_and_one_that_speaks_is_enough() {
        let mut gate = Gate::new(2);
        gate.set_mode(GateMode::Voice);
        let left_of = |number, loud| noise(number, loud).iter().flat_map(|&left| [left, 0.001]).collect::<Vec<_>>();
        (0..100).for_each(|number| _ = gate.push(&left_of(number, 0.002)));
        assert!(!gate.is_open());
        assert_eq!(gate.push(&left_of(100, 0.1)), Passing::Open(1 + VOICE_BEFORE));
        assert_eq!(gate.frame(0), left_of(100, 0.1));
    }

    #[test]
    fn a_held_key_sends_and_a_released_one_lets_the_word_end() {
        let mut gate = gate(GateMode::PushToTalk);
        let quiet = settle(&mut gate);
        assert!(quiet.iter().all(|passing| *passing == Passing::Closed));
        gate.push(&noise(1, 0.3));
        assert!(!gate.is_open(), "a voice alone opens nothing");
        gate.set_pressed(true);
        assert_eq!(gate.push(&noise(1, 0.3)), Passing::Open(1 + KEY_BEFORE));
        gate.set_pressed(false);
        let after: Vec<_> = (0..15).map(|number| gate.push(&noise(number, 0.3))).collect();
        assert_eq!(after.iter().position(|passing| *passing == Passing::Closing), Some(KEY_AFTER as usize));
    }

    #[test]
    fn nothing_from_before_a_mute_is_ever_sent() {
        let mut gate = gate(GateMode::Voice);
        settle(&mut gate);
        gate.forget();
        assert_eq!(gate.push(&noise(1, 0.3)), Passing::Open(1));
    }

    #[test]
    fn what_comes_in_the_first_second_may_be_a_word() {
        let mut gate = gate(GateMode::Voice);
        assert!((0..45).all(|number| gate.push(&noise(number, 0.1)) != Passing::Closed));
    }
}
