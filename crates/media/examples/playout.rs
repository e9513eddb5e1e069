//! Plays speech over recorded or synthetic links in virtual time and tells what the listener's jitter buffer made of them. Used by
//! `python -m bench jitter`.
//!
//! `playout SPEECH MIN_MS MAX_MS TRACE...`: SPEECH holds float32 samples, 48 kHz mono; a TRACE one line per 20 ms packet, its one-way delay
//! above the fastest packet in ms, negative if lost. The speech is repeated to the length of each trace, sent at 32 kb/s with LBRR,
//! and pulled every 10 ms. Prints a line of JSON per trace.
//!
//! Delays are counted here, from the media time that sounds, not taken from the chain's report: its base follows the network.

use std::collections::VecDeque;

use raccall_media::{PULL_SAMPLES, ReceiveChain, ReceiveConfig, SEND_SAMPLES, SendChain, SendConfig};
use raccall_wire::transport::Mode;

const KEY: [u8; 32] = [7; 32];
const MODE: Mode = Mode::Aes256GcmRtpSize;
const NANOS_PER_MS: f64 = 1e6;
const PACKET_MS: f64 = 20.0;
const PULL_MS: f64 = 10.0;
const SAMPLES_PER_MS: f64 = 48.0;

/// Where both extended counters of a first packet begin (RFC 3711 style indexes leave room below for reordering).
const FIRST_TIMESTAMP: u32 = 0;

fn encode(speech: &[f32], packets: usize) -> Vec<Vec<u8>> {
    let mut send = SendChain::new(SendConfig {
        ssrc: 1,
        mode: MODE,
        key: KEY,
        bitrate_bps: 32_000,
        complexity: 9,
        expected_loss_pct: 10,
        lbrr: true,
        dred_ms: 0,
        dtx: false,
        music: false,
        channels: 1,
        first_sequence: 0,
        first_timestamp: FIRST_TIMESTAMP,
    })
    .expect("valid settings");
    let mut samples = speech.iter().copied().cycle();
    (0..packets)
        .map(|number| {
            let frame: Vec<f32> = samples.by_ref().take(SEND_SAMPLES).collect();
            send.push(&frame, number as u64 * 20_000_000).expect("not muted").to_vec()
        })
        .collect()
}

#[derive(Default)]
struct Outcome {
    delays_ms: Vec<f64>,
    pulls: u64,
    concealed_samples: u64,
    report: Option<raccall_media::SourceReport>,
}

fn play(datagrams: &[Vec<u8>], trace: &[f64], (min_ms, max_ms): (u32, u32)) -> Outcome {
    let mut receive = ReceiveChain::new(ReceiveConfig {
        mode: MODE,
        key: KEY,
        deep_plc: false,
        min_target_ms: min_ms,
        max_target_ms: max_ms,
        source_timeout_ms: 10_000,
    });
    let arrived = trace.iter().enumerate().filter(|(_, delay)| **delay >= 0.0);
    let mut arrivals: Vec<(f64, usize)> = arrived.map(|(k, delay)| (k as f64 * PACKET_MS + delay, k)).collect();
    arrivals.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut coming: VecDeque<_> = arrivals.into();
    let mut outcome = Outcome::default();
    let mut media_zero = None;
    let mut concealed_before = 0;
    let pulls = (trace.len() as f64 * PACKET_MS / PULL_MS) as u64;
    let mut out = [0.0; PULL_SAMPLES];
    for pull in 0..pulls {
        let now_ms = pull as f64 * PULL_MS;
        while let Some(&(at_ms, number)) = coming.front().filter(|(at_ms, _)| *at_ms <= now_ms) {
            coming.pop_front();
            let pushed = receive.push(&datagrams[number], (at_ms * NANOS_PER_MS) as u64);
            if let raccall_media::Pushed::Packet { extended_timestamp, .. } = pushed {
                media_zero.get_or_insert(extended_timestamp - number as u64 * SEND_SAMPLES as u64);
            }
        }
        receive.pull((now_ms * NANOS_PER_MS) as u64, &mut out);
        let Some(source) = receive.report().sources.first().copied() else { continue };
        let concealed = source.concealed_samples - concealed_before;
        concealed_before = source.concealed_samples;
        match source.playing {
            Some(timestamp) => {
                outcome.pulls += 1;
                outcome.concealed_samples += concealed;
                if concealed == 0 {
                    let sent_ms = (timestamp as i64 - media_zero.unwrap_or(0) as i64) as f64 / SAMPLES_PER_MS;
                    outcome.delays_ms.push(now_ms - sent_ms);
                }
            }
            // The talker never pauses: whatever is not played has gone missing, once it has begun.
            None if outcome.pulls > 0 => {
                outcome.pulls += 1;
                outcome.concealed_samples += PULL_SAMPLES as u64;
            }
            None => {}
        }
        outcome.report = Some(source);
    }
    outcome
}

fn print(name: &str, mut outcome: Outcome) {
    outcome.delays_ms.sort_by(f64::total_cmp);
    let mean = outcome.delays_ms.iter().sum::<f64>() / outcome.delays_ms.len() as f64;
    let p95 = outcome.delays_ms[outcome.delays_ms.len() * 95 / 100];
    let played = (outcome.pulls * PULL_SAMPLES as u64) as f64;
    let report = outcome.report.expect("something was received");
    println!(
        "{{\"trace\": \"{name}\", \"mean_ms\": {mean:.3}, \"p95_ms\": {p95:.3}, \"concealed_pct\": {:.4}, \
         \"recovered\": {}, \"late\": {}, \"skipped\": {}, \"left_out_pct\": {:.4}, \"stretched_pct\": {:.4}, \"paused_pct\": {:.4}}}",
        outcome.concealed_samples as f64 * 100.0 / played,
        report.recovered,
        report.late,
        report.skipped,
        report.left_out_samples as f64 * 100.0 / played,
        report.stretched_samples as f64 * 100.0 / played,
        report.paused_samples as f64 * 100.0 / played,
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let bytes = std::fs::read(&arguments[0]).expect("a file of float32 samples");
    let speech: Vec<f32> = bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap())).collect();
    let limits = (arguments[1].parse().expect("ms"), arguments[2].parse().expect("ms"));
    let traces: Vec<(String, Vec<f64>)> = arguments[3..]
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("a trace");
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            (path.clone(), lines.map(|line| line.parse().expect("a number")).collect())
        })
        .collect();
    let longest = traces.iter().map(|(_, trace)| trace.len()).max().unwrap_or(0);
    let datagrams = encode(&speech, longest);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for some in traces.chunks(threads) {
        let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
            let calls: Vec<_> = some.iter().map(|(_, trace)| scope.spawn(|| play(&datagrams, trace, limits))).collect();
            calls.into_iter().map(|call| call.join().expect("a call plays")).collect()
        });
        some.iter().zip(outcomes).for_each(|((name, _), outcome)| print(name, outcome));
    }
}
