//! Opus packets that are none, one after the other through one decoder; what they tell of those before them is spoken, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use raccall_opus::{DEEP_PLC_COMPLEXITY, Decoder, Redundancy};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new(48_000, 1).expect("48 kHz mono");
    decoder.set_complexity(DEEP_PLC_COMPLEXITY).expect("0 to 10");
    let mut redundancy = Redundancy::new().expect("it takes some memory");
    let mut out = vec![0.0; 5760];
    for payload in bytes.split(|byte| *byte == 0xA5) {
        if let Ok(samples) = decoder.decode_f32(payload, &mut out) {
            assert!(out[..samples].iter().all(|sample| sample.is_finite()));
        }
        let _ = decoder.decode_lbrr_f32(payload, &mut out[..960]);
        if let Ok(told) = redundancy.read(payload, 9600) {
            decoder.decode_redundancy_f32(&redundancy, told.end, &mut out[..960]).expect("20 ms can always be told");
            assert!(out[..960].iter().all(|sample| sample.is_finite()));
        }
        decoder.conceal_f32(&mut out[..960]).expect("silence can always be concealed");
    }
});
