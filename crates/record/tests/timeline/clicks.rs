//! Two members for hours: wherever in the call a click is, it lies where it was said.
//!
//! "Where" is the moment it was sent plus the least delay of the member's network, which is constant and which no
//! recorder can know. Four things are compared, in tracks and in rendered sound: each packet with that moment; with the
//! same member's first minute; and with the other member's packets of the same minute.

use std::time::Instant;

use crate::simulated::{Chance, Offset, Person, SECOND, jitter, offsets, place};

const LEAST_DELAY_MS: f64 = 40.0;
const MINUTE: f64 = 60.0 * SECOND;

#[derive(Clone, Copy)]
struct Network {
    jitter_ms: f64,
    loss: f64,
}

const NETWORKS: [Network; 3] = [
    Network { jitter_ms: 1.0, loss: 0.0 },
    Network { jitter_ms: 30.0, loss: 0.05 },
    Network { jitter_ms: 60.0, loss: 0.2 },
];

/// A member's call: talk of 2 to 15 s and pauses of 0.1 to 8 s, or no pause at all; a rejoin every half hour.
fn call(seed: u64, ppm: f64, hours: f64, network: Network, pauses: bool) -> Vec<Offset> {
    let mut person = Person::new(seed, ppm);
    let mut chance = Chance(!seed);
    let mut under_way = jitter(LEAST_DELAY_MS, network.jitter_ms, network.loss);
    let mut rejoin = 30.0 * MINUTE;
    while person.now < hours * 60.0 * MINUTE {
        person.talk(2.0 + 13.0 * chance.share(), &mut under_way);
        if pauses {
            person.pause(0.1 + 8.0 * chance.share());
        }
        if person.now > rejoin {
            rejoin += 30.0 * MINUTE;
            person.rejoin(3.0);
        }
    }
    let arrived = person.arrived();
    let begun = Instant::now();
    let (timeline, placed) = place(&arrived);
    let each_ns = begun.elapsed().as_nanos() / arrived.len() as u128;
    assert_eq!(placed.len(), arrived.len());
    println!("seed {seed}: {} packets, {each_ns} ns each, {:.2} ppm", placed.len(), timeline.drift_ppm().unwrap());
    offsets(&person.sent, &placed, LEAST_DELAY_MS)
}

/// Least and largest of some offsets, in ms.
#[derive(Clone, Copy)]
struct Range(f64, f64);

impl Range {
    fn of(each: impl Iterator<Item = f64>) -> Self {
        each.fold(Self(f64::MAX, f64::MIN), |range, ms| Self(range.0.min(ms), range.1.max(ms)))
    }

    fn worst_against(self, other: Self) -> f64 {
        (self.1 - other.0).max(other.1 - self.0)
    }
}

fn minutes(offsets: &[Offset], of: impl Fn(&Offset) -> Option<f64>) -> Vec<Range> {
    let each = offsets.chunk_by(|a, b| (a.sent / MINUTE).floor() == (b.sent / MINUTE).floor());
    each.map(|minute| Range::of(minute.iter().filter_map(&of))).collect()
}

/// The worst of the comparisons in ms: with the truth, with the own first minute, with the other member.
fn compare(a: &[Offset], b: &[Offset], of: impl Fn(&Offset) -> Option<f64> + Copy) -> [f64; 3] {
    let (a, b) = (minutes(a, of), minutes(b, of));
    let zero = Range(0.0, 0.0);
    let each = |member: &[Range], other: Range| member.iter().map(|m| m.worst_against(other)).fold(0.0, f64::max);
    let between = a.iter().zip(&b).map(|(a, b)| a.worst_against(*b)).fold(0.0, f64::max);
    [each(&a, zero).max(each(&b, zero)), each(&a, a[0]).max(each(&b, b[0])), between]
}

fn two_members(seed: u64, hours: f64) {
    for network in NETWORKS {
        for pauses in [true, false] {
            let a = call(2 * seed, 200.0, hours, network, pauses);
            let b = call(2 * seed + 1, -200.0, hours, network, pauses);
            let track = compare(&a, &b, |offset| offset.track_ms);
            let rendered = compare(&a, &b, |offset| Some(offset.exact_ms));
            let Network { jitter_ms, loss } = network;
            println!("jitter {jitter_ms} ms, loss {loss}, pauses {pauses}: track {track:.2?}, rendered {rendered:.2?}");
            assert!(track.iter().all(|ms| *ms < 20.0), "{track:?}");
            assert!(rendered.iter().all(|ms| *ms < 2.0), "{rendered:?}");
        }
    }
}

#[test]
fn clicks_of_two_members_lie_where_they_were_said_for_an_hour() {
    two_members(1, 1.0);
}

#[test]
#[ignore = "a minute; `make soak` runs it"]
fn clicks_of_two_members_lie_where_they_were_said_for_six_hours() {
    for seed in 1..=5 {
        two_members(seed, 6.0);
    }
}
