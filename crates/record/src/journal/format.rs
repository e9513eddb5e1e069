//! Blocks of a journal as bytes (draft-ietf-opsawg-pcapng, little-endian) and back.

use crate::Nanos;

/// What this program writes, and the newest that it reads. Also in the first line of events.jsonl.
pub const FORMAT: u32 = 1;

/// Type and length, body, length again.
pub(super) const BLOCK_FRAME_BYTES: usize = 12;
pub(super) const BLOCK_BODY: usize = 8;
pub(super) const SECTION: u32 = 0x0A0D_0D0A;
pub(super) const INTERFACE: u32 = 1;
/// Counters that capturing programs leave at the end; Wireshark adds it when it saves a file anew.
pub(super) const INTERFACE_STATISTICS: u32 = 5;
pub(super) const PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1A2B_3C4D;
const EXPORTED_PDU: u16 = 252;
const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const OPTION_APPLICATION: u16 = 4;
const OPTION_PACKET_ID: u16 = 5;
const OPTION_RESOLUTION: u16 = 9;
const NANOSECONDS: u8 = 9;
const PACKET_HEADER_BYTES: usize = 20;
/// Exported PDU: dissector name "rtp" (tag 12), end of tags. Big-endian.
const TAGS: &[u8] = b"\x00\x0C\x00\x04rtp\0\x00\x00\x00\x00";

/// One instant on both clocks: the start of the recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeBase {
    pub monotonic: Nanos,
    /// UTC, nanoseconds since 1970.
    pub wall_ns: u64,
}

impl TimeBase {
    pub fn wall_of(&self, now: Nanos) -> u64 {
        now.wrapping_sub(self.monotonic).wrapping_add(self.wall_ns)
    }

    /// The inverse, kept in what both a journal and an i64 can say.
    pub fn now_of(&self, wall_ns: u64) -> Nanos {
        let now = i128::from(wall_ns) - i128::from(self.wall_ns) + i128::from(self.monotonic);
        now.clamp(0, i64::MAX.into()) as Nanos
    }
}

/// What the interface's comment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub format: u32,
    /// None in a format that has another way to say it.
    pub base: Option<TimeBase>,
}

/// One packet block that is whole and right.
pub(super) struct Stored<'a> {
    pub wall_ns: u64,
    pub number: u32,
    pub rtp: &'a [u8],
}

/// Why a packet block is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Its bytes are not those that were written.
    Damaged,
    /// It carries no checksum: perhaps another program's.
    Foreign,
}

/// Appends what a journal begins with: section and interface.
pub fn write_head(application: &str, base: TimeBase, out: &mut Vec<u8>) {
    write_block(SECTION, out, |body| {
        body.extend_from_slice(&BYTE_ORDER.to_le_bytes());
        body.extend_from_slice(&[1, 0, 0, 0]); // version 1.0
        body.extend_from_slice(&(-1i64).to_le_bytes()); // length of the section: not known
        write_option(OPTION_APPLICATION, application.as_bytes(), body);
        write_option(OPTION_END, &[], body);
    });
    write_block(INTERFACE, out, |body| {
        body.extend_from_slice(&EXPORTED_PDU.to_le_bytes());
        body.extend_from_slice(&[0; 6]); // reserved; no limit on the length of packets
        write_option(OPTION_COMMENT, comment(FORMAT, base).as_bytes(), body);
        write_option(OPTION_RESOLUTION, &[NANOSECONDS], body);
        write_option(OPTION_END, &[], body);
    });
}

/// Appends one packet. `number` counts the journal's packets from 0 and wraps.
pub fn write_packet(number: u32, wall_ns: u64, rtp: &[u8], out: &mut Vec<u8>) {
    let size = (TAGS.len() + rtp.len()) as u32;
    write_block(PACKET, out, |body| {
        body.extend_from_slice(&0u32.to_le_bytes()); // the only interface
        body.extend_from_slice(&time_bytes(wall_ns));
        body.extend_from_slice(&size.to_le_bytes());
        body.extend_from_slice(&size.to_le_bytes());
        let data = body.len();
        body.extend_from_slice(TAGS);
        body.extend_from_slice(rtp);
        let id = packet_id(number, wall_ns, &body[data..]);
        pad(body, size as usize);
        write_option(OPTION_PACKET_ID, &id, body);
        write_option(OPTION_END, &[], body);
    });
}

/// The length of the block that `bytes` begin with, if they look like one that a journal may hold: a known type, a length
/// of whole words within `most_bytes`.
pub(super) fn block_length(bytes: &[u8], most_bytes: usize) -> Option<usize> {
    let (kind, length) = (u32_at(bytes, 0)?, u32_at(bytes, 4)? as usize);
    let known = matches!(kind, SECTION | INTERFACE | INTERFACE_STATISTICS | PACKET);
    (known && length.is_multiple_of(4) && (BLOCK_FRAME_BYTES..=most_bytes).contains(&length)).then_some(length)
}

/// The head in the body of an interface block, when its checksum holds.
pub(super) fn read_head(body: &[u8]) -> Option<Head> {
    let comment = option_of(body.get(8..)?, OPTION_COMMENT)?;
    let (text, checksum) = std::str::from_utf8(comment).ok()?.rsplit_once(" crc32=")?;
    let mut words = text.split(' ');
    if words.next() != Some("raccall") || checksum != checksum_of(text) {
        return None;
    }
    let mut number_of = |name| words.next()?.strip_prefix(name)?.parse::<u64>().ok();
    let format = number_of("format=")?.try_into().ok()?;
    let (monotonic, wall_ns) = (number_of("monotonic_ns="), number_of("wall_ns="));
    let base = monotonic.zip(wall_ns).map(|(monotonic, wall_ns)| TimeBase { monotonic, wall_ns });
    Some(Head { format, base })
}

/// Opens the body of a packet block.
pub(super) fn read_packet(body: &[u8]) -> Result<Stored<'_>, Unreadable> {
    let (data, options) = split_packet(body).ok_or(Unreadable::Damaged)?;
    let id = option_of(options, OPTION_PACKET_ID).ok_or(Unreadable::Foreign)?;
    checked(body, data, id).ok_or(Unreadable::Damaged)
}

fn checked<'a>(body: &[u8], data: &'a [u8], id: &[u8]) -> Option<Stored<'a>> {
    let wall_ns = u64::from(u32_at(body, 4)?) << 32 | u64::from(u32_at(body, 8)?);
    let number = u32_at(id, 0)?;
    let right = id == packet_id(number, wall_ns, data);
    right.then_some(Stored { wall_ns, number, rtp: data.strip_prefix(TAGS)? })
}

/// Whether a file begins like another kind of capture: pcap, or pcapng of the other byte order.
pub(super) fn is_other_capture(start: &[u8]) -> bool {
    const PCAP: [u32; 2] = [0xA1B2_C3D4, 0xA1B2_3C4D];
    let Some(magic) = u32_at(start, 0) else { return false };
    PCAP.contains(&magic)
        || PCAP.contains(&magic.swap_bytes())
        || magic == SECTION && u32_at(start, 8) == Some(BYTE_ORDER.swap_bytes())
}

/// Data and options of a packet block.
fn split_packet(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let size = u32_at(body, 12)? as usize;
    let (data, options) = body.get(PACKET_HEADER_BYTES..)?.split_at_checked(size)?;
    Some((data, options.get(size.wrapping_neg() % 4..)?))
}

fn comment(format: u32, base: TimeBase) -> String {
    let text = format!("raccall format={format} monotonic_ns={} wall_ns={}", base.monotonic, base.wall_ns);
    let checksum = checksum_of(&text);
    text + " crc32=" + &checksum
}

fn checksum_of(text: &str) -> String {
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}

fn packet_id(number: u32, wall_ns: u64, data: &[u8]) -> [u8; 8] {
    let mut id = [0; 8];
    id[..4].copy_from_slice(&number.to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&id[..4]);
    crc.update(&time_bytes(wall_ns));
    crc.update(data);
    id[4..].copy_from_slice(&crc.finalize().to_le_bytes());
    id
}

/// The upper half comes first (section 4.3 of the draft).
fn time_bytes(wall_ns: u64) -> [u8; 8] {
    wall_ns.rotate_left(32).to_le_bytes()
}

fn write_block(kind: u32, out: &mut Vec<u8>, write_body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    write_body(out);
    let length = ((out.len() - start + 4) as u32).to_le_bytes();
    out[start + 4..start + 8].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

fn write_option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

fn pad(out: &mut Vec<u8>, size: usize) {
    out.extend_from_slice(&[0; 3][..size.wrapping_neg() % 4]);
}

/// The value of the first option of this code.
fn option_of(mut options: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (header, rest) = options.split_at_checked(4)?;
        let code = u16::from_le_bytes([header[0], header[1]]);
        let size = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let value = rest.get(..size)?;
        if code == wanted {
            return Some(value);
        }
        if code == OPTION_END {
            return None;
        }
        options = rest.get(size.next_multiple_of(4)..)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().expect("four bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: TimeBase = TimeBase { monotonic: 5, wall_ns: 1_795_000_000_123_456_789 };

    #[test]
    fn a_packet_block_comes_back() {
        for size in 12..40 {
            let mut block = Vec::new();
            write_packet(7, BASE.wall_of(9), &vec![3; size], &mut block);
            assert_eq!(block_length(&block, 4096), Some(block.len()));
            let stored = read_packet(&block[BLOCK_BODY..block.len() - 4]).ok().unwrap();
            assert_eq!((stored.number, BASE.now_of(stored.wall_ns), stored.rtp), (7, 9, &vec![3; size][..]));
        }
    }

    #[test]
    fn no_bit_of_a_packet_can_change_unnoticed() {
        let mut block = Vec::new();
        write_packet(7, BASE.wall_of(9), &[0x80, 120, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x78], &mut block);
        let body = BLOCK_BODY..block.len() - 4;
        for bit in body.start * 8..body.end * 8 {
            let mut changed = block.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(stored) = read_packet(&changed[body.clone()]) {
                assert_eq!((stored.number, stored.wall_ns), (7, BASE.wall_of(9)), "bit {bit}");
                assert_eq!(stored.rtp.len(), 13, "bit {bit}");
            }
        }
    }

    #[test]
    fn the_head_comes_back_and_no_digit_of_it_can_change() {
        let mut bytes = Vec::new();
        write_head("test", BASE, &mut bytes);
        let section = block_length(&bytes, 4096).unwrap();
        let body = &mut bytes[section + BLOCK_BODY..];
        assert_eq!(read_head(body), Some(Head { format: FORMAT, base: Some(BASE) }));
        let text = body.windows(7).position(|part| part == b"raccall").unwrap();
        for at in text..text + comment(FORMAT, BASE).len() {
            body[at] ^= 2;
            assert_eq!(read_head(body), None, "byte {at}");
            body[at] ^= 2;
        }
    }

    #[test]
    fn hostile_bytes_are_refused() {
        for bytes in [&[][..], &[0; 3], &[6, 0, 0, 0, 255, 255, 255, 255], &[255; 64]] {
            assert_eq!(block_length(bytes, 4096), None);
            assert!(read_packet(bytes).is_err());
            assert_eq!(read_head(bytes), None);
        }
    }
}
