//! Any bytes and any samples: an error with a known code or sound, never a crash, and the decoder stays usable.

use proptest::prelude::*;
use raccall_opus::{Application, Decoder, Encoder, Error, MAX_PAYLOAD_BYTES, packet_has_lbrr, packet_samples};

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
    let mut encoder = Encoder::new(RATE_HZ, 1, Application::Voip).unwrap();
    encoder.set_lbrr(true).unwrap();
    encoder.set_expected_loss(20).unwrap();
    let mut out = [0; MAX_PAYLOAD_BYTES];
    let mut length = 0;
    for frame in 0..6 {
        let sound: Vec<f32> = (0..960).map(|n| 0.4 * ((frame * 960 + n) as f32 * 0.02).sin()).collect();
        length = encoder.encode_f32(&sound, &mut out).unwrap();
    }
    out[..length].to_vec()
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
