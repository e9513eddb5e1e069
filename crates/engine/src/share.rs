//! Sounds on their way into the call: a program fills a ring, the engine thread takes 20 ms at a time from each and mixes them.
//!
//! Each ring holds two seconds, so that a file is read while it plays and a busy program is not heard. When it runs dry all the same,
//! silence takes the place of what is missing, and what comes then goes on from there: nothing is left out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use raccall_media::{Gain, Limiter, SHARED_CHANNELS, SHARED_SAMPLES};

use crate::sound::{CAPTURE_FRAME, PLAYBACK_FRAME, SAMPLE_RATE_HZ};

/// 2 s of both channels.
const RING_SAMPLES: usize = 2 * SAMPLE_RATE_HZ * SHARED_CHANNELS;

/// More than that at once is noise. The next one ends the oldest.
pub const MOST_AT_ONCE: usize = 8;

/// What the player hears of it waits for the loudspeaker: so much at first, for microphone and loudspeaker take turns unevenly; beyond the
/// most, since their clocks drift, it begins with so much anew.
const MONITOR_AHEAD: usize = SAMPLE_RATE_HZ / 25;
const MONITOR_MOST: usize = 4 * MONITOR_AHEAD;

/// How a sound ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All of it was played.
    Finished = 1,
    /// Its owner wished so, or it was the oldest of too many.
    Stopped,
    /// The microphone was muted.
    Muted,
    /// The engine closed.
    Closed,
}

impl End {
    pub fn name(self) -> &'static str {
        match self {
            End::Finished => "finished",
            End::Stopped => "stopped",
            End::Muted => "muted",
            End::Closed => "closed",
        }
    }
}

#[derive(Default)]
struct State {
    complete: AtomicBool,
    stop: AtomicBool,
    played: AtomicU64,
    /// An `End`; 0: not yet.
    end: AtomicU8,
}

/// The program's end of one sound.
pub struct Feed {
    ring: Mutex<rtrb::Producer<f32>>,
    state: Arc<State>,
}

impl Feed {
    /// Takes as many whole samples of both channels, interleaved, as there is room for, and says how many of the slice that were.
    pub fn write(&self, samples: &[f32]) -> usize {
        let mut ring = self.ring.lock().expect("never poisoned");
        let taken = samples.len().min(ring.slots()) / SHARED_CHANNELS * SHARED_CHANNELS;
        ring.push_entire_slice(&samples[..taken]).expect("there are as many slots");
        taken
    }

    /// Nothing more is written.
    pub fn complete(&self) {
        self.state.complete.store(true, Relaxed);
    }

    /// Fades it out within 20 ms.
    pub fn stop(&self) {
        self.state.stop.store(true, Relaxed);
    }

    /// Seconds that went out.
    pub fn position_s(&self) -> f64 {
        self.state.played.load(Relaxed) as f64 / SAMPLE_RATE_HZ as f64
    }

    pub fn end(&self) -> Option<End> {
        let all = [End::Finished, End::Stopped, End::Muted, End::Closed];
        let end = self.state.end.load(Relaxed);
        all.into_iter().find(|known| *known as u8 == end)
    }
}

/// The engine's end of it.
pub struct SharedSound {
    ring: rtrb::Consumer<f32>,
    state: Arc<State>,
    gain: Gain,
    monitored: bool,
}

/// `gain_db`: -60 to +12. `monitored`: who plays it hears it, too.
pub fn shared_sound(gain_db: f32, monitored: bool) -> (Feed, SharedSound) {
    let (input, output) = rtrb::RingBuffer::new(RING_SAMPLES);
    let state = Arc::new(State::default());
    let mut gain = Gain::for_channels(1.0, SHARED_CHANNELS);
    gain.jump(10f32.powf(gain_db / 20.0));
    let sound = SharedSound { ring: output, state: state.clone(), gain, monitored };
    (Feed { ring: Mutex::new(input), state }, sound)
}

impl SharedSound {
    /// The next 20 ms, padded with zeros; None: it is over.
    fn pull(&mut self, frame: &mut [f32; SHARED_SAMPLES]) -> Option<()> {
        let complete = self.state.complete.load(Relaxed); // before the ring: what was written last is in it then
        let taken = self.ring.slots().min(SHARED_SAMPLES);
        if self.gain.is_silent() {
            return self.over(End::Stopped);
        }
        if taken == 0 && complete {
            return self.over(End::Finished);
        }
        self.ring.pop_entire_slice(&mut frame[..taken]).expect("so much is waiting");
        frame[taken..].fill(0.0);
        if self.state.stop.load(Relaxed) {
            self.gain.set_factor(0.0);
        }
        self.gain.apply(frame);
        self.state.played.fetch_add((taken / SHARED_CHANNELS) as u64, Relaxed);
        Some(())
    }

    fn over(&mut self, end: End) -> Option<()> {
        self.state.end.store(end as u8, Relaxed);
        None
    }
}

impl Drop for SharedSound {
    fn drop(&mut self) {
        _ = self.state.end.compare_exchange(0, End::Closed as u8, Relaxed, Relaxed);
    }
}

/// All sounds that play now. Owned by the engine thread.
pub struct Player {
    sounds: Vec<SharedSound>,
    mixed: [f32; SHARED_SAMPLES],
    monitor: VecDeque<[f32; SHARED_CHANNELS]>,
    /// Enough waited to begin with.
    heard: bool,
    limiter: Limiter,
}

impl Default for Player {
    fn default() -> Self {
        Self {
            sounds: Vec::with_capacity(MOST_AT_ONCE),
            mixed: [0.0; SHARED_SAMPLES],
            monitor: VecDeque::with_capacity(MONITOR_MOST + CAPTURE_FRAME),
            heard: false,
            limiter: Limiter::default(),
        }
    }
}

impl Player {
    pub fn add(&mut self, sound: SharedSound) {
        if self.sounds.len() == MOST_AT_ONCE {
            self.sounds.remove(0).over(End::Stopped);
        }
        self.sounds.push(sound);
    }

    /// At once, without a fade: nothing more leaves.
    pub fn stop_all(&mut self, end: End) {
        self.sounds.drain(..).for_each(|mut sound| _ = sound.over(end));
        self.monitor.clear();
    }

    pub fn is_playing(&self) -> bool {
        !self.sounds.is_empty()
    }

    /// The next 20 ms of all; None: nothing plays (any more).
    pub fn pull(&mut self) -> Option<&[f32; SHARED_SAMPLES]> {
        let mut frame = [0.0; SHARED_SAMPLES];
        let mut monitored = [[0.0; SHARED_CHANNELS]; CAPTURE_FRAME];
        let (mixed, mut hears) = (&mut self.mixed, false);
        mixed.fill(0.0);
        self.sounds.retain_mut(|sound| {
            let goes_on = sound.pull(&mut frame).is_some();
            if goes_on {
                mixed.iter_mut().zip(&frame).for_each(|(sum, sample)| *sum += sample);
            }
            if goes_on && sound.monitored {
                hears = true;
                let samples = monitored.as_flattened_mut().iter_mut().zip(&frame);
                samples.for_each(|(sum, sample)| *sum += sample);
            }
            goes_on
        });
        if hears {
            self.monitor.extend(monitored);
            if self.monitor.len() > MONITOR_MOST {
                self.monitor.drain(..self.monitor.len() - MONITOR_AHEAD);
            }
        }
        self.is_playing().then_some(&self.mixed)
    }

    /// Adds what the player hears of it to 10 ms that are about to be played: in both channels, or the middle in one.
    pub fn monitor(&mut self, frame: &mut [f32]) {
        self.heard |= self.monitor.len() >= MONITOR_AHEAD;
        if !self.heard && self.is_playing() {
            return;
        }
        let ready = self.monitor.len().min(PLAYBACK_FRAME);
        let is_mono = frame.len() == PLAYBACK_FRAME;
        let channels = frame.len() / PLAYBACK_FRAME;
        for (out, [left, right]) in frame.chunks_exact_mut(channels).zip(self.monitor.drain(..ready)) {
            let heard = if is_mono { [0.5 * (left + right); 2] } else { [left, right] };
            out.iter_mut().zip(heard).for_each(|(sum, sample)| *sum += sample);
        }
        self.heard = !self.monitor.is_empty();
        if is_mono { self.limiter.apply(frame) } else { self.limiter.apply_to_pairs(frame) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(player: &mut Player) -> Vec<f32> {
        std::iter::from_fn(|| player.pull().map(|frame| frame.to_vec())).flatten().collect()
    }

    #[test]
    fn a_sound_is_played_to_its_last_sample_with_its_gain() {
        let (feed, sound) = shared_sound(-20.0, false);
        let samples: Vec<f32> = (0..5_000).map(|i| i as f32 / 5_000.0).collect();
        assert_eq!(feed.write(&samples), 5_000);
        feed.complete();
        let mut player = Player::default();
        player.add(sound);
        let out = played(&mut player);
        assert_eq!(out.len(), 3 * SHARED_SAMPLES, "padded");
        assert!(samples.iter().zip(&out).all(|(sample, out)| (0.1 * sample - out).abs() < 1e-6));
        assert_eq!((feed.end(), feed.position_s()), (Some(End::Finished), 2_500.0 / 48_000.0));
    }

    #[test]
    fn a_ring_takes_two_seconds_and_whole_samples_only() {
        let (feed, _sound) = shared_sound(0.0, false);
        assert_eq!(feed.write(&vec![0.0; RING_SAMPLES - 1]), RING_SAMPLES - 2);
        assert_eq!(feed.write(&[0.0; 10]), 2);
        assert_eq!(feed.write(&[0.0; 10]), 0);
    }

    #[test]
    fn a_ring_that_ran_dry_is_silent_and_leaves_nothing_out() {
        let (feed, sound) = shared_sound(0.0, false);
        let mut player = Player::default();
        player.add(sound);
        assert_eq!(player.pull(), Some(&[0.0; SHARED_SAMPLES]));
        feed.write(&[0.5; SHARED_SAMPLES]);
        feed.complete();
        assert_eq!(player.pull(), Some(&[0.5; SHARED_SAMPLES]));
        assert_eq!((player.pull(), feed.end()), (None, Some(End::Finished)));
    }

    #[test]
    fn a_stopped_sound_fades_out_and_a_mute_is_at_once() {
        let mut player = Player::default();
        let (feed, sound) = shared_sound(0.0, false);
        feed.write(&[0.5; 4 * SHARED_SAMPLES]);
        player.add(sound);
        player.pull();
        feed.stop();
        let fade = player.pull().unwrap().to_vec();
        assert!(fade.windows(2).all(|pair| pair[1] <= pair[0]) && fade[SHARED_SAMPLES - 1] < 0.001);
        assert_eq!((player.pull(), feed.end()), (None, Some(End::Stopped)));
        let (feed, sound) = shared_sound(0.0, false);
        player.add(sound);
        player.stop_all(End::Muted);
        assert_eq!((player.pull(), feed.end()), (None, Some(End::Muted)));
        let (feed, sound) = shared_sound(0.0, false);
        drop(sound);
        assert_eq!(feed.end(), Some(End::Closed));
    }

    #[test]
    fn of_too_many_the_oldest_ends() {
        let mut player = Player::default();
        let feeds: Vec<_> = (0..=MOST_AT_ONCE)
            .map(|_| {
                let (feed, sound) = shared_sound(0.0, false);
                feed.write(&[0.01; SHARED_SAMPLES]);
                player.add(sound);
                feed
            })
            .collect();
        assert_eq!(feeds.iter().filter(|feed| feed.end().is_none()).count(), MOST_AT_ONCE);
        assert_eq!(feeds[0].end(), Some(End::Stopped));
        assert!((player.pull().unwrap()[0] - 0.08).abs() < 1e-6, "and all others are heard at once");
    }

    #[test]
    fn who_asked_for_it_hears_what_they_play_and_only_that() {
        let mut player = Player::default();
        for (loudness, monitored) in [(0.25, true), (0.1, false)] {
            let (feed, sound) = shared_sound(0.0, monitored);
            feed.write(&[loudness; 10 * SHARED_SAMPLES]);
            feed.complete();
            player.add(sound);
        }
        let mut heard = Vec::new();
        for _ in 0..12 {
            player.pull();
            for _ in 0..2 {
                let mut frame = [0.5; PLAYBACK_FRAME];
                player.monitor(&mut frame);
                heard.extend(frame);
            }
        }
        let with = heard.iter().filter(|sample| (**sample - 0.75).abs() < 1e-6).count();
        assert_eq!(with, 10 * CAPTURE_FRAME, "once each");
        assert_eq!(heard.iter().filter(|sample| **sample == 0.5).count(), 2 * CAPTURE_FRAME);
    }

    #[test]
    fn two_loudspeakers_play_both_channels_and_one_their_middle() {
        for (channels, expected) in [(1, vec![0.2]), (2, vec![0.4, 0.0])] {
            let mut player = Player::default();
            let (feed, sound) = shared_sound(0.0, true);
            feed.write([0.4, 0.0].repeat(2 * SHARED_SAMPLES).as_slice());
            player.add(sound);
            (0..2).for_each(|_| _ = player.pull());
            let mut frame = vec![0.0; channels * PLAYBACK_FRAME];
            player.monitor(&mut frame);
            assert_eq!(frame, expected.repeat(PLAYBACK_FRAME));
        }
    }

    #[test]
    fn a_slow_loudspeaker_makes_nobody_hear_themself_late() {
        let mut player = Player::default();
        let (feed, sound) = shared_sound(0.0, true);
        player.add(sound);
        for _ in 0..100 {
            feed.write(&[0.1; SHARED_SAMPLES]);
            player.pull();
            assert!(player.monitor.len() <= MONITOR_MOST);
        }
    }
}
