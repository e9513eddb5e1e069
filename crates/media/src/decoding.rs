//! One Source's decoder: one channel until its sender sends two and the listener has two loudspeakers.
//!
//! libopus decodes either kind of packet to either number of channels, but the number belongs to the decoder, and a second channel costs up to half as
//! much again even where both are equal. So a Source begins with one channel. Its first stereo packet brings a second decoder. That one
//! knows nothing of what came before, and would be wrong by many dB at first, because packets say how loudness has changed; so both decode for 160 ms,
//! then the sound goes over within one packet. Whose very first packet is stereo begins in stereo. It stays so, whatever
//! comes then: the two-channel decoder goes from stereo to mono packets and back without a seam.

use raccall_opus::{Decoder, Error};

use crate::frame::{LONGEST_PACKET_SAMPLES, SAMPLE_RATE_HZ, SAMPLES_PER_MS};
use crate::planes::Planes;

/// Measured on tones: the error halves with each packet of 20 ms, from two thirds of the sound to a hundredth after eight.
const WARM_UP_SAMPLES: usize = 160 * SAMPLES_PER_MS;

/// Longest way from the one to the other.
const FADE_SAMPLES: usize = 20 * SAMPLES_PER_MS;

pub struct VoiceDecoder {
    mono: Decoder,
    stereo: Option<Stereo>,
    state: State,
    complexity: u8,
}

struct Stereo {
    decoder: Decoder,
    /// As libopus writes it.
    interleaved: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Nothing was decoded yet.
    Fresh,
    Mono,
    /// Both decode, and the first is heard for so many samples more.
    WarmingUp(usize),
    Stereo,
}

impl VoiceDecoder {
    pub fn new() -> Result<Self, Error> {
        Ok(Self { mono: Decoder::new(SAMPLE_RATE_HZ, 1)?, stereo: None, state: State::Fresh, complexity: 0 })
    }

    pub fn set_complexity(&mut self, complexity: u8) {
        if complexity != self.complexity {
            self.complexity = complexity;
            self.mono.set_complexity(complexity).expect("0 to 10");
            if let Some(stereo) = &mut self.stereo {
                stereo.decoder.set_complexity(complexity).expect("0 to 10");
            }
        }
    }

    /// Takes the memory for two channels.
    pub fn reserve_stereo(&mut self, queue: &mut Planes) -> Result<(), Error> {
        if self.stereo.is_none() {
            let mut decoder = Decoder::new(SAMPLE_RATE_HZ, 2)?;
            decoder.set_complexity(self.complexity)?;
            self.stereo = Some(Stereo { decoder, interleaved: vec![0.0; 2 * LONGEST_PACKET_SAMPLES] });
            queue.reserve_side();
        }
        Ok(())
    }

    /// A stereo packet comes next: from now on there are two channels, if there is memory for them.
    pub fn expect_stereo(&mut self, queue: &mut Planes) {
        let state = match self.state {
            _ if self.stereo.is_none() => return,
            State::Fresh => State::Stereo,
            State::Mono => State::WarmingUp(WARM_UP_SAMPLES),
            State::WarmingUp(_) | State::Stereo => return,
        };
        self.state = state;
        queue.add_side();
    }

    /// Appends what `decode` makes of a decoder, at most `samples`. It is given memory for so many per channel, interleaved, and says how many it
    /// wrote; where two decoders run, it is asked twice. After an error the queue is as before.
    pub fn append(
        &mut self,
        queue: &mut Planes,
        samples: usize,
        mut decode: impl FnMut(&mut Decoder, &mut [f32]) -> Result<usize, Error>,
    ) -> Result<usize, Error> {
        if self.state == State::Fresh {
            self.state = State::Mono;
        }
        let start = queue.grow(samples);
        let decoded = match (self.state, &mut self.stereo) {
            (State::WarmingUp(left), Some(stereo)) => {
                let out = &mut stereo.interleaved[..2 * samples];
                let both = decode(&mut self.mono, &mut queue.all_mut()[0][start..])
                    .and_then(|count| decode(&mut stereo.decoder, out).map(|other| count.min(other)));
                if let Ok(count) = both {
                    self.state = match left.checked_sub(count).filter(|left| *left > 0) {
                        Some(left) => State::WarmingUp(left),
                        None => State::Stereo,
                    };
                    if self.state == State::Stereo {
                        go_over(queue, start, &out[..2 * count]);
                    }
                }
                both
            }
            (State::Stereo, Some(stereo)) => {
                let out = &mut stereo.interleaved[..2 * samples];
                let decoded = decode(&mut stereo.decoder, out);
                if let Ok(count) = decoded {
                    split(&out[..2 * count], queue, start);
                }
                decoded
            }
            _ => decode(&mut self.mono, &mut queue.all_mut()[0][start..]),
        };
        queue.truncate(start + decoded.unwrap_or(0));
        decoded
    }
}

fn middle_and_side(pair: &[f32; 2]) -> (f32, f32) {
    ((pair[0] + pair[1]) / 2.0, (pair[0] - pair[1]) / 2.0)
}

fn split(interleaved: &[f32], queue: &mut Planes, start: usize) {
    let [middle, side] = queue.all_mut() else { unreachable!("stereo has a side") };
    let planes = middle[start..].iter_mut().zip(&mut side[start..]);
    for ((middle, side), pair) in planes.zip(interleaved.as_chunks().0) {
        (*middle, *side) = middle_and_side(pair);
    }
}

/// From the middle, which is there, to both channels.
fn go_over(queue: &mut Planes, start: usize, interleaved: &[f32]) {
    let (pairs, _) = interleaved.as_chunks();
    let step = 1.0 / pairs.len().clamp(1, FADE_SAMPLES) as f32;
    let [middle, side] = queue.all_mut() else { unreachable!("stereo has a side") };
    let planes = middle[start..].iter_mut().zip(&mut side[start..]);
    for (i, ((middle, side), pair)) in planes.zip(pairs).enumerate() {
        let part = ((i + 1) as f32 * step).min(1.0);
        let (new_middle, new_side) = middle_and_side(pair);
        *middle += (new_middle - *middle) * part;
        *side = new_side * part;
    }
}

#[cfg(test)]
mod tests {
    use raccall_opus::{Application, Encoder};

    use super::*;

    const FRAME: usize = 960;

    /// 20 ms of two tones, each on its side, from a clock that runs on.
    fn stereo_tones(number: usize) -> Vec<f32> {
        (number * FRAME..(number + 1) * FRAME)
            .flat_map(|i| [0.3 * (i as f32 * 0.0576).sin(), 0.3 * (i as f32 * 0.0864).sin()])
            .collect()
    }

    fn payloads(count: usize) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(48_000, 2, Application::Audio).unwrap();
        encoder.set_bitrate(128_000).unwrap();
        (0..count)
            .map(|number| {
                let mut payload = vec![0; 1276];
                let bytes = encoder.encode_f32(&stereo_tones(number), &mut payload).unwrap();
                payload.truncate(bytes);
                payload
            })
            .collect()
    }

    /// Decodes all, in stereo from packet `from` on.
    fn decoded(payloads: &[Vec<u8>], from: usize) -> Planes {
        let mut decoder = VoiceDecoder::new().unwrap();
        let mut queue = Planes::with_capacity(payloads.len() * FRAME + LONGEST_PACKET_SAMPLES);
        for (number, payload) in payloads.iter().enumerate() {
            if number == from {
                decoder.reserve_stereo(&mut queue).unwrap();
            }
            decoder.expect_stereo(&mut queue);
            let count = decoder
                .append(&mut queue, LONGEST_PACKET_SAMPLES, |decoder, out| decoder.decode_f32(payload, out))
                .unwrap();
            assert_eq!(count, FRAME);
        }
        queue
    }

    fn largest(samples: impl Iterator<Item = f32>) -> f32 {
        samples.fold(0.0, |most, sample| most.max(sample.abs()))
    }

    #[test]
    fn whose_first_packet_is_stereo_is_so_at_once() {
        let payloads = payloads(20);
        let queue = decoded(&payloads, 0);
        let mut libopus = Decoder::new(48_000, 2).unwrap();
        let mut expected = Vec::new();
        for payload in &payloads {
            let mut out = [0.0; 2 * FRAME];
            libopus.decode_f32(payload, &mut out).unwrap();
            expected.extend(out);
        }
        let [middle, side] = queue.all() else { unreachable!("stereo has a side") };
        let pairs = expected.as_chunks::<2>().0.iter().zip(middle.iter().zip(side));
        assert!(
            largest(
                pairs
                    .map(|(pair, (middle, side))| (middle + side - pair[0]).abs().max((middle - side - pair[1]).abs()))
            ) < 1e-6
        );
    }

    #[test]
    fn a_decoder_that_comes_later_is_not_heard_before_it_is_right() {
        let payloads = payloads(60);
        let (whole, late) = (decoded(&payloads, 0), decoded(&payloads, 30));
        let wrong = |plane: usize, from: usize, to: usize| {
            let pairs = whole.all()[plane][from..to].iter().zip(&late.all()[plane][from..to]);
            largest(pairs.map(|(whole, late)| whole - late))
        };
        assert_eq!(late.all()[1][..37 * FRAME], [0.0; 37 * FRAME], "mono until then");
        assert!(wrong(0, 0, 60 * FRAME) < 0.01, "the middle goes on: {}", wrong(0, 0, 60 * FRAME));
        assert!(wrong(1, 38 * FRAME, 60 * FRAME) < 0.01, "{}", wrong(1, 38 * FRAME, 60 * FRAME));
        let steepest = |plane: &[f32]| largest(plane.windows(2).map(|pair| pair[1] - pair[0]));
        assert!(steepest(&late.all()[1]) <= 1.05 * steepest(&whole.all()[1][FRAME..]), "no click");
    }

    #[test]
    fn what_cannot_be_decoded_leaves_the_queue_as_it_was() {
        let mut decoder = VoiceDecoder::new().unwrap();
        let mut queue = Planes::with_capacity(2 * LONGEST_PACKET_SAMPLES);
        queue.grow(7);
        let bad = |decoder: &mut Decoder, out: &mut [f32]| decoder.decode_f32(&[3; 1], out);
        assert!(decoder.append(&mut queue, 480, bad).is_err());
        decoder.reserve_stereo(&mut queue).unwrap();
        for _ in 0..3 {
            decoder.expect_stereo(&mut queue);
            assert!(decoder.append(&mut queue, 480, bad).is_err());
        }
        assert_eq!(queue.all().iter().map(Vec::len).collect::<Vec<_>>(), [7, 7]);
    }
}
