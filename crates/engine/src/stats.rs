//! The engine's numbers, as other threads read them. Each part of a call tells its own.

use raccall_media::{LinkReport, ProcessReport, ReceiveReport};
use raccall_wire::Nanos;

use crate::path::Route;

/// The engine's numbers, at most 100 ms old.
#[derive(Clone, Default)]
pub struct Stats {
    pub sent_packets: u64,
    pub sent_bytes: u64,
    /// When the first voice packet left.
    pub first_sent: Option<Nanos>,
    pub received_packets: u64,
    pub route: Route,
    pub route_changes: u64,
    /// Told by the relay's reports.
    pub uplink_loss_pct: Option<f32>,
    pub round_trip_ms: Option<f32>,
    pub kernel_drops: u64,
    pub socket_errors: u64,
    /// How it is sent now: bits a second of payloads, ms of a packet; and 20 ms frames that would only have waited in a queue.
    pub bitrate_bps: i32,
    pub frame_ms: usize,
    pub held_frames: u64,
    /// Of our packets: jitter at the relay, and what each waits in queues on the way there.
    pub uplink_jitter_ms: f32,
    pub uplink_queue_ms: f32,
    /// What three quarters of the listeners do not exceed.
    pub heard_loss_pct: Option<f32>,
    /// Times that the thread ran so late that a card may have run dry: this machine was busy.
    pub late_ticks: u64,
    /// Of the microphone, and whether it is sent.
    pub input_level_db: f32,
    pub sending: bool,
    /// What is done to the microphone's sound.
    pub processing: ProcessReport,
    /// How much faster the loudspeaker's clock runs than the microphone's, and how often the two lost each other.
    pub drift_ppm: f64,
    pub echo_jumps: u64,
    /// CPU time of the engine thread.
    pub cpu: Nanos,
    pub playback_gaps: u64,
    pub capture_overruns: u64,
    /// Of our own, encrypted end to end, and not sent for want of a key.
    pub encrypted_frames: u64,
    pub unsent_frames: u64,
    pub receive: ReceiveReport,
}

impl Stats {
    /// What the relay told of what it received from us; what it left out this time stays as it was.
    pub fn take(&mut self, report: &LinkReport) {
        self.uplink_loss_pct = Some(report.uplink_loss_pct);
        self.uplink_jitter_ms = report.jitter_ms;
        self.uplink_queue_ms = report.queue.map_or(0.0, |queue| queue.standing_ms);
        self.heard_loss_pct = report.heard_loss_pct;
        self.round_trip_ms = report.round_trip_ms.or(self.round_trip_ms);
    }
}
