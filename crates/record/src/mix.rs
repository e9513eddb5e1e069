//! Everyone together.

/// In frames: so few that what is summed stays near the processor.
const PART: usize = 1_024;

/// One speaker's sound, interleaved.
#[derive(Clone, Copy)]
pub struct Voice<'a> {
    pub samples: &'a [f32],
    /// 1 or 2.
    pub channels: usize,
}

/// The sum of `voices` in `channels`: as many as the voices have, or two where they have one or two. All are `frames` long.
///
/// `memory` becomes the result; what it holds does not matter.
pub fn mix(voices: &[Voice<'_>], channels: usize, frames: usize, mut memory: Vec<f32>) -> Vec<f32> {
    memory.clear();
    memory.reserve_exact(frames * channels);
    for begin in (0..frames).step_by(PART) {
        let end = (begin + PART).min(frames);
        memory.resize(end * channels, 0.0);
        let sum = &mut memory[begin * channels..];
        for voice in voices {
            let samples = &voice.samples[begin * voice.channels..end * voice.channels];
            if voice.channels == channels {
                sum.iter_mut().zip(samples).for_each(|(sum, sample)| *sum += sample);
            } else {
                for (frame, sample) in sum.chunks_exact_mut(channels).zip(samples) {
                    frame.iter_mut().for_each(|sum| *sum += sample);
                }
            }
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_the_sum_and_one_channel_sounds_on_both_sides() {
        let mono: Vec<f32> = (0..3_000).map(|at| at as f32).collect();
        let stereo: Vec<f32> = (0..6_000).map(|at| at as f32 * 0.5).collect();
        let (one, two) = (Voice { samples: &mono, channels: 1 }, Voice { samples: &stereo, channels: 2 });
        assert!(mix(&[one, one], 1, 3_000, vec![7.0; 9]).iter().zip(&mono).all(|(sum, sample)| *sum == 2.0 * sample));
        let both = mix(&[one, two], 2, 3_000, Vec::new());
        assert_eq!(both.len(), 6_000);
        assert!((0..6_000).all(|at| both[at] == mono[at / 2] + stereo[at]));
        assert_eq!(mix(&[], 1, 5, Vec::new()), [0.0; 5]);
    }
}
