//! Bytes on the network: RTP and the level in its header, RTCP, transport encryption, replay window, IP discovery.
//!
//! Pure functions and small state: no clock, no socket, no thread. Every `parse` and `open` takes bytes from strangers and
//! answers with an error value; none of them panics. Golden packets made by other libraries are in `tests/wire/golden`.

pub mod discovery;
pub mod feedback;
pub mod level;
pub mod old_layout;
pub mod replay;
pub mod rtcp;
pub mod rtp;
pub mod sequence;
pub mod transport;

/// Monotonic time in nanoseconds, handed in by the caller.
pub type Nanos = u64;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParseError {
    /// Fewer bytes than the fields that are announced.
    TooShort,
    /// The first two bits are not 2: no RTP and no RTCP.
    Version,
    /// The padding count is zero or larger than what it could cover.
    Padding,
    /// A length or count field contradicts the packet type.
    Length,
}

impl ParseError {
    /// Stable, for programs and counters.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::Version => "bad_version",
            Self::Padding => "bad_padding",
            Self::Length => "bad_length",
        }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the packet ends before the fields it announces",
            Self::Version => "not version 2 of RTP",
            Self::Padding => "the padding count does not fit the packet",
            Self::Length => "a length field contradicts the packet type",
        })
    }
}

impl std::error::Error for ParseError {}
