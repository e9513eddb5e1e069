//! What the control plane tells the relay.

use std::net::SocketAddr;

use raccall_wire::transport::Mode;

/// Chosen by the control plane, never used twice.
pub type SessionId = u64;

/// Chosen by the control plane: whose sources rank among each other.
pub type RoomId = u64;

/// Where a datagram came from and goes to: an address, seen through one of the relay's own sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// Index of the bound socket; answers leave through the socket that was addressed.
    pub socket: u8,
    /// Where that socket listens on all addresses of this machine: the one that was addressed, 0 if that is not known.
    pub via: u8,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { address, socket: 0, via: 0 }
    }
}

/// A change of the table. One that contradicts it is refused and counted (`command_refused`).
#[derive(Clone)]
pub enum Command {
    /// A new session. With an id and SSRC that exist: a new key, while address, route and replay window stay.
    AddSession {
        id: SessionId,
        ssrc: u32,
        mode: Mode,
        key: [u8; 32],
    },
    RemoveSession {
        id: SessionId,
    },
    /// The room in which this session competes to be heard (`loudest`); in none it always is. `hears_all`: it gets every
    /// packet of its routes as it was sent, whoever is loudest (recorders and bots).
    SetRoom {
        id: SessionId,
        room: RoomId,
        hears_all: bool,
    },
    /// Nobody gets what this session says, or all may again. It may go on sending, and moving.
    SetSilenced {
        id: SessionId,
        silenced: bool,
    },
    /// Who hears this session from now on. Sessions that do not exist are left out, the sender is never its own listener.
    SetRoute {
        id: SessionId,
        destinations: Vec<SessionId>,
    },
    /// Sent there from now on, if IP discovery has seen this session's SSRC at this address; else refused (`not_observed`).
    ///
    /// A source address can be forged, so discovery alone proves nothing. `proven`: the member is known to be at this IP
    /// address (its TCP connection comes from there). Else it is sent no more than three times what it sent, until a
    /// fresh packet with a valid seal comes from there.
    SetAddress {
        id: SessionId,
        address: SocketAddr,
        proven: bool,
    },
}
