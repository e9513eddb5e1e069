//! Real sockets on the loopback interface, by both ways of talking to the kernel.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use raccall_relay::{Command, Options, Reason, Relay};
use raccall_wire::transport::{Cipher, ClientNonces, Mode};
use raccall_wire::{discovery, rtp};

const MODE: Mode = Mode::Aes256GcmRtpSize;

struct Member {
    ssrc: u32,
    cipher: Cipher,
    nonces: ClientNonces,
    socket: UdpSocket,
}

impl Member {
    fn join(relay: &Relay, id: u32, server: SocketAddr) -> Self {
        let key = [id as u8; 32];
        let socket = UdpSocket::bind((server.ip(), 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let member = Self { ssrc: id, cipher: Cipher::new(MODE, &key), nonces: ClientNonces::new(), socket };
        relay.command(Command::AddSession { id: id.into(), ssrc: id, mode: MODE, key }).unwrap();
        member.socket.send(&discovery::request(id)).unwrap();
        let seen = discovery::parse_response(&member.receive()).unwrap();
        assert_eq!(seen, (id, member.socket.local_addr().unwrap()));
        relay.command(Command::SetAddress { id: id.into(), address: seen.1, proven: true }).unwrap();
        member
    }

    fn receive(&self) -> Vec<u8> {
        let mut bytes = [0; 2000];
        let length = self.socket.recv(&mut bytes).unwrap();
        bytes[..length].to_vec()
    }

    fn packet(&self, sequence: u16) -> Vec<u8> {
        let mut packet = Vec::new();
        let payload = [0xF8; 120];
        rtp::Packet {
            marker: false,
            payload_type: rtp::OPUS_PAYLOAD_TYPE,
            sequence,
            timestamp: 960 * u32::from(sequence),
            ssrc: self.ssrc,
            csrc: &[],
            extension: None,
            payload: &payload,
            padding_bytes: 0,
        }
        .write(&mut packet);
        packet
    }

    fn send(&mut self, packet: &[u8]) {
        let mut datagram = Vec::new();
        self.cipher.seal(packet, self.nonces.next().unwrap(), &mut datagram).unwrap();
        self.socket.send(&datagram).unwrap();
    }

    fn hear(&self) -> Vec<u8> {
        let mut packet = Vec::new();
        self.cipher.open(&self.receive(), &mut packet).unwrap();
        packet
    }
}

fn options(portable: bool) -> Options {
    Options { receive_buffer_bytes: 1 << 20, portable, ..Options::default() }
}

/// A room over IPv4 and IPv6 at once, more packets than one batch holds.
fn a_room_talks(portable: bool) {
    let bind: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    let relay = Relay::start(&bind, options(portable)).unwrap();
    let [v4, v6] = relay.local_addresses() else { panic!("two sockets") };
    let mut members = [(1, v4), (2, v4), (3, v6)].map(|(id, server)| Member::join(&relay, id, *server));
    relay.command(Command::SetRoute { id: 1, destinations: vec![1, 2, 3] }).unwrap();
    relay.command(Command::SetRoute { id: 3, destinations: vec![1] }).unwrap();

    for sequence in 0..200 {
        let packet = members[0].packet(sequence);
        members[0].send(&packet);
        assert_eq!(members[1].hear(), packet);
        assert_eq!(members[2].hear(), packet);
    }
    let packet = members[2].packet(9);
    members[2].send(&packet);
    assert_eq!(members[0].hear(), packet);

    members[0].socket.send(&[0x80; 1600]).unwrap();
    members[0].socket.send(b"").unwrap();
    let packet = members[0].packet(200);
    members[0].send(&packet);
    assert_eq!(members[1].hear(), packet);

    let count = |reason| relay.counters().get(reason);
    assert_eq!((count(Reason::Opened), count(Reason::Forwarded)), (202, 403));
    assert_eq!((count(Reason::TooLong), count(Reason::Malformed)), (1, 1));
    assert_eq!((count(Reason::SendErrors), count(Reason::KernelDrops)), (0, 0));
    let stats = relay.session_stats(1).unwrap().unwrap();
    assert_eq!((stats.received, stats.lost, stats.sent), (201, 0, 1));
    relay.stop();
    assert!(relay.command(Command::RemoveSession { id: 1 }).is_err());
}

#[test]
fn a_room_talks_in_batches() {
    a_room_talks(false);
}

#[test]
fn a_room_talks_one_datagram_at_a_time() {
    a_room_talks(true);
}

#[test]
fn a_burst_of_several_batches_arrives_whole() {
    for portable in [false, true] {
        let relay = Relay::start(&["127.0.0.1:0".parse().unwrap()], options(portable)).unwrap();
        let server = relay.local_addresses()[0];
        let mut members = [1, 2].map(|id| Member::join(&relay, id, server));
        relay.command(Command::SetRoute { id: 1, destinations: vec![2] }).unwrap();
        relay.session_stats(1).unwrap(); // the commands before it are carried out
        let burst: Vec<_> = (0..150).map(|sequence| members[0].packet(sequence)).collect();
        burst.iter().for_each(|packet| members[0].send(packet));
        for packet in burst {
            assert_eq!(members[1].hear(), packet);
        }
    }
}

#[test]
fn a_busy_port_is_an_error() {
    let relay = Relay::start(&["127.0.0.1:0".parse().unwrap()], Options::default()).unwrap();
    let again = Relay::start(relay.local_addresses(), Options::default());
    assert_eq!(again.err().unwrap().kind(), std::io::ErrorKind::AddrInUse);
    assert!(relay.receive_buffer_bytes() >= 64 << 10);
}

#[test]
fn without_limits_an_address_is_believed_unseen() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for limited in [true, false] {
        let relay = Relay::start(&["127.0.0.1:0".parse().unwrap()], Options { limited, ..options(false) }).unwrap();
        relay.command(Command::AddSession { id: 1, ssrc: 1, mode: MODE, key: [1; 32] }).unwrap();
        relay.command(Command::SetAddress { id: 1, address: socket.local_addr().unwrap(), proven: true }).unwrap();
        assert_eq!(relay.session_stats(1).unwrap().unwrap().has_address, u64::from(!limited));
    }
}

/// A connected socket hears only the address that it asked.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let bind: Vec<SocketAddr> = vec!["0.0.0.0:0".parse().unwrap(), "[::]:0".parse().unwrap()];
    let relay = Relay::start(&bind, options(false)).unwrap();
    let [v4, v6] = relay.local_addresses() else { panic!("two sockets") };
    for (id, host, from) in [(1, "127.0.0.1", v4), (2, "127.0.0.2", v4), (3, "127.9.9.9", v4), (4, "::1", v6)] {
        let server = SocketAddr::new(host.parse().unwrap(), from.port());
        let socket = UdpSocket::bind((if server.is_ipv4() { "127.0.0.1" } else { "::1" }, 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        relay.command(Command::AddSession { id, ssrc: id as u32, mode: MODE, key: [1; 32] }).unwrap();
        relay.session_stats(id).unwrap();
        socket.send(&discovery::request(id as u32)).unwrap();
        let mut answer = [0; 100];
        let length = socket.recv(&mut answer).expect(host);
        assert_eq!(discovery::parse_response(&answer[..length]).unwrap().1, socket.local_addr().unwrap());
    }
    assert_eq!(relay.counters().get(Reason::SendErrors), 0);
}
