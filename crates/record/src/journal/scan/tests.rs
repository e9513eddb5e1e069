//! Whole journals, cut ones, and ones with flipped, added, missing and shuffled bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::journal::blocks::WINDOW_BYTES;
use crate::journal::{write_head, write_packet};

const BASE: TimeBase = TimeBase { monotonic: 1_000_000_000_000, wall_ns: 1_795_000_000_000_000_000 };
const PACKETS: u16 = 60;
const SECOND: Nanos = 1_000_000_000;

/// What a packet is known by here.
type Key = (Nanos, Vec<u8>);

fn packet(number: u16) -> Key {
    let mut rtp = vec![0x80, 120];
    rtp.extend(number.wrapping_add(65_500).to_be_bytes());
    rtp.extend((u32::from(number) * 960).to_be_bytes());
    rtp.extend(u32::from(number % 3 + 7).to_be_bytes());
    // Payloads with block marks in them: damage must not make packets of these.
    rtp.extend([6, 0, 0, 0, 64, 0, 0, 0].iter().cycle().take(20 + usize::from(number) % 50));
    (BASE.monotonic + u64::from(number) * 20_000_000, rtp)
}

/// A journal in parts: its head, then one part a packet.
fn parts() -> Vec<Vec<u8>> {
    let mut head = Vec::new();
    write_head("test", BASE, &mut head);
    let blocks = (0..PACKETS).map(|number| {
        let (arrival, rtp) = packet(number);
        let mut block = Vec::new();
        write_packet(number.into(), BASE.wall_of(arrival), &rtp, &mut block);
        block
    });
    std::iter::once(head).chain(blocks).collect()
}

fn scan(bytes: &[u8]) -> (Vec<Key>, Damage) {
    let mut scan = Scan::new(bytes, Some(BASE), SECOND);
    let mut read = Vec::new();
    while let Some(batch) = scan.read().unwrap() {
        read.extend(batch.iter().map(|packet| (packet.arrival, packet.rtp.to_vec())));
    }
    (read, scan.damage())
}

fn packets(numbers: impl IntoIterator<Item = u16>) -> Vec<Key> {
    numbers.into_iter().map(packet).collect()
}

#[test]
fn an_undamaged_journal_comes_back_with_counters_that_go_on() {
    let bytes = parts().concat();
    assert_eq!(scan(&bytes), (packets(0..PACKETS), Damage::default()));
    let mut scan = Scan::new(&bytes[..], None, SECOND);
    let batch = scan.read().unwrap().unwrap();
    assert_eq!((batch.len(), scan.base(), scan.format()), (50, Some(BASE), Some(FORMAT)));
    let sequences: Vec<_> = batch.iter().filter(|packet| packet.ssrc == 7).map(|packet| packet.sequence).collect();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 3), "past 65 535 and on");
}

#[test]
fn a_later_format_is_refused() {
    let bytes = parts().concat();
    let text = format!("raccall format={}", FORMAT + 1);
    let checksum = format!("{text} crc32={:08x}", crc32fast::hash(text.as_bytes()));
    let mut later = Vec::new();
    let section = format::block_length(&bytes, 4096).unwrap();
    later.extend_from_slice(&bytes[..section]);
    let mut body = vec![252, 0, 0, 0, 0, 0, 0, 0, 1, 0, checksum.len() as u8, 0];
    body.extend_from_slice(checksum.as_bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    let length = (body.len() as u32 + 12).to_le_bytes();
    later.extend([&INTERFACE.to_le_bytes()[..], &length, &body, &length].concat());
    later.extend_from_slice(&parts()[1..].concat());
    let mut scan = Scan::new(&later[..], None, SECOND);
    assert!(matches!(scan.read(), Err(ScanError::TooNew { format }) if format == FORMAT + 1));
}

#[test]
fn other_captures_are_refused_and_nothing_is_no_packet() {
    for start in [&b"\xD4\xC3\xB2\xA1"[..], b"\xA1\xB2\x3C\x4D", b"\x0A\x0D\x0D\x0A\0\0\0\x1C\x1A\x2B\x3C\x4D"] {
        let file = [start, &[0; 100]].concat();
        assert!(matches!(Scan::new(&file[..], None, SECOND).read(), Err(ScanError::Foreign)));
    }
    assert_eq!(scan(&[]), (vec![], Damage::default()));
}

#[test]
fn damage_wider_than_the_window_costs_one_place() {
    let parts = parts();
    let garbage = vec![6; 3 * WINDOW_BYTES + 5];
    let (before, after) = (parts[..30].concat(), parts[30..].concat());
    let (read, damage) = scan(&[before, garbage, after].concat());
    assert_eq!((read, damage.places), (packets(0..PACKETS), 1));
    assert_eq!(damage.lost_bytes, 3 * WINDOW_BYTES as u64 + 5);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_stands_before_a_cut_is_read(at in 0usize..9_000) {
        let parts = parts();
        let mut end = 0;
        let whole = parts.iter().take_while(|part| { end += part.len(); end <= at }).count();
        let bytes = parts.concat();
        let (read, damage) = scan(&bytes[..at.min(bytes.len())]);
        prop_assert_eq!(read, packets(0..whole.saturating_sub(1) as u16));
        prop_assert_eq!((damage.unreadable, damage.missing), (0, 0), "a cut tail is a place, no more is known");
    }

    #[test]
    fn a_flipped_bit_costs_its_packet_and_is_counted(bit in any::<prop::sample::Index>()) {
        let parts = parts();
        let mut bytes = parts.concat();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut end = 0;
        let hit = parts.iter().position(|part| { end += part.len(); bit / 8 < end }).unwrap();
        let (read, damage) = scan(&bytes);
        let without = packets((0..PACKETS).filter(|number| usize::from(*number) + 1 != hit));
        if read == packets(0..PACKETS) {
            prop_assert_eq!(damage.missing, 0, "what no packet says: interface, capture length, padding, head");
        } else {
            prop_assert_eq!(read, without);
            prop_assert!(damage.missing == 1 || damage.places + damage.unreadable > 0);
        }
    }

    #[test]
    fn bytes_put_in_cost_at_most_the_packet_they_split(
        at in any::<prop::sample::Index>(), garbage in vec(any::<u8>(), 1..600),
    ) {
        let parts = parts();
        let bytes = parts.concat();
        let at = at.index(bytes.len());
        let (mut end, mut split) = (0, None);
        for (index, part) in parts.iter().enumerate() {
            if end < at && at < end + part.len() { split = Some(index); }
            end += part.len();
        }
        let (read, damage) = scan(&[&bytes[..at], &garbage, &bytes[at..]].concat());
        let without = packets((0..PACKETS).filter(|number| Some(usize::from(*number) + 1) != split));
        prop_assert!(read == without || read == packets(0..PACKETS));
        prop_assert!(damage.places > 0 && damage.lost_bytes >= garbage.len() as u64);
        prop_assert!(damage.missing <= 1);
    }

    #[test]
    fn blocks_taken_out_are_counted_and_swapped_ones_all_there(
        order in Just((1..=usize::from(PACKETS)).collect::<Vec<_>>()).prop_shuffle(), taken in 0usize..20,
    ) {
        let parts = parts();
        let kept = &order[taken..];
        let bytes = kept.iter().fold(parts[0].clone(), |bytes, index| [bytes, parts[*index].clone()].concat());
        let (read, damage) = scan(&bytes);
        prop_assert_eq!(read, packets(kept.iter().map(|index| *index as u16 - 1)));
        prop_assert_eq!(damage.missing, (kept.iter().max().unwrap() - kept.len()) as u64);
        prop_assert_eq!((damage.places, damage.unreadable), (0, 0));
    }

    #[test]
    fn any_bytes_end(bytes in vec(any::<u8>(), 0..3_000)) {
        let mut scan = Scan::new(&bytes[..], None, SECOND);
        while let Ok(Some(batch)) = scan.read() {
            prop_assert!(!batch.is_empty());
        }
    }
}
