//! Sound of one Source in planes: the middle of its channels, (left + right) / 2, and, once it is stereo, their side, (left - right) / 2.
//!
//! The middle is what a listener with one loudspeaker hears, so mono is the same without the side. Whatever is done to one plane is done to both, and
//! decided on both together: a splice at different places, or one plane concealed louder, would move the image. Their squares add up
//! to what left's and right's do, halved, so a level or a likeness is the same in either form.

use std::ops::Range;

use crate::frame::{PULL_SAMPLES, energy};

/// Middle and side.
pub const MOST_PLANES: usize = 2;

/// Decoded and not yet played.
#[derive(Debug, Default)]
pub struct Planes {
    planes: [Vec<f32>; MOST_PLANES],
    has_side: bool,
}

/// 10 ms of it.
#[derive(Debug, Clone)]
pub struct PlaneFrame {
    planes: [[f32; PULL_SAMPLES]; MOST_PLANES],
    has_side: bool,
}

impl Planes {
    /// The middle alone; takes no memory until it is longer than `capacity`.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { planes: [Vec::with_capacity(capacity), Vec::new()], has_side: false }
    }

    /// Takes the memory for a side.
    pub fn reserve_side(&mut self) {
        let [middle, side] = &mut self.planes;
        side.reserve(middle.capacity() - side.len());
    }

    /// Has a side from now on: silence so far, so all sounds as before.
    pub fn add_side(&mut self) {
        let length = self.len();
        self.planes[1].resize(length, 0.0);
        self.has_side = true;
    }

    pub fn len(&self) -> usize {
        self.planes[0].len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The planes that there are: one or two, equally long.
    pub fn all(&self) -> &[Vec<f32>] {
        &self.planes[..count(self.has_side)]
    }

    pub fn all_mut(&mut self) -> &mut [Vec<f32>] {
        &mut self.planes[..count(self.has_side)]
    }

    /// A stretch of each; behind the last plane come empty ones.
    pub fn views(&self, range: Range<usize>) -> [&[f32]; MOST_PLANES] {
        let mut views: [&[f32]; MOST_PLANES] = [&[]; MOST_PLANES];
        views.iter_mut().zip(self.all()).for_each(|(view, plane)| *view = &plane[range.clone()]);
        views
    }

    /// Appends `samples` of silence. Returns where they begin.
    pub fn grow(&mut self, samples: usize) -> usize {
        let length = self.len();
        self.all_mut().iter_mut().for_each(|plane| plane.resize(length + samples, 0.0));
        length
    }

    pub fn truncate(&mut self, length: usize) {
        self.all_mut().iter_mut().for_each(|plane| plane.truncate(length));
    }

    /// Appends sound of one channel.
    pub fn extend_middle(&mut self, samples: &[f32]) {
        let start = self.grow(samples.len());
        self.planes[0][start..].copy_from_slice(samples);
    }

    /// Takes `samples` out, from `start` on.
    pub fn cut(&mut self, start: usize, samples: usize) {
        for plane in self.all_mut() {
            plane.copy_within(start + samples.., start);
            plane.truncate(plane.len() - samples);
        }
    }

    /// Moves the first 10 ms, which have to be there, to `frame`.
    pub fn take(&mut self, frame: &mut PlaneFrame) {
        frame.has_side = self.has_side;
        for (out, plane) in frame.planes.iter_mut().zip(self.all()) {
            out.copy_from_slice(&plane[..PULL_SAMPLES]);
        }
        self.cut(0, PULL_SAMPLES);
    }
}

impl Default for PlaneFrame {
    fn default() -> Self {
        Self { planes: [[0.0; PULL_SAMPLES]; MOST_PLANES], has_side: false }
    }
}

impl PlaneFrame {
    pub fn middle(&self) -> &[f32; PULL_SAMPLES] {
        &self.planes[0]
    }

    pub fn side(&self) -> Option<&[f32; PULL_SAMPLES]> {
        self.has_side.then_some(&self.planes[1])
    }

    pub fn all(&self) -> &[[f32; PULL_SAMPLES]] {
        &self.planes[..count(self.has_side)]
    }

    pub fn all_mut(&mut self) -> &mut [[f32; PULL_SAMPLES]] {
        &mut self.planes[..count(self.has_side)]
    }
}

/// Mean square of what the planes stand for, of left and right together.
pub fn energy_of<P: AsRef<[f32]>>(planes: &[P]) -> f32 {
    planes.iter().map(|plane| energy(plane.as_ref())).sum()
}

fn count(has_side: bool) -> usize {
    1 + usize::from(has_side)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_begins_as_silence_and_goes_the_way_of_the_middle() {
        let mut planes = Planes::with_capacity(1000);
        planes.grow(500);
        planes.planes[0].fill(1.0);
        planes.reserve_side();
        planes.add_side();
        planes.grow(300);
        planes.all_mut()[1][600] = 2.0;
        planes.cut(100, 50);
        let mut frame = PlaneFrame::default();
        assert!(frame.side().is_none());
        planes.take(&mut frame);
        assert_eq!((planes.all()[0].len(), planes.all()[1].len()), (270, 270));
        assert_eq!(planes.all()[1][600 - 50 - PULL_SAMPLES], 2.0);
        assert_eq!((frame.middle()[0], frame.side().unwrap()[0]), (1.0, 0.0));
    }

    #[test]
    fn energy_is_that_of_left_and_right() {
        let (left, right) = ([0.5f32, -0.3, 0.1], [0.2f32, 0.4, -0.7]);
        let middle: [f32; 3] = std::array::from_fn(|i| (left[i] + right[i]) / 2.0);
        let side: [f32; 3] = std::array::from_fn(|i| (left[i] - right[i]) / 2.0);
        let expected = (energy(&left) + energy(&right)) / 2.0;
        assert!((energy_of(&[middle, side]) - expected).abs() < 1e-6);
    }
}
