//! What `python -m bench record` and the kill test load a recorder with, and compare it to.
//!
//! `record_cost talk TALKERS SECONDS`: prints its port, reads a recorder's `host:port` from standard input and sends to it
//! what a relay would: sealed packets of so many talkers, 50 a second each, at their own phases.
//!
//! `record_cost bare HOST:PORT FILE SECONDS`: the least that a recorder does. Prints its own address, then receives each
//! packet, opens it and appends it to FILE, flushed each second. After a second of warming up it measures SECONDS and
//! prints the packets and the process's CPU nanoseconds.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use raccall_wire::rtp::{OPUS_PAYLOAD_TYPE, Packet};
use raccall_wire::transport::{Cipher, Mode};

const MODE: Mode = Mode::Aes256GcmRtpSize;
const KEY: [u8; 32] = [7; 32];
const FRAME: Duration = Duration::from_millis(20);
const SECOND: Duration = Duration::from_secs(1);
/// 32 kbit/s of Opus.
const PAYLOAD_BYTES: usize = 80;

fn talk(talkers: u32, seconds: u32) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    println!("{}", socket.local_addr().unwrap().port());
    let mut recorder = String::new();
    std::io::stdin().read_line(&mut recorder).unwrap();
    socket.connect(recorder.trim()).unwrap();
    let cipher = Cipher::new(MODE, &KEY);
    let (mut plain, mut datagram) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for number in 0..seconds * 50 {
        for talker in 0..talkers {
            plain.clear();
            datagram.clear();
            let mut payload = [talker as u8 ^ number as u8; PAYLOAD_BYTES];
            payload[0] = 0x78; // CELT, fullband, 20 ms, one frame
            let packet = Packet {
                marker: number == 0,
                payload_type: OPUS_PAYLOAD_TYPE,
                sequence: number as u16,
                timestamp: number * 960,
                ssrc: 1000 + talker,
                csrc: &[],
                extension: None,
                payload: &payload,
                padding_bytes: 0,
            };
            packet.write(&mut plain);
            let nonce = (number * talkers + talker).to_be_bytes();
            cipher.seal(&plain, nonce, &mut datagram).unwrap();
            let due = start + FRAME * number + FRAME * talker / talkers;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let _ = socket.send(&datagram); // a recorder that was killed refuses it
        }
    }
}

fn bare(relay: &str, path: &str, seconds: u32) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(relay).unwrap();
    socket.set_read_timeout(Some(SECOND)).unwrap();
    println!("{}", socket.local_addr().unwrap());
    let cipher = Cipher::new(MODE, &KEY);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let (mut datagram, mut plain) = ([0; 2048], Vec::new());
    let mut packets = 0u64;
    let mut begun = None;
    let start = Instant::now();
    let mut flushed = start;
    loop {
        let now = Instant::now();
        if now - flushed >= SECOND {
            file.flush().unwrap();
            flushed = now;
        }
        if begun.is_none() && now - start >= SECOND {
            begun = Some((packets, process_cpu_ns()));
        }
        if now - start >= SECOND * (seconds + 1) {
            break;
        }
        let Ok(bytes) = socket.recv(&mut datagram) else { continue };
        plain.clear();
        if cipher.open(&datagram[..bytes], &mut plain).is_ok() {
            file.write_all(&plain).unwrap();
            packets += 1;
        }
    }
    let (packets_before, cpu_before) = begun.expect("a second of warming up");
    println!("{} {}", packets - packets_before, process_cpu_ns() - cpu_before);
}

fn process_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments[index].parse().expect("a number");
    match arguments.first().map(String::as_str) {
        Some("talk") => talk(number(1), number(2)),
        Some("bare") => bare(&arguments[1], &arguments[2], number(3)),
        _ => panic!("record_cost talk TALKERS SECONDS, or record_cost bare HOST:PORT FILE SECONDS"),
    }
}
