//! Chains that encrypt end to end: what is opened, what waits, what is refused.

use std::sync::Arc;

use raccall_e2ee::{Encryptor, EpochKeys, SILENCE};
use raccall_media::{
    Encryption, EncryptionCounts, Pushed, ReceiveChain, ReceiveConfig, Refusal, Released, SEND_SAMPLES, SendChain,
    SendConfig,
};
use raccall_wire::rtp::{Extension, ONE_BYTE_EXTENSION, OPUS_PAYLOAD_TYPE, Packet};
use raccall_wire::transport::{Cipher, Mode};

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;
const MODE: Mode = Mode::Aes256GcmRtpSize;
const KEY: [u8; 32] = [1; 32];

/// Of the listener, and of those who may speak.
const LISTENER: u64 = 1;
const ALICE: u64 = 11;
const BOB: u64 = 12;

fn keys(epoch: u64, own: u64) -> Arc<EpochKeys> {
    let members = [LISTENER, ALICE, BOB].into_iter().chain(1000..1050);
    let secrets = members.map(|user_id| (user_id, [(epoch * 50 + user_id) as u8; 16])).collect();
    Arc::new(EpochKeys::new(epoch, own, secrets))
}

/// One who speaks as one Source, with any payload and any RTP around it.
struct Talker {
    encryptor: Encryptor,
    cipher: Cipher,
    ssrc: u32,
    sequence: u16,
    nonce: u32,
    padding_bytes: u8,
}

impl Talker {
    fn new(ssrc: u32, user_id: u64, epoch: u64) -> Self {
        let mut encryptor = Encryptor::default();
        encryptor.use_keys(&keys(epoch, user_id));
        Self { encryptor, cipher: Cipher::new(MODE, &KEY), ssrc, sequence: 65_534, nonce: ssrc << 16, padding_bytes: 0 }
    }

    fn say(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        assert!(self.encryptor.encrypt(payload, &mut frame));
        self.send(&frame)
    }

    fn send(&mut self, payload: &[u8]) -> Vec<u8> {
        let (mut packet, mut datagram) = (Vec::new(), Vec::new());
        self.packet(payload, self.padding_bytes).write(&mut packet);
        self.sequence = self.sequence.wrapping_add(1);
        self.nonce += 1;
        self.cipher.seal(&packet, self.nonce.to_be_bytes(), &mut datagram).unwrap();
        datagram
    }

    fn packet<'a>(&self, payload: &'a [u8], padding_bytes: u8) -> Packet<'a> {
        Packet {
            marker: true,
            payload_type: OPUS_PAYLOAD_TYPE,
            sequence: self.sequence,
            timestamp: u32::from(self.sequence) * 960,
            ssrc: self.ssrc,
            csrc: &[9, 9, 9, 9],
            extension: Some(Extension { profile: ONE_BYTE_EXTENSION, body: &[0x10, 0x85, 0, 0] }),
            payload,
            padding_bytes,
        }
    }
}

fn listener() -> ReceiveChain {
    let mut chain = ReceiveChain::new(ReceiveConfig {
        mode: MODE,
        key: KEY,
        deep_plc: false,
        min_target_ms: 20,
        max_target_ms: 200,
        source_timeout_ms: 10_000,
    });
    chain.set_encryption(Encryption::On, 0);
    chain
}

fn listener_with_keys() -> ReceiveChain {
    let mut chain = listener();
    chain.use_keys(&keys(1, LISTENER), 0);
    chain
}

fn payload(pushed: Pushed<'_>) -> Option<Vec<u8>> {
    match pushed {
        Pushed::Packet { plain, .. } => Some(Packet::parse(plain).unwrap().payload.to_vec()),
        _ => None,
    }
}

fn released(chain: &mut ReceiveChain) -> Vec<Released> {
    std::iter::from_fn(|| chain.next_released()).collect()
}

fn counts(chain: &ReceiveChain) -> EncryptionCounts {
    chain.report().encryption
}

fn owner(chain: &ReceiveChain, ssrc: u32) -> Option<u64> {
    chain.report().sources.iter().find(|source| source.ssrc == ssrc).unwrap().owner
}

#[test]
fn padding_extension_and_csrc_stay_outside_and_what_comes_out_is_a_true_packet() {
    let mut chain = listener_with_keys();
    let mut alice = Talker::new(7, ALICE, 1);
    for (padding_bytes, sequence) in [(0, 65_534), (1, 65_535), (3, 0), (200, 1)] {
        alice.padding_bytes = padding_bytes;
        let mut expected = Vec::new();
        alice.packet(b"\x78 speech", 0).write(&mut expected);
        match chain.push(&alice.say(b"\x78 speech"), 0) {
            Pushed::Packet { plain, extended_sequence, .. } => {
                assert_eq!(plain, expected);
                assert_eq!(extended_sequence & 0xFFFF, sequence);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counts(&chain), EncryptionCounts { decrypted: 4, ..EncryptionCounts::default() });
}

#[test]
fn whoever_speaks_is_found_by_their_key_and_told() {
    let mut chain = listener_with_keys();
    let mut alice = Talker::new(7, ALICE, 1);
    chain.set_owner(7, BOB, 0);
    assert_eq!(payload(chain.push(&alice.say(b"a"), 0)), Some(b"a".to_vec()), "a wrong claim locks nobody out");
    assert_eq!(owner(&chain, 7), Some(ALICE));
    let mut unknown = Talker::new(8, 1049, 1);
    assert_eq!(payload(chain.push(&unknown.say(b"u"), 0)), Some(b"u".to_vec()), "nor does no claim");
    assert_eq!(owner(&chain, 8), Some(1049));
    let mut bob = Talker { encryptor: Talker::new(7, BOB, 1).encryptor, ..alice };
    assert_eq!(payload(chain.push(&bob.say(b"b"), 0)), Some(b"b".to_vec()), "the Source is another's now");
    assert_eq!(owner(&chain, 7), Some(BOB));
}

#[test]
fn what_comes_before_its_key_waits_and_comes_out_in_order_with_its_time() {
    let mut chain = listener();
    let (mut alice, mut bob) = (Talker::new(7, ALICE, 1), Talker::new(8, BOB, 1));
    for number in 0..100u64 {
        let speaker = if number % 3 == 0 { &mut bob } else { &mut alice };
        assert_eq!(chain.push(&speaker.say(&number.to_be_bytes()), number * 20 * MS), Pushed::Held);
    }
    assert_eq!(counts(&chain).waiting, 100);
    chain.add_keys(keys(1, LISTENER), 2 * S);
    let out = released(&mut chain);
    assert_eq!(out.len(), 100);
    for ssrc in [7, 8] {
        let of: Vec<_> = out.iter().filter(|packet| packet.ssrc == ssrc).collect();
        assert!(of.windows(2).all(|pair| pair[1].extended_sequence == pair[0].extended_sequence + 1));
        assert!(of.windows(2).all(|pair| pair[1].extended_timestamp == pair[0].extended_timestamp + 960
            || pair[0].extended_sequence & 0xFFFF == 0xFFFF));
        for packet in of {
            let number = u64::from_be_bytes(Packet::parse(&packet.plain).unwrap().payload.try_into().unwrap());
            assert_eq!(packet.arrival, number * 20 * MS);
        }
    }
    assert_eq!(payload(chain.push(&alice.say(b"next"), 2 * S)), Some(b"next".to_vec()));
    let EncryptionCounts { waiting, released, decrypted, bad_tag, .. } = counts(&chain);
    assert_eq!((waiting, released, decrypted, bad_tag), (0, 100, 101, 100));
}

#[test]
fn nothing_waits_longer_than_ten_seconds() {
    let mut chain = listener();
    let mut alice = Talker::new(7, ALICE, 1);
    for number in 0..20 {
        chain.push(&alice.say(b"speech"), number * S);
    }
    chain.tend(20 * S);
    assert_eq!((counts(&chain).waiting, counts(&chain).expired), (10, 10));
    chain.add_keys(keys(1, LISTENER), 20 * S);
    assert_eq!(released(&mut chain).first().unwrap().arrival, 10 * S);
    assert_eq!(counts(&chain).waiting, 0);
}

#[test]
fn one_who_sends_nonsense_harms_nobody_else() {
    let mut chain = listener_with_keys();
    let (mut mallory, mut alice, mut early) =
        (Talker::new(6, 1001, 1), Talker::new(7, ALICE, 1), Talker::new(8, BOB, 2));
    assert_eq!(chain.push(&early.say(b"of the next epoch"), 0), Pushed::Held);
    for number in 0..30_000u64 {
        let now = number * MS / 10;
        let mut nonsense = vec![number as u8; 300];
        nonsense.extend_from_slice(&[1, 12, 0xFA, 0xFA]);
        assert_eq!(chain.push(&mallory.send(&nonsense), now), Pushed::Held);
        if number % 200 == 0 {
            assert_eq!(payload(chain.push(&alice.say(b"speech"), now)), Some(b"speech".to_vec()));
        }
    }
    assert!(counts(&chain).overflowed > 20_000);
    assert!(counts(&chain).waiting < 900, "{:?}", counts(&chain));
    chain.add_keys(keys(2, LISTENER), 3 * S);
    assert_eq!(released(&mut chain).len(), 1, "what others have waiting is still there");
}

#[test]
fn all_who_wait_share_what_there_is() {
    let mut chain = listener();
    let mut talkers: Vec<_> = (0..50).map(|i| Talker::new(100 + i, 1000 + u64::from(i), 1)).collect();
    for round in 0..500u64 {
        for talker in &mut talkers {
            chain.push(&talker.say(&[7; 200]), round * 20 * MS);
        }
    }
    let EncryptionCounts { waiting, overflowed, .. } = counts(&chain);
    assert_eq!(waiting + overflowed, 25_000);
    assert!((10_000..16_000).contains(&waiting), "4 MB: {waiting}");
    chain.add_keys(keys(1, LISTENER), 10 * S);
    let mut by_source = [0; 50];
    released(&mut chain).iter().for_each(|packet| by_source[(packet.ssrc - 100) as usize] += 1);
    assert!(by_source.iter().max().unwrap() - by_source.iter().min().unwrap() <= 2, "{by_source:?}");
}

#[test]
fn plain_is_refused_but_for_silence_and_what_was_under_way() {
    let mut chain = listener_with_keys();
    let mut alice = Talker::new(7, ALICE, 1);
    assert_eq!(chain.push(&alice.send(b"\x78 plain"), 0), Pushed::Refused(Refusal::Unencrypted));
    assert_eq!(payload(chain.push(&alice.send(&SILENCE), 0)), Some(SILENCE.to_vec()));
    assert_eq!(chain.push(&alice.send(&[SILENCE, SILENCE].concat()), 0), Pushed::Refused(Refusal::Unencrypted));
    chain.set_encryption(Encryption::Either, S);
    assert!(payload(chain.push(&alice.send(b"\x78 plain"), S)).is_some());
    assert!(payload(chain.push(&alice.say(b"\x78 still encrypted"), S)).is_some());
    chain.set_encryption(Encryption::Off, 2 * S);
    assert_eq!(payload(chain.push(&alice.say(b"\x78 late"), 2 * S)), Some(b"\x78 late".to_vec()));
    assert!(payload(chain.push(&alice.send(b"\x78 plain"), 3 * S)).is_some());
    chain.set_encryption(Encryption::On, 20 * S);
    assert!(payload(chain.push(&alice.send(b"\x78 was under way"), 29 * S)).is_some());
    assert_eq!(chain.push(&alice.send(b"\x78 plain"), 30 * S), Pushed::Refused(Refusal::Unencrypted));
}

#[test]
fn an_old_frame_in_a_new_packet_is_refused() {
    let mut chain = listener_with_keys();
    let mut alice = Talker::new(7, ALICE, 1);
    let mut frame = Vec::new();
    alice.encryptor.encrypt(b"pay him", &mut frame);
    assert!(payload(chain.push(&alice.send(&frame), 0)).is_some());
    assert_eq!(chain.push(&alice.send(&frame), 0), Pushed::Refused(Refusal::Replayed));
    let mut mallory = Talker::new(6, 1001, 1);
    assert_eq!(chain.push(&mallory.send(&frame), 0), Pushed::Refused(Refusal::Replayed), "as another Source, too");
}

#[test]
fn keys_change_without_a_gap_whoever_switches_first() {
    let mut chain = listener_with_keys();
    let (mut alice, mut bob) = (Talker::new(7, ALICE, 1), Talker::new(8, BOB, 1));
    let mut lost = 0;
    for number in 0..100u64 {
        let now = number * 20 * MS;
        match number {
            30 => chain.add_keys(keys(2, LISTENER), now),
            40 => alice.encryptor.use_keys(&keys(2, ALICE)),
            50 => chain.use_keys(&keys(2, LISTENER), now),
            60 => bob.encryptor.use_keys(&keys(2, BOB)),
            _ => {}
        }
        for talker in [&mut alice, &mut bob] {
            lost += u32::from(payload(chain.push(&talker.say(&number.to_be_bytes()), now)).is_none());
        }
    }
    assert_eq!(lost, 0);
}

#[test]
fn one_frame_that_opens_brings_those_before_it() {
    let mut chain = listener_with_keys();
    let mut alice = Talker::new(7, ALICE, 1);
    let mut nonsense = vec![5; 40];
    nonsense.extend_from_slice(&[1, 12, 0xFA, 0xFA]);
    // Everyone's keys were just tried in vain, so for a quarter of a second nobody's are.
    assert_eq!(chain.push(&alice.send(&nonsense), 0), Pushed::Held);
    assert_eq!(chain.push(&alice.say(b"one"), 20 * MS), Pushed::Held);
    assert_eq!(chain.push(&alice.say(b"two"), 40 * MS), Pushed::Held);
    assert_eq!(chain.push(&alice.say(b"three"), 300 * MS), Pushed::Held, "behind the others");
    let payloads: Vec<_> =
        released(&mut chain).iter().map(|packet| Packet::parse(&packet.plain).unwrap().payload.to_vec()).collect();
    assert_eq!(payloads, [&b"one"[..], b"two", b"three"]);
    assert_eq!(counts(&chain).waiting, 1);
    assert!(payload(chain.push(&alice.say(b"four"), 320 * MS)).is_some());
}

#[test]
fn silence_waits_behind_what_waits_but_not_behind_nonsense() {
    let mut chain = listener();
    let mut alice = Talker::new(7, ALICE, 2);
    assert_eq!(chain.push(&alice.say(b"one"), 0), Pushed::Held);
    assert_eq!(chain.push(&alice.send(&SILENCE), 20 * MS), Pushed::Held);
    chain.add_keys(keys(1, LISTENER), 30 * MS);
    assert!(released(&mut chain).is_empty(), "another epoch's keys");
    chain.add_keys(keys(2, LISTENER), 40 * MS);
    assert_eq!(released(&mut chain).iter().map(|packet| packet.arrival).collect::<Vec<_>>(), [0, 20 * MS]);
    let mut nonsense = vec![5; 40];
    nonsense.extend_from_slice(&[1, 12, 0xFA, 0xFA]);
    assert_eq!(chain.push(&alice.send(&nonsense), 60 * MS), Pushed::Held);
    assert_eq!(chain.push(&alice.send(&SILENCE), 80 * MS), Pushed::Held, "it might be of a new epoch");
    assert_eq!(chain.push(&alice.say(b"two"), 100 * MS), Pushed::Held, "it was not");
    assert_eq!(released(&mut chain).iter().map(|packet| packet.arrival).collect::<Vec<_>>(), [80 * MS, 100 * MS]);
    assert!(payload(chain.push(&alice.send(&SILENCE), 120 * MS)).is_some());
    assert_eq!((counts(&chain).plain, counts(&chain).waiting), (3, 1));
}

#[test]
fn what_was_tried_in_vain_is_left_alone_for_a_while() {
    let mut chain = listener_with_keys();
    chain.set_owner(7, ALICE, 0);
    let mut mallory = Talker::new(7, ALICE, 1);
    let mut nonsense = vec![5; 40];
    nonsense.extend_from_slice(&[1, 12, 0xFA, 0xFA]);
    let mut round = |chain: &mut ReceiveChain, now| {
        chain.push(&mallory.send(&nonsense), now);
        chain.push(&mallory.send(&SILENCE), now);
        chain.push(&mallory.say(b"speech"), now);
        released(chain).len()
    };
    assert_eq!(round(&mut chain, 0), 2, "silence, and the speech that it came before");
    for number in 1..10 {
        assert_eq!(round(&mut chain, number * 20 * MS), 0, "not all of it again for each of them");
    }
    chain.tend(300 * MS);
    assert_eq!((released(&mut chain).len(), counts(&chain).waiting), (9, 10));
}

#[test]
fn an_owner_who_is_told_late_opens_what_waited() {
    let mut chain = listener_with_keys();
    let mut alice = Talker::new(7, ALICE, 1);
    let mut nonsense = vec![5; 40];
    nonsense.extend_from_slice(&[1, 12, 0xFA, 0xFA]);
    chain.push(&alice.send(&nonsense), 0);
    assert_eq!(chain.push(&alice.say(b"one"), 20 * MS), Pushed::Held);
    chain.set_owner(7, ALICE, 40 * MS);
    assert_eq!(released(&mut chain).len(), 1);
}

#[test]
fn trying_keys_is_limited_for_all_strangers_together() {
    let mut chain = listener_with_keys();
    for ssrc in 0..60 {
        let mut mallory = Talker::new(ssrc, 1001, 1);
        let mut nonsense = vec![5; 40];
        nonsense.extend_from_slice(&[1, 12, 0xFA, 0xFA]);
        for number in 0..50u64 {
            chain.push(&mallory.send(&nonsense), number * 20 * MS);
        }
    }
    assert!(counts(&chain).untried > 0, "53 members, 60 sources, 4 times a second");
    let mut alice = Talker::new(7777, ALICE, 1);
    chain.set_owner(7777, ALICE, S);
    assert!(payload(chain.push(&alice.say(b"speech"), 990 * MS)).is_some(), "who is known is not kept waiting");
}

#[test]
fn nothing_leaves_in_clear_and_all_is_heard_at_the_other_end() {
    let mut send = SendChain::new(SendConfig {
        ssrc: 7,
        mode: MODE,
        key: KEY,
        bitrate_bps: 32_000,
        complexity: 0,
        expected_loss_pct: 0,
        lbrr: false,
        dred_ms: 0,
        dtx: false,
        music: false,
        channels: 1,
        first_sequence: 0,
        first_timestamp: 0,
    })
    .unwrap();
    let frame: [f32; SEND_SAMPLES] = std::array::from_fn(|i| 0.5 * (i as f32 * 0.06).sin());
    send.set_encryption(Encryption::On);
    assert_eq!(send.push(&frame, 0), None, "no key yet");
    assert_eq!((send.encryption_counts(), send.sent_packets()), ((0, 1), 0));
    send.use_keys(&keys(1, ALICE));
    let mut chain = listener_with_keys();
    let mut loudest: f32 = 0.0;
    for number in 1..50u64 {
        let now = number * 20 * MS;
        let datagram = send.push(&frame, now).unwrap().to_vec();
        assert!(payload(chain.push(&datagram, now)).is_some());
        for half in 0..2 {
            let mut out = [0.0; 480];
            chain.pull(now + half * 10 * MS, &mut out);
            loudest = out.iter().fold(loudest, |loudest, sample| loudest.max(sample.abs()));
        }
    }
    assert!(loudest > 0.3, "{loudest}");
    assert_eq!(send.encryption_counts(), (49, 1));
    send.set_encryption(Encryption::Off);
    let plain = send.push(&frame, S).unwrap().to_vec();
    assert_eq!(chain.push(&plain, S), Pushed::Refused(Refusal::Unencrypted));
}
