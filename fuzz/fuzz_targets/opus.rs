//! Opus packets that are none, one after the other through one decoder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use raccall_opus::Decoder;

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new(48_000, 1).expect("48 kHz mono");
    let mut out = vec![0.0; 5760];
    for payload in bytes.split(|byte| *byte == 0xA5) {
        if let Ok(samples) = decoder.decode_f32(payload, &mut out) {
            assert!(out[..samples].iter().all(|sample| sample.is_finite()));
        }
        let _ = decoder.decode_lbrr_f32(payload, &mut out[..960]);
        decoder.conceal_f32(&mut out[..960]).expect("silence can always be concealed");
    }
});
