//! What networks and senders do, one test each. The least delay of every network here is 40 ms.

use raccall_record::{LEAD_IN_SAMPLES, Reason, Timeline};

use crate::simulated::{Chance, Flying, MS, Network, Person, SECOND, jitter, offsets, place};

const LEAST_DELAY_MS: f64 = 40.0;

/// What came of a person's packets: the worst offset of the track and of rendered sound, in ms.
struct Outcome {
    timeline: Timeline,
    placed: usize,
    track_ms: f64,
    rendered_ms: f64,
}

impl Outcome {
    fn of(person: &mut Person) -> Self {
        let arrived = person.arrived();
        Self::of_arrived(person, &arrived)
    }

    fn of_arrived(person: &Person, arrived: &[Flying]) -> Self {
        let (timeline, placed) = place(arrived);
        let offsets = offsets(&person.sent, &placed, LEAST_DELAY_MS);
        let track_ms = offsets.iter().filter_map(|offset| offset.track_ms).map(f64::abs).fold(0.0, f64::max);
        let rendered_ms = offsets.iter().map(|offset| offset.exact_ms.abs()).fold(0.0, f64::max);
        Self { timeline, placed: placed.len(), track_ms, rendered_ms }
    }

    fn reasons(&self) -> Vec<Reason> {
        self.timeline.shifts().iter().map(|shift| shift.reason).collect()
    }

    #[track_caller]
    fn within(&self, track_ms: f64, rendered_ms: f64) -> &Self {
        assert!(
            self.track_ms <= track_ms && self.rendered_ms <= rendered_ms,
            "track {:.2} ms, rendered {:.2} ms, {:?}",
            self.track_ms,
            self.rendered_ms,
            self.timeline.shifts().iter().take(5).collect::<Vec<_>>()
        );
        self
    }
}

#[test]
fn jitter_does_not_move_the_anchor() {
    for seed in 0..20 {
        let mut person = Person::new(seed, 0.0);
        person.talk(60.0, &mut jitter(LEAST_DELAY_MS, 30.0, 0.0));
        let outcome = Outcome::of(&mut person);
        outcome.within(3.0, 1.0);
        assert_eq!((outcome.reasons(), outcome.timeline.counts().placed), (vec![], 3000));
    }
}

#[test]
fn a_word_of_five_packets_is_anchored_by_the_luckiest_of_them() {
    for seed in 0..20 {
        let mut person = Person::new(seed, 0.0);
        person.talk(0.1, &mut jitter(LEAST_DELAY_MS, 10.0, 0.0));
        Outcome::of(&mut person).within(10.0 + 1.25, 10.0);
    }
}

#[test]
fn a_fast_sender_without_any_pause_is_followed() {
    for ppm in [-500.0, 500.0] {
        let mut person = Person::new(3, ppm);
        person.talk(1800.0, &mut jitter(LEAST_DELAY_MS, 30.0, 0.02));
        let outcome = Outcome::of(&mut person);
        outcome.within(11.0, 1.5);
        assert!(outcome.reasons().iter().all(|reason| *reason == Reason::DriftInSpeech));
        let steps = outcome.timeline.shifts().iter().map(|shift| shift.samples).sum::<i64>() as f64;
        assert!((steps / MS - ppm * 1.8).abs() < 20.0, "{steps}");
        assert!((outcome.timeline.drift_ppm().unwrap() - ppm).abs() < 3.0);
        let dropped = outcome.timeline.counts().dropped_for_drift;
        assert_eq!(dropped > 0, ppm < 0.0);
        assert_eq!(outcome.placed as u64, outcome.timeline.counts().placed, "rendered sound misses none");
    }
}

#[test]
fn a_clock_that_changes_its_rate_is_followed() {
    let mut person = Person::new(4, 100.0);
    let mut network = jitter(LEAST_DELAY_MS, 20.0, 0.02);
    for ppm in [100.0, 140.0, 60.0, 100.0] {
        person.ppm = ppm;
        person.talk(600.0, &mut network);
    }
    Outcome::of(&mut person).within(12.0, 3.0);
}

#[test]
fn packets_of_10_20_40_and_60_ms_are_placed_alike() {
    for packet_ms in [10.0, 20.0, 40.0, 60.0] {
        for ppm in [-200.0, 200.0] {
            let mut person = Person::new(5, ppm);
            person.packet_ms = packet_ms;
            person.talk(900.0, &mut jitter(LEAST_DELAY_MS, 30.0, 0.05));
            Outcome::of(&mut person).within(10.5, 2.0);
        }
    }
}

#[test]
fn duplicates_are_counted_and_heard_once() {
    let mut person = Person::new(6, 0.0);
    person.talk(60.0, &mut jitter(LEAST_DELAY_MS, 30.0, 0.0));
    for mut again in person.flying.clone() {
        again.arrival += 700.0 * MS * person.chance.share();
        person.flying.push(again);
    }
    let outcome = Outcome::of(&mut person);
    outcome.within(3.0, 1.0);
    assert_eq!((outcome.placed, outcome.timeline.counts().duplicates), (3000, 3000));
}

#[test]
fn a_packet_late_by_less_than_the_look_ahead_is_placed_and_any_later_one_is_reported() {
    let mut person = Person::new(7, 0.0);
    person.talk(120.0, &mut jitter(LEAST_DELAY_MS, 30.0, 0.0));
    person.flying[1000].arrival += 25.0 * SECOND;
    person.flying[2000].arrival += 35.0 * SECOND;
    let outcome = Outcome::of(&mut person);
    outcome.within(3.0, 1.0);
    let counts = outcome.timeline.counts();
    assert_eq!((outcome.placed, counts.late, counts.lost), (5999, 1, 1));
    let late = outcome.timeline.shifts()[0];
    assert_eq!((late.reason, late.samples, late.left_out), (Reason::Late, 0, 960));
    assert!((late.position as f64 - 75.0 * SECOND - LEAD_IN_SAMPLES as f64).abs() < SECOND, "where it arrived");
}

#[test]
fn a_new_ssrc_goes_on_in_the_same_track() {
    for seed in 0..10 {
        let mut person = Person::new(seed, 150.0);
        let mut network = jitter(LEAST_DELAY_MS, 30.0, 0.05);
        for _ in 0..10 {
            person.talk(20.0, &mut network);
            person.rejoin(0.5);
        }
        let outcome = Outcome::of(&mut person);
        outcome.within(12.0, 2.0);
        assert_eq!(outcome.timeline.counts().sources, 10);
        assert_eq!(outcome.timeline.counts().late, 0);
    }
}

#[test]
fn numbers_that_begin_anew_under_the_same_ssrc_are_followed() {
    for (sequence, timestamp) in [(0, 0), (-20_000, 5_000_000), (20_000, -5_000_000), (-100, 90_000_000), (-9000, 1)] {
        let mut person = Person::new(8, -150.0);
        let mut network = jitter(LEAST_DELAY_MS, 30.0, 0.05);
        person.talk(60.0, &mut network);
        person.freeze(2.0);
        person.sequence = person.sequence.saturating_add_signed(sequence);
        person.timestamp += f64::from(timestamp);
        person.talk(60.0, &mut network);
        let sent = person.flying.len();
        let outcome = Outcome::of(&mut person);
        outcome.within(12.0, 1.5);
        assert_eq!(outcome.placed, sent, "{sequence} {timestamp}");
        let lost = outcome.timeline.counts().lost;
        assert!((100..500).contains(&lost), "5 % of 6000, not the jump of numbers: {lost}");
    }
}

#[test]
fn timestamps_that_freeze_in_silence_are_placed_by_arrival() {
    for pause in [0.06, 0.3, 5.0, 100.0] {
        let mut person = Person::new(9, 100.0);
        let mut network = jitter(LEAST_DELAY_MS, 25.0, 0.02);
        for _ in 0..30 {
            person.talk(4.0, &mut network);
            person.freeze(pause);
        }
        let outcome = Outcome::of(&mut person);
        outcome.within(10.0, 5.0);
        let restarts = outcome.reasons().iter().filter(|reason| **reason == Reason::ClockRestarted).count();
        assert_eq!(restarts, 29, "pauses of {pause} s");
    }
}

#[test]
fn timestamps_that_jump_are_placed_by_arrival() {
    for jump in [-2.0e9, -50_000.0, 10_000.0, 48_000.0, 4.0e6, 2.0e9] {
        let mut person = Person::new(10, 0.0);
        let mut network = jitter(LEAST_DELAY_MS, 25.0, 0.02);
        person.talk(40.0, &mut network);
        person.timestamp += jump;
        person.talk(40.0, &mut network);
        let sent = person.flying.len();
        let outcome = Outcome::of(&mut person);
        outcome.within(6.0, 5.0);
        assert_eq!(outcome.placed, sent);
        let shifts = outcome.timeline.shifts();
        assert!(shifts.len() <= 2 && shifts[0].reason == Reason::ClockRestarted, "{jump}: {shifts:?}");
    }
}

#[test]
fn stalls_that_drain_move_nothing() {
    let mut person = Person::new(11, 50.0);
    let mut chance = Chance(1);
    let mut until = 0.0;
    let mut network = move |now: f64, _: &mut Chance| {
        if chance.share() < 0.002 {
            until = now + 3.0 * SECOND * chance.share(); // Wi-Fi lets go of everything at once
        }
        Some((LEAST_DELAY_MS + 5.0 * chance.share()) * MS + (until - now).max(0.0))
    };
    person.talk(600.0, &mut network);
    let outcome = Outcome::of(&mut person);
    outcome.within(10.0, 1.0);
    assert!(!outcome.reasons().contains(&Reason::ClockRestarted));
}

#[test]
fn congestion_of_a_minute_moves_rendered_sound_by_2_ms() {
    let mut person = Person::new(12, 50.0);
    let mut loss = jitter(LEAST_DELAY_MS, 10.0, 0.05);
    let mut network = move |now: f64, chance: &mut Chance| {
        let since = now / SECOND % 300.0 - 200.0; // fills a queue of 150 ms in 3 s, each five minutes, for a minute
        let queue = if (0.0..60.0).contains(&since) { 150.0 * MS * (since / 3.0).min(1.0) } else { 0.0 };
        Some(loss(now, chance)? + queue)
    };
    person.talk(1500.0, &mut network);
    let outcome = Outcome::of(&mut person);
    outcome.within(12.0, 3.0);
    assert!(!outcome.reasons().contains(&Reason::ClockRestarted));
}

/// Talks of 5 s with pauses of 1 s, in which timestamps go on.
fn talks(person: &mut Person, seconds: f64, network: &mut Network<'_>) {
    let until = person.now + seconds * SECOND;
    while person.now < until {
        person.talk(5.0, network);
        person.pause(1.0);
    }
}

#[test]
fn a_route_that_is_longer_for_a_minute_and_a_half_moves_nothing() {
    let mut person = Person::new(13, 100.0);
    let mut usual = jitter(LEAST_DELAY_MS, 10.0, 0.01);
    talks(&mut person, 120.0, &mut usual);
    talks(&mut person, 90.0, &mut jitter(LEAST_DELAY_MS + 80.0, 10.0, 0.01));
    talks(&mut person, 120.0, &mut usual);
    let outcome = Outcome::of(&mut person);
    outcome.within(10.0, 5.0);
    assert!(!outcome.reasons().contains(&Reason::ClockRestarted));
}

#[test]
fn a_route_that_becomes_longer_for_good_is_followed_after_two_minutes_and_back() {
    let mut person = Person::new(13, 0.0);
    let mut usual = jitter(LEAST_DELAY_MS, 10.0, 0.01);
    talks(&mut person, 120.0, &mut usual);
    let changed = person.now;
    talks(&mut person, 300.0, &mut jitter(LEAST_DELAY_MS + 80.0, 10.0, 0.01));
    let back = person.now;
    talks(&mut person, 120.0, &mut usual);
    let (timeline, placed) = place(&person.arrived());
    for offset in offsets(&person.sent, &placed, LEAST_DELAY_MS) {
        let (since, until) = ((offset.sent - changed) / SECOND, (back - offset.sent) / SECOND);
        let (least, most) = match (since, until) {
            (..120.0, _) | (_, ..0.0) => (0.0, 0.0),
            (..130.0, _) | (_, ..31.0) => (0.0, 80.0), // what comes earlier than before is known a look-ahead before
            _ => (80.0, 80.0),
        };
        assert!((least - 8.0..most + 8.0).contains(&offset.exact_ms), "{since} {until} {offset:?}");
    }
    let shifts = timeline.shifts().iter().filter(|shift| shift.samples.abs() > 960);
    let shifts = shifts.map(|shift| (shift.reason, (shift.samples as f64 / MS).round())).collect::<Vec<_>>();
    let [(up, by), (down, back_by)] = shifts[..] else { panic!("{shifts:?}") };
    assert_eq!((up, down), (Reason::ClockRestarted, Reason::DriftInSilence));
    assert!((by - 80.0).abs() < 6.0 && (back_by + 80.0).abs() < 6.0, "{shifts:?}");
}

#[test]
fn a_sound_card_that_stops_now_and_then_is_followed() {
    let mut person = Person::new(18, 0.0);
    let mut network = jitter(LEAST_DELAY_MS, 10.0, 0.01);
    talks(&mut person, 30.0, &mut network);
    for _ in 0..10 {
        person.freeze(0.1);
        talks(&mut person, 300.0, &mut network);
    }
    let outcome = Outcome::of(&mut person);
    assert!(outcome.track_ms < 110.0 && outcome.rendered_ms < 110.0, "{}", outcome.rendered_ms);
}

#[test]
fn a_wall_clock_that_is_set_moves_nothing() {
    let mut person = Person::new(19, 100.0);
    person.talk(60.0, &mut jitter(LEAST_DELAY_MS, 10.0, 0.0));
    let mut arrived = person.arrived();
    for packet in &mut arrived[1000..1003] {
        packet.arrival -= 3600.0 * SECOND; // set forward after these were stamped; backward is clipped by the receiver
    }
    let outcome = Outcome::of_arrived(&person, &arrived);
    outcome.within(10.0, 1.0);
    assert_eq!((outcome.placed, outcome.reasons().contains(&Reason::ClockRestarted)), (3000, false));
}

#[test]
fn of_two_sources_of_one_person_the_newer_is_heard() {
    let mut old = Person::new(14, 0.0);
    old.talk(60.0, &mut jitter(LEAST_DELAY_MS, 10.0, 0.0));
    let mut new = Person::new(15, 0.0);
    (new.ssrc, new.now) = (2, 20.0 * SECOND);
    new.talk(20.0, &mut jitter(LEAST_DELAY_MS, 10.0, 0.0));
    let mut arrived = [old.flying.clone(), new.flying.clone()].concat();
    arrived.sort_by(|a, b| a.arrival.total_cmp(&b.arrival));
    let (timeline, placed) = place(&arrived);
    let heard = placed.iter().map(|entry| (entry.exact - LEAD_IN_SAMPLES as f64) / SECOND);
    assert!(heard.is_sorted());
    let counts = timeline.counts();
    assert_eq!((counts.sources, counts.placed + counts.overlapping), (2, 4000));
    assert!((1095..=1105).contains(&counts.overlapping), "20 s and the 2 s after them: {}", counts.overlapping);
    let left_out = timeline.shifts().iter().filter(|shift| shift.reason == Reason::OverlappingSource);
    assert_eq!(left_out.map(|shift| shift.left_out).sum::<i64>(), 960 * counts.overlapping as i64);
}

#[test]
fn a_sender_faster_than_time_does_not_make_the_recording_longer() {
    let mut person = Person::new(16, 0.0);
    person.talk(200.0, &mut jitter(LEAST_DELAY_MS, 1.0, 0.0));
    for packet in &mut person.flying {
        packet.arrival /= 20.0;
    }
    let (timeline, placed) = place(&person.arrived());
    assert!(timeline.end() < 11 * 48_000, "{}", timeline.end());
    let counts = timeline.counts();
    assert_eq!(counts.placed as usize, placed.len());
    assert_eq!(counts.placed + counts.excess + counts.late, 10_000);
    assert!(timeline.shifts().len() < 100, "{:?}", &timeline.shifts()[..30]);
}

#[test]
fn numbers_and_times_of_a_hostile_sender_harm_nothing() {
    let mut chance = Chance(17);
    let mut person = Person::new(17, 0.0);
    person.talk(100.0, &mut jitter(LEAST_DELAY_MS, 10.0, 0.0));
    for packet in &mut person.flying {
        match chance.bits() % 4 {
            0 => packet.sequence = chance.bits() % (1 << 17),
            1 => packet.timestamp = chance.bits() % (1 << 33),
            2 => packet.ssrc = (chance.bits() % 40) as u32,
            _ => {}
        }
    }
    let (timeline, _) = place(&person.arrived());
    assert!(timeline.end() < 103 * 48_000);
}
