//! What Python says by names and bytes, and Rust by types. All raise ValueError.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use raccall_media::{Encryption, GateMode};
use raccall_wire::transport::Mode;

pub fn to_mode(name: &str) -> PyResult<Mode> {
    Mode::from_wire_name(name).ok_or_else(|| PyValueError::new_err(format!("unknown transport mode {name:?}")))
}

pub fn to_key(key: &[u8]) -> PyResult<[u8; 32]> {
    key.try_into().map_err(|_| PyValueError::new_err(format!("a key has 32 bytes, this one {}", key.len())))
}

pub fn to_encryption(name: &str) -> PyResult<Encryption> {
    match name {
        "off" => Ok(Encryption::Off),
        "either" => Ok(Encryption::Either),
        "on" => Ok(Encryption::On),
        _ => Err(PyValueError::new_err(format!("encryption is off, either or on, not {name:?}"))),
    }
}

pub fn to_gate_mode(name: &str) -> PyResult<GateMode> {
    match name {
        "open" => Ok(GateMode::Open),
        "voice" => Ok(GateMode::Voice),
        "ptt" => Ok(GateMode::PushToTalk),
        _ => Err(PyValueError::new_err(format!("a microphone is open, voice or ptt, not {name:?}"))),
    }
}
