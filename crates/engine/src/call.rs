//! What the engine thread does: one voice session, from its socket to its sound and back.
//!
//! The thread sleeps until the next tick (10 ms with sound, 20 ms without), reads what came, then plays (`listening.rs`), speaks
//! (`speaking.rs`) and reports (`reports.rs`). A clocked Sound is exact: its ticks and the packets between them are taken in the order of their
//! times, so a thread that was held up plays what it would have played in time, and only says so in `playback_gaps`. A sound card
//! wakes the thread: when it has captured a packet's sound, and when it has made room for more to play. A missed tick is
//! skipped: the card took its samples from the ring meanwhile, and what it did not find there is gone.

use std::sync::{Arc, Mutex};

use raccall_media::{ReceiveChain, SendChain};
use raccall_wire::Nanos;
use raccall_wire::discovery::parse_response;
use rtrb::Consumer;

use crate::bell;
use crate::clock::{self, NANOS_PER_MS};
use crate::command::Command;
use crate::link::Link;
use crate::listening::{Listening, Received};
use crate::path::Route;
use crate::reports::Reports;
use crate::socket::Receiver;
use crate::sound::{LentEnd, SoundEnd};
use crate::speaking::Speaking;
use crate::stats::Stats;
use crate::tap::TapWriter;
use crate::timer::Timer;

const SOUND_TICK: Nanos = 10 * NANOS_PER_MS;
const LISTEN_TICK: Nanos = 20 * NANOS_PER_MS;
const BATCH_INTERVAL: Nanos = 20 * NANOS_PER_MS;
const STATS_INTERVAL: Nanos = 100 * NANOS_PER_MS;

/// A card that has woken us does so again, mostly before that; much later it has run dry.
const CARD_PATIENCE: Nanos = 15 * NANOS_PER_MS;
const CARD_LATE: Nanos = 15 * NANOS_PER_MS;

/// A sound card with 20 ms buffered and one frame ahead would have run dry by now.
const LATE: Nanos = 30 * NANOS_PER_MS;

/// After this long (the program was stopped, the machine slept) a clocked Sound goes on from now instead of catching
/// up.
const LOST: Nanos = 2000 * NANOS_PER_MS;

/// What a call is made of.
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
    match call.sound {
        Some(_) => raccall_priority::real_time(),
        None => raccall_priority::ahead(), // the kernel has stamped what comes, and keeps it for seconds
    }
    if let Some(SoundEnd::Device(device)) = call.sound.as_deref() {
        device.answer();
    }
    let mut thread = Thread::new(call, clock::monotonic_now());
    while thread.take_commands() {
        receiver.receive_until(thread.next_tick, |datagram, arrival| thread.receive(Route::Udp, datagram, arrival));
        if let Some(tunnel) = &mut tunnel {
            tunnel.drain(|datagram, arrival| thread.receive(Route::Tunnel, datagram, arrival));
        }
        let now = clock::monotonic_now();
        thread.catch_up(now);
        if thread.next_stats.is_due(now, STATS_INTERVAL) {
            thread.gather_stats(&receiver, tunnel.as_ref());
            thread.publish();
        }
    }
    thread.gather_stats(&receiver, tunnel.as_ref());
    thread.published.lock().expect("never poisoned").clone_from(&thread.stats); // the last ones must arrive
}

struct Thread {
    ssrc: u32,
    link: Link,
    speaking: Speaking,
    listening: Listening,
    sound: Option<LentEnd>,
    reports: Reports,
    commands: Consumer<Command>,
    next_tick: Nanos,
    next_batch: Timer,
    next_stats: Timer,
    late_ticks: u64,
    stats: Stats,
    published: Arc<Mutex<Stats>>,
}

impl Thread {
    fn new(call: Call, now: Nanos) -> Self {
        Self {
            ssrc: call.ssrc,
            link: call.link,
            speaking: Speaking::new(call.send, call.muted, now),
            listening: Listening::new(call.receive, call.taps),
            sound: call.sound,
            reports: Reports::new(now),
            commands: call.commands,
            next_tick: now,
            next_batch: Timer::new(now),
            next_stats: Timer::new(now),
            late_ticks: 0,
            stats: Stats::default(),
            published: call.published,
        }
    }

    /// False once the engine is closed, or its owner gone.
    fn take_commands(&mut self) -> bool {
        while let Ok(command) = self.commands.pop() {
            if matches!(command, Command::Close) {
                return false;
            }
            self.obey(command, clock::monotonic_now());
        }
        self.listening.release();
        !self.commands.is_abandoned()
    }

    fn obey(&mut self, command: Command, now: Nanos) {
        let (speaking, listening) = (&mut self.speaking, &mut self.listening);
        match command {
            Command::SetMuted(muted) => speaking.set_muted(muted),
            Command::SetDeafened(deafened) => listening.set_deafened(deafened),
            Command::SetProcessing(processing) => speaking.processor.set(&processing),
            Command::SetGain { ssrc, gain_db } => listening.chain.set_gain_db(ssrc, gain_db),
            Command::SetGateMode(mode) => speaking.chain.set_gate_mode(mode),
            Command::SetPressed(pressed) => speaking.chain.set_pressed(pressed),
            Command::Play { sound, share } => speaking.play(sound, share),
            Command::Rekey { mode, key } => {
                speaking.chain.rekey(mode, &key);
                listening.chain.rekey(mode, &key, now);
                self.reports.expect(self.next_tick); // the relay seals with the new key once it has met it
            }
            Command::SetEncryption(encryption) => {
                speaking.chain.set_encryption(encryption);
                listening.chain.set_encryption(encryption, now);
            }
            Command::AddKeys(keys) => listening.chain.add_keys(keys, now),
            Command::UseKeys(keys) => {
                listening.chain.use_keys(&keys, now);
                speaking.chain.use_keys(&keys);
            }
            Command::SetOwner { ssrc, user_id } => listening.chain.set_owner(ssrc, user_id, now),
            Command::OpenTap(tap) => listening.open_tap(tap),
            Command::Close => unreachable!("ends the thread before it is obeyed"),
        }
    }

    fn is_clocked(&self) -> bool {
        matches!(self.sound.as_deref(), Some(SoundEnd::Clocked(_)))
    }

    fn has_card(&self) -> bool {
        matches!(self.sound.as_deref(), Some(SoundEnd::Device(_)))
    }

    fn receive(&mut self, by: Route, datagram: &[u8], arrival: Nanos) {
        if parse_response(datagram).is_some_and(|(ssrc, _)| ssrc == self.ssrc) {
            return self.link.answered(by, arrival);
        }
        if self.is_clocked() && arrival.saturating_sub(self.next_tick) < LOST {
            self.tick_until(arrival);
        }
        match self.listening.receive(datagram, arrival) {
            Received::Voice => {
                self.listening.release();
                self.reports.hear(arrival);
            }
            Received::Rtcp(plain) => {
                if let Some(report) = self.speaking.chain.take_rtcp(plain, arrival) {
                    self.link.answered(by, arrival);
                    self.stats.take(&report);
                }
            }
            Received::Refused => {}
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
            let tick = if self.sound.is_some() { SOUND_TICK } else { LISTEN_TICK };
            self.next_tick += tick * (1 + late / tick);
        }
        if self.link.tick(self.ssrc, now) {
            self.reports.hurry(now);
        }
        self.reports.look(now);
    }

    fn tick_until(&mut self, now: Nanos) {
        while self.next_tick <= now {
            self.tick(self.next_tick);
            self.next_tick += SOUND_TICK;
        }
    }

    fn tick(&mut self, now: Nanos) {
        self.listening.chain.tend(now);
        self.listening.release();
        if let Some(sound) = self.sound.as_deref_mut() {
            self.listening.play(sound, &mut self.speaking.player, now);
            self.speaking.speak(sound, &mut self.link, now);
        }
        if self.next_batch.is_due(now, BATCH_INTERVAL) {
            self.listening.publish();
        }
        if self.reports.is_due(now) {
            self.speaking.report(&self.listening.chain.report_blocks(), &mut self.link, now);
        }
    }

    fn gather_stats(&mut self, receiver: &Receiver, tunnel: Option<&Receiver>) {
        let stats = &mut self.stats;
        self.speaking.tell(stats);
        self.listening.tell(stats);
        stats.late_ticks = self.late_ticks;
        stats.playback_gaps = self.late_ticks; // a card counts its own
        if let Some(SoundEnd::Device(device)) = self.sound.as_deref() {
            device.tell(stats);
        }
        let both = |count: fn(&Receiver) -> u64| count(receiver) + tunnel.map_or(0, count);
        stats.kernel_drops = both(Receiver::kernel_drops);
        stats.socket_errors = both(Receiver::errors) + self.link.errors();
        stats.route = self.link.route();
        stats.route_changes = self.link.route_changes();
        stats.cpu = clock::thread_cpu();
    }

    /// Unless somebody is just reading them, who has no such priority and may be kept from going on: then the next ones.
    fn publish(&self) {
        if let Ok(mut published) = self.published.try_lock() {
            published.clone_from(&self.stats);
        }
    }
}

#[cfg(test)]
mod tests;
