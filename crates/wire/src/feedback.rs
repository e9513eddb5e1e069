//! What our relay tells a sender beside the receiver report: how its packets queue on the way, and how others hear it.
//!
//! An application-defined RTCP packet (RFC 3550 section 6.7) named "LINK", which every other client skips. Data, big endian:
//!
//! ```text
//! standing_ms u16 | newest_ms u16 | arrived_ms u16 | arrived_packets u16 | arrived_bytes u32 | listeners u8 | heard_loss u8 | alarm u16
//! ```
//!
//! An alarm comes unasked, with a receiver report whose highest sequence number is the news: the packet after it should have come by now.
//! All else in it is 0. The all-clear follows when packets come in time again.

use crate::rtcp::Rtcp;
use crate::rtp::{u16_at, u32_at};

const APPLICATION_DEFINED: u8 = 204;
const NAME: &[u8; 4] = b"LINK";
const HEADER_BYTES: usize = 8;
const DATA_BYTES: usize = 16;

/// One direction, from a sender to the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkFeedback {
    /// What every packet waits: the least delay, above the fastest packet of the last half minute, of the packets since the
    /// delay grew. Jitter has a small one however wild it is; a queue has not (RFC 8289 section 3.2).
    pub standing_ms: u16,
    /// The same of the newest packet alone.
    pub newest_ms: u16,
    /// The datagrams that arrived in `arrived_ms` until the newest packet: since the last feedback, or since the delay grew.
    /// 0 ms: too few to tell.
    pub arrived_ms: u16,
    pub arrived_packets: u16,
    /// Sealed, without UDP and IP headers.
    pub arrived_bytes: u32,
    /// Listeners who told lately how they hear this sender, 255 for more.
    pub listeners: u8,
    /// The loss that three quarters of them do not exceed, in 256ths, on the whole way from the sender to them.
    pub heard_loss: u8,
    pub alarm: Option<Alarm>,
}

/// Why a sender is told out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// The next packet should have come and has not: the link stalls, or has become slow, or the sender has stopped.
    Overdue,
    /// Packets come in time again.
    AllClear,
}

impl Alarm {
    fn number(alarm: Option<Self>) -> u16 {
        match alarm {
            None => 0,
            Some(Self::Overdue) => 1,
            Some(Self::AllClear) => 2,
        }
    }

    fn from_number(number: u16) -> Option<Self> {
        [Self::Overdue, Self::AllClear].into_iter().find(|alarm| Self::number(Some(*alarm)) == number)
    }
}

impl LinkFeedback {
    /// As a packet from `ssrc`.
    pub fn to_rtcp(&self, ssrc: u32) -> Rtcp {
        let mut body = Vec::with_capacity(HEADER_BYTES + DATA_BYTES);
        body.extend_from_slice(&ssrc.to_be_bytes());
        body.extend_from_slice(NAME);
        for field in [self.standing_ms, self.newest_ms, self.arrived_ms, self.arrived_packets] {
            body.extend_from_slice(&field.to_be_bytes());
        }
        body.extend_from_slice(&self.arrived_bytes.to_be_bytes());
        body.extend_from_slice(&[self.listeners, self.heard_loss]);
        body.extend_from_slice(&Alarm::number(self.alarm).to_be_bytes());
        Rtcp::Other { packet_type: APPLICATION_DEFINED, count: 0, body }
    }

    /// None for any other packet. A longer one is of a later version, whose first fields are these.
    pub fn from_rtcp(packet: &Rtcp) -> Option<Self> {
        let Rtcp::Other { packet_type: APPLICATION_DEFINED, count: 0, body } = packet else { return None };
        let data =
            body.get(HEADER_BYTES..).filter(|data| &body[4..HEADER_BYTES] == NAME && data.len() >= DATA_BYTES)?;
        Some(Self {
            standing_ms: u16_at(data, 0),
            newest_ms: u16_at(data, 2),
            arrived_ms: u16_at(data, 4),
            arrived_packets: u16_at(data, 6),
            arrived_bytes: u32_at(data, 8),
            listeners: data[12],
            heard_loss: data[13],
            alarm: Alarm::from_number(u16_at(data, 14)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp;

    const FEEDBACK: LinkFeedback = LinkFeedback {
        standing_ms: 1,
        newest_ms: 0x203,
        arrived_ms: 4,
        arrived_packets: 5,
        arrived_bytes: 0x0607_0809,
        listeners: 10,
        heard_loss: 11,
        alarm: Some(Alarm::AllClear),
    };

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        rtcp::write(&FEEDBACK.to_rtcp(7), &mut bytes);
        assert_eq!(bytes[..12], [0x80, 204, 0, 6, 0, 0, 0, 7, b'L', b'I', b'N', b'K']);
        assert_eq!(LinkFeedback::from_rtcp(&rtcp::parse(&bytes).unwrap()[0]), Some(FEEDBACK));
    }

    #[test]
    fn an_alarm_of_a_later_version_is_none() {
        for (number, alarm) in [(0, None), (1, Some(Alarm::Overdue)), (2, Some(Alarm::AllClear)), (3, None)] {
            let Rtcp::Other { packet_type, count, mut body } = FEEDBACK.to_rtcp(7) else { unreachable!() };
            *body.last_mut().unwrap() = number;
            let read = LinkFeedback::from_rtcp(&Rtcp::Other { packet_type, count, body });
            assert_eq!(read, Some(LinkFeedback { alarm, ..FEEDBACK }), "{number}");
        }
    }

    #[test]
    fn what_is_cut_or_of_another_kind_is_none() {
        let Rtcp::Other { body, .. } = FEEDBACK.to_rtcp(7) else { unreachable!("it is application-defined") };
        let other = |packet_type, count, body: &[u8]| Rtcp::Other { packet_type, count, body: body.to_vec() };
        for length in 0..body.len() {
            assert_eq!(LinkFeedback::from_rtcp(&other(204, 0, &body[..length])), None, "{length}");
        }
        assert_eq!(LinkFeedback::from_rtcp(&other(204, 1, &body)), None);
        assert_eq!(LinkFeedback::from_rtcp(&other(205, 0, &body)), None);
        assert_eq!(LinkFeedback::from_rtcp(&other(204, 0, &[0; 24])), None);
    }
}
