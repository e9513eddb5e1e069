//! What the engine thread does: one voice session, from its socket to its sound and back.
//!
//! The thread sleeps until the next tick (10 ms with sound, 20 ms without), reads what came, then plays, speaks and
//! reports. A clocked Sound is exact: its ticks and the packets between them are taken in the order of their times, so
//! a thread that was held up plays what it would have played in time, and only says so in `playback_gaps`. With a
//! sound card a missed tick is skipped: the card took its samples from the ring meanwhile, and what it did not find
//! there is gone.

use std::sync::{Arc, Mutex};

use raccall_media::{LinkReport, Pushed, ReceiveChain, ReceiveReport, SendChain, round_trip_ms};
use raccall_wire::Nanos;
use raccall_wire::rtcp::{self, Rtcp};
use rtrb::Consumer;

use crate::clock;
use crate::priority;
use crate::socket::{Receiver, Sender};
use crate::sound::{CAPTURE_FRAME, LentEnd, PLAYBACK_FRAME, SoundEnd};
use crate::tap::TapWriter;

const NANOS_PER_MS: Nanos = 1_000_000;
const SOUND_TICK: Nanos = 10 * NANOS_PER_MS;
const LISTEN_TICK: Nanos = 20 * NANOS_PER_MS;
const BATCH_INTERVAL: Nanos = 20 * NANOS_PER_MS;
const REPORT_INTERVAL: Nanos = 1000 * NANOS_PER_MS;
const STATS_INTERVAL: Nanos = 100 * NANOS_PER_MS;

/// A sound card with 20 ms buffered and one frame ahead would have run dry by now.
const LATE: Nanos = 30 * NANOS_PER_MS;

/// After this long (the program was stopped, the machine slept) a clocked Sound goes on from now instead of catching
/// up.
const LOST: Nanos = 2000 * NANOS_PER_MS;

/// What other threads ask for; taken at the next tick.
pub enum Command {
    SetMuted(bool),
    SetInputGain(f32),
    SetGain { ssrc: u32, gain_db: f32 },
    OpenTap(TapWriter),
    Close,
}

/// The engine's numbers, at most 100 ms old.
#[derive(Clone, Default)]
pub struct Stats {
    pub sent_packets: u64,
    pub sent_bytes: u64,
    /// When the first voice packet left.
    pub first_sent: Option<Nanos>,
    pub received_packets: u64,
    /// Told by the relay's reports.
    pub uplink_loss_pct: Option<f32>,
    pub round_trip_ms: Option<f32>,
    pub kernel_drops: u64,
    pub socket_errors: u64,
    /// CPU time of the engine thread.
    pub cpu: Nanos,
    pub playback_gaps: u64,
    pub capture_overruns: u64,
    pub receive: ReceiveReport,
}

pub struct Call {
    pub ssrc: u32,
    pub sender: Sender,
    pub send: SendChain,
    pub receive: ReceiveChain,
    pub sound: Option<LentEnd>,
    pub muted: bool,
    pub taps: Vec<TapWriter>,
    pub commands: Consumer<Command>,
    pub published: Arc<Mutex<Stats>>,
}

/// Runs the call until it is closed.
pub fn run(call: Call, mut receiver: Receiver) {
    priority::raise();
    let mut thread = Thread::new(call, clock::monotonic_now());
    while thread.take_commands() {
        receiver.receive_until(thread.next_tick, |datagram, arrival| thread.receive(datagram, arrival));
        thread.catch_up(clock::monotonic_now());
        thread.publish_stats(&receiver);
    }
    thread.next_stats = 0;
    thread.publish_stats(&receiver);
}

struct Thread {
    call: Call,
    next_tick: Nanos,
    next_speech: Nanos,
    next_batch: Nanos,
    next_report: Nanos,
    next_stats: Nanos,
    late_ticks: u64,
    stats: Stats,
}

impl Thread {
    fn new(mut call: Call, now: Nanos) -> Self {
        call.send.set_muted(call.muted);
        Self {
            call,
            next_tick: now,
            next_speech: now,
            next_batch: now,
            next_report: now,
            next_stats: now,
            late_ticks: 0,
            stats: Stats::default(),
        }
    }

    /// False once the engine is closed, or its owner gone.
    fn take_commands(&mut self) -> bool {
        while let Ok(command) = self.call.commands.pop() {
            match command {
                Command::SetMuted(muted) => {
                    self.call.muted = muted;
                    self.call.send.set_muted(muted);
                }
                Command::SetInputGain(gain_db) => self.call.send.set_gain_db(gain_db),
                Command::SetGain { ssrc, gain_db } => self.call.receive.set_gain_db(ssrc, gain_db),
                Command::OpenTap(tap) => self.call.taps.push(tap),
                Command::Close => return false,
            }
        }
        !self.call.commands.is_abandoned()
    }

    fn is_clocked(&self) -> bool {
        matches!(self.call.sound.as_deref(), Some(SoundEnd::Clocked(_)))
    }

    fn receive(&mut self, datagram: &[u8], arrival: Nanos) {
        if self.is_clocked() && arrival.saturating_sub(self.next_tick) < LOST {
            self.tick_until(arrival);
        }
        match self.call.receive.push(datagram, arrival) {
            Pushed::Packet { plain, ssrc, extended_sequence, extended_timestamp } => {
                self.stats.received_packets += 1;
                for tap in &mut self.call.taps {
                    tap.push(arrival, ssrc, extended_sequence, extended_timestamp, plain);
                }
            }
            Pushed::Rtcp(plain) => {
                if let Some(link) = link_report(plain, self.call.ssrc, arrival) {
                    self.stats.uplink_loss_pct = Some(link.uplink_loss_pct);
                    self.stats.round_trip_ms = link.round_trip_ms.or(self.stats.round_trip_ms);
                    self.call.send.apply(&link);
                }
            }
            Pushed::Refused(_) => {} // counted by the chain
        }
    }

    fn catch_up(&mut self, now: Nanos) {
        let late = now.saturating_sub(self.next_tick);
        if self.is_clocked() && late < LOST {
            self.late_ticks += u64::from(late > LATE);
            self.tick_until(now);
        } else {
            self.late_ticks += u64::from(self.is_clocked());
            self.tick(now);
            let tick = if self.call.sound.is_some() { SOUND_TICK } else { LISTEN_TICK };
            self.next_tick += tick * (1 + late / tick);
        }
    }

    fn tick_until(&mut self, now: Nanos) {
        while self.next_tick <= now {
            self.tick(self.next_tick);
            self.next_tick += SOUND_TICK;
        }
    }

    fn tick(&mut self, now: Nanos) {
        match self.call.sound.as_deref_mut() {
            None => {}
            Some(SoundEnd::Device(_)) => {
                self.play(now);
                self.speak(now);
            }
            Some(SoundEnd::Clocked(_)) => {
                self.play(now);
                if is_due(&mut self.next_speech, now, 2 * SOUND_TICK) {
                    self.speak(now);
                }
            }
        }
        if is_due(&mut self.next_batch, now, BATCH_INTERVAL) {
            self.call.taps.retain_mut(TapWriter::publish);
        }
        if is_due(&mut self.next_report, now, REPORT_INTERVAL) {
            self.report(now);
        }
    }

    fn play(&mut self, now: Nanos) {
        let receive = &mut self.call.receive;
        match self.call.sound.as_deref_mut() {
            None => {}
            Some(SoundEnd::Device(device)) => device.play(|frame| receive.pull(now, frame)),
            Some(SoundEnd::Clocked(clocked)) => {
                let mut frame = [0.0; PLAYBACK_FRAME];
                receive.pull(now, &mut frame);
                clocked.play(&frame);
            }
        }
    }

    fn speak(&mut self, now: Nanos) {
        let Call { sound, send, sender, .. } = &mut self.call;
        let mut frame = [0.0; CAPTURE_FRAME];
        match sound.as_deref_mut() {
            None => {}
            Some(SoundEnd::Device(device)) => {
                while device.capture(&mut frame) {
                    send_frame(send, sender, &frame, now, &mut self.stats.first_sent);
                }
            }
            Some(SoundEnd::Clocked(clocked)) => {
                // All was spoken: timestamps go on, as for a muted microphone.
                if !clocked.capture(&mut frame) {
                    frame.fill(0.0);
                    send.set_muted(true);
                }
                send_frame(send, sender, &frame, now, &mut self.stats.first_sent);
            }
        }
    }

    fn report(&mut self, now: Nanos) {
        let blocks = self.call.receive.report_blocks();
        if let Some(datagram) = self.call.send.report_datagram(&blocks, now) {
            self.call.sender.send(datagram);
        }
    }

    fn publish_stats(&mut self, receiver: &Receiver) {
        if !is_due(&mut self.next_stats, clock::monotonic_now(), STATS_INTERVAL) {
            return;
        }
        let (gaps, overruns) = match self.call.sound.as_deref() {
            Some(SoundEnd::Device(device)) => (device.playback_gaps(), device.capture_overruns()),
            _ => (self.late_ticks, 0),
        };
        self.stats.playback_gaps = gaps;
        self.stats.capture_overruns = overruns;
        self.stats.sent_packets = self.call.send.sent_packets();
        self.stats.sent_bytes = self.call.send.sent_bytes();
        self.stats.kernel_drops = receiver.kernel_drops();
        self.stats.socket_errors = receiver.errors() + self.call.sender.errors();
        self.stats.receive = self.call.receive.report();
        self.stats.cpu = clock::thread_cpu();
        self.call.published.lock().expect("never poisoned").clone_from(&self.stats);
    }
}

/// True when `next` has come; then moves it on, past `now` if the thread was held up.
fn is_due(next: &mut Nanos, now: Nanos, interval: Nanos) -> bool {
    let due = now >= *next;
    if due {
        *next += interval * (1 + (now - *next) / interval);
    }
    due
}

fn send_frame(
    send: &mut SendChain,
    sender: &mut Sender,
    frame: &[f32; CAPTURE_FRAME],
    now: Nanos,
    first: &mut Option<Nanos>,
) {
    if let Some(datagram) = send.push(frame, now)
        && sender.send(datagram)
    {
        first.get_or_insert_with(clock::monotonic_now);
    }
}

/// What the relay says about our own packets.
fn link_report(rtcp: &[u8], ssrc: u32, arrival: Nanos) -> Option<LinkReport> {
    let packets = rtcp::parse(rtcp).ok()?;
    let mut blocks = packets.iter().flat_map(|packet| match packet {
        Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => blocks.as_slice(),
        Rtcp::Other { .. } => &[],
    });
    let block = blocks.find(|block| block.ssrc == ssrc)?;
    Some(LinkReport {
        uplink_loss_pct: f32::from(block.fraction_lost) * 100.0 / 256.0,
        round_trip_ms: round_trip_ms(block, arrival),
        jitter_ms: block.jitter as f32 / 48.0,
    })
}
