use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use raccall_wire::rtcp::{self, ReportBlock, Rtcp};
use raccall_wire::rtp::{self, Extension, Packet};
use raccall_wire::transport::{self, Mode};
use raccall_wire::{ParseError, discovery};

create_exception!(raccall._native, WireError, PyValueError);

type PacketFields<'a> = (bool, u8, u16, u32, u32, &'a [u8], Option<(u16, &'a [u8])>, &'a [u8], u8);
type BlockFields = (u32, u8, i32, u32, u32, u32, u32);
type InfoFields = (u64, u32, u32, u32);
type ReportFields = (u32, Option<InfoFields>, Vec<BlockFields>);

use crate::named::to_mode;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("WireError", module.py().get_type::<WireError>())?;
    module.add("TRANSPORT_MODES", PyTuple::new(module.py(), Mode::ALL.map(Mode::wire_name))?)?;
    module.add_class::<Cipher>()?;
    module.add_function(wrap_pyfunction!(parse_rtp, module)?)?;
    module.add_function(wrap_pyfunction!(write_rtp, module)?)?;
    module.add_function(wrap_pyfunction!(is_rtcp, module)?)?;
    module.add_function(wrap_pyfunction!(ssrc_of, module)?)?;
    module.add_function(wrap_pyfunction!(parse_reports, module)?)?;
    module.add_function(wrap_pyfunction!(write_report, module)?)?;
    module.add_function(wrap_pyfunction!(discovery_request, module)?)?;
    module.add_function(wrap_pyfunction!(parse_discovery_request, module)?)?;
    module.add_function(wrap_pyfunction!(discovery_response, module)?)?;
    module.add_function(wrap_pyfunction!(parse_discovery_response, module)?)
}

#[pyclass(frozen, module = "raccall._native")]
struct Cipher(transport::Cipher);

#[pymethods]
impl Cipher {
    #[new]
    fn new(mode: &str, key: [u8; 32]) -> PyResult<Self> {
        Ok(Self(transport::Cipher::new(to_mode(mode)?, &key)))
    }

    #[getter]
    fn mode(&self) -> &'static str {
        self.0.mode().wire_name()
    }

    fn seal<'py>(&self, py: Python<'py>, packet: &[u8], nonce: [u8; 4]) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        self.0.seal(packet, nonce, &mut out).map_err(|error| wire_error(py, error.code(), &error))?;
        Ok(PyBytes::new(py, &out))
    }

    fn open<'py>(&self, py: Python<'py>, datagram: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        self.0.open(datagram, &mut out).map_err(|error| wire_error(py, error.code(), &error))?;
        Ok(PyBytes::new(py, &out))
    }
}

#[pyfunction]
fn parse_rtp<'a>(py: Python<'_>, packet: &'a [u8]) -> PyResult<PacketFields<'a>> {
    let parsed = Packet::parse(packet).map_err(|error| parse_error(py, error))?;
    let extension = parsed.extension.map(|extension| (extension.profile, extension.body));
    Ok((
        parsed.marker,
        parsed.payload_type,
        parsed.sequence,
        parsed.timestamp,
        parsed.ssrc,
        parsed.csrc,
        extension,
        parsed.payload,
        parsed.padding_bytes,
    ))
}

#[pyfunction]
fn write_rtp<'py>(py: Python<'py>, fields: PacketFields<'_>) -> PyResult<Bound<'py, PyBytes>> {
    let (marker, payload_type, sequence, timestamp, ssrc, csrc, extension, payload, padding_bytes) = fields;
    let extension = extension.map(|(profile, body)| Extension { profile, body });
    let body_bytes = extension.map_or(0, |extension| extension.body.len());
    if csrc.len() > 60 || csrc.len() % 4 != 0 || body_bytes > 4 * 0xFFFF || body_bytes % 4 != 0 || payload_type > 127 {
        return Err(PyValueError::new_err(
            "CSRC list and extension are whole words of 4 bytes; a payload type is 0 to 127",
        ));
    }
    let packet = Packet { marker, payload_type, sequence, timestamp, ssrc, csrc, extension, payload, padding_bytes };
    let mut out = Vec::new();
    packet.write(&mut out);
    Ok(PyBytes::new(py, &out))
}

#[pyfunction]
fn is_rtcp(packet: &[u8]) -> bool {
    rtp::is_rtcp(packet)
}

#[pyfunction]
fn ssrc_of(packet: &[u8]) -> Option<u32> {
    rtp::ssrc(packet)
}

#[pyfunction]
fn parse_reports(py: Python<'_>, compound: &[u8]) -> PyResult<Vec<ReportFields>> {
    let packets = rtcp::parse(compound).map_err(|error| parse_error(py, error))?;
    Ok(packets.into_iter().filter_map(report_fields).collect())
}

#[pyfunction]
fn write_report<'py>(py: Python<'py>, report: ReportFields) -> Bound<'py, PyBytes> {
    let (ssrc, info, blocks) = report;
    let blocks = blocks.into_iter().map(block).collect();
    let report = match info {
        Some((ntp, timestamp, packets, bytes)) => Rtcp::SenderReport { ssrc, ntp, timestamp, packets, bytes, blocks },
        None => Rtcp::ReceiverReport { ssrc, blocks },
    };
    let mut out = Vec::new();
    rtcp::write(&report, &mut out);
    PyBytes::new(py, &out)
}

#[pyfunction]
fn discovery_request(py: Python<'_>, ssrc: u32) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &discovery::request(ssrc))
}

#[pyfunction]
fn parse_discovery_request(datagram: &[u8]) -> Option<u32> {
    discovery::parse_request(datagram)
}

#[pyfunction]
fn discovery_response<'py>(py: Python<'py>, ssrc: u32, address: (&str, u16)) -> PyResult<Bound<'py, PyBytes>> {
    let (host, port) = address;
    let ip = host.parse::<std::net::IpAddr>().map_err(|error| PyValueError::new_err(format!("{host:?}: {error}")))?;
    Ok(PyBytes::new(py, &discovery::response(ssrc, (ip, port).into())))
}

#[pyfunction]
fn parse_discovery_response(datagram: &[u8]) -> Option<(u32, (String, u16))> {
    let (ssrc, address) = discovery::parse_response(datagram)?;
    Some((ssrc, (address.ip().to_string(), address.port())))
}

fn report_fields(packet: Rtcp) -> Option<ReportFields> {
    match packet {
        Rtcp::SenderReport { ssrc, ntp, timestamp, packets, bytes, blocks } => {
            Some((ssrc, Some((ntp, timestamp, packets, bytes)), blocks.iter().map(block_fields).collect()))
        }
        Rtcp::ReceiverReport { ssrc, blocks } => Some((ssrc, None, blocks.iter().map(block_fields).collect())),
        Rtcp::Other { .. } => None,
    }
}

fn block_fields(block: &ReportBlock) -> BlockFields {
    let ReportBlock { ssrc, fraction_lost, lost, highest_sequence, jitter, last_sr, delay_since_last_sr } = *block;
    (ssrc, fraction_lost, lost, highest_sequence, jitter, last_sr, delay_since_last_sr)
}

fn block(fields: BlockFields) -> ReportBlock {
    let (ssrc, fraction_lost, lost, highest_sequence, jitter, last_sr, delay_since_last_sr) = fields;
    ReportBlock { ssrc, fraction_lost, lost, highest_sequence, jitter, last_sr, delay_since_last_sr }
}

fn parse_error(py: Python<'_>, error: ParseError) -> PyErr {
    wire_error(py, error.code(), &error)
}

fn wire_error(py: Python<'_>, reason: &'static str, sentence: &dyn std::fmt::Display) -> PyErr {
    let error = WireError::new_err(sentence.to_string());
    match error.value(py).setattr("reason", reason) {
        Ok(()) => error,
        Err(error) => error,
    }
}
