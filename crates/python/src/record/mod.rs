//! A recording's packets and samples: batches of packets, the journal that holds them, their places, their sound, how loud
//! it is, and what keeps it from clipping.

use pyo3::prelude::*;

pub mod batch;
mod journal;
mod limiter;
mod loudness;
mod memory;
mod sound;
pub mod timeline;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    batch::register(module)?;
    journal::register(module)?;
    limiter::register(module)?;
    loudness::register(module)?;
    timeline::register(module)?;
    sound::register(module)
}
