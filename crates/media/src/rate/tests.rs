//! What a rate makes of the relay's reports and alarms.

use super::packets::{MIN_BITRATE_BPS, REPORT_BPS};
use super::*;
use crate::report::QueueReport;

const SECOND: Nanos = 1_000_000_000;
const SEAL_BYTES: usize = 20;

fn calm(loss_pct: f32) -> LinkReport {
    LinkReport { uplink_loss_pct: loss_pct, ..LinkReport::default() }
}

/// Packets of 148 bytes on the wire: 74 ms at 16 kb/s.
fn under_way(packets: u16) -> UnderWay {
    UnderWay { packets, bytes: u32::from(packets) * (148 - IP_UDP_BYTES as u32), since: Some(0) }
}

/// A queue of `standing_ms` on a link of `capacity_bps`.
fn queue(standing_ms: f32, capacity_bps: u32) -> LinkReport {
    let arrived_bytes = capacity_bps / 8 / 5 - 2 * IP_UDP_BYTES as u32;
    let queue = QueueReport { standing_ms, arrived_ms: 200.0, arrived_packets: 2, arrived_bytes };
    LinkReport { queue: Some(queue), ..LinkReport::default() }
}

#[test]
fn a_link_that_was_never_full_takes_a_new_most_at_once_and_another_one_only_what_it_carries() {
    let mut rate = Rate::new(32_000, SEAL_BYTES);
    rate.set_most_bps(128_000);
    assert_eq!(rate.choice().bitrate_bps, 128_000);
    rate.set_most_bps(32_000);
    assert_eq!(rate.choice().bitrate_bps, 32_000);
    let mut narrow = Rate::new(64_000, SEAL_BYTES);
    narrow.budget_bps = narrow.packets.wire_bps(20, 20_000.0);
    narrow.capacity_bps = Some(narrow.budget_bps);
    narrow.set_most_bps(128_000);
    assert!((19_000..=21_000).contains(&narrow.choice().bitrate_bps), "{:?}", narrow.choice());
}

#[test]
fn a_full_link_that_is_asked_for_more_than_the_least_it_was_begun_with_still_backs_off() {
    let mut rate = Rate::new(2_000, SEAL_BYTES);
    rate.take(&queue(400.0, 3_000), under_way(3), SECOND);
    rate.set_most_bps(128_000);
    rate.take(&queue(400.0, 3_000), under_way(3), 2 * SECOND);
    assert_eq!(rate.choice(), Choice { frame_ms: 60, bitrate_bps: MIN_BITRATE_BPS, level: false });
}

#[test]
fn encryption_takes_nothing_from_a_voice_on_a_free_link() {
    let mut rate = Rate::new(64_000, SEAL_BYTES);
    rate.set_seal_bytes(SEAL_BYTES + 12);
    assert_eq!(rate.choice().bitrate_bps, 64_000);
    rate.take(&queue(100.0, 60_000), under_way(3), SECOND);
    let before = rate.choice().bitrate_bps;
    rate.set_seal_bytes(SEAL_BYTES);
    assert_eq!(rate.choice().bitrate_bps, before + 12 * 8 * 50, "and a full one carries what it did");
}

#[test]
fn a_queue_sets_the_budget_to_what_gets_through() {
    let mut rate = Rate::new(64_000, SEAL_BYTES);
    assert_eq!(rate.choice(), Choice { frame_ms: 20, bitrate_bps: 64_000, level: true });
    rate.take(&queue(100.0, 60_000), under_way(3), SECOND);
    let wire_bps = rate.packets.wire_bps(20, rate.choice().bitrate_bps as f32) + REPORT_BPS;
    assert!((wire_bps - 51_000.0).abs() < 100.0, "{wire_bps}");
}

#[test]
fn packets_get_longer_as_the_link_gets_slower_and_headers_are_counted() {
    for (capacity_bps, frame_ms) in [(60_000, 20), (40_000, 40), (25_000, 60), (16_000, 60), (9_000, 60)] {
        let mut rate = Rate::new(64_000, SEAL_BYTES);
        rate.take(&queue(400.0, capacity_bps), under_way(3), SECOND);
        let choice = rate.choice();
        assert_eq!(choice.frame_ms, frame_ms, "{capacity_bps}");
        let wire_bps = rate.packets.wire_bps(choice.frame_ms, choice.bitrate_bps as f32) + REPORT_BPS;
        assert!(wire_bps <= (0.86 * capacity_bps as f32).max(15_100.0), "{capacity_bps}: {wire_bps}");
    }
}

#[test]
fn what_would_only_wait_is_held_back() {
    let mut rate = Rate::new(32_000, SEAL_BYTES);
    rate.take(&queue(120.0, 16_000), under_way(10), SECOND);
    // Ten packets of 74 ms are under way; they may wait for 40 ms and one packet.
    assert!(rate.holds(SECOND + 550_000_000) && !rate.holds(SECOND + 700_000_000));
    let mut rate = Rate::new(32_000, SEAL_BYTES);
    rate.take(&queue(120.0, 16_000), under_way(1), SECOND);
    assert!(!rate.holds(SECOND));
}

#[test]
fn an_alarm_sends_the_least_until_it_is_over_and_costs_no_budget() {
    let mut rate = Rate::new(32_000, SEAL_BYTES);
    let full = rate.choice();
    rate.take(&LinkReport { round_trip_ms: Some(40.0), ..calm(0.0) }, under_way(1), 0);
    let since = |ms: u64| UnderWay { since: Some(SECOND - ms * 1_000_000), ..under_way(3) };
    rate.heed(Alarm::Overdue, since(49), SECOND);
    assert_eq!(rate.choice(), full, "it has just been sent");
    rate.heed(Alarm::Overdue, UnderWay::default(), SECOND);
    assert_eq!(rate.choice(), full, "nothing is missing");
    let least = Choice { frame_ms: 60, bitrate_bps: MIN_BITRATE_BPS, level: false };
    let all_clear = |rate: &mut Rate| rate.heed(Alarm::AllClear, UnderWay::default(), SECOND);
    let no_word = |rate: &mut Rate| rate.tick(SECOND + ALARM_NS);
    for end in [all_clear, no_word] {
        rate.heed(Alarm::Overdue, since(60), SECOND);
        rate.tick(SECOND + ALARM_NS - 1);
        assert_eq!(rate.choice(), least);
        end(&mut rate);
        assert_eq!(rate.choice(), full);
    }
}

#[test]
fn a_free_link_is_used_again_within_fifteen_seconds() {
    let mut rate = Rate::new(64_000, SEAL_BYTES);
    rate.take(&queue(300.0, 16_000), under_way(20), 0);
    let full = (1..60).find(|second| {
        rate.take(&calm(0.0), under_way(1), second * SECOND);
        rate.choice().bitrate_bps == 64_000
    });
    assert!(full.is_some_and(|second| (8..=15).contains(&second)), "{full:?}");
}

#[test]
fn a_probe_beyond_the_links_end_is_a_small_one() {
    let mut rate = Rate::new(64_000, SEAL_BYTES);
    rate.take(&queue(100.0, 40_000), under_way(3), 0);
    let budgets: Vec<f32> = (1..14)
        .map(|second| {
            rate.take(&calm(0.0), under_way(1), second * SECOND);
            rate.budget_bps
        })
        .collect();
    let over = budgets.iter().find(|budget| **budget > 40_000.0).expect("it probes");
    assert!(*over < 1.04 * 40_000.0, "{budgets:?}");
}

#[test]
fn new_loss_slows_down_and_usual_loss_does_not() {
    let mut rate = Rate::new(48_000, SEAL_BYTES);
    (0..60).for_each(|second| rate.take(&calm(8.0), under_way(1), second * SECOND));
    assert_eq!(rate.choice().bitrate_bps, 48_000);
    (60..90).for_each(|second| rate.take(&calm(30.0), under_way(1), second * SECOND));
    assert_eq!(rate.choice(), Choice { frame_ms: 20, bitrate_bps: 16_000, level: true });
    (90..110).for_each(|second| rate.take(&calm(8.0), under_way(1), second * SECOND));
    assert_eq!(rate.choice().bitrate_bps, 48_000);
}

#[test]
fn loss_alone_takes_less_where_no_queue_is_known_to_stand() {
    let mut rate = Rate::new(64_000, SEAL_BYTES);
    let lossy = LinkReport { uplink_loss_pct: 25.0, ..queue(0.0, 60_000) };
    (0..30).for_each(|second| rate.take(&lossy, under_way(1), second * SECOND));
    assert_eq!(rate.choice(), Choice { frame_ms: 20, bitrate_bps: 32_000, level: true });
}

#[test]
fn a_low_bitrate_that_was_asked_for_keeps_short_packets_on_a_good_link() {
    let mut rate = Rate::new(8_000, SEAL_BYTES);
    rate.take(&calm(0.0), under_way(1), SECOND);
    assert_eq!(rate.choice(), Choice { frame_ms: 20, bitrate_bps: 8_000, level: true });
}
