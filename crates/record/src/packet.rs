//! A packet on its way through a recording.

/// Monotonic time in nanoseconds.
pub type Nanos = u64;

/// All sound; RTP timestamps of Opus count in it too.
pub const SAMPLE_RATE_HZ: i64 = 48_000;

/// One packet as it was received, opened, seen for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// When the kernel received it.
    pub arrival: Nanos,
    pub ssrc: u32,
    /// Goes on past 65 535.
    pub sequence: u64,
    /// Goes on past 2³²; 48 kHz.
    pub timestamp: u64,
    /// The whole plain RTP packet: header, CSRC, extension, payload, padding.
    pub rtp: &'a [u8],
}
