use std::ffi::CStr;
use std::fmt;

use opusic_sys as sys;

/// What libopus refused, with its own code; `Display` is its own text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: i32,
}

impl Error {
    /// A value out of range: sample rate, channels, frame length, bitrate, ...
    pub const BAD_ARGUMENT: Self = Self { code: sys::OPUS_BAD_ARG };
    /// The output slice is shorter than what the payload decodes to, or than the payload.
    pub const BUFFER_TOO_SMALL: Self = Self { code: sys::OPUS_BUFFER_TOO_SMALL };
    /// The payload is malformed.
    pub const INVALID_PACKET: Self = Self { code: sys::OPUS_INVALID_PACKET };

    /// libopus returns a count, or an error below zero.
    pub(crate) fn check(returned: i32) -> Result<usize, Self> {
        usize::try_from(returned).map_err(|_| Self { code: returned })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: libopus returns a static, zero-terminated ASCII string for every number.
        let text = unsafe { CStr::from_ptr(sys::opus_strerror(self.code)) };
        out.write_str(&text.to_string_lossy())
    }
}

impl std::error::Error for Error {}
