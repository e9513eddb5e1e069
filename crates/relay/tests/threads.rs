//! Several threads on one port: each room has one, whatever address its members speak from.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use raccall_relay::{Command, Options, Reason, Relay};
use raccall_wire::transport::{Cipher, ClientNonces, Mode, is_relay_nonce};
use raccall_wire::{discovery, rtcp, rtp};

const MODE: Mode = Mode::Aes256GcmRtpSize;
const THREADS: usize = 3;

struct Member {
    ssrc: u32,
    cipher: Cipher,
    nonces: ClientNonces,
    socket: UdpSocket,
}

impl Member {
    fn join(relay: &Relay, ssrc: u32) -> Self {
        let (id, key) = (u64::from(ssrc), [ssrc as u8; 32]);
        relay.command(Command::AddSession { id, ssrc, mode: MODE, key }).unwrap();
        let socket = socket(relay.local_addresses()[0]);
        socket.send(&discovery::request(ssrc)).unwrap();
        let (_, address) = discovery::parse_response(&receive(&socket)).unwrap();
        relay.command(Command::SetAddress { id, address, proven: true }).unwrap();
        Self { ssrc, cipher: Cipher::new(MODE, &key), nonces: ClientNonces::new(), socket }
    }

    fn send(&mut self, packet: &[u8]) {
        let mut datagram = Vec::new();
        self.cipher.seal(packet, self.nonces.next().unwrap(), &mut datagram).unwrap();
        self.socket.send(&datagram).unwrap();
    }

    fn speak(&mut self, sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, rtp::OPUS_PAYLOAD_TYPE];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend([0xF8; 50]);
        self.send(&packet);
        packet
    }

    fn hear(&self) -> Vec<u8> {
        let (datagram, mut packet) = (receive(&self.socket), Vec::new());
        assert!(is_relay_nonce(self.cipher.wire_nonce(&datagram).unwrap()));
        self.cipher.open(&datagram, &mut packet).unwrap();
        packet
    }
}

fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((server.ip(), 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = [0; 2000];
    let length = socket.recv(&mut bytes).unwrap();
    bytes[..length].to_vec()
}

#[test]
fn each_room_talks_in_its_thread_and_members_roam() {
    let options = Options { receive_buffer_bytes: 1 << 20, threads: THREADS, ..Options::default() };
    let relay = Relay::start(&["127.0.0.1:0".parse().unwrap()], options).unwrap();
    assert_eq!(relay.threads(), if cfg!(target_os = "linux") { THREADS } else { 1 });
    for lane in 0..2 * THREADS as u32 {
        let [mut anna, mut ben] = [1, 2].map(|member| Member::join(&relay, member << 8 | lane));
        relay.command(Command::SetRoute { id: anna.ssrc.into(), destinations: vec![ben.ssrc.into()] }).unwrap();
        for sequence in 0..5 {
            anna.socket = socket(relay.local_addresses()[0]); // elsewhere each time; the relay follows once a second
            assert_eq!(anna.speak(sequence), ben.hear());
        }
        let mut report = Vec::new();
        rtcp::write(&rtcp::Rtcp::ReceiverReport { ssrc: ben.ssrc, blocks: vec![] }, &mut report);
        ben.send(&report);
        assert!(rtp::is_rtcp(&ben.hear()));
        relay.command(Command::RemoveSession { id: anna.ssrc.into() }).unwrap();
        assert_eq!(relay.session_stats(anna.ssrc.into()), Ok(None));
        assert_eq!(relay.session_stats(ben.ssrc.into()).unwrap().unwrap().sent, 6);
    }
    let count = |reason| relay.counters().get(reason);
    assert_eq!((count(Reason::Opened), count(Reason::Rtcp), count(Reason::Discovery)), (30, 6, 12));
    assert_eq!((count(Reason::UnknownSsrc), count(Reason::CommandRefused), count(Reason::NotObserved)), (0, 0, 0));
}

#[test]
fn a_busy_port_stays_an_error_with_several_threads() {
    let options = Options { threads: 2, ..Options::default() };
    let relay = Relay::start(&["127.0.0.1:0".parse().unwrap()], options).unwrap();
    for threads in [1, 2] {
        let again = Relay::start(relay.local_addresses(), Options { threads, ..options });
        assert_eq!(again.err().unwrap().kind(), std::io::ErrorKind::AddrInUse);
    }
}
