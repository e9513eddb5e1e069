use super::*;

/// Noise that sounds from a loudspeaker, the same each time.
struct Noise(u32);

impl Noise {
    fn frame(&mut self, amplitude: f32) -> Samples {
        std::array::from_fn(|_| {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            amplitude * ((self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0)
        })
    }
}

const ECHO: Processing =
    Processing { echo: true, noise: NoiseSuppression::Off, gain_control: false, gain_db: 0.0, high_pass: false };

fn level_db(samples: &[f32]) -> f32 {
    crate::frame::energy_db(crate::frame::energy(samples))
}

/// What is left of an echo of `delay` frames after `seconds`: dB below the echo, over the last half second.
fn reduction_db(processor: &mut Processor, delay: usize, seconds: usize) -> f32 {
    let mut noise = Noise(1);
    let mut sounding = std::collections::VecDeque::from(vec![[0.0; PULL_SAMPLES]; delay]);
    let (mut heard, mut left) = (Vec::new(), Vec::new());
    for _ in 0..seconds * 100 {
        let far = noise.frame(0.3);
        sounding.push_back(far.map(|sample| 0.4 * sample));
        processor.reverse(&far);
        let mut near = sounding.pop_front().unwrap();
        heard.push(level_db(&near));
        processor.capture(&mut near);
        left.push(level_db(&near));
    }
    let mean = |levels: &[f32]| levels[levels.len() - 50..].iter().sum::<f32>() / 50.0;
    mean(&heard) - mean(&left)
}

#[test]
fn all_off_touches_nothing() {
    let mut processor = Processor::default();
    let given = [f32::NAN, 2.0, 0.123].repeat(160);
    let mut frame: Samples = given.clone().try_into().unwrap();
    processor.reverse(&[0.5; PULL_SAMPLES]);
    processor.capture(&mut frame);
    assert!(frame.iter().zip(&given).all(|(now, before)| now.to_bits() == before.to_bits()));
    assert_eq!(processor.report(), ProcessReport { captured_db: level_db(&[0.0]), ..ProcessReport::default() });
}

#[test]
fn the_level_before_is_told_also_when_all_is_off() {
    for settings in [Processing::default(), Processing { gain_db: 20.0, ..Processing::default() }] {
        let mut processor = Processor::new(&settings);
        for (amplitude, expected_db) in [(0.1, -20.0), (1e9, 0.0), (0.0, -127.0)] {
            processor.capture(&mut [amplitude; PULL_SAMPLES]);
            assert!((processor.report().captured_db - expected_db).abs() < 0.01);
        }
    }
}

#[test]
fn an_echo_is_gone_within_a_second_and_its_delay_found() {
    for delay in [1, 10, 40] {
        let mut processor = Processor::new(&ECHO);
        let reduced_db = reduction_db(&mut processor, delay, 2);
        assert!(reduced_db > 30.0, "{reduced_db} dB at {delay} frames");
        let found_ms = processor.report().echo_delay_ms.unwrap();
        assert!((found_ms - 10 * delay as i32).abs() <= 12, "{found_ms} ms instead of {delay} frames");
    }
}

#[test]
fn a_missing_far_frame_is_silence_and_shifts_nothing() {
    let mut processor = Processor::new(&ECHO);
    reduction_db(&mut processor, 10, 2);
    let mut frame = [0.0; PULL_SAMPLES];
    for _ in 0..50 {
        processor.capture(&mut frame); // nobody plays, nobody tells
    }
    assert_eq!(processor.ahead, 0);
    let reduced_db = reduction_db(&mut processor, 10, 1);
    assert!(reduced_db > 30.0, "{reduced_db} dB");
}

#[test]
fn far_frames_may_come_in_bursts() {
    let mut processor = Processor::new(&ECHO);
    let (mut noise, mut left) = (Noise(1), 0.0);
    for _ in 0..50 {
        let burst: Vec<_> = (0..4).map(|_| noise.frame(0.3)).collect();
        burst.iter().for_each(|far| processor.reverse(far));
        for far in burst {
            let mut near = far.map(|sample| 0.4 * sample); // sounds at once: the burst came ahead
            processor.capture(&mut near);
            left = level_db(&near);
        }
    }
    assert!(left < -50.0, "{left} dB");
}

#[test]
fn hostile_samples_come_out_finite_and_in_range() {
    let every_stage = |noise| Processing { echo: true, noise, gain_control: true, gain_db: 30.0, high_pass: true };
    for noise in [NoiseSuppression::Light, NoiseSuppression::Neural] {
        let mut processor = Processor::new(&every_stage(noise));
        let mut sound = Noise(3);
        for number in 0..300 {
            let mut frame = match number % 6 {
                0 => [f32::NAN; PULL_SAMPLES],
                1 => [f32::INFINITY; PULL_SAMPLES],
                2 => sound.frame(1e30),
                3 => [0.0; PULL_SAMPLES],
                4 => [f32::MIN_POSITIVE / 2.0; PULL_SAMPLES],
                _ => sound.frame(1.0),
            };
            processor.reverse(&frame);
            processor.capture(&mut frame);
            assert!(frame.iter().all(|sample| sample.abs() <= 1.0), "frame {number}");
        }
        let report = processor.report();
        assert!(report.erle_db.unwrap().is_finite() && report.gain_db.is_finite());
    }
}

#[test]
fn steady_noise_is_lowered_by_both_suppressors() {
    for (noise, least_db) in [(NoiseSuppression::Light, 7.0), (NoiseSuppression::Neural, 15.0)] {
        let mut processor = Processor::new(&Processing { noise, ..Processing::default() });
        let (mut sound, mut rumble) = (Noise(5), 0.0);
        let (mut given, mut left) = (0.0, 0.0);
        for _ in 0..400 {
            let mut frame = sound.frame(0.02).map(|sample| {
                rumble += (sample - rumble) * 0.1; // a fan: most of it below 1 kHz
                rumble
            });
            given = level_db(&frame);
            processor.capture(&mut frame);
            left = level_db(&frame);
        }
        assert!(given - left > least_db, "{noise:?}: {} dB", given - left);
    }
}

#[test]
fn the_microphones_gain_moves_without_a_click_and_within_its_range() {
    let mut processor = Processor::default();
    for (asked, factor) in [(6.0206, 2.0), (90.0, 31.622), (-90.0, 0.1), (0.0, 1.0)] {
        processor.set(&Processing { gain_db: asked, ..Processing::default() });
        let mut last = [0.01; PULL_SAMPLES];
        for _ in 0..3 {
            last = [0.01; PULL_SAMPLES];
            processor.capture(&mut last);
            assert!(last.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.001));
        }
        assert!((last[479] / 0.01 - factor).abs() < 0.01 * factor, "{asked} dB");
    }
}

#[test]
fn what_stays_on_keeps_what_it_has_learnt() {
    let mut processor = Processor::new(&ECHO);
    reduction_db(&mut processor, 10, 2);
    let erle = processor.report().erle_db;
    processor.set(&Processing { gain_control: true, ..ECHO });
    assert_eq!(processor.report().erle_db, erle);
    processor.set(&Processing::default());
    assert_eq!(processor.report().erle_db, None);
}

#[test]
fn a_reset_forgets_the_path_and_keeps_the_settings() {
    let mut processor = Processor::new(&Processing { gain_db: 6.0, ..ECHO });
    reduction_db(&mut processor, 10, 5);
    assert!(processor.report().erle_db.unwrap() > 10.0);
    processor.reset();
    assert_eq!(processor.settings(), &Processing { gain_db: 6.0, ..ECHO });
    assert!(processor.report().erle_db.unwrap() < 1.0);
}

/// What is left, in dB below the echo, after `seconds` with a loudspeaker whose clock runs `ppm` faster than the microphone's.
fn reduction_with_drift_db(ppm: f64, seconds: usize, take_clocks: bool) -> f32 {
    let mut processor = Processor::new(&ECHO);
    let (mut reference, mut drift) = (EchoReference::default(), Drift::default());
    let ratio = 1.0 + ppm * 1e-6;
    // Sound of the loudspeaker's clock, in a band where a straight line between samples is good enough for a room.
    let (mut noise, mut smooth) = (Noise(9), [0f32; 3]);
    let played: Vec<f32> = (0..seconds * 101)
        .flat_map(|_| noise.frame(0.5))
        .map(|sample| {
            let mut value = sample;
            smooth.iter_mut().for_each(|pole| {
                *pole += (value - *pole) * 0.1;
                value = *pole;
            });
            3.0 * value
        })
        .collect();
    let (mut pushed, mut heard_db, mut left_db) = (0, 0.0, 0.0);
    for number in 0..seconds * 100 {
        let microphone_samples = (number + 1) * PULL_SAMPLES;
        let sounding = (microphone_samples as f64 * ratio / 480.0) as usize * 480;
        reference.push(&played[pushed..sounding]);
        pushed = sounding;
        if take_clocks {
            let at = |samples: f64| (1e9 + samples / 48_000.0 * 1e9) as u64;
            drift.take(
                (sounding as u64, at(sounding as f64 / ratio)),
                (microphone_samples as u64, at(microphone_samples as f64)),
            );
            reference.set_drift_ppm(drift.ppm());
        }
        let mut far = [0.0; PULL_SAMPLES];
        reference.pull(&mut far, 0);
        processor.reverse(&far);
        let mut near: Samples = std::array::from_fn(|sample| {
            let place = ((number * PULL_SAMPLES + sample) as f64 - 3_840.0).max(0.0) * ratio;
            let (whole, share) = (place as usize, place.fract() as f32);
            0.4 * (played[whole] + (played[whole + 1] - played[whole]) * share)
        });
        let heard = crate::frame::energy(&near);
        processor.capture(&mut near);
        if number >= (seconds - 2) * 100 {
            heard_db += heard;
            left_db += crate::frame::energy(&near);
        }
    }
    10.0 * (heard_db / left_db).log10()
}

#[test]
fn clocks_that_drift_apart_cost_nothing_once_their_drift_is_known() {
    let together_db = reduction_with_drift_db(0.0, 24, true);
    let apart_db = reduction_with_drift_db(500.0, 24, true);
    let alone_db = reduction_with_drift_db(500.0, 24, false);
    assert!(apart_db > together_db - 6.0, "{apart_db} dB instead of {together_db}");
    assert!(alone_db < apart_db - 3.0, "the canceller alone reaches {alone_db} dB, too");
}
