//! `SendChain` and `ReceiveChain`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArrayDyn};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use raccall_media::{LinkReport, PULL_SAMPLES, Pushed, QueueReport, Released, SEND_SAMPLES};
use raccall_wire::rtcp::ReportBlock;

use crate::e2ee::EpochKeys;
use crate::engine::stats::{encryption_to_dict, source_to_dict};
use crate::named::{to_encryption, to_gate_mode, to_key, to_mode};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SendChain>()?;
    module.add_class::<ReceiveChain>()
}

/// ssrc, fraction_lost, lost, highest_sequence, jitter, last_sr, delay_since_last_sr.
type Block = (u32, u8, i32, u32, u32, u32, u32);

/// ssrc, extended_sequence, extended_timestamp, rtp_packet.
type Fresh<'py> = (u32, u64, u64, Bound<'py, PyBytes>);

/// arrival, then as `Fresh`.
type Late<'py> = (u64, u32, u64, u64, Bound<'py, PyBytes>);

/// standing_ms, arrived_ms, arrived_packets, arrived_bytes.
type Queue = (f32, f32, u16, u32);

/// uplink_loss_pct, round_trip_ms, jitter_ms, highest_sequence, queue, heard_loss_pct.
type Link = (f32, Option<f32>, f32, Option<u16>, Option<Queue>, Option<f32>);

/// RTCP packets kept until they are taken: a relay sends five a second. The oldest are dropped.
const KEPT_RTCP: usize = 64;

#[pyclass(frozen)]
struct SendChain {
    chain: Mutex<raccall_media::SendChain>,
    channels: usize,
}

#[pymethods]
impl SendChain {
    #[new]
    #[pyo3(signature = (ssrc, mode, key, *, bitrate_bps, complexity, expected_loss_pct, lbrr, dred_ms, dtx, music, channels, first_sequence, first_timestamp))]
    #[allow(clippy::too_many_arguments)] // keywords in Python
    fn new(
        ssrc: u32,
        mode: &str,
        key: &[u8],
        bitrate_bps: i32,
        complexity: u8,
        expected_loss_pct: u8,
        lbrr: bool,
        dred_ms: u16,
        dtx: bool,
        music: bool,
        channels: u8,
        first_sequence: u16,
        first_timestamp: u32,
    ) -> PyResult<Self> {
        let config = raccall_media::SendConfig {
            ssrc,
            mode: to_mode(mode)?,
            key: to_key(key)?,
            bitrate_bps,
            complexity,
            expected_loss_pct,
            lbrr,
            dred_ms,
            dtx,
            music,
            channels,
            first_sequence,
            first_timestamp,
        };
        let chain = raccall_media::SendChain::new(config).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self { chain: Mutex::new(chain), channels: usize::from(channels) })
    }

    fn push<'py>(
        &self,
        py: Python<'py>,
        frame: PyReadonlyArrayDyn<'py, f32>,
        now: u64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let shape = frame.as_array().shape().to_vec();
        let channels = self.channels;
        let is_right = match shape[..] {
            [SEND_SAMPLES] => channels == 1,
            [SEND_SAMPLES, given] => channels == given,
            _ => false,
        };
        if !is_right {
            return Err(PyValueError::new_err(format!(
                "a frame has the shape ({SEND_SAMPLES}, {channels}), this one {shape:?}"
            )));
        }
        // A copy: the array may be written to while the GIL is released.
        let samples: Vec<f32> = frame.as_array().iter().copied().collect();
        let datagram = py.detach(|| lock(&self.chain).push(&samples, now).map(<[u8]>::to_vec));
        Ok(datagram.map(|datagram| PyBytes::new(py, &datagram)))
    }

    fn more<'py>(&self, py: Python<'py>, now: u64) -> Option<Bound<'py, PyBytes>> {
        let datagram = py.detach(|| lock(&self.chain).more(now).map(<[u8]>::to_vec));
        datagram.map(|datagram| PyBytes::new(py, &datagram))
    }

    #[getter]
    fn has_more(&self) -> bool {
        lock(&self.chain).has_more()
    }

    fn set_gate_mode(&self, mode: &str) -> PyResult<()> {
        let mode = to_gate_mode(mode)?;
        lock(&self.chain).set_gate_mode(mode);
        Ok(())
    }

    fn set_pressed(&self, pressed: bool) {
        lock(&self.chain).set_pressed(pressed);
    }

    fn set_muted(&self, muted: bool) {
        lock(&self.chain).set_muted(muted);
    }

    fn set_encryption(&self, mode: &str) -> PyResult<()> {
        let mode = to_encryption(mode)?;
        lock(&self.chain).set_encryption(mode);
        Ok(())
    }

    fn use_keys(&self, keys: &EpochKeys) {
        lock(&self.chain).use_keys(&keys.0);
    }

    #[getter]
    fn encryption_counts(&self) -> (u64, u64) {
        lock(&self.chain).encryption_counts()
    }

    fn set_gain_db(&self, gain_db: f32) {
        lock(&self.chain).set_gain_db(gain_db);
    }

    fn set_level_extension(&self, on: bool) {
        lock(&self.chain).set_level_extension(on);
    }

    fn apply(&self, report: Link, now: u64) {
        lock(&self.chain).apply(&link_from(report), now);
    }

    fn take_rtcp(&self, rtcp: &[u8], now: u64) -> Option<Link> {
        lock(&self.chain).take_rtcp(rtcp, now).map(link_to)
    }

    fn report_datagram<'py>(&self, py: Python<'py>, blocks: Vec<Block>, now: u64) -> Option<Bound<'py, PyBytes>> {
        let blocks: Vec<_> = blocks.into_iter().map(block_from).collect();
        lock(&self.chain).report_datagram(&blocks, now).map(|datagram| PyBytes::new(py, datagram))
    }

    #[getter]
    fn sent_packets(&self) -> u64 {
        lock(&self.chain).sent_packets()
    }

    #[getter]
    fn sent_bytes(&self) -> u64 {
        lock(&self.chain).sent_bytes()
    }

    #[getter]
    fn bitrate_bps(&self) -> i32 {
        lock(&self.chain).bitrate_bps()
    }

    #[getter]
    fn frame_ms(&self) -> usize {
        lock(&self.chain).frame_ms()
    }

    #[getter]
    fn held_frames(&self) -> u64 {
        lock(&self.chain).held_frames()
    }
}

#[pyclass(frozen)]
struct ReceiveChain {
    chain: Mutex<raccall_media::ReceiveChain>,
    channels: usize,
    rtcp: Mutex<VecDeque<Vec<u8>>>,
}

#[pymethods]
impl ReceiveChain {
    #[new]
    #[pyo3(signature = (mode, key, *, deep_plc, min_target_ms, max_target_ms, source_timeout_ms, channels))]
    fn new(
        mode: &str,
        key: &[u8],
        deep_plc: bool,
        min_target_ms: u32,
        max_target_ms: u32,
        source_timeout_ms: u32,
        channels: usize,
    ) -> PyResult<Self> {
        if channels != 1 && channels != 2 {
            return Err(PyValueError::new_err(format!("a listener has 1 or 2 channels, not {channels}")));
        }
        if min_target_ms > max_target_ms {
            return Err(PyValueError::new_err("min_target_ms is larger than max_target_ms"));
        }
        let config = raccall_media::ReceiveConfig {
            mode: to_mode(mode)?,
            key: to_key(key)?,
            deep_plc,
            min_target_ms,
            max_target_ms,
            source_timeout_ms,
        };
        let mut chain = raccall_media::ReceiveChain::new(config);
        chain.set_channels(channels);
        Ok(Self { chain: Mutex::new(chain), channels, rtcp: Mutex::default() })
    }

    fn push<'py>(&self, py: Python<'py>, datagram: &[u8], now: u64) -> Option<Fresh<'py>> {
        match lock(&self.chain).push(datagram, now) {
            Pushed::Packet { plain, ssrc, extended_sequence, extended_timestamp } => {
                Some((ssrc, extended_sequence, extended_timestamp, PyBytes::new(py, plain)))
            }
            Pushed::Rtcp(plain) => {
                let mut kept = lock(&self.rtcp);
                if kept.len() == KEPT_RTCP {
                    kept.pop_front();
                }
                kept.push_back(plain.to_vec());
                None
            }
            Pushed::Held | Pushed::Refused(_) => None,
        }
    }

    fn released<'py>(&self, py: Python<'py>) -> Vec<Late<'py>> {
        let mut chain = lock(&self.chain);
        std::iter::from_fn(|| chain.next_released())
            .map(|packet| {
                let Released { arrival, ssrc, extended_sequence, extended_timestamp, plain } = packet;
                (arrival, ssrc, extended_sequence, extended_timestamp, PyBytes::new(py, &plain))
            })
            .collect()
    }

    fn tend(&self, now: u64) {
        lock(&self.chain).tend(now);
    }

    fn set_encryption(&self, mode: &str, now: u64) -> PyResult<()> {
        let mode = to_encryption(mode)?;
        lock(&self.chain).set_encryption(mode, now);
        Ok(())
    }

    fn add_keys(&self, keys: &EpochKeys, now: u64) {
        lock(&self.chain).add_keys(keys.0.clone(), now);
    }

    fn use_keys(&self, keys: &EpochKeys, now: u64) {
        lock(&self.chain).use_keys(&keys.0, now);
    }

    fn set_owner(&self, ssrc: u32, user_id: u64, now: u64) {
        lock(&self.chain).set_owner(ssrc, user_id, now);
    }

    fn take_rtcp<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        lock(&self.rtcp).drain(..).map(|plain| PyBytes::new(py, &plain)).collect()
    }

    fn pull<'py>(&self, py: Python<'py>, now: u64) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let mut frame = vec![0.0; PULL_SAMPLES * self.channels];
        py.detach(|| lock(&self.chain).pull(now, &mut frame));
        PyArray1::from_vec(py, frame).reshape([PULL_SAMPLES, self.channels])
    }

    fn pull_each<'py>(&self, py: Python<'py>, now: u64) -> PyResult<Bound<'py, PyDict>> {
        let mut frames = Vec::new();
        py.detach(|| lock(&self.chain).pull_each(now, |ssrc, frame| frames.push((ssrc, frame.to_vec()))));
        let by_source = PyDict::new(py);
        for (ssrc, frame) in frames {
            by_source.set_item(ssrc, PyArray1::from_vec(py, frame).reshape([PULL_SAMPLES, self.channels])?)?;
        }
        Ok(by_source)
    }

    fn set_decoding(&self, decoding: bool) {
        lock(&self.chain).set_decoding(decoding);
    }

    fn set_gain_db(&self, ssrc: u32, gain_db: f32) {
        lock(&self.chain).set_gain_db(ssrc, gain_db);
    }

    fn remove_source(&self, ssrc: u32) {
        lock(&self.chain).remove_source(ssrc);
    }

    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = lock(&self.chain).report();
        let refused = PyDict::new(py);
        for (reason, count) in report.refused.iter().filter(|(_, count)| *count > 0) {
            refused.set_item(reason.name(), count)?;
        }
        let sources: PyResult<Vec<_>> = report.sources.iter().map(|source| source_to_dict(py, source)).collect();
        let dict = PyDict::new(py);
        dict.set_item("sources", sources?)?;
        dict.set_item("refused", refused)?;
        dict.set_item("encryption", encryption_to_dict(py, &report)?)?;
        Ok(dict)
    }

    fn report_blocks(&self) -> Vec<Block> {
        lock(&self.chain).report_blocks().into_iter().map(block_to).collect()
    }
}

fn link_from((uplink_loss_pct, round_trip_ms, jitter_ms, highest_sequence, queue, heard_loss_pct): Link) -> LinkReport {
    let queue = queue.map(|(standing_ms, arrived_ms, arrived_packets, arrived_bytes)| QueueReport {
        standing_ms,
        arrived_ms,
        arrived_packets,
        arrived_bytes,
    });
    LinkReport { uplink_loss_pct, round_trip_ms, jitter_ms, highest_sequence, queue, heard_loss_pct }
}

fn link_to(link: LinkReport) -> Link {
    let queue =
        link.queue.map(|queue| (queue.standing_ms, queue.arrived_ms, queue.arrived_packets, queue.arrived_bytes));
    (link.uplink_loss_pct, link.round_trip_ms, link.jitter_ms, link.highest_sequence, queue, link.heard_loss_pct)
}

fn block_from(
    (ssrc, fraction_lost, lost, highest_sequence, jitter, last_sr, delay_since_last_sr): Block,
) -> ReportBlock {
    ReportBlock { ssrc, fraction_lost, lost, highest_sequence, jitter, last_sr, delay_since_last_sr }
}

fn block_to(block: ReportBlock) -> Block {
    (
        block.ssrc,
        block.fraction_lost,
        block.lost,
        block.highest_sequence,
        block.jitter,
        block.last_sr,
        block.delay_since_last_sr,
    )
}

fn lock<T>(chain: &Mutex<T>) -> MutexGuard<'_, T> {
    chain.lock().expect("chains do not panic")
}
