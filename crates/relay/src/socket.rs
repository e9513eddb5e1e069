//! A bound socket with the buffers that voice needs.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Datagrams per system call. More brings nothing: the kernel's work per packet dominates.
pub(crate) const BATCH: usize = 64;

pub(crate) struct Bound {
    pub(crate) socket: mio::net::UdpSocket,
    pub(crate) address: SocketAddr,
    /// Usable bytes, as read back from the system.
    pub(crate) receive_buffer_bytes: usize,
}

impl Bound {
    pub(crate) fn open(address: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?; // IPv4 has its own socket, and its addresses stay IPv4
        }
        ask_for_buffers(&socket, buffer_bytes);
        let receive_buffer_bytes = usable_bytes(socket.recv_buffer_size()?);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        #[cfg(target_os = "linux")]
        crate::mmsg::count_kernel_drops(&socket)?;
        let socket = UdpSocket::from(socket);
        Ok(Self { address: socket.local_addr()?, socket: mio::net::UdpSocket::from_std(socket), receive_buffer_bytes })
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
