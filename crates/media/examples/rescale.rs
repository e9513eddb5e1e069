//! Makes speech slower or faster with what the jitter buffer uses to follow its target. Used by `python -m bench stretch`.
//!
//! `rescale FACTOR < SPEECH > RESULT`: float32 samples, 48 kHz mono; the result is FACTOR times as long. FACTOR lies within 1 ± 0.2.

use std::io::{self, Read, Write};

use raccall_media::{Change, Follower, LONGEST_PERIOD, PULL_SAMPLES, Planes};

fn rescale(speech: &[f32], factor: f32) -> Vec<f32> {
    let mut follower = Follower::default();
    let mut queue = Planes::default();
    let mut result = Vec::with_capacity((speech.len() as f32 * factor) as usize + LONGEST_PERIOD);
    let mut taken = 0;
    loop {
        let wanted = (PULL_SAMPLES + 2 * LONGEST_PERIOD).saturating_sub(queue.len()).min(speech.len() - taken);
        queue.extend_middle(&speech[taken..taken + wanted]);
        taken += wanted;
        if queue.len() < PULL_SAMPLES {
            result.extend_from_slice(&queue.all()[0]);
            return result;
        }
        let played = (taken - queue.len()) as f32;
        let surplus_ms = (result.len() as f32 - played * factor) / 48.0;
        let energy =
            queue.all()[0][..PULL_SAMPLES].iter().map(|sample| sample * sample).sum::<f32>() / PULL_SAMPLES as f32;
        match follower.wanted(energy, surplus_ms, false) {
            Some(change @ Change::Shorten(_)) if queue.len() >= PULL_SAMPLES + LONGEST_PERIOD => {
                follower.change(&mut queue, change);
            }
            Some(change @ Change::Lengthen(_)) => follower.change(&mut queue, change),
            _ => {}
        }
        let length = PULL_SAMPLES.min(queue.len());
        let frame = &queue.all()[0][..length];
        follower.played(&[frame]);
        result.extend_from_slice(frame);
        queue.cut(0, length);
    }
}

fn main() -> io::Result<()> {
    let factor: f32 = std::env::args().nth(1).and_then(|word| word.parse().ok()).expect("a factor");
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let speech: Vec<f32> = bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap())).collect();
    let result: Vec<u8> = rescale(&speech, factor).iter().flat_map(|sample| sample.to_le_bytes()).collect();
    io::stdout().write_all(&result)
}
