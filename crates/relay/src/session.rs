//! One session: a key, an address, a route, and what came from it.

use raccall_wire::feedback::{Alarm, LinkFeedback};
use raccall_wire::rtcp::{self, ReportBlock, Rtcp};
use raccall_wire::transport::{Mode, OpenError, SealError};
use raccall_wire::{Nanos, discovery};

use crate::hearing::Hearing;
use crate::keys::Keys;
use crate::limits::Pace;
use crate::loudest::Loudness;
use crate::splice::Splice;
use crate::uplink::Uplink;
use crate::{Counters, Endpoint, Outbox, Reason, RoomId, SessionId, Share};

/// A source address is adopted at most this often (DESIGN section 5).
const MOVE_INTERVAL_NS: Nanos = 1_000_000_000;
/// An address that has sent one packet may be lied about: it is sent no more than this many times what it sent.
const TRIAL_FACTOR: u64 = 3;
/// Addresses remembered from IP discovery. A client behind two networks asks from both; a stranger's question, which
/// anyone can forge, must not push the true one out at once.
const OBSERVED: usize = 4;
/// Reports are answered at most five times a second, so that replayed ones buy nothing; a queue is told as often, twice as often while it
/// grows, and an overdue packet as often.
const ANSWER_INTERVAL_NS: Nanos = 200_000_000;
/// The relay is no source. No session has this SSRC, so its reports, sent back to it by someone, open for nobody.
const RELAY_SSRC: u32 = 0;

pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) ssrc: u32,
    pub(crate) keys: Keys,
    /// The control plane was told (`Reason::RekeyWanted`).
    rekey_told: bool,
    pub(crate) endpoint: Option<Endpoint>,
    trial: Option<Trial>,
    /// Where it was before the address on trial.
    former: Option<Endpoint>,
    moved: Option<Nanos>,
    observed: [Option<Endpoint>; OBSERVED],
    observed_next: usize,
    pub(crate) uplink: Uplink,
    pub(crate) hearing: Hearing,
    pub(crate) room: Option<RoomId>,
    /// Whatever its routes carry, not only the loudest.
    pub(crate) hears_all: bool,
    /// By a moderator: what it says goes to nobody.
    pub(crate) silenced: bool,
    pub(crate) loudness: Loudness,
    pub(crate) splice: Splice,
    answered: Option<Nanos>,
    /// Of its own address, of others of its host, of IP discovery.
    pub(crate) pace: Pace,
    pub(crate) moving: Pace,
    pub(crate) discovery: Pace,
    warned: Option<Nanos>,
    alarmed: Option<Nanos>,
    /// It is on the list of those whose next packet is waited for.
    pub(crate) watched: bool,
    received: Amount,
    sent: Amount,
    heard: ReportBlock,
}

/// A listener: its place in the table, valid while the session there still has this id.
#[derive(Clone, Copy)]
pub(crate) struct Destination {
    pub(crate) slot: usize,
    pub(crate) id: SessionId,
}

/// Bytes exchanged with an address since it was adopted by its first packet.
struct Trial {
    received_bytes: u64,
    sent_bytes: u64,
}

#[derive(Clone, Copy, Default)]
struct Amount {
    packets: u64,
    bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

/// One session's counts, for the control plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// Fresh RTP packets from the session, and their sealed bytes.
    pub received: u64,
    pub received_bytes: u64,
    /// Lost between the session and the relay.
    pub lost: u64,
    /// Interarrival jitter of what it sends, 48 kHz ticks.
    pub jitter_ticks: u64,
    /// Datagrams for the session, and their bytes.
    pub sent: u64,
    pub sent_bytes: u64,
    /// What the session says it hears, worst source of its last report: lost in 256ths, jitter in ticks.
    pub heard_fraction_lost: u64,
    pub heard_jitter_ticks: u64,
    /// Whether IP discovery has seen it (0 or 1).
    pub observed: u64,
    /// Whether it can be sent to.
    pub has_address: u64,
    /// Whether it wants a new key.
    pub needs_rekey: u64,
    /// Whether it was given a new key that its client has not used yet.
    pub rekeying: u64,
}

impl SessionStats {
    pub fn fields(&self) -> [(&'static str, u64); 12] {
        [
            ("received", self.received),
            ("received_bytes", self.received_bytes),
            ("lost", self.lost),
            ("jitter_ticks", self.jitter_ticks),
            ("sent", self.sent),
            ("sent_bytes", self.sent_bytes),
            ("heard_fraction_lost", self.heard_fraction_lost),
            ("heard_jitter_ticks", self.heard_jitter_ticks),
            ("observed", self.observed),
            ("has_address", self.has_address),
            ("needs_rekey", self.needs_rekey),
            ("rekeying", self.rekeying),
        ]
    }
}

impl Session {
    pub(crate) fn new(id: SessionId, ssrc: u32, mode: Mode, key: &[u8; 32], share: Share) -> Self {
        Self {
            id,
            ssrc,
            keys: Keys::new(mode, key, share),
            rekey_told: false,
            endpoint: None,
            trial: None,
            former: None,
            moved: None,
            observed: [None; OBSERVED],
            observed_next: 0,
            uplink: Uplink::new(),
            hearing: Hearing::default(),
            room: None,
            hears_all: false,
            silenced: false,
            loudness: Loudness::default(),
            splice: Splice::default(),
            answered: None,
            pace: Pace::default(),
            moving: Pace::default(),
            discovery: Pace::default(),
            warned: None,
            alarmed: None,
            watched: false,
            received: Amount::default(),
            sent: Amount::default(),
            heard: ReportBlock::default(),
        }
    }

    pub(crate) fn rekey(&mut self, mode: Mode, key: &[u8; 32]) {
        self.keys.replace(mode, key, self.endpoint.is_some());
        self.rekey_told = false;
    }

    /// Opens a datagram of this session. What its key needs is counted.
    pub(crate) fn open_to(
        &mut self,
        now: Nanos,
        datagram: &[u8],
        out: &mut [u8],
        counters: &Counters,
    ) -> Result<usize, OpenError> {
        let changing = self.keys.changing();
        let length = self.keys.open_to(now, datagram, out)?;
        if changing && !self.keys.changing() {
            counters.add(Reason::Rekeyed, 1);
        }
        self.tell_rekey(counters);
        Ok(length)
    }

    fn tell_rekey(&mut self, counters: &Counters) {
        if !self.rekey_told && self.keys.wanted() {
            self.rekey_told = true;
            counters.add(Reason::RekeyWanted, 1);
        }
    }

    pub(crate) fn observe(&mut self, from: Endpoint) {
        if !self.observed.contains(&Some(from)) {
            self.observed[self.observed_next % OBSERVED] = Some(from);
            self.observed_next += 1;
        }
    }

    pub(crate) fn observed_at(&self, address: std::net::SocketAddr) -> Option<Endpoint> {
        self.observed.iter().flatten().find(|endpoint| endpoint.address == address).copied()
    }

    /// At most once a second, but back to where it was at once while the new address has not proved itself: whoever
    /// copied one datagram and sent it first has won nothing.
    pub(crate) fn may_move(&self, now: Nanos, to: Endpoint) -> bool {
        self.endpoint.is_none()
            || self.moved.is_none_or(|moved| now.saturating_sub(moved) >= MOVE_INTERVAL_NS)
            || (self.trial.is_some() && self.former == Some(to))
    }

    /// The client named this address itself, after discovery had seen it.
    pub(crate) fn settle(&mut self, endpoint: Endpoint, proven: bool) {
        let trial = Trial { received_bytes: discovery::BYTES as u64, sent_bytes: 0 };
        self.trial = (!proven && self.endpoint != Some(endpoint)).then_some(trial);
        self.endpoint = Some(endpoint);
        self.former = None;
    }

    /// A fresh packet of `bytes` came from an address that was not ours yet.
    pub(crate) fn roam(&mut self, now: Nanos, endpoint: Endpoint, bytes: usize) {
        self.former = self.endpoint.replace(endpoint);
        self.moved = Some(now);
        self.trial = Some(Trial { received_bytes: bytes as u64, sent_bytes: 0 });
    }

    /// A second fresh packet came from the session's address.
    pub(crate) fn confirm(&mut self) {
        self.trial = None;
        self.former = None;
    }

    pub(crate) fn count_received(&mut self, bytes: usize) {
        self.received.add(bytes);
    }

    /// Seals a packet for this session. Whether a datagram was added to `out`; if not, the reason is counted.
    pub(crate) fn send(&mut self, packet: &[u8], out: &mut Outbox, counters: &Counters) -> bool {
        let Some(endpoint) = self.endpoint else {
            counters.add(Reason::NoAddress, 1);
            return false;
        };
        let room = packet.len() + self.keys.cipher().mode().overhead_bytes();
        if let Some(trial) = &mut self.trial {
            if trial.sent_bytes + room as u64 > TRIAL_FACTOR * trial.received_bytes {
                counters.add(Reason::HeldBack, 1);
                return false;
            }
            trial.sent_bytes += room as u64;
        }
        let Some(nonce) = self.keys.next_nonce() else {
            self.tell_rekey(counters);
            counters.add(Reason::NeedsRekey, 1);
            return false;
        };
        self.tell_rekey(counters);
        match out.push(endpoint, room, |bytes| self.keys.cipher().seal_to(packet, nonce, bytes)) {
            Ok(bytes) => {
                self.sent.add(bytes);
                true
            }
            Err(SealError::NonceWouldRepeat) => false, // RTCP in the oldest mode: there is no safe way to answer
            Err(error) => unreachable!("an opened packet can be sealed: {error}"),
        }
    }

    /// Takes the session's own RTCP. Whether it holds a sender report newer than all before.
    pub(crate) fn take_reports(&mut self, now: Nanos, reports: &[Rtcp]) -> bool {
        let mut fresh = false;
        for report in reports {
            if let Rtcp::SenderReport { ssrc, ntp, .. } = report {
                fresh |= *ssrc == self.ssrc && self.uplink.sender_report(now, *ntp);
            }
            if let Some(worst) = report.blocks().iter().max_by_key(|block| block.fraction_lost) {
                self.heard = *worst;
            }
        }
        fresh
    }

    /// Tells a session that reports, and so knows of reports, that its packets queue. It did not ask: it cannot know.
    pub(crate) fn warn(&mut self, now: Nanos, out: &mut Outbox, counters: &Counters) {
        if self.answered.is_none() {
            return;
        }
        if self.uplink.queueing.all_clear() {
            self.tell_alarm(Alarm::AllClear, now, out, counters);
        }
        let interval_ns = if self.uplink.queueing.has_grown() { ANSWER_INTERVAL_NS / 2 } else { ANSWER_INTERVAL_NS };
        if self.uplink.queueing.is_queue() && is_due_after(interval_ns, &mut self.warned, now) {
            self.tell(now, out, counters);
        }
    }

    /// When to look whether its next packet has come. Nothing: it was told nothing about reports, or somebody looks already.
    pub(crate) fn watch_at(&self) -> Option<Nanos> {
        self.uplink.queueing.alarm_at().filter(|_| self.answered.is_some() && !self.watched)
    }

    /// Tells it that its next packet is overdue.
    pub(crate) fn alarm(&mut self, now: Nanos, out: &mut Outbox, counters: &Counters) {
        if is_due(&mut self.alarmed, now) {
            self.uplink.queueing.alarmed();
            self.tell_alarm(Alarm::Overdue, now, out, counters);
        }
    }

    /// Answers a session's report.
    pub(crate) fn answer(&mut self, now: Nanos, out: &mut Outbox, counters: &Counters) {
        if is_due(&mut self.answered, now) {
            self.tell(now, out, counters);
        }
    }

    /// Tells the session how its own packets arrive.
    fn tell(&mut self, now: Nanos, out: &mut Outbox, counters: &Counters) {
        let block = self.uplink.report(self.ssrc, now);
        let (listeners, heard_loss) = self.hearing.sum_up(now);
        let listeners = u8::try_from(listeners).unwrap_or(u8::MAX);
        let feedback = LinkFeedback { listeners, heard_loss, ..self.uplink.queueing.feedback() };
        self.send_report(block, &feedback, out, counters);
    }

    /// Out of turn, and no report of loss or queue: those count from one report to the next.
    fn tell_alarm(&mut self, alarm: Alarm, now: Nanos, out: &mut Outbox, counters: &Counters) {
        let block = ReportBlock { fraction_lost: 0, ..self.uplink.block(self.ssrc, now) };
        self.send_report(block, &LinkFeedback { alarm: Some(alarm), ..LinkFeedback::default() }, out, counters);
    }

    fn send_report(&mut self, block: ReportBlock, feedback: &LinkFeedback, out: &mut Outbox, counters: &Counters) {
        let mut packet = Vec::with_capacity(64);
        rtcp::write(&Rtcp::ReceiverReport { ssrc: RELAY_SSRC, blocks: vec![block] }, &mut packet);
        rtcp::write(&feedback.to_rtcp(RELAY_SSRC), &mut packet);
        if self.send(&packet, out, counters) {
            counters.add(Reason::RtcpAnswered, 1);
        }
    }

    pub(crate) fn stats(&self) -> SessionStats {
        SessionStats {
            received: self.received.packets,
            received_bytes: self.received.bytes,
            lost: self.uplink.lost(),
            jitter_ticks: self.uplink.jitter_ticks().into(),
            sent: self.sent.packets,
            sent_bytes: self.sent.bytes,
            heard_fraction_lost: self.heard.fraction_lost.into(),
            heard_jitter_ticks: self.heard.jitter.into(),
            observed: self.observed_next.min(1) as u64,
            has_address: self.endpoint.is_some().into(),
            needs_rekey: self.keys.wanted().into(),
            rekeying: self.keys.changing().into(),
        }
    }
}

/// True, and then not again for `ANSWER_INTERVAL_NS`.
fn is_due(last: &mut Option<Nanos>, now: Nanos) -> bool {
    is_due_after(ANSWER_INTERVAL_NS, last, now)
}

/// Whether it was so long ago; if so, it is now.
fn is_due_after(interval_ns: Nanos, last: &mut Option<Nanos>, now: Nanos) -> bool {
    let due = last.is_none_or(|last| now.saturating_sub(last) >= interval_ns);
    if due {
        *last = Some(now);
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_up_nonces_stop_sending_until_a_new_key() {
        let counters = Counters::default();
        let mut out = Outbox::new();
        let share = Share { nonces: 100, ..Share::default() };
        let mut session = Session::new(1, 7, Mode::Aes256GcmRtpSize, &[1; 32], share);
        session.settle(Endpoint::from(std::net::SocketAddr::from(([127, 0, 0, 1], 9))), true);
        let packet = [0x80, 120, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3];
        let sent = (0..200).filter(|_| session.send(&packet, &mut out, &counters)).count();
        assert_eq!((sent, counters.get(Reason::NeedsRekey), counters.get(Reason::RekeyWanted)), (100, 100, 1));
        assert_eq!(session.stats().needs_rekey, 1);
        session.rekey(Mode::Aes256GcmRtpSize, &[2; 32]);
        assert!(session.send(&packet, &mut out, &counters));
    }
}
