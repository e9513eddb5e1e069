//! How long a sender's packets wait on their way here: the queue of its own router, which it cannot see.
//!
//! A packet's delay is its arrival minus the moment its sound ended, above the least of the last half minute, so that neither the
//! senders' clocks nor the length of the way matter (a clock 100 ppm off moves it by 3 ms). When it passes `GROWN_MS`, a queue may
//! have begun; it is one when packets keep arriving above it for `CONFIRMED_NS`. A Wi-Fi stall is none: what it held back arrives at
//! once. From then on the queue is measured by the least delay in it, as CoDel does (RFC 8289 section 3.2), and the datagrams that get
//! through tell what the link can carry.
//!
//! On a link that becomes eight times slower at once, the first late packet is late in coming. So there is an *alarm* before: the next
//! packet should have come, by the rhythm of those before, and has not for the time of *patience*, which one lost packet does not take.
//! It may be a stall, too, and then was in vain: each such time doubles patience, each quarter of a minute without one halves it.

use raccall_wire::Nanos;
use raccall_wire::feedback::LinkFeedback;

const NANOS_PER_MS: i64 = 1_000_000;
const GROWN_MS: i64 = 40;
const CONFIRMED_NS: Nanos = 40_000_000;
/// Two that arrive so near to each other were held back together by a stall: a slow link lets them go one by one. Then confirming
/// begins again; not for ever, because some access points send several at a time.
const TOGETHER_NS: Nanos = 3_000_000;
const LONGEST_DOUBT_NS: Nanos = 500_000_000;
/// And so many have to come through it: between two stalls in a row there may be one.
const CONFIRMED_PACKETS: u64 = 2;
/// How long a packet may be overdue: more than a packet of 20 ms at least, at most what a queue takes to be told without.
const PATIENCE_NS: (Nanos, Nanos) = (25_000_000, 200_000_000);
const FIRST_PATIENCE_NS: Nanos = 50_000_000;
/// The least delay is that of the last one to two of these.
const BASE_WINDOW_NS: Nanos = 15_000_000_000;
/// 10 s in ticks: a long pause, or timestamps that began anew. Then so does the measuring.
const JUMP_TICKS: u32 = 480_000;
/// The longest Opus packet (RFC 6716 section 3.2.5), in 48 kHz ticks.
const LONGEST_PACKET_TICKS: i32 = 5760;

#[derive(Debug)]
pub(crate) struct Queueing {
    newest: Option<Newest>,
    /// Of the packets now sent, as two equal steps of the timestamp told.
    packet_ticks: i32,
    /// The least raw delay of this window and of the one before.
    base_ns: Option<(i64, i64)>,
    window_ends: Nanos,
    delay_ns: i64,
    grown: Option<Grown>,
    arrived: Amount,
    told: Mark,
    told_delay_ns: i64,
    patience_ns: Nanos,
    alarmed: bool,
    /// Nobody was alarmed in vain during this window.
    quiet: bool,
}

impl Default for Queueing {
    fn default() -> Self {
        Self {
            newest: None,
            packet_ticks: 0,
            base_ns: None,
            window_ends: 0,
            delay_ns: 0,
            grown: None,
            arrived: Amount::default(),
            told: Mark::default(),
            told_delay_ns: 0,
            patience_ns: FIRST_PATIENCE_NS,
            alarmed: false,
            quiet: true,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    sequence: u64,
    timestamp: u32,
    step_ticks: i32,
    now: Nanos,
    media_ticks: i64,
}

/// Since when packets are late.
#[derive(Debug, Clone, Copy)]
struct Grown {
    since: Nanos,
    confirmed_from: Nanos,
    least_ns: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    packets: u64,
    bytes: u64,
}

/// Where counting began: what had arrived with the packet of that moment.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    at: Nanos,
    arrived: Amount,
}

impl Queueing {
    /// Counts an authentic datagram of `bytes` sealed bytes, voice or report: all of them fill the link.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.arrived.packets += 1;
        self.arrived.bytes += bytes as u64;
    }

    /// Takes a voice packet newer than all before, after it was counted.
    pub(crate) fn take(&mut self, now: Nanos, sequence: u64, timestamp: u32) {
        if self.newest.is_some_and(|newest| step_of(newest.timestamp, timestamp).unsigned_abs() > JUMP_TICKS) {
            *self = Self { arrived: self.arrived, ..Self::default() };
        }
        let before = self.newest;
        let step = before.map_or(0, |newest| step_of(newest.timestamp, timestamp));
        let media_ticks = before.map_or(0, |newest| newest.media_ticks + i64::from(step));
        let follows = before.is_some_and(|newest| sequence == newest.sequence + 1);
        let step_ticks = if follows && (1..=LONGEST_PACKET_TICKS).contains(&step) { step } else { 0 };
        if let Some(newest) = before.filter(|newest| step_ticks > 0 && newest.step_ticks == step_ticks) {
            self.packet_ticks = step_ticks;
            self.lower_base(newest.now, raw_ns(newest.now, newest.media_ticks, step_ticks));
        }
        self.newest = Some(Newest { sequence, timestamp, step_ticks, now, media_ticks });
        let Some((current, last)) = self.base_ns else { return };
        // Of packets that have just become longer the second is seen to be; the first seems late.
        let length_ticks = if step_ticks > 0 { step_ticks } else { self.packet_ticks };
        let delay_ns = raw_ns(now, media_ticks, length_ticks) - current.min(last);
        self.delay_ns = delay_ns.max(0);
        if self.delay_ns <= GROWN_MS * NANOS_PER_MS {
            self.grown = None;
        } else if let Some(grown) = &mut self.grown {
            grown.least_ns = grown.least_ns.min(self.delay_ns);
            let together = before.is_some_and(|newest| now - newest.now < TOGETHER_NS);
            if together && now - grown.since < LONGEST_DOUBT_NS {
                grown.confirmed_from = now;
                self.told = Mark { at: now, arrived: self.arrived };
            }
        } else {
            self.grown = Some(Grown { since: now, confirmed_from: now, least_ns: self.delay_ns });
            self.told = Mark { at: now, arrived: self.arrived };
        }
    }

    /// Packets are late, and not just once: worth telling at once.
    pub(crate) fn is_queue(&self) -> bool {
        let enough = self.arrived.packets - self.told.arrived.packets >= CONFIRMED_PACKETS;
        enough
            && self
                .newest
                .zip(self.grown)
                .is_some_and(|(newest, grown)| newest.now - grown.confirmed_from >= CONFIRMED_NS)
    }

    /// Whether it has become much longer than was told last.
    pub(crate) fn has_grown(&self) -> bool {
        self.delay_ns - self.told_delay_ns > GROWN_MS * NANOS_PER_MS
    }

    /// When the next packet should have come at the latest, if they come in a rhythm and nothing is known to be wrong.
    pub(crate) fn alarm_at(&self) -> Option<Nanos> {
        let newest = self.newest.filter(|newest| newest.step_ticks > 0 && self.grown.is_none() && !self.alarmed)?;
        Some(newest.now + ticks_ns(newest.step_ticks) + self.patience_ns)
    }

    /// The sender was told that its next packet has not come.
    pub(crate) fn alarmed(&mut self) {
        self.alarmed = true;
    }

    /// Whether, after an alarm, packets come in time again. True once.
    pub(crate) fn all_clear(&mut self) -> bool {
        let confirmed = self.is_queue();
        let clear = self.alarmed && self.grown.is_none();
        // A sender that had paused says nothing about the link.
        if clear && self.newest.is_some_and(|newest| newest.step_ticks > 0) {
            self.patience_ns = (2 * self.patience_ns).min(PATIENCE_NS.1);
            self.quiet = false;
        }
        self.alarmed &= !clear && !confirmed;
        clear
    }

    /// What to tell the sender; the next call goes on from here.
    pub(crate) fn feedback(&mut self) -> LinkFeedback {
        let Some(newest) = self.newest else { return LinkFeedback::default() };
        let standing_ns = self.grown.filter(|_| self.is_queue()).map_or(0, |grown| grown.least_ns);
        let mark = std::mem::replace(&mut self.told, Mark { at: newest.now, arrived: self.arrived });
        self.told_delay_ns = self.delay_ns;
        // The least is that since the last feedback, or a queue that shrinks would be told long.
        if let Some(grown) = &mut self.grown {
            grown.least_ns = self.delay_ns;
        }
        LinkFeedback {
            standing_ms: whole_ms(standing_ns),
            newest_ms: whole_ms(self.delay_ns),
            arrived_ms: if mark.at == 0 { 0 } else { whole_ms((newest.now - mark.at) as i64) },
            arrived_packets: u16::try_from(self.arrived.packets - mark.arrived.packets).unwrap_or(u16::MAX),
            arrived_bytes: u32::try_from(self.arrived.bytes - mark.arrived.bytes).unwrap_or(u32::MAX),
            ..LinkFeedback::default()
        }
    }

    fn lower_base(&mut self, now: Nanos, raw_ns: i64) {
        let begins = self.base_ns.is_none();
        self.base_ns = Some(match self.base_ns {
            Some((current, _)) if now >= self.window_ends => (raw_ns, current),
            Some((current, last)) => (current.min(raw_ns), last),
            None => (raw_ns, raw_ns),
        });
        if now >= self.window_ends {
            self.window_ends = now + BASE_WINDOW_NS;
            if std::mem::replace(&mut self.quiet, true) && !begins {
                self.patience_ns = (self.patience_ns / 2).max(PATIENCE_NS.0);
            }
        }
    }
}

fn step_of(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

/// Arrival minus the end of the packet's sound, with an unknown but constant difference of the two clocks.
fn raw_ns(now: Nanos, media_ticks: i64, packet_ticks: i32) -> i64 {
    let end = i128::from(media_ticks) + i128::from(packet_ticks);
    now as i64 - (end * 62_500 / 3) as i64
}

fn ticks_ns(ticks: i32) -> Nanos {
    Nanos::from(ticks.unsigned_abs()) * 62_500 / 3
}

fn whole_ms(ns: i64) -> u16 {
    u16::try_from(ns / NANOS_PER_MS).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;
    const START: Nanos = 5_000 * MS;

    /// Sends 100 byte packets of `packet_ms` each, one after the other; `late_ms` says by how much each is late.
    struct Sender {
        queueing: Queueing,
        sequence: u64,
        media_ms: u64,
    }

    impl Sender {
        fn new() -> Self {
            Self { queueing: Queueing::default(), sequence: 100, media_ms: 0 }
        }

        fn send(&mut self, packets: u64, packet_ms: u64, late_ms: impl Fn(u64) -> u64) {
            for number in 0..packets {
                let now = START + (self.media_ms + packet_ms + late_ms(number)) * MS;
                self.queueing.count(100);
                self.queueing.take(now, self.sequence, ((self.media_ms * 48) as u32).wrapping_sub(960));
                self.sequence += 1;
                self.media_ms += packet_ms;
            }
        }
    }

    #[test]
    fn a_growing_queue_is_told_with_the_rate_that_gets_through() {
        let mut sender = Sender::new();
        sender.send(100, 20, |_| 0);
        assert_eq!(sender.queueing.feedback().standing_ms, 0);
        sender.send(5, 20, |number| 60 * (number + 1)); // each takes 80 ms instead of 20
        assert!(sender.queueing.is_queue());
        let feedback = sender.queueing.feedback();
        assert_eq!((feedback.standing_ms, feedback.newest_ms), (60, 300));
        assert_eq!((feedback.arrived_ms, feedback.arrived_packets, feedback.arrived_bytes), (320, 4, 400));
        sender.send(2, 20, |number| 360 + 60 * number);
        let feedback = sender.queueing.feedback();
        assert_eq!((feedback.standing_ms, feedback.arrived_ms, feedback.arrived_bytes), (300, 160, 200));
    }

    #[test]
    fn a_stall_whose_packets_arrive_at_once_is_no_queue() {
        let mut sender = Sender::new();
        sender.send(100, 20, |_| 0);
        sender.send(10, 20, |number| 200 - 20 * number);
        assert!(!sender.queueing.is_queue());
        assert_eq!(sender.queueing.feedback().standing_ms, 0);
    }

    #[test]
    fn a_packet_between_two_stalls_is_no_queue() {
        let mut sender = Sender::new();
        sender.send(100, 20, |_| 0);
        sender.send(2, 20, |number| 50 + 130 * number);
        assert!(!sender.queueing.is_queue());
    }

    #[test]
    fn two_stalls_that_follow_each_other_are_no_queue_and_bursts_that_go_on_are_one() {
        let together = |number: u64| 200 - 20 * (number % 5);
        let mut sender = Sender::new();
        sender.send(100, 20, |_| 0);
        sender.send(15, 20, together);
        assert!(!sender.queueing.is_queue());
        sender.send(20, 20, together);
        assert!(sender.queueing.is_queue(), "an access point that sends five at a time");
    }

    #[test]
    fn an_overdue_packet_alarms_sooner_on_a_link_that_has_been_steady() {
        let mut sender = Sender::new();
        assert_eq!(sender.queueing.alarm_at(), None, "there is no rhythm yet");
        sender.send(100, 20, |_| 0);
        let last = START + sender.media_ms * MS;
        assert_eq!(sender.queueing.alarm_at(), Some(last + 70 * MS));
        sender.send(1000, 20, |_| 0);
        let last = START + sender.media_ms * MS;
        assert_eq!(sender.queueing.alarm_at(), Some(last + 45 * MS));
        sender.queueing.alarmed();
        assert_eq!(sender.queueing.alarm_at(), None);
    }

    #[test]
    fn each_alarm_in_vain_doubles_patience() {
        let mut sender = Sender::new();
        sender.send(1100, 20, |_| 0);
        for patience_ms in [50, 100, 200, 200] {
            sender.queueing.alarmed();
            sender.send(10, 20, |number| 180 - 20 * number);
            assert!(sender.queueing.all_clear() && !sender.queueing.all_clear());
            let last = START + sender.media_ms * MS;
            assert_eq!(sender.queueing.alarm_at(), Some(last + (20 + patience_ms) * MS));
        }
    }

    #[test]
    fn an_alarm_that_a_queue_follows_was_not_in_vain() {
        let mut sender = Sender::new();
        sender.send(1100, 20, |_| 0);
        sender.queueing.alarmed();
        sender.send(5, 20, |number| 60 * (number + 1));
        assert!(sender.queueing.is_queue() && !sender.queueing.all_clear());
        assert_eq!(sender.queueing.alarm_at(), None, "it is known");
        sender.send(5, 20, |_| 0);
        assert!(!sender.queueing.all_clear());
        assert_eq!(sender.queueing.alarm_at(), Some(START + (sender.media_ms + 45) * MS));
    }

    #[test]
    fn a_pause_after_an_alarm_says_nothing_about_the_link() {
        let mut sender = Sender::new();
        sender.send(1100, 20, |_| 0);
        sender.queueing.alarmed();
        sender.media_ms += 400;
        sender.send(1, 20, |_| 0);
        assert!(sender.queueing.all_clear());
        sender.send(2, 20, |_| 0);
        assert_eq!(sender.queueing.alarm_at(), Some(START + (sender.media_ms + 45) * MS));
    }

    #[test]
    fn wild_jitter_is_no_queue() {
        let mut sender = Sender::new();
        sender.send(400, 20, |number| number * 37 % 60);
        assert!(!sender.queueing.is_queue());
    }

    #[test]
    fn longer_and_shorter_packets_do_not_look_like_a_queue() {
        let mut sender = Sender::new();
        for packet_ms in [20, 60, 20, 40, 20] {
            sender.send(60, packet_ms, |_| 0);
            assert_eq!(sender.queueing.feedback().newest_ms, 0, "{packet_ms} ms");
        }
    }

    #[test]
    fn a_lasting_delay_is_the_new_way_after_half_a_minute() {
        let mut sender = Sender::new();
        sender.send(100, 20, |_| 0);
        sender.send(1600, 20, |_| 80);
        assert!(!sender.queueing.is_queue());
    }

    #[test]
    fn timestamps_that_jump_begin_anew() {
        let mut sender = Sender::new();
        sender.send(100, 20, |_| 0);
        sender.queueing.take(START + 2_000 * MS, 200, 0x8000_0000);
        sender.media_ms += 60_000;
        sender.send(100, 20, |_| 0);
        assert_eq!(sender.queueing.feedback().newest_ms, 0);
    }
}
