//! `Engine`, `PacketTap`, `SharedSound` and `Sound`.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Mutex;
use std::time::Duration;

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray2, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyConnectionError, PyOSError, PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use raccall_engine::share::{self, End, Feed, shared_sound};
use raccall_engine::sound::{self, LentEnd};
use raccall_engine::tap::TapReader;
use raccall_engine::{Command, EngineError, Route, Session};
use raccall_media::{Encryption, GAIN_RANGE_DB, GateMode, ReceiveReport, Refusal, SourceReport};
use raccall_record::{Batch, Received};
use raccall_wire::transport::Mode;

use crate::e2ee::EpochKeys;
use crate::process::{report_to_dict, to_processing};
use crate::record::batch::PacketBatch;

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
        let (mode, key, encryption) = (to_mode(mode)?, to_key(key)?, encryption_named(encryption)?);
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
        let mode = gate_mode(mode)?;
        self.command(py, Command::SetGateMode(mode))
    }

    fn set_pressed(&self, py: Python<'_>, pressed: bool) -> PyResult<()> {
        self.command(py, Command::SetPressed(pressed))
    }

    fn play(&self, py: Python<'_>, sound: &SharedSound) -> PyResult<()> {
        let end = sound.end.lock().expect("never poisoned").take();
        let end = end.ok_or_else(|| PyValueError::new_err("this sound was played already"))?;
        py.detach(|| self.0.play(end)).map_err(to_python)
    }

    fn set_encryption(&self, py: Python<'_>, mode: &str) -> PyResult<()> {
        let mode = encryption_named(mode)?;
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
        let stats = self.0.stats();
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
        dict.set_item("receive_buffer_bytes", self.0.receive_buffer_bytes())?;
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

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

impl Engine {
    fn command(&self, py: Python<'_>, command: Command) -> PyResult<()> {
        py.detach(|| self.0.command(command)).map_err(to_python)
    }
}

pub fn encryption_named(name: &str) -> PyResult<Encryption> {
    match name {
        "off" => Ok(Encryption::Off),
        "either" => Ok(Encryption::Either),
        "on" => Ok(Encryption::On),
        _ => Err(PyValueError::new_err(format!("encryption is off, either or on, not {name:?}"))),
    }
}

pub fn gate_mode(name: &str) -> PyResult<GateMode> {
    match name {
        "open" => Ok(GateMode::Open),
        "voice" => Ok(GateMode::Voice),
        "ptt" => Ok(GateMode::PushToTalk),
        _ => Err(PyValueError::new_err(format!("a microphone is open, voice or ptt, not {name:?}"))),
    }
}

#[pyclass(frozen)]
struct PacketTap(TapReader);

#[pymethods]
impl PacketTap {
    #[pyo3(signature = (timeout_ms, gather_ms = 0))]
    fn read(&self, py: Python<'_>, timeout_ms: u64, gather_ms: u64) -> Option<PacketBatch> {
        let (timeout, gather) = (Duration::from_millis(timeout_ms), Duration::from_millis(gather_ms));
        py.detach(|| {
            let mut received = Batch::default();
            for (record, rtp) in self.0.read(timeout, gather)?.packets() {
                received.push(Received {
                    arrival: record.arrival,
                    ssrc: record.ssrc,
                    sequence: record.extended_sequence,
                    timestamp: record.extended_timestamp,
                    rtp,
                });
            }
            Some(PacketBatch(received))
        })
    }

    #[getter]
    fn dropped(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.0.dropped())
    }
}

#[pyclass(frozen)]
struct SharedSound {
    feed: Feed,
    /// Until an engine has it.
    end: Mutex<Option<share::SharedSound>>,
}

#[pymethods]
impl SharedSound {
    #[new]
    #[pyo3(signature = (*, gain_db = 0.0, monitored = false))]
    fn new(gain_db: f32, monitored: bool) -> PyResult<Self> {
        let (least, most) = GAIN_RANGE_DB;
        if !(least..=most).contains(&gain_db) {
            return Err(PyValueError::new_err(format!("a gain is from {least} to {most} dB, not {gain_db}")));
        }
        let (feed, end) = shared_sound(gain_db, monitored);
        Ok(Self { feed, end: Mutex::new(Some(end)) })
    }

    fn write(&self, samples: PyReadonlyArray2<'_, f32>) -> PyResult<usize> {
        match (samples.shape(), samples.as_slice()) {
            ([_, 2], Ok(samples)) => Ok(self.feed.write(samples) / 2),
            (shape, _) => Err(PyValueError::new_err(format!("samples are (n, 2), in one piece; these are {shape:?}"))),
        }
    }

    fn complete(&self) {
        self.feed.complete();
    }

    fn stop(&self) {
        self.feed.stop();
    }

    #[getter]
    fn position_s(&self) -> f64 {
        self.feed.position_s()
    }

    #[getter]
    fn ended(&self) -> Option<&'static str> {
        self.feed.end().map(End::name)
    }
}

#[pyclass(frozen)]
struct Sound {
    sound: Mutex<sound::Sound>,
    capture_channels: usize,
}

#[pymethods]
impl Sound {
    #[staticmethod]
    fn device() -> PyResult<Self> {
        let sound = sound::Sound::device().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(Self { sound: Mutex::new(sound), capture_channels: 1 })
    }

    #[staticmethod]
    #[pyo3(signature = (capture, *, keep_playback, playback_channels = 1))]
    fn clocked(
        capture: Option<PyReadonlyArrayDyn<'_, f32>>,
        keep_playback: bool,
        playback_channels: usize,
    ) -> PyResult<Self> {
        if playback_channels != 1 && playback_channels != 2 {
            return Err(PyValueError::new_err(format!("a listener has 1 or 2 channels, not {playback_channels}")));
        }
        let shape = capture.as_ref().map_or(vec![0], |samples| samples.as_array().shape().to_vec());
        let channels = match shape[..] {
            [_] | [_, 1] => 1,
            [_, 2] => 2,
            _ => return Err(PyValueError::new_err(format!("sound has the shape (n,) or (n, 2), this one {shape:?}"))),
        };
        let capture = capture.map(|samples| samples.as_array().iter().copied().collect());
        let sound = sound::Sound::clocked_in_channels(capture, channels, keep_playback, playback_channels);
        Ok(Self { sound: Mutex::new(sound), capture_channels: channels })
    }

    #[getter]
    fn capture_channels(&self) -> usize {
        self.capture_channels
    }

    #[getter]
    fn capture_callback_address(&self) -> PyResult<usize> {
        self.callbacks().map(|callbacks| callbacks.capture as usize)
    }

    #[getter]
    fn playback_callback_address(&self) -> PyResult<usize> {
        self.callbacks().map(|callbacks| callbacks.mono_playback as usize)
    }

    #[getter]
    fn stereo_playback_callback_address(&self) -> PyResult<usize> {
        self.callbacks().map(|callbacks| callbacks.stereo_playback as usize)
    }

    #[getter]
    fn playback_channels(&self) -> usize {
        self.lock().playback_channels()
    }

    #[getter]
    fn capture_callbacks(&self) -> PyResult<u64> {
        self.callback_counts().map(|(capture, _)| capture)
    }

    #[getter]
    fn playback_callbacks(&self) -> PyResult<u64> {
        self.callback_counts().map(|(_, playback)| playback)
    }

    fn read_playback<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyUntypedArray>> {
        let sound = self.lock();
        let (played, channels) = (sound.read_playback(), sound.playback_channels());
        drop(sound);
        let played = played.ok_or_else(|| PyValueError::new_err("a sound card's playback is not kept"))?;
        let frames = played.len() / channels;
        let played = PyArray1::from_vec(py, played);
        if channels == 1 {
            return Ok(played.as_untyped().clone());
        }
        Ok(played.reshape([frames, channels])?.as_untyped().clone())
    }

    #[getter]
    fn playback_dropped(&self) -> u64 {
        self.lock().playback_dropped()
    }

    #[getter]
    fn is_clocked(&self) -> bool {
        self.lock().is_clocked()
    }

    #[getter]
    fn capture_done(&self) -> bool {
        self.lock().capture_done()
    }
}

impl Sound {
    fn lock(&self) -> std::sync::MutexGuard<'_, sound::Sound> {
        self.sound.lock().expect("never poisoned")
    }

    fn lend_end(&self) -> PyResult<LentEnd> {
        self.lock().lend_end().ok_or_else(|| PyValueError::new_err("this sound belongs to an engine already"))
    }

    fn callbacks(&self) -> PyResult<sound::DataCallbacks> {
        self.lock().callbacks().ok_or_else(no_callbacks)
    }

    fn callback_counts(&self) -> PyResult<(u64, u64)> {
        self.lock().callback_counts().ok_or_else(no_callbacks)
    }
}

fn no_callbacks() -> PyErr {
    PyValueError::new_err("a clocked sound has no callbacks")
}

const SAMPLES_PER_MS: u64 = 48;

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

fn to_mode(name: &str) -> PyResult<Mode> {
    Mode::from_wire_name(name).ok_or_else(|| PyValueError::new_err(format!("no mode called {name}")))
}

fn to_key(key: &[u8]) -> PyResult<[u8; 32]> {
    key.try_into().map_err(|_| PyValueError::new_err("a key has 32 bytes"))
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
