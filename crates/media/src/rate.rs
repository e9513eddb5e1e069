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
//! Packets get longer as the budget shrinks, because each costs 60 bytes around its payload: 20 ms while that leaves 16 kb/s (speech at
//! full width), 40 ms while that leaves 10 kb/s, else 60 ms, which are also the first to do without their level in the header.
//!
//! The expected loss, which sizes LBRR, follows what the listeners report: three quarters of them hear no worse.

use raccall_wire::Nanos;
use raccall_wire::feedback::Alarm;

use crate::flight::UnderWay;
use crate::report::LinkReport;

pub const MIN_BITRATE_BPS: i32 = 6_000;

/// IPv4 and UDP. IPv6 has 20 bytes more: the queue tells.
const IP_UDP_BYTES: usize = 28;
const RTP_BYTES: usize = 12;
pub const LEVEL_BYTES: usize = 8;

/// One report a second about us and about three listeners.
const REPORT_BPS: f32 = 1_000.0;

/// Of packets: their length in ms, and the payload's bitrate that makes them worth their headers.
const FRAMES: [(usize, f32); 2] = [(20, 16_000.0), (40, 10_000.0)];
const LONGEST_FRAME_MS: usize = 60;
/// Shorter packets come back when there is this much more than they need.
const HYSTERESIS: f32 = 1.1;

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

#[derive(Debug)]
pub struct Rate {
    most_bps: i32,
    seal_bytes: usize,
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
        let mut rate = Self {
            most_bps,
            seal_bytes,
            budget_bps: 0.0,
            choice: Choice { frame_ms: FRAMES[0].0, bitrate_bps: most_bps, level: true },
            capacity_bps: None,
            least_round_trip_ms: None,
            usual_loss_pct: 0.0,
            growth: GROWTH.0,
            grow_from: 0,
            hold_until: 0,
            alarmed_until: 0,
            last_report: None,
        };
        rate.budget_bps = rate.most_budget_bps();
        rate
    }

    /// What transport and encryption add to a packet from now on.
    pub fn set_seal_bytes(&mut self, seal_bytes: usize) {
        let was_free = self.capacity_bps.is_none() && self.budget_bps >= self.most_budget_bps();
        self.seal_bytes = seal_bytes;
        let (least_bps, most_bps) = (self.least_budget_bps(), self.most_budget_bps());
        self.budget_bps = if was_free { most_bps } else { self.budget_bps.clamp(least_bps, most_bps) };
        self.choose();
    }

    /// Another most, from now on. On a link that was never full all of it may be used at once, as at the beginning of a call.
    pub fn set_most_bps(&mut self, most_bps: i32) {
        let was_free = self.capacity_bps.is_none() && self.budget_bps >= self.most_budget_bps();
        self.most_bps = most_bps;
        let most_budget_bps = self.most_budget_bps();
        self.budget_bps = if was_free { most_budget_bps } else { self.budget_bps.min(most_budget_bps) };
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
            let floor_bps = (self.wire_bps(FRAMES[0].0, floor) + REPORT_BPS).min(self.budget_bps);
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
        self.budget_bps = (BACK_OFF * expected_bps).clamp(self.least_budget_bps(), self.budget_bps);
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
        self.budget_bps = (self.budget_bps * (1.0 + growth * seconds)).min(self.most_budget_bps());
        if self.capacity_bps.is_none() {
            self.growth = (self.growth + GROWTH_STEP * seconds).min(GROWTH.1);
        }
    }

    fn choose(&mut self) {
        if self.alarmed_until != 0 {
            let bitrate_bps = MIN_BITRATE_BPS.min(self.most_bps);
            self.choice = Choice { frame_ms: LONGEST_FRAME_MS, bitrate_bps, level: false };
            return;
        }
        let fits = |(frame_ms, worth_bps): &(usize, f32)| {
            let margin = if *frame_ms < self.choice.frame_ms { HYSTERESIS } else { 1.0 };
            self.payload_bps(*frame_ms) >= (worth_bps * margin).min(self.most_bps as f32)
        };
        let frame_ms = FRAMES.iter().find(|frame| fits(frame)).map_or(LONGEST_FRAME_MS, |frame| frame.0);
        let bitrate_bps = (self.payload_bps(frame_ms) as i32).clamp(MIN_BITRATE_BPS.min(self.most_bps), self.most_bps);
        self.choice = Choice { frame_ms, bitrate_bps, level: frame_ms < LONGEST_FRAME_MS };
    }

    fn packet_bits(&self) -> f32 {
        let Choice { frame_ms, bitrate_bps, .. } = self.choice;
        self.wire_bps(frame_ms, bitrate_bps as f32) * frame_ms as f32 / 1000.0
    }

    fn payload_bps(&self, frame_ms: usize) -> f32 {
        self.budget_bps - self.wire_bps(frame_ms, 0.0) - REPORT_BPS
    }

    /// What packets of `frame_ms` need on the wire for `payload_bps`.
    fn wire_bps(&self, frame_ms: usize, payload_bps: f32) -> f32 {
        let level_bytes = if frame_ms < LONGEST_FRAME_MS { LEVEL_BYTES } else { 0 };
        let around_bytes = IP_UDP_BYTES + RTP_BYTES + level_bytes + self.seal_bytes;
        payload_bps + (around_bytes * 8 * 1000) as f32 / frame_ms as f32
    }

    fn most_budget_bps(&self) -> f32 {
        self.wire_bps(FRAMES[0].0, self.most_bps as f32) + REPORT_BPS
    }

    fn least_budget_bps(&self) -> f32 {
        self.wire_bps(LONGEST_FRAME_MS, MIN_BITRATE_BPS.min(self.most_bps) as f32) + REPORT_BPS
    }
}

#[cfg(test)]
mod tests {
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
        narrow.budget_bps = narrow.wire_bps(20, 20_000.0);
        narrow.capacity_bps = Some(narrow.budget_bps);
        narrow.set_most_bps(128_000);
        assert!((19_000..=21_000).contains(&narrow.choice().bitrate_bps), "{:?}", narrow.choice());
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
        let wire_bps = rate.wire_bps(20, rate.choice().bitrate_bps as f32) + REPORT_BPS;
        assert!((wire_bps - 51_000.0).abs() < 100.0, "{wire_bps}");
    }

    #[test]
    fn packets_get_longer_as_the_link_gets_slower_and_headers_are_counted() {
        for (capacity_bps, frame_ms) in [(60_000, 20), (40_000, 40), (25_000, 60), (16_000, 60), (9_000, 60)] {
            let mut rate = Rate::new(64_000, SEAL_BYTES);
            rate.take(&queue(400.0, capacity_bps), under_way(3), SECOND);
            let choice = rate.choice();
            assert_eq!(choice.frame_ms, frame_ms, "{capacity_bps}");
            let wire_bps = rate.wire_bps(choice.frame_ms, choice.bitrate_bps as f32) + REPORT_BPS;
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
}
