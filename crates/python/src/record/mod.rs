//! A recording's packets: batches of them, the journal that holds them, and their places.

use pyo3::prelude::*;

pub mod batch;
mod journal;
pub mod timeline;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    batch::register(module)?;
    journal::register(module)?;
    timeline::register(module)
}
