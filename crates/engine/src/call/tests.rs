//! The thread's work, stepped by hand in virtual time: a call without its clock.

use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::Duration;

use raccall_media::{Processing, ReceiveConfig, SendConfig, Share};
use raccall_wire::rtcp::{self, ReportBlock, Rtcp};
use raccall_wire::transport::{Cipher, Mode};

use super::*;
use crate::reports::HASTY_REPORTS;
use crate::share::End;
use crate::socket;
use crate::sound::tests::TURN;
use crate::sound::{CAPTURE_FRAME, DataCallbacks, PLAYBACK_FRAME, Sound};

const MODE: Mode = Mode::Aes256GcmRtpSize;
const KEY: [u8; 32] = [1; 32];
const START: Nanos = 1_000 * NANOS_PER_MS;

fn send_config(ssrc: u32) -> SendConfig {
    SendConfig {
        ssrc,
        mode: MODE,
        key: KEY,
        bitrate_bps: 32_000,
        complexity: 0,
        expected_loss_pct: 0,
        lbrr: false,
        dred_ms: 0,
        dtx: false,
        music: false,
        channels: 1,
        first_sequence: 65_530,
        first_timestamp: 0,
    }
}

/// The thread's work, stepped by hand, with a clocked Sound; and the relay's end of its socket.
fn thread(sound: &Sound) -> (Thread, UdpSocket) {
    let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
    relay.set_nonblocking(true).unwrap();
    let (socket, _) = socket::connect(relay.local_addr().unwrap(), 1 << 16).unwrap();
    let receive = ReceiveConfig {
        mode: MODE,
        key: KEY,
        deep_plc: false,
        min_target_ms: 20,
        max_target_ms: 200,
        source_timeout_ms: 30_000,
    };
    let call = Call {
        ssrc: 1,
        link: Link::new(socket::split(socket).unwrap().0, None, Route::Udp, START),
        send: SendChain::new(send_config(1)).unwrap(),
        receive: ReceiveChain::new(receive),
        sound: sound.lend_end(),
        muted: false,
        taps: Vec::new(),
        commands: rtrb::RingBuffer::new(1).1,
        published: Arc::default(),
    };
    (Thread::new(call, START), relay)
}

fn loud_frames(samples: &[f32]) -> Vec<usize> {
    let loud = |frame: &[f32]| frame.iter().any(|sample| sample.abs() > 0.1);
    samples.chunks(PLAYBACK_FRAME).enumerate().filter(|(_, frame)| loud(frame)).map(|(i, _)| i).collect()
}

#[test]
fn a_thread_that_was_held_up_plays_what_it_would_have_played_in_time() {
    let mut talker = SendChain::new(send_config(2)).unwrap();
    let tone: Vec<f32> = (0..48_000).map(|i| 0.5 * (i as f32 * 0.06).sin()).collect();
    let datagrams: Vec<_> = tone
        .chunks(CAPTURE_FRAME)
        .zip(0..)
        .map(|(frame, i)| (talker.push(frame, 0).unwrap().to_vec(), START + 20 * NANOS_PER_MS * i))
        .collect();
    let mut played = [true, false].map(|in_time| {
        let sound = Sound::clocked(None, true);
        let (mut thread, _relay) = thread(&sound);
        for (datagram, arrival) in &datagrams {
            thread.receive(Route::Udp, datagram, *arrival);
            if in_time {
                thread.catch_up(*arrival);
            }
        }
        thread.catch_up(START + 1_990 * NANOS_PER_MS);
        assert_eq!(thread.late_ticks, 1, "the last second was waited for in one piece");
        sound.read_playback().unwrap()
    });
    assert_eq!(played[0].len(), 96_000);
    assert!(loud_frames(&played[0]).len() > 95);
    let late = std::mem::take(&mut played[1]);
    assert!(late == played[0], "the same samples, whenever the thread ran");
}

#[test]
fn who_reads_the_counts_does_not_hold_up_the_voice() {
    let (mut thread, _relay) = thread(&Sound::clocked(None, false));
    thread.stats.late_ticks = 7;
    let published = thread.published.clone();
    let reading = published.lock().unwrap();
    let (send, ended) = mpsc::channel();
    std::thread::spawn(move || {
        thread.publish();
        send.send(thread).unwrap();
    });
    let thread = ended.recv_timeout(Duration::from_secs(5)).expect("does not wait for the reader");
    assert_eq!(reading.late_ticks, 0);
    drop(reading);
    thread.publish();
    assert_eq!(published.lock().unwrap().late_ticks, 7);
}

#[test]
fn a_listener_to_whom_all_falls_silent_reports_at_once_and_again() {
    let mut talker = SendChain::new(send_config(2)).unwrap();
    let mut voice = || talker.push(&[0.1; CAPTURE_FRAME], 0).unwrap().to_vec();
    let sound = Sound::clocked(None, false);
    let (mut thread, relay) = thread(&sound);
    let mut buffer = [0; 2048];
    let mut reports_until = |thread: &mut Thread, ms: Nanos| {
        thread.catch_up(START + ms * NANOS_PER_MS);
        std::iter::from_fn(|| relay.recv(&mut buffer).ok()).count()
    };
    reports_until(&mut thread, 100);
    for ms in [100, 120] {
        thread.receive(Route::Udp, &voice(), START + ms * NANOS_PER_MS);
    }
    assert_eq!(reports_until(&mut thread, 300), 0, "a packet about a silent room, and the end of it");
    for ms in (300..=400).step_by(20) {
        thread.receive(Route::Udp, &voice(), START + ms * NANOS_PER_MS);
    }
    assert_eq!(reports_until(&mut thread, 480), 0);
    assert!(reports_until(&mut thread, 490) + reports_until(&mut thread, 500) >= 1, "where are you?");
    assert!(reports_until(&mut thread, 560) >= 1, "a second one proves the new address");
    let later = reports_until(&mut thread, 900);
    assert!(later <= HASTY_REPORTS as usize, "a pause of the others costs little: {later}");
}

#[test]
fn a_clocked_microphone_sends_every_frame_however_late() {
    let sound = Sound::clocked(Some(vec![0.1; 48_000]), false);
    let (mut thread, relay) = thread(&sound);
    thread.catch_up(START);
    thread.catch_up(START + 1_500 * NANOS_PER_MS);
    let (mut voice, mut buffer) = (0, [0; 2048]);
    while let Ok(bytes) = relay.recv(&mut buffer) {
        voice += usize::from(bytes > 1 && buffer[1] & 0x7F == 120);
    }
    assert_eq!((voice, sound.capture_done()), (51, true));
}

#[test]
fn after_the_machine_slept_a_clocked_sound_goes_on_from_now() {
    let sound = Sound::clocked(None, true);
    let (mut thread, _relay) = thread(&sound);
    let woken = START + 3_600_000 * NANOS_PER_MS;
    thread.catch_up(woken);
    assert_eq!((sound.read_playback().unwrap().len(), thread.late_ticks), (PLAYBACK_FRAME, 1));
    assert!(woken < thread.next_tick && thread.next_tick <= woken + SOUND_TICK);
}

#[test]
fn what_a_loudspeaker_plays_is_not_sent_back() {
    the_echo_is_cancelled(1);
}

#[test]
fn what_two_loudspeakers_play_is_not_sent_back() {
    the_echo_is_cancelled(2);
}

/// A card with so many channels, of which a microphone hears the sum, by halves.
fn the_echo_is_cancelled(channels: usize) {
    let _turn = TURN.lock();
    let music = channels == 2;
    let config = SendConfig { channels: channels as u8, music, bitrate_bps: 96_000, ..send_config(2) };
    let mut talker = SendChain::new(config).unwrap();
    let mut seed = 1u32;
    let mut loudness = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.3 * ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    let sound = Sound::device().unwrap();
    let (mut thread, _relay) = thread(&sound);
    let DataCallbacks { capture, mono_playback, stereo_playback } = sound.callbacks().unwrap();
    let playback = if channels == 1 { mono_playback } else { stereo_playback };
    let mut in_the_air = std::collections::VecDeque::from(vec![[0f32; PLAYBACK_FRAME]; 4]);
    let mut sent_db = |thread: &mut Thread, from_ms: Nanos, to_ms: Nanos| {
        for ms in (from_ms..to_ms).step_by(10) {
            let now = START + ms * NANOS_PER_MS;
            if ms % 20 == 0 {
                let voice: Vec<f32> = (0..CAPTURE_FRAME * channels).map(|_| loudness()).collect();
                let datagram = talker.push(&voice, now).unwrap().to_vec();
                thread.receive(Route::Udp, &datagram, now);
            }
            let mut played = [0f32; 2 * PLAYBACK_FRAME];
            playback(std::ptr::null_mut(), played.as_mut_ptr().cast(), std::ptr::null(), PLAYBACK_FRAME as u32);
            let mut frames = played.chunks(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32);
            in_the_air.push_back(std::array::from_fn(|_| 0.5 * frames.next().unwrap()));
            let heard = in_the_air.pop_front().unwrap();
            capture(std::ptr::null_mut(), std::ptr::null_mut(), heard.as_ptr().cast(), PLAYBACK_FRAME as u32);
            thread.catch_up(now);
        }
        thread.speaking.chain.level_db()
    };
    let echo_db = sent_db(&mut thread, 0, 1_000);
    thread.speaking.processor.set(&Processing { echo: true, ..Processing::default() });
    let left_db = sent_db(&mut thread, 1_000, 3_000);
    assert!(echo_db > -40.0 && left_db < echo_db - 30.0, "{echo_db} dB, then {left_db}");
    let Some(SoundEnd::Device(device)) = thread.sound.as_deref() else { unreachable!() };
    assert_eq!(device.echo_path().1, 1, "the canceller never lost its reference");
    let delay_ms = thread.speaking.processor.report().echo_delay_ms.unwrap();
    assert!((10..80).contains(&delay_ms), "{delay_ms} ms");
}

/// Voice packets that reached the relay.
fn voices(relay: &UdpSocket) -> usize {
    let mut buffer = [0; 2048];
    let packets = std::iter::from_fn(|| relay.recv(&mut buffer).ok().map(|bytes| bytes > 1 && buffer[1] & 0x7F == 120));
    packets.filter(|is_voice| *is_voice).count()
}

#[test]
fn what_is_played_is_sent_without_a_microphone_until_a_mute() {
    let _turn = TURN.lock();
    let sound = Sound::device().unwrap();
    let (mut thread, relay) = thread(&sound);
    let (mut commands, taken) = rtrb::RingBuffer::new(4);
    thread.commands = taken;
    let (feed, shared) = crate::share::shared_sound(0.0, false);
    feed.write(&[0.2; 96_000]);
    let share = Some(Box::new(Share::new(1, 0, 0).unwrap()));
    commands.push(Command::Play { sound: shared, share }).ok();
    let run = |thread: &mut Thread, from_ms: Nanos, to_ms: Nanos| {
        assert!(thread.take_commands());
        (from_ms..to_ms).step_by(10).for_each(|ms| thread.catch_up(START + ms * NANOS_PER_MS));
        voices(&relay)
    };
    let played = run(&mut thread, 0, 400);
    assert!((18..=21).contains(&played), "a card that gives nothing clocks nothing: {played}");
    commands.push(Command::SetMuted(true)).ok();
    assert!(run(&mut thread, 400, 800) <= 1);
    assert_eq!(feed.end(), Some(End::Muted));
    let (feed, shared) = crate::share::shared_sound(0.0, false);
    commands.push(Command::Play { sound: shared, share: None }).ok();
    run(&mut thread, 800, 900);
    assert_eq!(feed.end(), Some(End::Muted), "who is muted plays nothing");
}

#[test]
fn the_relays_report_about_us_becomes_loss_and_round_trip() {
    let sound = Sound::clocked(None, false);
    let (mut thread, _relay) = thread(&sound);
    let sent = START;
    let last_sr = (raccall_media::ntp_of(sent) >> 16) as u32;
    let about = |ssrc, fraction_lost| ReportBlock { ssrc, fraction_lost, last_sr, ..ReportBlock::default() };
    let report = Rtcp::ReceiverReport { ssrc: 9, blocks: vec![about(5, 255), about(1, 128)] };
    let (mut plain, mut datagram) = (Vec::new(), Vec::new());
    rtcp::write(&report, &mut plain);
    Cipher::new(MODE, &KEY).seal(&plain, [0, 0, 0, 1], &mut datagram).unwrap();
    thread.receive(Route::Udp, &datagram, sent + 40 * NANOS_PER_MS);
    assert_eq!(thread.stats.uplink_loss_pct, Some(50.0));
    assert!((thread.stats.round_trip_ms.unwrap() - 40.0).abs() < 0.1);
}
