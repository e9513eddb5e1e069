//! What a budget buys: packets of which length, with payloads of how many bits.
//!
//! The budget is of all that the link carries, headers included. Packets get longer as it shrinks, because each costs 60 bytes around its
//! payload: 20 ms while that leaves 16 kb/s (speech at full width), 40 ms while that leaves 10 kb/s, else 60 ms, which are also the first to
//! do without their level in the header.

pub const MIN_BITRATE_BPS: i32 = 6_000;

/// IPv4 and UDP. IPv6 has 20 bytes more: the queue tells.
pub const IP_UDP_BYTES: usize = 28;
const RTP_BYTES: usize = 12;
const LEVEL_BYTES: usize = 8;

/// One report a second about us and about three listeners.
pub const REPORT_BPS: f32 = 1_000.0;

pub const SHORTEST_FRAME_MS: usize = 20;
/// Of packets: their length in ms, and the payload's bitrate that makes them worth their headers.
const FRAMES: [(usize, f32); 2] = [(SHORTEST_FRAME_MS, 16_000.0), (40, 10_000.0)];
const LONGEST_FRAME_MS: usize = 60;
/// Shorter packets come back when there is this much more than they need.
const HYSTERESIS: f32 = 1.1;

/// How to send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Of one packet: 20, 40 or 60.
    pub frame_ms: usize,
    /// Of the payloads alone.
    pub bitrate_bps: i32,
    /// Whether there is room for the level in the header.
    pub level: bool,
}

/// What is around a payload, and the most that a payload may have.
#[derive(Debug)]
pub struct Packets {
    pub most_bps: i32,
    /// What transport and encryption add.
    pub seal_bytes: usize,
}

impl Packets {
    /// `former_ms`: of the packets until now.
    pub fn choose(&self, budget_bps: f32, former_ms: usize) -> Choice {
        let fits = |(frame_ms, worth_bps): &(usize, f32)| {
            let margin = if *frame_ms < former_ms { HYSTERESIS } else { 1.0 };
            self.payload_bps(budget_bps, *frame_ms) >= (worth_bps * margin).min(self.most_bps as f32)
        };
        let frame_ms = FRAMES.iter().find(|frame| fits(frame)).map_or(LONGEST_FRAME_MS, |frame| frame.0);
        let payload_bps = self.payload_bps(budget_bps, frame_ms) as i32;
        let bitrate_bps = payload_bps.clamp(MIN_BITRATE_BPS.min(self.most_bps), self.most_bps);
        Choice { frame_ms, bitrate_bps, level: frame_ms < LONGEST_FRAME_MS }
    }

    /// The least, in the longest packets.
    pub fn least(&self) -> Choice {
        Choice { frame_ms: LONGEST_FRAME_MS, bitrate_bps: MIN_BITRATE_BPS.min(self.most_bps), level: false }
    }

    /// The budget of all that may be sent.
    pub fn most_budget_bps(&self) -> f32 {
        self.budget_bps(SHORTEST_FRAME_MS, self.most_bps as f32)
    }

    /// The budget of the least.
    pub fn least_budget_bps(&self) -> f32 {
        self.budget_bps(LONGEST_FRAME_MS, self.least().bitrate_bps as f32)
    }

    /// The budget that payloads of so many bits need in packets of `frame_ms`, reports included.
    pub fn budget_bps(&self, frame_ms: usize, payload_bps: f32) -> f32 {
        self.wire_bps(frame_ms, payload_bps) + REPORT_BPS
    }

    /// What packets of `frame_ms` need on the wire for `payload_bps`.
    pub fn wire_bps(&self, frame_ms: usize, payload_bps: f32) -> f32 {
        let level_bytes = if frame_ms < LONGEST_FRAME_MS { LEVEL_BYTES } else { 0 };
        let around_bytes = IP_UDP_BYTES + RTP_BYTES + level_bytes + self.seal_bytes;
        payload_bps + (around_bytes * 8 * 1000) as f32 / frame_ms as f32
    }

    fn payload_bps(&self, budget_bps: f32, frame_ms: usize) -> f32 {
        budget_bps - self.budget_bps(frame_ms, 0.0)
    }
}
