use std::ops::Range;
use std::ptr::NonNull;

use opusic_sys as sys;

use crate::{Error, checked_length};

/// The most that a payload carries of what came before it, in frames of 10 ms. (xiph/opus, dnn/dred_config.h)
pub const MOST_REDUNDANCY_FRAMES: u8 = 104;

const RATE_HZ: i32 = 48_000;
/// What it tells comes in steps of 40 ms, of which the newest may lie partly in the payload's own sound.
const STEP_SAMPLES: usize = 1920;
const MOST_SAMPLES: usize = MOST_REDUNDANCY_FRAMES as usize * 480;

/// What a payload tells of the sound before it: deep redundancy (DRED), features of speech from which the decoder's neural network
/// speaks again what got lost. Always at 48 kHz.
///
/// What is read of hostile bytes is bounded by libopus: 26 steps of 40 ms at most, whatever they say.
pub struct Redundancy {
    reader: NonNull<sys::OpusDREDDecoder>,
    features: NonNull<sys::OpusDRED>,
}

// SAFETY: both states are owned by this value alone, and libopus keeps nothing per thread.
unsafe impl Send for Redundancy {}

impl Redundancy {
    pub fn new() -> Result<Self, Error> {
        let mut code = sys::OPUS_OK;
        // SAFETY: libopus writes the code; on an error it returns null.
        let reader = unsafe { sys::opus_dred_decoder_create(&mut code) };
        let reader = NonNull::new(reader).ok_or(Error { code })?;
        // SAFETY: as above.
        let features = unsafe { sys::opus_dred_alloc(&mut code) };
        let Some(features) = NonNull::new(features) else {
            // SAFETY: made above, destroyed once.
            unsafe { sys::opus_dred_decoder_destroy(reader.as_ptr()) };
            return Err(Error { code });
        };
        // SAFETY: it is as long as libopus says, holds numbers only, and zeros are "nothing read yet".
        unsafe { features.cast::<u8>().write_bytes(0, sys::opus_dred_get_size() as usize) };
        Ok(Self { reader, features })
    }

    /// Which samples before the payload's first it tells of, counted backwards: 480..2400 are those from 50 to 10 ms before. Empty if
    /// none. Cheap, but for nothing else: `read` before decoding.
    pub fn reach(&mut self, payload: &[u8]) -> Result<Range<usize>, Error> {
        self.parse(payload, MOST_SAMPLES, true)
    }

    /// Reads what the payload tells of the last `samples` before its first, if not of more. Costs what decoding half a payload does for
    /// each 40 ms.
    pub fn read(&mut self, payload: &[u8], samples: usize) -> Result<Range<usize>, Error> {
        self.parse(payload, samples.min(MOST_SAMPLES) + STEP_SAMPLES, false)
    }

    pub(crate) fn features(&self) -> *const sys::OpusDRED {
        self.features.as_ptr()
    }

    fn parse(&mut self, payload: &[u8], samples: usize, defer: bool) -> Result<Range<usize>, Error> {
        let length = checked_length(payload)?;
        let mut end = 0;
        // SAFETY: pointer and length come from one slice, which is not empty; libopus writes to the two states and to `end`.
        let begin = Error::check(unsafe {
            sys::opus_dred_parse(
                self.reader.as_ptr(),
                self.features.as_ptr(),
                payload.as_ptr(),
                length,
                samples as i32,
                RATE_HZ,
                &mut end,
                i32::from(defer),
            )
        })?;
        Ok(end.max(0) as usize..begin)
    }
}

impl Drop for Redundancy {
    fn drop(&mut self) {
        // SAFETY: made by libopus in `new`, given back once.
        unsafe {
            sys::opus_dred_free(self.features.as_ptr());
            sys::opus_dred_decoder_destroy(self.reader.as_ptr());
        }
    }
}
