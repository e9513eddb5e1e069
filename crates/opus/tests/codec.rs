//! What goes in comes out: every rate, channel count, application and frame length, and each setting's effect.

use raccall_opus::{
    Application, DEEP_PLC_COMPLEXITY, Decoder, Encoder, Error, MAX_PAYLOAD_BYTES, SAMPLE_RATES_HZ, packet_has_lbrr,
    packet_samples, version,
};

const RATE_HZ: u32 = 48_000;
const FRAME: usize = 960;

/// A buzz with a moving pitch: harmonic like a voice, so that speech modes and concealment have something to do.
fn buzz(frames: usize) -> Vec<f32> {
    let mut phase = 0.0f32;
    (0..frames * FRAME)
        .map(|n| {
            let seconds = n as f32 / RATE_HZ as f32;
            phase += (140.0 + 30.0 * (3.0 * seconds).sin()) / RATE_HZ as f32;
            let loudness = 0.6 + 0.4 * (11.0 * seconds).sin();
            (1..12).map(|k| (std::f32::consts::TAU * phase * k as f32).sin() / k as f32).sum::<f32>() * 0.15 * loudness
        })
        .collect()
}

fn encode_all(encoder: &mut Encoder, samples: &[f32]) -> Vec<Vec<u8>> {
    let mut out = [0; MAX_PAYLOAD_BYTES];
    samples
        .chunks_exact(FRAME)
        .map(|frame| {
            let length = encoder.encode_f32(frame, &mut out).unwrap();
            out[..length].to_vec()
        })
        .collect()
}

fn energy(samples: &[f32]) -> f64 {
    samples.iter().map(|x| f64::from(*x).powi(2)).sum()
}

#[test]
fn the_library_inside_is_1_6_1() {
    assert_eq!(version(), "libopus 1.6.1");
}

#[test]
fn every_rate_application_and_length_passes_both_ways() {
    for rate in SAMPLE_RATES_HZ {
        for channels in [1u8, 2] {
            for application in [Application::Voip, Application::Audio, Application::LowDelay] {
                for tenths_of_ms in [25, 50, 100, 200, 400, 600] {
                    let per_channel = rate as usize * tenths_of_ms / 10_000;
                    let mut encoder = Encoder::new(rate, channels, application).unwrap();
                    let mut decoder = Decoder::new(rate, channels).unwrap();
                    let input: Vec<f32> =
                        (0..per_channel * usize::from(channels)).map(|n| 0.3 * (n as f32 * 0.05).sin()).collect();
                    let mut payload = [0; MAX_PAYLOAD_BYTES];
                    let length = encoder.encode_f32(&input, &mut payload).unwrap();
                    assert_eq!(packet_samples(&payload[..length], rate), Ok(per_channel));

                    let mut sound = vec![0.0; input.len()];
                    assert_eq!(decoder.decode_f32(&payload[..length], &mut sound), Ok(per_channel));
                    assert_eq!(encoder.final_range(), decoder.final_range());
                }
            }
        }
    }
}

#[test]
fn decoded_sound_is_the_sound_that_was_encoded() {
    let input = buzz(50);
    let mut encoder = Encoder::new(RATE_HZ, 1, Application::Audio).unwrap();
    encoder.set_bitrate(96_000).unwrap();
    let delay = encoder.lookahead_samples().unwrap();
    let mut decoder = Decoder::new(RATE_HZ, 1).unwrap();
    let mut sound = Vec::new();
    for payload in encode_all(&mut encoder, &input) {
        let mut frame = [0.0; FRAME];
        decoder.decode_f32(&payload, &mut frame).unwrap();
        sound.extend(frame);
    }
    let start = 10 * FRAME;
    let difference: Vec<f32> =
        sound[start + delay..].iter().zip(&input[start..]).map(|(heard, said)| heard - said).collect();
    assert!(energy(&difference) < 0.02 * energy(&input[start..]));
}

#[test]
fn int16_and_float_agree() {
    let input = buzz(10);
    let whole: Vec<i16> = input.iter().map(|x| (x * 32768.0) as i16).collect();
    let same: Vec<f32> = whole.iter().map(|x| f32::from(*x) / 32768.0).collect();
    let mut by_int = Encoder::new(RATE_HZ, 1, Application::LowDelay).unwrap();
    let mut by_float = Encoder::new(RATE_HZ, 1, Application::LowDelay).unwrap();
    let (mut to_int, mut to_float) = (Decoder::new(RATE_HZ, 1).unwrap(), Decoder::new(RATE_HZ, 1).unwrap());
    let (mut a, mut b) = ([0; MAX_PAYLOAD_BYTES], [0; MAX_PAYLOAD_BYTES]);
    for (ints, floats) in whole.chunks_exact(FRAME).zip(same.chunks_exact(FRAME)) {
        let length = by_int.encode_i16(ints, &mut a).unwrap();
        by_float.encode_f32(floats, &mut b).unwrap();
        let (mut heard_int, mut heard_float) = ([0i16; FRAME], [0f32; FRAME]);
        to_int.decode_i16(&a[..length], &mut heard_int).unwrap();
        to_float.decode_f32(&a[..length], &mut heard_float).unwrap();
        for (x, y) in heard_int.iter().zip(heard_float) {
            assert!((f32::from(*x) / 32768.0 - y).abs() < 2.0 / 32768.0);
        }
    }
    assert_eq!(by_int.final_range(), by_float.final_range());
}

#[test]
fn a_higher_bitrate_makes_larger_payloads() {
    let size = |bitrate| {
        let mut encoder = Encoder::new(RATE_HZ, 1, Application::Voip).unwrap();
        encoder.set_bitrate(bitrate).unwrap();
        encode_all(&mut encoder, &buzz(50)).iter().map(Vec::len).sum::<usize>()
    };
    let (small, large) = (size(12_000), size(48_000));
    assert!(large > 3 * small, "{small} {large}");
}

#[test]
fn dtx_writes_next_to_nothing_in_silence() {
    let mut encoder = Encoder::new(RATE_HZ, 1, Application::Voip).unwrap();
    encoder.set_dtx(true).unwrap();
    encode_all(&mut encoder, &buzz(50));
    let silence = encode_all(&mut encoder, &vec![0.0; FRAME * 100]);
    let tiny = silence.iter().filter(|payload| payload.len() <= 2).count();
    assert!(tiny > 80, "{tiny} of 100");
}

/// The buzz with every payload of `lost` missing, concealed by `conceal(decoder, next payload, frame)`.
fn with_losses(
    payloads: &[Vec<u8>],
    lost: &[usize],
    complexity: u8,
    mut conceal: impl FnMut(&mut Decoder, &[u8], &mut [f32]),
) -> Vec<f32> {
    let mut decoder = Decoder::new(RATE_HZ, 1).unwrap();
    decoder.set_complexity(complexity).unwrap();
    let mut sound = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        let mut frame = [0.0; FRAME];
        if lost.contains(&index) {
            conceal(&mut decoder, &payloads[index + 1], &mut frame);
        } else {
            decoder.decode_f32(payload, &mut frame).unwrap();
        }
        sound.extend(frame);
    }
    sound
}

fn protected_payloads(lbrr: bool) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(RATE_HZ, 1, Application::Voip).unwrap();
    encoder.set_bitrate(32_000).unwrap();
    encoder.set_expected_loss(20).unwrap();
    encoder.set_lbrr(lbrr).unwrap();
    encode_all(&mut encoder, &buzz(60))
}

#[test]
fn lbrr_repairs_better_than_concealment() {
    let payloads = protected_payloads(true);
    // The encoder repeats only what it takes for speech, so lose from that.
    let lost: Vec<usize> = (3..58).step_by(4).filter(|n| packet_has_lbrr(&payloads[n + 1]) == Ok(true)).collect();
    assert!(lost.len() > 5, "{lost:?}");
    assert!(protected_payloads(false).iter().all(|payload| packet_has_lbrr(payload) == Ok(false)));

    let clean = with_losses(&payloads, &[], 0, |_, _, _| ());
    let concealed = with_losses(&payloads, &lost, 0, |decoder, _, frame| {
        assert_eq!(decoder.conceal_f32(frame), Ok(FRAME));
    });
    let repaired = with_losses(&payloads, &lost, 0, |decoder, next, frame| {
        assert_eq!(decoder.decode_lbrr_f32(next, frame), Ok(FRAME));
    });
    let error = |sound: &[f32]| energy(&sound.iter().zip(&clean).map(|(a, b)| a - b).collect::<Vec<_>>());
    assert!(error(&repaired) < 0.5 * error(&concealed), "{} {}", error(&repaired), error(&concealed));
}

#[test]
fn deep_plc_is_built_in() {
    let payloads = protected_payloads(false);
    let lost = [30, 31, 32];
    let conceal = |decoder: &mut Decoder, _: &[u8], frame: &mut [f32]| {
        decoder.conceal_f32(frame).unwrap();
    };
    let classic = with_losses(&payloads, &lost, DEEP_PLC_COMPLEXITY - 1, conceal);
    let deep = with_losses(&payloads, &lost, DEEP_PLC_COMPLEXITY, conceal);
    let hole = lost[0] * FRAME..33 * FRAME;
    // Before the loss they agree to the bit: it is the concealment that differs, not the decoding.
    assert_eq!(classic[..hole.start], deep[..hole.start]);
    let difference: Vec<f32> = classic[hole.clone()].iter().zip(&deep[hole.clone()]).map(|(a, b)| a - b).collect();
    assert!(energy(&difference) > 0.05 * energy(&classic[hole.clone()]));
    // 60 ms into a steady buzz, the network still makes sound.
    let clean = with_losses(&payloads, &[], 0, |_, _, _| ());
    assert!(energy(&deep[hole.clone()]) > 0.2 * energy(&clean[hole]));
}

#[test]
fn reset_forgets_the_sound() {
    let payloads = protected_payloads(false);
    let mut used = Decoder::new(RATE_HZ, 1).unwrap();
    let mut frame = [0.0; FRAME];
    for payload in &payloads {
        used.decode_f32(payload, &mut frame).unwrap();
    }
    used.reset().unwrap();
    used.decode_f32(&payloads[0], &mut frame).unwrap();
    let mut fresh = [0.0; FRAME];
    Decoder::new(RATE_HZ, 1).unwrap().decode_f32(&payloads[0], &mut fresh).unwrap();
    assert_eq!(frame, fresh);

    let mut encoder = Encoder::new(RATE_HZ, 1, Application::Voip).unwrap();
    let first = encode_all(&mut encoder, &buzz(5));
    encoder.reset().unwrap();
    assert_eq!(encode_all(&mut encoder, &buzz(5)), first);
}

#[test]
fn what_libopus_refuses_carries_its_code_and_text() {
    assert_eq!(Encoder::new(44_100, 1, Application::Voip).err(), Some(Error::BAD_ARGUMENT));
    assert_eq!(Encoder::new(RATE_HZ, 3, Application::Voip).err(), Some(Error::BAD_ARGUMENT));
    assert_eq!(Decoder::new(RATE_HZ, 0).err(), Some(Error::BAD_ARGUMENT));
    assert_eq!(Error::BAD_ARGUMENT.to_string(), "invalid argument");
    assert_eq!(Error::INVALID_PACKET.to_string(), "corrupted stream");

    let mut encoder = Encoder::new(RATE_HZ, 2, Application::Voip).unwrap();
    let mut out = [0; MAX_PAYLOAD_BYTES];
    assert_eq!(encoder.encode_f32(&[0.0; 959], &mut out), Err(Error::BAD_ARGUMENT)); // half a stereo sample
    assert_eq!(encoder.encode_f32(&[0.0; 2 * 123], &mut out), Err(Error::BAD_ARGUMENT)); // no frame length of Opus
    assert_eq!(encoder.encode_f32(&[], &mut out), Err(Error::BAD_ARGUMENT));
    assert_eq!(encoder.encode_f32(&[0.0; 2 * FRAME], &mut []), Err(Error::BAD_ARGUMENT));
    assert_eq!(encoder.set_complexity(11), Err(Error::BAD_ARGUMENT));
    assert_eq!(encoder.set_expected_loss(101), Err(Error::BAD_ARGUMENT));
    assert_eq!(encoder.set_bitrate(-1), Err(Error::BAD_ARGUMENT));
    assert_eq!(encoder.set_bitrate(0), Err(Error::BAD_ARGUMENT));

    let payload = &protected_payloads(false)[0];
    let mut decoder = Decoder::new(RATE_HZ, 1).unwrap();
    assert_eq!(decoder.set_complexity(11), Err(Error::BAD_ARGUMENT));
    assert_eq!(decoder.decode_f32(&[], &mut [0.0; FRAME]), Err(Error::INVALID_PACKET));
    assert_eq!(decoder.decode_f32(payload, &mut [0.0; FRAME / 2]), Err(Error::BUFFER_TOO_SMALL));
    assert_eq!(decoder.decode_f32(payload, &mut []), Err(Error::BAD_ARGUMENT));
    assert_eq!(decoder.conceal_f32(&mut [0.0; 100]), Err(Error::BAD_ARGUMENT)); // not a multiple of 2.5 ms
    assert_eq!(packet_samples(&[], RATE_HZ), Err(Error::INVALID_PACKET));
    assert_eq!(packet_samples(&[0x03, 0x00], RATE_HZ), Err(Error::INVALID_PACKET)); // says that it holds no frame
    assert_eq!(packet_samples(payload, 44_100), Err(Error::BAD_ARGUMENT));
    assert_eq!(packet_has_lbrr(&[]), Err(Error::INVALID_PACKET));
}
