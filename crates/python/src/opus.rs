//! `OpusEncoder`, `OpusDecoder` and what can be read off a payload.

use std::sync::{Mutex, MutexGuard};

use numpy::{Element, PyArray2, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::create_exception;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use raccall_opus::{Application, Decoder, Encoder, Error, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_MS};

// Named after the package where people import it from.
create_exception!(raccall.voice, OpusError, PyValueError);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("OpusError", module.py().get_type::<OpusError>())?;
    module.add_class::<OpusEncoder>()?;
    module.add_class::<OpusDecoder>()?;
    module.add_function(wrap_pyfunction!(opus_version, module)?)?;
    module.add_function(wrap_pyfunction!(opus_payload_samples, module)?)?;
    module.add_function(wrap_pyfunction!(opus_payload_has_lbrr, module)?)
}

fn refused(py: Python<'_>, what: &str, error: Error) -> PyErr {
    let raised = OpusError::new_err(format!("cannot {what}: {error} (libopus error {})", error.code));
    match raised.value(py).setattr("code", error.code) {
        Ok(()) => raised,
        Err(other) => other,
    }
}

#[pyfunction]
fn opus_version() -> &'static str {
    raccall_opus::version()
}

#[pyfunction]
fn opus_payload_samples(py: Python<'_>, payload: &[u8], sample_rate_hz: i64) -> PyResult<usize> {
    let samples = fit(sample_rate_hz).and_then(|rate| raccall_opus::packet_samples(payload, rate));
    samples.map_err(|error| refused(py, "read this payload", error))
}

#[pyfunction]
fn opus_payload_has_lbrr(py: Python<'_>, payload: &[u8]) -> PyResult<bool> {
    raccall_opus::packet_has_lbrr(payload).map_err(|error| refused(py, "read this payload", error))
}

/// A frame as Python hands it over.
#[derive(FromPyObject)]
enum Frame<'py> {
    Float(PyReadonlyArrayDyn<'py, f32>),
    Int(PyReadonlyArrayDyn<'py, i16>),
}

/// The samples of (frames, channels), or of (frames,) if mono, in this order. A copy: the array may be written to, or be
/// strided, while libopus reads with the GIL released.
fn interleaved<T: Element + Copy>(array: &PyReadonlyArrayDyn<'_, T>, channels: u8) -> PyResult<Vec<T>> {
    match array.shape() {
        [_] if channels == 1 => {}
        [_, given] if *given == usize::from(channels) => {}
        shape => {
            let message = format!("a frame has the shape (frames, {channels}), this one {shape:?}");
            return Err(PyValueError::new_err(message));
        }
    }
    Ok(array.as_array().iter().copied().collect()) // in the order of the indices, whatever the layout in memory
}

fn coder(kind: &str, channels: i64, sample_rate_hz: i64) -> String {
    format!("make an Opus {kind} of {channels} channels at {sample_rate_hz} Hz")
}

/// A Python int as the type that libopus's argument has: what does not fit is out of range all the more.
fn fit<T: TryFrom<i64>>(value: i64) -> Result<T, Error> {
    T::try_from(value).map_err(|_| Error::BAD_ARGUMENT)
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().expect("libopus calls do not panic")
}

#[pyclass(frozen)]
struct OpusEncoder {
    encoder: Mutex<Encoder>,
    channels: u8,
}

#[pymethods]
impl OpusEncoder {
    #[new]
    fn new(py: Python<'_>, sample_rate_hz: i64, channels: i64, application: &str) -> PyResult<Self> {
        let kind = match application {
            "voip" => Application::Voip,
            "audio" => Application::Audio,
            "lowdelay" => Application::LowDelay,
            other => {
                let message = format!("an application is voip, audio or lowdelay, not {other}");
                return Err(PyValueError::new_err(message));
            }
        };
        let encoder = fit(sample_rate_hz)
            .and_then(|rate| Encoder::new(rate, fit(channels)?, kind))
            .map_err(|error| refused(py, &coder("encoder", channels, sample_rate_hz), error))?;
        Ok(Self { channels: encoder.channels(), encoder: Mutex::new(encoder) })
    }

    fn set_bitrate(&self, py: Python<'_>, bitrate_bps: i64) -> PyResult<()> {
        self.set(py, &format!("set a bitrate of {bitrate_bps} bit/s"), |encoder| encoder.set_bitrate(fit(bitrate_bps)?))
    }

    fn set_complexity(&self, py: Python<'_>, complexity: i64) -> PyResult<()> {
        self.set(py, &format!("set complexity {complexity}"), |encoder| encoder.set_complexity(fit(complexity)?))
    }

    fn set_expected_loss(&self, py: Python<'_>, percent: i64) -> PyResult<()> {
        self.set(py, &format!("expect a loss of {percent} %"), |encoder| encoder.set_expected_loss(fit(percent)?))
    }

    fn set_lbrr(&self, py: Python<'_>, on: bool) -> PyResult<()> {
        self.set(py, "set LBRR", |encoder| encoder.set_lbrr(on))
    }

    fn set_dtx(&self, py: Python<'_>, on: bool) -> PyResult<()> {
        self.set(py, "set DTX", |encoder| encoder.set_dtx(on))
    }

    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.set(py, "reset", Encoder::reset)
    }

    fn lookahead_samples(&self, py: Python<'_>) -> PyResult<usize> {
        self.set(py, "read the look-ahead", Encoder::lookahead_samples)
    }

    fn final_range(&self, py: Python<'_>) -> PyResult<u32> {
        self.set(py, "read the range", Encoder::final_range)
    }

    fn encode<'py>(&self, py: Python<'py>, frame: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let frame: Frame<'_> = frame
            .extract()
            .map_err(|_| PyTypeError::new_err("a frame is a numpy array of float32 (within ±1) or of int16"))?;
        let mut payload = [0; MAX_PAYLOAD_BYTES];
        let (samples, written) = match frame {
            Frame::Float(array) => {
                let samples = interleaved(&array, self.channels)?;
                (samples.len(), py.detach(|| lock(&self.encoder).encode_f32(&samples, &mut payload)))
            }
            Frame::Int(array) => {
                let samples = interleaved(&array, self.channels)?;
                (samples.len(), py.detach(|| lock(&self.encoder).encode_i16(&samples, &mut payload)))
            }
        };
        let frames = samples / usize::from(self.channels);
        let length = written.map_err(|error| refused(py, &format!("encode a frame of {frames} samples"), error))?;
        Ok(PyBytes::new(py, &payload[..length]))
    }
}

impl OpusEncoder {
    fn set<T: Send>(
        &self,
        py: Python<'_>,
        what: &str,
        call: impl FnOnce(&mut Encoder) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        py.detach(|| call(&mut lock(&self.encoder))).map_err(|error| refused(py, what, error))
    }
}

#[pyclass(frozen)]
struct OpusDecoder {
    decoder: Mutex<Decoder>,
    sample_rate_hz: u32,
    channels: u8,
}

#[pymethods]
impl OpusDecoder {
    #[new]
    fn new(py: Python<'_>, sample_rate_hz: i64, channels: i64) -> PyResult<Self> {
        let (rate, decoder) = fit(sample_rate_hz)
            .and_then(|rate| Ok((rate, Decoder::new(rate, fit(channels)?)?)))
            .map_err(|error| refused(py, &coder("decoder", channels, sample_rate_hz), error))?;
        Ok(Self { channels: decoder.channels(), sample_rate_hz: rate, decoder: Mutex::new(decoder) })
    }

    fn set_complexity(&self, py: Python<'_>, complexity: i64) -> PyResult<()> {
        self.call(py, &format!("set complexity {complexity}"), |decoder| decoder.set_complexity(fit(complexity)?))
    }

    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, "reset", Decoder::reset)
    }

    fn final_range(&self, py: Python<'_>) -> PyResult<u32> {
        self.call(py, "read the range", Decoder::final_range)
    }

    fn decode<'py>(&self, py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.frame(py, Lasts::AsPayload(payload), |decoder, out| decoder.decode_f32(payload, out))
    }

    fn conceal<'py>(&self, py: Python<'py>, samples: i64) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.frame(py, Lasts::Samples(samples), |decoder, out| decoder.conceal_f32(out))
    }

    fn decode_lbrr<'py>(
        &self,
        py: Python<'py>,
        next_payload: &[u8],
        samples: i64,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.frame(py, Lasts::Samples(samples), |decoder, out| decoder.decode_lbrr_f32(next_payload, out))
    }

    fn decode_int16<'py>(&self, py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyArray2<i16>>> {
        self.frame(py, Lasts::AsPayload(payload), |decoder, out| decoder.decode_i16(payload, out))
    }

    fn conceal_int16<'py>(&self, py: Python<'py>, samples: i64) -> PyResult<Bound<'py, PyArray2<i16>>> {
        self.frame(py, Lasts::Samples(samples), |decoder, out| decoder.conceal_i16(out))
    }

    fn decode_lbrr_int16<'py>(
        &self,
        py: Python<'py>,
        next_payload: &[u8],
        samples: i64,
    ) -> PyResult<Bound<'py, PyArray2<i16>>> {
        self.frame(py, Lasts::Samples(samples), |decoder, out| decoder.decode_lbrr_i16(next_payload, out))
    }
}

/// How long a decoded frame is.
enum Lasts<'a> {
    AsPayload(&'a [u8]),
    Samples(i64),
}

impl OpusDecoder {
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        what: &str,
        call: impl FnOnce(&mut Decoder) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        py.detach(|| call(&mut lock(&self.decoder))).map_err(|error| refused(py, what, error))
    }

    /// Runs `call` on a buffer of the right length; gives it to Python as (frames, channels), without a copy.
    fn frame<'py, T: Element + Default + Copy>(
        &self,
        py: Python<'py>,
        lasts: Lasts<'_>,
        call: impl FnOnce(&mut Decoder, &mut [T]) -> Result<usize, Error> + Send,
    ) -> PyResult<Bound<'py, PyArray2<T>>> {
        let channels = usize::from(self.channels);
        let (what, length) = match lasts {
            Lasts::AsPayload(payload) => (
                format!("decode this payload of {} bytes", payload.len()),
                raccall_opus::packet_samples(payload, self.sample_rate_hz),
            ),
            Lasts::Samples(samples) => {
                let most = i64::from(self.sample_rate_hz * MAX_PAYLOAD_MS / 1000);
                let length = if samples <= most { fit(samples) } else { Err(Error::BAD_ARGUMENT) };
                (format!("make up {samples} samples"), length)
            }
        };
        let decoded = length.and_then(|length| {
            py.detach(|| {
                let mut out = vec![T::default(); length * channels];
                let samples = call(&mut lock(&self.decoder), &mut out)?;
                out.truncate(samples * channels);
                Ok(out)
            })
        });
        let out = decoded.map_err(|error| refused(py, &what, error))?;
        let frames = out.len() / channels;
        let array =
            numpy::ndarray::Array2::from_shape_vec((frames, channels), out).expect("as many samples as the shape says");
        Ok(PyArray2::from_owned_array(py, array))
    }
}
