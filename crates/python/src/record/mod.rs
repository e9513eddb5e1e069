//! A recording's packets: batches of them, the journal that holds them.

use pyo3::prelude::*;

pub mod batch;
mod journal;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    batch::register(module)?;
    journal::register(module)
}
