//! A packet on its way through a recording.

/// Monotonic time in nanoseconds.
pub type Nanos = u64;

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

/// A packet and its place in the recording, in samples at 48 kHz from the beginning of the tracks.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// First sample, on the 2.5 ms grid of Opus. Never before the end of the packet placed before it.
    pub position: u64,
    /// Where its sound belongs exactly: smooth inside a talk spurt, for rendered sound, which is resampled.
    pub exact: f64,
    pub samples: u32,
    /// Packets missing directly before this one, by sequence number.
    pub lost: u32,
    pub payload: Vec<u8>,
}
