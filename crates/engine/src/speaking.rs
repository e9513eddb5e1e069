//! The way out: 20 ms at a time from the sound to the link. What a microphone hears is freed of echo and noise; what its member plays joins it.

use raccall_media::{Processor, SendChain, Share};
use raccall_wire::Nanos;
use raccall_wire::rtcp::ReportBlock;

use crate::clock::{self, NANOS_PER_MS};
use crate::link::Link;
use crate::share::{End, Player, SharedSound};
use crate::sound::{CAPTURE_FRAME, ClockedEnd, DeviceEnd, PLAYBACK_FRAME, SoundEnd};
use crate::stats::Stats;
use crate::timer::Timer;

const FRAME: Nanos = 20 * NANOS_PER_MS;

/// A microphone that gave nothing for so long does not clock what is shared: it was unplugged, or there is none.
const NO_MICROPHONE: Nanos = 100 * NANOS_PER_MS;

pub struct Speaking {
    pub chain: SendChain,
    pub processor: Processor,
    pub player: Player,
    muted: bool,
    /// The next frame that no microphone clocks.
    next: Timer,
    /// When the first voice packet left.
    first_sent: Option<Nanos>,
}

impl Speaking {
    pub fn new(chain: SendChain, muted: bool, now: Nanos) -> Self {
        let (processor, player) = (Processor::default(), Player::default());
        let mut speaking = Self { chain, processor, player, muted, next: Timer::new(now), first_sent: None };
        speaking.set_muted(muted);
        speaking
    }

    /// A mute ends what is played.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
        self.chain.set_muted(muted);
        if muted {
            self.player.stop_all(End::Muted);
        }
    }

    /// Mixes a sound with what the microphone hears. Who is muted plays nothing.
    pub fn play(&mut self, sound: SharedSound, share: Option<Box<Share>>) {
        share.into_iter().for_each(|share| self.chain.set_share(share));
        self.player.add(sound);
        if self.muted {
            self.player.stop_all(End::Muted);
        }
    }

    /// Sends what there is to say at `now`.
    pub fn speak(&mut self, sound: &mut SoundEnd, link: &mut Link, now: Nanos) {
        match sound {
            SoundEnd::Device(device) => self.speak_live(device, link, now),
            SoundEnd::Clocked(clocked) => self.speak_recording(clocked, link, now),
        }
    }

    fn speak_live(&mut self, device: &mut DeviceEnd, link: &mut Link, now: Nanos) {
        if device.look(now) {
            self.processor.reset();
        }
        let mut frame = [0.0; CAPTURE_FRAME];
        while device.capture(&mut frame) {
            self.chain.catch_up(now);
            let (halves, _) = frame.as_chunks_mut::<PLAYBACK_FRAME>();
            for (half, to_come) in halves.iter_mut().zip([PLAYBACK_FRAME, 0]) {
                let mut far = [0.0; PLAYBACK_FRAME];
                device.far_end(&mut far, to_come);
                self.processor.reverse(&far);
                self.processor.capture(half);
            }
            self.send(&frame, link, now);
            self.next.set(now + NO_MICROPHONE);
        }
        if self.player.is_playing() && self.next.is_due(now, FRAME) {
            self.chain.catch_up(now);
            self.send(&[0.0; CAPTURE_FRAME], link, now);
        }
    }

    fn speak_recording(&mut self, clocked: &mut ClockedEnd, link: &mut Link, now: Nanos) {
        if !self.next.is_due(now, FRAME) {
            return;
        }
        let mut both = [0.0; 2 * CAPTURE_FRAME];
        let frame = &mut both[..clocked.channels() * CAPTURE_FRAME];
        if !clocked.capture(frame) {
            // All was spoken: timestamps go on, as for a muted microphone.
            frame.fill(0.0);
            self.chain.set_muted(true);
        }
        if clocked.channels() == 1 {
            frame.as_chunks_mut::<PLAYBACK_FRAME>().0.iter_mut().for_each(|half| self.processor.capture(half));
        }
        self.send(frame, link, now);
    }

    fn send(&mut self, frame: &[f32], link: &mut Link, now: Nanos) {
        let shared = if self.chain.may_share() { self.player.pull() } else { None };
        let mut datagram = match shared {
            Some(shared) => self.chain.push_shared(frame, shared, now),
            None => self.chain.push(frame, now),
        };
        loop {
            if datagram.is_some_and(|datagram| link.send(datagram)) {
                self.first_sent.get_or_insert_with(clock::monotonic_now);
            }
            if !self.chain.has_more() {
                return;
            }
            datagram = self.chain.more(now);
        }
    }

    /// Sends a report about us, and about whom we hear.
    pub fn report(&mut self, blocks: &[ReportBlock], link: &mut Link, now: Nanos) {
        if let Some(datagram) = self.chain.report_datagram(blocks, now) {
            link.send(datagram);
        }
    }

    pub fn tell(&self, stats: &mut Stats) {
        stats.first_sent = self.first_sent;
        stats.sent_packets = self.chain.sent_packets();
        stats.sent_bytes = self.chain.sent_bytes();
        stats.bitrate_bps = self.chain.bitrate_bps();
        stats.frame_ms = self.chain.frame_ms();
        stats.held_frames = self.chain.held_frames();
        stats.input_level_db = self.chain.level_db();
        stats.sending = self.chain.is_open();
        (stats.encrypted_frames, stats.unsent_frames) = self.chain.encryption_counts();
        stats.processing = self.processor.report();
    }
}
