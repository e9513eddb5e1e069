//! `LoudnessMeter`.

use std::sync::{Mutex, PoisonError};

use numpy::{PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LoudnessMeter>()
}

#[pyclass(frozen)]
struct LoudnessMeter {
    meter: Mutex<raccall_record::LoudnessMeter>,
    channels: usize,
}

#[pymethods]
impl LoudnessMeter {
    #[new]
    fn new(channels: u32) -> PyResult<Self> {
        let meter = raccall_record::LoudnessMeter::new(channels);
        let meter = meter.ok_or_else(|| PyValueError::new_err("one or two channels are measured"))?;
        Ok(Self { meter: Mutex::new(meter), channels: channels as usize })
    }

    fn add(&self, py: Python<'_>, frames: PyReadonlyArray2<'_, f32>) -> PyResult<()> {
        if frames.shape()[1] != self.channels {
            return Err(PyValueError::new_err(format!("frames must have the shape (n, {})", self.channels)));
        }
        // A copy: the array may be strided, and may be written to while the GIL is released.
        let samples: Vec<f32> = frames.as_array().iter().copied().collect();
        py.detach(|| self.meter.lock().unwrap_or_else(PoisonError::into_inner).add(&samples));
        Ok(())
    }

    #[getter]
    fn lufs(&self) -> f64 {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).lufs()
    }
}
