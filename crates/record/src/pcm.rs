/// Samples within ±1 as 16 bit integers, rounded to the nearest; what lies beyond is clipped.
pub fn int16_of(samples: &[f32]) -> Vec<i16> {
    // 1.5 x 2^23 added, the lowest bits of a float are the nearest whole number: vector instructions on every processor.
    const WHOLE: f32 = 12_582_912.0;
    let round = |sample: &f32| ((sample * 32_768.0).clamp(-32_768.0, 32_767.0) + WHOLE).to_bits() as i16;
    samples.iter().map(round).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_rounded_and_clipped() {
        let samples = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 1.4 / 32_768.0, 1.6 / 32_768.0, -1.6 / 32_768.0, f32::NAN];
        assert_eq!(int16_of(&samples), [0, 32_767, -32_768, 32_767, -32_768, 16_384, 1, 2, -2, 0]);
    }
}
