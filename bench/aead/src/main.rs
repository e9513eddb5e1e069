//! Nanoseconds to seal and to open one voice packet: 120 bytes behind a clear header of 12, one context per key.
//!
//! `1 key` keeps one context in the cache (a client); `200 keys` uses another one for each packet (a relay's fan-out).
//! The libraries take turns, and each figure is the median of its turns, so that a busy machine hurts all alike.

use std::hint::black_box;
use std::time::Instant;

use aes_gcm::aead::{AeadInPlace, KeyInit};

const PACKET_BYTES: usize = 120;
const HEADER: [u8; 12] = [0x80, 120, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
const PACKETS: usize = 4_000;
const TURNS: usize = 101;

trait Context {
    fn seal(&self, nonce: u32, body: &mut [u8; PACKET_BYTES]) -> [u8; 16];
    fn open(&self, nonce: u32, sealed: &mut [u8]);
}

fn full<const N: usize>(nonce: u32) -> [u8; N] {
    let mut full = [0; N];
    full[..4].copy_from_slice(&nonce.to_be_bytes());
    full
}

/// ring and aws-lc-rs have the same interface.
macro_rules! ring_like {
    ($library:ident) => {
        impl Context for $library::aead::LessSafeKey {
            fn seal(&self, nonce: u32, body: &mut [u8; PACKET_BYTES]) -> [u8; 16] {
                let nonce = $library::aead::Nonce::assume_unique_for_key(full(nonce));
                let aad = $library::aead::Aad::from(HEADER);
                self.seal_in_place_separate_tag(nonce, aad, body).unwrap().as_ref().try_into().unwrap()
            }

            fn open(&self, nonce: u32, sealed: &mut [u8]) {
                let nonce = $library::aead::Nonce::assume_unique_for_key(full(nonce));
                self.open_in_place(nonce, $library::aead::Aad::from(HEADER), sealed).unwrap();
            }
        }
    };
}

macro_rules! ring_gcm {
    ($library:ident, $key:ident) => {
        $library::aead::LessSafeKey::new($library::aead::UnboundKey::new(&$library::aead::AES_256_GCM, &$key).unwrap())
    };
}

ring_like!(ring);
ring_like!(aws_lc_rs);

macro_rules! rust_crypto {
    ($cipher:ty, $nonce_bytes:literal) => {
        impl Context for $cipher {
            fn seal(&self, nonce: u32, body: &mut [u8; PACKET_BYTES]) -> [u8; 16] {
                self.encrypt_in_place_detached(&full::<$nonce_bytes>(nonce).into(), &HEADER, body).unwrap().into()
            }

            fn open(&self, nonce: u32, sealed: &mut [u8]) {
                let (body, tag) = sealed.split_at_mut(PACKET_BYTES);
                let tag = (&*tag).into();
                self.decrypt_in_place_detached(&full::<$nonce_bytes>(nonce).into(), &HEADER, body, tag).unwrap();
            }
        }
    };
}

rust_crypto!(aes_gcm::Aes256Gcm, 12);
rust_crypto!(chacha20poly1305::XChaCha20Poly1305, 24);

/// XChaCha20 on ring's ChaCha20: the subkey is per nonce, so it cannot be expanded once per key.
struct XChaChaOnRing([u8; 32]);

impl XChaChaOnRing {
    fn subkey(&self) -> ring::aead::LessSafeKey {
        // All but the first 4 bytes of the nonce are zero; its first 16 give the subkey, the last 8 stay.
        let subkey = chacha20::hchacha::<chacha20::cipher::consts::U10>(&self.0.into(), &full::<16>(1).into());
        ring::aead::LessSafeKey::new(ring::aead::UnboundKey::new(&ring::aead::CHACHA20_POLY1305, &subkey).unwrap())
    }
}

impl Context for XChaChaOnRing {
    fn seal(&self, _: u32, body: &mut [u8; PACKET_BYTES]) -> [u8; 16] {
        self.subkey().seal(0, body)
    }

    fn open(&self, _: u32, sealed: &mut [u8]) {
        self.subkey().open(0, sealed);
    }
}

struct Row {
    name: &'static str,
    contexts: Vec<Box<dyn Context>>,
    /// seal 1 key, seal 200 keys, open 1 key, open 200 keys
    turns: [Vec<f64>; 4],
}

impl Row {
    fn new<C: Context + 'static>(name: &'static str, context: impl Fn([u8; 32]) -> C) -> Self {
        let contexts = (0..200).map(|key| Box::new(context([key; 32])) as Box<dyn Context>).collect();
        Self { name, contexts, turns: Default::default() }
    }

    fn turn(&mut self) {
        for (at, keys) in [1, 200].into_iter().enumerate() {
            let mut body = black_box([7; PACKET_BYTES]);
            let started = Instant::now();
            for packet in 0..PACKETS {
                black_box(self.contexts[packet % keys].seal(packet as u32, &mut body));
            }
            self.turns[at].push(started.elapsed().as_nanos() as f64 / PACKETS as f64);

            let datagrams: Vec<[u8; PACKET_BYTES + 16]> = (0..PACKETS)
                .map(|packet| {
                    let mut body = [7; PACKET_BYTES];
                    let tag = self.contexts[packet % keys].seal(packet as u32, &mut body);
                    [&body[..], &tag].concat().try_into().unwrap()
                })
                .collect();
            let mut work = [0; PACKET_BYTES + 16];
            let started = Instant::now();
            for (packet, datagram) in datagrams.iter().enumerate() {
                work.copy_from_slice(datagram);
                self.contexts[packet % keys].open(packet as u32, &mut work);
                black_box(&work);
            }
            self.turns[2 + at].push(started.elapsed().as_nanos() as f64 / PACKETS as f64);
        }
    }
}

fn main() {
    let mut rows = [
        Row::new("AES-256-GCM ring", |key| ring_gcm!(ring, key)),
        Row::new("AES-256-GCM aws-lc-rs", |key| ring_gcm!(aws_lc_rs, key)),
        Row::new("AES-256-GCM aes-gcm", |key| aes_gcm::Aes256Gcm::new(&key.into())),
        Row::new("XChaCha20 chacha20poly1305", |key| chacha20poly1305::XChaCha20Poly1305::new(&key.into())),
        Row::new("XChaCha20 hchacha + ring", XChaChaOnRing),
    ];
    for _ in 0..TURNS {
        rows.iter_mut().for_each(Row::turn);
    }
    println!("ns per packet of {PACKET_BYTES} bytes    seal 1 key  200 keys   open 1 key  200 keys");
    for row in &mut rows {
        let [seal, seal_200, open, open_200] = row.turns.each_mut().map(|turns| {
            turns.sort_by(f64::total_cmp);
            turns[TURNS / 2]
        });
        println!("{:28} {seal:10.0} {seal_200:9.0} {open:12.0} {open_200:9.0}", row.name);
    }
}
