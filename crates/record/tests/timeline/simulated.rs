//! One person's microphone, clock and network, seeded, in virtual time.
//!
//! Each packet carries its number, so that a test knows when it was sent. Times are samples of true time at 48 kHz since
//! the recording began, as fractions.

use std::collections::HashMap;

use raccall_record::{Batch, LEAD_IN_SAMPLES, Nanos, PlacedBatch, Received, Timeline};
use raccall_wire::sequence::{Extended16, Extended32};

/// When the recording began.
pub const START: Nanos = 100_000_000_000_000;
pub const SECOND: f64 = 48_000.0;
pub const MS: f64 = 48.0;

/// SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone)]
pub struct Chance(pub u64);

impl Chance {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What the network does to one packet sent at a time: how late it comes, in samples, or that it is lost.
pub type Network<'a> = dyn FnMut(f64, &mut Chance) -> Option<f64> + 'a;

/// Delay and even jitter in ms, share lost.
pub fn jitter(delay_ms: f64, jitter_ms: f64, loss: f64) -> impl FnMut(f64, &mut Chance) -> Option<f64> {
    move |_, chance| {
        let late = delay_ms + jitter_ms * chance.share();
        (chance.share() >= loss).then_some(late * MS)
    }
}

/// A packet under way.
#[derive(Clone, Debug)]
pub struct Flying {
    pub arrival: f64,
    pub ssrc: u32,
    /// Both wrap on their way.
    pub sequence: u64,
    pub timestamp: u64,
    pub payload: Vec<u8>,
}

pub struct Person {
    pub ssrc: u32,
    pub sequence: u64,
    pub timestamp: f64,
    pub now: f64,
    /// How much slower than true time the clock runs.
    pub ppm: f64,
    pub packet_ms: f64,
    pub chance: Chance,
    /// When each packet was sent.
    pub sent: Vec<f64>,
    pub flying: Vec<Flying>,
}

impl Person {
    pub fn new(seed: u64, ppm: f64) -> Self {
        Self {
            ssrc: 1,
            sequence: 65_530 + (1 << 16),
            timestamp: (2_f64.powi(32) - 4_800.0) + 2_f64.powi(32),
            now: 0.0,
            ppm,
            packet_ms: 20.0,
            chance: Chance(seed),
            sent: Vec::new(),
            flying: Vec::new(),
        }
    }

    /// Talks for `seconds` of true time.
    pub fn talk(&mut self, seconds: f64, network: &mut Network<'_>) {
        let until = self.now + seconds * SECOND;
        while self.now < until {
            let number = self.sent.len() as u32;
            self.sent.push(self.now);
            if let Some(late) = network(self.now, &mut self.chance) {
                let payload = payload(self.packet_ms, number, &mut self.chance);
                let (ssrc, sequence, timestamp) = (self.ssrc, self.sequence, self.timestamp as u64);
                let arrival = self.now + late;
                self.flying.push(Flying { arrival, ssrc, sequence, timestamp, payload });
            }
            self.sequence += 1;
            self.timestamp += self.packet_ms * MS;
            self.now += self.packet_ms * MS * (1.0 + self.ppm * 1e-6);
        }
    }

    /// Says nothing; the timestamps go on.
    pub fn pause(&mut self, seconds: f64) {
        self.freeze(seconds);
        self.timestamp += (seconds * SECOND / (1.0 + self.ppm * 1e-6)).round();
    }

    /// Says nothing, and neither do the timestamps count.
    pub fn freeze(&mut self, seconds: f64) {
        self.now += seconds * SECOND;
    }

    /// Leaves and comes back after `seconds`.
    pub fn rejoin(&mut self, seconds: f64) {
        self.freeze(seconds);
        self.ssrc += 1;
        self.sequence = self.chance.bits() % 65_536 + 65_536;
        self.timestamp = (self.chance.bits() % (1 << 32)) as f64 + 2_f64.powi(32);
    }

    /// What arrives, in order of arrival.
    pub fn arrived(&mut self) -> Vec<Flying> {
        self.flying.sort_by(|a, b| a.arrival.total_cmp(&b.arrival));
        std::mem::take(&mut self.flying)
    }
}

/// SILK of 10 to 60 ms; its size says nothing of how loud it is, but differs.
fn payload(packet_ms: f64, number: u32, chance: &mut Chance) -> Vec<u8> {
    let config = match packet_ms as u32 {
        10 => 8_u8,
        20 => 9,
        40 => 10,
        60 => 11,
        _ => panic!("no such packet"),
    };
    let mut bytes = vec![config << 3];
    bytes.extend(number.to_be_bytes());
    bytes.resize(25 + (chance.bits() % 40) as usize, 0x55);
    bytes
}

/// Feeds what arrived to a timeline as rendering does: batches of 100 ms.
pub fn place(arrived: &[Flying]) -> (Timeline, PlacedBatch) {
    let mut timeline = Timeline::new(START);
    let mut placed = PlacedBatch::default();
    let mut batch = Batch::default();
    let mut rtp = Vec::new();
    let mut extended = HashMap::<u32, (Extended16, Extended32)>::new(); // as a tap does
    let mut step = START;
    for packet in arrived {
        let arrival = START.saturating_add_signed((packet.arrival * 1e9 / SECOND) as i64);
        if arrival > step {
            batch.iter().for_each(|packet| timeline.push(packet));
            timeline.pull(arrival, &mut placed);
            batch = Batch::default();
            step = arrival + 100_000_000;
        }
        write_rtp(packet, &mut rtp);
        let ssrc = packet.ssrc;
        let (sequences, timestamps) = extended.entry(ssrc).or_default();
        let sequence = sequences.extend(packet.sequence as u16);
        let timestamp = timestamps.extend(packet.timestamp as u32);
        batch.push(Received { arrival, ssrc, sequence, timestamp, rtp: &rtp });
    }
    batch.iter().for_each(|packet| timeline.push(packet));
    timeline.finish(&mut placed);
    check(&placed);
    (timeline, placed)
}

pub fn write_rtp(packet: &Flying, rtp: &mut Vec<u8>) {
    rtp.clear();
    rtp.extend([0x80, 0x78]);
    rtp.extend((packet.sequence as u16).to_be_bytes());
    rtp.extend((packet.timestamp as u32).to_be_bytes());
    rtp.extend(packet.ssrc.to_be_bytes());
    rtp.extend(&packet.payload);
}

/// What holds for every timeline.
fn check(placed: &PlacedBatch) {
    let (mut end, mut exact_end) = (0, f64::MIN);
    for entry in placed.iter() {
        assert_eq!(entry.position % 120, 0);
        assert!(entry.exact >= exact_end - 0.011 * f64::from(entry.samples), "{} {exact_end}", entry.exact);
        exact_end = entry.exact + f64::from(entry.samples);
        if entry.in_track {
            assert!(entry.position >= end);
            end = entry.position + u64::from(entry.samples);
        }
    }
}

/// How far packets lie from where they were sent.
#[derive(Clone, Copy, Debug)]
pub struct Offset {
    pub sent: f64,
    pub track_ms: Option<f64>,
    pub exact_ms: f64,
}

/// For each placed packet: its place, minus when it was sent, minus the network's least delay.
pub fn offsets(sent: &[f64], placed: &PlacedBatch, least_delay_ms: f64) -> Vec<Offset> {
    let offset = |place: f64, sent: f64| (place - LEAD_IN_SAMPLES as f64 - sent) / MS - least_delay_ms;
    let each = placed.iter().map(|entry| {
        let number = u32::from_be_bytes(entry.payload[1..5].try_into().unwrap());
        let sent = sent[number as usize];
        Offset {
            sent,
            track_ms: entry.in_track.then(|| offset(entry.position as f64, sent)),
            exact_ms: offset(entry.exact, sent),
        }
    });
    each.collect()
}
