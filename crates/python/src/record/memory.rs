//! Arrays whose memory is used again once nobody looks at them any more: fresh pages for each second of sound cost as
//! much as what is done with it.

use std::sync::{Arc, Mutex, PoisonError};

use numpy::PyArray2;
use numpy::ndarray::RawArrayViewMut;
use pyo3::prelude::*;

/// Kept for sound to come; what is given back beyond that is freed.
const MOST_SPARE: usize = 4;

#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Vec<f32>>>>);

impl Pool {
    /// Of an array that is gone, or none yet.
    pub fn memory(&self) -> Vec<f32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// An array of shape (frames, channels) that gives its memory back when the last who looks at it lets go.
    pub fn array<'py>(
        &self,
        py: Python<'py>,
        mut samples: Vec<f32>,
        channels: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let shape = (samples.len() / channels, channels);
        // SAFETY: `samples` holds as many; its memory stays where it is, and `Lent` holds it until the array is gone.
        let view = unsafe { RawArrayViewMut::from_shape_ptr(shape, samples.as_mut_ptr()).deref_into_view_mut() };
        let lent = Bound::new(py, Lent { samples, pool: self.clone() })?;
        // SAFETY: as above, and nobody else reads or writes that memory meanwhile.
        Ok(unsafe { PyArray2::borrow_from_array(&view, lent.into_any()) })
    }
}

/// Owns the memory of one array.
#[pyclass(frozen)]
struct Lent {
    samples: Vec<f32>,
    pool: Pool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut spare = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST_SPARE {
            spare.push(std::mem::take(&mut self.samples));
        }
    }
}
