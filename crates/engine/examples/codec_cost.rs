//! What libopus alone costs in a call with five talkers: one encode and five decodes each 20 ms, nothing else. The peer of
//! `python -m bench client`.
//!
//! `codec_cost FILE SECONDS [paced]`: FILE holds float32 samples, 48 kHz mono; each talker begins at another place of it.
//! Prints the thread's CPU nanoseconds for one second of call. `paced` sleeps between frames, as a call does.

use std::time::{Duration, Instant};

use raccall_opus::{Application, Decoder, Encoder};

const FRAME: usize = 960;
const TALKERS: usize = 5;

fn encoder() -> Encoder {
    let mut encoder = Encoder::new(48_000, 1, Application::Voip).unwrap();
    encoder.set_bitrate(32_000).unwrap();
    encoder.set_complexity(9).unwrap();
    encoder.set_expected_loss(10).unwrap();
    encoder.set_lbrr(true).unwrap();
    encoder
}

fn encode(encoder: &mut Encoder, frame: &[f32]) -> Vec<u8> {
    let mut payload = [0; 1276];
    let length = encoder.encode_f32(frame, &mut payload).unwrap();
    payload[..length].to_vec()
}

fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let bytes = std::fs::read(&arguments[1]).expect("a file of float32 samples");
    let seconds: usize = arguments[2].parse().expect("a number of seconds");
    let paced = arguments.get(3).is_some_and(|word| word == "paced");
    let speech: Vec<f32> = bytes.chunks_exact(4).map(|s| f32::from_le_bytes(s.try_into().unwrap())).collect();
    let frames: Vec<&[f32]> = speech.chunks_exact(FRAME).collect();
    let ticks = seconds * 50;

    let payloads: Vec<Vec<Vec<u8>>> = (1..=TALKERS)
        .map(|talker| {
            let mut encoder = encoder();
            let start = talker * frames.len() / (TALKERS + 1);
            (0..ticks).map(|tick| encode(&mut encoder, frames[(start + tick) % frames.len()])).collect()
        })
        .collect();

    let mut encoder = encoder();
    let mut payload = [0; 1276];
    let mut out = [0.0; FRAME];
    let mut decoders: Vec<Decoder> = (0..TALKERS).map(|_| Decoder::new(48_000, 1).unwrap()).collect();
    decoders.iter_mut().for_each(|decoder| decoder.set_complexity(5).unwrap());
    let start = Instant::now();
    let before = thread_cpu_ns();
    for tick in 0..ticks {
        encoder.encode_f32(frames[tick % frames.len()], &mut payload).unwrap();
        for (decoder, payloads) in decoders.iter_mut().zip(&payloads) {
            decoder.decode_f32(&payloads[tick], &mut out).unwrap();
        }
        if paced {
            let next = start + Duration::from_millis(20 * (tick as u64 + 1));
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
    println!("{}", (thread_cpu_ns() - before) / seconds as u64);
}
