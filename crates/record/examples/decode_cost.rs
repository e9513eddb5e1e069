//! What libopus alone costs for the packets of a recording: the same payloads, the same losses concealed in the same way,
//! nothing else. The peer of `python -m bench export`.
//!
//! `decode_cost FILE`: FILE holds what to ask of the decoders, one after the other, each as: u8 speaker, u8 what (0 decode,
//! 1 conceal, 2 decode the copy in the payload), u16 samples, u16 bytes, the payload; little-endian. Prints nanoseconds:
//! CPU time of the thread, and elapsed.

use std::time::Instant;

use raccall_opus::{DEEP_PLC_COMPLEXITY, Decoder};

fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn main() {
    let path = std::env::args().nth(1).expect("a file");
    let bytes = std::fs::read(path).expect("a file that can be read");
    let mut decoders: Vec<Decoder> = Vec::new();
    let mut out = [0.0; 5760];
    let start = Instant::now();
    let before = thread_cpu_ns();
    let mut rest = &bytes[..];
    while let [speaker, what, s0, s1, b0, b1, more @ ..] = rest {
        let out = &mut out[..usize::from(u16::from_le_bytes([*s0, *s1]))];
        let (payload, after) = more.split_at(usize::from(u16::from_le_bytes([*b0, *b1])));
        while decoders.len() <= usize::from(*speaker) {
            let mut decoder = Decoder::new(48_000, 1).unwrap();
            decoder.set_complexity(DEEP_PLC_COMPLEXITY).unwrap();
            decoders.push(decoder);
        }
        let decoder = &mut decoders[usize::from(*speaker)];
        match what {
            0 => decoder.decode_f32(payload, out),
            1 => decoder.conceal_f32(out),
            _ => decoder.decode_lbrr_f32(payload, out),
        }
        .unwrap();
        rest = after;
    }
    println!("{} {}", thread_cpu_ns() - before, start.elapsed().as_nanos());
}
