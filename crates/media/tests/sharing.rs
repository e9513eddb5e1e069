//! What a member plays into the call goes out beside their voice, whatever becomes of that, and leaves no trace behind it.

use raccall_media::{
    CEILING, GateMode, LinkReport, Pushed, QueueReport, ReceiveChain, ReceiveConfig, SHARED_SAMPLES, SendChain,
    SendConfig, Share,
};
use raccall_wire::rtp::Packet;
use raccall_wire::transport::Mode;

const MS: u64 = 1_000_000;
const KEY: [u8; 32] = [9; 32];
const FRAME: usize = 960;

/// A sender, its listener, and what went between them.
struct Call {
    send: SendChain,
    receive: ReceiveChain,
    frames: usize,
    /// Timestamp and first byte of each packet.
    packets: Vec<(u32, u8)>,
    bytes: usize,
    heard: Vec<f32>,
}

/// Something that is no pause.
const VOICE_HZ: f32 = 300.0;
const MUSIC_HZ: f32 = 1_000.0;

fn tone(pitch_hz: f32, amplitude: f32, frame: usize) -> [f32; FRAME] {
    let step = pitch_hz * std::f32::consts::TAU / 48_000.0;
    std::array::from_fn(|i| amplitude * (step * (frame * FRAME + i) as f32).sin())
}

/// Twice as loud on the left.
fn music(frame: usize) -> [f32; SHARED_SAMPLES] {
    let tone = tone(MUSIC_HZ, 0.4, frame);
    std::array::from_fn(|i| if i % 2 == 0 { tone[i / 2] } else { 0.5 * tone[i / 2] })
}

/// How much of a pitch is in 100 ms.
fn amplitude(sound: &[f32], pitch_hz: f32) -> f32 {
    let step = pitch_hz * std::f32::consts::TAU / 48_000.0;
    let (sine, cosine) = sound.iter().zip(0..).fold((0.0, 0.0), |(sine, cosine), (sample, i)| {
        (sine + sample * (step * i as f32).sin(), cosine + sample * (step * i as f32).cos())
    });
    f32::hypot(sine, cosine) * 2.0 / sound.len() as f32
}

impl Call {
    fn new(dtx: bool) -> Self {
        let config = SendConfig {
            ssrc: 1,
            mode: Mode::Aes256GcmRtpSize,
            key: KEY,
            bitrate_bps: 32_000,
            complexity: 5,
            expected_loss_pct: 0,
            lbrr: true,
            dred_ms: 0,
            dtx,
            music: false,
            channels: 1,
            first_sequence: 65_530,
            first_timestamp: 0,
        };
        let mut send = SendChain::new(config).unwrap();
        assert!(!send.may_share(), "nothing was brought for it");
        send.set_share(Box::new(Share::new(1, 5, 0).unwrap()));
        let receive = ReceiveChain::new(ReceiveConfig {
            mode: Mode::Aes256GcmRtpSize,
            key: KEY,
            deep_plc: false,
            min_target_ms: 20,
            max_target_ms: 200,
            source_timeout_ms: 5000,
        });
        Self { send, receive, frames: 0, packets: Vec::new(), bytes: 0, heard: Vec::new() }
    }

    /// So many frames of 20 ms, of a voice and of music.
    fn run(&mut self, frames: usize, voice: f32, shares: bool) {
        for _ in 0..frames {
            let now = self.frames as u64 * 20 * MS;
            let voice = tone(VOICE_HZ, voice, self.frames);
            let mut datagram = if shares && self.send.may_share() {
                self.send.push_shared(&voice, &music(self.frames), now)
            } else {
                self.send.push(&voice, now)
            };
            loop {
                if let Some(datagram) = datagram {
                    self.bytes += datagram.len();
                    let Pushed::Packet { plain, .. } = self.receive.push(datagram, now) else { panic!("it is ours") };
                    let packet = Packet::parse(plain).unwrap();
                    self.packets.push((packet.timestamp, packet.payload[0]));
                }
                if !self.send.has_more() {
                    break;
                }
                datagram = self.send.more(now);
            }
            for half in 0..2 {
                let mut out = [0.0; 480];
                self.receive.pull(now + half * 10 * MS, &mut out);
                self.heard.extend_from_slice(&out);
            }
            self.frames += 1;
        }
    }

    /// Of the last 100 ms heard.
    fn hears(&self, pitch_hz: f32) -> f32 {
        amplitude(&self.heard[self.heard.len() - 4_800..], pitch_hz)
    }
}

const STEREO: u8 = 0x04;

#[test]
fn music_goes_out_in_stereo_beside_a_voice_and_no_packet_is_missing_before_or_after() {
    let mut call = Call::new(false);
    call.run(50, 0.2, false);
    assert!(call.hears(VOICE_HZ) > 0.1 && call.hears(MUSIC_HZ) < 0.01);
    call.run(50, 0.2, true);
    assert!(call.hears(VOICE_HZ) > 0.1, "{}", call.hears(VOICE_HZ));
    assert!((call.hears(MUSIC_HZ) - 0.3).abs() < 0.05, "the middle of both sides: {}", call.hears(MUSIC_HZ));
    call.run(50, 0.2, false);
    assert!(call.hears(VOICE_HZ) > 0.1 && call.hears(MUSIC_HZ) < 0.01);
    let timestamps: Vec<u32> = call.packets.iter().map(|packet| packet.0).collect();
    assert!(timestamps.windows(2).all(|pair| pair[1] - pair[0] == 960), "every 20 ms, once");
    let stereo: Vec<bool> = call.packets.iter().map(|packet| packet.1 & STEREO != 0).collect();
    assert_eq!(stereo, [[false; 50], [true; 50], [false; 50]].concat());
    assert_eq!(call.send.bitrate_bps(), 32_000);
}

#[test]
fn a_resting_sender_plays_all_of_it_and_rests_again() {
    let mut call = Call::new(true);
    call.send.set_gate_mode(GateMode::Voice);
    call.run(150, 0.0, false);
    let before = call.packets.len();
    call.run(50, 0.0, true);
    assert_eq!(call.packets.len() - before, 50, "the gate is open, and nothing is left out for silence");
    assert!((call.hears(MUSIC_HZ) - 0.3).abs() < 0.05);
    call.run(50, 0.0, false);
    assert!(call.packets.len() - before <= 52, "one packet says that it is over");
    assert!(call.hears(MUSIC_HZ) < 0.01);
}

#[test]
fn a_key_decides_over_the_microphone_while_music_plays() {
    let mut call = Call::new(false);
    call.send.set_gate_mode(GateMode::PushToTalk);
    call.run(25, 0.2, true);
    assert!(call.hears(VOICE_HZ) < 0.01 && call.hears(MUSIC_HZ) > 0.2 && !call.send.is_open());
    call.send.set_pressed(true);
    call.run(25, 0.2, true);
    assert!(call.hears(VOICE_HZ) > 0.1 && call.hears(MUSIC_HZ) > 0.2 && call.send.is_open());
}

#[test]
fn nothing_that_went_out_with_the_music_is_said_again_behind_it() {
    let mut call = Call::new(false);
    call.send.set_gate_mode(GateMode::Voice);
    call.run(100, 0.001, false);
    call.run(20, 0.001, true);
    call.run(30, 0.3, false);
    let timestamps: Vec<u32> = call.packets.iter().map(|packet| packet.0).collect();
    assert!(timestamps.windows(2).all(|pair| pair[1] > pair[0]), "the gate's past went out already");
}

#[test]
fn a_muted_microphone_is_not_heard_through_the_music() {
    let mut call = Call::new(false);
    call.send.set_muted(true);
    call.run(25, 0.3, true);
    assert!(call.hears(VOICE_HZ) < 0.01 && call.hears(MUSIC_HZ) > 0.2);
    call.run(25, 0.3, false);
    assert!(call.hears(VOICE_HZ) < 0.01 && call.hears(MUSIC_HZ) < 0.01);
}

#[test]
fn loud_music_and_a_loud_voice_stay_within_full_scale() {
    let mut call = Call::new(false);
    let loud: [f32; SHARED_SAMPLES] = std::array::from_fn(|i| if i / 48 % 2 == 0 { 0.9 } else { -0.9 });
    for frame in 0..50 {
        let datagram = call.send.push_shared(&tone(VOICE_HZ, 0.9, frame), &loud, 0).unwrap();
        assert!(matches!(call.receive.push(datagram, frame as u64 * 20 * MS), Pushed::Packet { .. }));
        let mut out = [0.0; 480];
        for half in 0..2 {
            call.receive.pull(frame as u64 * 20 * MS + half * 10 * MS, &mut out);
            assert!(out.iter().all(|sample| sample.abs() <= CEILING));
        }
    }
}

#[test]
fn a_packet_longer_than_20_ms_holds_one_kind_of_sound() {
    let mut call = Call::new(false);
    let queue = QueueReport { standing_ms: 300.0, arrived_ms: 200.0, arrived_packets: 3, arrived_bytes: 350 };
    let narrow = LinkReport { queue: Some(queue), ..LinkReport::default() };
    (0..10).for_each(|_| call.send.apply(&narrow, 0));
    assert!(call.send.frame_ms() > 20);
    call.frames = 100; // what had piled up is gone
    for (frames, shares) in [(4, false), (4, true), (4, false), (5, true), (12, false)] {
        call.run(frames, 0.2, shares);
    }
    let lengths = call.packets.windows(2).map(|pair| (pair[1].0 - pair[0].0) / 960);
    assert!(lengths.clone().all(|frames| frames == 2 || frames == 3), "{:?}", lengths.collect::<Vec<_>>());
    assert!(call.packets.len() >= 9 && call.send.bitrate_bps() < 16_000, "as much as such a link carries");
}
