//! A live relay on loopback in a storm of hostile datagrams, while two members talk through it.
//!
//! The storm is paced by the relay's own count, so that the kernel drops nothing: what the members miss, the relay lost.
//! `python -m bench hostile` sends ten million (`HOSTILE_DATAGRAMS`), and so does `make soak`.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use raccall_relay::{Command, Options, Reason, Relay};
use raccall_wire::transport::{Cipher, ClientNonces, Mode};
use raccall_wire::{discovery, rtp};

const MODE: Mode = Mode::Aes256GcmRtpSize;
/// Hostile datagrams under way.
const BURST: u64 = 256;
const STRANGERS: usize = 8;
/// Five times what a voice sends, half of what a member may.
const VOICE_INTERVAL: Duration = Duration::from_millis(4);

/// xorshift64*: fast, and the same storm each time.
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_be_bytes()[..part.len()]);
        }
    }
}

struct Member {
    ssrc: u32,
    cipher: Cipher,
    nonces: ClientNonces,
    socket: UdpSocket,
    sequence: u16,
}

impl Member {
    /// All of one lane, so that two threads change nothing.
    fn join(relay: &Relay, id: u64) -> Self {
        let (ssrc, key) = (id as u32 * 256, [id as u8; 32]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(relay.local_addresses()[0]).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        relay.command(Command::AddSession { id, ssrc, mode: MODE, key }).unwrap();
        relay.session_stats(id).unwrap();
        socket.send(&discovery::request(ssrc)).unwrap();
        let mut answer = [0; 100];
        let bytes = socket.recv(&mut answer).unwrap();
        let (_, address) = discovery::parse_response(&answer[..bytes]).unwrap();
        relay.command(Command::SetAddress { id, address, proven: true }).unwrap();
        Self { ssrc, cipher: Cipher::new(MODE, &key), nonces: ClientNonces::new(), socket, sequence: 0 }
    }

    fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::new();
        self.cipher.seal(packet, self.nonces.next().unwrap(), &mut datagram).unwrap();
        datagram
    }

    fn voice(&mut self) -> Vec<u8> {
        let mut packet = Vec::new();
        self.sequence = self.sequence.wrapping_add(1);
        rtp::Packet {
            marker: false,
            payload_type: rtp::OPUS_PAYLOAD_TYPE,
            sequence: self.sequence,
            timestamp: 960 * u32::from(self.sequence),
            ssrc: self.ssrc,
            csrc: &[],
            extension: None,
            payload: &[0xF8; 80],
            padding_bytes: 0,
        }
        .write(&mut packet);
        self.seal(&packet)
    }
}

/// One datagram of a stranger; `genuine` is a member's, sent before.
fn hostile(luck: &mut Luck, genuine: &[u8], other: u32) -> Vec<u8> {
    let mut bytes = genuine.to_vec();
    match luck.below(10) {
        0 => {
            bytes.resize(luck.below(1600), 0);
            luck.fill(&mut bytes);
        }
        1 | 2 => {
            let at = luck.below(bytes.len());
            bytes[at] ^= 1 << luck.below(8);
        }
        3 => bytes.truncate(luck.below(genuine.len())),
        4 => {} // replayed
        5 => bytes[8..12].copy_from_slice(&other.to_be_bytes()),
        6 => bytes[1] = 200 + luck.below(7) as u8, // RTCP by its header
        7 => {
            bytes = discovery::request(if luck.below(2) == 0 { other } else { luck.next() as u32 }).to_vec();
            bytes.truncate(if luck.below(4) == 0 { luck.below(75) } else { 74 });
        }
        8 => {
            bytes.resize(20 + luck.below(60), 0);
            luck.fill(&mut bytes);
            bytes[..2].copy_from_slice(&[0, 1]);
            bytes[4..8].copy_from_slice(&discovery::STUN_COOKIE.to_be_bytes());
        }
        _ => {
            luck.fill(&mut bytes[12..]);
            bytes[0] = 0x80 | luck.below(64) as u8; // any extension, padding and sources
        }
    }
    bytes
}

/// What a member gone mad seals with a valid key: any bytes behind a header of its own.
fn mad(luck: &mut Luck, member: &mut Member) -> Vec<u8> {
    let mut packet = vec![0; 12 + luck.below(80)];
    luck.fill(&mut packet);
    let rtcp = luck.below(3) == 0;
    (packet[0], packet[1]) = (0x80 | luck.below(64) as u8, if rtcp { 200 + luck.below(7) as u8 } else { 120 });
    packet[if rtcp { 4..8 } else { 8..12 }].copy_from_slice(&member.ssrc.to_be_bytes());
    let mut datagram = Vec::new();
    match member.cipher.seal(&packet, member.nonces.next().unwrap(), &mut datagram) {
        Ok(()) => datagram,
        Err(_) => packet,
    }
}

/// Resident bytes of this process; 0 where the system does not say.
fn memory() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

fn received(relay: &Relay) -> u64 {
    relay.counters().get(Reason::Received)
}

fn storm(datagrams: u64, limited: bool) -> String {
    let bind: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let relay = Relay::start(&[bind], Options { limited, ..Options::default() }).unwrap();
    let [mut anna, ben, mut rogue] = [1, 2, 3].map(|id| Member::join(&relay, id));
    for (id, destinations) in [(1, vec![2]), (2, vec![1]), (3, vec![3])] {
        relay.command(Command::SetRoute { id, destinations }).unwrap();
    }
    relay.session_stats(1).unwrap();
    let strangers: Vec<_> = (0..STRANGERS).map(|_| UdpSocket::bind(bind).unwrap()).collect();
    let mut luck = Luck(0x1234_5678_9ABC_DEF1);
    let (mut sent, mut heard, mut early) = (received(&relay), 0, 0);
    let (begin, before) = (Instant::now(), sent);
    let (mut voice, mut spoke) = (Vec::new(), None);
    let server = relay.local_addresses()[0];
    while sent < before + datagrams {
        let talks = spoke.is_none_or(|at: Instant| at.elapsed() >= VOICE_INTERVAL);
        if talks {
            spoke = Some(Instant::now());
            voice = anna.voice();
            anna.socket.send(&voice).unwrap();
            sent += 1;
        }
        for number in 0..BURST {
            if number % 8 == 0 {
                let datagram = mad(&mut luck, &mut rogue);
                rogue.socket.send(&datagram).unwrap();
            } else {
                let datagram = hostile(&mut luck, &voice, ben.ssrc);
                strangers[luck.below(STRANGERS)].send_to(&datagram, server).unwrap();
            }
            sent += 1;
        }
        if talks {
            assert_eq!(hear(&ben)[2..4], anna.sequence.to_be_bytes(), "each packet once and in its turn");
            heard += 1;
        }
        while received(&relay) < sent {
            std::thread::yield_now();
        }
        if sent - before > datagrams / 5 && early == 0 {
            early = memory();
        }
        drain(&rogue.socket);
    }
    let (elapsed, growth) = (begin.elapsed(), memory().saturating_sub(early));
    assert!(growth < 4 << 20, "the relay has grown by {growth} bytes");
    let counters = relay.counters();
    let counts: Vec<_> = counters.all().filter(|(_, count)| *count > 0).collect();
    assert_eq!((counters.get(Reason::KernelDrops), counters.get(Reason::SendErrors)), (0, 0));
    let lost = u64::from(anna.sequence) % 65_536 - heard % 65_536;
    assert_eq!(lost, 0);
    format!(
        "{{\"limited\": {limited}, \"hostile\": {}, \"heard\": {heard}, \"lost\": {lost}, \"growth_bytes\": {growth}, \
         \"seconds\": {:.1}, \"counts\": {{{}}}}}",
        sent - before - heard,
        elapsed.as_secs_f64(),
        counts.iter().map(|(name, count)| format!("\"{name}\": {count}")).collect::<Vec<_>>().join(", "),
    )
}

/// The next voice packet that the member is sent, opened.
fn hear(member: &Member) -> Vec<u8> {
    let mut buffer = [0; 2000];
    loop {
        let length = member.socket.recv(&mut buffer).expect("what is said is heard");
        let mut opened = Vec::new();
        member.cipher.open(&buffer[..length], &mut opened).unwrap();
        if !rtp::is_rtcp(&opened) {
            return opened;
        }
    }
}

fn drain(socket: &UdpSocket) {
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut [0; 2000]).is_ok() {}
    socket.set_nonblocking(false).unwrap();
}

#[test]
fn a_live_relay_bears_a_hundred_thousand_hostile_datagrams() {
    for limited in [true, false] {
        storm(50_000, limited);
    }
}

#[test]
#[ignore = "make soak: a minute or two"]
fn ten_million() {
    let datagrams = std::env::var("HOSTILE_DATAGRAMS").map_or(10_000_000, |text| text.parse().unwrap());
    for limited in [true, false] {
        println!("{}", storm(datagrams / 2, limited));
    }
}
