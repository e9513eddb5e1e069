use std::ptr::NonNull;

use opusic_sys as sys;

use crate::{Error, checked_rate, frame_size};

/// What the encoder should be good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// Speech that must stay intelligible; the only one whose LBRR and DTX are of use.
    Voip,
    /// Music and mixed sound, close to the input.
    Audio,
    /// The least delay (2.5 ms of look-ahead instead of 6.5): CELT alone, no LBRR, no speech modes.
    LowDelay,
}

/// Frames in, payloads out. One thread at a time.
pub struct Encoder {
    state: NonNull<sys::OpusEncoder>,
    channels: u8,
    redundancy: u8,
}

// SAFETY: the state is owned by this value alone, and libopus keeps nothing per thread.
unsafe impl Send for Encoder {}

impl Encoder {
    /// `sample_rate_hz`: one of `SAMPLE_RATES_HZ`; `channels`: 1 or 2.
    pub fn new(sample_rate_hz: u32, channels: u8, application: Application) -> Result<Self, Error> {
        let rate = checked_rate(sample_rate_hz)?;
        let application = match application {
            Application::Voip => sys::OPUS_APPLICATION_VOIP,
            Application::Audio => sys::OPUS_APPLICATION_AUDIO,
            Application::LowDelay => sys::OPUS_APPLICATION_RESTRICTED_LOWDELAY,
        };
        let mut code = sys::OPUS_OK;
        // SAFETY: libopus checks the numbers and writes the code; on an error it returns null.
        let state = unsafe { sys::opus_encoder_create(rate, i32::from(channels), application, &mut code) };
        let state = NonNull::new(state).ok_or(Error { code })?;
        Ok(Self { state, channels, redundancy: 0 })
    }

    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// 500 to 512 000 bit/s; libopus holds a higher or lower number within what it can.
    pub fn set_bitrate(&mut self, bitrate_bps: i32) -> Result<(), Error> {
        if bitrate_bps <= 0 {
            return Err(Error::BAD_ARGUMENT); // below zero are libopus's "auto" and "maximum", not bitrates
        }
        self.set(sys::OPUS_SET_BITRATE_REQUEST, bitrate_bps)
    }

    /// 0 (least CPU) to 10 (best sound).
    pub fn set_complexity(&mut self, complexity: u8) -> Result<(), Error> {
        self.set(sys::OPUS_SET_COMPLEXITY_REQUEST, i32::from(complexity))
    }

    /// How much of the traffic gets lost, 0 to 100 %: makes frames depend less on each other, and sizes LBRR.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), Error> {
        self.set(sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST, i32::from(percent))
    }

    /// Carry each speech frame again, at a low bitrate, in the payload after it. Works from an expected loss above 0.
    pub fn set_lbrr(&mut self, on: bool) -> Result<(), Error> {
        self.set(sys::OPUS_SET_INBAND_FEC_REQUEST, i32::from(on))
    }

    /// Carry features of the last 0 to `MOST_REDUNDANCY_FRAMES` × 10 ms in each payload (DRED), from which a decoder with the neural
    /// network can speak again what got lost; others skip them. They take their bits from the same bitrate: none without expected loss.
    pub fn set_redundancy(&mut self, frames: u8) -> Result<(), Error> {
        self.set(sys::OPUS_SET_DRED_DURATION_REQUEST, i32::from(frames))?;
        self.redundancy = frames;
        Ok(())
    }

    /// In silence, write payloads of at most two bytes (which need not be sent), but one full frame every 400 ms.
    pub fn set_dtx(&mut self, on: bool) -> Result<(), Error> {
        self.set(sys::OPUS_SET_DTX_REQUEST, i32::from(on))
    }

    /// How many samples per channel the sound comes out late: what a container calls pre-skip.
    pub fn lookahead_samples(&mut self) -> Result<usize, Error> {
        let mut samples = 0i32;
        // SAFETY: this request writes one int32.
        Error::check(unsafe {
            sys::opus_encoder_ctl(self.state.as_ptr(), sys::OPUS_GET_LOOKAHEAD_REQUEST, &mut samples as *mut i32)
        })?;
        Ok(samples as usize)
    }

    /// The state of the range coder after the newest payload; the decoder's is equal if it decoded the same bytes.
    pub fn final_range(&mut self) -> Result<u32, Error> {
        let mut range = 0u32;
        // SAFETY: this request writes one uint32.
        Error::check(unsafe {
            sys::opus_encoder_ctl(self.state.as_ptr(), sys::OPUS_GET_FINAL_RANGE_REQUEST, &mut range as *mut u32)
        })?;
        Ok(range)
    }

    /// Forget the sound so far, keep the settings.
    pub fn reset(&mut self) -> Result<(), Error> {
        // SAFETY: this request takes no argument.
        Error::check(unsafe { sys::opus_encoder_ctl(self.state.as_ptr(), sys::OPUS_RESET_STATE) })?;
        self.set_redundancy(self.redundancy) // the one setting that libopus 1.6.1 forgets
    }

    /// Encode one frame of 2.5, 5, 10, 20, 40 or 60 ms (libopus also takes 80, 100 and 120), within ±1.
    /// Returns the length of the payload, which is never more than `out` holds (`MAX_PAYLOAD_BYTES` always suffice).
    pub fn encode_f32(&mut self, samples: &[f32], out: &mut [u8]) -> Result<usize, Error> {
        let size = frame_size(samples.len(), self.channels)?;
        // SAFETY: `size` frames of `channels` samples are what the slice holds, and the capacity is that of `out`.
        Error::check(unsafe {
            sys::opus_encode_float(self.state.as_ptr(), samples.as_ptr(), size, out.as_mut_ptr(), capacity(out))
        })
    }

    /// The same for 16 bit samples.
    pub fn encode_i16(&mut self, samples: &[i16], out: &mut [u8]) -> Result<usize, Error> {
        let size = frame_size(samples.len(), self.channels)?;
        // SAFETY: as above.
        Error::check(unsafe {
            sys::opus_encode(self.state.as_ptr(), samples.as_ptr(), size, out.as_mut_ptr(), capacity(out))
        })
    }

    fn set(&mut self, request: i32, value: i32) -> Result<(), Error> {
        // SAFETY: every request passed here takes one int32, whose range libopus checks.
        Error::check(unsafe { sys::opus_encoder_ctl(self.state.as_ptr(), request, value) }).map(drop)
    }
}

fn capacity(out: &[u8]) -> i32 {
    i32::try_from(out.len()).unwrap_or(i32::MAX)
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: made by opus_encoder_create, destroyed once.
        unsafe { sys::opus_encoder_destroy(self.state.as_ptr()) }
    }
}
