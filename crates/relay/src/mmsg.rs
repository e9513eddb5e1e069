//! Up to 64 datagrams per system call: recvmmsg and sendmmsg of Linux. The only unsafe code of the relay.
//!
//! All pointers in a message header lead into boxes of the same struct that live as long as it and never move.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::ptr::from_ref;

use libc::{c_int, iovec, mmsghdr, sockaddr_in, sockaddr_in6};

use crate::forward::MAX_DATAGRAM_BYTES;
use crate::local::{self, Locals};
use crate::socket::{BATCH, Bound};
use crate::{Counters, Endpoint, Outbox, Reason};

/// One byte more than is allowed shows that a datagram is too long.
const SLOT_BYTES: usize = MAX_DATAGRAM_BYTES + 1;
/// Room for two control messages: the kernel's count of dropped datagrams (4 bytes behind a header of 16, aligned) and the
/// local address (20 at most).
const CONTROL_BYTES: usize = 24 + 40;

#[derive(Clone, Copy)]
#[repr(C)]
union Name {
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Asks for buffers beyond the system's limit, which needs CAP_NET_ADMIN. Whether the receive buffer was granted.
pub(crate) fn force_buffers(socket: &socket2::Socket, bytes: usize) -> bool {
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    let forced = set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes).is_ok();
    forced && set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes).is_ok()
}

/// From now on each received message tells how many the kernel has dropped before it, if any.
pub(crate) fn count_kernel_drops(socket: &socket2::Socket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

/// Datagrams leave whole or not at all, whatever a forged ICMP message says of the path: no voice packet fills an Ethernet
/// frame. And a packet that is never cut needs no number of its own, which the kernel would otherwise hash from its
/// address and count up (6 % of a relay's time).
pub(crate) fn never_fragment(socket: &socket2::Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv4() {
        set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
    } else {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
    }
}

/// Whether this kernel has the two calls; a sandbox may refuse them. Asked with nothing to receive and nothing to send.
pub(crate) fn is_known() -> bool {
    // SAFETY: no descriptor and no headers: a kernel that knows the calls says that the descriptor is none.
    let results = unsafe {
        let received = libc::recvmmsg(-1, std::ptr::null_mut(), 0, 0, std::ptr::null_mut());
        let receive_error = io::Error::last_os_error();
        let sent = libc::sendmmsg(-1, std::ptr::null_mut(), 0, 0);
        [(received, receive_error), (sent, io::Error::last_os_error())]
    };
    results.iter().all(|(result, error)| *result >= 0 || error.raw_os_error() == Some(libc::EBADF))
}

/// From now on each received message tells which address of this machine it was sent to.
pub(crate) fn tell_local_address(socket: &impl AsRawFd, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv4() {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    } else {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    }
}

fn set_option(socket: &impl AsRawFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the value is a c_int that lives through the call, and its size is told.
    let result = unsafe {
        let value = from_ref(&value).cast();
        libc::setsockopt(socket.as_raw_fd(), level, option, value, size_of::<c_int>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Since the kernel took in the datagram that was received last. `None` the first time: it begins to write times down then.
pub(crate) fn nanos_since_received(socket: &impl AsRawFd) -> Option<u64> {
    const SIOCGSTAMPNS: c_int = 0x8907; // linux/sockios.h, with the C library's own timespec
    let mut times = [libc::timespec { tv_sec: 0, tv_nsec: 0 }; 2];
    // SAFETY: both calls fill a timespec that lives through them.
    let failed = unsafe {
        libc::ioctl(socket.as_raw_fd(), SIOCGSTAMPNS as _, &raw mut times[0]) != 0
            || libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut times[1]) != 0
    };
    let [received, now] = times.map(|time| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64);
    (!failed).then(|| now.saturating_sub(received)) // 0 if the clock was set back meanwhile
}

pub(crate) struct Inbound {
    bytes: Box<[[u8; SLOT_BYTES]]>,
    names: Box<[Name]>,
    _controls: Box<[Control]>,
    _vectors: Box<[iovec]>,
    headers: Box<[mmsghdr]>,
    received: usize,
    /// Which local address each was sent to (`Locals`).
    vias: Box<[u8]>,
    /// The kernel's count per socket at the last look.
    drops: Vec<u32>,
}

// SAFETY: the raw pointers lead only into boxes of the same struct.
unsafe impl Send for Inbound {}

impl Inbound {
    pub(crate) fn new(sockets: usize) -> Self {
        let mut bytes = vec![[0; SLOT_BYTES]; BATCH].into_boxed_slice();
        let mut names = zeroed_slice::<Name>();
        let mut controls = vec![Control([0; CONTROL_BYTES]); BATCH].into_boxed_slice();
        let mut vectors = zeroed_slice::<iovec>();
        let mut headers = zeroed_slice::<mmsghdr>();
        for i in 0..BATCH {
            vectors[i] = iovec { iov_base: bytes[i].as_mut_ptr().cast(), iov_len: SLOT_BYTES };
            let header = &mut headers[i].msg_hdr;
            header.msg_iov = &raw mut vectors[i];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut names[i]).cast();
            header.msg_control = (&raw mut controls[i]).cast();
        }
        let drops = vec![0; sockets];
        Self {
            bytes,
            names,
            _controls: controls,
            _vectors: vectors,
            headers,
            received: BATCH,
            vias: vec![local::ANY; BATCH].into_boxed_slice(),
            drops,
        }
    }

    /// Fetches what is there, at most BATCH datagrams. Whether there may be more.
    pub(crate) fn receive(&mut self, index: usize, bound: &Bound, locals: &mut Locals, counters: &Counters) -> bool {
        for header in &mut self.headers[..self.received] {
            header.msg_hdr.msg_namelen = size_of::<Name>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
        }
        // SAFETY: BATCH headers, each with valid pointers and the sizes of what they lead to.
        let received = unsafe {
            let headers = self.headers.as_mut_ptr();
            libc::recvmmsg(bound.socket.as_raw_fd(), headers, BATCH as _, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
        };
        self.received = usize::try_from(received).unwrap_or(0);
        if let Some(last) = self.received.checked_sub(1) {
            self.count_drops(index, last, counters);
        }
        self.vias.fill(local::ANY);
        if bound.everywhere {
            for message in 0..self.received {
                self.vias[message] = self.local_address(message).map_or(local::ANY, |address| locals.number(address));
            }
        }
        self.received == BATCH
    }

    pub(crate) fn len(&self) -> usize {
        self.received
    }

    pub(crate) fn get(&self, index: usize) -> (&[u8], SocketAddr, u8) {
        let length = (self.headers[index].msg_len as usize).min(SLOT_BYTES);
        (&self.bytes[index][..length], read_name(&self.names[index]), self.vias[index])
    }

    fn count_drops(&mut self, socket: usize, message: usize, counters: &Counters) {
        let Some(count) = self.control(message, libc::SOL_SOCKET, libc::SO_RXQ_OVFL) else {
            return; // nothing was ever dropped
        };
        let count = u32::from_ne_bytes(count);
        counters.add(Reason::KernelDrops, count.wrapping_sub(self.drops[socket]).into());
        self.drops[socket] = count;
    }

    fn local_address(&self, message: usize) -> Option<IpAddr> {
        // in_pktinfo: interface, local address, address in the header; in6_pktinfo begins with the address.
        let v4 = self.control::<12>(message, libc::IPPROTO_IP, libc::IP_PKTINFO);
        let v4 = v4.map(|info| IpAddr::from([info[4], info[5], info[6], info[7]]));
        v4.or_else(|| self.control::<16>(message, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO).map(IpAddr::from))
    }

    /// The beginning of what the kernel told of a message under this level and type.
    fn control<const BYTES: usize>(&self, message: usize, level: c_int, kind: c_int) -> Option<[u8; BYTES]> {
        let header = &self.headers[message].msg_hdr;
        // SAFETY: the kernel filled the control buffer and set its length; the macros walk inside it, and a message that is
        // long enough holds BYTES of data.
        unsafe {
            let mut control = libc::CMSG_FIRSTHDR(header);
            while !control.is_null() {
                let told = &*control;
                if (told.cmsg_level, told.cmsg_type) == (level, kind)
                    && told.cmsg_len as usize >= libc::CMSG_LEN(BYTES as _) as usize
                {
                    return Some(libc::CMSG_DATA(control).cast::<[u8; BYTES]>().read_unaligned());
                }
                control = libc::CMSG_NXTHDR(header, control);
            }
        }
        None
    }
}

pub(crate) struct Outbound {
    names: Box<[Name]>,
    controls: Box<[Control]>,
    vectors: Box<[iovec]>,
    headers: Box<[mmsghdr]>,
}

// SAFETY: as for Inbound; the vectors lead into an Outbox only during `send`.
unsafe impl Send for Outbound {}

impl Outbound {
    pub(crate) fn new() -> Self {
        let mut names = zeroed_slice::<Name>();
        let mut vectors = zeroed_slice::<iovec>();
        let mut headers = zeroed_slice::<mmsghdr>();
        for i in 0..BATCH {
            let header = &mut headers[i].msg_hdr;
            header.msg_iov = &raw mut vectors[i];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut names[i]).cast();
        }
        Self { names, controls: vec![Control([0; CONTROL_BYTES]); BATCH].into_boxed_slice(), vectors, headers }
    }

    pub(crate) fn send(&mut self, sockets: &[Bound], locals: &Locals, out: &Outbox, counters: &Counters) {
        for (index, bound) in sockets.iter().enumerate() {
            let mut queued = 0;
            for (bytes, to) in out.iter().filter(|(_, to)| usize::from(to.socket) == index) {
                self.queue(queued, bytes, to, locals);
                queued += 1;
                if queued == BATCH {
                    self.flush(queued, bound, counters);
                    queued = 0;
                }
            }
            self.flush(queued, bound, counters);
        }
    }

    fn queue(&mut self, index: usize, bytes: &[u8], to: Endpoint, locals: &Locals) {
        self.vectors[index] = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let header = &mut self.headers[index].msg_hdr;
        header.msg_namelen = write_name(to.address, &mut self.names[index]);
        (header.msg_control, header.msg_controllen) = (std::ptr::null_mut(), 0);
        if let Some(address) = locals.address(to.via) {
            header.msg_control = (&raw mut self.controls[index]).cast();
            header.msg_controllen = CONTROL_BYTES as _;
            leave_from(address, header);
        }
    }

    /// Sends the first `count` queued messages. One that cannot be sent is dropped, the others must go.
    fn flush(&mut self, count: usize, bound: &Bound, counters: &Counters) {
        let mut done = 0;
        while done < count {
            // SAFETY: `count - done` headers from there; names live in self, the bytes in the outbox that `send` borrows.
            let sent = unsafe {
                let headers = self.headers[done..].as_mut_ptr();
                libc::sendmmsg(bound.socket.as_raw_fd(), headers, (count - done) as _, libc::MSG_DONTWAIT as _)
            };
            match usize::try_from(sent) {
                Ok(sent) => {
                    counters.add(Reason::Sent, sent as u64);
                    done += sent;
                }
                Err(_) => {
                    counters.add(Reason::SendErrors, 1);
                    done += 1;
                }
            }
        }
    }
}

/// Writes the control message that chooses the local address, and its length.
fn leave_from(address: IpAddr, header: &mut libc::msghdr) {
    let (level, kind) = match address {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
    };
    // SAFETY: the header's control buffer is aligned and has room for either structure behind a cmsghdr.
    unsafe {
        let control = libc::CMSG_FIRSTHDR(header);
        let data = libc::CMSG_DATA(control);
        let bytes = match address {
            IpAddr::V4(ip) => {
                let any = libc::in_addr { s_addr: 0 };
                let local = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: local, ipi_addr: any };
                data.cast::<libc::in_pktinfo>().write_unaligned(info);
                size_of::<libc::in_pktinfo>()
            }
            IpAddr::V6(ip) => {
                let local = libc::in6_addr { s6_addr: ip.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: local, ipi6_ifindex: 0 };
                data.cast::<libc::in6_pktinfo>().write_unaligned(info);
                size_of::<libc::in6_pktinfo>()
            }
        };
        (*control).cmsg_level = level;
        (*control).cmsg_type = kind;
        (*control).cmsg_len = libc::CMSG_LEN(bytes as _) as _;
        header.msg_controllen = libc::CMSG_SPACE(bytes as _) as _;
    }
}

fn zeroed_slice<T: Copy>() -> Box<[T]> {
    // SAFETY: only used for C structs of integers and pointers, for which all zeros is a value.
    vec![unsafe { zeroed::<T>() }; BATCH].into_boxed_slice()
}

fn read_name(name: &Name) -> SocketAddr {
    // SAFETY: the kernel wrote one of the two; the family, at the same place in both, says which. All bits are valid.
    unsafe {
        if c_int::from(name.v4.sin_family) == libc::AF_INET {
            let ip = Ipv4Addr::from(name.v4.sin_addr.s_addr.to_ne_bytes());
            SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(name.v4.sin_port)))
        } else {
            let ip = Ipv6Addr::from(name.v6.sin6_addr.s6_addr);
            SocketAddr::V6(SocketAddrV6::new(ip, u16::from_be(name.v6.sin6_port), 0, name.v6.sin6_scope_id))
        }
    }
}

fn write_name(address: SocketAddr, name: &mut Name) -> libc::socklen_t {
    match address {
        SocketAddr::V4(address) => {
            name.v4 = sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                sin_zero: [0; 8],
            };
            size_of::<sockaddr_in>() as _
        }
        SocketAddr::V6(address) => {
            name.v6 = sockaddr_in6 {
                sin6_family: libc::AF_INET6 as _,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
            size_of::<sockaddr_in6>() as _
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_dropped_is_counted() {
        let bound = crate::socket::open("127.0.0.1:0".parse().unwrap(), 4096, 1).unwrap().remove(0);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut inbound, counters) = (Inbound::new(1), Counters::default());
        let mut received = 0;
        let mut sent = 0;
        // The count comes with the first datagram that finds room again, so a second burst tells of the first.
        for burst in [500, 1] {
            for _ in 0..burst {
                sender.send_to(&[0; 1000], bound.address).unwrap();
                sent += 1;
            }
            while inbound.receive(0, &bound, &mut Locals::default(), &counters) || inbound.len() > 0 {
                received += inbound.len() as u64;
            }
        }
        assert!(received < sent);
        assert_eq!(counters.get(Reason::KernelDrops), sent - received);
    }

    #[test]
    fn this_kernel_has_batches() {
        assert!(is_known());
    }

    #[test]
    fn names_survive_the_way_to_the_kernel_and_back() {
        for text in ["192.0.2.7:40000", "[2001:db8::1]:7420", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            // SAFETY: integers only.
            let mut name: Name = unsafe { zeroed() };
            write_name(address, &mut name);
            assert_eq!(read_name(&name), address);
        }
    }
}
