//! When the relay is told of us, by RTCP: each second, and a few times in haste when it may look for us in the wrong place.
//!
//! It knows our address by what we send, and who only listens sends nothing but reports. So they hurry after a change of the route, and when
//! everyone who talked falls silent. That is mostly a pause; but perhaps a NAT has given us another port, or the network another address, and
//! we would be sought at the old one until the next report. Pure: `now` is an argument.

use raccall_wire::Nanos;

use crate::clock::NANOS_PER_MS;
use crate::timer::Timer;

const INTERVAL: Nanos = 1000 * NANOS_PER_MS;

/// The relay trusts a new address from the second packet on, and sends it some 40 ms of voice before.
const HASTY_INTERVAL: Nanos = 40 * NANOS_PER_MS;
pub const HASTY_REPORTS: u32 = 5;

/// Four packets missing in a row are more than jitter; the relay finds a listener again well within 200 ms.
const SILENCE: Nanos = 80 * NANOS_PER_MS;

/// Packets that tell how a silent talker's room sounds come in shorter runs, each 400 ms. They end by themselves.
const TALK: Nanos = 100 * NANOS_PER_MS;

pub struct Reports {
    timer: Timer,
    hasty: u32,
    run: Option<Run>,
}

/// Voice packets without a pause: when the first came, and the last.
struct Run {
    first: Nanos,
    last: Nanos,
}

impl Reports {
    /// The first one is due `now`.
    pub fn new(now: Nanos) -> Self {
        Self { timer: Timer::new(now), hasty: 0, run: None }
    }

    /// A voice packet came.
    pub fn hear(&mut self, arrival: Nanos) {
        self.run.get_or_insert(Run { first: arrival, last: arrival }).last = arrival;
    }

    /// Notices, once, that everyone who talked has fallen silent.
    pub fn look(&mut self, now: Nanos) {
        let ended = self.run.take_if(|run| now.saturating_sub(run.last) > SILENCE);
        if ended.is_some_and(|run| run.last.saturating_sub(run.first) >= TALK) {
            self.hurry(now);
        }
    }

    /// The relay must learn where we are: one report now, and `HASTY_REPORTS` soon after.
    pub fn hurry(&mut self, now: Nanos) {
        self.hasty = HASTY_REPORTS;
        self.timer.set(now);
    }

    /// One report is wanted then, as soon as that.
    pub fn expect(&mut self, at: Nanos) {
        self.timer.set(at);
    }

    pub fn is_due(&mut self, now: Nanos) -> bool {
        let due = self.timer.is_due(now, if self.hasty > 0 { HASTY_INTERVAL } else { INTERVAL });
        if due {
            self.hasty = self.hasty.saturating_sub(1);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When reports are due, in ms, looked at each 10 ms.
    fn due_ms(reports: &mut Reports, ms: std::ops::Range<Nanos>) -> Vec<Nanos> {
        let looks = ms.step_by(10);
        looks
            .filter(|ms| {
                reports.look(ms * NANOS_PER_MS);
                reports.is_due(ms * NANOS_PER_MS)
            })
            .collect()
    }

    #[test]
    fn a_report_each_second_and_when_all_fall_silent_one_at_once_and_five_in_haste() {
        let mut reports = Reports::new(0);
        assert_eq!(due_ms(&mut reports, 0..2_500), [0, 1_000, 2_000]);
        for ms in (2_500..=2_600).step_by(20) {
            reports.hear(ms * NANOS_PER_MS);
        }
        assert_eq!(due_ms(&mut reports, 2_600..4_500), [2_690, 2_730, 2_770, 2_810, 2_850, 2_890, 3_890]);
    }

    #[test]
    fn a_packet_or_two_about_a_silent_room_are_no_talk() {
        let mut reports = Reports::new(0);
        due_ms(&mut reports, 0..10);
        reports.hear(20 * NANOS_PER_MS);
        reports.hear(40 * NANOS_PER_MS);
        assert_eq!(due_ms(&mut reports, 50..1_010), [1_000]);
    }
}
