//! Sizes of frames: float32, 48 kHz, mono, full scale ±1.

pub const SAMPLE_RATE_HZ: u32 = 48_000;
pub const SAMPLES_PER_MS: usize = 48;

/// What one `SendChain::push` takes: 20 ms.
pub const SEND_SAMPLES: usize = 20 * SAMPLES_PER_MS;

/// What one `ReceiveChain::pull` gives: 10 ms, the period of common sound cards.
pub const PULL_SAMPLES: usize = 10 * SAMPLES_PER_MS;

/// The shortest Opus packet: 2.5 ms. Opus conceals in multiples of it.
pub const SHORTEST_PACKET_SAMPLES: usize = 120;

/// The longest Opus packet: 120 ms (RFC 6716 section 3.2.5).
pub const LONGEST_PACKET_SAMPLES: usize = 120 * SAMPLES_PER_MS;

pub use raccall_wire::level::{MOST_DTX_BYTES, SILENCE_PAYLOAD};

pub const NANOS_PER_MS: i64 = 1_000_000;

/// Nanoseconds of `samples` at 48 kHz: exactly 62 500 / 3 each.
pub fn nanos(samples: i64) -> i64 {
    (i128::from(samples) * 62_500 / 3) as i64
}

/// Mean square of a frame, 0 for an empty one.
pub fn energy(samples: &[f32]) -> f32 {
    product(samples, samples) / samples.len().max(1) as f32
}

/// The sum of what two stretches of sound, equally long, are sample by sample. One running sum would wait four cycles for each
/// addition; sixteen fill the processor's vectors.
pub fn product(one: &[f32], other: &[f32]) -> f32 {
    const LANES: usize = 16;
    let ((one, one_rest), (other, other_rest)) = (one.as_chunks::<LANES>(), other.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (one, other) in one.iter().zip(other) {
        for lane in 0..LANES {
            sums[lane] += one[lane] * other[lane];
        }
    }
    let rest: f32 = one_rest.iter().zip(other_rest).map(|(one, other)| one * other).sum();
    sums.iter().sum::<f32>() + rest
}

/// Level of a mean square in dB against full scale, at least -127 (the floor of RFC 6464).
pub fn energy_db(energy: f32) -> f32 {
    (10.0 * energy.max(1e-13).log10()).max(-127.0)
}
