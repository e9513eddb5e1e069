//! A bound socket with the buffers that voice needs.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Datagrams per system call. More brings nothing: the kernel's work per packet dominates.
pub(crate) const BATCH: usize = 64;

/// DSCP 46 in the upper six bits of the octet.
const EXPEDITED_FORWARDING: u32 = 46 << 2;

pub(crate) struct Bound {
    pub(crate) socket: mio::net::UdpSocket,
    pub(crate) address: SocketAddr,
    /// Usable bytes, as read back from the system.
    pub(crate) receive_buffer_bytes: usize,
    /// It listens on all addresses and is told which one a datagram was sent to.
    #[cfg(target_os = "linux")]
    pub(crate) everywhere: bool,
}

/// One socket per thread on the same address (port 0: any free one).
///
/// One socket alone where the kernel cannot hand out datagrams by room: the relay then has one thread.
pub(crate) fn open(address: SocketAddr, buffer_bytes: usize, threads: usize) -> io::Result<Vec<Bound>> {
    let first = unbound(address, buffer_bytes)?;
    first.bind(&address.into())?; // alone, so that a busy port is an error
    let mut sockets = vec![first];
    #[cfg(target_os = "linux")]
    if threads > 1 && share(&mut sockets, address, buffer_bytes, threads).is_err() {
        sockets.truncate(1);
        sockets[0].set_reuse_port(false)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = threads;
    sockets.into_iter().map(Bound::new).collect()
}

/// Adds a socket for each further thread, and says which datagram is whose.
#[cfg(target_os = "linux")]
fn share(sockets: &mut Vec<Socket>, address: SocketAddr, buffer_bytes: usize, threads: usize) -> io::Result<()> {
    let bound = sockets[0].local_addr()?;
    sockets[0].set_reuse_port(true)?;
    for _ in 1..threads {
        let next = unbound(address, buffer_bytes)?;
        next.set_reuse_port(true)?;
        next.bind(&bound)?;
        sockets.push(next);
    }
    crate::steer::by_lane(&sockets[0], threads)
}

fn unbound(address: SocketAddr, buffer_bytes: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // IPv4 has its own socket, and its addresses stay IPv4
    }
    ask_for_buffers(&socket, buffer_bytes);
    socket.set_nonblocking(true)?;
    mark_as_voice(&socket, address);
    // A kernel that knows one of these not (a sandbox's) relays without.
    #[cfg(target_os = "linux")]
    {
        let _ = crate::mmsg::count_kernel_drops(&socket);
        let _ = crate::mmsg::never_fragment(&socket, address);
    }
    Ok(socket)
}

/// Expedited forwarding (DSCP 46, RFC 4594): networks that look at it, Wi-Fi above all, send voice before downloads. A
/// system that does not allow it sends as it likes.
fn mark_as_voice(socket: &Socket, address: SocketAddr) {
    #[cfg(unix)]
    if address.is_ipv6() {
        let _ = socket.set_tclass_v6(EXPEDITED_FORWARDING);
        return;
    }
    if address.is_ipv4() {
        let _ = socket.set_tos_v4(EXPEDITED_FORWARDING);
    }
}

impl Bound {
    fn new(socket: Socket) -> io::Result<Self> {
        let receive_buffer_bytes = usable_bytes(socket.recv_buffer_size()?);
        let socket = UdpSocket::from(socket);
        let address = socket.local_addr()?;
        #[cfg(target_os = "linux")]
        let everywhere = address.ip().is_unspecified() && crate::mmsg::tell_local_address(&socket, address).is_ok();
        Ok(Self {
            address,
            socket: mio::net::UdpSocket::from_std(socket),
            receive_buffer_bytes,
            #[cfg(target_os = "linux")]
            everywhere,
        })
    }
}

/// A burst must fit while the thread is not running: the usual 208 KiB lose packets (1 to 3 % measured when descheduled).
/// What the system refuses shows when the size is read back.
fn ask_for_buffers(socket: &Socket, bytes: usize) {
    #[cfg(target_os = "linux")]
    if crate::mmsg::force_buffers(socket, bytes) {
        return;
    }
    let _ = socket.set_recv_buffer_size(bytes);
    let _ = socket.set_send_buffer_size(bytes);
}

/// Linux tells twice what was granted, its own bookkeeping included (socket(7)).
fn usable_bytes(told: usize) -> usize {
    if cfg!(target_os = "linux") { told / 2 } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn voice_is_marked_on_both_families() {
        let open = |address: &str| unbound(address.parse().unwrap(), 1 << 16).unwrap();
        assert_eq!(open("127.0.0.1:0").tos_v4().unwrap(), 0xB8);
        assert_eq!(open("[::1]:0").tclass_v6().unwrap(), 0xB8);
    }
}
