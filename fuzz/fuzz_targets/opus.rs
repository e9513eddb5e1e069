//! Opus packets that are none, one after the other through one decoder; what they tell of those before them is spoken, too.
//! Each is tried as a whole packet and as what a packet tells, where nothing else is wrong with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use raccall_opus::{DEEP_PLC_COMPLEXITY, Decoder, Redundancy};

/// As libopus writes it: one frame, padded; in the padding extension 126, "D", version 12.
fn telling(told: &[u8]) -> Vec<u8> {
    let told = &told[..told.len().min(251)];
    [&[0x78 | 3, 0x41, told.len() as u8 + 3, 1, 2, 3, 126 << 1, b'D', 12], told].concat()
}

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new(48_000, 1).expect("48 kHz mono");
    decoder.set_complexity(DEEP_PLC_COMPLEXITY).expect("0 to 10");
    let mut redundancy = Redundancy::new().expect("it takes some memory");
    let mut out = vec![0.0; 5760];
    for payload in bytes.split(|byte| *byte == 0xA5).flat_map(|piece| [piece.to_vec(), telling(piece)]) {
        if let Ok(samples) = decoder.decode_f32(&payload, &mut out) {
            assert!(out[..samples].iter().all(|sample| sample.is_finite()));
        }
        let _ = decoder.decode_lbrr_f32(&payload, &mut out[..960]);
        if let Ok(told) = redundancy.read(&payload, 9600) {
            decoder.decode_redundancy_f32(&redundancy, told.end, &mut out[..960]).expect("20 ms can always be told");
            assert!(out[..960].iter().all(|sample| sample.is_finite()));
        }
        decoder.conceal_f32(&mut out[..960]).expect("silence can always be concealed");
    }
});
