//! Payloads in, sealed datagrams out: encrypted end to end where that is wanted, packeted, sealed for the relay, and counted.

use raccall_e2ee::{Encryptor, EpochKeys, OVERHEAD_BYTES};
use raccall_wire::Nanos;
use raccall_wire::level;
use raccall_wire::rtcp::{self, ReportBlock, Rtcp};
use raccall_wire::rtp::{Extension, ONE_BYTE_EXTENSION, OPUS_PAYLOAD_TYPE, Packet};
use raccall_wire::transport::{Cipher, ClientNonces, Mode, SealError};

use super::SendConfig;
use super::coding::PAYLOAD_BYTES;
use crate::encryption::Encryption;
use crate::flight::{Flight, UnderWay};
use crate::report::ntp_of;

/// A report block count has five bits.
const BLOCKS_PER_REPORT: usize = 31;

/// What one packet is to carry.
pub struct Outgoing<'a> {
    pub payload: &'a [u8],
    pub timestamp: u32,
    /// For its header (RFC 6464).
    pub level_db: Option<f32>,
    /// Nothing sounds in it, and nothing is said to follow.
    pub silent: bool,
}

pub struct Sealing {
    ssrc: u32,
    key: [u8; 32],
    cipher: Cipher,
    nonces: ClientNonces,
    encryption: Encryption,
    encryptor: Encryptor,
    encrypted: Vec<u8>,
    encrypted_frames: u64,
    unsent_frames: u64,
    packet: Vec<u8>,
    datagram: Vec<u8>,
    paused: bool,
    sequence: u16,
    flight: Flight,
    sent_packets: u64,
    sent_bytes: u64,
    payload_bytes: u64,
}

impl Sealing {
    pub fn new(config: &SendConfig) -> Self {
        Self {
            ssrc: config.ssrc,
            key: config.key,
            cipher: Cipher::new(config.mode, &config.key),
            nonces: ClientNonces::new(),
            encryption: Encryption::Off,
            encryptor: Encryptor::default(),
            encrypted: Vec::with_capacity(PAYLOAD_BYTES + OVERHEAD_BYTES),
            encrypted_frames: 0,
            unsent_frames: 0,
            packet: Vec::with_capacity(2048),
            datagram: Vec::with_capacity(2048),
            paused: true,
            sequence: config.first_sequence,
            flight: Flight::new(config.first_sequence),
            sent_packets: 0,
            sent_bytes: 0,
            payload_bytes: 0,
        }
    }

    /// A new key, or mode, from the next datagram on. Told twice, the same key must not repeat a nonce.
    pub fn rekey(&mut self, mode: Mode, key: &[u8; 32]) {
        if self.key != *key {
            self.nonces = ClientNonces::new();
        }
        self.cipher = Cipher::new(mode, key);
        self.key = *key;
    }

    pub fn set_encryption(&mut self, encryption: Encryption) {
        self.encryption = encryption;
    }

    pub fn use_keys(&mut self, keys: &EpochKeys) {
        self.encryptor.use_keys(keys);
    }

    /// What transport and encryption add to a packet.
    pub fn overhead_bytes(&self) -> usize {
        let encryption_bytes = if self.encryption == Encryption::Off { 0 } else { OVERHEAD_BYTES };
        self.cipher.mode().overhead_bytes() + encryption_bytes
    }

    /// The listeners know that nothing follows: the last packet said silence, or nobody got the one that would have followed it.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// A packet is left out: the next one begins a talk spurt.
    pub fn leave_out(&mut self) {
        self.paused = true;
    }

    /// The datagram of the next packet; None without a key to encrypt with, or when the transport's nonces are used up. The marker says that
    /// a talk spurt begins (RFC 7587 section 4.1).
    pub fn seal(&mut self, outgoing: Outgoing<'_>, now: Nanos) -> Option<&[u8]> {
        let payload = if self.encryption == Encryption::Off {
            outgoing.payload
        } else if self.encryptor.encrypt(outgoing.payload, &mut self.encrypted) {
            self.encrypted_frames += 1;
            &self.encrypted
        } else {
            self.unsent_frames += 1;
            self.paused = true;
            return None;
        };
        let level = outgoing.level_db.map(level::write);
        let packet = Packet {
            marker: self.paused,
            payload_type: OPUS_PAYLOAD_TYPE,
            sequence: self.sequence,
            timestamp: outgoing.timestamp,
            ssrc: self.ssrc,
            csrc: &[],
            extension: level.as_ref().map(|level| Extension { profile: ONE_BYTE_EXTENSION, body: level }),
            payload,
            padding_bytes: 0,
        };
        self.packet.clear();
        packet.write(&mut self.packet);
        self.paused = outgoing.silent;
        self.sequence = self.sequence.wrapping_add(1);
        self.sent_packets += 1;
        self.payload_bytes += payload.len() as u64;
        self.flight.sent(self.packet.len() + self.cipher.mode().overhead_bytes(), now);
        self.finish()
    }

    /// The datagram of a sender report, in which `timestamp` is now, and of receiver reports with `blocks`.
    pub fn seal_report(&mut self, timestamp: u32, blocks: &[ReportBlock], now: Nanos) -> Option<&[u8]> {
        let ssrc = self.ssrc;
        self.packet.clear();
        let sender = Rtcp::SenderReport {
            ssrc,
            ntp: ntp_of(now),
            timestamp,
            packets: self.sent_packets as u32,
            bytes: self.payload_bytes as u32,
            blocks: Vec::new(),
        };
        rtcp::write(&sender, &mut self.packet);
        for part in blocks.chunks(BLOCKS_PER_REPORT) {
            rtcp::write(&Rtcp::ReceiverReport { ssrc, blocks: part.to_vec() }, &mut self.packet);
        }
        self.finish()
    }

    fn finish(&mut self) -> Option<&[u8]> {
        let nonce = self.nonces.next()?;
        self.datagram.clear();
        match self.cipher.seal(&self.packet, nonce, &mut self.datagram) {
            Ok(()) => {}
            Err(SealError::NonceWouldRepeat) => return None,
            Err(error) => unreachable!("our own packet is well-formed: {error}"),
        }
        self.sent_bytes += self.datagram.len() as u64;
        Some(&self.datagram)
    }

    /// What had not arrived when the newest that had was `highest`.
    pub fn behind(&self, highest: u16) -> UnderWay {
        self.flight.behind(highest)
    }

    /// Frames that left encrypted, and those that could not leave for want of a key.
    pub fn encryption_counts(&self) -> (u64, u64) {
        (self.encrypted_frames, self.unsent_frames)
    }

    /// RTP packets so far.
    pub fn sent_packets(&self) -> u64 {
        self.sent_packets
    }

    /// Bytes of all datagrams so far, reports included, without UDP and IP headers.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }
}
