//! A room of three under datagrams of strangers and of members gone mad. Each datagram is counted, nothing panics, and
//! nobody who is not in the room is ever sent a voice.
#![no_main]

use std::net::SocketAddr;

use libfuzzer_sys::fuzz_target;
use raccall_relay::{Command, Endpoint, Outbox, Reason, Table, forward};
use raccall_wire::discovery;
use raccall_wire::transport::{Cipher, Mode};

const KEY: [u8; 32] = [7; 32];

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 4000))
}

/// One step: how (who seals it, if anybody; from where; how much later), then its length and bytes.
fn step<'a>(bytes: &mut &'a [u8]) -> Option<(u8, u8, u8, &'a [u8])> {
    let [how, from, later, length, rest @ ..] = *bytes else { return None };
    let (datagram, rest) = rest.split_at(usize::from(*length).min(rest.len()));
    *bytes = rest;
    Some((*how, *from, *later, datagram))
}

fuzz_target!(|bytes: &[u8]| {
    let (mut table, mut out) = (Table::default(), Outbox::new());
    for id in 1..4_u8 {
        let (session, ssrc) = (u64::from(id), 100 + u32::from(id));
        table.apply(Command::AddSession { id: session, ssrc, mode: Mode::Aes256GcmRtpSize, key: KEY });
        forward(0, &discovery::request(ssrc), address(id).into(), &mut table, &mut out);
        table.apply(Command::SetAddress { id: session, address: address(id), proven: true });
    }
    for id in 1..4 {
        table.apply(Command::SetRoute { id, destinations: vec![1, 2, 3] });
    }
    let cipher = Cipher::new(Mode::Aes256GcmRtpSize, &KEY);
    let (mut rest, mut now, mut nonce) = (bytes, 1, 0_u32);
    let before = table.counters().get(Reason::Received);
    let mut count = 0;
    while let Some((how, from, later, datagram)) = step(&mut rest) {
        now += u64::from(later) * 10_000_000;
        nonce += 1;
        let mut sealed = Vec::new();
        let datagram = match how % 3 {
            0 if cipher.seal(datagram, nonce.to_be_bytes(), &mut sealed).is_ok() => &sealed,
            _ => datagram,
        };
        out.clear();
        forward(now, datagram, Endpoint::from(address(from % 6)), &mut table, &mut out);
        count += 1;
        if how % 3 != 0 {
            assert!(out.iter().all(|(bytes, _)| bytes.len() == discovery::BYTES), "no key, no voice");
        }
    }
    assert_eq!(table.counters().get(Reason::Received) - before, count);
});
