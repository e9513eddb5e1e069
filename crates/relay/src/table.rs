//! The forwarding table: sessions by id, by address and by SSRC.

use std::sync::Arc;

use raccall_wire::Nanos;
use raccall_wire::discovery::STUN_COOKIE;
use raccall_wire::transport::{RELAY_SPACE, RelayNonces};

use crate::deliver::Route;
use crate::forward::MAX_DATAGRAM_BYTES;
use crate::hash::FastMap;
use crate::limits::Strangers;
use crate::loudest::Stage;
use crate::session::{Destination, Session};
use crate::watch::Watch;
use crate::{Command, Counters, Endpoint, Reason, RoomId, SessionId, SessionStats};

/// Which of the relay's threads a table belongs to. The nonces of any two are disjoint, also for one key.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub thread: u16,
    pub threads: u16,
    /// Nonces of all threads together for each key: 10 to RELAY_SPACE.
    pub nonces: u32,
}

impl Share {
    /// This thread's for one key.
    pub(crate) fn nonces(self) -> RelayNonces {
        RelayNonces::within(self.nonces, self.thread, self.threads)
    }
}

impl Default for Share {
    fn default() -> Self {
        Self { thread: 0, threads: 1, nonces: RELAY_SPACE }
    }
}

/// What sources of one room compete for.
pub(crate) struct Room {
    members: usize,
    pub(crate) stage: Stage,
}

pub(crate) type Rooms = FastMap<RoomId, Room>;

/// More voices than that at once nobody follows, and each costs every listener its bandwidth.
pub const SPEAKERS_AT_ONCE: usize = 8;

/// Owned by one thread. Changed by commands, read by packets.
pub struct Table {
    pub(crate) sessions: Vec<Option<Session>>,
    /// Who hears the session of the same index. Apart from it, so that it can be read while listeners are changed.
    pub(crate) routes: Vec<Route>,
    pub(crate) rooms: Rooms,
    speakers_at_once: usize,
    free: Vec<usize>,
    by_id: FastMap<SessionId, usize>,
    pub(crate) by_ssrc: FastMap<u32, usize>,
    pub(crate) by_address: FastMap<Endpoint, usize>,
    pub(crate) watch: Watch,
    /// None: whoever sends may send all it can (a benchmark's load generator).
    pub(crate) strangers: Option<Strangers>,
    share: Share,
    /// A source whose packets make `forward` panic in mid-work, as a fault of its own would.
    #[cfg(test)]
    pub(crate) fault: Option<u32>,
    pub(crate) counters: Arc<Counters>,
    /// The packet being forwarded, opened.
    pub(crate) plain: Box<[u8; MAX_DATAGRAM_BYTES]>,
}

impl Default for Table {
    fn default() -> Self {
        Self::new(Arc::default(), Share::default())
    }
}

impl Table {
    pub fn new(counters: Arc<Counters>, share: Share) -> Self {
        Self {
            sessions: Vec::new(),
            routes: Vec::new(),
            rooms: Rooms::default(),
            speakers_at_once: SPEAKERS_AT_ONCE,
            free: Vec::new(),
            by_id: FastMap::default(),
            by_ssrc: FastMap::default(),
            by_address: FastMap::default(),
            watch: Watch::default(),
            strangers: Some(Strangers::new()),
            share,
            #[cfg(test)]
            fault: None,
            counters,
            plain: Box::new([0; MAX_DATAGRAM_BYTES]),
        }
    }

    /// Looks at everything that comes, however much, and believes every address: only for a benchmark.
    pub fn without_limits(self) -> Self {
        Self { strangers: None, ..self }
    }

    /// At most so many of a room are heard at once; at least 1.
    pub fn with_speakers_at_once(self, speakers: usize) -> Self {
        Self { speakers_at_once: speakers.max(1), ..self }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// When `alarm` has something to do, if nothing comes until then.
    pub fn next_alarm(&self) -> Option<Nanos> {
        self.watch.next()
    }

    pub fn session_stats(&self, id: SessionId) -> Option<SessionStats> {
        self.by_id.get(&id).map(|slot| self.session(*slot).stats())
    }

    pub fn apply(&mut self, command: Command) {
        let refused = match command {
            Command::AddSession { id, ssrc, mode, key } => self.add(id, ssrc, mode, &key),
            Command::RemoveSession { id } => self.remove(id),
            Command::SetRoom { id, room, hears_all } => self.set_room(id, room, hears_all),
            Command::SetSilenced { id, silenced } => self.set_silenced(id, silenced),
            Command::SetRoute { id, destinations } => self.set_route(id, &destinations),
            Command::SetAddress { id, address, proven } => self.set_address(id, address, proven),
        }
        .err();
        if let Some(reason) = refused {
            self.counters.add(reason, 1);
        }
    }

    fn add(
        &mut self,
        id: SessionId,
        ssrc: u32,
        mode: raccall_wire::transport::Mode,
        key: &[u8; 32],
    ) -> Result<(), Reason> {
        if let Some(&slot) = self.by_id.get(&id) {
            let session = self.session_mut(slot);
            if session.ssrc != ssrc {
                return Err(Reason::CommandRefused);
            }
            session.rekey(mode, key);
            return Ok(());
        }
        // 0 is the relay's own SSRC, the cookie would make IP discovery look like STUN.
        if ssrc == 0 || ssrc == STUN_COOKIE || self.by_ssrc.contains_key(&ssrc) {
            return Err(Reason::CommandRefused);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.routes.push(Route::default());
            self.sessions.len() - 1
        });
        self.sessions[slot] = Some(Session::new(id, ssrc, mode, key, self.share));
        self.by_id.insert(id, slot);
        self.by_ssrc.insert(ssrc, slot);
        Ok(())
    }

    fn remove(&mut self, id: SessionId) -> Result<(), Reason> {
        let slot = self.by_id.remove(&id).ok_or(Reason::CommandRefused)?;
        self.leave_room(slot);
        let session = self.sessions[slot].take().expect("by_id names living sessions");
        self.routes[slot].clear();
        self.by_ssrc.remove(&session.ssrc);
        if let Some(endpoint) = session.endpoint {
            self.by_address.remove(&endpoint);
        }
        self.free.push(slot);
        Ok(())
    }

    fn set_route(&mut self, id: SessionId, destinations: &[SessionId]) -> Result<(), Reason> {
        let slot = *self.by_id.get(&id).ok_or(Reason::CommandRefused)?;
        let listeners = destinations.iter().filter(|listener| **listener != id);
        let listeners = listeners.filter_map(|id| self.by_id.get(id).map(|slot| Destination { slot: *slot, id: *id }));
        self.routes[slot] = Route::new(listeners, &self.sessions);
        if !self.routes[slot].has_audience() {
            self.leave_stage(slot);
        }
        Ok(())
    }

    fn set_room(&mut self, id: SessionId, room: RoomId, hears_all: bool) -> Result<(), Reason> {
        let slot = *self.by_id.get(&id).ok_or(Reason::CommandRefused)?;
        if self.session(slot).room != Some(room) {
            self.leave_room(slot);
            let stage = || Room { members: 0, stage: Stage::new(self.speakers_at_once) };
            self.rooms.entry(room).or_insert_with(stage).members += 1;
            self.session_mut(slot).room = Some(room);
        }
        if self.session(slot).hears_all != hears_all {
            self.session_mut(slot).hears_all = hears_all;
            let Self { sessions, routes, .. } = self;
            routes.iter_mut().for_each(|route| route.arrange(sessions));
        }
        Ok(())
    }

    fn set_silenced(&mut self, id: SessionId, silenced: bool) -> Result<(), Reason> {
        let slot = *self.by_id.get(&id).ok_or(Reason::CommandRefused)?;
        self.session_mut(slot).silenced = silenced;
        if silenced {
            self.leave_stage(slot);
        }
        Ok(())
    }

    /// Gives its seat to others, if it has one.
    fn leave_stage(&mut self, slot: usize) {
        let (room, source) = (self.session(slot).room, self.session(slot).ssrc);
        if let Some(room) = room.and_then(|room| self.rooms.get_mut(&room)) {
            room.stage.leave(source);
        }
    }

    fn leave_room(&mut self, slot: usize) {
        self.leave_stage(slot);
        if let Some(id) = self.session_mut(slot).room.take()
            && let Some(room) = self.rooms.get_mut(&id)
        {
            room.members -= 1;
            if room.members == 0 {
                self.rooms.remove(&id);
            }
        }
    }

    fn set_address(&mut self, id: SessionId, address: std::net::SocketAddr, proven: bool) -> Result<(), Reason> {
        let slot = *self.by_id.get(&id).ok_or(Reason::CommandRefused)?;
        let believed = self.strangers.is_none().then(|| Endpoint::from(address));
        let endpoint = self.session(slot).observed_at(address).or(believed).ok_or(Reason::NotObserved)?;
        self.own_address(slot, endpoint);
        self.session_mut(slot).settle(endpoint, proven);
        Ok(())
    }

    /// Makes `endpoint` lead to this session and to no other. Its old address no longer leads anywhere.
    pub(crate) fn own_address(&mut self, slot: usize, endpoint: Endpoint) {
        if let Some(old) = self.session(slot).endpoint {
            self.by_address.remove(&old);
        }
        if let Some(former) = self.by_address.insert(endpoint, slot) {
            self.session_mut(former).endpoint = None;
        }
    }

    pub(crate) fn session(&self, slot: usize) -> &Session {
        self.sessions[slot].as_ref().expect("an index leads to a living session")
    }

    pub(crate) fn session_mut(&mut self, slot: usize) -> &mut Session {
        self.sessions[slot].as_mut().expect("an index leads to a living session")
    }
}
