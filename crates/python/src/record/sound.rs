//! `SpeakerSound` and `Mixer`.

use std::sync::{Arc, Mutex, MutexGuard};

use numpy::{PyArray2, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use raccall_record::Voice;

use super::memory::Pool;
use super::timeline::PlacedBatch;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SpeakerSound>()?;
    module.add_class::<Mixer>()
}

#[pyclass(frozen)]
struct SpeakerSound {
    sound: Mutex<raccall_record::SpeakerSound>,
    pool: Pool,
}

#[pymethods]
impl SpeakerSound {
    #[new]
    #[pyo3(signature = (channels, *, gain = 1.0, begin = 0))]
    fn new(channels: u8, gain: f32, begin: u64) -> PyResult<Self> {
        let sound = raccall_record::SpeakerSound::new(channels, gain, begin);
        let sound = sound.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self { sound: Mutex::new(sound), pool: Pool::default() })
    }

    fn pull<'py>(
        &self,
        py: Python<'py>,
        placed: Vec<PyRef<'py, PlacedBatch>>,
        end: u64,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let placed: Vec<Arc<raccall_record::PlacedBatch>> = placed.iter().map(|batch| Arc::clone(&batch.0)).collect();
        let (channels, samples) = py.detach(|| {
            let mut sound = self.lock();
            placed.iter().for_each(|batch| sound.push(batch));
            (sound.channels(), sound.pull(end, self.pool.memory()))
        });
        self.pool.array(py, samples, channels)
    }

    #[getter]
    fn concealed_samples(&self) -> u64 {
        self.lock().counts().concealed
    }

    #[getter]
    fn recovered_samples(&self) -> u64 {
        self.lock().counts().recovered
    }

    #[getter]
    fn refused_packets(&self) -> u64 {
        self.lock().counts().refused
    }
}

impl SpeakerSound {
    fn lock(&self) -> MutexGuard<'_, raccall_record::SpeakerSound> {
        self.sound.lock().expect("never poisoned")
    }
}

#[pyclass(frozen)]
struct Mixer {
    channels: usize,
    pool: Pool,
}

#[pymethods]
impl Mixer {
    #[new]
    fn new(channels: usize) -> PyResult<Self> {
        if !(1..=2).contains(&channels) {
            return Err(PyValueError::new_err("a mix has one or two channels"));
        }
        Ok(Self { channels, pool: Pool::default() })
    }

    fn mix<'py>(
        &self,
        py: Python<'py>,
        voices: Vec<PyReadonlyArray2<'py, f32>>,
        frames: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let voices = voices.iter().map(|voice| self.voice(voice, frames)).collect::<PyResult<Vec<_>>>()?;
        let samples = py.detach(|| raccall_record::mix(&voices, self.channels, frames, self.pool.memory()));
        self.pool.array(py, samples, self.channels)
    }
}

impl Mixer {
    fn voice<'a>(&self, frames: &'a PyReadonlyArray2<'_, f32>, length: usize) -> PyResult<Voice<'a>> {
        let channels = frames.shape()[1];
        match frames.as_slice() {
            Ok(samples) if frames.shape()[0] == length && (channels == 1 || channels == self.channels) => {
                Ok(Voice { samples, channels })
            }
            _ => {
                Err(PyValueError::new_err("a voice is as long as the mix, contiguous, and has one channel or as many"))
            }
        }
    }
}
