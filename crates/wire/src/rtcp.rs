//! RTCP sender and receiver reports (RFC 3550 section 6.4). Other packet types are kept as they are.

use crate::ParseError;
use crate::rtp::{u16_at, u32_at};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const HEADER_BYTES: usize = 4;
const BLOCK_BYTES: usize = 24;
const SENDER_INFO_BYTES: usize = 20;
/// The block count has five bits.
const MAX_BLOCKS: usize = 31;

/// One packet of a compound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rtcp {
    SenderReport {
        ssrc: u32,
        /// 32.32 seconds; only differences are used.
        ntp: u64,
        /// The RTP timestamp of the same instant.
        timestamp: u32,
        packets: u32,
        /// Payload bytes, without headers and padding.
        bytes: u32,
        blocks: Vec<ReportBlock>,
    },
    ReceiverReport {
        ssrc: u32,
        blocks: Vec<ReportBlock>,
    },
    /// Anything else: `count` is the five bits behind the version, `body` all bytes after the 4 byte header.
    Other {
        packet_type: u8,
        count: u8,
        body: Vec<u8>,
    },
}

impl Rtcp {
    /// What a sender or receiver report says about others.
    pub fn blocks(&self) -> &[ReportBlock] {
        match self {
            Self::SenderReport { blocks, .. } | Self::ReceiverReport { blocks, .. } => blocks,
            Self::Other { .. } => &[],
        }
    }
}

/// How well one source is received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// Lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Lost since the beginning; 24 bits, negative when duplicates outnumber losses.
    pub lost: i32,
    /// Newest sequence: wraps in the upper 16 bits.
    pub highest_sequence: u32,
    /// Interarrival jitter in RTP ticks (RFC 3550 section 6.4.1).
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's `ntp`; 0 = none yet.
    pub last_sr: u32,
    /// Since then, in 65536ths of a second.
    pub delay_since_last_sr: u32,
}

/// Reads a compound packet: all of it, or an error.
pub fn parse(bytes: &[u8]) -> Result<Vec<Rtcp>, ParseError> {
    let mut packets = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (packet, next) = split_packet(rest)?;
        // Padding may follow the last packet only (RFC 3550 section 6.4.1).
        let padded = packet[0] & 0x20 != 0;
        if padded && !next.is_empty() {
            return Err(ParseError::Padding);
        }
        let body = if padded { cut_padding(&packet[HEADER_BYTES..])? } else { &packet[HEADER_BYTES..] };
        packets.push(parse_one(packet[0] & 0x1F, packet[1], body)?);
        rest = next;
    }
    if packets.is_empty() { Err(ParseError::TooShort) } else { Ok(packets) }
}

/// Appends one packet to `out`. Blocks beyond the 31 that a report can count follow in receiver reports of their own.
///
/// # Panics
/// If the body of `Other` is no whole number of words or longer than 65535 of them.
pub fn write(packet: &Rtcp, out: &mut Vec<u8>) {
    match packet {
        Rtcp::SenderReport { ssrc, ntp, timestamp, packets, bytes, blocks } => {
            let (first, more) = blocks.split_at(blocks.len().min(MAX_BLOCKS));
            write_header(first.len() as u8, SENDER_REPORT, 4 + SENDER_INFO_BYTES + BLOCK_BYTES * first.len(), out);
            out.extend_from_slice(&ssrc.to_be_bytes());
            out.extend_from_slice(&ntp.to_be_bytes());
            for field in [timestamp, packets, bytes] {
                out.extend_from_slice(&field.to_be_bytes());
            }
            first.iter().for_each(|block| write_block(block, out));
            more.chunks(MAX_BLOCKS).for_each(|chunk| write_receiver_report(*ssrc, chunk, out));
        }
        Rtcp::ReceiverReport { ssrc, blocks } if blocks.is_empty() => write_receiver_report(*ssrc, &[], out),
        Rtcp::ReceiverReport { ssrc, blocks } => {
            blocks.chunks(MAX_BLOCKS).for_each(|chunk| write_receiver_report(*ssrc, chunk, out));
        }
        Rtcp::Other { packet_type, count, body } => {
            write_header(*count, *packet_type, body.len(), out);
            out.extend_from_slice(body);
        }
    }
}

fn split_packet(bytes: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    if bytes.len() < HEADER_BYTES {
        return Err(ParseError::TooShort);
    }
    if bytes[0] >> 6 != 2 {
        return Err(ParseError::Version);
    }
    let packet_bytes = HEADER_BYTES + 4 * usize::from(u16_at(bytes, 2));
    bytes.split_at_checked(packet_bytes).ok_or(ParseError::TooShort)
}

fn cut_padding(body: &[u8]) -> Result<&[u8], ParseError> {
    match body.last() {
        Some(&count) if count > 0 && count % 4 == 0 && usize::from(count) <= body.len() => {
            Ok(&body[..body.len() - usize::from(count)])
        }
        _ => Err(ParseError::Padding),
    }
}

fn parse_one(count: u8, packet_type: u8, body: &[u8]) -> Result<Rtcp, ParseError> {
    match packet_type {
        SENDER_REPORT => {
            let (info, rest) = body.split_at_checked(4 + SENDER_INFO_BYTES).ok_or(ParseError::Length)?;
            Ok(Rtcp::SenderReport {
                ssrc: u32_at(info, 0),
                ntp: u64::from(u32_at(info, 4)) << 32 | u64::from(u32_at(info, 8)),
                timestamp: u32_at(info, 12),
                packets: u32_at(info, 16),
                bytes: u32_at(info, 20),
                blocks: parse_blocks(count, rest)?,
            })
        }
        RECEIVER_REPORT => {
            let (ssrc, rest) = body.split_at_checked(4).ok_or(ParseError::Length)?;
            Ok(Rtcp::ReceiverReport { ssrc: u32_at(ssrc, 0), blocks: parse_blocks(count, rest)? })
        }
        _ => Ok(Rtcp::Other { packet_type, count, body: body.to_vec() }),
    }
}

/// What follows the announced blocks is a profile's extension and left unread.
fn parse_blocks(count: u8, bytes: &[u8]) -> Result<Vec<ReportBlock>, ParseError> {
    let blocks = bytes.get(..BLOCK_BYTES * usize::from(count)).ok_or(ParseError::Length)?;
    Ok(blocks.chunks_exact(BLOCK_BYTES).map(parse_block).collect())
}

fn parse_block(block: &[u8]) -> ReportBlock {
    ReportBlock {
        ssrc: u32_at(block, 0),
        fraction_lost: block[4],
        lost: (u32_at(block, 4) << 8) as i32 >> 8,
        highest_sequence: u32_at(block, 8),
        jitter: u32_at(block, 12),
        last_sr: u32_at(block, 16),
        delay_since_last_sr: u32_at(block, 20),
    }
}

fn write_receiver_report(ssrc: u32, blocks: &[ReportBlock], out: &mut Vec<u8>) {
    write_header(blocks.len() as u8, RECEIVER_REPORT, 4 + BLOCK_BYTES * blocks.len(), out);
    out.extend_from_slice(&ssrc.to_be_bytes());
    blocks.iter().for_each(|block| write_block(block, out));
}

fn write_header(count: u8, packet_type: u8, body_bytes: usize, out: &mut Vec<u8>) {
    assert!(body_bytes.is_multiple_of(4), "RTCP body: whole words");
    let words = u16::try_from(body_bytes / 4).expect("RTCP body: at most 65535 words");
    out.extend_from_slice(&[0x80 | count & 0x1F, packet_type]);
    out.extend_from_slice(&words.to_be_bytes());
}

fn write_block(block: &ReportBlock, out: &mut Vec<u8>) {
    let lost = block.lost.clamp(-0x80_0000, 0x7F_FFFF) as u32 & 0xFF_FFFF;
    let fields = [
        block.ssrc,
        u32::from(block.fraction_lost) << 24 | lost,
        block.highest_sequence,
        block.jitter,
        block.last_sr,
        block.delay_since_last_sr,
    ];
    for field in fields {
        out.extend_from_slice(&field.to_be_bytes());
    }
}
