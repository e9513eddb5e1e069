//! A group of one of ours and one of davey's, and the least of a delivery service that it takes.

use std::num::NonZeroU16;

use davey::{DaveSession, ProposalsOperationType};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use raccall_e2ee::{EpochKeys, Member, Secret};

pub const CHANNEL: u64 = 777;
pub const ALICE: u64 = 111;
pub const BOB: u64 = 222;

pub struct ExternalSender(SigningKey);

impl ExternalSender {
    pub fn new() -> Self {
        Self(SigningKey::from_slice(&[5; 32]).unwrap())
    }

    pub fn package(&self) -> Vec<u8> {
        let public = self.0.verifying_key().to_encoded_point(false);
        [vector(public.as_bytes()), vec![0, 1], vector(&[0; 8])].concat()
    }

    pub fn add(&self, epoch: u64, key_package: &[u8]) -> Vec<u8> {
        let header = [0, 1, 0, 1];
        let content = [
            &vector(&CHANNEL.to_be_bytes())[..],
            &epoch.to_be_bytes(),
            &[2, 0, 0, 0, 0],
            &vector(&[]),
            &[2],
            &[0, 1],
            key_package,
        ]
        .concat();
        let signed = [vector(b"MLS 1.0 FramedContentTBS"), vector(&[&header[..], &content].concat())].concat();
        let signature: DerSignature = self.0.sign(&signed);
        [&header[..], &content, &vector(signature.as_bytes())].concat()
    }
}

/// Bytes behind their length (RFC 9420 section 2.1.2).
pub fn vector(bytes: &[u8]) -> Vec<u8> {
    let length = match bytes.len() {
        length @ 0..64 => vec![length as u8],
        length @ 64..0x4000 => (0x4000 | length as u16).to_be_bytes().to_vec(),
        length => (0x8000_0000 | length as u32).to_be_bytes().to_vec(),
    };
    [length, bytes.to_vec()].concat()
}

/// Alice is davey's, Bob is ours; both are in epoch 1. Davey's session stands for libdave's cryptors.
pub fn group() -> (DaveSession, Member) {
    let sender = ExternalSender::new();
    let mut alice = DaveSession::new(NonZeroU16::MIN, ALICE, CHANNEL, None).unwrap();
    alice.set_external_sender(&sender.package()).unwrap();
    let mut bob = Member::new(BOB, CHANNEL, None).unwrap();
    bob.set_external_sender(&sender.package()).unwrap();
    let proposal = vector(&sender.add(0, &bob.key_package().unwrap()));
    let answer = alice.process_proposals(ProposalsOperationType::APPEND, &proposal, None).unwrap().unwrap();
    assert!(alice.process_commit(&answer.commit).unwrap());
    alice.prepare_transition(0, 1).unwrap();
    bob.process_welcome(&answer.welcome.unwrap(), Some(&[ALICE, BOB])).unwrap();
    (alice, bob)
}

/// The same epoch as `user_id` has it.
pub fn keys_of(user_id: u64, keys: &EpochKeys) -> EpochKeys {
    let secrets: Vec<(u64, Secret)> =
        keys.user_ids().map(|user_id| (user_id, *keys.secret(user_id).unwrap())).collect();
    EpochKeys::new(keys.epoch(), user_id, secrets)
}
