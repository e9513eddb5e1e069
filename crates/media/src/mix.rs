//! Everyone together: the sum of all, within full scale.
//!
//! Summed as middle and side. While nobody is stereo there is no side, and the second loudspeaker's channel costs one copy.

use crate::frame::PULL_SAMPLES;
use crate::limiter::Limiter;
use crate::planes::PlaneFrame;

/// Of a listener: 1, or 2 interleaved.
#[derive(Debug)]
pub struct Mix {
    middle: [f32; PULL_SAMPLES],
    side: [f32; PULL_SAMPLES],
    has_side: bool,
    limiter: Limiter,
}

impl Default for Mix {
    fn default() -> Self {
        Self { middle: [0.0; PULL_SAMPLES], side: [0.0; PULL_SAMPLES], has_side: false, limiter: Limiter::default() }
    }
}

impl Mix {
    /// Begins the next 10 ms with silence.
    pub fn begin(&mut self) {
        self.middle.fill(0.0);
        self.side.fill(0.0);
        self.has_side = false;
    }

    pub fn add(&mut self, voice: &PlaneFrame) {
        add(&mut self.middle, voice.middle());
        if let Some(side) = voice.side() {
            add(&mut self.side, side);
            self.has_side = true;
        }
    }

    /// Gives the sum: `PULL_SAMPLES` in one channel, or twice that in two.
    pub fn finish(&mut self, out: &mut [f32]) {
        if out.len() == PULL_SAMPLES {
            out.copy_from_slice(&self.middle);
            self.limiter.apply(out);
        } else if self.has_side {
            interleave(&self.middle, Some(&self.side), out);
            self.limiter.apply_to_pairs(out);
        } else {
            self.limiter.apply(&mut self.middle);
            interleave(&self.middle, None, out);
        }
    }
}

fn add(sum: &mut [f32; PULL_SAMPLES], frame: &[f32; PULL_SAMPLES]) {
    sum.iter_mut().zip(frame).for_each(|(sum, sample)| *sum += sample);
}

/// Left and right in turn.
pub fn interleave(middle: &[f32; PULL_SAMPLES], side: Option<&[f32; PULL_SAMPLES]>, out: &mut [f32]) {
    let (pairs, _) = out.as_chunks_mut::<2>();
    match side {
        None => pairs.iter_mut().zip(middle).for_each(|(pair, &middle)| *pair = [middle, middle]),
        Some(side) => {
            let planes = middle.iter().zip(side);
            pairs.iter_mut().zip(planes).for_each(|(pair, (&middle, &side))| *pair = [middle + side, middle - side]);
        }
    }
}
