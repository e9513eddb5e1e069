//! What the engine thread does: one voice session, from its socket to its sound and back.
//!
//! The thread sleeps until the next tick (10 ms with sound, 20 ms without), reads what came, then plays, speaks and
//! reports. A clocked Sound is exact: its ticks and the packets between them are taken in the order of their times, so
//! a thread that was held up plays what it would have played in time, and only says so in `playback_gaps`. A sound card
//! wakes the thread: when it has captured a packet's sound, and when it has made room for more to play. A missed tick is
//! skipped: the card took its samples from the ring meanwhile, and what it did not find there is gone.

use std::sync::{Arc, Mutex};

use raccall_e2ee::EpochKeys;
use raccall_media::{
    Encryption, GateMode, ProcessReport, Processing, Processor, Pushed, ReceiveChain, ReceiveReport, Released,
    SendChain, Share,
};
use raccall_wire::Nanos;
use raccall_wire::discovery::parse_response;
use raccall_wire::transport::Mode;
use rtrb::Consumer;

use crate::bell;
use crate::clock;
use crate::link::Link;
use crate::path::Route;
use crate::share::{End, Player, SharedSound};
use crate::socket::Receiver;
use crate::sound::{CAPTURE_FRAME, LentEnd, PLAYBACK_FRAME, SoundEnd};
use crate::tap::TapWriter;

const NANOS_PER_MS: Nanos = 1_000_000;
const SOUND_TICK: Nanos = 10 * NANOS_PER_MS;
const LISTEN_TICK: Nanos = 20 * NANOS_PER_MS;
/// A card that has woken us does so again, mostly before that; much later it has run dry.
const CARD_PATIENCE: Nanos = 15 * NANOS_PER_MS;
const CARD_LATE: Nanos = 15 * NANOS_PER_MS;
const BATCH_INTERVAL: Nanos = 20 * NANOS_PER_MS;
const REPORT_INTERVAL: Nanos = 1000 * NANOS_PER_MS;
/// After a change of the route, or of the address, a few reports come faster: the relay trusts a new address from the
/// second packet on, sends it some 40 ms of voice before, and who only listens sends nothing else.
const HASTY_INTERVAL: Nanos = 40 * NANOS_PER_MS;
const HASTY_REPORTS: u32 = 5;
const STATS_INTERVAL: Nanos = 100 * NANOS_PER_MS;

/// A sound card with 20 ms buffered and one frame ahead would have run dry by now.
const LATE: Nanos = 30 * NANOS_PER_MS;

/// After this long (the program was stopped, the machine slept) a clocked Sound goes on from now instead of catching
/// up.
const LOST: Nanos = 2000 * NANOS_PER_MS;

/// Four packets missing in a row are more than jitter; the relay finds a listener again well within 200 ms.
const SILENCE: Nanos = 80 * NANOS_PER_MS;

/// Packets that tell how a silent talker's room sounds come in shorter runs, each 400 ms. They end by themselves.
const TALK: Nanos = 100 * NANOS_PER_MS;

/// A microphone that gave nothing for so long does not clock what is shared: it was unplugged, or there is none.
const NO_MICROPHONE: Nanos = 100 * NANOS_PER_MS;

/// What other threads ask for; taken at the next tick.
pub enum Command {
    SetMuted(bool),
    /// Nothing is heard; what comes is decoded all the same, so that hearing again begins at once.
    SetDeafened(bool),
    SetProcessing(Processing),
    SetGain {
        ssrc: u32,
        gain_db: f32,
    },
    SetGateMode(GateMode),
    /// The key of push-to-talk.
    SetPressed(bool),
    /// Mix a sound with what the microphone hears. `share` comes with the first.
    Play {
        sound: SharedSound,
        share: Option<Box<Share>>,
    },
    Rekey {
        mode: Mode,
        key: [u8; 32],
    },
    SetEncryption(Encryption),
    AddKeys(Arc<EpochKeys>),
    UseKeys(Arc<EpochKeys>),
    SetOwner {
        ssrc: u32,
        user_id: u64,
    },
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

pub struct Call {
    pub ssrc: u32,
    pub link: Link,
    pub send: SendChain,
    pub receive: ReceiveChain,
    pub sound: Option<LentEnd>,
    pub muted: bool,
    pub taps: Vec<TapWriter>,
    pub commands: Consumer<Command>,
    pub published: Arc<Mutex<Stats>>,
}

/// Runs the call until it is closed.
/// `tunnel`: where the tunnel's datagrams come from, if there is one.
pub fn run(call: Call, mut receiver: Receiver, mut tunnel: Option<Receiver>) {
    raccall_priority::real_time();
    if let Some(SoundEnd::Device(device)) = call.sound.as_deref() {
        device.answer();
    }
    let mut thread = Thread::new(call, clock::monotonic_now());
    while thread.take_commands() {
        receiver.receive_until(thread.next_tick, |datagram, arrival| thread.receive(Route::Udp, datagram, arrival));
        if let Some(tunnel) = &mut tunnel {
            tunnel.drain(|datagram, arrival| thread.receive(Route::Tunnel, datagram, arrival));
        }
        thread.catch_up(clock::monotonic_now());
        thread.publish_stats(&receiver, tunnel.as_ref());
    }
    thread.next_stats = 0;
    thread.publish_stats(&receiver, tunnel.as_ref());
}

struct Thread {
    call: Call,
    processor: Processor,
    player: Player,
    next_tick: Nanos,
    next_speech: Nanos,
    next_batch: Nanos,
    next_report: Nanos,
    next_stats: Nanos,
    hasty_reports: u32,
    /// When the first and the last voice packet of a run came; None once its end was noticed.
    heard: Option<(Nanos, Nanos)>,
    deafened: bool,
    late_ticks: u64,
    stats: Stats,
}

impl Thread {
    fn new(mut call: Call, now: Nanos) -> Self {
        call.send.set_muted(call.muted);
        Self {
            call,
            processor: Processor::default(),
            player: Player::default(),
            next_tick: now,
            next_speech: now,
            next_batch: now,
            next_report: now,
            next_stats: now,
            hasty_reports: 0,
            heard: None,
            deafened: false,
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
                    if muted {
                        self.player.stop_all(End::Muted);
                    }
                }
                Command::Play { sound, share } => {
                    share.into_iter().for_each(|share| self.call.send.set_share(share));
                    self.player.add(sound);
                    if self.call.muted {
                        self.player.stop_all(End::Muted);
                    }
                }
                Command::SetDeafened(deafened) => self.deafened = deafened,
                Command::SetProcessing(processing) => self.processor.set(&processing),
                Command::SetGateMode(mode) => self.call.send.set_gate_mode(mode),
                Command::SetPressed(pressed) => self.call.send.set_pressed(pressed),
                Command::SetGain { ssrc, gain_db } => self.call.receive.set_gain_db(ssrc, gain_db),
                Command::Rekey { mode, key } => {
                    self.call.send.rekey(mode, &key);
                    self.call.receive.rekey(mode, &key, clock::monotonic_now());
                    self.next_report = self.next_tick; // the relay seals with the new key once it has met it
                }
                Command::SetEncryption(encryption) => {
                    self.call.send.set_encryption(encryption);
                    self.call.receive.set_encryption(encryption, clock::monotonic_now());
                }
                Command::AddKeys(keys) => self.call.receive.add_keys(keys, clock::monotonic_now()),
                Command::UseKeys(keys) => {
                    self.call.receive.use_keys(&keys, clock::monotonic_now());
                    self.call.send.use_keys(&keys);
                }
                Command::SetOwner { ssrc, user_id } => {
                    self.call.receive.set_owner(ssrc, user_id, clock::monotonic_now());
                }
                Command::OpenTap(tap) => self.call.taps.push(tap),
                Command::Close => return false,
            }
        }
        self.release();
        !self.call.commands.is_abandoned()
    }

    /// Hands on what had to wait for its key, with the time when it came.
    fn release(&mut self) {
        while let Some(released) = self.call.receive.next_released() {
            let Released { arrival, ssrc, extended_sequence, extended_timestamp, plain } = released;
            for tap in &mut self.call.taps {
                tap.push(arrival, ssrc, extended_sequence, extended_timestamp, &plain);
            }
        }
    }

    fn is_clocked(&self) -> bool {
        matches!(self.call.sound.as_deref(), Some(SoundEnd::Clocked(_)))
    }

    fn has_card(&self) -> bool {
        matches!(self.call.sound.as_deref(), Some(SoundEnd::Device(_)))
    }

    fn receive(&mut self, by: Route, datagram: &[u8], arrival: Nanos) {
        if parse_response(datagram).is_some_and(|(ssrc, _)| ssrc == self.call.ssrc) {
            return self.call.link.answered(by, arrival);
        }
        if self.is_clocked() && arrival.saturating_sub(self.next_tick) < LOST {
            self.tick_until(arrival);
        }
        match self.call.receive.push(datagram, arrival) {
            Pushed::Packet { plain, ssrc, extended_sequence, extended_timestamp } => {
                self.stats.received_packets += 1;
                self.heard = prolonged(self.heard, arrival);
                for tap in &mut self.call.taps {
                    tap.push(arrival, ssrc, extended_sequence, extended_timestamp, plain);
                }
            }
            Pushed::Held => {
                self.stats.received_packets += 1;
                self.heard = prolonged(self.heard, arrival);
                self.release();
            }
            Pushed::Rtcp(plain) => {
                if let Some(link) = self.call.send.take_rtcp(plain, arrival) {
                    self.call.link.answered(by, arrival);
                    self.stats.uplink_loss_pct = Some(link.uplink_loss_pct);
                    self.stats.uplink_jitter_ms = link.jitter_ms;
                    self.stats.uplink_queue_ms = link.queue.map_or(0.0, |queue| queue.standing_ms);
                    self.stats.heard_loss_pct = link.heard_loss_pct;
                    self.stats.round_trip_ms = link.round_trip_ms.or(self.stats.round_trip_ms);
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
        } else if bell::IS_HEARD && self.has_card() {
            self.late_ticks += u64::from(late > CARD_LATE);
            self.tick(now);
            self.next_tick = now + CARD_PATIENCE;
        } else if now >= self.next_tick {
            self.late_ticks += u64::from(self.is_clocked() || late > LATE);
            self.tick(now);
            let tick = if self.call.sound.is_some() { SOUND_TICK } else { LISTEN_TICK };
            self.next_tick += tick * (1 + late / tick);
        }
        if self.call.link.tick(self.call.ssrc, now) || self.fell_silent(now) {
            self.hasty_reports = HASTY_REPORTS;
            self.next_report = now;
        }
    }

    /// Whether everyone who talked has just fallen silent, told once. Mostly a pause; but perhaps a NAT has given us another port, or
    /// the network another address. Who only listens would be sought at the old one until the next report: so report.
    fn fell_silent(&mut self, now: Nanos) -> bool {
        let run = self.heard.take_if(|(_, last)| now.saturating_sub(*last) > SILENCE);
        run.is_some_and(|(first, last)| last.saturating_sub(first) >= TALK)
    }

    fn tick_until(&mut self, now: Nanos) {
        while self.next_tick <= now {
            self.tick(self.next_tick);
            self.next_tick += SOUND_TICK;
        }
    }

    fn tick(&mut self, now: Nanos) {
        self.call.receive.tend(now);
        self.release();
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
        let interval = if self.hasty_reports > 0 { HASTY_INTERVAL } else { REPORT_INTERVAL };
        if is_due(&mut self.next_report, now, interval) {
            self.hasty_reports = self.hasty_reports.saturating_sub(1);
            self.report(now);
        }
    }

    fn play(&mut self, now: Nanos) {
        let Some(sound) = self.call.sound.as_deref_mut() else { return };
        let (receive, player, deafened) = (&mut self.call.receive, &mut self.player, self.deafened);
        let mut hear = |now, frame: &mut [f32]| {
            receive.set_channels(frame.len() / PLAYBACK_FRAME);
            receive.pull(now, frame);
            player.monitor(frame);
            if deafened {
                frame.fill(0.0);
            }
        };
        match sound {
            SoundEnd::Device(device) => device.play(now, hear),
            SoundEnd::Clocked(clocked) => {
                let mut both = [0.0; 2 * PLAYBACK_FRAME];
                let frame = &mut both[..clocked.playback_channels() * PLAYBACK_FRAME];
                hear(now, frame);
                clocked.play(frame);
            }
        }
    }

    fn speak(&mut self, now: Nanos) {
        let Call { sound, send, link, .. } = &mut self.call;
        let (processor, player) = (&mut self.processor, &mut self.player);
        let first = &mut self.stats.first_sent;
        let mut frame = [0.0; CAPTURE_FRAME];
        match sound.as_deref_mut() {
            None => {}
            Some(SoundEnd::Device(device)) => {
                if device.look(now) {
                    processor.reset();
                }
                while device.capture(&mut frame) {
                    send.catch_up(now);
                    let (halves, _) = frame.as_chunks_mut::<PLAYBACK_FRAME>();
                    for (half, to_come) in halves.iter_mut().zip([PLAYBACK_FRAME, 0]) {
                        let mut far = [0.0; PLAYBACK_FRAME];
                        device.far_end(&mut far, to_come);
                        processor.reverse(&far);
                        processor.capture(half);
                    }
                    send_frame(send, link, player, &frame, now, first);
                    self.next_speech = now + NO_MICROPHONE;
                }
                if player.is_playing() && is_due(&mut self.next_speech, now, 2 * SOUND_TICK) {
                    send.catch_up(now);
                    send_frame(send, link, player, &[0.0; CAPTURE_FRAME], now, first);
                }
            }
            Some(SoundEnd::Clocked(clocked)) => {
                let mut both = [0.0; 2 * CAPTURE_FRAME];
                let is_mono = clocked.channels() == 1;
                let frame = if is_mono { &mut frame[..] } else { &mut both[..] };
                // All was spoken: timestamps go on, as for a muted microphone.
                if !clocked.capture(frame) {
                    frame.fill(0.0);
                    send.set_muted(true);
                }
                if is_mono {
                    frame.as_chunks_mut::<PLAYBACK_FRAME>().0.iter_mut().for_each(|half| processor.capture(half));
                }
                send_frame(send, link, player, frame, now, first);
            }
        }
    }

    fn report(&mut self, now: Nanos) {
        let blocks = self.call.receive.report_blocks();
        if let Some(datagram) = self.call.send.report_datagram(&blocks, now) {
            self.call.link.send(datagram);
        }
    }

    fn publish_stats(&mut self, receiver: &Receiver, tunnel: Option<&Receiver>) {
        if !is_due(&mut self.next_stats, clock::monotonic_now(), STATS_INTERVAL) {
            return;
        }
        let (gaps, overruns) = match self.call.sound.as_deref() {
            Some(SoundEnd::Device(device)) => {
                (self.stats.drift_ppm, self.stats.echo_jumps) = device.echo_path();
                (device.playback_gaps(), device.capture_overruns())
            }
            _ => (self.late_ticks, 0),
        };
        self.stats.processing = self.processor.report();
        self.stats.playback_gaps = gaps;
        self.stats.late_ticks = self.late_ticks;
        self.stats.capture_overruns = overruns;
        self.stats.sent_packets = self.call.send.sent_packets();
        self.stats.bitrate_bps = self.call.send.bitrate_bps();
        self.stats.frame_ms = self.call.send.frame_ms();
        self.stats.held_frames = self.call.send.held_frames();
        self.stats.input_level_db = self.call.send.level_db();
        self.stats.sending = self.call.send.is_open();
        (self.stats.encrypted_frames, self.stats.unsent_frames) = self.call.send.encryption_counts();
        self.stats.sent_bytes = self.call.send.sent_bytes();
        let both = |count: fn(&Receiver) -> u64| count(receiver) + tunnel.map_or(0, count);
        self.stats.kernel_drops = both(Receiver::kernel_drops);
        self.stats.socket_errors = both(Receiver::errors) + self.call.link.errors();
        self.stats.route = self.call.link.route();
        self.stats.route_changes = self.call.link.route_changes();
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
    link: &mut Link,
    player: &mut Player,
    frame: &[f32],
    now: Nanos,
    first: &mut Option<Nanos>,
) {
    let shared = if send.may_share() { player.pull() } else { None };
    let mut datagram = match shared {
        Some(shared) => send.push_shared(frame, shared, now),
        None => send.push(frame, now),
    };
    loop {
        if datagram.is_some_and(|datagram| link.send(datagram)) {
            first.get_or_insert_with(clock::monotonic_now);
        }
        if !send.has_more() {
            return;
        }
        datagram = send.more(now);
    }
}

fn prolonged(run: Option<(Nanos, Nanos)>, arrival: Nanos) -> Option<(Nanos, Nanos)> {
    Some((run.map_or(arrival, |(first, _)| first), arrival))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use raccall_media::{ReceiveConfig, SendConfig};
    use raccall_wire::rtcp::{self, ReportBlock, Rtcp};
    use raccall_wire::transport::Cipher;

    use super::*;
    use crate::socket;
    use crate::sound::tests::TURN;
    use crate::sound::{DataCallbacks, Sound};

    const MODE: Mode = Mode::Aes256GcmRtpSize;
    const KEY: [u8; 32] = [1; 32];
    const START: Nanos = 1_000 * NANOS_PER_MS;

    fn send_config(ssrc: u32) -> SendConfig {
        SendConfig {
            ssrc,
            mode: MODE,
            key: KEY,
            bitrate_bps: 32_000,
            complexity: 0,
            expected_loss_pct: 0,
            lbrr: false,
            dred_ms: 0,
            dtx: false,
            music: false,
            channels: 1,
            first_sequence: 65_530,
            first_timestamp: 0,
        }
    }

    /// The thread's work, stepped by hand, with a clocked Sound; and the relay's end of its socket.
    fn thread(sound: &Sound) -> (Thread, UdpSocket) {
        let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
        relay.set_nonblocking(true).unwrap();
        let (socket, _) = socket::connect(relay.local_addr().unwrap(), 1 << 16).unwrap();
        let receive = ReceiveConfig {
            mode: MODE,
            key: KEY,
            deep_plc: false,
            min_target_ms: 20,
            max_target_ms: 200,
            source_timeout_ms: 30_000,
        };
        let call = Call {
            ssrc: 1,
            link: Link::new(socket::split(socket).unwrap().0, None, Route::Udp, START),
            send: SendChain::new(send_config(1)).unwrap(),
            receive: ReceiveChain::new(receive),
            sound: sound.lend_end(),
            muted: false,
            taps: Vec::new(),
            commands: rtrb::RingBuffer::new(1).1,
            published: Arc::default(),
        };
        (Thread::new(call, START), relay)
    }

    fn loud_frames(samples: &[f32]) -> Vec<usize> {
        let loud = |frame: &[f32]| frame.iter().any(|sample| sample.abs() > 0.1);
        samples.chunks(PLAYBACK_FRAME).enumerate().filter(|(_, frame)| loud(frame)).map(|(i, _)| i).collect()
    }

    #[test]
    fn a_thread_that_was_held_up_plays_what_it_would_have_played_in_time() {
        let mut talker = SendChain::new(send_config(2)).unwrap();
        let tone: Vec<f32> = (0..48_000).map(|i| 0.5 * (i as f32 * 0.06).sin()).collect();
        let datagrams: Vec<_> = tone
            .chunks(CAPTURE_FRAME)
            .zip(0..)
            .map(|(frame, i)| (talker.push(frame, 0).unwrap().to_vec(), START + 20 * NANOS_PER_MS * i))
            .collect();
        let mut played = [true, false].map(|in_time| {
            let sound = Sound::clocked(None, true);
            let (mut thread, _relay) = thread(&sound);
            for (datagram, arrival) in &datagrams {
                thread.receive(Route::Udp, datagram, *arrival);
                if in_time {
                    thread.catch_up(*arrival);
                }
            }
            thread.catch_up(START + 1_990 * NANOS_PER_MS);
            assert_eq!(thread.late_ticks, 1, "the last second was waited for in one piece");
            sound.read_playback().unwrap()
        });
        assert_eq!(played[0].len(), 96_000);
        assert!(loud_frames(&played[0]).len() > 95);
        let late = std::mem::take(&mut played[1]);
        assert!(late == played[0], "the same samples, whenever the thread ran");
    }

    #[test]
    fn a_listener_to_whom_all_falls_silent_reports_at_once_and_again() {
        let mut talker = SendChain::new(send_config(2)).unwrap();
        let mut voice = || talker.push(&[0.1; CAPTURE_FRAME], 0).unwrap().to_vec();
        let sound = Sound::clocked(None, false);
        let (mut thread, relay) = thread(&sound);
        let mut buffer = [0; 2048];
        let mut reports_until = |thread: &mut Thread, ms: Nanos| {
            thread.catch_up(START + ms * NANOS_PER_MS);
            std::iter::from_fn(|| relay.recv(&mut buffer).ok()).count()
        };
        reports_until(&mut thread, 100);
        for ms in [100, 120] {
            thread.receive(Route::Udp, &voice(), START + ms * NANOS_PER_MS);
        }
        assert_eq!(reports_until(&mut thread, 300), 0, "a packet about a silent room, and the end of it");
        for ms in (300..=400).step_by(20) {
            thread.receive(Route::Udp, &voice(), START + ms * NANOS_PER_MS);
        }
        assert_eq!(reports_until(&mut thread, 480), 0);
        assert!(reports_until(&mut thread, 490) + reports_until(&mut thread, 500) >= 1, "where are you?");
        assert!(reports_until(&mut thread, 560) >= 1, "a second one proves the new address");
        let later = reports_until(&mut thread, 900);
        assert!(later <= HASTY_REPORTS as usize, "a pause of the others costs little: {later}");
    }

    #[test]
    fn a_clocked_microphone_sends_every_frame_however_late() {
        let sound = Sound::clocked(Some(vec![0.1; 48_000]), false);
        let (mut thread, relay) = thread(&sound);
        thread.catch_up(START);
        thread.catch_up(START + 1_500 * NANOS_PER_MS);
        let (mut voice, mut buffer) = (0, [0; 2048]);
        while let Ok(bytes) = relay.recv(&mut buffer) {
            voice += usize::from(bytes > 1 && buffer[1] & 0x7F == 120);
        }
        assert_eq!((voice, sound.capture_done()), (51, true));
    }

    #[test]
    fn after_the_machine_slept_a_clocked_sound_goes_on_from_now() {
        let sound = Sound::clocked(None, true);
        let (mut thread, _relay) = thread(&sound);
        let woken = START + 3_600_000 * NANOS_PER_MS;
        thread.catch_up(woken);
        assert_eq!((sound.read_playback().unwrap().len(), thread.late_ticks), (PLAYBACK_FRAME, 1));
        assert!(woken < thread.next_tick && thread.next_tick <= woken + SOUND_TICK);
    }

    #[test]
    fn what_a_loudspeaker_plays_is_not_sent_back() {
        the_echo_is_cancelled(1);
    }

    #[test]
    fn what_two_loudspeakers_play_is_not_sent_back() {
        the_echo_is_cancelled(2);
    }

    /// A card with so many channels, of which a microphone hears the sum, by halves.
    fn the_echo_is_cancelled(channels: usize) {
        let _turn = TURN.lock();
        let music = channels == 2;
        let config = SendConfig { channels: channels as u8, music, bitrate_bps: 96_000, ..send_config(2) };
        let mut talker = SendChain::new(config).unwrap();
        let mut seed = 1u32;
        let mut loudness = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.3 * ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0)
        };
        let sound = Sound::device().unwrap();
        let (mut thread, _relay) = thread(&sound);
        let DataCallbacks { capture, mono_playback, stereo_playback } = sound.callbacks().unwrap();
        let playback = if channels == 1 { mono_playback } else { stereo_playback };
        let mut in_the_air = std::collections::VecDeque::from(vec![[0f32; PLAYBACK_FRAME]; 4]);
        let mut sent_db = |thread: &mut Thread, from_ms: Nanos, to_ms: Nanos| {
            for ms in (from_ms..to_ms).step_by(10) {
                let now = START + ms * NANOS_PER_MS;
                if ms % 20 == 0 {
                    let voice: Vec<f32> = (0..CAPTURE_FRAME * channels).map(|_| loudness()).collect();
                    let datagram = talker.push(&voice, now).unwrap().to_vec();
                    thread.receive(Route::Udp, &datagram, now);
                }
                let mut played = [0f32; 2 * PLAYBACK_FRAME];
                playback(std::ptr::null_mut(), played.as_mut_ptr().cast(), std::ptr::null(), PLAYBACK_FRAME as u32);
                let mut frames = played.chunks(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32);
                in_the_air.push_back(std::array::from_fn(|_| 0.5 * frames.next().unwrap()));
                let heard = in_the_air.pop_front().unwrap();
                capture(std::ptr::null_mut(), std::ptr::null_mut(), heard.as_ptr().cast(), PLAYBACK_FRAME as u32);
                thread.catch_up(now);
            }
            thread.call.send.level_db()
        };
        let echo_db = sent_db(&mut thread, 0, 1_000);
        thread.processor.set(&Processing { echo: true, ..Processing::default() });
        let left_db = sent_db(&mut thread, 1_000, 3_000);
        assert!(echo_db > -40.0 && left_db < echo_db - 30.0, "{echo_db} dB, then {left_db}");
        let Some(SoundEnd::Device(device)) = thread.call.sound.as_deref() else { unreachable!() };
        assert_eq!(device.echo_path().1, 1, "the canceller never lost its reference");
        let delay_ms = thread.processor.report().echo_delay_ms.unwrap();
        assert!((10..80).contains(&delay_ms), "{delay_ms} ms");
    }

    /// Voice packets that reached the relay.
    fn voices(relay: &UdpSocket) -> usize {
        let mut buffer = [0; 2048];
        let packets =
            std::iter::from_fn(|| relay.recv(&mut buffer).ok().map(|bytes| bytes > 1 && buffer[1] & 0x7F == 120));
        packets.filter(|is_voice| *is_voice).count()
    }

    #[test]
    fn what_is_played_is_sent_without_a_microphone_until_a_mute() {
        let _turn = TURN.lock();
        let sound = Sound::device().unwrap();
        let (mut thread, relay) = thread(&sound);
        let (mut commands, taken) = rtrb::RingBuffer::new(4);
        thread.call.commands = taken;
        let (feed, shared) = crate::share::shared_sound(0.0, false);
        feed.write(&[0.2; 96_000]);
        let share = Some(Box::new(Share::new(1, 0, 0).unwrap()));
        commands.push(Command::Play { sound: shared, share }).ok();
        let run = |thread: &mut Thread, from_ms: Nanos, to_ms: Nanos| {
            assert!(thread.take_commands());
            (from_ms..to_ms).step_by(10).for_each(|ms| thread.catch_up(START + ms * NANOS_PER_MS));
            voices(&relay)
        };
        let played = run(&mut thread, 0, 400);
        assert!((18..=21).contains(&played), "a card that gives nothing clocks nothing: {played}");
        commands.push(Command::SetMuted(true)).ok();
        assert!(run(&mut thread, 400, 800) <= 1);
        assert_eq!(feed.end(), Some(End::Muted));
        let (feed, shared) = crate::share::shared_sound(0.0, false);
        commands.push(Command::Play { sound: shared, share: None }).ok();
        run(&mut thread, 800, 900);
        assert_eq!(feed.end(), Some(End::Muted), "who is muted plays nothing");
    }

    #[test]
    fn the_relays_report_about_us_becomes_loss_and_round_trip() {
        let sound = Sound::clocked(None, false);
        let (mut thread, _relay) = thread(&sound);
        let sent = START;
        let last_sr = (raccall_media::ntp_of(sent) >> 16) as u32;
        let about = |ssrc, fraction_lost| ReportBlock { ssrc, fraction_lost, last_sr, ..ReportBlock::default() };
        let report = Rtcp::ReceiverReport { ssrc: 9, blocks: vec![about(5, 255), about(1, 128)] };
        let (mut plain, mut datagram) = (Vec::new(), Vec::new());
        rtcp::write(&report, &mut plain);
        Cipher::new(MODE, &KEY).seal(&plain, [0, 0, 0, 1], &mut datagram).unwrap();
        thread.receive(Route::Udp, &datagram, sent + 40 * NANOS_PER_MS);
        assert_eq!(thread.stats.uplink_loss_pct, Some(50.0));
        assert!((thread.stats.round_trip_ms.unwrap() - 40.0).abs() < 0.1);
    }
}
