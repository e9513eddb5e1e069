//! What hearing 25 people costs: a ReceiveChain that gets their datagrams and is pulled each 10 ms, and 25 bare libopus
//! decoders on the same payloads. For `python -m bench pull`.
//!
//! `pull_cost FILE SECONDS LOSS_PCT`: FILE holds float32 samples, 48 kHz mono; each talker begins at another place of it.
//! Prints the thread's CPU nanoseconds of the chain and of libopus for all of it, then those of the pull that one in a
//! thousand exceeds. The two run in turn, a second each.

use raccall_media::{PULL_SAMPLES, Pushed, ReceiveChain, ReceiveConfig, SEND_SAMPLES, SendChain, SendConfig};
use raccall_opus::{DEEP_PLC_COMPLEXITY, Decoder};
use raccall_wire::rtp::Packet;
use raccall_wire::transport::Mode;

const TALKERS: usize = 25;
const MODE: Mode = Mode::Aes256GcmRtpSize;
const KEY: [u8; 32] = [1; 32];
const MS: u64 = 1_000_000;
const TICKS_PER_SECOND: usize = 50;

fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn sender(ssrc: usize) -> SendChain {
    SendChain::new(SendConfig {
        ssrc: ssrc as u32,
        mode: MODE,
        key: KEY,
        bitrate_bps: 32_000,
        complexity: 5,
        expected_loss_pct: 10,
        lbrr: true,
        dred_ms: 0,
        dtx: false,
        music: false,
        channels: 1,
        first_sequence: 0,
        first_timestamp: 0,
    })
    .unwrap()
}

fn receiver() -> ReceiveChain {
    ReceiveChain::new(ReceiveConfig {
        mode: MODE,
        key: KEY,
        deep_plc: true,
        min_target_ms: 20,
        max_target_ms: 200,
        source_timeout_ms: 10_000,
    })
}

/// The datagrams of one talker, one each 20 ms, and the payloads inside.
fn speak(ssrc: usize, frames: &[&[f32]], ticks: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut send = sender(ssrc);
    let mut opener = receiver();
    let start = ssrc * frames.len() / (TALKERS + 1);
    (0..ticks)
        .map(|tick| {
            let datagram = send.push(frames[(start + tick) % frames.len()], 0).unwrap().to_vec();
            let Pushed::Packet { plain, .. } = opener.push(&datagram, 0) else { panic!("our own packet") };
            let payload = Packet::parse(plain).unwrap().payload.to_vec();
            (datagram, payload)
        })
        .unzip()
}

/// The same packets are lost in every run, each talker's at other times.
fn is_lost(talker: usize, tick: usize, loss_pct: u32) -> bool {
    let mixed = ((tick * 31 + talker) as u32 ^ 0x9E37).wrapping_mul(2_654_435_761);
    (mixed >> 16) % 100 < loss_pct
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let bytes = std::fs::read(&arguments[1]).expect("a file of float32 samples");
    let seconds: usize = arguments[2].parse().expect("a number of seconds");
    let loss_pct: u32 = arguments[3].parse().expect("a loss in percent");
    let speech: Vec<f32> = bytes.chunks_exact(4).map(|s| f32::from_le_bytes(s.try_into().unwrap())).collect();
    let frames: Vec<&[f32]> = speech.chunks_exact(SEND_SAMPLES).collect();
    let voices: Vec<_> = (1..=TALKERS).map(|ssrc| speak(ssrc, &frames, seconds * TICKS_PER_SECOND)).collect();

    let mut chain = receiver();
    let mut decoders: Vec<Decoder> = (0..TALKERS).map(|_| Decoder::new(48_000, 1).unwrap()).collect();
    decoders.iter_mut().for_each(|decoder| decoder.set_complexity(DEEP_PLC_COMPLEXITY).unwrap());
    let (mut chain_ns, mut codec_ns) = (0, 0);
    let mut pulls_ns = Vec::with_capacity(seconds * 2 * TICKS_PER_SECOND);
    let mut mixed = [0.0; PULL_SAMPLES];
    let mut decoded = [0.0; SEND_SAMPLES];
    for second in 0..seconds {
        let ticks = second * TICKS_PER_SECOND..(second + 1) * TICKS_PER_SECOND;
        let before = thread_cpu_ns();
        for tick in ticks.clone() {
            let now = tick as u64 * 20 * MS;
            for (talker, (datagrams, _)) in voices.iter().enumerate() {
                if !is_lost(talker, tick, loss_pct) {
                    // Spread over the 20 ms, as people are.
                    chain.push(&datagrams[tick], now + talker as u64 * 20 * MS / TALKERS as u64);
                }
            }
            for half in 1..=2 {
                let start = thread_cpu_ns();
                chain.pull(now + half * 10 * MS, &mut mixed);
                pulls_ns.push(thread_cpu_ns() - start);
            }
        }
        chain_ns += thread_cpu_ns() - before;
        let before = thread_cpu_ns();
        for tick in ticks {
            for (decoder, (_, payloads)) in decoders.iter_mut().zip(&voices) {
                decoder.decode_f32(&payloads[tick], &mut decoded).unwrap();
            }
        }
        codec_ns += thread_cpu_ns() - before;
    }
    let heard = chain.report().sources.iter().filter(|source| source.received > 0).count();
    assert_eq!(heard, TALKERS, "everyone is heard");
    pulls_ns.sort_unstable();
    println!("{chain_ns} {codec_ns} {}", pulls_ns[pulls_ns.len() - 1 - pulls_ns.len() / 1000]);
}
