//! `Processor` and `EchoReference`, and how processing's settings and numbers look in Python.

use std::sync::{Mutex, MutexGuard};

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArrayDyn};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use raccall_media::{Drift, NoiseSuppression, PULL_SAMPLES, ProcessReport, Processing, Samples};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Processor>()?;
    module.add_class::<EchoReference>()
}

#[pyclass(frozen)]
struct Processor(Mutex<raccall_media::Processor>);

#[pymethods]
impl Processor {
    #[new]
    #[pyo3(signature = (*, echo, noise, gain_control, gain_db, high_pass))]
    fn new(echo: bool, noise: &str, gain_control: bool, gain_db: f32, high_pass: bool) -> PyResult<Self> {
        let settings = to_processing(echo, noise, gain_control, gain_db, high_pass)?;
        Ok(Self(Mutex::new(raccall_media::Processor::new(&settings))))
    }

    #[pyo3(signature = (*, echo, noise, gain_control, gain_db, high_pass))]
    fn set(&self, echo: bool, noise: &str, gain_control: bool, gain_db: f32, high_pass: bool) -> PyResult<()> {
        self.lock().set(&to_processing(echo, noise, gain_control, gain_db, high_pass)?);
        Ok(())
    }

    fn reverse(&self, py: Python<'_>, frame: PyReadonlyArrayDyn<'_, f32>) -> PyResult<()> {
        let samples = to_samples(&frame)?;
        py.detach(|| self.lock().reverse(&samples));
        Ok(())
    }

    fn capture<'py>(
        &self,
        py: Python<'py>,
        frame: PyReadonlyArrayDyn<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let mut samples = to_samples(&frame)?;
        py.detach(|| self.lock().capture(&mut samples));
        PyArray1::from_slice(py, &samples).reshape([PULL_SAMPLES, 1])
    }

    fn reset(&self) {
        self.lock().reset();
    }

    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        report_to_dict(&self.lock().report(), &dict)?;
        Ok(dict)
    }
}

impl Processor {
    fn lock(&self) -> MutexGuard<'_, raccall_media::Processor> {
        self.0.lock().expect("processing does not panic")
    }
}

#[pyclass(frozen)]
#[derive(Default)]
struct EchoReference(Mutex<(raccall_media::EchoReference, Drift)>);

#[pymethods]
impl EchoReference {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn push(&self, samples: PyReadonlyArray1<'_, f32>) {
        let samples: Vec<f32> = samples.as_array().iter().copied().collect();
        self.lock().0.push(&samples);
    }

    fn take_clocks(&self, played: (u64, u64), captured: (u64, u64)) -> f64 {
        let (reference, drift) = &mut *self.lock();
        drift.take(played, captured);
        reference.set_drift_ppm(drift.ppm());
        drift.ppm()
    }

    fn pull<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let mut samples = [0.0; PULL_SAMPLES];
        self.lock().0.pull(&mut samples, 0);
        PyArray1::from_slice(py, &samples).reshape([PULL_SAMPLES, 1])
    }

    #[getter]
    fn jumps(&self) -> u64 {
        self.lock().0.jumps()
    }
}

impl EchoReference {
    fn lock(&self) -> MutexGuard<'_, (raccall_media::EchoReference, Drift)> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

pub fn to_processing(
    echo: bool,
    noise: &str,
    gain_control: bool,
    gain_db: f32,
    high_pass: bool,
) -> PyResult<Processing> {
    let noise = match noise {
        "off" => NoiseSuppression::Off,
        "light" => NoiseSuppression::Light,
        "neural" => NoiseSuppression::Neural,
        _ => return Err(PyValueError::new_err(format!("noise suppression is off, light or neural, not {noise:?}"))),
    };
    Ok(Processing { echo, noise, gain_control, gain_db, high_pass })
}

/// Adds the numbers to `dict`.
pub fn report_to_dict(report: &ProcessReport, dict: &Bound<'_, PyDict>) -> PyResult<()> {
    dict.set_item("erle_db", report.erle_db)?;
    dict.set_item("echo_delay_ms", report.echo_delay_ms)?;
    dict.set_item("noise_db", report.noise_db)?;
    dict.set_item("gain_db", report.gain_db)?;
    dict.set_item("voice_probability", report.voice_probability)?;
    dict.set_item("captured_db", report.captured_db)
}

fn to_samples(frame: &PyReadonlyArrayDyn<'_, f32>) -> PyResult<Samples> {
    let array = frame.as_array();
    if !matches!(array.shape(), [PULL_SAMPLES] | [PULL_SAMPLES, 1]) {
        let shape = array.shape();
        return Err(PyValueError::new_err(format!("10 ms have the shape ({PULL_SAMPLES}, 1), these {shape:?}")));
    }
    let mut samples = [0.0; PULL_SAMPLES];
    match array.as_slice() {
        Some(together) => samples.copy_from_slice(together),
        None => samples.iter_mut().zip(array.iter()).for_each(|(to, from)| *to = *from),
    }
    Ok(samples)
}
