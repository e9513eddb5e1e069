//! What every parser and every mode promises: hostile bytes never panic, parse undoes write, open undoes seal.

use proptest::prelude::*;
use raccall_wire::rtcp::{self, ReportBlock, Rtcp};
use raccall_wire::rtp::{self, Extension, Packet};
use raccall_wire::transport::{Cipher, Mode, OpenError, SealError};

const KEY: [u8; 32] = [7; 32];

fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) }
}

prop_compose! {
    /// The bytes of a well-formed packet, with any mixture of CSRC list, extension and padding.
    fn packets()(
        fields in (any::<bool>(), 0..128_u8, any::<u16>(), any::<u32>(), any::<u32>()),
        csrc in prop::collection::vec(any::<u8>(), 0..16_usize),
        extension in prop::option::of((any::<u16>(), prop::collection::vec(any::<[u8; 4]>(), 0..6_usize))),
        payload in prop::collection::vec(any::<u8>(), 0..200_usize),
        padding_bytes in any::<u8>(),
    ) -> Vec<u8> {
        let csrc: Vec<u8> = csrc.iter().flat_map(|value| [*value; 4]).collect();
        let body = extension.as_ref().map(|(_, words)| words.concat()).unwrap_or_default();
        let (marker, payload_type, sequence, timestamp, ssrc) = fields;
        let packet = Packet {
            marker, payload_type, sequence, timestamp, ssrc, csrc: &csrc, payload: &payload, padding_bytes,
            extension: extension.as_ref().map(|(profile, _)| Extension { profile: *profile, body: &body }),
        };
        let mut bytes = Vec::new();
        packet.write(&mut bytes);
        assert_eq!(Packet::parse(&bytes), Ok(packet));
        bytes
    }
}

prop_compose! {
    fn blocks()(fields in prop::collection::vec((any::<[u32; 5]>(), any::<u8>(), -0x80_0000..0x80_0000), 0..32_usize))
        -> Vec<ReportBlock> {
        let block = |(words, fraction_lost, lost): ([u32; 5], u8, i32)| ReportBlock {
            ssrc: words[0], fraction_lost, lost, highest_sequence: words[1], jitter: words[2], last_sr: words[3],
            delay_since_last_sr: words[4],
        };
        fields.into_iter().map(block).collect()
    }
}

fn reports() -> impl Strategy<Value = Rtcp> {
    prop_oneof![
        (any::<[u32; 4]>(), any::<u64>(), blocks()).prop_map(|(words, ntp, blocks)| Rtcp::SenderReport {
            ssrc: words[0],
            ntp,
            timestamp: words[1],
            packets: words[2],
            bytes: words[3],
            blocks,
        }),
        (any::<u32>(), blocks()).prop_map(|(ssrc, blocks)| Rtcp::ReceiverReport { ssrc, blocks }),
        (202..=206_u8, 0..32_u8, prop::collection::vec(any::<[u8; 4]>(), 0..9_usize))
            .prop_map(|(packet_type, count, body)| Rtcp::Other { packet_type, count, body: body.concat() }),
    ]
}

/// Bytes that often look like RTP or RTCP at first sight.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    (prop::collection::vec(any::<u8>(), 0..120_usize), any::<bool>(), prop::option::of(200..=206_u8)).prop_map(
        |(mut bytes, version_2, packet_type)| {
            if let (Some(first), true) = (bytes.first_mut(), version_2) {
                *first = 0x80 | *first & 0x3F;
            }
            if let (Some(second), Some(packet_type)) = (bytes.get_mut(1), packet_type) {
                *second = packet_type;
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn rtp_parse_undoes_write(bytes in packets()) {
        prop_assert!(Packet::parse(&bytes).is_ok());
    }

    #[test]
    fn rtcp_parse_undoes_write(compound in prop::collection::vec(reports(), 1..4)) {
        let mut bytes = Vec::new();
        compound.iter().for_each(|packet| rtcp::write(packet, &mut bytes));
        prop_assert!(rtp::is_rtcp(&bytes));
        prop_assert_eq!(rtcp::parse(&bytes), Ok(compound));
    }

    #[test]
    fn open_undoes_seal(packet in packets(), nonce: [u8; 4], flip in any::<prop::sample::Index>()) {
        for mode in Mode::ALL {
            let cipher = Cipher::new(mode, &KEY);
            let (mut datagram, mut opened) = (vec![1, 2], vec![3]);
            match cipher.seal(&packet, nonce, &mut datagram) {
                // A marker on payload types 72 to 78 reads as RTCP; only this mode must refuse that.
                Err(SealError::NonceWouldRepeat) => prop_assert!(mode == Mode::XSalsa20Poly1305 && rtp::is_rtcp(&packet)),
                sealed => {
                    prop_assert_eq!(sealed, Ok(()));
                    let datagram = &mut datagram[2..];
                    prop_assert_eq!(datagram.len(), packet.len() + mode.overhead_bytes());
                    prop_assert_eq!(rtp::ssrc(datagram), rtp::ssrc(&packet));
                    cipher.open(datagram, &mut opened).unwrap();
                    prop_assert_eq!(&opened[1..], &packet[..]);

                    // The clear part of the XSalsa20 modes is not authenticated; everything else is.
                    let at = flip.index(datagram.len());
                    let clear = if mode.encrypts_whole_extension() { 12 } else { 12 + 15 * 4 + 4 };
                    if mode.wire_name().starts_with("aead") || at >= clear {
                        datagram[at] ^= 0x10;
                        opened.truncate(1);
                        prop_assert!(cipher.open(datagram, &mut opened).is_err());
                        prop_assert_eq!(&opened, &[3]);
                    }
                }
            }
        }
    }

    #[test]
    fn rtcp_survives_every_mode_that_can_seal_it(compound in prop::collection::vec(reports(), 1..3), nonce: [u8; 4]) {
        let mut packet = Vec::new();
        compound.iter().for_each(|report| rtcp::write(report, &mut packet));
        for mode in Mode::ALL.into_iter().filter(|mode| *mode != Mode::XSalsa20Poly1305) {
            let cipher = Cipher::new(mode, &KEY);
            let (mut datagram, mut opened) = (Vec::new(), Vec::new());
            if packet.len() < 8 {
                prop_assert_eq!(cipher.seal(&packet, nonce, &mut datagram), Err(SealError::Malformed));
                continue;
            }
            cipher.seal(&packet, nonce, &mut datagram).unwrap();
            prop_assert_eq!(&datagram[..8], &packet[..8]);
            cipher.open(&datagram, &mut opened).unwrap();
            prop_assert_eq!(&opened, &packet);
        }
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in hostile(), nonce: [u8; 4]) {
        let _ = Packet::parse(&bytes);
        let _ = rtcp::parse(&bytes);
        let _ = rtp::ssrc(&bytes);
        for mode in Mode::ALL {
            let cipher = Cipher::new(mode, &KEY);
            prop_assert!(cipher.open(&bytes, &mut Vec::new()).is_err());
            let _ = cipher.seal(&bytes, nonce, &mut Vec::new());
            let _ = cipher.wire_nonce(&bytes);
        }
    }
}

#[test]
fn padding_that_counts_nothing_or_too_much_is_refused() {
    let header = [0xA0, 120, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    for tail in [&[][..], &[0], &[9, 9, 4]] {
        assert_eq!(Packet::parse(&[&header, tail].concat()), Err(raccall_wire::ParseError::Padding));
    }
    let packet = [&header, &[9, 0, 0, 3][..]].concat();
    assert_eq!(Packet::parse(&packet).unwrap().payload, [9]);
}

#[test]
fn more_blocks_than_a_report_can_count_continue_in_the_next() {
    let block = |ssrc| ReportBlock { ssrc, ..ReportBlock::default() };
    let mut bytes = Vec::new();
    rtcp::write(&Rtcp::ReceiverReport { ssrc: 1, blocks: (0..40).map(block).collect() }, &mut bytes);
    let expected = [0..31, 31..40].map(|range| Rtcp::ReceiverReport { ssrc: 1, blocks: range.map(block).collect() });
    assert_eq!(rtcp::parse(&bytes).unwrap(), expected);
}

#[test]
fn each_refusal_has_its_reason() {
    let packet = [0x80, 120, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xF8, 0xFF, 0xFE];
    for mode in Mode::ALL {
        let cipher = Cipher::new(mode, &KEY);
        let mut datagram = vec![0; packet.len() + mode.overhead_bytes()];
        assert_eq!(cipher.seal_to(&packet, [1; 4], &mut datagram), Ok(packet.len() + mode.overhead_bytes()));
        assert_eq!(cipher.seal_to(&packet, [1; 4], &mut datagram[1..]), Err(SealError::NoRoom));
        assert_eq!(cipher.seal_to(&packet[..11], [1; 4], &mut datagram.clone()), Err(SealError::Malformed));

        let mut room = [0; 64];
        assert_eq!(cipher.open_to(&datagram, &mut room), Ok(packet.len()));
        assert_eq!(room[..packet.len()], packet);
        assert_eq!(cipher.open_to(&datagram, &mut room[..datagram.len() - 1]), Err(OpenError::NoRoom));
        assert_eq!(cipher.open_to(&datagram[..27], &mut room), Err(OpenError::TooShort));
        assert_eq!(cipher.open_to(&[], &mut room), Err(OpenError::TooShort));
        assert_eq!(cipher.open_to(&[0; 74], &mut room), Err(OpenError::Malformed));
        assert_eq!(Cipher::new(mode, &[8; 32]).open_to(&datagram, &mut room), Err(OpenError::BadSeal));
        assert_eq!(Mode::from_wire_name(mode.wire_name()), Some(mode));
    }
    assert_eq!(Mode::from_wire_name("plain"), None);
}
