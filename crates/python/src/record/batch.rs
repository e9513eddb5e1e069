//! `PacketBatch`.

use std::collections::HashMap;

use numpy::PyArray1;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use raccall_record::{Batch, Received};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PacketBatch>()
}

/// arrival, ssrc, extended_sequence, extended_timestamp, rtp_packet.
type Packet<'py> = (u64, u32, u64, u64, Bound<'py, PyBytes>);

#[pyclass(frozen)]
pub struct PacketBatch(pub Batch);

#[pymethods]
impl PacketBatch {
    #[new]
    fn new(packets: Vec<Packet<'_>>) -> Self {
        let mut batch = Batch::default();
        for (arrival, ssrc, sequence, timestamp, rtp) in &packets {
            let (arrival, ssrc, sequence, timestamp) = (*arrival, *ssrc, *sequence, *timestamp);
            batch.push(Received { arrival, ssrc, sequence, timestamp, rtp: rtp.as_bytes() });
        }
        Self(batch)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn rtp_bytes(&self) -> usize {
        self.0.bytes()
    }

    #[getter]
    fn arrival<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_iter(py, self.0.iter().map(|packet| packet.arrival as i64))
    }

    #[getter]
    fn ssrc<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        PyArray1::from_iter(py, self.0.iter().map(|packet| packet.ssrc))
    }

    #[getter]
    fn sequence<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_iter(py, self.0.iter().map(|packet| packet.sequence as i64))
    }

    #[getter]
    fn timestamp<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_iter(py, self.0.iter().map(|packet| packet.timestamp as i64))
    }

    #[getter]
    fn toc<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i16>> {
        PyArray1::from_iter(py, self.0.iter().map(|packet| packet.payload().first().map_or(-1, |toc| i16::from(*toc))))
    }

    fn rtp<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.at(index)?.rtp))
    }

    fn payload<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.at(index)?.payload()))
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Packet<'py>> {
        let index = if index < 0 { index.saturating_add_unsigned(self.0.len()) } else { index };
        let Received { arrival, ssrc, sequence, timestamp, rtp } = self.at(index.try_into().unwrap_or(usize::MAX))?;
        Ok((arrival, ssrc, sequence, timestamp, PyBytes::new(py, rtp)))
    }

    fn newest_arrivals(&self) -> HashMap<u32, u64> {
        self.0.iter().map(|packet| (packet.ssrc, packet.arrival)).collect()
    }

    fn by_source<'py>(&self, py: Python<'py>) -> Vec<(u32, Bound<'py, PyArray1<i64>>)> {
        let found = self.0.by_source().into_iter();
        found
            .map(|(ssrc, indices)| (ssrc, PyArray1::from_iter(py, indices.into_iter().map(|index| index as i64))))
            .collect()
    }

    fn select(&self, indices: Vec<usize>) -> PyResult<Self> {
        let mut batch = Batch::default();
        for index in indices {
            batch.push(self.at(index)?);
        }
        Ok(Self(batch))
    }
}

impl PacketBatch {
    fn at(&self, index: usize) -> PyResult<Received<'_>> {
        self.0.get(index).ok_or_else(|| PyIndexError::new_err("no packet of this index in the batch"))
    }
}
