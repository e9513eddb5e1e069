//! Placed packets in, sound out: what a listener hears of drift, losses, pauses and hostile bytes.

use std::f32::consts::TAU;
use std::sync::Arc;

use raccall_opus::{Application, Encoder, MAX_PAYLOAD_BYTES, packet_has_lbrr};
use raccall_record::{Placed, PlacedBatch, SoundCounts, SpeakerSound};

const FRAME: usize = 960;
/// Decoded sound comes late by it; SpeakerSound takes that back.
const PRE_SKIP: usize = 312;

/// Like speech for an encoder: syllables of a gliding pitch, a little hoarse.
fn speech(frames: usize) -> Vec<f32> {
    let mut phase = 0.0f32;
    let mut noise = Noise(1);
    (0..frames * FRAME)
        .map(|n| {
            phase += (130.0 + 20.0 * (TAU * n as f32 / 96_000.0).sin()) / 48_000.0;
            let vowel = (1..8).map(|k| (TAU * k as f32 * phase).sin() / k as f32).sum::<f32>();
            let syllable = 0.6 + 0.4 * (TAU * n as f32 / 11_000.0).sin();
            0.15 * syllable * (vowel + noise.next())
        })
        .collect()
}

struct Noise(u32);

impl Noise {
    /// Within ±0.5.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 as f32 / u32::MAX as f32 - 0.5
    }
}

fn encode(sound: &[f32], channels: u8, dtx: bool) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(48_000, channels, Application::Voip).unwrap();
    encoder.set_bitrate(32_000 * i32::from(channels)).unwrap(); // so little that speech is coded as speech, with copies
    encoder.set_expected_loss(10).unwrap();
    encoder.set_lbrr(true).unwrap();
    encoder.set_dtx(dtx).unwrap();
    sound
        .chunks_exact(FRAME * usize::from(channels))
        .map(|frame| {
            let mut payload = [0; MAX_PAYLOAD_BYTES];
            let length = encoder.encode_f32(frame, &mut payload).unwrap();
            payload[..length].to_vec()
        })
        .collect()
}

/// Packets end to end from `begin` on, by a clock that is `ppm` slow; those that `keep` refuses are lost.
fn place(payloads: &[Vec<u8>], begin: f64, ppm: f64, keep: impl Fn(usize) -> bool) -> Vec<Packet> {
    let mut lost = 0;
    let mut placed = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        if keep(index) {
            let exact = begin + (index * FRAME) as f64 * (1.0 + ppm * 1e-6);
            placed.push(Packet { exact, lost, payload: payload.clone() });
            lost = 0;
        } else {
            lost += 1;
        }
    }
    placed
}

#[derive(Clone)]
struct Packet {
    exact: f64,
    lost: u32,
    payload: Vec<u8>,
}

fn push(sound: &mut SpeakerSound, packet: &Packet) {
    let Packet { exact, lost, ref payload } = *packet;
    let mut batch = PlacedBatch::default();
    batch.push(Placed { position: exact as u64, exact, samples: FRAME as u32, lost, in_track: true, payload });
    sound.push(&Arc::new(batch));
}

/// All of it, up to `end`.
fn heard(packets: &[Packet], channels: u8, end: u64) -> (Vec<f32>, SoundCounts) {
    let mut sound = SpeakerSound::new(channels, 1.0, 0).unwrap();
    packets.iter().for_each(|packet| push(&mut sound, packet));
    (sound.pull(end, Vec::new()), sound.counts())
}

fn level(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
}

fn likeness(a: &[f32], b: &[f32]) -> f32 {
    let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    product / (level(a) * level(b) * a.len() as f32)
}

/// Where `part` fits best, 80 samples around `near`.
fn place_of(part: &[f32], sound: &[f32], near: usize) -> usize {
    let score = |at: usize| likeness(&sound[at..at + part.len()], part);
    (near - 80..near + 80).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap()
}

#[test]
fn sound_lies_where_it_was_said() {
    let said = speech(50);
    let (sound, counts) = heard(&place(&encode(&said, 1, false), 5_000.0, 0.0, |_| true), 1, 60_000);
    assert!(sound[..5_000 - PRE_SKIP].iter().all(|sample| *sample == 0.0));
    assert!(place_of(&said[24_000..28_800], &sound, 29_000).abs_diff(29_000) < 30);
    assert!(sound[5_000 + 48_000 + FRAME..].iter().all(|sample| *sample == 0.0));
    assert_eq!(counts, SoundCounts::default());
}

#[test]
fn a_drifting_clock_is_followed_closely() {
    let said = speech(500);
    let payloads = encode(&said, 1, false);
    let away = |ppm: f64| -> Vec<i64> {
        let (sound, counts) = heard(&place(&payloads, 1_000.0, ppm, |_| true), 1, 490_000);
        assert_eq!(counts, SoundCounts::default());
        let away = |second: usize| {
            let at = second * 48_000;
            let moved = 1_000 + (at as f64 * (1.0 + ppm * 1e-6)).round() as usize;
            place_of(&said[at..at + 1_200], &sound, moved) as i64 - moved as i64
        };
        (1..10).map(away).collect()
    };
    let steady = away(0.0); // what the codec moves by itself depends on the pitch
    for ppm in [-500.0, -37.0, 500.0] {
        let drifting = away(ppm);
        assert!(
            steady.iter().zip(&drifting).all(|(a, b)| (a - b).abs() <= 3),
            "{ppm} ppm: {drifting:?}, not {steady:?}"
        );
    }
}

/// The first after `from` that carries a copy of the one before.
fn with_copy(payloads: &[Vec<u8>], from: usize) -> usize {
    (from..).find(|index| packet_has_lbrr(&payloads[*index]).unwrap()).unwrap()
}

#[test]
fn a_lost_packet_comes_from_the_copy_in_the_next() {
    let payloads = encode(&speech(50), 1, false);
    let lost = with_copy(&payloads, 25) - 1;
    let (whole, _) = heard(&place(&payloads, 1_000.0, 0.0, |_| true), 1, 48_000);
    let (sound, counts) = heard(&place(&payloads, 1_000.0, 0.0, |index| index != lost), 1, 48_000);
    assert_eq!(counts, SoundCounts { recovered: FRAME as u64, ..SoundCounts::default() });
    let at = 1_000 - PRE_SKIP + lost * FRAME;
    assert!(likeness(&sound[at..at + FRAME], &whole[at..at + FRAME]) > 0.9);
}

#[test]
fn a_loss_is_concealed_and_a_long_one_falls_silent() {
    let payloads = encode(&speech(200), 1, false);
    let back = with_copy(&payloads, 52);
    let begin = 1_000 - PRE_SKIP + (back - 3) * FRAME;
    let (sound, counts) =
        heard(&place(&payloads, 1_000.0, 0.0, |index| !(back - 3..back).contains(&index)), 1, 190_000);
    assert_eq!((counts.concealed, counts.recovered), (2 * FRAME as u64, FRAME as u64));
    assert!(level(&sound[begin..begin + 2 * FRAME]) > 0.3 * level(&sound[..begin]));

    let back = with_copy(&payloads, 120);
    let begin = 1_000 - PRE_SKIP + 50 * FRAME;
    let (sound, counts) = heard(&place(&payloads, 1_000.0, 0.0, |index| !(50..back).contains(&index)), 1, 190_000);
    assert_eq!((counts.concealed, counts.recovered), (9_600, FRAME as u64));
    let back = 1_000 - PRE_SKIP + (back - 1) * FRAME;
    assert!(sound[begin + 9_600..back].iter().all(|sample| *sample == 0.0));
    assert!(level(&sound[back + FRAME..back + 10 * FRAME]) > 0.05);
}

/// As `encode`, and each payload tells of the half second before it.
fn encode_telling(sound: &[f32]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(48_000, 1, Application::Voip).unwrap();
    encoder.set_bitrate(64_000).unwrap();
    encoder.set_expected_loss(20).unwrap();
    encoder.set_redundancy(50).unwrap();
    let encode = |frame: &[f32]| {
        let mut payload = [0; MAX_PAYLOAD_BYTES];
        let length = encoder.encode_f32(frame, &mut payload).unwrap();
        payload[..length].to_vec()
    };
    sound.chunks_exact(FRAME).map(encode).collect()
}

#[test]
fn a_burst_is_spoken_again_from_what_the_packet_after_it_tells() {
    let payloads = encode_telling(&speech(100));
    let (whole, _) = heard(&place(&payloads, 1_000.0, 0.0, |_| true), 1, 90_000);
    for (burst, most_made_up) in [(40..45, 0), (40..60, 12 * FRAME)] {
        let (sound, counts) = heard(&place(&payloads, 1_000.0, 0.0, |index| !burst.contains(&index)), 1, 90_000);
        let lost = burst.len() * FRAME;
        assert!(counts.concealed <= most_made_up as u64, "{counts:?}");
        assert!(counts.recovered >= (lost - most_made_up) as u64, "{counts:?}");
        // As loud as it was, 20 ms by 20 ms, at the end of the burst: a syllable comes and goes meanwhile.
        let end = 1_000 - PRE_SKIP + burst.end * FRAME;
        for at in (end - 4 * FRAME..end).step_by(FRAME) {
            let ratio = level(&sound[at..at + FRAME]) / level(&whole[at..at + FRAME]);
            assert!((0.4..2.5).contains(&ratio), "{burst:?}, {at}: {ratio}");
        }
        let after = end + FRAME..end + 10 * FRAME;
        assert!(likeness(&sound[after.clone()], &whole[after]) > 0.9, "what follows is where it was");
    }
}

#[test]
fn a_sender_who_just_stops_is_led_out_without_a_click() {
    let payloads = encode(&speech(50), 1, false);
    let (sound, counts) = heard(&place(&payloads, 1_000.0, 0.0, |_| true), 1, 96_000);
    let end = 1_000 - PRE_SKIP + 50 * FRAME;
    let steps = |part: &[f32]| part.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    assert!(steps(&sound[end - 100..end + 2 * FRAME]) <= steps(&sound[..end]));
    assert!(sound[end + FRAME..].iter().all(|sample| *sample == 0.0));
    assert!(sound[end..end + FRAME].iter().any(|sample| sample.abs() > 0.001));
    assert_eq!(counts, SoundCounts::default());
}

#[test]
fn after_coded_silence_nothing_is_made_up() {
    let mut payloads = encode(&speech(50), 1, false);
    payloads.extend(std::iter::repeat_n(vec![0xF8, 0xFF, 0xFE], 5));
    let (sound, _) = heard(&place(&payloads, 1_000.0, 0.0, |_| true), 1, 96_000);
    assert!(sound[1_000 + 55 * FRAME - PRE_SKIP..].iter().all(|sample| *sample == 0.0));
}

#[test]
fn background_noise_goes_on_while_packets_are_left_out_for_silence() {
    let mut noise = Noise(1);
    let noise: Vec<f32> = (0..300 * FRAME).map(|n| noise.next() * if n < 50 * FRAME { 0.3 } else { 0.004 }).collect();
    let payloads = encode(&noise, 1, true);
    let sent = |index: usize| payloads[index].len() > 2;
    assert!((100..300).filter(|index| sent(*index)).count() < 30, "the encoder must leave packets out");
    // With transmission stopped numbers go on without a gap: nothing is lost.
    let mut packets = place(&payloads, 1_000.0, 0.0, sent);
    packets.iter_mut().for_each(|packet| packet.lost = 0);
    let with_all = heard(&place(&payloads, 1_000.0, 0.0, |_| true), 1, 280_000).0;
    let (sound, counts) = heard(&packets, 1, 280_000);
    for sound in [&with_all, &sound] {
        let levels: Vec<f32> = sound[150 * FRAME..280 * FRAME].chunks(FRAME).map(level).collect();
        assert!(levels.iter().all(|level| *level > 1e-5), "{levels:?}");
    }
    assert_eq!(counts, SoundCounts::default());
}

#[test]
fn bytes_that_are_no_opus_become_concealment_and_are_counted() {
    let mut payloads = encode(&speech(50), 1, false);
    payloads[20] = vec![0x7B, 0xC5, 0xFF, 0xFF];
    payloads[21] = Vec::new();
    let (sound, counts) = heard(&place(&payloads, 1_000.0, 0.0, |_| true), 1, 48_000);
    assert_eq!((counts.refused, counts.concealed), (2, 2 * FRAME as u64));
    assert!(level(&sound[22 * FRAME..40 * FRAME]) > 0.05);
}

#[test]
fn two_channels_stay_apart() {
    let mono = speech(50);
    let stereo: Vec<f32> = mono.iter().flat_map(|sample| [*sample, 0.0]).collect();
    let packets = place(&encode(&stereo, 2, false), 1_000.0, 200.0, |_| true);
    let (sound, _) = heard(&packets, 2, 48_000);
    assert_eq!(sound.len(), 96_000);
    let side = |channel: usize| sound.iter().skip(channel).step_by(2).copied().collect::<Vec<f32>>();
    assert!(level(&side(0)) > 10.0 * level(&side(1)));
}

#[test]
fn it_does_not_matter_in_what_pieces_it_is_pulled() {
    let payloads = encode(&speech(100), 1, false);
    let packets = place(&payloads, 1_000.3, 100.0, |index| index % 7 != 3 && !(40..60).contains(&index));
    let (whole, counts) = heard(&packets, 1, 100_000);
    let mut sound = SpeakerSound::new(1, 1.0, 0).unwrap();
    packets.iter().for_each(|packet| push(&mut sound, packet));
    let mut pieces = Vec::new();
    for end in (0..=100_000).step_by(777).chain([100_000]) {
        pieces.extend(sound.pull(end, Vec::new()));
    }
    assert_eq!(pieces, whole);
    assert_eq!(sound.counts(), counts);
}

#[test]
fn a_part_sounds_like_the_whole() {
    let packets = place(&encode(&speech(1_000), 1, false), 1_000.0, 30.0, |index| index % 11 != 3);
    let (whole, _) = heard(&packets, 1, 900_000);
    let mut sound = SpeakerSound::new(1, 0.5, 800_000).unwrap();
    packets.iter().for_each(|packet| push(&mut sound, packet));
    let part = sound.pull(900_000, Vec::new());
    assert_eq!(part.len(), 100_000);
    let error: Vec<f32> = part.iter().zip(&whole[800_000..]).map(|(part, whole)| 2.0 * part - whole).collect();
    assert!(level(&error) < 1e-3 * level(&whole), "{} of {}", level(&error), level(&whole));
}

#[test]
fn after_an_hour_of_silence_sound_goes_on_at_its_place() {
    let payloads = encode(&speech(10), 1, false);
    let hour = 3_600 * 48_000;
    let mut packets = place(&payloads, 1_000.0, 0.0, |_| true);
    packets.extend(place(&payloads, f64::from(hour), 0.0, |_| true));
    let mut sound = SpeakerSound::new(1, 1.0, 0).unwrap();
    packets.iter().for_each(|packet| push(&mut sound, packet));
    assert_eq!(sound.pull(48_000, Vec::new()).len(), 48_000);
    for minute in 1..60 {
        let piece = sound.pull(minute * 60 * 48_000, Vec::new());
        assert!(piece.iter().all(|sample| *sample == 0.0));
    }
    let rest = sound.pull(hour as u64 + 48_000, Vec::new());
    let begin = rest.len() - 48_000 - PRE_SKIP;
    assert!(rest[..begin].iter().all(|sample| *sample == 0.0));
    assert!(level(&rest[begin..begin + 9_600]) > 0.05);
}
