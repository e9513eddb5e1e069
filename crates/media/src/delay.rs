//! How late packets come, against the fastest of the last ones.
//!
//! A packet's *transit* is its arrival minus its media time: only differences mean anything, because the two clocks have different zeros. The
//! fastest of the last 15 packets (0.3 s of 20 ms) is the base; that follows a queue that fills and drains, a change of route, and the drift between
//! the clocks. A packet's
//! *delay* is its transit minus the base.

const BASE_PACKETS: usize = 15;

#[derive(Debug)]
pub struct ArrivalDelay {
    transits: [i64; BASE_PACKETS],
    count: usize,
    next: usize,
    base: i64,
}

impl Default for ArrivalDelay {
    fn default() -> Self {
        Self { transits: [0; BASE_PACKETS], count: 0, next: 0, base: 0 }
    }
}

impl ArrivalDelay {
    /// Takes one packet's transit in nanoseconds. Gives by how much the base has risen (negative: fallen).
    pub fn observe(&mut self, transit: i64) -> i64 {
        self.transits[self.next] = transit;
        self.next = (self.next + 1) % BASE_PACKETS;
        self.count = (self.count + 1).min(BASE_PACKETS);
        let base = self.transits[..self.count].iter().copied().min().unwrap_or(transit);
        let risen = if self.count > 1 { base - self.base } else { 0 };
        self.base = base;
        risen
    }

    /// Forgets the base: after a pause or a restart the clocks may stand elsewhere.
    pub fn forget(&mut self) {
        (self.count, self.next) = (0, 0);
    }

    /// Transit of the fastest packet, nothing before the first one.
    pub fn base(&self) -> Option<i64> {
        (self.count > 0).then_some(self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::NANOS_PER_MS;

    #[test]
    fn a_slower_route_becomes_the_base_after_15_packets() {
        let mut delay = ArrivalDelay::default();
        delay.observe(0);
        let risen: i64 = (0..BASE_PACKETS).map(|_| delay.observe(300 * NANOS_PER_MS)).sum();
        assert_eq!((delay.base(), risen), (Some(300 * NANOS_PER_MS), 300 * NANOS_PER_MS));
    }

    #[test]
    fn a_faster_route_becomes_the_base_at_once() {
        let mut delay = ArrivalDelay::default();
        delay.observe(300);
        assert_eq!((delay.observe(100), delay.base()), (-200, Some(100)));
        delay.forget();
        assert_eq!((delay.base(), delay.observe(500)), (None, 0));
    }
}
