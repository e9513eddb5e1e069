//! How long datagrams are in this machine: from the kernel's receive timestamp until their last copy was handed back to it.
//!
//! A histogram of fixed size. Sampled, because the time is asked of the kernel: the last datagram of one batch in sixteen,
//! which waited in the socket, for the thread, and for everything before it in its batch.

use std::sync::atomic::{AtomicU64, Ordering};

/// Batches between two samples.
pub(crate) const SAMPLE_EVERY: u32 = 16;

/// Upper ends in nanoseconds, each about twice the one before: 10 µs to 100 ms. What took longer has a place of its own.
pub const BOUNDS_NS: [u64; 13] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
];

/// Written by one thread alone, read by anyone at any time.
#[derive(Default)]
pub struct Latency {
    counts: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

impl Latency {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code))]
    pub(crate) fn add(&self, nanos: u64) {
        let place = BOUNDS_NS.partition_point(|bound| *bound < nanos);
        grow(&self.counts[place], 1);
        grow(&self.sum_ns, nanos);
    }

    pub(crate) fn add_all(&self, other: &Self) {
        for (mine, count) in self.counts.iter().zip(other.counts()) {
            grow(mine, count);
        }
        grow(&self.sum_ns, other.sum_ns());
    }

    /// How many were at most as long as each of BOUNDS_NS and longer than the one before; the last: longer than all.
    pub fn counts(&self) -> [u64; BOUNDS_NS.len() + 1] {
        std::array::from_fn(|place| self.counts[place].load(Ordering::Relaxed))
    }

    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.load(Ordering::Relaxed)
    }
}

fn grow(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_where_it_belongs() {
        let (latency, sum) = (Latency::default(), Latency::default());
        for nanos in [0, 10_000, 10_001, 100_000_000, 100_000_001, u64::MAX / 2] {
            latency.add(nanos);
        }
        sum.add_all(&latency);
        sum.add_all(&latency);
        let counts = sum.counts();
        assert_eq!((counts[0], counts[1], counts[12], counts[13]), (4, 2, 2, 4));
        assert_eq!(counts.iter().sum::<u64>(), 12);
        assert_eq!(sum.sum_ns(), latency.sum_ns().wrapping_mul(2));
    }
}
