//! One datagram per system call, on every system.

use std::io;
use std::net::SocketAddr;

use crate::forward::MAX_DATAGRAM_BYTES;
use crate::socket::{BATCH, Bound};
use crate::{Counters, Outbox, Reason};

/// One byte more than is allowed shows that a datagram is too long.
const SLOT_BYTES: usize = MAX_DATAGRAM_BYTES + 1;

pub(crate) struct Inbound {
    bytes: Box<[[u8; SLOT_BYTES]; BATCH]>,
    received: Vec<(usize, SocketAddr)>,
}

impl Inbound {
    pub(crate) fn new() -> Self {
        let bytes = vec![[0; SLOT_BYTES]; BATCH].try_into().expect("BATCH slots");
        Self { bytes, received: Vec::with_capacity(BATCH) }
    }

    /// Fetches what is there, at most BATCH datagrams. Whether there may be more.
    pub(crate) fn receive(&mut self, bound: &Bound) -> bool {
        self.received.clear();
        while let Some(slot) = self.bytes.get_mut(self.received.len()) {
            match bound.socket.recv_from(slot) {
                Ok(received) => self.received.push(received),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // Windows reports a longer datagram as an error, and tells a receiver that an earlier answer of its own
                // was refused. Neither concerns the next one.
                Err(_) => return true,
            }
        }
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.received.len()
    }

    /// The local address is not told here: answers leave from the one that the system chooses.
    pub(crate) fn get(&self, index: usize) -> (&[u8], SocketAddr, u8) {
        let (length, from) = self.received[index];
        (&self.bytes[index][..length], from, 0)
    }
}

pub(crate) fn send(sockets: &[Bound], out: &Outbox, counters: &Counters) {
    for (bytes, to) in out.iter() {
        match sockets[usize::from(to.socket)].socket.send_to(bytes, to.address) {
            Ok(_) => counters.add(Reason::Sent, 1),
            Err(_) => counters.add(Reason::SendErrors, 1),
        }
    }
}
