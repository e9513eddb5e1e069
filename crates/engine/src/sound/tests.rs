//! A Sound's two ends: the engine's, and the card's or the owner's.

use std::sync::atomic::Ordering::Relaxed;

use raccall_wire::Nanos;

use super::ahead::{FIRST_AHEAD, FIRST_CALM_FRAMES};
use super::clocked::KEPT_SAMPLES;
use super::device::MAX_BACKLOG;
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
    FIRST_AHEAD - end.ahead.frames()
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
    assert_eq!((played.len(), played[0], sound.playback_dropped()), (KEPT_SAMPLES, 10.0, 10 * PLAYBACK_FRAME as u64));
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
