//! RNNoise's network: two convolutions over the last three frames, three gated recurrent units, and what is read from all of them.
//!
//! The large layers have weights of 8 bits. What goes into them lies within ±1 and is made integers of 16 bits: products are exact, their
//! sums too, and compilers make good code of that on every processor.

use std::sync::OnceLock;

use super::bands::BAND_COUNT;

pub const FEATURES: usize = 2 * BAND_COUNT + 1;

const CONV1: usize = 128;
/// Of the second convolution and of each recurrent unit.
const STATE: usize = 384;
const GATES: usize = 3 * STATE;
const ALL: usize = 4 * STATE;
/// Frames that a convolution sees.
const KERNEL: usize = 3;

/// In the order of `Model::read`; made by scripts/rnnoise_weights.py.
static WEIGHTS: &[u8] = include_bytes!("weights.bin");

/// What the network remembers of one stream.
pub struct Network {
    model: &'static Model,
    features: [f32; KERNEL * FEATURES],
    conv1: [f32; KERNEL * CONV1],
    grus: [[f32; STATE]; 3],
}

impl Network {
    pub fn new() -> Self {
        static MODEL: OnceLock<Model> = OnceLock::new();
        Self {
            model: MODEL.get_or_init(Model::read),
            features: [0.0; KERNEL * FEATURES],
            conv1: [0.0; KERNEL * CONV1],
            grus: [[0.0; STATE]; 3],
        }
    }

    /// What is to be left of each band, as an amplitude, and how likely it is a voice.
    pub fn run(&mut self, features: &[f32; FEATURES]) -> ([f32; BAND_COUNT], f32) {
        let model = self.model;
        append(&mut self.features, features);
        let mut conv1 = [0.0; CONV1];
        model.conv1.apply(&self.features, &mut conv1);
        conv1.iter_mut().for_each(|value| *value = tanh(*value));
        append(&mut self.conv1, &conv1);
        let mut all = [0.0; ALL];
        let (conv2, states) = all.split_at_mut(STATE);
        model.conv2.apply(&self.conv1, conv2);
        conv2.iter_mut().for_each(|value| *value = tanh(*value));
        let mut input = &*conv2;
        for ((gru, state), seen) in model.grus.iter().zip(&mut self.grus).zip(states.chunks_exact_mut(STATE)) {
            gru.step(input, state);
            seen.copy_from_slice(state);
            input = seen;
        }
        let (mut gains, mut voice) = ([0.0; BAND_COUNT], [0.0]);
        model.gains.apply(&all, &mut gains);
        model.voice.apply(&all, &mut voice);
        (gains.map(sigmoid), sigmoid(voice[0]))
    }
}

struct Model {
    conv1: Floats,
    conv2: Quantised,
    grus: [Gru; 3],
    gains: Floats,
    voice: Floats,
}

impl Model {
    fn read() -> Self {
        let rest = &mut &WEIGHTS[..];
        let model = Self {
            conv1: Floats::read(rest, KERNEL * FEATURES, CONV1),
            conv2: Quantised::read(rest, STATE),
            grus: std::array::from_fn(|_| Gru::read(rest)),
            gains: Floats::read(rest, ALL, BAND_COUNT),
            voice: Floats::read(rest, ALL, 1),
        };
        assert!(rest.is_empty(), "weights.bin is not of this network");
        model
    }
}

/// Gates in this order: how much of the state stays, how much of it is looked at, what is new.
struct Gru {
    input: Quantised,
    recurrent: Quantised,
    /// Of each state to itself, for each gate.
    diagonal: Vec<f32>,
}

impl Gru {
    fn read(rest: &mut &'static [u8]) -> Self {
        let input = Quantised::read(rest, GATES);
        let (bias, scale) = (floats(rest, GATES), floats(rest, GATES));
        let diagonal = floats(rest, GATES);
        Self { input, recurrent: Quantised { bias, scale, weights: take(rest, GATES * STATE) }, diagonal }
    }

    fn step(&self, input: &[f32], state: &mut [f32; STATE]) {
        let (mut from_input, mut from_state) = ([0.0; GATES], [0.0; GATES]);
        self.input.apply(input, &mut from_input);
        self.recurrent.apply(state, &mut from_state);
        for (number, state) in state.iter_mut().enumerate() {
            let gate = |gate: usize| {
                let at = gate * STATE + number;
                (from_input[at], from_state[at] + self.diagonal[at] * *state)
            };
            let [(keep_input, keep_state), (look_input, look_state), (new_input, new_state)] =
                [gate(0), gate(1), gate(2)];
            let keep = sigmoid(keep_input + keep_state);
            let look = sigmoid(look_input + look_state);
            let new = tanh(new_input + look * new_state);
            *state = keep * *state + (1.0 - keep) * new;
        }
    }
}

struct Floats {
    bias: Vec<f32>,
    /// A row for each output.
    weights: Vec<f32>,
}

impl Floats {
    fn read(rest: &mut &[u8], inputs: usize, outputs: usize) -> Self {
        Self { bias: floats(rest, outputs), weights: floats(rest, inputs * outputs) }
    }

    fn apply(&self, input: &[f32], out: &mut [f32]) {
        for ((out, bias), row) in out.iter_mut().zip(&self.bias).zip(self.weights.chunks_exact(input.len())) {
            *out = bias + super::dot(row, input);
        }
    }
}

/// Of `STATE` inputs.
struct Quantised {
    bias: Vec<f32>,
    /// Of a weight's step, for each output.
    scale: Vec<f32>,
    /// A row for each output, of signed bytes.
    weights: &'static [u8],
}

/// Of an input of 1. As large as sums of `STATE` products with weights of 8 bits allow.
const INPUT_STEPS: f32 = 32_767.0;

impl Quantised {
    fn read(rest: &mut &'static [u8], outputs: usize) -> Self {
        let (bias, scale) = (floats(rest, outputs), floats(rest, outputs));
        Self { bias, scale, weights: take(rest, outputs * STATE) }
    }

    fn apply(&self, input: &[f32], out: &mut [f32]) {
        let mut steps = [0i16; STATE];
        for (steps, value) in steps.iter_mut().zip(input) {
            *steps = (value * INPUT_STEPS) as i16;
        }
        let outputs = out.iter_mut().zip(self.bias.iter().zip(&self.scale));
        for ((out, (bias, scale)), row) in outputs.zip(self.weights.chunks_exact(STATE)) {
            // Of 16 bits first, all at once: half as fast again as one by one.
            let weights: [i16; STATE] = std::array::from_fn(|number| i16::from(row[number] as i8));
            let products = weights.iter().zip(&steps).map(|(weight, input)| i32::from(*weight) * i32::from(*input));
            *out = bias + scale / INPUT_STEPS * products.sum::<i32>() as f32;
        }
    }
}

fn append<const ALL: usize>(memory: &mut [f32; ALL], newest: &[f32]) {
    memory.copy_within(newest.len().., 0);
    memory[ALL - newest.len()..].copy_from_slice(newest);
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

fn floats(rest: &mut &[u8], count: usize) -> Vec<f32> {
    let bytes = take(rest, count * size_of::<f32>());
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
}

fn sigmoid(x: f32) -> f32 {
    0.5 + 0.5 * tanh(0.5 * x)
}

/// Lambert's continued fraction, off by 1e-4 at most: a thousandth of a weight's step matters less than the time that `tanh` takes.
fn tanh(x: f32) -> f32 {
    let x = x.clamp(-4.97, 4.97);
    let square = x * x;
    let above = x * (135_135.0 + square * (17_325.0 + square * (378.0 + square)));
    let below = 135_135.0 + square * (62_370.0 + square * (3_150.0 + square * 28.0));
    (above / below).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_tanh_is_near() {
        for number in -1_000i16..=1_000 {
            let x = f32::from(number) / 100.0;
            assert!((tanh(x) - x.tanh()).abs() < 2e-4, "at {x}");
        }
    }

    #[test]
    fn silence_for_ever_keeps_it_finite() {
        let mut network = Network::new();
        for _ in 0..500 {
            let (gains, voice) = network.run(&[0.0; FEATURES]);
            assert!(gains.iter().chain([&voice]).all(|value| (0.0..=1.0).contains(value)));
        }
    }
}
