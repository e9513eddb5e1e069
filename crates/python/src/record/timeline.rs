//! `Timeline`, `Placed` and `PlacedBatch`.

use std::sync::{Arc, Mutex, MutexGuard};

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use raccall_record::{GRID_SAMPLES, LEAD_IN_SAMPLES, LOOK_AHEAD};

use super::batch::PacketBatch;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("TIMELINE_GRID_SAMPLES", GRID_SAMPLES)?;
    module.add("TIMELINE_LEAD_IN_SAMPLES", LEAD_IN_SAMPLES)?;
    module.add("TIMELINE_LOOK_AHEAD_NS", LOOK_AHEAD)?;
    module.add_class::<Timeline>()?;
    module.add_class::<Placed>()?;
    module.add_class::<PlacedBatch>()
}

#[pyclass(frozen)]
struct Timeline(Mutex<raccall_record::Timeline>);

#[pymethods]
impl Timeline {
    #[new]
    fn new(start_ns: u64) -> Self {
        Self(Mutex::new(raccall_record::Timeline::new(start_ns)))
    }

    #[pyo3(signature = (batch, indices = None))]
    fn push(&self, py: Python<'_>, batch: &PacketBatch, indices: Option<PyReadonlyArray1<'_, i64>>) -> PyResult<()> {
        let Some(indices) = indices else {
            py.detach(|| {
                let mut timeline = self.lock();
                batch.0.iter().for_each(|packet| timeline.push(packet));
            });
            return Ok(());
        };
        let indices = indices.as_array();
        py.detach(|| {
            let mut timeline = self.lock();
            for index in indices {
                let packet = usize::try_from(*index).ok().and_then(|index| batch.0.get(index));
                timeline.push(packet.ok_or("no packet of this index in the batch")?);
            }
            Ok(())
        })
        .map_err(|text: &str| PyIndexError::new_err(text))
    }

    fn begin_anew(&self) {
        self.lock().begin_anew();
    }

    fn pull(&self, py: Python<'_>, now_ns: u64) -> PlacedBatch {
        let mut placed = raccall_record::PlacedBatch::default();
        py.detach(|| self.lock().pull(now_ns, &mut placed));
        PlacedBatch(Arc::new(placed))
    }

    fn finish(&self, py: Python<'_>) -> PlacedBatch {
        let mut placed = raccall_record::PlacedBatch::default();
        py.detach(|| self.lock().finish(&mut placed));
        PlacedBatch(Arc::new(placed))
    }

    #[getter]
    fn end(&self) -> u64 {
        self.lock().end()
    }

    fn position_of(&self, now_ns: u64) -> i64 {
        self.lock().position_of(now_ns)
    }

    fn drift_ppm(&self) -> Option<f64> {
        self.lock().drift_ppm()
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = self.lock().counts();
        let dict = PyDict::new(py);
        for (name, value) in [
            ("placed", counts.placed),
            ("lost", counts.lost),
            ("duplicates", counts.duplicates),
            ("late", counts.late),
            ("malformed", counts.malformed),
            ("excess", counts.excess),
            ("overlapping", counts.overlapping),
            ("dropped_for_drift", counts.dropped_for_drift),
            ("sources", counts.sources),
            ("shifts_unlisted", counts.shifts_unlisted),
        ] {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }

    fn shifts(&self) -> Vec<(i64, i64, i64, &'static str)> {
        let timeline = self.lock();
        let shifts = timeline.shifts().iter();
        shifts.map(|shift| (shift.position, shift.samples, shift.left_out, shift.reason.name())).collect()
    }
}

impl Timeline {
    fn lock(&self) -> MutexGuard<'_, raccall_record::Timeline> {
        self.0.lock().expect("never poisoned")
    }
}

#[pyclass(frozen, get_all)]
struct Placed {
    position: u64,
    exact: f64,
    samples: u32,
    lost: u32,
    in_track: bool,
    payload: Py<PyBytes>,
}

#[pymethods]
impl Placed {
    #[new]
    #[pyo3(signature = (position, samples, payload, *, lost = 0, exact = None, in_track = true))]
    fn new(position: u64, samples: u32, payload: Py<PyBytes>, lost: u32, exact: Option<f64>, in_track: bool) -> Self {
        Self { position, exact: exact.unwrap_or(position as f64), samples, lost, in_track, payload }
    }

    fn __repr__(&self) -> String {
        let Self { position, exact, samples, lost, in_track, .. } = self;
        format!("Placed({position}, {samples}, lost={lost}, exact={exact}, in_track={in_track})")
    }
}

#[pyclass(frozen)]
pub struct PlacedBatch(pub Arc<raccall_record::PlacedBatch>);

#[pymethods]
impl PlacedBatch {
    #[new]
    fn new(py: Python<'_>, placed: Vec<Bound<'_, Placed>>) -> Self {
        let mut batch = raccall_record::PlacedBatch::default();
        for one in placed {
            let Placed { position, exact, samples, lost, in_track, ref payload } = *one.get();
            let payload = payload.as_bytes(py);
            batch.push(raccall_record::Placed { position, exact, samples, lost, in_track, payload });
        }
        Self(Arc::new(batch))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn position<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_iter(py, self.0.iter().map(|placed| placed.position as i64))
    }

    #[getter]
    fn exact<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_iter(py, self.0.iter().map(|placed| placed.exact))
    }

    #[getter]
    fn samples<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        PyArray1::from_iter(py, self.0.iter().map(|placed| placed.samples as i32))
    }

    #[getter]
    fn lost<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_iter(py, self.0.iter().map(|placed| i64::from(placed.lost)))
    }

    #[getter]
    fn in_track<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        PyArray1::from_iter(py, self.0.iter().map(|placed| placed.in_track))
    }

    fn payload<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.at(index)?.payload))
    }

    fn __getitem__(&self, py: Python<'_>, index: usize) -> PyResult<Placed> {
        let raccall_record::Placed { position, exact, samples, lost, in_track, payload } = self.at(index)?;
        let payload = PyBytes::new(py, payload).unbind();
        Ok(Placed { position, exact, samples, lost, in_track, payload })
    }
}

impl PlacedBatch {
    fn at(&self, index: usize) -> PyResult<raccall_record::Placed<'_>> {
        self.0.get(index).ok_or_else(|| PyIndexError::new_err("no packet of this index in the batch"))
    }
}
