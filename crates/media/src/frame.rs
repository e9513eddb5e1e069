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

pub use raccall_wire::level::SILENCE_PAYLOAD;

pub const NANOS_PER_MS: i64 = 1_000_000;

/// Nanoseconds of `samples` at 48 kHz: exactly 62 500 / 3 each.
pub fn nanos(samples: i64) -> i64 {
    (i128::from(samples) * 62_500 / 3) as i64
}

/// Mean square of a frame, 0 for an empty one.
pub fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32
}

/// Level of a mean square in dB against full scale, at least -127 (the floor of RFC 6464).
pub fn energy_db(energy: f32) -> f32 {
    (10.0 * energy.max(1e-13).log10()).max(-127.0)
}
