//! An opened packet to those who hear it.

use raccall_wire::{Nanos, rtp};

use crate::session::{Destination, Session};
use crate::{Counters, Outbox, Reason, SessionId, Table};

/// Who hears a session.
#[derive(Default)]
pub(crate) struct Route {
    /// Those who hear everyone come first.
    destinations: Vec<Destination>,
    hear_all: usize,
}

impl Route {
    pub(crate) fn new(destinations: impl Iterator<Item = Destination>, sessions: &[Option<Session>]) -> Self {
        let mut route = Self { destinations: destinations.collect(), hear_all: 0 };
        route.arrange(sessions);
        route
    }

    /// To be called when it has changed who hears everyone.
    pub(crate) fn arrange(&mut self, sessions: &[Option<Session>]) {
        let hears_all = |to: &Destination| sessions[to.slot].as_ref().is_some_and(|session| session.hears_all);
        self.destinations.sort_by_key(|to| !hears_all(to));
        self.hear_all = self.destinations.partition_point(hears_all);
    }

    pub(crate) fn leads_to(&self, listener: SessionId) -> bool {
        self.destinations.iter().any(|destination| destination.id == listener)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether anyone is on it to whom it matters how many speak at once.
    pub(crate) fn has_audience(&self) -> bool {
        self.hear_all < self.destinations.len()
    }

    fn split(&self) -> (&[Destination], &[Destination]) {
        self.destinations.split_at(self.hear_all)
    }
}

/// What the sender says of the packet in `Table::plain`.
pub(crate) struct Said {
    pub(crate) length: usize,
    pub(crate) sequence: u16,
    pub(crate) level_db: f32,
}

/// Seals the packet for all who may hear it now. Recorders and bots get it as it was sent, whoever speaks; the others only
/// one of the loudest (`loudest`), and then with numbers that hide where it was not heard (`splice`).
pub(crate) fn deliver(now: Nanos, slot: usize, said: &Said, table: &mut Table, out: &mut Outbox) {
    let Table { sessions, routes, rooms, plain, counters, .. } = table;
    let packet = &mut plain[..said.length];
    let (hear_all, audience) = routes[slot].split();
    let mut copies = seal_each(hear_all, packet, sessions, out, counters);
    if audience.is_empty() || reach_audience(now, slot, said, sessions, rooms, packet) {
        copies += seal_each(audience, packet, sessions, out, counters);
    } else {
        counters.add(Reason::Quieter, 1);
    }
    counters.add(Reason::Opened, 1);
    counters.add(Reason::Forwarded, copies);
    #[cfg(test)]
    assert_ne!(table.fault, rtp::ssrc(&table.plain[..said.length]), "a fault that a test asked for");
}

/// Whether the source is heard now; then the packet gets the sequence number that its listeners expect.
fn reach_audience(
    now: Nanos,
    slot: usize,
    said: &Said,
    sessions: &mut [Option<Session>],
    rooms: &mut crate::table::Rooms,
    packet: &mut [u8],
) -> bool {
    let Some(source) = &mut sessions[slot] else { return false };
    let Some(room) = source.room.and_then(|room| rooms.get_mut(&room)) else { return true };
    let heard = room.stage.hear(now, source.ssrc, &mut source.loudness, said.level_db);
    let Some(spliced) = source.splice.pass(said.sequence, heard) else { return false };
    rtp::renumber(packet, spliced.sequence, spliced.begins);
    true
}

/// How many copies were added to `out`.
fn seal_each(
    route: &[Destination],
    packet: &[u8],
    sessions: &mut [Option<Session>],
    out: &mut Outbox,
    counters: &Counters,
) -> u64 {
    let mut copies = 0;
    for destination in route {
        match &mut sessions[destination.slot] {
            Some(listener) if listener.id == destination.id => {
                copies += u64::from(listener.send(packet, out, counters))
            }
            _ => {} // it left; the control plane's next route will not name it
        }
    }
    copies
}
