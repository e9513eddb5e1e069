//! Ours and davey's own cryptors, in both directions.

use std::sync::{Arc, LazyLock, Mutex};

use davey::{DaveSession, MediaType};
use proptest::prelude::*;
use raccall_e2ee::{Allowance, Decryptor, Encryptor, EpochKeys, Frame, SILENCE};

use crate::group::{ALICE, BOB, group, keys_of};

/// Making a group takes 20 ms, so the cases of a property share one.
static GROUP: LazyLock<Mutex<(DaveSession, EpochKeys)>> = LazyLock::new(|| {
    let (alice, bob) = group();
    Mutex::new((alice, bob.keys().unwrap()))
});

fn decrypt(decryptor: &mut Decryptor, user_id: u64, frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    decryptor.decrypt(&Frame::parse(frame)?, user_id, 0, &mut Allowance::new(1000), &mut out).ok().map(|()| out)
}

fn ours_of(user_id: u64, keys: &EpochKeys) -> (Encryptor, Decryptor) {
    let (mut encryptor, mut decryptor) = (Encryptor::default(), Decryptor::default());
    let keys = Arc::new(keys_of(user_id, keys));
    encryptor.use_keys(&keys);
    decryptor.add_keys(keys, 0);
    (encryptor, decryptor)
}

#[test]
fn frames_are_the_same_bytes_and_come_back_both_ways() {
    let (mut alice, bob) = group();
    let keys = bob.keys().unwrap();
    let (mut as_alice, _) = ours_of(ALICE, &keys);
    let (mut as_bob, mut decryptor) = ours_of(BOB, &keys);
    let mut out = Vec::new();
    for number in 0..20_000usize {
        // The ULEB128 of the nonce takes one, two, then three bytes.
        let payload: Vec<u8> = (0..number % 200).map(|i| (i * 7 + number) as u8).collect();
        let theirs = alice.encrypt_opus(&payload).unwrap().into_owned();
        assert!(as_alice.encrypt(&payload, &mut out));
        assert_eq!(out, theirs);
        assert_eq!(decrypt(&mut decryptor, ALICE, &theirs), Some(payload.clone()));
        assert!(as_bob.encrypt(&payload, &mut out));
        assert_eq!(alice.decrypt(BOB, MediaType::AUDIO, &out).unwrap(), payload);
    }
}

#[test]
fn silence_goes_as_it_is_on_both_sides() {
    let (mut alice, bob) = group();
    let (mut encryptor, _) = ours_of(BOB, &bob.keys().unwrap());
    let mut out = Vec::new();
    assert!(encryptor.encrypt(&SILENCE, &mut out));
    assert_eq!(out, SILENCE);
    assert_eq!(alice.decrypt(BOB, MediaType::AUDIO, &out).unwrap(), SILENCE);
    assert_eq!(*alice.encrypt_opus(&SILENCE).unwrap(), SILENCE);
    assert_eq!(Frame::parse(&SILENCE), None);
}

#[test]
fn the_key_of_another_member_opens_nothing() {
    let (mut alice, bob) = group();
    let (_, mut decryptor) = ours_of(BOB, &bob.keys().unwrap());
    let frame = alice.encrypt_opus(b"speech").unwrap().into_owned();
    assert_eq!(decrypt(&mut decryptor, BOB, &frame), None);
    assert_eq!(decrypt(&mut decryptor, 999, &frame), None);
    assert_eq!(decrypt(&mut decryptor, ALICE, &frame), Some(b"speech".to_vec()));
    assert_eq!(decrypt(&mut decryptor, ALICE, &frame), None, "a replay");
    assert!(alice.decrypt(BOB, MediaType::AUDIO, &frame).is_err());
}

proptest! {
    #[test]
    fn of_damaged_frames_both_think_alike(
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        place: proptest::sample::Index,
        change: u8,
        cut in 0..4usize,
        tail in proptest::collection::vec(any::<u8>(), 0..3),
    ) {
        let (alice, keys) = &mut *GROUP.lock().unwrap();
        let (mut encryptor, mut decryptor) = ours_of(BOB, keys);
        encryptor.skip_to(rand_nonce(&payload, change));
        let mut frame = Vec::new();
        prop_assert!(encryptor.encrypt(&payload, &mut frame));
        let at = place.index(frame.len());
        frame[at] ^= change;
        frame.truncate(frame.len() - cut);
        frame.extend_from_slice(&tail);
        let theirs = alice.decrypt(BOB, MediaType::AUDIO, &frame).ok();
        let ours = decrypt(&mut decryptor, BOB, &frame);
        // Theirs has seen other frames of this property, so it may refuse as a replay what is whole.
        prop_assert!(theirs.is_none() || theirs == ours);
        if change == 0 && cut == 0 && tail.is_empty() {
            prop_assert_eq!(ours, Some(payload));
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100), user in 110u64..113) {
        let (_, keys) = &mut *GROUP.lock().unwrap();
        let (_, mut decryptor) = ours_of(BOB, keys);
        let marked = [&bytes[..], &[12, 0xFA, 0xFA]].concat();
        prop_assert_eq!(decrypt(&mut decryptor, user, &bytes), None);
        prop_assert_eq!(decrypt(&mut decryptor, user, &marked), None);
    }
}

/// Some nonce of the first generation, another one for another case.
fn rand_nonce(payload: &[u8], change: u8) -> u32 {
    payload.iter().fold(u32::from(change), |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte))) & 0xFF_FFFE
}
