//! How late packets come, against the fastest of the last ones.
//!
//! A packet's *transit* is its arrival minus its media time: only differences mean anything, because the two clocks have different zeros. The
//! fastest of the last 100 packets (2 s of 20 ms) is the base; that follows a change of route and the drift between the clocks. A packet's
//! *delay* is its transit minus the base. The delays of the last 512 packets (10 s) are kept as they were measured; a quantile of them says
//! how long to wait.

const BASE_PACKETS: usize = 100;
const DELAY_PACKETS: usize = 512;

/// Before that many packets the quantile is a guess and `quantile_ms` gives nothing.
const FEW_PACKETS: usize = 25;

#[derive(Debug)]
pub struct ArrivalDelay {
    transits: Ring<i64, BASE_PACKETS>,
    delays: Ring<u32, DELAY_PACKETS>,
    sorted: [u32; DELAY_PACKETS],
    base: i64,
}

impl Default for ArrivalDelay {
    fn default() -> Self {
        Self { transits: Ring::default(), delays: Ring::default(), sorted: [0; DELAY_PACKETS], base: 0 }
    }
}

impl ArrivalDelay {
    /// Takes one packet's transit in nanoseconds.
    pub fn observe(&mut self, transit: i64) {
        self.transits.push(transit);
        self.base = self.transits.filled().iter().copied().min().unwrap_or(transit);
        let micros = (transit - self.base) / 1000;
        self.delays.push(u32::try_from(micros).unwrap_or(u32::MAX));
    }

    /// Forgets the base, not the spread: after a pause or a restart the clocks may stand elsewhere, the network is the same.
    pub fn forget_base(&mut self) {
        self.transits = Ring::default();
    }

    /// Transit of the fastest packet, nothing before the first one.
    pub fn base(&self) -> Option<i64> {
        (!self.transits.filled().is_empty()).then_some(self.base)
    }

    /// The delay that the part `quantile` (0 to 1) of the packets does not exceed; nothing while too few were seen.
    pub fn quantile_ms(&mut self, quantile: f32) -> Option<f32> {
        let count = self.delays.filled().len();
        if count < FEW_PACKETS {
            return None;
        }
        let sorted = &mut self.sorted[..count];
        sorted.copy_from_slice(self.delays.filled());
        let index = ((count - 1) as f32 * quantile).ceil() as usize;
        let (_, micros, _) = sorted.select_nth_unstable(index.min(count - 1));
        Some(*micros as f32 / 1000.0)
    }
}

/// The last N values, in no order.
#[derive(Debug)]
struct Ring<T, const N: usize> {
    values: [T; N],
    count: usize,
    next: usize,
}

impl<T: Copy + Default, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self { values: [T::default(); N], count: 0, next: 0 }
    }
}

impl<T: Copy, const N: usize> Ring<T, N> {
    fn push(&mut self, value: T) {
        self.values[self.next] = value;
        self.next = (self.next + 1) % N;
        self.count = (self.count + 1).min(N);
    }

    fn filled(&self) -> &[T] {
        &self.values[..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::NANOS_PER_MS;

    #[test]
    fn quantile_is_relative_to_the_fastest() {
        let mut delay = ArrivalDelay::default();
        for i in 0..500 {
            delay.observe(7_000_000_000 + i % 100 * NANOS_PER_MS);
        }
        let p95 = delay.quantile_ms(0.95).unwrap();
        assert!((93.0..=97.0).contains(&p95), "{p95}");
    }

    #[test]
    fn a_slower_route_becomes_the_base_after_100_packets() {
        let mut delay = ArrivalDelay::default();
        delay.observe(0);
        for _ in 0..BASE_PACKETS {
            delay.observe(300 * NANOS_PER_MS);
        }
        assert_eq!(delay.base(), Some(300 * NANOS_PER_MS));
    }
}
