//! SendChain and ReceiveChain joined without a network, sample by sample.

use raccall_media::{
    CEILING, LinkReport, MAX_SOURCES, Pushed, ReceiveChain, ReceiveConfig, Refusal, SendChain, SendConfig,
};
use raccall_wire::rtcp::{self, Rtcp};
use raccall_wire::transport::Mode;

const MS: u64 = 1_000_000;
const KEY: [u8; 32] = [9; 32];

fn sender(ssrc: u32) -> SendChain {
    sender_in(Mode::Aes256GcmRtpSize, ssrc)
}

fn sender_in(mode: Mode, ssrc: u32) -> SendChain {
    SendChain::new(config(mode, ssrc)).unwrap()
}

fn config(mode: Mode, ssrc: u32) -> SendConfig {
    SendConfig {
        ssrc,
        mode,
        key: KEY,
        bitrate_bps: 32_000,
        complexity: 0,
        expected_loss_pct: 20,
        lbrr: true,
        dred_ms: 0,
        dtx: false,
        music: false,
        channels: 1,
        first_sequence: 65_530,
        first_timestamp: u32::MAX - 3000,
    }
}

fn receiver() -> ReceiveChain {
    receiver_in(Mode::Aes256GcmRtpSize)
}

fn receiver_in(mode: Mode) -> ReceiveChain {
    ReceiveChain::new(listening(mode))
}

fn listening(mode: Mode) -> ReceiveConfig {
    ReceiveConfig { mode, key: KEY, deep_plc: false, min_target_ms: 20, max_target_ms: 200, source_timeout_ms: 5000 }
}

/// 20 ms of a tone whose loudness swells, as syllables do.
fn tone(number: usize, amplitude: f32) -> Vec<f32> {
    (number * 960..(number + 1) * 960)
        .map(|i| amplitude * (i as f32 * 0.02).sin() * (0.6 + 0.4 * (i as f32 * 0.0005).sin()))
        .collect()
}

/// Sends `frames` frames through `deliver` (false: lost) and pulls in step; gives what was heard.
fn call(send: &mut SendChain, receive: &mut ReceiveChain, frames: usize, deliver: impl Fn(usize) -> bool) -> Vec<f32> {
    let mut heard = Vec::new();
    for number in 0..frames {
        let now = number as u64 * 20 * MS;
        let datagram = send.push(&tone(number, 0.3), now);
        if let Some(datagram) = datagram.filter(|_| deliver(number)) {
            assert!(matches!(receive.push(datagram, now), Pushed::Packet { .. }));
        }
        for half in 0..2 {
            let mut out = [0.0; 480];
            receive.pull(now + half * 10 * MS, &mut out);
            heard.extend_from_slice(&out);
        }
    }
    heard
}

fn level(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
}

#[test]
fn a_clean_link_plays_everything_across_both_wraps() {
    let (mut send, mut receive) = (sender(1), receiver());
    let heard = call(&mut send, &mut receive, 100, |_| true);
    let source = receive.report().sources[0];
    assert_eq!((source.received, source.lost, source.concealed, source.late), (100, 0, 0, 0));
    assert!(source.talking && source.delay_ms < 80.0, "{source:?}");
    let said: Vec<f32> = (0..90).flat_map(|number| tone(number, 0.3)).collect();
    let ratio = level(&heard[9600..]) / level(&said);
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
}

#[test]
fn single_losses_come_back_from_the_next_packet() {
    let (mut send, mut receive) = (sender(1), receiver());
    call(&mut send, &mut receive, 1000, |number| number % 10 != 5);
    let source = receive.report().sources[0];
    assert_eq!(source.lost, 100);
    // Not all: libopus adds no copy where it hears music.
    assert!(source.recovered >= 50 && source.concealed + source.recovered <= 102, "{source:?}");
    let block = receive.report_blocks()[0];
    assert_eq!((block.lost, block.fraction_lost), (100, 25));
}

#[test]
fn bursts_are_spoken_again_where_the_bitrate_has_room_for_redundancy() {
    let respoken = |bitrate_bps, music| {
        let config = SendConfig { bitrate_bps, dred_ms: 500, music, ..config(Mode::Aes256GcmRtpSize, 1) };
        let mut send = SendChain::new(config).unwrap();
        let mut receive = ReceiveChain::new(ReceiveConfig {
            deep_plc: true,
            min_target_ms: 120,
            max_target_ms: 120,
            ..listening(Mode::Aes256GcmRtpSize)
        });
        call(&mut send, &mut receive, 500, |number| number % 25 < 21);
        let source = receive.report().sources[0];
        assert_eq!(source.lost, 76);
        (source.respoken, source.concealed)
    };
    let (spoken, made_up) = respoken(64_000, false);
    assert!(spoken > 50 && made_up < 15, "{spoken} of 76, {made_up} made up");
    assert_eq!((respoken(47_999, false).0, respoken(128_000, true).0), (0, 0));
}

#[test]
fn mute_sends_one_silence_and_keeps_time() {
    let mut send = sender(1);
    assert!(send.push(&tone(0, 0.3), 0).is_some());
    send.set_muted(true);
    assert!(send.push(&tone(1, 0.3), 20 * MS).is_some());
    assert!((2..50).all(|number| send.push(&tone(number, 0.3), number as u64 * 20 * MS).is_none()));
    send.set_muted(false);
    let mut receive = receiver();
    let datagram = send.push(&tone(50, 0.3), 1000 * MS).unwrap().to_vec();
    let Pushed::Packet { extended_sequence, extended_timestamp, .. } = receive.push(&datagram, 0) else { panic!() };
    assert_eq!(extended_sequence as u16, 65_532);
    assert_eq!(extended_timestamp as u32, (u32::MAX - 3000).wrapping_add(50 * 960));
    assert_eq!(send.sent_packets(), 3);
}

#[test]
fn replays_strangers_and_floods_are_counted() {
    let mut receive = receiver();
    let datagram = sender(1).push(&tone(0, 0.3), 0).unwrap().to_vec();
    assert!(matches!(receive.push(&datagram, 0), Pushed::Packet { ssrc: 1, .. }));
    assert_eq!(receive.push(&datagram, 0), Pushed::Refused(Refusal::Duplicate));
    let mut forged = datagram.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(receive.push(&forged, 0), Pushed::Refused(Refusal::BadSeal));
    assert_eq!(receive.push(&datagram[..9], 0), Pushed::Refused(Refusal::TooShort));
    for ssrc in 2..100 {
        receive.push(sender(ssrc).push(&tone(0, 0.0), 0).unwrap(), 0);
    }
    let report = receive.report();
    assert_eq!(report.sources.len(), MAX_SOURCES);
    assert_eq!(report.refused.count(Refusal::TooManySources), 99 - MAX_SOURCES as u64);
    let newcomer = sender(1000).push(&tone(0, 0.3), 0).unwrap().to_vec();
    assert!(
        matches!(receive.push(&newcomer, 6000 * MS), Pushed::Packet { ssrc: 1000, .. }),
        "a timed out one gives way"
    );
}

#[test]
fn many_loud_talkers_are_mixed_within_full_scale() {
    let mut receive = receiver();
    let mut senders: Vec<_> = (1..=20).map(sender).collect();
    let mut out = [0.0; 480];
    for number in 0..30 {
        let now = number as u64 * 20 * MS;
        for send in &mut senders {
            send.set_gain_db(12.0);
            receive.push(send.push(&tone(number, 0.9), now).unwrap(), now);
        }
        for half in 0..2 {
            receive.pull(now + half * 10 * MS, &mut out);
            assert!(out.iter().all(|sample| sample.abs() <= CEILING));
        }
    }
    assert!(level(&out) > 0.3);
}

#[test]
fn a_listener_without_decoding_still_gets_packets_and_counts() {
    let (mut send, mut receive) = (sender(1), receiver());
    receive.set_decoding(false);
    let heard = call(&mut send, &mut receive, 50, |number| number != 20);
    assert!(heard.iter().all(|&sample| sample == 0.0));
    let source = receive.report().sources[0];
    assert_eq!((source.received, source.lost, source.concealed), (49, 1, 0));
    assert!((-20.0..-10.0).contains(&source.level_db) && source.talking, "the header tells: {}", source.level_db);
}

#[test]
fn a_listener_without_decoding_keeps_far_more_sources_than_can_be_played() {
    let mut receive = receiver();
    receive.set_decoding(false);
    for ssrc in 1..=2 * MAX_SOURCES as u32 {
        let mut send = sender(ssrc);
        let datagram = send.push(&tone(0, 0.3), 0).unwrap().to_vec();
        assert!(matches!(receive.push(&datagram, 0), Pushed::Packet { .. }), "source {ssrc}");
    }
    assert_eq!(receive.report().sources.len(), 2 * MAX_SOURCES);
}

#[test]
fn reports_are_sealed_and_name_the_sources() {
    let (mut send, mut receive) = (sender(1), receiver());
    call(&mut send, &mut receive, 10, |_| true);
    let blocks = receive.report_blocks();
    let datagram = send.report_datagram(&blocks, 200 * MS).unwrap().to_vec();
    let Pushed::Rtcp(plain) = receive.push(&datagram, 200 * MS) else { panic!() };
    let parsed = rtcp::parse(plain).unwrap();
    assert!(matches!(&parsed[0], Rtcp::SenderReport { ssrc: 1, packets: 10, .. }));
    assert!(matches!(&parsed[1], Rtcp::ReceiverReport { ssrc: 1, blocks } if blocks.len() == 1));
}

#[test]
fn a_bad_link_lowers_the_bitrate_and_a_good_one_brings_it_back() {
    let mut send = sender(1);
    for second in 0..20 {
        send.apply(&LinkReport { uplink_loss_pct: 25.0, ..LinkReport::default() }, second * 1000 * MS);
    }
    assert_eq!(send.bitrate_bps(), 16_000);
    for second in 20..60 {
        send.apply(&LinkReport::default(), second * 1000 * MS);
    }
    assert_eq!(send.bitrate_bps(), 32_000);
}

#[test]
fn the_bytes_of_a_new_mode_come_out_of_what_a_bad_link_takes() {
    let mut send = sender(1);
    for second in 0..20 {
        send.apply(&LinkReport { uplink_loss_pct: 25.0, ..LinkReport::default() }, second * 1000 * MS);
    }
    assert_eq!((send.frame_ms(), send.bitrate_bps()), (20, 16_000));
    send.rekey(Mode::XSalsa20Poly1305Suffix, &[8; 32]);
    assert_eq!(
        (send.frame_ms(), send.bitrate_bps()),
        (40, 25_600),
        "20 bytes more a packet: longer ones, as many bits in all"
    );
}

#[test]
fn every_transport_mode_carries_voice_and_reports_where_it_can() {
    for mode in Mode::ALL {
        let (mut send, mut receive) = (sender_in(mode, 1), receiver_in(mode));
        call(&mut send, &mut receive, 20, |_| true);
        assert_eq!(receive.report().sources[0].received, 20, "{mode:?}");
        let reports = send.report_datagram(&[], 400 * MS).is_some();
        assert_eq!(reports, mode != Mode::XSalsa20Poly1305, "{mode:?}");
    }
}

/// A minute of words and pauses by a sender whose clock runs `ppm` fast, over a link that is `delay_ms(number)` slow. Gives the playout delay
/// each second.
fn minute(ppm: i64, delay_ms: impl Fn(u64) -> u64) -> (Vec<f32>, raccall_media::SourceReport) {
    let (mut send, mut receive) = (sender(1), receiver());
    let mut under_way: Vec<(u64, Vec<u8>)> = Vec::new();
    let (mut number, mut delays) = (0u64, Vec::new());
    for pull in 0..6000u64 {
        let now = pull * 10 * MS;
        while (number as i64) * 20 * (1_000_000 - ppm) <= (pull * 10 * 1_000_000) as i64 {
            let said = if number % 40 < 25 { tone(number as usize, 0.3) } else { vec![0.0; 960] };
            under_way.push((now + delay_ms(number) * MS, send.push(&said, now).unwrap().to_vec()));
            number += 1;
        }
        under_way.retain(|(due, datagram)| {
            let arrived = *due <= now;
            if arrived {
                receive.push(datagram, *due);
            }
            !arrived
        });
        receive.pull(now, &mut [0.0; 480]);
        if pull % 100 == 99 {
            delays.push(receive.report().sources[0].delay_ms);
        }
    }
    (delays, receive.report().sources[0])
}

#[test]
fn drifting_clocks_are_followed_in_the_pauses() {
    for ppm in [-1000, 0, 1000] {
        let (delays, source) = minute(ppm, |_| 0);
        // 1000 ppm are 60 ms a minute: unfollowed they would empty the buffer, or double the delay.
        assert!(delays[5..].iter().all(|delay_ms| (9.0..60.0).contains(delay_ms)), "{ppm}: {delays:?}");
        assert!((source.late, source.lost) == (0, 0) && source.concealed <= 3, "{ppm}: {source:?}");
    }
}

#[test]
fn the_delay_rises_with_the_jitter_and_falls_again() {
    let (delays, _) = minute(0, |number| if (750..1500).contains(&number) { number * 7919 % 100 } else { 0 });
    let (calm, rough, after) = (delays[12], delays[28], delays[58]);
    assert!(calm < 50.0 && rough > 85.0 && after < 50.0, "{delays:?}");
}

#[test]
fn timestamps_go_on_while_a_microphone_is_away() {
    let (mut send, mut receive) = (sender(1), receiver());
    let mut timestamps = Vec::new();
    for (number, at) in [1000, 1020, 1150, 3150, 3150, 3170].into_iter().enumerate() {
        send.catch_up(at * MS);
        let datagram = send.push(&tone(number, 0.3), at * MS).unwrap();
        let Pushed::Packet { extended_timestamp, .. } = receive.push(datagram, at * MS) else { panic!("no packet") };
        timestamps.push(extended_timestamp);
    }
    let steps: Vec<_> = timestamps.windows(2).map(|pair| (pair[1] - pair[0]) / 960).collect();
    assert_eq!(steps, [1, 1, 100, 1, 1], "a late callback is none; two seconds are");
}
