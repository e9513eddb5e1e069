//! A recording's packets and samples: batches of packets, the journal that holds them, their places, how loud they sound.

use pyo3::prelude::*;

pub mod batch;
mod journal;
mod loudness;
pub mod timeline;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    batch::register(module)?;
    journal::register(module)?;
    loudness::register(module)?;
    timeline::register(module)
}
