//! `Engine`, and what it takes and gives: `Sound`, `SharedSound`, `PacketTap`.

mod shared_sound;
mod sound;
pub mod stats;
mod tap;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use pyo3::exceptions::{PyConnectionError, PyOSError, PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use raccall_engine::{Command, EngineError, Route, Session};

use self::shared_sound::SharedSound;
use self::sound::Sound;
use self::stats::stats_to_dict;
use self::tap::PacketTap;
use crate::e2ee::EpochKeys;
use crate::named::{to_encryption, to_gate_mode, to_key, to_mode};
use crate::process::to_processing;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()?;
    module.add_class::<PacketTap>()?;
    module.add_class::<SharedSound>()?;
    module.add_class::<Sound>()
}

#[pyclass(frozen)]
struct Engine(raccall_engine::Engine);

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (address, *, receive_buffer_bytes = 4 << 20))]
    fn new(py: Python<'_>, address: (String, u16), receive_buffer_bytes: usize) -> PyResult<Self> {
        py.detach(|| {
            let first = (address.0.as_str(), address.1).to_socket_addrs()?.next();
            let address = first.ok_or_else(|| PyConnectionError::new_err(format!("{} has no address", address.0)))?;
            Ok(Self(raccall_engine::Engine::connect(address, receive_buffer_bytes)?))
        })
    }

    #[getter]
    fn local_address(&self) -> (String, u16) {
        let address = self.0.local_address();
        (address.ip().to_string(), address.port())
    }

    fn open_tunnel(&self, py: Python<'_>, carrier: (String, u16)) -> PyResult<(String, u16)> {
        let ip: IpAddr =
            carrier.0.parse().map_err(|_| PyValueError::new_err(format!("no IP address: {:?}", carrier.0)))?;
        let own = py.detach(|| self.0.open_tunnel(SocketAddr::new(ip, carrier.1))).map_err(to_python)?;
        Ok((own.ip().to_string(), own.port()))
    }

    #[pyo3(signature = (ssrc, timeout_ms = 3000, *, tunnel = false))]
    fn discover(&self, py: Python<'_>, ssrc: u32, timeout_ms: u64, tunnel: bool) -> PyResult<(String, u16)> {
        let by = if tunnel { Route::Tunnel } else { Route::Udp };
        let timeout = Duration::from_millis(timeout_ms);
        let found = py.detach(|| self.0.discover(ssrc, timeout, by)).map_err(to_python)?;
        Ok((found.ip().to_string(), found.port()))
    }

    #[pyo3(signature = (
        *, ssrc, mode, key, sound, bitrate_bps = 32000, complexity = 9, expected_loss_pct = 10, deep_plc = true,
        dred_ms = 0, dtx = false, music = false, muted = false, encryption = "off"
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of one Python call")]
    fn start(
        &self,
        py: Python<'_>,
        ssrc: u32,
        mode: &str,
        key: &[u8],
        sound: Option<&Sound>,
        bitrate_bps: i32,
        complexity: u8,
        expected_loss_pct: u8,
        deep_plc: bool,
        dred_ms: u16,
        dtx: bool,
        music: bool,
        muted: bool,
        encryption: &str,
    ) -> PyResult<()> {
        let (mode, key, encryption) = (to_mode(mode)?, to_key(key)?, to_encryption(encryption)?);
        let session = Session {
            ssrc,
            mode,
            key,
            bitrate_bps,
            complexity,
            expected_loss_pct,
            deep_plc,
            dred_ms,
            dtx,
            music,
            muted,
            encryption,
        };
        let end = sound.map(Sound::lend_end).transpose()?;
        py.detach(|| self.0.start(session, end)).map_err(to_python)
    }

    fn rekey(&self, py: Python<'_>, mode: &str, key: &[u8]) -> PyResult<()> {
        let (mode, key) = (to_mode(mode)?, to_key(key)?);
        self.command(py, Command::Rekey { mode, key })
    }

    fn set_muted(&self, py: Python<'_>, muted: bool) -> PyResult<()> {
        self.command(py, Command::SetMuted(muted))
    }

    fn set_deafened(&self, py: Python<'_>, deafened: bool) -> PyResult<()> {
        self.command(py, Command::SetDeafened(deafened))
    }

    #[pyo3(signature = (*, echo, noise, gain_control, gain_db, high_pass))]
    fn set_processing(
        &self,
        py: Python<'_>,
        echo: bool,
        noise: &str,
        gain_control: bool,
        gain_db: f32,
        high_pass: bool,
    ) -> PyResult<()> {
        let processing = to_processing(echo, noise, gain_control, gain_db, high_pass)?;
        self.command(py, Command::SetProcessing(processing))
    }

    fn set_gain_db(&self, py: Python<'_>, ssrc: u32, gain_db: f32) -> PyResult<()> {
        self.command(py, Command::SetGain { ssrc, gain_db })
    }

    fn set_gate_mode(&self, py: Python<'_>, mode: &str) -> PyResult<()> {
        let mode = to_gate_mode(mode)?;
        self.command(py, Command::SetGateMode(mode))
    }

    fn set_pressed(&self, py: Python<'_>, pressed: bool) -> PyResult<()> {
        self.command(py, Command::SetPressed(pressed))
    }

    fn play(&self, py: Python<'_>, sound: &SharedSound) -> PyResult<()> {
        let end = sound.take_end()?;
        py.detach(|| self.0.play(end)).map_err(to_python)
    }

    fn set_encryption(&self, py: Python<'_>, mode: &str) -> PyResult<()> {
        let mode = to_encryption(mode)?;
        self.command(py, Command::SetEncryption(mode))
    }

    fn add_keys(&self, py: Python<'_>, keys: &EpochKeys) -> PyResult<()> {
        self.command(py, Command::AddKeys(keys.0.clone()))
    }

    fn use_keys(&self, py: Python<'_>, keys: &EpochKeys) -> PyResult<()> {
        self.command(py, Command::UseKeys(keys.0.clone()))
    }

    fn set_owner(&self, py: Python<'_>, ssrc: u32, user_id: u64) -> PyResult<()> {
        self.command(py, Command::SetOwner { ssrc, user_id })
    }

    #[pyo3(signature = (capacity_packets = 16384))]
    fn open_tap(&self, py: Python<'_>, capacity_packets: usize) -> PyResult<PacketTap> {
        py.detach(|| self.0.open_tap(capacity_packets)).map(PacketTap).map_err(to_python)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats_to_dict(py, &self.0.stats(), self.0.receive_buffer_bytes())
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

impl Engine {
    fn command(&self, py: Python<'_>, command: Command) -> PyResult<()> {
        py.detach(|| self.0.command(command)).map_err(to_python)
    }
}

fn to_python(error: EngineError) -> PyErr {
    match error {
        EngineError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            PyTimeoutError::new_err("the server's media port does not answer (UDP may be blocked)")
        }
        EngineError::Io(error) => PyOSError::new_err(error),
        EngineError::Media(error) => PyValueError::new_err(error.to_string()),
        error => PyRuntimeError::new_err(error.to_string()),
    }
}
