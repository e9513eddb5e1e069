use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use raccall_relay::{
    Command, Counters, Endpoint, MAX_THREADS, Options, Outbox, SPEAKERS_AT_ONCE, SessionStats, Share, Stopped, Table,
};
use raccall_wire::transport::RELAY_SPACE;

use crate::named::{to_key, to_mode};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Relay>()?;
    module.add_class::<RelayCore>()
}

type Address = (String, u16);

#[pyclass(frozen, module = "raccall._native")]
struct Relay(raccall_relay::Relay);

#[pymethods]
impl Relay {
    #[new]
    #[pyo3(signature = (bind, *, receive_buffer_bytes = 8 << 20, threads = 1, speakers_at_once = SPEAKERS_AT_ONCE, portable = false, limited = true, nonce_space = RELAY_SPACE))]
    #[allow(clippy::too_many_arguments)] // keywords, in Python
    fn new(
        py: Python<'_>,
        bind: Vec<Address>,
        receive_buffer_bytes: usize,
        threads: usize,
        speakers_at_once: usize,
        portable: bool,
        limited: bool,
        nonce_space: u32,
    ) -> PyResult<Self> {
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(PyValueError::new_err(format!("a relay has 1 to {MAX_THREADS} threads, not {threads}")));
        }
        check_speakers(speakers_at_once)?;
        let bind = bind.iter().map(parse_address).collect::<PyResult<Vec<_>>>()?;
        let options = Options { receive_buffer_bytes, threads, speakers_at_once, portable, limited, nonce_space };
        py.detach(|| raccall_relay::Relay::start(&bind, options)).map(Self).map_err(os_error)
    }

    #[getter]
    fn addresses(&self) -> Vec<Address> {
        self.0.local_addresses().iter().map(write_address).collect()
    }

    #[getter]
    fn receive_buffer_bytes(&self) -> usize {
        self.0.receive_buffer_bytes()
    }

    #[getter]
    fn threads(&self) -> usize {
        self.0.threads()
    }

    fn add_session(&self, session_id: u64, ssrc: u32, mode: &str, key: &[u8]) -> PyResult<()> {
        self.command(add_session(session_id, ssrc, mode, key)?)
    }

    fn remove_session(&self, session_id: u64) -> PyResult<()> {
        self.command(Command::RemoveSession { id: session_id })
    }

    fn set_room(&self, session_id: u64, room_id: u64, hears_all: bool) -> PyResult<()> {
        self.command(Command::SetRoom { id: session_id, room: room_id, hears_all })
    }

    fn set_silenced(&self, session_id: u64, silenced: bool) -> PyResult<()> {
        self.command(Command::SetSilenced { id: session_id, silenced })
    }

    fn set_route(&self, session_id: u64, destinations: Vec<u64>) -> PyResult<()> {
        self.command(Command::SetRoute { id: session_id, destinations })
    }

    #[pyo3(signature = (session_id, address, *, proven))]
    fn set_address(&self, session_id: u64, address: Address, proven: bool) -> PyResult<()> {
        self.command(Command::SetAddress { id: session_id, address: parse_address(&address)?, proven })
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        counters(py, &self.0.counters())
    }

    fn latency(&self) -> (Vec<(f64, u64)>, u64, f64) {
        let counters = self.0.counters();
        let counts = counters.latency().counts();
        let bounds = raccall_relay::BOUNDS_NS.iter().map(|bound| *bound as f64 / 1e9);
        let (known, [longer]) = counts.split_at(counts.len() - 1) else {
            unreachable!("one more than there are bounds")
        };
        (bounds.zip(known.iter().copied()).collect(), *longer, counters.latency().sum_ns() as f64 / 1e9)
    }

    fn session_stats<'py>(&self, py: Python<'py>, session_id: u64) -> PyResult<Option<Bound<'py, PyDict>>> {
        let stats = py.detach(|| self.0.session_stats(session_id)).map_err(stopped)?;
        stats.map(|stats| session_stats(py, stats)).transpose()
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}

impl Relay {
    /// Without letting go of the GIL: it takes microseconds, and who waits for the GIL would keep it for milliseconds.
    fn command(&self, command: Command) -> PyResult<()> {
        self.0.command(command).map_err(stopped)
    }
}

#[pyclass(module = "raccall._native")]
struct RelayCore {
    table: Table,
    outbox: Outbox,
}

#[pymethods]
impl RelayCore {
    #[new]
    #[pyo3(signature = (*, speakers_at_once = SPEAKERS_AT_ONCE, nonce_space = RELAY_SPACE))]
    fn new(speakers_at_once: usize, nonce_space: u32) -> PyResult<Self> {
        check_speakers(speakers_at_once)?;
        let share = Share { nonces: nonce_space, ..Share::default() };
        let table = Table::new(Arc::default(), share).with_speakers_at_once(speakers_at_once);
        Ok(Self { table, outbox: Outbox::new() })
    }

    fn add_session(&mut self, session_id: u64, ssrc: u32, mode: &str, key: &[u8]) -> PyResult<()> {
        self.table.apply(add_session(session_id, ssrc, mode, key)?);
        Ok(())
    }

    fn remove_session(&mut self, session_id: u64) {
        self.table.apply(Command::RemoveSession { id: session_id });
    }

    fn set_room(&mut self, session_id: u64, room_id: u64, hears_all: bool) {
        self.table.apply(Command::SetRoom { id: session_id, room: room_id, hears_all });
    }

    fn set_silenced(&mut self, session_id: u64, silenced: bool) {
        self.table.apply(Command::SetSilenced { id: session_id, silenced });
    }

    fn set_route(&mut self, session_id: u64, destinations: Vec<u64>) {
        self.table.apply(Command::SetRoute { id: session_id, destinations });
    }

    #[pyo3(signature = (session_id, address, *, proven))]
    fn set_address(&mut self, session_id: u64, address: Address, proven: bool) -> PyResult<()> {
        self.table.apply(Command::SetAddress { id: session_id, address: parse_address(&address)?, proven });
        Ok(())
    }

    fn forward<'py>(
        &mut self,
        py: Python<'py>,
        now: u64,
        datagram: &[u8],
        address: Address,
    ) -> PyResult<Vec<(Bound<'py, PyBytes>, Address)>> {
        let from = Endpoint::from(parse_address(&address)?);
        self.outbox.clear();
        raccall_relay::forward(now, datagram, from, &mut self.table, &mut self.outbox);
        Ok(self.outbox.iter().map(|(bytes, to)| (PyBytes::new(py, bytes), write_address(&to.address))).collect())
    }

    fn alarm<'py>(&mut self, py: Python<'py>, now: u64) -> Vec<(Bound<'py, PyBytes>, Address)> {
        self.outbox.clear();
        raccall_relay::alarm(now, &mut self.table, &mut self.outbox);
        self.outbox.iter().map(|(bytes, to)| (PyBytes::new(py, bytes), write_address(&to.address))).collect()
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        counters(py, self.table.counters())
    }

    fn session_stats<'py>(&self, py: Python<'py>, session_id: u64) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.table.session_stats(session_id).map(|stats| session_stats(py, stats)).transpose()
    }
}

fn add_session(id: u64, ssrc: u32, mode: &str, key: &[u8]) -> PyResult<Command> {
    Ok(Command::AddSession { id, ssrc, mode: to_mode(mode)?, key: to_key(key)? })
}

fn check_speakers(speakers_at_once: usize) -> PyResult<()> {
    if speakers_at_once == 0 {
        return Err(PyValueError::new_err("at least one speaker must be heard, not 0"));
    }
    Ok(())
}

fn parse_address((host, port): &Address) -> PyResult<SocketAddr> {
    let ip: IpAddr = host.parse().map_err(|_| PyValueError::new_err(format!("no IP address: {host:?}")))?;
    Ok(SocketAddr::new(ip, *port))
}

fn write_address(address: &SocketAddr) -> Address {
    (address.ip().to_string(), address.port())
}

fn counters<'py>(py: Python<'py>, counters: &Counters) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, count) in counters.all() {
        dict.set_item(name, count)?;
    }
    Ok(dict)
}

fn session_stats(py: Python<'_>, stats: SessionStats) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in stats.fields() {
        dict.set_item(name, value)?;
    }
    Ok(dict)
}

fn stopped(error: Stopped) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// With the system's number, so that Python picks the subclass and `errno` is set.
fn os_error(error: std::io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, error.to_string())),
        None => PyOSError::new_err(error.to_string()),
    }
}
