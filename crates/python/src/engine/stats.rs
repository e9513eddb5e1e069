//! An engine's numbers, and a receiver's, as dictionaries.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use raccall_engine::Stats;
use raccall_media::{ReceiveReport, Refusal, SourceReport};

use crate::process::report_to_dict;

const SAMPLES_PER_MS: u64 = 48;

/// `raccall.voice.engine.EngineStats`.
pub fn stats_to_dict<'py>(py: Python<'py>, stats: &Stats, receive_buffer_bytes: usize) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("sent_packets", stats.sent_packets)?;
    dict.set_item("sent_bytes", stats.sent_bytes)?;
    dict.set_item("first_sent_ns", stats.first_sent)?;
    dict.set_item("received_packets", stats.received_packets)?;
    dict.set_item("route", stats.route.name())?;
    dict.set_item("route_changes", stats.route_changes)?;
    dict.set_item("uplink_loss_pct", stats.uplink_loss_pct)?;
    dict.set_item("round_trip_ms", stats.round_trip_ms)?;
    dict.set_item("bitrate_bps", stats.bitrate_bps)?;
    dict.set_item("frame_ms", stats.frame_ms)?;
    dict.set_item("held_frames", stats.held_frames)?;
    dict.set_item("uplink_jitter_ms", stats.uplink_jitter_ms)?;
    dict.set_item("uplink_queue_ms", stats.uplink_queue_ms)?;
    dict.set_item("heard_loss_pct", stats.heard_loss_pct)?;
    dict.set_item("input_level_db", stats.input_level_db)?;
    dict.set_item("sending", stats.sending)?;
    dict.set_item("late_ticks", stats.late_ticks)?;
    dict.set_item("kernel_drops", stats.kernel_drops)?;
    dict.set_item("socket_errors", stats.socket_errors)?;
    dict.set_item("receive_buffer_bytes", receive_buffer_bytes)?;
    dict.set_item("cpu_ns", stats.cpu)?;
    let processing = PyDict::new(py);
    report_to_dict(&stats.processing, &processing)?;
    dict.set_item("processing", processing)?;
    dict.set_item("drift_ppm", stats.drift_ppm)?;
    dict.set_item("echo_jumps", stats.echo_jumps)?;
    dict.set_item("playback_gaps", stats.playback_gaps)?;
    dict.set_item("capture_overruns", stats.capture_overruns)?;
    let encryption = encryption_to_dict(py, &stats.receive)?;
    encryption.set_item("encrypted", stats.encrypted_frames)?;
    encryption.set_item("unsent", stats.unsent_frames)?;
    dict.set_item("encryption", encryption)?;
    let refused = PyDict::new(py);
    for (reason, count) in stats.receive.refused.iter().filter(|(_, count)| *count > 0) {
        refused.set_item(reason.name(), count)?;
    }
    dict.set_item("refused", refused)?;
    let sources: PyResult<Vec<_>> = stats.receive.sources.iter().map(|source| source_to_dict(py, source)).collect();
    dict.set_item("sources", sources?)?;
    Ok(dict)
}

pub fn source_to_dict<'py>(py: Python<'py>, source: &SourceReport) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("ssrc", source.ssrc)?;
    dict.set_item("received", source.received)?;
    dict.set_item("lost", source.lost)?;
    dict.set_item("concealed", source.concealed)?;
    dict.set_item("recovered", source.recovered)?;
    dict.set_item("respoken", source.respoken)?;
    dict.set_item("late", source.late)?;
    dict.set_item("skipped", source.skipped)?;
    dict.set_item("stretched_ms", source.stretched_samples / SAMPLES_PER_MS)?;
    dict.set_item("paused_ms", source.paused_samples / SAMPLES_PER_MS)?;
    dict.set_item("duplicates", source.duplicates)?;
    dict.set_item("undecodable", source.undecodable)?;
    dict.set_item("jitter_ms", source.jitter_ms)?;
    dict.set_item("target_ms", source.target_ms)?;
    dict.set_item("delay_ms", source.delay_ms)?;
    dict.set_item("level_db", source.level_db)?;
    dict.set_item("talking", source.talking)?;
    dict.set_item("owner", source.owner)?;
    Ok(dict)
}

/// What a receiver knows of `raccall.voice.engine.EncryptionStats`.
pub fn encryption_to_dict<'py>(py: Python<'py>, report: &ReceiveReport) -> PyResult<Bound<'py, PyDict>> {
    let counts = report.encryption;
    let dict = PyDict::new(py);
    dict.set_item("decrypted", counts.decrypted)?;
    dict.set_item("plain", counts.plain)?;
    dict.set_item("unencrypted", report.refused.count(Refusal::Unencrypted))?;
    dict.set_item("replayed", report.refused.count(Refusal::Replayed))?;
    dict.set_item("bad_tag", counts.bad_tag)?;
    dict.set_item("waiting", counts.waiting)?;
    dict.set_item("released", counts.released)?;
    dict.set_item("expired", counts.expired)?;
    dict.set_item("overflowed", counts.overflowed)?;
    dict.set_item("untried", counts.untried)?;
    Ok(dict)
}
