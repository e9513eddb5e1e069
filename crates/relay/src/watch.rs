//! Whose next packet is overdue: the one thing that the relay does without having received a datagram.
//!
//! Each session that sends in a rhythm is on the list once, with the time at which its next packet should have come when it was put
//! there. That time comes and the packet has: then it goes back with the time that holds now. So a talker costs some twenty looks a
//! second, and whoever is silent none.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use raccall_wire::Nanos;

use crate::{Outbox, SessionId, Table};

#[derive(Debug, Default)]
pub(crate) struct Watch {
    due: BinaryHeap<Reverse<(Nanos, usize, SessionId)>>,
}

impl Watch {
    pub(crate) fn add(&mut self, at: Nanos, slot: usize, id: SessionId) {
        self.due.push(Reverse((at, slot, id)));
    }

    pub(crate) fn next(&self) -> Option<Nanos> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    fn pop(&mut self, now: Nanos) -> Option<(usize, SessionId)> {
        self.next().filter(|at| *at <= now)?;
        self.due.pop().map(|Reverse((_, slot, id))| (slot, id))
    }
}

/// Tells everybody whose next packet is overdue at `now`. To be called when `Table::next_alarm` says so, or a little later.
pub fn alarm(now: Nanos, table: &mut Table, out: &mut Outbox) {
    while let Some((slot, id)) = table.watch.pop(now) {
        let Some(session) = table.sessions[slot].as_mut().filter(|session| session.id == id) else { continue };
        session.watched = false;
        match session.uplink.queueing.alarm_at() {
            Some(at) if at > now => {
                session.watched = true;
                table.watch.add(at, slot, id);
            }
            Some(_) => session.alarm(now, out, &table.counters),
            None => {}
        }
    }
}
