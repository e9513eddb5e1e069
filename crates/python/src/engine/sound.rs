//! `Sound`.

use std::sync::{Mutex, MutexGuard};

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use raccall_engine::sound::{self, LentEnd};

#[pyclass(frozen)]
pub struct Sound {
    sound: Mutex<sound::Sound>,
    capture_channels: usize,
}

#[pymethods]
impl Sound {
    #[staticmethod]
    fn device() -> PyResult<Self> {
        let sound = sound::Sound::device().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(Self { sound: Mutex::new(sound), capture_channels: 1 })
    }

    #[staticmethod]
    #[pyo3(signature = (capture, *, keep_playback, playback_channels = 1))]
    fn clocked(
        capture: Option<PyReadonlyArrayDyn<'_, f32>>,
        keep_playback: bool,
        playback_channels: usize,
    ) -> PyResult<Self> {
        if playback_channels != 1 && playback_channels != 2 {
            return Err(PyValueError::new_err(format!("a listener has 1 or 2 channels, not {playback_channels}")));
        }
        let shape = capture.as_ref().map_or(vec![0], |samples| samples.as_array().shape().to_vec());
        let channels = match shape[..] {
            [_] | [_, 1] => 1,
            [_, 2] => 2,
            _ => return Err(PyValueError::new_err(format!("sound has the shape (n,) or (n, 2), this one {shape:?}"))),
        };
        let capture = capture.map(|samples| samples.as_array().iter().copied().collect());
        let sound = sound::Sound::clocked_in_channels(capture, channels, keep_playback, playback_channels);
        Ok(Self { sound: Mutex::new(sound), capture_channels: channels })
    }

    #[getter]
    fn capture_channels(&self) -> usize {
        self.capture_channels
    }

    #[getter]
    fn capture_callback_address(&self) -> PyResult<usize> {
        self.callbacks().map(|callbacks| callbacks.capture as usize)
    }

    #[getter]
    fn playback_callback_address(&self) -> PyResult<usize> {
        self.callbacks().map(|callbacks| callbacks.mono_playback as usize)
    }

    #[getter]
    fn stereo_playback_callback_address(&self) -> PyResult<usize> {
        self.callbacks().map(|callbacks| callbacks.stereo_playback as usize)
    }

    #[getter]
    fn playback_channels(&self) -> usize {
        self.lock().playback_channels()
    }

    #[getter]
    fn capture_callbacks(&self) -> PyResult<u64> {
        self.callback_counts().map(|(capture, _)| capture)
    }

    #[getter]
    fn playback_callbacks(&self) -> PyResult<u64> {
        self.callback_counts().map(|(_, playback)| playback)
    }

    fn read_playback<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyUntypedArray>> {
        let sound = self.lock();
        let (played, channels) = (sound.read_playback(), sound.playback_channels());
        drop(sound);
        let played = played.ok_or_else(|| PyValueError::new_err("a sound card's playback is not kept"))?;
        let frames = played.len() / channels;
        let played = PyArray1::from_vec(py, played);
        if channels == 1 {
            return Ok(played.as_untyped().clone());
        }
        Ok(played.reshape([frames, channels])?.as_untyped().clone())
    }

    #[getter]
    fn playback_dropped(&self) -> u64 {
        self.lock().playback_dropped()
    }

    #[getter]
    fn is_clocked(&self) -> bool {
        self.lock().is_clocked()
    }

    #[getter]
    fn capture_done(&self) -> bool {
        self.lock().capture_done()
    }
}

impl Sound {
    fn lock(&self) -> MutexGuard<'_, sound::Sound> {
        self.sound.lock().expect("never poisoned")
    }

    /// What an engine takes, until it closes.
    pub fn lend_end(&self) -> PyResult<LentEnd> {
        self.lock().lend_end().ok_or_else(|| PyValueError::new_err("this sound belongs to an engine already"))
    }

    fn callbacks(&self) -> PyResult<sound::DataCallbacks> {
        self.lock().callbacks().ok_or_else(no_callbacks)
    }

    fn callback_counts(&self) -> PyResult<(u64, u64)> {
        self.lock().callback_counts().ok_or_else(no_callbacks)
    }
}

fn no_callbacks() -> PyErr {
    PyValueError::new_err("a clocked sound has no callbacks")
}
