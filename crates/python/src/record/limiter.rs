//! `Limiter`.

use std::sync::{Mutex, PoisonError};

use numpy::{Element, PyArray2, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use raccall_record::{CEILING, Sample};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("LIMITER_CEILING", CEILING)?;
    module.add_class::<Limiter>()
}

#[pyclass(frozen)]
struct Limiter {
    limiter: Mutex<raccall_record::Limiter>,
    channels: usize,
}

#[pymethods]
impl Limiter {
    #[new]
    #[pyo3(signature = (channels, *, gain = 1.0))]
    fn new(channels: usize, gain: f32) -> PyResult<Self> {
        if !(1..=2).contains(&channels) {
            return Err(PyValueError::new_err("one or two channels are limited"));
        }
        Ok(Self { limiter: Mutex::new(raccall_record::Limiter::new(channels, gain)), channels })
    }

    fn push<'py>(&self, py: Python<'py>, frames: PyReadonlyArray2<'py, f32>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.run(py, Some(&frames))
    }

    fn push_int16<'py>(
        &self,
        py: Python<'py>,
        frames: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<i16>>> {
        self.run(py, Some(&frames))
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.run(py, None)
    }

    fn finish_int16<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<i16>>> {
        self.run(py, None)
    }
}

impl Limiter {
    fn run<'py, S: Sample + Element>(
        &self,
        py: Python<'py>,
        frames: Option<&PyReadonlyArray2<'py, f32>>,
    ) -> PyResult<Bound<'py, PyArray2<S>>> {
        let mut out = Vec::new();
        match frames {
            Some(frames) => {
                if frames.shape()[1] != self.channels {
                    return Err(PyValueError::new_err(format!("frames must have the shape (n, {})", self.channels)));
                }
                match frames.as_slice() {
                    Ok(samples) => py.detach(|| self.lock().push(samples, &mut out)),
                    Err(_) => self.lock().push(&frames.as_array().iter().copied().collect::<Vec<f32>>(), &mut out),
                }
            }
            None => self.lock().finish(&mut out),
        }
        let array = numpy::ndarray::Array2::from_shape_vec((out.len() / self.channels, self.channels), out);
        Ok(PyArray2::from_owned_array(py, array.expect("whole frames")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, raccall_record::Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
