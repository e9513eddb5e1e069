//! Where a call's datagrams leave: the UDP socket, or the one that leads to the tunnel's carrier on this machine.

use raccall_wire::Nanos;
use raccall_wire::discovery::request;

use crate::path::{Path, Route, Wish};
use crate::socket::Sender;

pub struct Link {
    udp: Sender,
    tunnel: Option<Tunnel>,
}

struct Tunnel {
    sender: Sender,
    path: Path,
}

impl Link {
    /// Without a tunnel everything goes by UDP, come what may. `route`: by which the relay was found.
    pub fn new(udp: Sender, tunnel: Option<Sender>, route: Route, now: Nanos) -> Self {
        Self { udp, tunnel: tunnel.map(|sender| Tunnel { sender, path: Path::new(route, now) }) }
    }

    pub fn route(&self) -> Route {
        self.tunnel.as_ref().map_or(Route::Udp, |tunnel| tunnel.path.route())
    }

    pub fn route_changes(&self) -> u64 {
        self.tunnel.as_ref().map_or(0, |tunnel| tunnel.path.changes())
    }

    /// Sends or counts an error (no route, the other side's port closed). Voice goes on; the path may come back.
    pub fn send(&mut self, datagram: &[u8]) -> bool {
        match &mut self.tunnel {
            Some(tunnel) if tunnel.path.route() == Route::Tunnel => tunnel.sender.send(datagram),
            _ => self.udp.send(datagram),
        }
    }

    /// The relay answered us by this route.
    pub fn answered(&mut self, by: Route, now: Nanos) {
        if let (Route::Udp, Some(tunnel)) = (by, &mut self.tunnel) {
            tunnel.path.answered(now);
        }
    }

    /// Asks whether UDP works, where that is in doubt. Whether the route has changed.
    pub fn tick(&mut self, ssrc: u32, now: Nanos) -> bool {
        match self.tunnel.as_mut().map_or(Wish::Nothing, |tunnel| tunnel.path.tick(now)) {
            Wish::Nothing => false,
            Wish::Changed => true,
            Wish::Probe => {
                self.udp.send(&request(ssrc));
                false
            }
        }
    }

    pub fn errors(&self) -> u64 {
        self.udp.errors() + self.tunnel.as_ref().map_or(0, |tunnel| tunnel.sender.errors())
    }
}
