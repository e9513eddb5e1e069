//! Any bytes and any samples: an error with a known code or sound, never a crash, and the decoder stays usable.

use proptest::prelude::*;
use raccall_opus::{
    Application, Decoder, Encoder, Error, MAX_PAYLOAD_BYTES, Redundancy, packet_has_lbrr, packet_samples,
};

const RATE_HZ: u32 = 48_000;
const LONGEST: usize = 5760; // 120 ms

const ALLOWED: [Error; 3] = [Error::BAD_ARGUMENT, Error::BUFFER_TOO_SMALL, Error::INVALID_PACKET];

fn check(result: Result<usize, Error>, limit: usize) {
    match result {
        Ok(samples) => assert!(samples <= limit),
        Err(error) => assert!(ALLOWED.contains(&error), "{error:?}"),
    }
}

fn real_payload() -> Vec<u8> {
    payload_with(true, 0)
}

fn payload_with(lbrr: bool, redundancy: u8) -> Vec<u8> {
    let mut encoder = Encoder::new(RATE_HZ, 1, Application::Voip).unwrap();
    encoder.set_lbrr(lbrr).unwrap();
    encoder.set_redundancy(redundancy).unwrap();
    encoder.set_expected_loss(20).unwrap();
    let mut out = [0; MAX_PAYLOAD_BYTES];
    let mut length = 0;
    for frame in 0..20 {
        let sound: Vec<f32> = (0..960).map(|n| 0.4 * ((frame * 960 + n) as f32 * 0.02).sin()).collect();
        length = encoder.encode_f32(&sound, &mut out).unwrap();
    }
    out[..length].to_vec()
}

/// What `payload` tells, at every distance, also where it tells of nothing.
fn speak_again(decoder: &mut Decoder, payload: &[u8], channels: u8) {
    let mut redundancy = Redundancy::new().unwrap();
    let mut out = vec![0.0; 480 * usize::from(channels)];
    check(decoder.decode_redundancy_f32(&redundancy, 960, &mut out), 480);
    for before in [0, 960, 49_920, usize::MAX] {
        let (reach, read) = (redundancy.reach(payload), redundancy.read(payload, before));
        for told in [reach, read] {
            match told {
                Ok(told) => assert!(told.start <= told.end && told.len() <= 104 * 480, "{told:?}"),
                Err(error) => assert!(ALLOWED.contains(&error), "{error:?}"),
            }
        }
        check(decoder.decode_redundancy_f32(&redundancy, before, &mut out), 480);
        assert!(out.iter().all(|sample| sample.is_finite()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..4),
        channels in 1u8..=2,
        complexity in prop::sample::select(vec![0u8, 5, 10]),
        room in 1usize..=LONGEST,
    ) {
        let mut decoder = Decoder::new(RATE_HZ, channels).unwrap();
        decoder.set_complexity(complexity).unwrap();
        let mut floats = vec![0.0; room * usize::from(channels)];
        let mut ints = vec![0; room * usize::from(channels)];
        for payload in &payloads {
            check(packet_samples(payload, RATE_HZ), LONGEST);
            let _ = packet_has_lbrr(payload);
            check(decoder.decode_f32(payload, &mut floats), room);
            check(decoder.decode_lbrr_f32(payload, &mut floats), room);
            check(decoder.conceal_f32(&mut floats), room);
            check(decoder.decode_i16(payload, &mut ints), room);
        }
        let mut sound = vec![0.0; LONGEST * usize::from(channels)];
        prop_assert_eq!(decoder.decode_f32(&real_payload(), &mut sound), Ok(960));
    }

    #[test]
    fn a_real_payload_with_flipped_bytes_or_cut_short(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut payload = real_payload();
        for (at, value) in flips {
            let at = at.index(payload.len());
            payload[at] = value;
        }
        payload.truncate(1 + keep.index(payload.len()));
        let mut decoder = Decoder::new(RATE_HZ, 1).unwrap();
        decoder.set_complexity(5).unwrap();
        let mut sound = [0.0; LONGEST];
        check(decoder.decode_f32(&payload, &mut sound), LONGEST);
        check(decoder.decode_lbrr_f32(&payload, &mut sound[..960]), 960);
        check(decoder.conceal_f32(&mut sound[..960]), 960);
        prop_assert!(sound.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn any_samples(bits in prop::collection::vec(any::<u32>(), 960), room in 1usize..1500) {
        // Every bit pattern: NaN, infinities, denormals.
        let samples: Vec<f32> = bits.iter().map(|x| f32::from_bits(*x)).collect();
        let mut encoder = Encoder::new(RATE_HZ, 1, Application::Voip).unwrap();
        let mut out = vec![0; room];
        check(encoder.encode_f32(&samples, &mut out), room);
        let mut full = [0; MAX_PAYLOAD_BYTES];
        check(encoder.encode_f32(&[0.1; 960], &mut full), MAX_PAYLOAD_BYTES);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn redundancy_of_any_bytes(
        told in prop::collection::vec(any::<u8>(), 0..254),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        channels in 1u8..=2,
    ) {
        // As libopus writes it: one frame, padded; in the padding extension 126, "D", version 12.
        let mut forged = vec![0x78 | 3, 0x41, told.len() as u8 + 3, 1, 2, 3, 126 << 1, b'D', 12];
        forged.extend(&told);
        let mut damaged = payload_with(false, 104);
        for (at, value) in flips {
            let at = at.index(damaged.len());
            damaged[at] = value;
        }
        let mut decoder = Decoder::new(RATE_HZ, channels).unwrap();
        decoder.set_complexity(5).unwrap();
        for payload in [forged, damaged] {
            speak_again(&mut decoder, &payload, channels);
        }
        let mut sound = vec![0.0; LONGEST * usize::from(channels)];
        prop_assert_eq!(decoder.decode_f32(&real_payload(), &mut sound), Ok(960));
        prop_assert!(sound.iter().all(|x| x.is_finite()));
    }
}
