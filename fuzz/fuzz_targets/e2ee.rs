//! Encrypted frames: any bytes, by any user, at any time. A frame that opens was made with the key; nothing panics.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use raccall_e2ee::{Allowance, Decryptor, Encryptor, EpochKeys, Frame, SILENCE};

fn keys(epoch: u64, own: u64) -> Arc<EpochKeys> {
    Arc::new(EpochKeys::new(epoch, own, vec![(1, [epoch as u8; 16]), (2, [9; 16])]))
}

fuzz_target!(|data: &[u8]| {
    let (mut decryptor, mut encryptor) = (Decryptor::default(), Encryptor::default());
    decryptor.add_keys(keys(1, 2), 0);
    decryptor.add_keys(keys(2, 2), 0);
    encryptor.use_keys(&keys(2, 1));
    let mut allowance = Allowance::new(1000);
    let (mut out, mut frame) = (Vec::new(), Vec::new());
    let mut now = 0;
    for piece in data.chunks(64) {
        now += u64::from(piece[0]) * 100_000_000;
        if let Some(parsed) = Frame::parse(piece) {
            assert!(decryptor.decrypt(&parsed, 1, now, &mut allowance, &mut out).is_err(), "forged");
        }
        assert!(encryptor.encrypt(piece, &mut frame));
        if piece == SILENCE {
            continue;
        }
        let whole = Frame::parse(&frame).expect("ours");
        decryptor.decrypt(&whole, 1, now, &mut allowance, &mut out).expect("genuine and fresh");
        assert_eq!(out, piece);
        decryptor.expire(now);
    }
});
