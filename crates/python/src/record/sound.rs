//! `SpeakerSound`.

use std::sync::{Mutex, MutexGuard};

use numpy::PyArray2;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::timeline::PlacedBatch;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SpeakerSound>()
}

#[pyclass(frozen)]
struct SpeakerSound(Mutex<raccall_record::SpeakerSound>);

#[pymethods]
impl SpeakerSound {
    #[new]
    #[pyo3(signature = (channels, *, gain = 1.0, begin = 0))]
    fn new(channels: u8, gain: f32, begin: u64) -> PyResult<Self> {
        let sound = raccall_record::SpeakerSound::new(channels, gain, begin);
        sound.map(|sound| Self(Mutex::new(sound))).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    fn pull<'py>(
        &self,
        py: Python<'py>,
        placed: Vec<PyRef<'py, PlacedBatch>>,
        end: u64,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let placed: Vec<&raccall_record::PlacedBatch> = placed.iter().map(|batch| &batch.0).collect();
        let (channels, samples) = py.detach(|| {
            let mut sound = self.lock();
            for packet in placed.iter().flat_map(|batch| batch.iter()) {
                sound.push(&packet);
            }
            (sound.channels(), sound.pull(end))
        });
        let shape = (samples.len() / channels, channels);
        let array = numpy::ndarray::Array2::from_shape_vec(shape, samples).expect("as many samples as the shape says");
        Ok(PyArray2::from_owned_array(py, array))
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
        self.0.lock().expect("never poisoned")
    }
}
