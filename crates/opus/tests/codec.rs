//! What goes in comes out: every rate, channel count, application and frame length, and each setting's effect.

use raccall_opus::{
    Application, DEEP_PLC_COMPLEXITY, Decoder, Encoder, Error, MAX_PAYLOAD_BYTES, MOST_REDUNDANCY_FRAMES, Redundancy,
    SAMPLE_RATES_HZ, packet_has_lbrr, packet_samples, version,
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

/// Payloads that tell of the half second before them, as far as the bits go.
fn telling_payloads(expected_loss_pct: u8) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(RATE_HZ, 1, Application::Voip).unwrap();
    encoder.set_bitrate(64_000).unwrap();
    encoder.set_expected_loss(expected_loss_pct).unwrap();
    encoder.set_redundancy(50).unwrap();
    encode_all(&mut encoder, &syllables(100))
}

/// Syllables of 100 ms with pauses as long: what is made up cannot know when one ends.
fn syllables(frames: usize) -> Vec<f32> {
    let spoken = |n: usize| 0.5 - 0.5 * (std::f32::consts::TAU * n as f32 / 9600.0).cos();
    buzz(frames).iter().enumerate().map(|(n, sample)| 2.0 * sample * spoken(n).powi(2)).collect()
}

/// How far the loudness of 10 ms is from what it should be, in dB on average.
fn loudness_error_db(sound: &[f32], right: &[f32]) -> f64 {
    let loudness = |part: &[f32]| 10.0 * (energy(part) + 1e-3).log10();
    let errors: Vec<f64> =
        sound.chunks(480).zip(right.chunks(480)).map(|(a, b)| (loudness(a) - loudness(b)).abs()).collect();
    errors.iter().sum::<f64>() / errors.len() as f64
}

#[test]
fn a_burst_of_five_is_spoken_again_from_the_redundancy_after_it() {
    let payloads = telling_payloads(20);
    let mut redundancy = Redundancy::new().unwrap();
    let clean = with_losses(&payloads, &[], DEEP_PLC_COMPLEXITY, |_, _, _| ());
    let (mut told_db, mut made_up_db) = (0.0, 0.0);
    for burst in [40usize, 53, 66, 79] {
        let reach = redundancy.reach(&payloads[burst + 5]).unwrap();
        assert!(reach.end >= 5 * FRAME, "{reach:?}");
        let mut hear = |respeak: bool| {
            let lost: Vec<usize> = (burst..burst + 5).collect();
            let mut before = 5 * FRAME;
            let sound = with_losses(&payloads, &lost, DEEP_PLC_COMPLEXITY, |decoder, _, frame| {
                if respeak {
                    redundancy.read(&payloads[burst + 5], before).unwrap();
                    assert_eq!(decoder.decode_redundancy_f32(&redundancy, before, frame), Ok(FRAME));
                    before -= FRAME;
                } else {
                    decoder.conceal_f32(frame).unwrap();
                }
            });
            let hole = burst * FRAME..(burst + 5) * FRAME;
            loudness_error_db(&sound[hole.clone()], &clean[hole])
        };
        told_db += hear(true) / 4.0;
        made_up_db += hear(false) / 4.0;
    }
    assert!(told_db < 0.4 * made_up_db, "{told_db} dB, made up {made_up_db} dB");
}

#[test]
fn redundancy_costs_nothing_where_no_loss_is_expected() {
    let mut plain = Encoder::new(RATE_HZ, 1, Application::Voip).unwrap();
    plain.set_bitrate(64_000).unwrap();
    assert_eq!(telling_payloads(0), encode_all(&mut plain, &syllables(100)));
    let mut redundancy = Redundancy::new().unwrap();
    assert!(telling_payloads(0).iter().all(|payload| redundancy.reach(payload).unwrap().is_empty()));
}

#[test]
fn redundancy_takes_its_bits_from_the_bitrate() {
    for bitrate_bps in [48_000, 64_000] {
        for expected_loss_pct in (0..=30).step_by(5) {
            let mut encoder = Encoder::new(RATE_HZ, 1, Application::Voip).unwrap();
            encoder.set_bitrate(bitrate_bps).unwrap();
            encoder.set_lbrr(true).unwrap();
            encoder.set_expected_loss(expected_loss_pct).unwrap();
            let bits =
                |encoder: &mut Encoder| encode_all(encoder, &buzz(150)).iter().map(|p| p.len() * 8).sum::<usize>();
            let without = bits(&mut encoder);
            encoder.set_redundancy(50).unwrap();
            encoder.reset().unwrap();
            let with = bits(&mut encoder);
            assert!(with as f32 <= 1.03 * (3 * bitrate_bps) as f32, "{bitrate_bps} {expected_loss_pct}: {with}");
            let tells = with as f32 > 1.05 * without as f32;
            assert!(tells || expected_loss_pct < 20, "{bitrate_bps} {expected_loss_pct}: {without} {with}");
        }
    }
}

#[test]
fn redundancy_is_padding_to_who_does_not_know_it() {
    let payloads = telling_payloads(20);
    let mut bare = Decoder::new(RATE_HZ, 1).unwrap();
    let mut knowing = Decoder::new(RATE_HZ, 1).unwrap();
    let mut redundancy = Redundancy::new().unwrap();
    let mut told = 0;
    for payload in &payloads {
        let stripped = without_padding(payload);
        told += payload.len() - stripped.len();
        assert!(redundancy.reach(&stripped).unwrap().is_empty());
        let (mut a, mut b) = ([0.0; FRAME], [0.0; FRAME]);
        bare.decode_f32(&stripped, &mut a).unwrap();
        knowing.decode_f32(payload, &mut b).unwrap();
        assert_eq!(a, b);
    }
    assert!(told > 100 * 20, "{told} bytes");
}

/// A payload of one frame behind a code 3 header (RFC 6716 section 3.2.5), as one of code 0.
fn without_padding(payload: &[u8]) -> Vec<u8> {
    if payload[0] & 3 != 3 {
        return payload.to_vec();
    }
    assert_eq!(payload[1], 0x41, "one frame, padded");
    let steps = payload[2..].iter().take_while(|byte| **byte == 255).count();
    let padding = 254 * steps + usize::from(payload[2 + steps]);
    let mut stripped = vec![payload[0] & !3];
    stripped.extend(&payload[3 + steps..payload.len() - padding]);
    stripped
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
    assert_eq!(encoder.set_redundancy(MOST_REDUNDANCY_FRAMES + 1), Err(Error::BAD_ARGUMENT));
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
