//! `SharedSound`.

use std::sync::Mutex;

use numpy::{PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use raccall_engine::share::{self, End, Feed, shared_sound};
use raccall_media::GAIN_RANGE_DB;

#[pyclass(frozen)]
pub struct SharedSound {
    feed: Feed,
    /// Until an engine has it.
    end: Mutex<Option<share::SharedSound>>,
}

#[pymethods]
impl SharedSound {
    #[new]
    #[pyo3(signature = (*, gain_db = 0.0, monitored = false))]
    fn new(gain_db: f32, monitored: bool) -> PyResult<Self> {
        let (least, most) = GAIN_RANGE_DB;
        if !(least..=most).contains(&gain_db) {
            return Err(PyValueError::new_err(format!("a gain is from {least} to {most} dB, not {gain_db}")));
        }
        let (feed, end) = shared_sound(gain_db, monitored);
        Ok(Self { feed, end: Mutex::new(Some(end)) })
    }

    fn write(&self, samples: PyReadonlyArray2<'_, f32>) -> PyResult<usize> {
        match (samples.shape(), samples.as_slice()) {
            ([_, 2], Ok(samples)) => Ok(self.feed.write(samples) / 2),
            (shape, _) => Err(PyValueError::new_err(format!("samples are (n, 2), in one piece; these are {shape:?}"))),
        }
    }

    fn complete(&self) {
        self.feed.complete();
    }

    fn stop(&self) {
        self.feed.stop();
    }

    #[getter]
    fn position_s(&self) -> f64 {
        self.feed.position_s()
    }

    #[getter]
    fn ended(&self) -> Option<&'static str> {
        self.feed.end().map(End::name)
    }
}

impl SharedSound {
    /// What an engine takes; once.
    pub fn take_end(&self) -> PyResult<share::SharedSound> {
        let end = self.end.lock().expect("never poisoned").take();
        end.ok_or_else(|| PyValueError::new_err("this sound was played already"))
    }
}
