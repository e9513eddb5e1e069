//! Engines in a call over real loopback sockets, through a peer that opens and seals like a relay.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use raccall_engine::sound::Sound;
use raccall_engine::{Command, Engine, EngineError, Route, Session};
use raccall_media::Encryption;
use raccall_wire::rtcp::{self, ReportBlock, Rtcp};
use raccall_wire::transport::{Cipher, Mode, RelayNonces};
use raccall_wire::{discovery, rtp};

const MODE: Mode = Mode::Aes256GcmRtpSize;

/// Sends each voice packet to everyone else, answers each report at once with 25 % loss, and tells addresses.
struct Peer {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn key(ssrc: u32) -> [u8; 32] {
    [ssrc as u8; 32]
}

impl Peer {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let address = socket.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = stopping.clone();
        let thread = thread::spawn(move || {
            let mut members: HashMap<u32, SocketAddr> = HashMap::new();
            let mut nonces = RelayNonces::new(0, 1);
            let mut buffer = [0; 2048];
            while !stop.load(Relaxed) {
                let Ok((bytes, from)) = socket.recv_from(&mut buffer) else { continue };
                let datagram = &buffer[..bytes];
                if let Some(ssrc) = discovery::parse_request(datagram) {
                    socket.send_to(&discovery::response(ssrc, from), from).unwrap();
                    continue;
                }
                let ssrc = rtp::ssrc(datagram).unwrap();
                members.insert(ssrc, from);
                let mut plain = Vec::new();
                Cipher::new(MODE, &key(ssrc)).open(datagram, &mut plain).unwrap();
                if rtp::is_rtcp(&plain) {
                    let answer = answer(&plain, ssrc);
                    let mut sealed = Vec::new();
                    Cipher::new(MODE, &key(ssrc)).seal(&answer, nonces.next().unwrap(), &mut sealed).unwrap();
                    socket.send_to(&sealed, from).unwrap();
                    continue;
                }
                for (&listener, &to) in members.iter().filter(|(member, _)| **member != ssrc) {
                    let mut sealed = Vec::new();
                    Cipher::new(MODE, &key(listener)).seal(&plain, nonces.next().unwrap(), &mut sealed).unwrap();
                    socket.send_to(&sealed, to).unwrap();
                }
            }
        });
        Self { address, stopping, thread: Some(thread) }
    }

    fn engine(&self) -> Engine {
        Engine::connect(self.address, 1 << 20).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stopping.store(true, Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn answer(plain: &[u8], ssrc: u32) -> Vec<u8> {
    let reports = rtcp::parse(plain).unwrap();
    let Rtcp::SenderReport { ntp, .. } = &reports[0] else { panic!("a report begins with the sender's") };
    let last_sr = (ntp >> 16) as u32;
    let block = ReportBlock { ssrc, fraction_lost: 64, last_sr, ..ReportBlock::default() };
    let mut out = Vec::new();
    rtcp::write(&Rtcp::ReceiverReport { ssrc: 1, blocks: vec![block] }, &mut out);
    out
}

fn session(ssrc: u32) -> Session {
    Session {
        ssrc,
        mode: MODE,
        key: key(ssrc),
        bitrate_bps: 32_000,
        complexity: 5,
        expected_loss_pct: 10,
        deep_plc: false,
        dred_ms: 0,
        dtx: false,
        music: false,
        muted: false,
        encryption: Encryption::Off,
    }
}

fn tone(ms: usize) -> Vec<f32> {
    (0..48 * ms).map(|i| 0.5 * (i as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin()).collect()
}

/// Waits for what another thread does, at most 5 s.
fn wait_until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !what() {
        assert!(Instant::now() < deadline, "waited 5 s in vain");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn speech_goes_from_one_engine_to_the_other_and_into_a_tap() {
    let peer = Peer::start();
    let (speaker, listener, recorder) = (peer.engine(), peer.engine(), peer.engine());
    let heard = {
        let sound = Sound::clocked(None, true);
        listener.start(session(2), sound.lend_end()).unwrap();
        sound
    };
    let tap = recorder.open_tap(1000).unwrap();
    recorder.start(session(3), None).unwrap();
    wait_until(|| listener.stats().round_trip_ms.is_some() && recorder.stats().round_trip_ms.is_some());

    let spoken = Sound::clocked(Some(tone(600)), false);
    speaker.start(session(1), spoken.lend_end()).unwrap();
    wait_until(|| spoken.capture_done());
    wait_until(|| recorder.stats().received_packets == 31 && listener.stats().received_packets == 31);
    speaker.close();
    thread::sleep(Duration::from_millis(150)); // the jitter buffer plays its last packets
    listener.close();
    recorder.close();

    let said = speaker.stats();
    assert_eq!(said.sent_packets, 31, "30 frames of tone and one of silence");
    assert!(said.first_sent.is_some() && said.cpu > 0);
    let uplink_loss_pct = listener.stats().uplink_loss_pct.unwrap();
    assert_eq!(uplink_loss_pct, 25.0);
    assert!(listener.stats().round_trip_ms.unwrap() < 200.0);

    let loud = heard.read_playback().unwrap().chunks(480).filter(|f| f.iter().any(|s| s.abs() > 0.3)).count();
    assert!((58..=64).contains(&loud), "{loud} of 60 frames of 10 ms are heard");

    let mut packets = Vec::new();
    while let Some(batch) = tap.read(Duration::ZERO, Duration::ZERO) {
        packets.extend(batch.packets().map(|(record, bytes)| (*record, bytes.to_vec())));
    }
    assert_eq!(packets.len(), 31);
    assert!(packets.windows(2).all(|pair| pair[0].0.arrival <= pair[1].0.arrival));
    assert!(packets.windows(2).all(|pair| pair[1].0.extended_sequence == pair[0].0.extended_sequence + 1));
    assert!(packets.iter().all(|(record, bytes)| rtp::Packet::parse(bytes).unwrap().ssrc == record.ssrc));
    assert!(recorder.stats().receive.sources.iter().all(|source| source.concealed == 0 && source.received == 31));
}

#[test]
fn mute_stops_packets_and_unmute_starts_them() {
    let peer = Peer::start();
    let engine = peer.engine();
    let sound = Sound::clocked(Some(tone(4000)), false);
    engine.start(Session { muted: true, ..session(1) }, sound.lend_end()).unwrap();
    wait_until(|| engine.stats().cpu > 0);
    thread::sleep(Duration::from_millis(150));
    assert_eq!(engine.stats().sent_packets, 0);
    engine.command(Command::SetMuted(false)).unwrap();
    wait_until(|| engine.stats().sent_packets > 5);
    engine.command(Command::SetMuted(true)).unwrap();
    thread::sleep(Duration::from_millis(150));
    let sent = engine.stats().sent_packets;
    thread::sleep(Duration::from_millis(150));
    assert_eq!(engine.stats().sent_packets, sent);
}

#[test]
fn what_is_asked_before_the_start_holds_for_the_first_packet() {
    let peer = Peer::start();
    let engine = peer.engine();
    engine.command(Command::SetMuted(true)).unwrap();
    let speech = Sound::clocked(Some(vec![0.1; 48_000]), false);
    engine.start(session(7), speech.lend_end()).unwrap();
    thread::sleep(Duration::from_millis(150));
    assert_eq!(engine.stats().sent_packets, 0);
    let other = peer.engine();
    let refused = (0..10_000).find_map(|_| other.command(Command::SetMuted(true)).err());
    assert!(matches!(refused, Some(EngineError::NotStarted)), "what waits has a limit");
}

#[test]
fn discovery_comes_before_the_start_and_nothing_after_the_end() {
    let peer = Peer::start();
    let engine = peer.engine();
    assert_eq!(engine.discover(7, Duration::from_secs(5), Route::Udp).unwrap(), engine.local_address());
    engine.start(session(7), None).unwrap();
    assert!(matches!(engine.start(session(7), None), Err(EngineError::AlreadyStarted)));
    assert!(matches!(engine.discover(7, Duration::ZERO, Route::Udp), Err(EngineError::AlreadyStarted)));
    engine.close();
    engine.close();
    assert!(matches!(engine.start(session(7), None), Err(EngineError::Closed)));
    assert!(matches!(engine.open_tap(1), Err(EngineError::Closed)));
}
