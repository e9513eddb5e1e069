//! What `python -m bench dave` measures: a recorder's way of encrypted packets, and the least that one could do.
//!
//! `dave_cost FOLDER SECONDS`: frames of 50 talkers, 80 bytes of payload each, 50 a second, encrypted end to end and sealed. A second of
//! call each in turn, of the same datagrams: ours opens, de-duplicates, decrypts, hands over by a tap and writes a journal; the bare one
//! opens with the same cipher code, decrypts with davey's session, and appends header and payload to a buffered file. Prints frames, and
//! the thread's CPU nanoseconds of ours, of the bare one, and of ours with the same frames in clear.

#[allow(dead_code)]
#[path = "../../e2ee/tests/frames/group.rs"]
mod group;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use davey::{DaveSession, MediaType, ProposalsOperationType};
use group::{BOB, CHANNEL, ExternalSender, keys_of, vector};
use raccall_e2ee::{Encryptor, EpochKeys, Member};
use raccall_engine::tap::{TapReader, TapWriter, tap};
use raccall_media::{Encryption, Pushed, ReceiveChain, ReceiveConfig};
use raccall_record::journal::{TimeBase, write_packet};
use raccall_record::{Batch, Received};
use raccall_wire::rtp::{FIXED_HEADER_BYTES, OPUS_PAYLOAD_TYPE, Packet};
use raccall_wire::transport::{Cipher, Mode};

const MODE: Mode = Mode::Aes256GcmRtpSize;
const KEY: [u8; 32] = [7; 32];
const TALKERS: u32 = 50;
const FIRST_SSRC: u32 = 1000;
const FIRST_USER: u64 = 5000;
const LISTENER: u64 = 1;
const PAYLOAD_BYTES: usize = 80;
const FRAME_NS: u64 = 20_000_000;
const TICKS: u32 = 50;

/// A group of ours (Bob), davey's listener and all talkers.
fn group_of_all() -> (EpochKeys, DaveSession) {
    let sender = ExternalSender::new();
    let mut listener = DaveSession::new(NonZeroU16::MIN, LISTENER, CHANNEL, None).unwrap();
    listener.set_external_sender(&sender.package()).unwrap();
    let mut ours = Member::new(BOB, CHANNEL, None).unwrap();
    ours.set_external_sender(&sender.package()).unwrap();
    let mut proposals = sender.add(0, &ours.key_package().unwrap());
    for talker in 0..u64::from(TALKERS) {
        let package = Member::new(FIRST_USER + talker, CHANNEL, None).unwrap().key_package().unwrap();
        proposals.extend(sender.add(0, &package));
    }
    let append = ProposalsOperationType::APPEND;
    let answer = listener.process_proposals(append, &vector(&proposals), None).unwrap().unwrap();
    assert!(listener.process_commit(&answer.commit).unwrap());
    listener.prepare_transition(0, 1).unwrap();
    ours.process_welcome(&answer.welcome.unwrap(), None).unwrap();
    (ours.keys().unwrap(), listener)
}

/// Sealed datagrams of one second of call, in the order in which they come.
struct Talkers {
    encryptors: Vec<Encryptor>,
    cipher: Cipher,
    ticks: u32,
    encrypted: bool,
}

impl Talkers {
    fn new(keys: &EpochKeys, encrypted: bool) -> Self {
        let encryptors = (0..u64::from(TALKERS))
            .map(|talker| {
                let mut encryptor = Encryptor::default();
                encryptor.use_keys(&keys_of(FIRST_USER + talker, keys));
                encryptor
            })
            .collect();
        Self { encryptors, cipher: Cipher::new(MODE, &KEY), ticks: 0, encrypted }
    }

    fn second(&mut self) -> Vec<Vec<u8>> {
        let (mut plain, mut frame) = (Vec::new(), Vec::new());
        let mut datagrams = Vec::new();
        for _ in 0..TICKS {
            for (talker, encryptor) in (0..TALKERS).zip(&mut self.encryptors) {
                let mut payload = [(talker ^ self.ticks) as u8; PAYLOAD_BYTES];
                payload[0] = 0x78; // CELT, fullband, 20 ms, one frame
                assert!(encryptor.encrypt(&payload, &mut frame));
                let packet = Packet {
                    marker: false,
                    payload_type: OPUS_PAYLOAD_TYPE,
                    sequence: self.ticks as u16,
                    timestamp: self.ticks * 960,
                    ssrc: FIRST_SSRC + talker,
                    csrc: &[],
                    extension: None,
                    payload: if self.encrypted { &frame } else { &payload },
                    padding_bytes: 0,
                };
                plain.clear();
                packet.write(&mut plain);
                let nonce = (self.ticks * TALKERS + talker).to_be_bytes();
                let mut datagram = Vec::new();
                self.cipher.seal(&plain, nonce, &mut datagram).unwrap();
                datagrams.push(datagram);
            }
            self.ticks += 1;
        }
        datagrams
    }
}

/// As an engine that only listens, and the journal of its recorder.
struct Ours {
    chain: ReceiveChain,
    writer: TapWriter,
    reader: TapReader,
    base: TimeBase,
    number: u32,
    now: u64,
    file: BufWriter<File>,
}

impl Ours {
    fn new(keys: Option<Arc<EpochKeys>>, path: &Path) -> Self {
        let mut chain = ReceiveChain::new(ReceiveConfig {
            mode: MODE,
            key: KEY,
            deep_plc: false,
            min_target_ms: 20,
            max_target_ms: 200,
            source_timeout_ms: 30_000,
        });
        chain.set_decoding(false);
        if let Some(keys) = keys {
            chain.set_encryption(Encryption::On, 0);
            chain.use_keys(&keys, 0);
        }
        let (writer, reader) = tap(1 << 14);
        let base = TimeBase { monotonic: 0, wall_ns: 1_700_000_000_000_000_000 };
        Self { chain, writer, reader, base, number: 0, now: 0, file: appending(path) }
    }

    fn take(&mut self, datagrams: &[Vec<u8>]) {
        for tick in datagrams.chunks(TALKERS as usize) {
            for datagram in tick {
                match self.chain.push(datagram, self.now) {
                    Pushed::Packet { plain, ssrc, extended_sequence, extended_timestamp } => {
                        self.writer.push(self.now, ssrc, extended_sequence, extended_timestamp, plain);
                    }
                    other => panic!("every frame is to be used: {other:?}"),
                }
            }
            assert!(self.chain.next_released().is_none());
            self.chain.tend(self.now);
            self.writer.publish();
            self.write();
            self.now += FRAME_NS;
        }
        self.file.flush().unwrap();
    }

    /// As `PacketTap.read` and `JournalBlocks.packets` do.
    fn write(&mut self) {
        let read = self.reader.read(Duration::ZERO, Duration::ZERO).expect("the writer lives");
        let mut batch = Batch::default();
        for (record, rtp) in read.packets() {
            let (sequence, timestamp) = (record.extended_sequence, record.extended_timestamp);
            batch.push(Received { arrival: record.arrival, ssrc: record.ssrc, sequence, timestamp, rtp });
        }
        let mut blocks = Vec::new();
        for packet in batch.iter() {
            write_packet(self.number, self.base.wall_of(packet.arrival), packet.rtp, &mut blocks);
            self.number = self.number.wrapping_add(1);
        }
        self.file.write_all(&blocks).unwrap();
    }
}

struct Bare {
    cipher: Cipher,
    listener: DaveSession,
    plain: Vec<u8>,
    file: BufWriter<File>,
}

impl Bare {
    fn take(&mut self, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            self.plain.clear();
            self.cipher.open(datagram, &mut self.plain).unwrap();
            let (header, frame) = self.plain.split_at(FIXED_HEADER_BYTES);
            let ssrc = u32::from_be_bytes(header[8..].try_into().unwrap());
            let user_id = FIRST_USER + u64::from(ssrc - FIRST_SSRC);
            let payload = self.listener.decrypt(user_id, MediaType::AUDIO, frame).unwrap();
            self.file.write_all(header).unwrap();
            self.file.write_all(&payload).unwrap();
        }
        self.file.flush().unwrap();
    }
}

fn appending(path: &Path) -> BufWriter<File> {
    BufWriter::with_capacity(1 << 20, File::create(path).unwrap())
}

fn cpu_ns(work: impl FnOnce()) -> u64 {
    let read = || {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is valid for the call.
        assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    };
    let before = read();
    work();
    read() - before
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, seconds] = &arguments[..] else { panic!("dave_cost FOLDER SECONDS") };
    let (folder, seconds) = (Path::new(folder), seconds.parse::<u64>().expect("a number"));
    let (keys, listener) = group_of_all();
    let keys = Arc::new(keys);
    let (mut encrypted, mut in_clear) = (Talkers::new(&keys, true), Talkers::new(&keys, false));
    let mut ours = Ours::new(Some(keys.clone()), &folder.join("ours"));
    let mut plain = Ours::new(None, &folder.join("plain"));
    let cipher = Cipher::new(MODE, &KEY);
    let mut bare = Bare { cipher, listener, plain: Vec::new(), file: appending(&folder.join("bare")) };
    let mut spent = [0; 3];
    for second in 0..=seconds {
        let (datagrams, clear) = (encrypted.second(), in_clear.second());
        let each = [cpu_ns(|| ours.take(&datagrams)), cpu_ns(|| bare.take(&datagrams)), cpu_ns(|| plain.take(&clear))];
        // The first is for warming up.
        if second > 0 {
            spent.iter_mut().zip(each).for_each(|(sum, ns)| *sum += ns);
        }
    }
    println!("{} {} {} {}", seconds * u64::from(TICKS * TALKERS), spent[0], spent[1], spent[2]);
}
