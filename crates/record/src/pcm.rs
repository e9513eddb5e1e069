//! How a sample is stored.

/// What a sample within ±1 can become.
pub trait Sample: Copy {
    fn of(sample: f32) -> Self;
}

impl Sample for f32 {
    #[inline]
    fn of(sample: f32) -> Self {
        sample
    }
}

impl Sample for i16 {
    /// Rounded to the nearest; what lies beyond full scale is clipped.
    #[inline]
    fn of(sample: f32) -> Self {
        // 1.5 x 2^23 added, the lowest bits of a float are the nearest whole number: vector instructions everywhere.
        const WHOLE: f32 = 12_582_912.0;
        ((sample * 32_768.0).clamp(-32_768.0, 32_767.0) + WHOLE).to_bits() as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_rounded_and_clipped() {
        let samples = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 1.4 / 32_768.0, 1.6 / 32_768.0, -1.6 / 32_768.0, f32::NAN];
        assert_eq!(samples.map(i16::of), [0, 32_767, -32_768, 32_767, -32_768, 16_384, 1, 2, -2, 0]);
    }
}
