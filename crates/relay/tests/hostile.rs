//! Bytes from strangers, and from members gone mad: never a panic, always exactly one reason.

use std::net::SocketAddr;

use proptest::prelude::*;
use raccall_relay::{Command, Endpoint, Outbox, Reason, Table, forward};
use raccall_wire::discovery;
use raccall_wire::transport::{Cipher, Mode};

const KEY: [u8; 32] = [7; 32];
const SSRC: u32 = 0x01020304;
/// How a datagram may end; the other reasons are counted beside one of these or concern listeners.
const OUTCOMES: &[Reason] = &[
    Reason::Opened,
    Reason::Rtcp,
    Reason::Discovery,
    Reason::Stun,
    Reason::BadSeal,
    Reason::TooShort,
    Reason::TooLong,
    Reason::Malformed,
    Reason::UnknownAddress,
    Reason::UnknownSsrc,
    Reason::WrongSource,
    Reason::RateLimited,
    Reason::StrangerLimited,
    Reason::DiscoveryLimited,
    Reason::Keepalive,
    Reason::Replayed,
    Reason::TooOld,
];

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 4000))
}

fn room(mode: Mode) -> (Table, Outbox) {
    let (mut table, mut out) = (Table::default(), Outbox::new());
    for (id, ssrc) in [(1, SSRC), (2, SSRC + 1)] {
        table.apply(Command::AddSession { id, ssrc, mode, key: KEY });
        forward(0, &discovery::request(ssrc), address(id as u8).into(), &mut table, &mut out);
        table.apply(Command::SetAddress { id, address: address(id as u8), proven: true });
        table.apply(Command::SetRoute { id, destinations: vec![1, 2, 3] });
    }
    (table, out)
}

fn outcomes(table: &Table) -> u64 {
    OUTCOMES.iter().map(|reason| table.counters().get(*reason)).sum()
}

/// Headers that lead deep into the code, then anything.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![Just(0x80), Just(0x90), Just(0xB1), Just(0x81), Just(0), any::<u8>()];
    let second = prop_oneof![Just(120), Just(200), Just(201), Just(1), any::<u8>()];
    let ssrc = prop_oneof![Just(SSRC), Just(SSRC + 1), Just(discovery::STUN_COOKIE), any::<u32>()];
    (first, second, ssrc, any::<bool>(), prop::collection::vec(any::<u8>(), 0..90), 0..1600_usize).prop_map(
        |(first, second, ssrc, rtcp, mut bytes, longest)| {
            bytes.splice(..bytes.len().min(2), [first, second]);
            let at = if rtcp { 4 } else { 8 };
            if let Some(field) = bytes.get_mut(at..at + 4) {
                field.copy_from_slice(&ssrc.to_be_bytes());
            }
            if longest > 1400 {
                bytes.resize(longest, 0);
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn strangers_are_counted_once(datagrams in prop::collection::vec((datagram(), 0..4_u8), 1..8)) {
        let (mut table, mut out) = room(Mode::Aes256GcmRtpSize);
        let before = outcomes(&table);
        for (datagram, from) in &datagrams {
            forward(1, datagram, address(*from).into(), &mut table, &mut out);
        }
        prop_assert_eq!(outcomes(&table) - before, datagrams.len() as u64);
        prop_assert_eq!(table.counters().get(Reason::Opened), 0);
    }

    #[test]
    fn members_gone_mad_are_counted_once(
        mode in prop::sample::select(&Mode::ALL[..]),
        packets in prop::collection::vec((datagram(), 0..4_u8, any::<[u8; 4]>(), 0..5_000_000_000_u64), 1..8),
    ) {
        let (mut table, mut out) = room(mode);
        let before = outcomes(&table);
        let cipher = Cipher::new(mode, &KEY);
        let mut sent = 0;
        for (packet, from, nonce, now) in &packets {
            let mut datagram = Vec::new();
            if cipher.seal(packet, *nonce, &mut datagram).is_ok() {
                forward(*now, &datagram, Endpoint::from(address(*from)), &mut table, &mut out);
                sent += 1;
            }
        }
        prop_assert_eq!(outcomes(&table) - before, sent);
    }
}
