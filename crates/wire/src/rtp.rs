//! RTP packets (RFC 3550 section 5.1).

use crate::ParseError;

/// Header without CSRC list and extension.
pub const FIXED_HEADER_BYTES: usize = 12;
/// Discord's payload type of Opus (voice gateway, op 1 `codecs`).
pub const OPUS_PAYLOAD_TYPE: u8 = 120;
/// Profile of one-byte header extensions (RFC 8285 section 4.2).
pub const ONE_BYTE_EXTENSION: u16 = 0xBEDE;
/// Before the extension's body: profile and number of 4 byte words.
pub const EXTENSION_PREAMBLE_BYTES: usize = 4;

const PADDING: u8 = 0x20;
pub(crate) const EXTENSION: u8 = 0x10;

/// One opened packet. Padding and extension are already cut from `payload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    pub sequence: u16,
    /// 48 kHz ticks for Opus.
    pub timestamp: u32,
    pub ssrc: u32,
    /// Contributing sources: 4 bytes each, at most 15 of them.
    pub csrc: &'a [u8],
    pub extension: Option<Extension<'a>>,
    pub payload: &'a [u8],
    /// Bytes behind the payload, their count included; 0 = none.
    pub padding_bytes: u8,
}

/// A header extension: its profile and its body, a whole number of 4 byte words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    pub profile: u16,
    pub body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a plain packet. The transport mode it came by does not matter: what differs between modes is what was
    /// encrypted, and opening has undone that. Ask [`is_rtcp`] first; this function does not.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (fixed, rest) = bytes.split_at_checked(FIXED_HEADER_BYTES).ok_or(ParseError::TooShort)?;
        if fixed[0] >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let csrc_bytes = 4 * usize::from(fixed[0] & 0x0F);
        let (csrc, rest) = rest.split_at_checked(csrc_bytes).ok_or(ParseError::TooShort)?;
        let (extension, body) = if fixed[0] & EXTENSION != 0 {
            let (preamble, rest) = rest.split_at_checked(EXTENSION_PREAMBLE_BYTES).ok_or(ParseError::TooShort)?;
            let body_bytes = 4 * usize::from(u16_at(preamble, 2));
            let (body, rest) = rest.split_at_checked(body_bytes).ok_or(ParseError::TooShort)?;
            (Some(Extension { profile: u16_at(preamble, 0), body }), rest)
        } else {
            (None, rest)
        };
        let padding_bytes = if fixed[0] & PADDING != 0 { *body.last().ok_or(ParseError::Padding)? } else { 0 };
        let payload_bytes = body.len().checked_sub(padding_bytes.into()).ok_or(ParseError::Padding)?;
        if fixed[0] & PADDING != 0 && padding_bytes == 0 {
            return Err(ParseError::Padding);
        }
        Ok(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16_at(fixed, 2),
            timestamp: u32_at(fixed, 4),
            ssrc: u32_at(fixed, 8),
            csrc,
            extension,
            payload: &body[..payload_bytes],
            padding_bytes,
        })
    }

    /// Appends the packet to `out`.
    ///
    /// # Panics
    /// If CSRC list or extension body are no whole words or too long: the caller's mistake, never a stranger's.
    pub fn write(&self, out: &mut Vec<u8>) {
        assert!(self.csrc.len().is_multiple_of(4) && self.csrc.len() <= 60, "CSRC list: 0 to 15 words");
        let padding = if self.padding_bytes > 0 { PADDING } else { 0 };
        let extension = if self.extension.is_some() { EXTENSION } else { 0 };
        out.push(0x80 | padding | extension | (self.csrc.len() / 4) as u8);
        out.push(u8::from(self.marker) << 7 | self.payload_type & 0x7F);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(self.csrc);
        if let Some(extension) = self.extension {
            assert!(extension.body.len().is_multiple_of(4), "extension body: whole words");
            let words = u16::try_from(extension.body.len() / 4).expect("extension body: at most 65535 words");
            out.extend_from_slice(&extension.profile.to_be_bytes());
            out.extend_from_slice(&words.to_be_bytes());
            out.extend_from_slice(extension.body);
        }
        out.extend_from_slice(self.payload);
        if self.padding_bytes > 0 {
            out.resize(out.len() + usize::from(self.padding_bytes) - 1, 0);
            out.push(self.padding_bytes);
        }
    }
}

/// Gives an opened packet another sequence number, and its marker if `marked`; else the marker stays as it is.
///
/// # Panics
/// If the packet is shorter than its fixed header.
pub fn renumber(packet: &mut [u8], sequence: u16, marked: bool) {
    packet[1] |= u8::from(marked) << 7;
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
}

/// Whether the bytes, sealed or plain, are RTCP: version 2 and packet type 200 to 206 (RFC 5761 section 4).
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 200..=206, ..] if first >> 6 == 2)
}

/// Who sent an RTP or RTCP packet, sealed or plain: both leave the SSRC in clear. `None` if the bytes are neither.
pub fn ssrc(bytes: &[u8]) -> Option<u32> {
    if bytes.first()? >> 6 != 2 {
        return None;
    }
    let at = if is_rtcp(bytes) { 4 } else { 8 };
    bytes.get(at..at + 4).map(|field| u32_at(field, 0))
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
