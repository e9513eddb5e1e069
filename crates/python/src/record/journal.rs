//! `JournalBlocks` and `JournalScan`.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use raccall_record::journal::{FORMAT, Scan, ScanError, TimeBase, write_head, write_packet};

use super::batch::PacketBatch;

create_exception!(_native, JournalError, PyValueError);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("JOURNAL_FORMAT", FORMAT)?;
    module.add("JournalError", module.py().get_type::<JournalError>())?;
    module.add_class::<JournalBlocks>()?;
    module.add_class::<JournalScan>()
}

#[pyclass(frozen)]
struct JournalBlocks {
    base: TimeBase,
    number: AtomicU32,
}

#[pymethods]
impl JournalBlocks {
    #[new]
    fn new(monotonic_ns: u64, wall_ns: u64) -> Self {
        Self { base: TimeBase { monotonic: monotonic_ns, wall_ns }, number: AtomicU32::new(0) }
    }

    fn head<'py>(&self, py: Python<'py>, application: &str) -> Bound<'py, PyBytes> {
        let mut out = Vec::new();
        write_head(application, self.base, &mut out);
        PyBytes::new(py, &out)
    }

    fn packets<'py>(&self, py: Python<'py>, batch: &PacketBatch) -> Bound<'py, PyBytes> {
        let first = self.number.fetch_add(batch.0.len() as u32, Ordering::Relaxed);
        let mut out = Vec::new();
        for (packet, index) in batch.0.iter().zip(0..) {
            write_packet(first.wrapping_add(index), self.base.wall_of(packet.arrival), packet.rtp, &mut out);
        }
        PyBytes::new(py, &out)
    }
}

#[pyclass(frozen)]
struct JournalScan(Mutex<Scan<File>>);

#[pymethods]
impl JournalScan {
    #[new]
    #[pyo3(signature = (path, *, base = None, span_ns = 1_000_000_000))]
    fn new(path: PathBuf, base: Option<(u64, u64)>, span_ns: u64) -> PyResult<Self> {
        let base = base.map(|(monotonic, wall_ns)| TimeBase { monotonic, wall_ns });
        Ok(Self(Mutex::new(Scan::new(File::open(path)?, base, span_ns))))
    }

    fn read(&self, py: Python<'_>) -> PyResult<Option<PacketBatch>> {
        let batch = py.detach(|| self.lock().read()).map_err(to_python)?;
        Ok(batch.map(PacketBatch))
    }

    #[getter]
    fn base(&self) -> Option<(u64, u64)> {
        self.lock().base().map(|base| (base.monotonic, base.wall_ns))
    }

    #[getter]
    fn format(&self) -> Option<u32> {
        self.lock().format()
    }

    #[getter]
    fn places(&self) -> u64 {
        self.lock().damage().places
    }

    #[getter]
    fn lost_bytes(&self) -> u64 {
        self.lock().damage().lost_bytes
    }

    #[getter]
    fn unreadable(&self) -> u64 {
        self.lock().damage().unreadable
    }

    #[getter]
    fn missing(&self) -> u64 {
        self.lock().damage().missing
    }
}

impl JournalScan {
    fn lock(&self) -> std::sync::MutexGuard<'_, Scan<File>> {
        self.0.lock().expect("never poisoned")
    }
}

fn to_python(error: ScanError) -> PyErr {
    match error {
        ScanError::Io(error) => PyOSError::new_err(error),
        ScanError::TooNew { .. } => JournalError::new_err("too_new"),
        ScanError::Foreign => JournalError::new_err("foreign"),
    }
}
