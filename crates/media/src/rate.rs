//! How much a sender may send, and in which packets.
//!
//! The budget is what the link carries: bits a second with everything on them, headers of IP and UDP included, for at 16 kb/s they are
//! more than the voice. Each report of the relay moves it (DESIGN section 5: uplink loss and queueing set the bitrate):
//!
//! 1. **A queue stands** (every packet waits, not just some; the relay measures it): the budget becomes 85 % of what got through
//!    meanwhile, which is what the link can carry. Both as Google's congestion control does it (draft-ietf-rmcat-gcc-02, sections 5.4
//!    and 5.5), but measured by the relay packet by packet, which tells at once, five times a second, until the queue is gone. What has
//!    piled up is let drain first: frames are held back as long as they would only wait, for late voice is worth nothing.
//! 2. **Loss beyond the usual**: the budget falls by half of it (the same draft, section 6). How far depends on what is known. Where the
//!    relay tells of queues and none stands, the link is not full: to that of 32 kb/s, for less would not make it lose less, and
//!    error correction needs room (at 20 % loss a speaker's track is the less like the speech the lower this is). Where nobody tells,
//!    to that of 16 kb/s. Both in packets of 20 ms. Usual is what a link loses at all rates, as Wi-Fi does.
//! 3. **Neither for two seconds**: it grows, by 3 % a second until it is past what got through last; then the link has become
//!    faster, and it grows by 10 %, 20 %, 30 % a second. 16 kb/s become 92 in fourteen seconds.
//!
//! Before a queue can be measured its first packet has to come through it. So the relay alarms when the next packet should have come and
//! has not, and until it says more the least is sent, in the longest packets: that fills no link of 16 kb/s further, and if it was but a
//! stall, those packets would have waited anyway. The budget is not touched.
//!
//! Which packets a budget buys, `packets.rs` says.
//!
//! The expected loss, which sizes LBRR, follows what the listeners report (`send/coding.rs`): three quarters of them hear no worse.

mod packets;

use raccall_wire::Nanos;
use raccall_wire::feedback::Alarm;

pub use self::packets::Choice;
use self::packets::{IP_UDP_BYTES, Packets, SHORTEST_FRAME_MS};
use crate::flight::UnderWay;
use crate::report::LinkReport;

/// A standing queue beyond this is one; and a link so slow that one packet takes long adds that.
const QUEUE_MS: f32 = 25.0;
const BACK_OFF: f32 = 0.85;
/// What is left at least, from one report to the next, of a link that falls.
const MOST_FALL: f32 = 0.6;
const CALM_NS: Nanos = 2_000_000_000;
/// Frames are held back for at most this long at a time.
const LONGEST_HOLD_MS: f32 = 1_000.0;

/// What has been under way for the round trip and this is overdue, not just sent.
const OVERDUE_MS: f32 = 10.0;
/// An alarm is about that long at most: the word that ends it may get lost.
const ALARM_NS: Nanos = 500_000_000;

/// Per second.
const GROWTH: (f32, f32) = (0.10, 0.30);
const GROWTH_STEP: f32 = 0.10;
const CAREFUL_GROWTH: f32 = 0.03;
/// So far past the rate at which a queue stood, the link has become faster.
const PAST: f32 = 1.08;

/// Loss above the usual by more than this is too much; a little more is no reason to slow down, and none to try more.
const LOSS_STEPS_PCT: (f32, f32) = (10.0, 3.0);
const USUAL_LOSS_WEIGHT: f32 = 0.1;
const LOSS_FLOOR_BPS: f32 = 16_000.0;
const LOSS_FLOOR_WITHOUT_QUEUE_BPS: f32 = 32_000.0;

#[derive(Debug)]
pub struct Rate {
    packets: Packets,
    budget_bps: f32,
    choice: Choice,
    /// What got through when a queue stood last.
    capacity_bps: Option<f32>,
    least_round_trip_ms: Option<f32>,
    usual_loss_pct: f32,
    growth: f32,
    grow_from: Nanos,
    hold_until: Nanos,
    alarmed_until: Nanos,
    last_report: Option<Nanos>,
}

impl Rate {
    /// `most_bps`: of payloads, what is sent on a good link. `seal_bytes`: what the transport adds to a packet.
    pub fn new(most_bps: i32, seal_bytes: usize) -> Self {
        let packets = Packets { most_bps, seal_bytes };
        Self {
            budget_bps: packets.most_budget_bps(),
            choice: Choice { frame_ms: SHORTEST_FRAME_MS, bitrate_bps: most_bps, level: true },
            packets,
            capacity_bps: None,
            least_round_trip_ms: None,
            usual_loss_pct: 0.0,
            growth: GROWTH.0,
            grow_from: 0,
            hold_until: 0,
            alarmed_until: 0,
            last_report: None,
        }
    }

    /// What transport and encryption add to a packet from now on.
    pub fn set_seal_bytes(&mut self, seal_bytes: usize) {
        self.change(|packets| packets.seal_bytes = seal_bytes);
    }

    /// Another most, from now on. On a link that was never full all of it may be used at once, as at the beginning of a call.
    pub fn set_most_bps(&mut self, most_bps: i32) {
        self.change(|packets| packets.most_bps = most_bps);
    }

    /// A link that was never full may carry all of the new most; one that was carries what it did.
    fn change(&mut self, change: impl FnOnce(&mut Packets)) {
        let was_free = self.capacity_bps.is_none() && self.budget_bps >= self.packets.most_budget_bps();
        change(&mut self.packets);
        let (least_bps, most_bps) = (self.packets.least_budget_bps(), self.packets.most_budget_bps());
        self.budget_bps = if was_free { most_bps } else { self.budget_bps.clamp(least_bps, most_bps) };
        self.choose();
    }

    pub fn choice(&self) -> Choice {
        self.choice
    }

    /// What is sent now would only wait in the queue.
    pub fn holds(&self, now: Nanos) -> bool {
        now < self.hold_until
    }

    /// Takes the relay's alarm. `under_way`: what had not arrived when it was written.
    pub fn heed(&mut self, alarm: Alarm, under_way: UnderWay, now: Nanos) {
        let waited_ms = under_way.since.map_or(0.0, |since| now.saturating_sub(since) as f32 / 1e6);
        match alarm {
            Alarm::Overdue if waited_ms > self.least_round_trip_ms.unwrap_or(0.0) + OVERDUE_MS => {
                self.alarmed_until = now + ALARM_NS;
            }
            Alarm::Overdue => {}
            Alarm::AllClear => self.alarmed_until = 0,
        }
        self.choose();
    }

    /// To be called before a packet is begun: an alarm does not last.
    pub fn tick(&mut self, now: Nanos) {
        if self.alarmed_until != 0 && now >= self.alarmed_until {
            self.alarmed_until = 0;
            self.choose();
        }
    }

    /// Takes the relay's report. `under_way`: what had not arrived when it was written.
    pub fn take(&mut self, report: &LinkReport, under_way: UnderWay, now: Nanos) {
        let seconds = self.last_report.map_or(1.0, |last| now.saturating_sub(last).min(1_000_000_000) as f32 / 1e9);
        self.last_report = Some(now);
        let queue_ms = report.queue.map_or(0.0, |queue| queue.standing_ms);
        let arrived_bps = report.queue.and_then(|queue| queue.arrived_bps(IP_UDP_BYTES));
        let excess_pct = report.uplink_loss_pct - self.usual_loss_pct;
        let round_trips_ms = self.least_round_trip_ms.into_iter().chain(report.round_trip_ms);
        self.least_round_trip_ms = round_trips_ms.reduce(f32::min);
        if let Some((arrived_bps, surplus_ms)) = arrived_bps.and_then(|bps| self.surplus(queue_ms, bps, under_way)) {
            self.back_off(arrived_bps, surplus_ms, now);
        } else if excess_pct > LOSS_STEPS_PCT.0 {
            let floor = if report.queue.is_some() { LOSS_FLOOR_WITHOUT_QUEUE_BPS } else { LOSS_FLOOR_BPS };
            let floor_bps = self.packets.budget_bps(SHORTEST_FRAME_MS, floor).min(self.budget_bps);
            self.budget_bps = (self.budget_bps * (1.0 - excess_pct / 200.0)).max(floor_bps);
            self.calm_down(now, seconds);
        } else if excess_pct < LOSS_STEPS_PCT.1 && queue_ms == 0.0 && now >= self.grow_from {
            self.grow(seconds);
        }
        let usual_pct = report.uplink_loss_pct.min(LOSS_STEPS_PCT.0);
        self.usual_loss_pct += (usual_pct - self.usual_loss_pct) * USUAL_LOSS_WEIGHT * seconds;
        self.choose();
    }

    /// What got through, and how long packets wait beyond what they may, if they do: as the relay measured, or as many as are under way
    /// behind those, which on a link that has just become slow is known first.
    fn surplus(&self, queue_ms: f32, arrived_bps: f32, under_way: UnderWay) -> Option<(f32, f32)> {
        let limit_ms = QUEUE_MS + self.packet_bits() * 1000.0 / arrived_bps;
        let under_way_bytes = under_way.bytes as f32 + f32::from(under_way.packets) * IP_UDP_BYTES as f32;
        let sending_ms = under_way_bytes * 8000.0 / arrived_bps;
        let surplus_ms = sending_ms - self.least_round_trip_ms.unwrap_or(0.0) - limit_ms;
        (queue_ms > limit_ms || (queue_ms > 0.0 && surplus_ms > 0.0)).then_some((arrived_bps, surplus_ms))
    }

    fn back_off(&mut self, arrived_bps: f32, surplus_ms: f32, now: Nanos) {
        // A link that falls and falls, as one walks away from it, is met where it will be at the next report.
        let fallen_bps = self.capacity_bps.filter(|_| now < self.grow_from).map_or(0.0, |before| before - arrived_bps);
        let expected_bps = (arrived_bps - fallen_bps.max(0.0)).max(arrived_bps * MOST_FALL);
        self.capacity_bps = Some(arrived_bps);
        self.alarmed_until = 0;
        if surplus_ms > 0.0 {
            self.hold_until = now + (surplus_ms.min(LONGEST_HOLD_MS) * 1e6) as Nanos;
        }
        self.budget_bps = (BACK_OFF * expected_bps).clamp(self.packets.least_budget_bps(), self.budget_bps);
        self.growth = GROWTH.0;
        self.grow_from = now + CALM_NS;
    }

    fn calm_down(&mut self, now: Nanos, seconds: f32) {
        self.growth = GROWTH.0;
        self.grow_from = now + (seconds * 1e9) as Nanos;
    }

    fn grow(&mut self, seconds: f32) {
        self.capacity_bps = self.capacity_bps.filter(|capacity_bps| self.budget_bps < PAST * capacity_bps);
        let growth = if self.capacity_bps.is_some() { CAREFUL_GROWTH } else { self.growth };
        self.budget_bps = (self.budget_bps * (1.0 + growth * seconds)).min(self.packets.most_budget_bps());
        if self.capacity_bps.is_none() {
            self.growth = (self.growth + GROWTH_STEP * seconds).min(GROWTH.1);
        }
    }

    fn choose(&mut self) {
        let alarmed = self.alarmed_until != 0;
        let packets = &self.packets;
        self.choice = if alarmed { packets.least() } else { packets.choose(self.budget_bps, self.choice.frame_ms) };
    }

    fn packet_bits(&self) -> f32 {
        let Choice { frame_ms, bitrate_bps, .. } = self.choice;
        self.packets.wire_bps(frame_ms, bitrate_bps as f32) * frame_ms as f32 / 1000.0
    }
}

#[cfg(test)]
mod tests;
