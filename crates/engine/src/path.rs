//! By which way a call's datagrams go: UDP, or the tunnel through the voice gateway's WebSocket where UDP is blocked.
//! Pure: `now` is an argument.
//!
//! Only what the relay answers to us shows that UDP works in both directions: its report about each of ours, once a
//! second, and IP discovery. Voice of others does not: a firewall may let in what it does not let out.
//!
//! On UDP: no answer for 1.5 s makes us ask four times a second; no answer for 3 s leads into the tunnel. In the tunnel: a
//! question by UDP each second; as soon as three in a row were answered, UDP it is again. If that was wrong within a
//! minute, twice as many are wanted the next time: a network that lets through now and then must not make a call
//! stumble every few seconds.

use raccall_wire::Nanos;

use crate::clock::NANOS_PER_MS;

const DOUBT_AFTER: Nanos = 1_500 * NANOS_PER_MS;
const DOUBT_INTERVAL: Nanos = 250 * NANOS_PER_MS;
const FALL_BACK_AFTER: Nanos = 3_000 * NANOS_PER_MS;
const PROBE_INTERVAL: Nanos = 1_000 * NANOS_PER_MS;
const LEAST_ANSWERS: u32 = 3;
const MOST_ANSWERS: u32 = 48;
const RELAPSE_WITHIN: Nanos = 60_000 * NANOS_PER_MS;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    #[default]
    Udp,
    Tunnel,
}

impl Route {
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tunnel => "tunnel",
        }
    }
}

/// What `Path::tick` asks of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Nothing,
    /// Send one IP discovery request by UDP.
    Probe,
    /// The route is another one now: let the relay learn of it.
    Changed,
}

pub(crate) struct Path {
    route: Route,
    answered_at: Nanos,
    next_probe: Nanos,
    /// The last probe has no answer yet.
    waiting: bool,
    answers_in_a_row: u32,
    answers_wanted: u32,
    returned_at: Option<Nanos>,
    changes: u64,
}

impl Path {
    pub(crate) fn new(route: Route, now: Nanos) -> Self {
        Self {
            route,
            answered_at: now,
            next_probe: now + PROBE_INTERVAL,
            waiting: false,
            answers_in_a_row: 0,
            answers_wanted: LEAST_ANSWERS,
            returned_at: None,
            changes: 0,
        }
    }

    pub(crate) fn route(&self) -> Route {
        self.route
    }

    /// How often the route changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// The relay answered a report or a question by UDP.
    pub(crate) fn answered(&mut self, now: Nanos) {
        self.answered_at = now;
        if std::mem::take(&mut self.waiting) {
            self.answers_in_a_row += 1;
        }
    }

    pub(crate) fn tick(&mut self, now: Nanos) -> Wish {
        match self.route {
            Route::Udp => self.tick_udp(now),
            Route::Tunnel => self.tick_tunnel(now),
        }
    }

    fn tick_udp(&mut self, now: Nanos) -> Wish {
        let silent = now.saturating_sub(self.answered_at);
        if silent >= FALL_BACK_AFTER {
            let relapse = self.returned_at.is_some_and(|returned| now - returned < RELAPSE_WITHIN);
            self.answers_wanted = if relapse { (2 * self.answers_wanted).min(MOST_ANSWERS) } else { LEAST_ANSWERS };
            return self.change(Route::Tunnel, now);
        }
        if silent >= DOUBT_AFTER && now >= self.next_probe {
            self.next_probe = now + DOUBT_INTERVAL;
            return Wish::Probe;
        }
        Wish::Nothing
    }

    fn tick_tunnel(&mut self, now: Nanos) -> Wish {
        if self.answers_in_a_row >= self.answers_wanted {
            self.returned_at = Some(now);
            return self.change(Route::Udp, now);
        }
        if now < self.next_probe {
            return Wish::Nothing;
        }
        if std::mem::replace(&mut self.waiting, true) {
            self.answers_in_a_row = 0;
        }
        self.next_probe = now + PROBE_INTERVAL;
        Wish::Probe
    }

    fn change(&mut self, route: Route, now: Nanos) -> Wish {
        self.route = route;
        self.answered_at = now;
        self.next_probe = now + PROBE_INTERVAL;
        self.waiting = false;
        self.answers_in_a_row = 0;
        self.changes += 1;
        Wish::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Nanos = 10 * NANOS_PER_MS;

    /// A network that answers what was asked while `open(now)`, 40 ms later; a report goes out each second.
    struct Network<F: Fn(Nanos) -> bool> {
        path: Path,
        now: Nanos,
        answers: Vec<Nanos>,
        probes: u32,
        open: F,
    }

    impl<F: Fn(Nanos) -> bool> Network<F> {
        fn new(open: F) -> Self {
            Self { path: Path::new(Route::Udp, 0), now: 0, answers: Vec::new(), probes: 0, open }
        }

        /// When the route is another one, in ms; `None` if it stays.
        fn until_changed(&mut self, within_ms: Nanos) -> Option<Nanos> {
            let (before, end) = (self.path.changes(), self.now + within_ms * NANOS_PER_MS);
            while self.now < end {
                self.now += TICK;
                while self.answers.first().is_some_and(|due| *due <= self.now) {
                    self.answers.remove(0);
                    self.path.answered(self.now);
                }
                let wish = self.path.tick(self.now);
                self.probes += u32::from(wish == Wish::Probe);
                let report = self.now.is_multiple_of(1_000 * NANOS_PER_MS) && self.path.route() == Route::Udp;
                if (report || wish == Wish::Probe) && (self.open)(self.now) {
                    self.answers.push(self.now + 40 * NANOS_PER_MS);
                }
                if self.path.changes() > before {
                    return Some(self.now / NANOS_PER_MS);
                }
            }
            None
        }
    }

    #[test]
    fn udp_that_answers_is_never_left_nor_asked() {
        let mut network = Network::new(|_| true);
        assert_eq!((network.until_changed(600_000), network.probes), (None, 0));
    }

    #[test]
    fn silence_of_three_seconds_leads_into_the_tunnel_and_three_answers_back() {
        let seconds = 1_000 * NANOS_PER_MS;
        let mut network = Network::new(|now| !(10_000..30_000).contains(&(now / NANOS_PER_MS)));
        let blocked = network.until_changed(60_000).unwrap();
        assert!((12_000..=13_100).contains(&blocked), "{blocked} ms: answered last just after 9 s");
        assert_eq!(network.path.route(), Route::Tunnel);
        let back = network.until_changed(60_000).unwrap();
        assert!((32_000..=34_000).contains(&back), "{back} ms");
        assert_eq!(network.path.route(), Route::Udp);
        assert_eq!(network.until_changed(600 * seconds / NANOS_PER_MS), None);
    }

    #[test]
    fn a_lost_report_or_two_change_nothing() {
        let mut network = Network::new(|now| !(5_000..7_000).contains(&(now / NANOS_PER_MS)));
        assert_eq!(network.until_changed(60_000), None);
        assert!(network.probes > 0);
    }

    #[test]
    fn answers_must_follow_each_other_without_a_gap() {
        let mut network = Network::new(|now| !(now / (1_000 * NANOS_PER_MS)).is_multiple_of(3));
        network.path = Path::new(Route::Tunnel, 0);
        assert_eq!(network.until_changed(120_000), None);
    }

    #[test]
    fn a_network_that_relapses_has_to_prove_itself_longer() {
        let mut network = Network::new(|now| now / (1_000 * NANOS_PER_MS) % 20 < 10);
        let mut changes = Vec::new();
        while let Some(change) = network.until_changed(300_000) {
            changes.push(change);
            assert!(changes.len() < 20, "it goes back and forth for ever: {changes:?}");
        }
        assert_eq!(network.path.route(), Route::Tunnel);
    }
}
