//! `raccall._native`: one file per exposed concept. It converts, releases the GIL and maps errors; no logic.

use pyo3::prelude::*;

mod e2ee;
mod engine;
mod media;
mod named;
mod opus;
mod process;
mod record;
mod relay;
mod wire;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    wire::register(module)?;
    opus::register(module)?;
    e2ee::register(module)?;
    media::register(module)?;
    process::register(module)?;
    relay::register(module)?;
    engine::register(module)?;
    record::register(module)?;
    Ok(())
}
