//! Safe libopus: encode, decode, conceal, in-band FEC (LBRR), deep redundancy (DRED), DTX.
//!
//! libopus 1.6.1 is linked statically with the weights of its deep packet loss concealment. Samples are interleaved; a
//! length is always that of the slice, never a separate number, so no call can read or write past it. Nothing here
//! reads a clock, and nothing allocates after `new`.

mod decoder;
mod encoder;
mod error;
mod redundancy;

pub use decoder::{DEEP_PLC_COMPLEXITY, Decoder};
pub use encoder::{Application, Encoder};
pub use error::Error;
pub use redundancy::{MOST_REDUNDANCY_FRAMES, Redundancy};

use std::ffi::CStr;
use std::ptr::null_mut;

use opusic_sys as sys;

/// Larger than any payload that libopus writes: the three frames of 60 ms take at most 1275 bytes each, and a header.
pub const MAX_PAYLOAD_BYTES: usize = 4000;

/// The sample rates that libopus takes.
pub const SAMPLE_RATES_HZ: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// The longest that one payload can last (RFC 6716 section 3.2), in milliseconds.
pub const MAX_PAYLOAD_MS: u32 = 120;

/// 120 ms in frames of 2.5 ms.
const MAX_FRAMES: usize = 48;

/// The version of the libopus inside, as it says itself: "libopus 1.6.1".
pub fn version() -> &'static str {
    // SAFETY: libopus returns a static, zero-terminated ASCII string.
    let text = unsafe { CStr::from_ptr(sys::opus_get_version_string()) };
    text.to_str().unwrap_or("libopus")
}

/// How many samples per channel `payload` decodes to at `sample_rate_hz`; looks at its header only.
pub fn packet_samples(payload: &[u8], sample_rate_hz: u32) -> Result<usize, Error> {
    let rate = checked_rate(sample_rate_hz)?;
    let length = checked_length(payload)?;
    // SAFETY: pointer and length come from one slice, which is not empty.
    match Error::check(unsafe { sys::opus_packet_get_nb_samples(payload.as_ptr(), length, rate) }) {
        Ok(0) => Err(Error::INVALID_PACKET), // a frame count of 0, which RFC 6716 section 3.2.5 forbids
        counted => counted,
    }
}

/// The length of `payload` in samples at 48 kHz, if the framing of all of it is sound (RFC 6716 section 3.4).
pub fn whole_packet_samples(payload: &[u8]) -> Result<usize, Error> {
    let length = checked_length(payload)?;
    let mut sizes = [0_i16; MAX_FRAMES];
    // SAFETY: pointer and length come from one slice; libopus writes at most 48 sizes; the other results may be null.
    let frames = Error::check(unsafe {
        sys::opus_packet_parse(payload.as_ptr(), length, null_mut(), null_mut(), sizes.as_mut_ptr(), null_mut())
    })?;
    // SAFETY: the TOC is the first byte, and libopus has read it.
    let frame = Error::check(unsafe { sys::opus_packet_get_samples_per_frame(payload.as_ptr(), 48_000) })?;
    Ok(frames * frame)
}

/// Whether `payload` also carries the frame before it at a low bitrate (LBRR), so that its loss can be repaired.
pub fn packet_has_lbrr(payload: &[u8]) -> Result<bool, Error> {
    let length = checked_length(payload)?;
    // SAFETY: pointer and length come from one slice, which is not empty.
    Error::check(unsafe { sys::opus_packet_has_lbrr(payload.as_ptr(), length) }).map(|found| found != 0)
}

/// Whether `payload` codes two channels (RFC 6716 section 3.1); the encoder may choose for each anew.
pub fn packet_is_stereo(payload: &[u8]) -> bool {
    payload.first().is_some_and(|toc| toc & 0x04 != 0)
}

fn checked_rate(sample_rate_hz: u32) -> Result<i32, Error> {
    if !SAMPLE_RATES_HZ.contains(&sample_rate_hz) {
        return Err(Error::BAD_ARGUMENT);
    }
    Ok(sample_rate_hz as i32)
}

/// libopus reads an empty payload as "lost". Here a loss is `conceal`, said aloud, so an empty payload is malformed.
fn checked_length(payload: &[u8]) -> Result<i32, Error> {
    if payload.is_empty() {
        return Err(Error::INVALID_PACKET);
    }
    i32::try_from(payload.len()).map_err(|_| Error::INVALID_PACKET)
}

/// Samples per channel in an interleaved slice of `length` samples.
fn frame_size(length: usize, channels: u8) -> Result<i32, Error> {
    let channels = usize::from(channels);
    if length == 0 || !length.is_multiple_of(channels) {
        return Err(Error::BAD_ARGUMENT);
    }
    i32::try_from(length / channels).map_err(|_| Error::BAD_ARGUMENT)
}
