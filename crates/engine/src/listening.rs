//! The way in: what comes is opened and goes to the taps, and 10 ms at a time of it, decoded and mixed, to the loudspeaker.

use raccall_media::{Pushed, ReceiveChain, Released};
use raccall_wire::Nanos;

use crate::share::Player;
use crate::sound::{PLAYBACK_FRAME, SoundEnd};
use crate::stats::Stats;
use crate::tap::TapWriter;

/// What a datagram was.
pub enum Received<'a> {
    Voice,
    /// Opened.
    Rtcp(&'a [u8]),
    /// Nothing for us; the chain has counted it.
    Refused,
}

pub struct Listening {
    pub chain: ReceiveChain,
    taps: Vec<TapWriter>,
    deafened: bool,
    received_packets: u64,
}

impl Listening {
    pub fn new(chain: ReceiveChain, taps: Vec<TapWriter>) -> Self {
        Self { chain, taps, deafened: false, received_packets: 0 }
    }

    /// Nothing is heard; what comes is decoded all the same, so that hearing again begins at once.
    pub fn set_deafened(&mut self, deafened: bool) {
        self.deafened = deafened;
    }

    pub fn open_tap(&mut self, tap: TapWriter) {
        self.taps.push(tap);
    }

    pub fn receive(&mut self, datagram: &[u8], arrival: Nanos) -> Received<'_> {
        match self.chain.push(datagram, arrival) {
            Pushed::Packet { plain, ssrc, extended_sequence, extended_timestamp } => {
                self.received_packets += 1;
                for tap in &mut self.taps {
                    tap.push(arrival, ssrc, extended_sequence, extended_timestamp, plain);
                }
                Received::Voice
            }
            Pushed::Held => {
                self.received_packets += 1;
                Received::Voice
            }
            Pushed::Rtcp(plain) => Received::Rtcp(plain),
            Pushed::Refused(_) => Received::Refused,
        }
    }

    /// Hands on what had to wait for its key, with the time when it came.
    pub fn release(&mut self) {
        while let Some(released) = self.chain.next_released() {
            let Released { arrival, ssrc, extended_sequence, extended_timestamp, plain } = released;
            for tap in &mut self.taps {
                tap.push(arrival, ssrc, extended_sequence, extended_timestamp, &plain);
            }
        }
    }

    /// Hands the taps' readers what came since the last call.
    pub fn publish(&mut self) {
        self.taps.retain_mut(TapWriter::publish);
    }

    /// Gives the sound what is due at `now`: all voices, and what `player` plays for the one who plays it.
    pub fn play(&mut self, sound: &mut SoundEnd, player: &mut Player, now: Nanos) {
        let mut hear = |now, frame: &mut [f32]| {
            self.chain.set_channels(frame.len() / PLAYBACK_FRAME);
            self.chain.pull(now, frame);
            player.monitor(frame);
            if self.deafened {
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

    pub fn tell(&self, stats: &mut Stats) {
        stats.received_packets = self.received_packets;
        stats.receive = self.chain.report();
    }
}
