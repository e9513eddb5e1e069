//! The client's one UDP socket: large receive buffer, arrival times by the kernel, the kernel's own drops counted.
//!
//! On Linux datagrams are left in the socket buffer until the owner's next tick and read in one call: the kernel has
//! stamped each with its arrival, so waiting costs no accuracy and saves a wake-up per packet. Elsewhere each datagram
//! wakes the thread and is stamped then.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use raccall_wire::Nanos;
use socket2::{Domain, Protocol, Socket, Type};

#[cfg(target_os = "linux")]
pub use linux::Receiver;
#[cfg(not(target_os = "linux"))]
pub use portable::Receiver;

/// DSCP 46 in the upper six bits of the octet.
const EXPEDITED_FORWARDING: u32 = 46 << 2;

/// The longest datagram read: an Ethernet frame's, and more than any voice packet. A longer one is cut and then
/// refused by its seal.
pub const MAX_DATAGRAM_BYTES: usize = 2048;

/// Opens a socket connected to `address` (the kernel drops what comes from elsewhere). Returns it with its receive
/// buffer as granted by the system; Linux grants at most `net.core.rmem_max` and counts its own overhead, hence up to
/// twice what was asked.
pub fn connect(address: SocketAddr, receive_buffer_bytes: usize) -> io::Result<(UdpSocket, usize)> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(receive_buffer_bytes)?;
    mark_as_voice(&socket, address);
    socket.connect(&address.into())?;
    let granted = socket.recv_buffer_size()?;
    Ok((socket.into(), granted))
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

/// The two halves of a connected socket, both for one thread that must never wait for the network.
pub fn split(socket: UdpSocket) -> io::Result<(Sender, Receiver)> {
    let socket = Arc::new(socket);
    Ok((Sender { socket: socket.clone(), errors: 0 }, Receiver::new(socket)?))
}

pub struct Sender {
    socket: Arc<UdpSocket>,
    errors: u64,
}

impl Sender {
    /// Sends or counts an error (no route, the other side's port closed). Voice goes on; the path may come back.
    pub fn send(&mut self, datagram: &[u8]) -> bool {
        let sent = self.socket.send(datagram).is_ok();
        self.errors += u64::from(!sent);
        sent
    }

    pub fn errors(&self) -> u64 {
        self.errors
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::{size_of, zeroed};
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use super::*;
    use crate::clock;

    const BATCH: usize = 32;
    /// Room for the two control messages asked for: a timespec (16 bytes) and a u32, each behind a 16 byte header,
    /// aligned to 8.
    const CONTROL_BYTES: usize = 64;

    /// Reads of one tick. A flood leaves the rest in the socket buffer: voice that is to be sent and played does not
    /// wait for it.
    const MAX_BATCHES: usize = 128;

    #[repr(C, align(8))]
    #[derive(Clone, Copy)]
    struct Control([u8; CONTROL_BYTES]);

    pub struct Receiver {
        socket: Arc<UdpSocket>,
        buffers: Box<[[u8; MAX_DATAGRAM_BYTES]; BATCH]>,
        controls: Box<[Control; BATCH]>,
        kernel_drops: u32,
        errors: u64,
    }

    impl Receiver {
        pub(super) fn new(socket: Arc<UdpSocket>) -> io::Result<Self> {
            socket.set_nonblocking(true)?;
            enable(&socket, libc::SO_TIMESTAMPNS)?;
            enable(&socket, libc::SO_RXQ_OVFL)?;
            Ok(Self {
                socket,
                buffers: Box::new([[0; MAX_DATAGRAM_BYTES]; BATCH]),
                controls: Box::new([Control([0; CONTROL_BYTES]); BATCH]),
                kernel_drops: 0,
                errors: 0,
            })
        }

        /// Datagrams the kernel threw away because the buffer was full.
        pub fn kernel_drops(&self) -> u64 {
            u64::from(self.kernel_drops)
        }

        pub fn errors(&self) -> u64 {
            self.errors
        }

        /// Waits until `deadline`, or until the thread is unparked, then hands every datagram that came, in order, to `take` with its
        /// arrival time.
        pub fn receive_until(&mut self, deadline: Nanos, take: impl FnMut(&[u8], Nanos)) {
            let wait = deadline.saturating_sub(clock::monotonic_now());
            if wait > 0 {
                std::thread::park_timeout(Duration::from_nanos(wait));
            }
            self.drain(take);
        }

        /// Hands over what came, without waiting.
        pub fn drain(&mut self, mut take: impl FnMut(&[u8], Nanos)) {
            for _ in 0..MAX_BATCHES {
                match self.receive_batch(&mut take) {
                    Ok(BATCH) => {}
                    Ok(_) => return,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                    // A refused send (ICMP) is told by the next receive; what waits in the buffer is still to be read.
                    Err(_) => self.errors += 1,
                }
            }
        }

        fn receive_batch(&mut self, take: &mut impl FnMut(&[u8], Nanos)) -> io::Result<usize> {
            // SAFETY: all-zero is a valid value of these C structs.
            let (mut slices, mut messages): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
                unsafe { (zeroed(), zeroed()) };
            for i in 0..BATCH {
                slices[i] = libc::iovec { iov_base: self.buffers[i].as_mut_ptr().cast(), iov_len: MAX_DATAGRAM_BYTES };
                messages[i].msg_hdr.msg_iov = &mut slices[i];
                messages[i].msg_hdr.msg_iovlen = 1;
                messages[i].msg_hdr.msg_control = self.controls[i].0.as_mut_ptr().cast();
                messages[i].msg_hdr.msg_controllen = CONTROL_BYTES;
            }
            // SAFETY: every pointer refers to a live buffer of the given length; nothing moves during the call.
            let count = unsafe {
                libc::recvmmsg(
                    self.socket.as_raw_fd(),
                    messages.as_mut_ptr(),
                    BATCH as libc::c_uint,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                )
            };
            if count < 0 {
                return Err(io::Error::last_os_error());
            }
            let count = count as usize;
            let now = clock::monotonic_now();
            let to_monotonic = clock::monotonic_minus_wall();
            for (i, message) in messages.iter().enumerate().take(count) {
                let arrival = match self.read_control(&message.msg_hdr) {
                    Some(wall) => wall.saturating_add_signed(to_monotonic).min(now),
                    None => now,
                };
                let bytes = (message.msg_len as usize).min(MAX_DATAGRAM_BYTES);
                take(&self.buffers[i][..bytes], arrival);
            }
            Ok(count)
        }

        /// Returns the wall-clock arrival in nanoseconds and keeps the kernel's drop count.
        fn read_control(&mut self, header: &libc::msghdr) -> Option<u64> {
            let mut wall = None;
            // SAFETY: the kernel filled the control buffer and its length; CMSG_* walk stays inside it.
            unsafe {
                let mut message = libc::CMSG_FIRSTHDR(header);
                while !message.is_null() {
                    match ((*message).cmsg_level, (*message).cmsg_type) {
                        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                            let time = libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned();
                            wall = Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64);
                        }
                        (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                            self.kernel_drops = libc::CMSG_DATA(message).cast::<u32>().read_unaligned();
                        }
                        _ => {}
                    }
                    message = libc::CMSG_NXTHDR(header, message);
                }
            }
            wall
        }
    }

    fn enable(socket: &UdpSocket, option: libc::c_int) -> io::Result<()> {
        let on: libc::c_int = 1;
        // SAFETY: the value is a live int of the given size.
        let failed = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    /// Of one tick, as MAX_BATCHES elsewhere.
    const MAX_DRAINED: usize = 4096;

    pub struct Receiver {
        socket: Arc<UdpSocket>,
        buffer: Box<[u8; MAX_DATAGRAM_BYTES]>,
        errors: u64,
    }

    impl Receiver {
        pub(super) fn new(socket: Arc<UdpSocket>) -> io::Result<Self> {
            Ok(Self { socket, buffer: Box::new([0; MAX_DATAGRAM_BYTES]), errors: 0 })
        }

        /// Not told by this system.
        pub fn kernel_drops(&self) -> u64 {
            0
        }

        pub fn errors(&self) -> u64 {
            self.errors
        }

        /// Hands every datagram that comes before `deadline`, in order, to `take` with its arrival time.
        pub fn receive_until(&mut self, deadline: Nanos, mut take: impl FnMut(&[u8], Nanos)) {
            loop {
                let wait = deadline.saturating_sub(clock::monotonic_now());
                if wait == 0 || self.socket.set_read_timeout(Some(Duration::from_nanos(wait))).is_err() {
                    return;
                }
                match self.socket.recv(&mut self.buffer[..]) {
                    Ok(bytes) => take(&self.buffer[..bytes], clock::monotonic_now()),
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                    Err(_) => self.errors += 1,
                }
            }
        }

        /// Hands over what came, without waiting; its arrival is now.
        pub fn drain(&mut self, mut take: impl FnMut(&[u8], Nanos)) {
            if self.socket.set_nonblocking(true).is_err() {
                return;
            }
            for _ in 0..MAX_DRAINED {
                match self.socket.recv(&mut self.buffer[..]) {
                    Ok(bytes) => take(&self.buffer[..bytes], clock::monotonic_now()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                    Err(_) => self.errors += 1,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn pair(receive_buffer_bytes: usize) -> (Sender, Receiver, UdpSocket) {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (socket, _) = connect(peer.local_addr().unwrap(), receive_buffer_bytes).unwrap();
        peer.connect(socket.local_addr().unwrap()).unwrap();
        let (sender, receiver) = split(socket).unwrap();
        (sender, receiver, peer)
    }

    #[test]
    fn datagrams_arrive_in_order() {
        let (_, mut receiver, peer) = pair(1 << 20);
        let got: Vec<_> = sent_and_received(&mut receiver, &peer).1.into_iter().map(|(bytes, _)| bytes).collect();
        assert_eq!(got, (0..100).map(|i| vec![i; 50]).collect::<Vec<_>>());
    }

    /// Linux stamps what arrives from a moment after the first socket asked for it (`net_enable_timestamp` leaves that to
    /// a work queue); what has no stamp by then gets the time at which it is read. So not the first time must be right.
    #[test]
    fn datagrams_have_the_time_of_their_arrival() {
        let (_, mut receiver, peer) = pair(1 << 20);
        let slack = 1_000_000;
        assert!((0..5).any(|_| {
            let (sending, got) = sent_and_received(&mut receiver, &peer);
            let likely = sending.start - slack..sending.end + slack;
            got.iter().all(|(_, arrival)| likely.contains(arrival))
        }));
    }

    /// When a hundred were sent, and what came of it with its times; on Linux read 20 ms later.
    fn sent_and_received(receiver: &mut Receiver, peer: &UdpSocket) -> (std::ops::Range<Nanos>, Vec<(Vec<u8>, Nanos)>) {
        let before = clock::monotonic_now();
        for number in 0..100u8 {
            peer.send(&[number; 50]).unwrap();
        }
        let after = clock::monotonic_now();
        let mut got = Vec::new();
        receiver.receive_until(after + 20_000_000, |bytes, arrival| got.push((bytes.to_vec(), arrival)));
        (before..after, got)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn kernel_drops_are_counted() {
        let (_, mut receiver, peer) = pair(4096);
        for _ in 0..200 {
            peer.send(&[1; 500]).unwrap();
        }
        let mut got = 0;
        receiver.receive_until(0, |_, _| got += 1);
        peer.send(&[2; 10]).unwrap(); // the count comes with the next datagram
        receiver.receive_until(0, |_, _| got += 1);
        assert_eq!(got - 1 + receiver.kernel_drops(), 200);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn voice_is_marked_on_both_families() {
        let open = |address: &str| Socket::from(connect(address.parse().unwrap(), 1 << 16).unwrap().0);
        assert_eq!(open("127.0.0.1:9").tos_v4().unwrap(), 0xB8);
        assert_eq!(open("[::1]:9").tclass_v6().unwrap(), 0xB8);
    }

    #[test]
    fn a_closed_port_is_counted_and_harms_nothing() {
        let (mut sender, mut receiver, peer) = pair(1 << 16);
        drop(peer);
        for _ in 0..3 {
            sender.send(b"anyone?");
            receiver.receive_until(clock::monotonic_now() + 1_000_000, |_, _| panic!("nobody answers"));
        }
        assert!(sender.errors() + receiver.errors() > 0);
    }
}
