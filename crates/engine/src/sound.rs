//! The sound's end of an engine: where captured frames come from and played frames go. 48 kHz, float32. A microphone is mono; a recording that is
//! spoken, and what is played, may have two channels, interleaved.
//!
//! Two kinds. A device Sound is clocked by a sound card: its two native callbacks and the engine thread meet in two
//! rings, one for each direction. A clocked Sound has no card: the engine's own timer takes 20 ms of a recording and
//! keeps what would have been played.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use raccall_media::Samples;
use raccall_wire::Nanos;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::beat::Beat;
use crate::bell::Bell;
use crate::callback::{Callbacks, Slot, SlotsTaken};
use crate::echo::EchoPath;
use crate::pace::{FRAME_NANOS, Pace};
use crate::stats::Stats;

pub use crate::callback::{DataCallback, DataCallbacks};

pub const SAMPLE_RATE_HZ: usize = 48_000;

/// 20 ms: what the encoder takes.
pub const CAPTURE_FRAME: usize = SAMPLE_RATE_HZ / 50;

/// 10 ms: what the receive chain gives.
pub const PLAYBACK_FRAME: usize = SAMPLE_RATE_HZ / 100;

/// 500 ms, each direction: more than any device asks for at once. What does not fit into the capture ring is dropped
/// and counted.
pub const RING_SAMPLES: usize = SAMPLE_RATE_HZ / 2;

/// Captured sound older than 60 ms (and one device period) is dropped: better a hole than a voice that lags for the
/// rest of the call.
const MAX_BACKLOG: usize = SAMPLE_RATE_HZ * 60 / 1000;

/// Frames kept ahead of the card besides one period. A call begins with `FIRST_AHEAD`; each gap adds one; a calm time, in which the
/// last one was never needed, takes one away. After each change that time is twice as long, so that a busy machine does not try again
/// and again.
const FIRST_AHEAD: usize = 2;
const MOST_AHEAD: usize = 6;

/// 3 s and 16 min, in frames of 10 ms.
const FIRST_CALM_FRAMES: usize = 300;
const LONGEST_CALM_FRAMES: usize = 96_000;

/// A clocked Sound keeps the last 60 s played, so many samples of each channel; older ones are dropped and counted.
const KEPT_SAMPLES: usize = 60 * SAMPLE_RATE_HZ;

/// What the callbacks tell the engine thread.
#[derive(Default)]
pub struct DeviceState {
    /// Calls so far: a device that was unplugged stops calling, and nothing else tells.
    pub capture_callbacks: AtomicU64,
    pub playback_callbacks: AtomicU64,
    /// Playback callbacks that found too few samples while a call was on.
    pub playback_gaps: AtomicU64,
    /// Capture callbacks whose samples did not fit into the ring.
    pub capture_overruns: AtomicU64,
    /// The largest period asked for, in samples.
    pub playback_period: AtomicUsize,
    pub capture_period: AtomicUsize,
    /// The fewest samples that a playback callback has left in the ring since the engine asked last.
    pub least_left: AtomicUsize,
    /// What the loudspeaker was opened with; 0 until it calls.
    pub playback_channels: AtomicUsize,
    /// An engine fills the playback ring.
    pub playing: AtomicBool,
    /// Rung for the engine: 20 ms were captured, or some of the playback ring was played.
    pub bell: Bell,
    /// The two cards' clocks.
    pub played: Beat,
    pub captured: Beat,
}

/// What a clocked Sound's owner may read while the engine runs.
#[derive(Default)]
struct ClockedState {
    capture_done: AtomicBool,
    played: Mutex<Played>,
}

#[derive(Default)]
struct Played {
    samples: VecDeque<f32>,
    /// Of each channel.
    dropped: u64,
}

enum Kind {
    Device { slot: Slot, state: Arc<DeviceState> },
    Clocked { state: Arc<ClockedState>, playback_channels: usize },
}

/// Where a Sound's end is while no engine has it.
type Home = Arc<Mutex<Option<SoundEnd>>>;

fn home(end: SoundEnd) -> Home {
    Arc::new(Mutex::new(Some(end)))
}

/// The owner's handle. One engine at a time has its end; the next one goes on where it stopped.
pub struct Sound {
    kind: Kind,
    end: Home,
}

impl Sound {
    /// A Sound for a sound card. Fails when `callback::SLOTS` of them are open in this process.
    pub fn device() -> Result<Self, SlotsTaken> {
        let (capture_in, capture_out) = RingBuffer::new(RING_SAMPLES);
        let (playback_in, playback_out) = RingBuffer::new(2 * RING_SAMPLES);
        let (sounding_in, sounding_out) = RingBuffer::new(RING_SAMPLES);
        let state = Arc::new(DeviceState::default());
        let callbacks =
            Callbacks { capture: capture_in, playback: playback_out, sounding: sounding_in, state: state.clone() };
        let slot = Slot::take(callbacks)?;
        let end = DeviceEnd {
            capture: capture_out,
            playback: playback_in,
            echo: Box::new(EchoPath::new(sounding_out)),
            state: state.clone(),
            pace: Pace::default(),
            ahead: FIRST_AHEAD,
            gaps_seen: 0,
            calm_frames: 0,
            calm_time: FIRST_CALM_FRAMES,
            overruns: 0,
        };
        Ok(Self { kind: Kind::Device { slot, state }, end: home(SoundEnd::Device(end)) })
    }

    /// A Sound without a card: speaks `capture` once, then is silent. Without `capture` it has no microphone.
    pub fn clocked(capture: Option<Vec<f32>>, keep_playback: bool) -> Self {
        Self::clocked_in_channels(capture, 1, keep_playback, 1)
    }

    /// The same with `channels`, 1 or 2, in `capture`, interleaved, and `playback_channels` in what is played.
    pub fn clocked_in_channels(
        capture: Option<Vec<f32>>,
        channels: usize,
        keep_playback: bool,
        playback_channels: usize,
    ) -> Self {
        let state = Arc::new(ClockedState::default());
        let capture = capture.unwrap_or_default();
        state.capture_done.store(capture.is_empty(), Relaxed);
        let end = ClockedEnd { capture, channels, position: 0, keep_playback, playback_channels, state: state.clone() };
        Self { kind: Kind::Clocked { state, playback_channels }, end: home(SoundEnd::Clocked(end)) }
    }

    /// The engine's end, until it is dropped; None while an engine has it already.
    pub fn lend_end(&self) -> Option<LentEnd> {
        let end = self.end.lock().expect("never poisoned").take()?;
        Some(LentEnd { end: Some(end), home: self.end.clone() })
    }

    /// The native callbacks of a device Sound.
    pub fn callbacks(&self) -> Option<DataCallbacks> {
        match &self.kind {
            Kind::Device { slot, .. } => Some(slot.callbacks()),
            Kind::Clocked { .. } => None,
        }
    }

    /// How often a device Sound's callbacks (capture, playback) were called; None for a clocked Sound.
    pub fn callback_counts(&self) -> Option<(u64, u64)> {
        match &self.kind {
            Kind::Device { state, .. } => {
                Some((state.capture_callbacks.load(Relaxed), state.playback_callbacks.load(Relaxed)))
            }
            Kind::Clocked { .. } => None,
        }
    }

    /// Of what is played, interleaved: 1 or 2. Of a device: as its loudspeaker was opened, 1 until it calls.
    pub fn playback_channels(&self) -> usize {
        match &self.kind {
            Kind::Device { state, .. } => state.playback_channels.load(Relaxed).max(1),
            Kind::Clocked { playback_channels, .. } => *playback_channels,
        }
    }

    /// Takes what was played since the last call; None for a device Sound.
    pub fn read_playback(&self) -> Option<Vec<f32>> {
        match &self.kind {
            Kind::Device { .. } => None,
            Kind::Clocked { state, .. } => {
                let samples = std::mem::take(&mut state.played.lock().expect("never poisoned").samples);
                Some(samples.into())
            }
        }
    }

    /// Played samples, of each channel, that nobody read within a minute.
    pub fn playback_dropped(&self) -> u64 {
        match &self.kind {
            Kind::Device { .. } => 0,
            Kind::Clocked { state, .. } => state.played.lock().expect("never poisoned").dropped,
        }
    }

    /// No card clocks it.
    pub fn is_clocked(&self) -> bool {
        matches!(self.kind, Kind::Clocked { .. })
    }

    /// A clocked Sound has spoken all of its capture.
    pub fn capture_done(&self) -> bool {
        match &self.kind {
            Kind::Device { .. } => false,
            Kind::Clocked { state, .. } => state.capture_done.load(Relaxed),
        }
    }
}

pub enum SoundEnd {
    Device(DeviceEnd),
    Clocked(ClockedEnd),
}

impl SoundEnd {
    /// Of what is captured.
    pub fn channels(&self) -> usize {
        match self {
            SoundEnd::Device(_) => 1,
            SoundEnd::Clocked(clocked) => clocked.channels(),
        }
    }
}

/// A Sound's end in the hands of an engine; goes back to its Sound when dropped.
pub struct LentEnd {
    end: Option<SoundEnd>,
    home: Home,
}

impl Deref for LentEnd {
    type Target = SoundEnd;

    fn deref(&self) -> &SoundEnd {
        self.end.as_ref().expect("present until dropped")
    }
}

impl DerefMut for LentEnd {
    fn deref_mut(&mut self) -> &mut SoundEnd {
        self.end.as_mut().expect("present until dropped")
    }
}

impl Drop for LentEnd {
    fn drop(&mut self) {
        if let Some(SoundEnd::Device(device)) = &self.end {
            device.rest();
        }
        *self.home.lock().expect("never poisoned") = self.end.take();
    }
}

/// Owned by the engine thread.
pub struct DeviceEnd {
    capture: Consumer<f32>,
    playback: Producer<f32>,
    echo: Box<EchoPath>,
    state: Arc<DeviceState>,
    pace: Pace,
    ahead: usize,
    gaps_seen: u64,
    calm_frames: usize,
    calm_time: usize,
    overruns: u64,
}

impl DeviceEnd {
    /// Fills `frame` with the next 20 ms of capture; false when the card has not given that much yet.
    pub fn capture(&mut self, frame: &mut [f32; CAPTURE_FRAME]) -> bool {
        let limit = MAX_BACKLOG + self.state.capture_period.load(Relaxed);
        let waiting = self.capture.slots();
        if waiting > limit {
            let oldest = self.capture.read_chunk(waiting - limit).expect("fewer than are waiting");
            oldest.commit_all();
            self.echo.skip(waiting - limit);
            self.overruns += 1;
        }
        if self.capture.slots() < CAPTURE_FRAME {
            return false;
        }
        self.capture.pop_entire_slice(frame).is_ok()
    }

    /// Looks at both cards, before `capture`. True when one was opened anew: nothing learnt about the echo holds any more.
    pub fn look(&mut self, now: Nanos) -> bool {
        self.echo.look(&self.state, now)
    }

    /// Gives what sounded during the next 10 ms of the frame that `capture` gave last; `to_come`: of that frame, behind them.
    pub fn far_end(&mut self, frame: &mut Samples, to_come: usize) {
        self.echo.pull(frame, to_come + self.capture.slots());
    }

    /// How much faster the loudspeaker's clock runs than the microphone's, and how often they lost each other.
    pub fn echo_path(&self) -> (f64, u64) {
        (self.echo.drift_ppm(), self.echo.jumps())
    }

    /// The calling thread is the one to be woken when a card has something for it.
    pub fn answer(&self) {
        self.state.bell.answer();
    }

    /// Keeps one device period and a frame or more ahead of the playback callback; `pull` fills the 10 ms that were due at its time, of one
    /// channel or, for a card that has two, of both.
    pub fn play(&mut self, now: Nanos, mut pull: impl FnMut(Nanos, &mut [f32])) {
        self.adapt();
        let ahead = self.state.playback_period.load(Relaxed) + PLAYBACK_FRAME * self.ahead;
        let waiting = RING_SAMPLES - self.playback.slots() / 2;
        let missing = ahead.min(RING_SAMPLES - PLAYBACK_FRAME).saturating_sub(waiting).div_ceil(PLAYBACK_FRAME);
        if missing > 0 {
            let mut due = self.pace.due(missing, now);
            let is_mono = self.state.playback_channels.load(Relaxed) < 2;
            let mut frame = [0.0; PLAYBACK_FRAME];
            let mut pairs = [[0.0; 2]; PLAYBACK_FRAME];
            for _ in 0..missing {
                if is_mono {
                    pull(due, &mut frame);
                    pairs = frame.map(|sample| [sample, sample]);
                } else {
                    pull(due, pairs.as_flattened_mut());
                }
                self.playback.push_entire_slice(pairs.as_flattened()).expect("the ring has room for a frame");
                due += FRAME_NANOS;
            }
        }
        self.calm_frames += missing;
        if !self.state.playing.swap(true, Relaxed) {
            self.state.least_left.store(usize::MAX, Relaxed);
        }
    }

    fn adapt(&mut self) {
        let gaps = self.playback_gaps();
        if gaps > self.gaps_seen {
            self.change_ahead((self.ahead + 1).min(MOST_AHEAD));
            self.pace.reset();
        } else if self.calm_frames < self.calm_time {
            return;
        } else if self.state.least_left.load(Relaxed) >= PLAYBACK_FRAME && self.ahead > 0 {
            self.change_ahead(self.ahead - 1);
        }
        self.calm_frames = 0;
        self.state.least_left.store(usize::MAX, Relaxed);
        self.gaps_seen = gaps;
    }

    fn change_ahead(&mut self, ahead: usize) {
        self.ahead = ahead;
        self.calm_time = (2 * self.calm_time).min(LONGEST_CALM_FRAMES);
    }

    pub fn playback_gaps(&self) -> u64 {
        self.state.playback_gaps.load(Relaxed)
    }

    pub fn capture_overruns(&self) -> u64 {
        self.overruns + self.state.capture_overruns.load(Relaxed)
    }

    pub fn tell(&self, stats: &mut Stats) {
        (stats.drift_ppm, stats.echo_jumps) = self.echo_path();
        (stats.playback_gaps, stats.capture_overruns) = (self.playback_gaps(), self.capture_overruns());
    }

    /// No engine fills the playback ring any more: an empty one is no gap.
    fn rest(&self) {
        self.state.bell.leave();
        self.state.playing.store(false, Relaxed);
    }
}

/// Owned by the engine thread.
pub struct ClockedEnd {
    capture: Vec<f32>,
    channels: usize,
    position: usize,
    keep_playback: bool,
    playback_channels: usize,
    state: Arc<ClockedState>,
}

impl ClockedEnd {
    /// Of the recording.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Of what is played: 1 or 2.
    pub fn playback_channels(&self) -> usize {
        self.playback_channels
    }

    /// Fills `frame` with the next 20 ms of the recording, `CAPTURE_FRAME` times its channels (the last one padded with zeros); false when all was
    /// spoken.
    pub fn capture(&mut self, frame: &mut [f32]) -> bool {
        let rest = &self.capture[self.position..];
        if rest.is_empty() {
            self.state.capture_done.store(true, Relaxed);
            return false;
        }
        let taken = rest.len().min(frame.len());
        frame[..taken].copy_from_slice(&rest[..taken]);
        frame[taken..].fill(0.0);
        self.position += taken;
        true
    }

    /// Keeps 10 ms that were played, of each channel.
    pub fn play(&mut self, frame: &[f32]) {
        if !self.keep_playback {
            return;
        }
        let mut played = self.state.played.lock().expect("never poisoned");
        if played.samples.len() + frame.len() > KEPT_SAMPLES * self.playback_channels {
            played.samples.drain(..frame.len());
            played.dropped += PLAYBACK_FRAME as u64;
        }
        played.samples.extend(frame);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A dropped Sound's callbacks may serve the next one: tests that use them take turns.
    pub static TURN: Mutex<()> = Mutex::new(());

    fn device() -> (Sound, DeviceEnd) {
        let sound = Sound::device().unwrap();
        let end = sound.end.lock().unwrap().take();
        match end {
            Some(SoundEnd::Device(end)) => (sound, end),
            _ => unreachable!("a new device Sound has its end"),
        }
    }

    fn play(sound: &Sound, samples: usize) -> Vec<f32> {
        let mut out = vec![9.0f32; samples];
        let playback = sound.callbacks().unwrap().mono_playback;
        playback(std::ptr::null_mut(), out.as_mut_ptr().cast(), std::ptr::null(), samples as u32);
        out
    }

    fn speak(sound: &Sound, samples: &[f32]) {
        let capture = sound.callbacks().unwrap().capture;
        capture(std::ptr::null_mut(), std::ptr::null_mut(), samples.as_ptr().cast(), samples.len() as u32);
    }

    #[test]
    fn playback_is_kept_ahead_of_the_device() {
        let _turn = TURN.lock();
        let (sound, mut end) = device();
        assert_eq!(play(&sound, 441), vec![0.0; 441]);
        let mut next = 0.0f32;
        let mut heard = Vec::new();
        for _ in 0..50 {
            end.play(0, |_, frame| frame.fill_with(|| (next, next += 1.0).0));
            heard.extend(play(&sound, 441));
        }
        assert_eq!(end.playback_gaps(), 0);
        assert!(heard.iter().enumerate().all(|(i, &sample)| sample == i as f32));
        assert_eq!(sound.callback_counts(), Some((0, 51)));
        assert!(next as usize - heard.len() <= 441 + (FIRST_AHEAD + 1) * PLAYBACK_FRAME);
    }

    #[test]
    fn a_gap_plays_silence_and_more_is_kept_ahead_until_it_was_calm_for_long() {
        let _turn = TURN.lock();
        let (sound, mut end) = device();
        play(&sound, 960);
        end.play(0, |_, frame| frame.fill(1.0));
        let heard: Vec<f32> = (0..3).flat_map(|_| play(&sound, 960)).collect();
        assert_eq!(heard.iter().filter(|&&sample| sample == 1.0).count(), 1920);
        assert_eq!(heard[1920..], vec![0.0; 960]);
        assert_eq!(end.playback_gaps(), 1);
        let mut growth = |ticks: usize| {
            let mut samples = 0;
            for _ in 0..ticks {
                end.play(0, |_, frame| samples += frame.len() as i32);
                samples -= play(&sound, 960).len() as i32;
            }
            samples / PLAYBACK_FRAME as i32
        };
        assert_eq!(growth(1), 1 + FIRST_AHEAD as i32, "filled again, and one frame more");
        assert_eq!(growth(FIRST_CALM_FRAMES - 3), 0, "6 s of 20 ms each");
        assert_eq!(growth(3), -1);
    }

    /// How much less is kept ahead after 3 s of a card that is looked at each `periods` times 10 ms.
    fn given_up(periods: usize) -> usize {
        let (sound, mut end) = device();
        play(&sound, PLAYBACK_FRAME);
        end.play(0, |_, _| {});
        for _ in 0..FIRST_CALM_FRAMES.div_ceil(periods) {
            (0..periods).for_each(|_| drop(play(&sound, PLAYBACK_FRAME)));
            end.play(0, |_, _| {});
        }
        assert_eq!(end.playback_gaps(), 0);
        FIRST_AHEAD - end.ahead
    }

    #[test]
    fn only_what_was_never_needed_is_given_up() {
        let _turn = TURN.lock();
        assert_eq!([1, 2, 3].map(given_up), [1, 1, 0], "a look that is two periods late needs both frames");
    }

    #[test]
    fn a_device_that_starts_or_asks_for_more_than_ever_has_no_gap() {
        let _turn = TURN.lock();
        let (sound, mut end) = device();
        end.play(0, |_, frame| frame.fill(1.0));
        for period in [960, 1440] {
            play(&sound, period);
            end.play(0, |_, frame| frame.fill(1.0));
            assert_eq!(play(&sound, period), vec![1.0; period]);
        }
        assert_eq!(end.playback_gaps(), 0);
    }

    #[test]
    fn captured_sound_older_than_sixty_ms_is_dropped_oldest_first() {
        let _turn = TURN.lock();
        let (sound, mut end) = device();
        let samples: Vec<f32> = (0..9600).map(|i| i as f32).collect();
        for period in samples.chunks(480) {
            speak(&sound, period);
        }
        let mut frame = [0.0; CAPTURE_FRAME];
        let mut heard = Vec::new();
        while end.capture(&mut frame) {
            heard.extend(frame);
        }
        assert_eq!(heard, samples[9600 - MAX_BACKLOG - 480..][..heard.len()]);
        assert_eq!(end.capture_overruns(), 1);
    }

    /// 10 ms of both cards, and the engine's look at them. Returns what sounded, and what the canceller is told of it for each 20 ms heard.
    fn step(sound: &Sound, end: &mut DeviceEnd, now: Nanos, loudness: f32) -> Vec<[f32; PLAYBACK_FRAME]> {
        play(sound, PLAYBACK_FRAME);
        speak(sound, &[loudness; PLAYBACK_FRAME]);
        let mut frame = [0.0; CAPTURE_FRAME];
        end.look(now);
        end.play(0, |_, frame| frame.fill(loudness));
        let mut told = Vec::new();
        while end.capture(&mut frame) {
            for to_come in [PLAYBACK_FRAME, 0] {
                let mut far = [0.0; PLAYBACK_FRAME];
                end.far_end(&mut far, to_come);
                told.push(far);
            }
        }
        told
    }

    #[test]
    fn the_canceller_is_told_what_sounded_as_often_as_the_microphone_heard() {
        let _turn = TURN.lock();
        let (sound, mut end) = device();
        let now = crate::clock::monotonic_now();
        let told: Vec<_> = (1..=100u16).flat_map(|number| step(&sound, &mut end, now, f32::from(number))).collect();
        assert_eq!(told.len(), 100);
        let first = told.iter().position(|far| far[0] != 0.0).unwrap();
        let order: Vec<f32> = told[first..].iter().map(|far| far[0]).collect();
        assert!(order.windows(2).all(|pair| pair[1] >= pair[0]), "nothing twice, nothing left out: {order:?}");
        assert!(*order.last().unwrap() >= 94.0, "no later than 60 ms: {order:?}");
        assert_eq!(end.echo_path(), (0.0, 1));
    }

    #[test]
    fn a_card_with_two_channels_gets_both_and_the_canceller_their_middle() {
        let _turn = TURN.lock();
        let (sound, mut end) = device();
        let playback = sound.callbacks().unwrap().stereo_playback;
        let play = || {
            let mut out = [[9.0f32; 2]; PLAYBACK_FRAME];
            playback(std::ptr::null_mut(), out.as_mut_ptr().cast(), std::ptr::null(), PLAYBACK_FRAME as u32);
            out
        };
        assert_eq!((sound.playback_channels(), play()), (1, [[0.0; 2]; PLAYBACK_FRAME]));
        assert_eq!(sound.playback_channels(), 2, "it has called");
        let looked = |end: &mut DeviceEnd| {
            speak(&sound, &[0.5; PLAYBACK_FRAME]);
            end.look(crate::clock::monotonic_now());
            let (mut frame, mut far) = ([0.0; CAPTURE_FRAME], [0.0; PLAYBACK_FRAME]);
            end.capture(&mut frame).then(|| end.far_end(&mut far, 0));
            far[0]
        };
        let mut told = 0.0f32;
        for _ in 0..40 {
            end.play(0, |_, frame| {
                assert_eq!(frame.len(), 2 * PLAYBACK_FRAME);
                frame.as_chunks_mut().0.fill([0.8, -0.2]);
            });
            assert_eq!(play(), [[0.8, -0.2]; PLAYBACK_FRAME]);
            told = told.max(looked(&mut end));
        }
        assert!((told - 0.3).abs() < 1e-6, "{told}");
        assert_eq!(super::tests::play(&sound, 480)[..10], [0.3; 10], "one channel of a card that took its place");
        end.play(0, |_, frame| assert_eq!(frame.len(), PLAYBACK_FRAME));
        assert_eq!((sound.playback_channels(), end.playback_gaps()), (1, 0));
    }

    #[test]
    fn a_card_that_was_opened_anew_is_told_once() {
        let _turn = TURN.lock();
        let (sound, mut end) = device();
        let now = crate::clock::monotonic_now();
        step(&sound, &mut end, now, 1.0);
        assert!(!end.look(now));
        assert!(!end.look(now + 600_000_000), "silent for 600 ms: gone, or only slow");
        play(&sound, PLAYBACK_FRAME);
        assert!(end.look(now + 610_000_000), "it calls again");
        assert!(!end.look(now + 620_000_000));
    }

    #[test]
    fn callbacks_of_a_dropped_sound_are_harmless() {
        let _turn = TURN.lock();
        let sound = Sound::device().unwrap();
        let playback = sound.callbacks().unwrap().mono_playback;
        drop(sound);
        let mut out = [9.0f32; 10];
        playback(std::ptr::null_mut(), out.as_mut_ptr().cast(), std::ptr::null(), 10);
        assert_eq!(out, [0.0; 10]);
    }

    #[test]
    fn a_clocked_sound_speaks_once_and_keeps_the_last_minute() {
        let sound = Sound::clocked(Some(vec![1.0; CAPTURE_FRAME + 1]), true);
        let mut lent = sound.lend_end().unwrap();
        let SoundEnd::Clocked(end) = &mut *lent else { unreachable!("a clocked Sound has a clocked end") };
        assert!(sound.lend_end().is_none());
        let mut frame = [9.0; CAPTURE_FRAME];
        assert!(end.capture(&mut frame) && frame == [1.0; CAPTURE_FRAME]);
        assert!(end.capture(&mut frame) && frame[..2] == [1.0, 0.0]);
        assert!(!sound.capture_done());
        assert!(!end.capture(&mut frame) && sound.capture_done());
        for number in 0..6010 {
            end.play(&[number as f32; PLAYBACK_FRAME]);
        }
        let played = sound.read_playback().unwrap();
        assert_eq!(
            (played.len(), played[0], sound.playback_dropped()),
            (KEPT_SAMPLES, 10.0, 10 * PLAYBACK_FRAME as u64)
        );
        assert!(sound.read_playback().unwrap().is_empty());
    }
    #[test]
    fn the_next_engine_goes_on_where_the_last_one_stopped() {
        let sound = Sound::clocked(Some([[1.0; CAPTURE_FRAME], [2.0; CAPTURE_FRAME]].concat()), false);
        let mut frame = [0.0; CAPTURE_FRAME];
        for expected in [1.0, 2.0] {
            let mut lent = sound.lend_end().unwrap();
            let SoundEnd::Clocked(end) = &mut *lent else { unreachable!("a clocked Sound has a clocked end") };
            assert!(end.capture(&mut frame) && frame == [expected; CAPTURE_FRAME]);
        }
    }

    #[test]
    fn a_card_without_an_engine_counts_no_gaps() {
        let _turn = TURN.lock().unwrap();
        let sound = Sound::device().unwrap();
        let mut lent = sound.lend_end().unwrap();
        let SoundEnd::Device(end) = &mut *lent else { unreachable!("a device Sound has a device end") };
        end.play(0, |_, frame| frame.fill(1.0));
        drop(lent);
        play(&sound, RING_SAMPLES);
        let Kind::Device { state, .. } = &sound.kind else { unreachable!() };
        assert_eq!(state.playback_gaps.load(Relaxed), 0);
    }
}
