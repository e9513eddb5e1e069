//! Promises of the jitter buffer, for many orders, losses and wraps.

use proptest::prelude::*;
use raccall_media::{Incoming, Insertion, JitterBuffer, Next};

const MS: u64 = 1_000_000;
const FRAME: u64 = 960;

/// A packet of 20 ms that carries its predecessor too.
fn packet(sequence: u64, timestamp: u64, payload: &[u8]) -> Incoming<'_> {
    Incoming { sequence, timestamp, samples: FRAME as usize, lbrr: true, redundancy: 0..0, payload }
}

/// One packet as the network delivers it.
#[derive(Debug, Clone)]
struct Arrival {
    number: u64,
    at_ms: u64,
}

/// Up to 200 packets: some lost, some twice, each up to 150 ms late, hence in any order.
fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    prop::collection::vec((0..10u8, 0..150u64), 1..200).prop_map(|fates| {
        let mut arrivals = Vec::new();
        for (number, (fate, delay_ms)) in fates.into_iter().enumerate() {
            let number = number as u64;
            let copies = match fate {
                0 | 1 => 0,
                2 => 2,
                _ => 1,
            };
            for copy in 0..copies {
                arrivals.push(Arrival { number, at_ms: number * 20 + delay_ms + copy * 7 });
            }
        }
        arrivals.sort_by_key(|arrival| arrival.at_ms);
        arrivals
    })
}

/// Plays everything out in 10 ms pulls. Gives the numbers played, and how many samples came out in all.
fn play(arrivals: &[Arrival], first_sequence: u64, first_timestamp: u64) -> (Vec<u64>, u64, u64) {
    let mut buffer = JitterBuffer::new(20, 200);
    let (mut played, mut held, mut queued, mut out) = (Vec::new(), 0, 0usize, 0);
    let mut coming = arrivals.iter().peekable();
    for now_ms in (0..5000).step_by(10) {
        while let Some(arrival) = coming.next_if(|arrival| arrival.at_ms <= now_ms) {
            let sequence = first_sequence + arrival.number;
            let timestamp = first_timestamp + arrival.number * FRAME;
            let payload = [1, 2, arrival.number as u8];
            let inserted = buffer.push(packet(sequence, timestamp, &payload), arrival.at_ms * MS);
            held += u64::from(inserted == Insertion::Held);
        }
        buffer.tick(now_ms * MS);
        while queued < 480 {
            match buffer.next(now_ms * MS, queued) {
                Next::Wait => break,
                Next::Play { sequence, payload } => {
                    assert_eq!(payload[2], (sequence - first_sequence) as u8);
                    played.push(sequence - first_sequence);
                    queued += FRAME as usize;
                }
                Next::Recover { samples, skip, .. } => {
                    assert!(skip < samples && samples == FRAME as usize);
                    queued += samples - skip;
                }
                Next::Respeak { .. } => unreachable!("nothing is told of"),
                Next::Conceal { samples } => {
                    assert!(samples > 0 && samples % 120 == 0);
                    queued += samples;
                }
            }
        }
        out += queued.min(480) as u64;
        queued = queued.saturating_sub(480);
    }
    assert_eq!(buffer.held(), 0);
    (played, held, out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn plays_in_order_and_each_packet_once(arrivals in arrivals()) {
        let (played, held, _) = play(&arrivals, 65_536 + 65_500, (1 << 33) - 5000);
        prop_assert!(played.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", played);
        prop_assert!(played.len() as u64 <= held);
    }

    #[test]
    fn where_the_numbers_begin_does_not_matter(arrivals in arrivals(), sequence in 65_536..1u64 << 40, timestamp in 1u64 << 32..1u64 << 40) {
        prop_assert_eq!(play(&arrivals, sequence, timestamp), play(&arrivals, 100_000, 1 << 32));
    }

    #[test]
    fn anything_at_all_is_survived(
        packets in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u16>(), 0..1u64 << 40), 1..300)
    ) {
        let mut buffer = JitterBuffer::new(20, 200);
        let mut now = 0;
        for (sequence, timestamp, samples, step) in packets {
            now += step;
            let (sequence, timestamp) = (sequence >> 8, timestamp >> 8);
            let lbrr = samples % 2 == 0;
            buffer.push(Incoming { sequence, timestamp, samples: samples.into(), lbrr, redundancy: 0..0, payload: &[0; 40] }, now);
            buffer.tick(now);
            for _ in 0..20 {
                buffer.next(now, 0);
            }
            prop_assert!(buffer.held() <= 256);
        }
    }
}

/// A steady stream: packet `number` arrives `delay_ms(number)` after it was sent, or never.
fn steady(packets: u64, delay_ms: impl Fn(u64) -> Option<u64>) -> Vec<Arrival> {
    let mut arrivals: Vec<_> =
        (0..packets).filter_map(|number| Some(Arrival { number, at_ms: number * 20 + delay_ms(number)? })).collect();
    arrivals.sort_by_key(|arrival| arrival.at_ms);
    arrivals
}

#[test]
fn swapped_neighbours_are_both_played() {
    let arrivals = steady(100, |number| Some(if number % 5 == 1 { 25 } else { 0 }));
    let (played, held, _) = play(&arrivals, 65_536, 1 << 32);
    assert_eq!(held, 100);
    assert_eq!(played, (0..100).collect::<Vec<_>>());
}

#[test]
fn of_a_burst_the_last_is_recovered_and_no_more_made_up_than_the_delay_demands() {
    let mut buffer = JitterBuffer::new(195, 200);
    for number in [0u64, 1, 5, 6] {
        buffer.push(packet(65_536 + number, number * FRAME, &[number as u8; 40]), number * 20 * MS);
    }
    let mut decisions = Vec::new();
    for _ in 0..12 {
        decisions.push(match buffer.next(200 * MS, 0) {
            Next::Wait => "wait".into(),
            Next::Play { payload, .. } => format!("play {}", payload[0]),
            Next::Recover { payload, samples, skip } => format!("recover {} from {}", samples - skip, payload[0]),
            Next::Respeak { before, samples, .. } => format!("respeak {samples} from {before} before"),
            Next::Conceal { samples } => format!("conceal {samples}"),
        });
    }
    let expected = ["play 0", "play 1", "conceal 480", "conceal 480", "recover 960 from 5", "play 5", "play 6"];
    assert_eq!(decisions[..7], expected);
}

/// What is decided for four packets lost before one that tells of `told` samples before it, at a constant delay of 200 ms.
fn decisions_about(told: std::ops::Range<usize>) -> Vec<String> {
    let mut buffer = JitterBuffer::new(200, 200);
    for number in [0u64, 1, 6] {
        let payload = [number as u8; 40];
        let redundancy = if number == 6 { told.clone() } else { 0..0 };
        let incoming = Incoming { redundancy, ..packet(65_536 + number, number * FRAME, &payload) };
        buffer.push(incoming, number * 20 * MS);
    }
    let decision = |_| match buffer.next(200 * MS, 0) {
        Next::Wait => "wait".into(),
        Next::Play { payload, .. } => format!("play {}", payload[0]),
        Next::Recover { samples, skip, .. } => format!("recover {}", samples - skip),
        Next::Respeak { before, samples, .. } => format!("respeak {samples} from {before}"),
        Next::Conceal { samples } => format!("conceal {samples}"),
    };
    (0..12).map(decision).take_while(|decision| decision != "play 6").skip(2).collect()
}

#[test]
fn a_burst_is_spoken_again_as_far_as_the_packet_after_it_tells_of_it() {
    let respeak = |before: usize| format!("respeak 480 from {before}");
    let conceal = || "conceal 480".to_owned();
    let recover = || "recover 960".to_owned();
    let all = [respeak(3840), respeak(3360), respeak(2880), respeak(2400), respeak(1920), respeak(1440), recover()];
    assert_eq!(decisions_about(0..9600), all);
    // The rest is made up: what was said too long ago, and what the sender left out because nobody spoke.
    let newest = [conceal(), conceal(), conceal(), conceal(), respeak(1920), respeak(1440), recover()];
    assert_eq!(decisions_about(0..1920), newest);
    let oldest = [respeak(3840), respeak(3360), conceal(), conceal(), conceal(), conceal(), recover()];
    assert_eq!(decisions_about(2880..9600), oldest);
}

#[test]
fn a_pause_is_not_concealed() {
    let mut buffer = JitterBuffer::new(20, 200);
    buffer.push(packet(65_536, 0, &[0xF8, 0xFF, 0xFE]), 0);
    assert!(matches!(buffer.next(60 * MS, 0), Next::Play { .. }));
    assert_eq!(buffer.next(80 * MS, 0), Next::Wait);
    buffer.push(packet(65_537, 48_000, &[7; 40]), 1000 * MS);
    assert_eq!(buffer.next(1010 * MS, 0), Next::Wait, "the new spurt waits for its target too");
    assert!(matches!(buffer.next(1060 * MS, 0), Next::Play { .. }));
}

#[test]
fn a_restarted_timestamp_is_followed() {
    let mut buffer = JitterBuffer::new(20, 200);
    buffer.push(packet(65_536, 1 << 33, &[1; 40]), 0);
    assert!(matches!(buffer.next(60 * MS, 0), Next::Play { .. }));
    buffer.push(packet(65_537, 1 << 32, &[2; 40]), 20 * MS);
    assert!(matches!(buffer.next(80 * MS, 0), Next::Play { payload: &[2, ..], .. }));
}

#[test]
fn the_target_follows_the_jitter_and_keeps_its_limits() {
    for (spread_ms, low, high) in [(0, 20.0, 20.0), (60, 60.0, 80.0), (900, 80.0, 200.0)] {
        let mut buffer = JitterBuffer::new(20, 200);
        for arrival in steady(400, |number| Some(number * 7919 % 61 * spread_ms / 60)) {
            buffer.push(packet(65_536 + arrival.number, arrival.number * FRAME, &[0; 40]), arrival.at_ms * MS);
            buffer.tick(arrival.at_ms.next_multiple_of(10) * MS);
        }
        assert!((low..=high).contains(&buffer.target_ms()), "{spread_ms}: {}", buffer.target_ms());
    }
}

#[test]
fn a_fixed_target_skips_nothing_whatever_the_phase_of_the_pulls() {
    for target_ms in [20, 80, 200] {
        for phase_ms in 0..20 {
            let mut buffer = JitterBuffer::new(target_ms, target_ms);
            let mut played = 0;
            for now_ms in 0..1000 {
                if now_ms % 20 == phase_ms && now_ms < 700 {
                    buffer.push(packet(65_536 + now_ms / 20, now_ms / 20 * FRAME, &[0; 40]), now_ms * MS);
                }
                if now_ms % 20 == 0 && matches!(buffer.next(now_ms * MS, 0), Next::Play { .. }) {
                    played += 1;
                }
            }
            assert_eq!((played, buffer.late()), (35, 0), "target {target_ms}, phase {phase_ms}");
        }
    }
}

/// Each second from the third on, 100 ms pass without a packet. Tells of each whether that is taken for held up after 70 ms.
fn held_up(is_lost: bool) -> Vec<bool> {
    let mut buffer = JitterBuffer::new(20, 200);
    let is_missing = |number: u64| number >= 100 && number % 50 < 4;
    let at_ms = |number: u64| if is_missing(number) { number / 50 * 1000 + 80 } else { number * 20 };
    let (mut queued, mut found) = (0usize, Vec::new());
    let mut coming = (0..800).filter(|&number| !(is_lost && is_missing(number))).peekable();
    for now_ms in (0..16_000).step_by(10) {
        if now_ms >= 2000 && now_ms % 1000 == 70 {
            found.push(buffer.is_held_up(now_ms * MS));
        }
        while let Some(number) = coming.next_if(|&number| at_ms(number) <= now_ms) {
            buffer.push(packet(65_536 + number, number * FRAME, &[0; 40]), now_ms * MS);
        }
        buffer.tick(now_ms * MS);
        while queued < 480 {
            queued += match buffer.next(now_ms * MS, queued) {
                Next::Play { .. } => FRAME as usize,
                Next::Recover { samples, skip, .. } => samples - skip,
                Next::Conceal { samples } => samples,
                Next::Wait | Next::Respeak { .. } => 480,
            };
        }
        queued -= 480;
    }
    found
}

#[test]
fn what_does_not_come_is_taken_for_held_up_until_the_link_has_only_ever_lost_it() {
    assert_eq!(held_up(false), [true; 14]);
    let lost = held_up(true);
    assert!(lost[0] && !lost[13], "{lost:?}");
}
