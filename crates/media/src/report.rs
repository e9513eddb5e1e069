//! What the chains tell about themselves, and what they are told about the link.

use raccall_wire::Nanos;
use raccall_wire::feedback::{Alarm, LinkFeedback};
use raccall_wire::rtcp::{self, ReportBlock, Rtcp};

use crate::encryption::EncryptionCounts;
use crate::frame::SAMPLES_PER_MS;

/// How the way to the listeners is doing. One of the two back edges of the design: it sets bitrate and error correction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LinkReport {
    /// Packets that the relay missed since the last report, 0 to 100.
    pub uplink_loss_pct: f32,
    pub round_trip_ms: Option<f32>,
    /// Interarrival jitter at the relay.
    pub jitter_ms: f32,
    /// The newest packet that the relay had; None if it does not say.
    pub highest_sequence: Option<u16>,
    /// None from a relay that is not ours.
    pub queue: Option<QueueReport>,
    /// Loss on the whole way to the listeners, that three quarters of them do not exceed; None while none has told.
    pub heard_loss_pct: Option<f32>,
}

/// How our packets wait on the way to the relay.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueueReport {
    /// What every packet waits, 0 while some pass at once.
    pub standing_ms: f32,
    /// The datagrams that arrived during `arrived_ms`, sealed, without UDP and IP headers.
    pub arrived_ms: f32,
    pub arrived_packets: u16,
    pub arrived_bytes: u32,
}

impl QueueReport {
    /// Bits a second that got through, with `header_bytes` for each packet. None: too little to tell.
    pub fn arrived_bps(&self, header_bytes: usize) -> Option<f32> {
        let bytes = self.arrived_bytes as f32 + f32::from(self.arrived_packets) * header_bytes as f32;
        (self.arrived_ms > 0.0 && bytes > 0.0).then(|| bytes * 8000.0 / self.arrived_ms)
    }
}

/// What a relay tells out of turn, and the newest packet that it had; None if it is no alarm about us.
pub fn alarm(rtcp: &[u8], ssrc: u32) -> Option<(Alarm, u16)> {
    let packets = rtcp::parse(rtcp).ok()?;
    let block = packets.iter().flat_map(Rtcp::blocks).find(|block| block.ssrc == ssrc)?;
    let alarm = packets.iter().find_map(LinkFeedback::from_rtcp)?.alarm?;
    Some((alarm, block.highest_sequence as u16))
}

/// What a relay's opened RTCP packet says about our own packets; None if it says nothing.
pub fn link_report(rtcp: &[u8], ssrc: u32, now: Nanos) -> Option<LinkReport> {
    let packets = rtcp::parse(rtcp).ok()?;
    let block = packets.iter().flat_map(Rtcp::blocks).find(|block| block.ssrc == ssrc)?;
    let feedback = packets.iter().find_map(LinkFeedback::from_rtcp);
    Some(LinkReport {
        uplink_loss_pct: percent(block.fraction_lost),
        round_trip_ms: round_trip_ms(block, now),
        jitter_ms: block.jitter as f32 / SAMPLES_PER_MS as f32,
        highest_sequence: Some(block.highest_sequence as u16),
        queue: feedback.map(|feedback| QueueReport {
            standing_ms: feedback.standing_ms.into(),
            arrived_ms: feedback.arrived_ms.into(),
            arrived_packets: feedback.arrived_packets,
            arrived_bytes: feedback.arrived_bytes,
        }),
        heard_loss_pct: feedback.filter(|feedback| feedback.listeners > 0).map(|feedback| percent(feedback.heard_loss)),
    })
}

fn percent(fraction_256: u8) -> f32 {
    f32::from(fraction_256) * 100.0 / 256.0
}

/// One Source as this receiver sees it. Counts are since its first packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceReport {
    pub ssrc: u32,
    /// Packets, each counted once.
    pub received: u64,
    /// Packets that were sent, as their numbers tell, and have not come.
    pub lost: u64,
    /// 20 ms frames made up by PLC.
    pub concealed: u64,
    /// The same in samples.
    pub concealed_samples: u64,
    /// Lost packets played from the copy in their successor (LBRR).
    pub recovered: u64,
    /// 20 ms frames spoken again from what a later packet told of them (DRED).
    pub respoken: u64,
    /// Packets that came after their turn.
    pub late: u64,
    /// Packets that came and were not played, because too much had to be caught up.
    pub skipped: u64,
    /// Samples of lost sound left out rather than made up.
    pub left_out_samples: u64,
    /// Samples cut out of or put into speech, to follow the network.
    pub stretched_samples: u64,
    /// The same in pauses, where it is not heard.
    pub paused_samples: u64,
    pub duplicates: u64,
    /// Authentic packets whose payload is no Opus.
    pub undecodable: u64,
    /// RFC 3550 section 6.4.1.
    pub jitter_ms: f32,
    pub target_ms: f32,
    /// Playout delay above the fastest packet; 0 while nothing is played.
    pub delay_ms: f32,
    /// Extended timestamp of the sound that was given out last; nothing while nobody talks. Made-up sound stands where the next packet is waited for.
    pub playing: Option<u64>,
    /// Of the last frames played, against full scale; -127 is silence. Without decoding: what the packets say (RFC
    /// 6464), or a guess from their size.
    pub level_db: f32,
    pub talking: bool,
    /// The user whose key opened the newest encrypted frame.
    pub owner: Option<u64>,
}

/// Why a datagram was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    TooShort,
    Malformed,
    BadSeal,
    /// Not Opus with payload type 120.
    PayloadType,
    Duplicate,
    /// Behind the replay window: cannot be told from a replay.
    TooOld,
    TooManySources,
    /// Not encrypted end to end, and had to be.
    Unencrypted,
    /// An encrypted frame that was opened before.
    Replayed,
}

impl Refusal {
    pub const ALL: [Self; 9] = [
        Self::TooShort,
        Self::Malformed,
        Self::BadSeal,
        Self::PayloadType,
        Self::Duplicate,
        Self::TooOld,
        Self::TooManySources,
        Self::Unencrypted,
        Self::Replayed,
    ];

    /// Stable name for statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::Malformed => "malformed",
            Self::BadSeal => "bad_seal",
            Self::PayloadType => "payload_type",
            Self::Duplicate => "duplicate",
            Self::TooOld => "too_old",
            Self::TooManySources => "too_many_sources",
            Self::Unencrypted => "unencrypted",
            Self::Replayed => "replayed",
        }
    }
}

/// Refused datagrams by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    pub fn add(&mut self, reason: Refusal) {
        self.0[reason as usize] += 1;
    }

    pub fn count(&self, reason: Refusal) -> u64 {
        self.0[reason as usize]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::ALL.into_iter().map(|reason| (reason, self.count(reason)))
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReceiveReport {
    pub sources: Vec<SourceReport>,
    pub refused: Refusals,
    pub encryption: EncryptionCounts,
}

/// `now` as the 32.32 fixed point seconds of a sender report. The zero is the monotonic clock's: peers only return it.
pub fn ntp_of(now: Nanos) -> u64 {
    ((u128::from(now) << 32) / 1_000_000_000) as u64
}

/// Round trip from a report block about our own sender reports (RFC 3550 section 6.4.1); nothing if it echoes none of them.
fn round_trip_ms(block: &ReportBlock, now: Nanos) -> Option<f32> {
    if block.last_sr == 0 {
        return None;
    }
    let middle = (ntp_of(now) >> 16) as u32;
    let units = middle.wrapping_sub(block.last_sr).wrapping_sub(block.delay_since_last_sr) as i32;
    (units >= 0).then(|| units as f32 * 1000.0 / 65_536.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_is_what_passed_minus_what_the_peer_waited() {
        let sent = 5_000_000_000;
        let block = ReportBlock {
            last_sr: (ntp_of(sent) >> 16) as u32,
            delay_since_last_sr: 65_536 / 2,
            ..ReportBlock::default()
        };
        let measured = round_trip_ms(&block, sent + 540_000_000).unwrap();
        assert!((measured - 40.0).abs() < 0.1, "{measured}");
        assert_eq!(round_trip_ms(&ReportBlock::default(), sent), None);
        assert_eq!(round_trip_ms(&block, sent), None, "a block from the future is a lie");
    }
}
