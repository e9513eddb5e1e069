//! How many datagrams are looked at, decided before any cryptography.
//!
//! A flood must cost its sender more than it costs us, and must silence nobody else. So there are separate allowances:
//! 1. **A session's own address** (IP and port): [`MEMBER`], ten times what a voice sends. No one else draws on it, so a
//!    flooder behind the same NAT, who has another port, cannot silence a member.
//! 2. **An address of no session** (IP and port): [`STRANGER`], enough for IP discovery and for a voice that has just
//!    changed its address.
//! 3. **All strangers of one host together** (IPv4 address or IPv6 /64): [`HOST`], for ports are cheap. A school that
//!    joins at once fits.
//! 4. **A session from its own host, but another port**: [`MOVING`]. When a flooder has drained the host's allowance, a
//!    member whose NAT has just given it a new port still comes through.
//! 5. **IP discovery for one session**: [`DISCOVERY`]. The answer is as long as the question, so it amplifies nothing,
//!    and few of them reach whoever's address was forged.
//!
//! An allowance is one number (the generic cell rate algorithm of ITU-T I.371): when the next datagram would be due if
//! they came evenly. Idle ones are worth nothing, so a table of fixed size forgets them first.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use raccall_wire::Nanos;

use crate::Endpoint;

const NANOS_PER_SECOND: Nanos = 1_000_000_000;

/// So many a second, and so many at once.
pub(crate) struct Limit {
    interval: Nanos,
    burst: Nanos,
}

impl Limit {
    const fn new(per_second: u64, at_once: u64) -> Self {
        let interval = NANOS_PER_SECOND / per_second;
        Self { interval, burst: interval * (at_once - 1) }
    }
}

pub(crate) const MEMBER: Limit = Limit::new(500, 1000);
pub(crate) const MOVING: Limit = Limit::new(20, 20);
pub(crate) const DISCOVERY: Limit = Limit::new(10, 20);
const STRANGER: Limit = Limit::new(50, 100);
const HOST: Limit = Limit::new(500, 1000);

/// One allowance; new ones are full.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pace {
    due: Nanos,
}

impl Pace {
    /// Whether one more is within the limit. One that is not costs nothing.
    pub(crate) fn allow(&mut self, now: Nanos, limit: &Limit) -> bool {
        let due = self.due.max(now);
        if due - now > limit.burst {
            return false;
        }
        self.due = due + limit.interval;
        true
    }
}

/// What a stranger may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Granted,
    /// This port has had its share.
    Refused,
    /// All strangers of its host have: only a session that lives there may still move to another port.
    HostRefused,
}

/// The allowances of addresses that belong to no session: 16384 of them in 256 KiB, whatever comes.
pub(crate) struct Strangers {
    slots: Box<[[Slot; WAYS]]>,
    seed: RandomState,
}

const SETS: usize = 4096;
/// Places for each address. When all are in use the one that is nearest to being full again is forgotten.
const WAYS: usize = 4;

#[derive(Clone, Copy, Default)]
struct Slot {
    tag: u64,
    pace: Pace,
}

impl Strangers {
    pub(crate) fn new() -> Self {
        Self { slots: vec![[Slot::default(); WAYS]; SETS].into_boxed_slice(), seed: RandomState::new() }
    }

    pub(crate) fn admit(&mut self, now: Nanos, from: Endpoint) -> Admission {
        let host = host(from.address.ip());
        if !self.pace((host, Some(from.address.port()))).allow(now, &STRANGER) {
            Admission::Refused
        } else if !self.pace((host, None)).allow(now, &HOST) {
            Admission::HostRefused
        } else {
            Admission::Granted
        }
    }

    /// The hash is keyed, so nobody outside can choose whom an address pushes out.
    fn pace(&mut self, key: (u128, Option<u16>)) -> &mut Pace {
        let tag = self.seed.hash_one(key);
        let set = &mut self.slots[tag as usize % SETS];
        let index = set.iter().position(|slot| slot.tag == tag).unwrap_or_else(|| {
            let oldest = (0..WAYS).min_by_key(|way| set[*way].pace.due).expect("WAYS is not 0");
            set[oldest] = Slot { tag, pace: Pace::default() };
            oldest
        });
        &mut set[index].pace
    }
}

/// Whoever has one address of an IPv6 /64 has them all.
fn host(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => u128::from(ip) >> 64 | 1 << 127,
    }
}

pub(crate) fn same_host(a: IpAddr, b: IpAddr) -> bool {
    host(a) == host(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: u32, port: u16) -> Endpoint {
        Endpoint::from(std::net::SocketAddr::from((std::net::Ipv4Addr::from(host), port)))
    }

    #[test]
    fn a_burst_then_a_rate() {
        let (mut pace, limit) = (Pace::default(), Limit::new(10, 5));
        let count = |pace: &mut Pace, now| (0..100).filter(|_| pace.allow(now, &limit)).count();
        assert_eq!(count(&mut pace, 7 * NANOS_PER_SECOND), 5);
        assert_eq!(count(&mut pace, 7 * NANOS_PER_SECOND + 99_999_999), 0);
        assert_eq!(count(&mut pace, 7 * NANOS_PER_SECOND + 300_000_000), 3);
        assert_eq!(count(&mut pace, 9 * NANOS_PER_SECOND), 5);
    }

    #[test]
    fn a_flood_from_one_port_leaves_the_host_to_others_and_one_from_many_does_not() {
        let mut strangers = Strangers::new();
        let granted = (0..1000).filter(|_| strangers.admit(0, endpoint(1, 9)) == Admission::Granted).count();
        assert_eq!(granted, 100);
        assert_eq!(strangers.admit(0, endpoint(1, 10)), Admission::Granted);
        let granted = (11..5000).filter(|port| strangers.admit(0, endpoint(1, *port)) == Admission::Granted).count();
        assert_eq!(granted, 899);
        assert_eq!(strangers.admit(0, endpoint(1, 5000)), Admission::HostRefused);
        assert_eq!(strangers.admit(0, endpoint(2, 9)), Admission::Granted);
    }

    #[test]
    fn an_ipv6_network_is_one_host_and_a_mapped_address_is_ipv4() {
        let same = |a: &str, b: &str| same_host(a.parse().unwrap(), b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:2") && !same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1") && !same("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn forged_addresses_do_not_free_the_one_that_floods() {
        let mut strangers = Strangers::new();
        let mut granted = 0;
        for step in 0..100_000_u32 {
            strangers.admit(u64::from(step), endpoint(1 << 24 | step, 1));
            granted += usize::from(strangers.admit(u64::from(step), endpoint(7, 7)) == Admission::Granted);
        }
        assert!(granted <= 100, "{granted} of 100 000 in 0.1 ms");
    }
}
