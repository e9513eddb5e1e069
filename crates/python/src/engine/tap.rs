//! `PacketTap`.

use std::time::Duration;

use pyo3::prelude::*;
use raccall_engine::tap::TapReader;
use raccall_record::{Batch, Received};

use crate::record::batch::PacketBatch;

#[pyclass(frozen)]
pub struct PacketTap(pub TapReader);

#[pymethods]
impl PacketTap {
    #[pyo3(signature = (timeout_ms, gather_ms = 0))]
    fn read(&self, py: Python<'_>, timeout_ms: u64, gather_ms: u64) -> Option<PacketBatch> {
        let (timeout, gather) = (Duration::from_millis(timeout_ms), Duration::from_millis(gather_ms));
        py.detach(|| {
            let mut received = Batch::default();
            for (record, rtp) in self.0.read(timeout, gather)?.packets() {
                received.push(Received {
                    arrival: record.arrival,
                    ssrc: record.ssrc,
                    sequence: record.extended_sequence,
                    timestamp: record.extended_timestamp,
                    rtp,
                });
            }
            Some(PacketBatch(received))
        })
    }

    #[getter]
    fn dropped(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.0.dropped())
    }
}
