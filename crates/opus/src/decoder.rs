use std::ptr::{self, NonNull};

use opusic_sys as sys;

use crate::{Error, Redundancy, checked_length, checked_rate, frame_size};

/// From this decoder complexity on, losses are concealed by the neural network ("deep PLC"), below it by repetition.
/// (xiph/opus, src/opus_decoder.c)
pub const DEEP_PLC_COMPLEXITY: u8 = 5;

/// Payloads in, frames out; one per Source, because concealment continues from what was decoded before.
pub struct Decoder {
    state: NonNull<sys::OpusDecoder>,
    channels: u8,
}

// SAFETY: the state is owned by this value alone, and libopus keeps nothing per thread.
unsafe impl Send for Decoder {}

impl Decoder {
    /// `sample_rate_hz`: one of `SAMPLE_RATES_HZ`, whatever the sender used; `channels`: 1 or 2, likewise.
    pub fn new(sample_rate_hz: u32, channels: u8) -> Result<Self, Error> {
        let rate = checked_rate(sample_rate_hz)?;
        let mut code = sys::OPUS_OK;
        // SAFETY: libopus checks the numbers and writes the code; on an error it returns null.
        let state = unsafe { sys::opus_decoder_create(rate, i32::from(channels), &mut code) };
        let state = NonNull::new(state).ok_or(Error { code })?;
        Ok(Self { state, channels })
    }

    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// 0 to 10; from `DEEP_PLC_COMPLEXITY` on, losses are concealed by the neural network. A new decoder has 0.
    pub fn set_complexity(&mut self, complexity: u8) -> Result<(), Error> {
        let request = sys::OPUS_SET_COMPLEXITY_REQUEST;
        // SAFETY: this request takes one int32, whose range libopus checks.
        Error::check(unsafe { sys::opus_decoder_ctl(self.state.as_ptr(), request, i32::from(complexity)) }).map(drop)
    }

    /// Forget the sound so far, keep the settings.
    pub fn reset(&mut self) -> Result<(), Error> {
        // SAFETY: this request takes no argument.
        Error::check(unsafe { sys::opus_decoder_ctl(self.state.as_ptr(), sys::OPUS_RESET_STATE) }).map(drop)
    }

    /// The state of the range coder after the newest payload; the encoder's is equal if it wrote the same bytes.
    pub fn final_range(&mut self) -> Result<u32, Error> {
        let mut range = 0u32;
        let request = sys::OPUS_GET_FINAL_RANGE_REQUEST;
        // SAFETY: this request writes one uint32.
        Error::check(unsafe { sys::opus_decoder_ctl(self.state.as_ptr(), request, &mut range as *mut u32) })?;
        Ok(range)
    }

    /// Decode one payload. Returns samples per channel; `out` must hold them all (see `packet_samples`), or nothing is
    /// decoded. Values may pass ±1 a little: the encoder is lossy.
    pub fn decode_f32(&mut self, payload: &[u8], out: &mut [f32]) -> Result<usize, Error> {
        let length = checked_length(payload)?;
        self.run_f32(payload.as_ptr(), length, out, false)
    }

    /// Make up the frame that got lost: as much sound as `out` holds, a multiple of 2.5 ms.
    pub fn conceal_f32(&mut self, out: &mut [f32]) -> Result<usize, Error> {
        self.run_f32(ptr::null(), 0, out, false)
    }

    /// Decode the lost frame from the copy (LBRR) in the payload after it; conceals if that holds none. `out` is exactly
    /// as long as what was lost, a multiple of 2.5 ms.
    pub fn decode_lbrr_f32(&mut self, next_payload: &[u8], out: &mut [f32]) -> Result<usize, Error> {
        let length = checked_length(next_payload)?;
        self.run_f32(next_payload.as_ptr(), length, out, true)
    }

    /// Speak again what got lost, from what was last read into `redundancy`: `before` is how many samples before that payload's first
    /// `out` begins. Where nothing was told, conceals. At 48 kHz only; `out` is a multiple of 2.5 ms, at best of 10.
    pub fn decode_redundancy_f32(
        &mut self,
        redundancy: &Redundancy,
        before: usize,
        out: &mut [f32],
    ) -> Result<usize, Error> {
        let size = frame_size(out.len(), self.channels)?;
        let before = i32::try_from(before).map_err(|_| Error::BAD_ARGUMENT)?;
        // SAFETY: both states are alive; libopus writes at most `size` frames of `channels` samples: what `out` holds.
        Error::check(unsafe {
            sys::opus_decoder_dred_decode_float(
                self.state.as_ptr(),
                redundancy.features(),
                before,
                out.as_mut_ptr(),
                size,
            )
        })
    }

    /// `decode_f32` to 16 bit samples.
    pub fn decode_i16(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, Error> {
        let length = checked_length(payload)?;
        self.run_i16(payload.as_ptr(), length, out, false)
    }

    /// `conceal_f32` to 16 bit samples.
    pub fn conceal_i16(&mut self, out: &mut [i16]) -> Result<usize, Error> {
        self.run_i16(ptr::null(), 0, out, false)
    }

    /// `decode_lbrr_f32` to 16 bit samples.
    pub fn decode_lbrr_i16(&mut self, next_payload: &[u8], out: &mut [i16]) -> Result<usize, Error> {
        let length = checked_length(next_payload)?;
        self.run_i16(next_payload.as_ptr(), length, out, true)
    }

    /// `payload` is null, or points to `length` readable bytes.
    fn run_f32(&mut self, payload: *const u8, length: i32, out: &mut [f32], lbrr: bool) -> Result<usize, Error> {
        let size = frame_size(out.len(), self.channels)?;
        // SAFETY: payload as said above; libopus writes at most `size` frames of `channels` samples: what `out` holds.
        Error::check(unsafe {
            sys::opus_decode_float(self.state.as_ptr(), payload, length, out.as_mut_ptr(), size, i32::from(lbrr))
        })
    }

    /// `payload` is null, or points to `length` readable bytes.
    fn run_i16(&mut self, payload: *const u8, length: i32, out: &mut [i16], lbrr: bool) -> Result<usize, Error> {
        let size = frame_size(out.len(), self.channels)?;
        // SAFETY: as above.
        Error::check(unsafe {
            sys::opus_decode(self.state.as_ptr(), payload, length, out.as_mut_ptr(), size, i32::from(lbrr))
        })
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made by opus_decoder_create, destroyed once.
        unsafe { sys::opus_decoder_destroy(self.state.as_ptr()) }
    }
}
