//! One datagram in, its copies out.
//!
//! Whose is it? In this order (DESIGN section 5):
//! 1. A known source address and that session's own SSRC: the session.
//! 2. Not RTP or RTCP: 74 bytes of IP discovery are answered, STUN is counted, the rest is dropped.
//! 3. Else the SSRC names a session and the seal must prove it. So a member that changed its network goes on speaking, and a
//!    member that sends another's SSRC is refused for want of the key.
//!
//! Before that, `limits` says whether it is looked at at all.
//!
//! A new address is adopted when the packet from there is also the newest of its session, at most once a second. Until a
//! second fresh packet arrives from there it is sent no more than three times what it sent: a forged source address makes
//! the relay no amplifier. A fresh packet from the former address takes the session back at once until then.

use raccall_wire::replay::Verdict;
use raccall_wire::rtcp::Rtcp;
use raccall_wire::transport::OpenError;
use raccall_wire::{Nanos, discovery, level, rtcp, rtp};

use crate::deliver::{Said, deliver};
use crate::limits::{self, Admission, same_host};
use crate::{Endpoint, Outbox, Reason, Table};

/// Longer datagrams are refused: no voice packet fills an Ethernet frame.
pub const MAX_DATAGRAM_BYTES: usize = 1500;
/// A counter that Discord's own clients send now and then. It needs no answer: it only has to pass their NAT.
const KEEPALIVE_BYTES: usize = 8;

/// Handles one received datagram: adds what is to be sent to `out`, counts everything in the table.
///
/// Pure but for the table: no clock, no socket. RTP allocates nothing once `out` has grown.
pub fn forward(now: Nanos, datagram: &[u8], from: Endpoint, table: &mut Table, out: &mut Outbox) {
    table.counters.add(Reason::Received, 1);
    if let Err(reason) = take(now, datagram, from, table, out) {
        table.counters.add(reason, 1);
    }
}

fn take(now: Nanos, datagram: &[u8], from: Endpoint, table: &mut Table, out: &mut Outbox) -> Result<(), Reason> {
    if datagram.len() > MAX_DATAGRAM_BYTES {
        return Err(Reason::TooLong);
    }
    let known = table.by_address.get(&from).copied();
    let ssrc = rtp::ssrc(datagram);
    admit(now, ssrc, known, from, table)?;
    let Some(ssrc) = ssrc else {
        return take_question(now, datagram, from, known.is_some(), table, out);
    };
    let slot = match known {
        Some(slot) if table.session(slot).ssrc == ssrc => slot,
        Some(_) => *table.by_ssrc.get(&ssrc).ok_or(Reason::WrongSource)?,
        None => *table.by_ssrc.get(&ssrc).ok_or(Reason::UnknownSsrc)?,
    };
    let foreign = known.is_some_and(|known| known != slot);
    let session = table.sessions[slot].as_mut().expect("an index leads to a living session");
    let length =
        session.open_to(now, datagram, &mut table.plain[..], &table.counters).map_err(|error| match error {
            OpenError::TooShort => Reason::TooShort,
            OpenError::Malformed => Reason::Malformed,
            OpenError::BadSeal if foreign => Reason::WrongSource,
            OpenError::BadSeal => Reason::BadSeal,
            OpenError::NoRoom => Reason::TooLong,
        })?;
    if rtp::is_rtcp(datagram) {
        take_reports(now, slot, length, datagram.len(), from, table, out)
    } else {
        take_voice(now, slot, length, datagram.len(), from, table, out)
    }
}

/// Whether this address may have one more datagram looked at (`limits`).
fn admit(now: Nanos, ssrc: Option<u32>, known: Option<usize>, from: Endpoint, table: &mut Table) -> Result<(), Reason> {
    let Some(strangers) = &mut table.strangers else { return Ok(()) };
    if let Some(slot) = known {
        let allowed = table.session_mut(slot).pace.allow(now, &limits::MEMBER);
        return if allowed { Ok(()) } else { Err(Reason::RateLimited) };
    }
    match strangers.admit(now, from) {
        Admission::Granted => return Ok(()),
        Admission::Refused => return Err(Reason::StrangerLimited),
        Admission::HostRefused => {}
    }
    let slot = ssrc.and_then(|ssrc| table.by_ssrc.get(&ssrc).copied()).ok_or(Reason::StrangerLimited)?;
    let session = table.session_mut(slot);
    let lives_there = session.endpoint.is_some_and(|own| same_host(own.address.ip(), from.address.ip()));
    if lives_there && session.moving.allow(now, &limits::MOVING) { Ok(()) } else { Err(Reason::StrangerLimited) }
}

/// Anything that is not RTP or RTCP by its first byte.
fn take_question(
    now: Nanos,
    datagram: &[u8],
    from: Endpoint,
    known: bool,
    table: &mut Table,
    out: &mut Outbox,
) -> Result<(), Reason> {
    if let Some(ssrc) = discovery::parse_request(datagram) {
        let slot = *table.by_ssrc.get(&ssrc).ok_or(Reason::UnknownSsrc)?;
        let session = table.session_mut(slot);
        if !session.discovery.allow(now, &limits::DISCOVERY) {
            return Err(Reason::DiscoveryLimited);
        }
        session.observe(from);
        let answer = discovery::response(ssrc, from.address);
        let sent = out.push(from, answer.len(), |bytes| {
            bytes.copy_from_slice(&answer);
            Ok::<_, Reason>(answer.len())
        });
        table.counters.add(Reason::Discovery, 1);
        return sent.map(drop);
    }
    Err(match datagram {
        [first, ..] if first >> 6 == 2 => Reason::TooShort, // RTP or RTCP that ends before its SSRC
        [first, _, _, _, cookie @ ..]
            if first >> 6 == 0 && cookie.starts_with(&discovery::STUN_COOKIE.to_be_bytes()) =>
        {
            Reason::Stun
        }
        _ if known && datagram.len() == KEEPALIVE_BYTES => Reason::Keepalive,
        _ if known => Reason::Malformed,
        _ => Reason::UnknownAddress,
    })
}

fn take_voice(
    now: Nanos,
    slot: usize,
    length: usize,
    datagram_bytes: usize,
    from: Endpoint,
    table: &mut Table,
    out: &mut Outbox,
) -> Result<(), Reason> {
    let packet = rtp::Packet::parse(&table.plain[..length]).map_err(|_| Reason::Malformed)?;
    let said = Said { length, sequence: packet.sequence, level_db: level::supposed_db(&packet) };
    let timestamp = packet.timestamp;
    let session = table.session_mut(slot);
    let verdict = session.uplink.accept(now, said.sequence, timestamp, datagram_bytes);
    match verdict {
        Verdict::Duplicate => return Err(Reason::Replayed),
        Verdict::TooOld => return Err(Reason::TooOld),
        Verdict::Newest | Verdict::Late => session.count_received(datagram_bytes),
    }
    came_from(now, slot, verdict == Verdict::Newest, datagram_bytes, from, table);
    if table.session(slot).silenced {
        table.counters.add(Reason::Silenced, 1);
    } else {
        deliver(now, slot, &said, table, out);
    }
    let Table { sessions, counters, watch, .. } = table;
    if let Some(session) = &mut sessions[slot] {
        session.warn(now, out, counters);
        if let Some(at) = session.watch_at() {
            session.watched = true;
            watch.add(at, slot, session.id);
        }
    }
    Ok(())
}

/// RTCP ends here: the sender is told how it arrives, and what it hears is kept for the statistics.
fn take_reports(
    now: Nanos,
    slot: usize,
    length: usize,
    datagram_bytes: usize,
    from: Endpoint,
    table: &mut Table,
    out: &mut Outbox,
) -> Result<(), Reason> {
    let reports = rtcp::parse(&table.plain[..length]).map_err(|_| Reason::Malformed)?;
    table.counters.add(Reason::Rtcp, 1);
    // A sender report newer than all before is as fresh as the newest voice packet: who only listens may roam too.
    let fresh = table.session_mut(slot).take_reports(now, &reports);
    if fresh {
        table.session_mut(slot).uplink.queueing.count(datagram_bytes);
        tell_speakers(now, slot, &reports, table);
        came_from(now, slot, true, datagram_bytes, from, table);
    }
    let Table { sessions, counters, .. } = table;
    if let Some(session) = &mut sessions[slot] {
        session.answer(now, out, counters);
    }
    Ok(())
}

/// What a listener reports about each voice is kept for the one who speaks. Who is no listener of it has no say.
fn tell_speakers(now: Nanos, slot: usize, reports: &[Rtcp], table: &mut Table) {
    let listener = table.session(slot).id;
    for block in reports.iter().flat_map(Rtcp::blocks) {
        let Some(&speaker) = table.by_ssrc.get(&block.ssrc) else { continue };
        if table.routes[speaker].leads_to(listener) {
            table.session_mut(speaker).hearing.take(listener, block.fraction_lost, now);
        }
    }
}

/// A fresh packet with a valid seal came from there: follow the session, or trust its address from now on.
fn came_from(now: Nanos, slot: usize, newest: bool, datagram_bytes: usize, from: Endpoint, table: &mut Table) {
    let session = table.session_mut(slot);
    if session.endpoint == Some(from) {
        session.confirm();
    } else if newest && session.may_move(now, from) {
        table.own_address(slot, from);
        table.session_mut(slot).roam(now, from, datagram_bytes);
        table.counters.add(Reason::Roamed, 1);
    }
}
