//! Counts by reason: the only trace that a hostile datagram leaves.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::latency::Latency;

macro_rules! reasons {
    ($($(#[$doc:meta])+ $variant:ident $name:literal,)+) => {
        /// What happened to a datagram or command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])+ $variant,)+ }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

reasons! {
    /// Every datagram that reached the relay.
    Received "received",
    /// RTP with a valid seal, seen for the first time.
    Opened "opened",
    /// Copies sealed for listeners.
    Forwarded "forwarded",
    /// Datagrams that the kernel took over, answers included.
    Sent "sent",
    /// Datagrams that the kernel did not take; they are dropped, for late voice is worth nothing.
    SendErrors "send_errors",
    /// Dropped by the kernel because its receive buffer was full (Linux).
    KernelDrops "kernel_drops",
    /// Wrong key, or changed on the way.
    BadSeal "bad_seal",
    /// Ends before header, tag and nonce do.
    TooShort "too_short",
    /// More than 1500 bytes.
    TooLong "too_long",
    /// The seal is valid but what it holds is no RTP or RTCP.
    Malformed "malformed",
    /// Neither media nor a question, from an address that belongs to no session.
    UnknownAddress "unknown_address",
    /// Media or IP discovery with an SSRC that belongs to no session.
    UnknownSsrc "unknown_ssrc",
    /// A session's address sent another SSRC without holding the key of its session.
    WrongSource "wrong_source",
    /// Its sequence number was seen before.
    Replayed "replayed",
    /// Older than the replay window.
    TooOld "too_old",
    /// A session was sent to a new address after a valid seal came from there.
    Roamed "roamed",
    /// Not sent to a new address that has not proved itself by a second packet.
    HeldBack "held_back",
    /// Not sent because the listener's address is not known yet.
    NoAddress "no_address",
    /// `SetAddress` with an address that IP discovery has not seen for this session.
    NotObserved "not_observed",
    /// Kept from all but recorders and bots, because as many others as may be heard at once are louder.
    Quieter "quieter",
    /// RTP of a member whom a moderator silenced.
    Silenced "silenced",
    /// More from a session's address than a voice can need.
    RateLimited "rate_limited",
    /// More from an address of no session, or from its host, than is looked at.
    StrangerLimited "stranger_limited",
    /// More IP discovery for one session than is answered.
    DiscoveryLimited "discovery_limited",
    /// Eight bytes from a session's address, with which other people's clients keep their NAT open.
    Keepalive "keepalive",
    /// Not sent because the listener's nonces are used up, or a client used the relay's: it needs a new key.
    NeedsRekey "needs_rekey",
    /// Sessions that began to want a new key: nine tenths of their nonces are used, or those of client and relay met.
    RekeyWanted "rekey_wanted",
    /// Sessions whose client used its new key.
    Rekeyed "rekeyed",
    /// IP discovery answered.
    Discovery "discovery",
    /// STUN, which this relay does not answer.
    Stun "stun",
    /// Valid RTCP from a session.
    Rtcp "rtcp",
    /// Receiver reports sent.
    RtcpAnswered "rtcp_answered",
    /// A fault of the relay itself: the datagram or command that led to it was given up, the thread went on.
    Panics "panics",
    /// A command that contradicts the table.
    CommandRefused "command_refused",
}

/// One number per reason, and how long datagrams took. Written by one thread alone, read by anyone at any time.
pub struct Counters {
    counts: [AtomicU64; Reason::ALL.len()],
    latency: Latency,
}

impl Default for Counters {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; Reason::ALL.len()], latency: Latency::default() }
    }
}

impl Counters {
    /// Only one thread may call this: a plain load and store is a locked instruction less per packet.
    pub(crate) fn add(&self, reason: Reason, count: u64) {
        let cell = &self.counts[reason as usize];
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// A snapshot of several threads' counters together.
    pub(crate) fn sum<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let sum = Self::default();
        for part in parts {
            for reason in Reason::ALL {
                sum.add(*reason, part.get(*reason));
            }
            sum.latency.add_all(&part.latency);
        }
        sum
    }

    pub fn get(&self, reason: Reason) -> u64 {
        self.counts[reason as usize].load(Ordering::Relaxed)
    }

    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Reason::ALL.iter().map(|reason| (reason.name(), self.get(*reason)))
    }
}
