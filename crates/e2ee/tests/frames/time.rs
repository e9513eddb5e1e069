//! Generations, epochs and replays.

use std::sync::Arc;

use raccall_e2ee::{Allowance, Decryptor, Encryptor, EpochKeys, Failure, Frame, MAX_GENERATION_GAP};

const S: u64 = 1_000_000_000;
const ALICE: u64 = 1;
const BOB: u64 = 2;
const GENERATION: u32 = 1 << 24;

fn keys(epoch: u64, own: u64) -> Arc<EpochKeys> {
    Arc::new(EpochKeys::new(epoch, own, vec![(ALICE, [epoch as u8; 16]), (BOB, [100 + epoch as u8; 16])]))
}

/// Alice, who may send any nonce.
struct Alice(Encryptor);

impl Alice {
    fn new(epoch: u64) -> Self {
        let mut encryptor = Encryptor::default();
        encryptor.use_keys(&keys(epoch, ALICE));
        Self(encryptor)
    }

    fn say(&mut self, nonce: u32) -> Vec<u8> {
        let mut out = Vec::new();
        self.0.skip_to(nonce - 1);
        assert!(self.0.encrypt(&nonce.to_be_bytes(), &mut out));
        out
    }
}

fn open(decryptor: &mut Decryptor, frame: &[u8], now: u64) -> Result<Vec<u8>, Failure> {
    open_with(decryptor, frame, now, &mut Allowance::new(1000))
}

fn open_with(decryptor: &mut Decryptor, frame: &[u8], now: u64, allowance: &mut Allowance) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    decryptor.decrypt(&Frame::parse(frame).unwrap(), ALICE, now, allowance, &mut out).map(|()| out)
}

fn bob(epochs: &[u64]) -> Decryptor {
    let mut decryptor = Decryptor::default();
    for epoch in epochs {
        assert!(decryptor.add_keys(keys(*epoch, BOB), 0));
    }
    decryptor
}

#[test]
fn each_frame_once_in_any_order_within_the_window() {
    let (mut alice, mut bob) = (Alice::new(1), bob(&[1]));
    let frames: Vec<_> = (1..=1500).map(|nonce| alice.say(nonce)).collect();
    for nonce in [5, 1, 3, 2, 900, 899] {
        assert_eq!(open(&mut bob, &frames[nonce], 0).as_deref(), Ok(&(nonce as u32 + 1).to_be_bytes()[..]));
        assert_eq!(open(&mut bob, &frames[nonce], 0), Err(Failure::Replayed));
    }
    assert!(open(&mut bob, &frames[1400], 0).is_ok());
    assert!(open(&mut bob, &frames[400], 0).is_ok());
    assert_eq!(open(&mut bob, &frames[300], 0), Err(Failure::Replayed), "too old to tell");
}

#[test]
fn a_forged_frame_does_not_move_the_window() {
    let (mut alice, mut bob) = (Alice::new(1), bob(&[1]));
    let first = alice.say(1);
    let mut forged = alice.say(GENERATION - 1);
    forged[0] ^= 1;
    assert_eq!(open(&mut bob, &forged, 0), Err(Failure::BadTag));
    assert!(open(&mut bob, &first, 0).is_ok());
}

#[test]
fn a_new_generation_is_followed_and_the_former_one_opens_ten_seconds_more() {
    let (mut alice, mut bob) = (Alice::new(1), bob(&[1]));
    let (before, late, too_late) = (alice.say(GENERATION - 2), alice.say(GENERATION - 1), alice.say(GENERATION - 3));
    let after = [alice.say(GENERATION), alice.say(GENERATION + 1)];
    assert!(open(&mut bob, &before, 0).is_ok());
    assert!(open(&mut bob, &after[0], S).is_ok());
    assert!(open(&mut bob, &after[1], S).is_ok());
    assert!(open(&mut bob, &late, 10 * S).is_ok());
    assert_eq!(open(&mut bob, &too_late, 11 * S), Err(Failure::Generation));
}

#[test]
fn generations_are_skipped_up_to_the_gap_and_not_beyond() {
    let mut alice = Alice::new(1);
    let far = alice.say(MAX_GENERATION_GAP * GENERATION);
    let farther = alice.say((MAX_GENERATION_GAP + 1) * GENERATION);
    assert_eq!(open(&mut bob(&[1]), &farther, 0), Err(Failure::Generation));
    let mut bob = bob(&[1]);
    assert!(open(&mut bob, &far, 0).is_ok());
    assert!(open(&mut bob, &farther, 0).is_ok(), "one further from here");
    let last = alice.say(u32::MAX);
    assert!(open(&mut bob, &last, 0).is_ok());
    assert!(!alice.0.encrypt(b"more", &mut Vec::new()), "no nonce is left, and none repeats");
}

#[test]
fn turning_ahead_for_a_stranger_is_limited() {
    let (mut alice, mut bob) = (Alice::new(1), bob(&[1]));
    let near = alice.say(1);
    let mut forged = alice.say(200 * GENERATION);
    forged[0] ^= 1;
    let mut allowance = Allowance::new(500);
    let tried = (0..10).filter(|_| open_with(&mut bob, &forged, 0, &mut allowance) == Err(Failure::BadTag)).count();
    assert_eq!(tried, 2);
    assert!(open_with(&mut bob, &near, 0, &mut allowance).is_ok(), "who does not jump needs none");
}

#[test]
fn a_former_epoch_opens_ten_seconds_after_the_next_is_in_use() {
    let (mut old, mut new) = (Alice::new(1), Alice::new(2));
    let mut bob = bob(&[1, 2]);
    assert!(open(&mut bob, &new.say(1), 0).is_ok(), "received before anyone was told to send");
    assert!(open(&mut bob, &old.say(1), 5 * S).is_ok());
    bob.use_keys(&keys(2, BOB), 5 * S);
    assert!(open(&mut bob, &old.say(2), 14 * S).is_ok());
    assert_eq!(open(&mut bob, &old.say(3), 15 * S), Err(Failure::BadTag));
    assert!(open(&mut bob, &new.say(2), 3600 * S).is_ok());
    assert!(bob.expire(15 * S));
    assert!(bob.has_keys());
}

#[test]
fn a_superseded_epoch_does_not_stay_for_ever() {
    let mut bob = bob(&[1, 2]);
    assert!(open(&mut bob, &Alice::new(1).say(1), 29 * S).is_ok());
    assert_eq!(open(&mut bob, &Alice::new(1).say(2), 30 * S), Err(Failure::BadTag));
    assert!(open(&mut bob, &Alice::new(2).say(1), 30 * S).is_ok());
}

#[test]
fn the_same_keys_again_open_nothing_twice_and_encrypt_with_no_nonce_twice() {
    let (mut alice, mut bob) = (Alice::new(1), bob(&[1]));
    let frame = alice.say(1);
    assert!(open(&mut bob, &frame, 0).is_ok());
    assert!(!bob.add_keys(keys(1, BOB), 0));
    assert_eq!(open(&mut bob, &frame, 0), Err(Failure::Replayed));
    alice.0.use_keys(&keys(1, ALICE));
    let mut next = Vec::new();
    alice.0.encrypt(b"next", &mut next);
    assert_ne!(Frame::parse(&next).unwrap().nonce, Frame::parse(&frame).unwrap().nonce);
}

#[test]
fn a_server_that_has_former_keys_used_again_gets_no_nonce_twice() {
    let mut alice = Encryptor::default();
    let mut used = std::collections::HashSet::new();
    for epoch in [1, 2, 1, 2, 2, 1] {
        alice.use_keys(&keys(epoch, ALICE));
        for _ in 0..3 {
            let mut out = Vec::new();
            assert!(alice.encrypt(b"said", &mut out));
            assert!(used.insert((epoch, Frame::parse(&out).unwrap().nonce)));
        }
    }
}

#[test]
fn new_keys_in_a_call_of_days_are_followed_from_the_generation_at_which_they_begin() {
    let (mut alice, mut bob) = (Alice::new(1), bob(&[1]));
    assert!(open(&mut bob, &alice.say(3 * GENERATION - 1), 0).is_ok());
    alice.0.use_keys(&keys(2, ALICE));
    bob.add_keys(keys(2, BOB), 0);
    assert!(open(&mut bob, &alice.say(3 * GENERATION), 0).is_ok());
}

#[test]
fn a_group_that_began_anew_is_told_from_its_former_one_of_the_same_number() {
    let mut bob = bob(&[7]);
    let again = EpochKeys::new(7, BOB, vec![(ALICE, [77; 16]), (BOB, [78; 16])]);
    assert!(bob.add_keys(Arc::new(again), 0));
    assert!(open(&mut bob, &Alice::new(7).say(1), 0).is_ok());
}

#[test]
fn epochs_at_hand_are_limited_and_the_newest_stay() {
    let mut bob = bob(&(1..=20).collect::<Vec<_>>());
    assert_eq!(bob.user_ids().count(), 16);
    assert!(open(&mut bob, &Alice::new(20).say(1), 0).is_ok());
    assert_eq!(open(&mut bob, &Alice::new(12).say(1), 0), Err(Failure::BadTag));
    bob.retire_all(0);
    assert!(bob.expire(10 * S) && !bob.has_keys());
    assert_eq!(open(&mut bob, &Alice::new(20).say(2), 10 * S), Err(Failure::NoKeys));
}
