//! `pull` and, once warm, `SendChain::push` take no memory: an audio thread may call them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use raccall_e2ee::EpochKeys;
use raccall_media::{
    Encryption, PULL_SAMPLES, ReceiveChain, ReceiveConfig, SEND_SAMPLES, SHARED_SAMPLES, SendChain, SendConfig, Share,
};
use raccall_wire::transport::Mode;

const MS: u64 = 1_000_000;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted(action: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    action();
    ALLOCATIONS.get() - before
}

#[test]
fn pulling_and_sending_take_no_memory() {
    assert_eq!(counted(|| drop(std::hint::black_box(Box::new(7)))), 1, "the count works");
    for channels in [1, 2] {
        let Taken { pulling, sending, .. } = taken(None, channels, 150, 500);
        assert_eq!((pulling, sending), (0, 0), "a listener with {channels} channels");
    }
}

#[test]
fn encrypting_and_decrypting_take_none_either() {
    let keys = |own| Arc::new(EpochKeys::new(1, own, (0..6).map(|user_id| (user_id, [user_id as u8; 16])).collect()));
    let encrypted = taken(Some(&keys), 1, NEVER, 0);
    assert_eq!(encrypted, Taken { pulling: 0, sending: 0, receiving: taken(None, 1, NEVER, 0).receiving });
}

#[test]
fn sharing_takes_none_once_it_was_brought() {
    let mut send = sender(1, 1, 0, 0);
    send.set_share(Box::new(Share::new(1, 0, 20).unwrap()));
    let shared = counted(|| {
        for number in 0..100 {
            let now = number * 20 * MS;
            if number / 10 % 2 == 1 {
                send.push_shared(&[0.2; SEND_SAMPLES], &[0.9; SHARED_SAMPLES], now);
            } else {
                send.push(&[0.2; SEND_SAMPLES], now);
            }
        }
    });
    assert_eq!(shared, 0);
}

#[derive(Debug, Default, PartialEq)]
struct Taken {
    pulling: usize,
    sending: usize,
    /// Once everybody was heard for a second; a jitter buffer takes memory for payloads longer than any before.
    receiving: usize,
}

const KEY: [u8; 32] = [1; 32];
const MODE: Mode = Mode::Aes256GcmRtpSize;

fn sender(ssrc: u32, channels: u8, first_frame: u16, dred_ms: u16) -> SendChain {
    SendChain::new(SendConfig {
        ssrc,
        mode: MODE,
        key: KEY,
        bitrate_bps: if dred_ms > 0 { 64_000 } else { 32_000 },
        complexity: 0,
        expected_loss_pct: 20,
        lbrr: true,
        dred_ms,
        dtx: false,
        music: false,
        channels,
        first_sequence: first_frame,
        first_timestamp: u32::from(first_frame) * SEND_SAMPLES as u32,
    })
    .unwrap()
}

const NEVER: u64 = u64::MAX;

/// For a listener with so many channels. Of five talkers the fourth sends stereo, the fifth from frame number `later` on.
fn taken(keys_of: Option<&dyn Fn(u64) -> Arc<EpochKeys>>, channels: usize, later: u64, dred_ms: u16) -> Taken {
    let mut senders: Vec<_> = (1..6).map(|ssrc| sender(ssrc, if ssrc == 4 { 2 } else { 1 }, 0, dred_ms)).collect();
    let mut receive = ReceiveChain::new(ReceiveConfig {
        mode: MODE,
        key: KEY,
        deep_plc: true,
        min_target_ms: 20,
        max_target_ms: 200,
        source_timeout_ms: 10_000,
    });
    receive.set_channels(channels);
    if let Some(keys_of) = keys_of {
        receive.set_encryption(Encryption::On, 0);
        receive.use_keys(&keys_of(0), 0);
        for (send, user_id) in senders.iter_mut().zip(1..) {
            send.set_encryption(Encryption::On);
            send.use_keys(&keys_of(user_id));
        }
    }
    let mut all = Taken::default();
    for number in 0..500u64 {
        let now = number * 20 * MS;
        let frame: [f32; SEND_SAMPLES] = std::array::from_fn(|i| 0.5 * ((i as u64 + number * 960) as f32 * 0.02).sin());
        let loud = if number % 50 < 40 { frame } else { [0.0; SEND_SAMPLES] };
        let pairs = loud.map(|sample| [sample, 0.2 * sample]);
        if number == later {
            senders[4] = sender(5, 2, later as u16, dred_ms);
        }
        for (i, send) in senders.iter_mut().enumerate() {
            let is_stereo = i == 3 || i == 4 && number >= later;
            let frame = if is_stereo { pairs.as_flattened() } else { &loud };
            let mut datagram = None;
            let taken = counted(|| datagram = send.push(frame, now));
            all.sending += if number > 0 && number != later { taken } else { 0 };
            // Losses, jitter and pauses: every way through the jitter buffer.
            let lost = (number * 7 + i as u64 * 3) % 11 < 2;
            if let Some(datagram) = datagram.filter(|_| !lost) {
                let arrival = now + number % 7 * 5 * MS;
                let taken = counted(|| {
                    receive.push(datagram, arrival);
                });
                all.receiving += if number > 50 { taken } else { 0 };
            }
        }
        let mut out = [0.0; 2 * PULL_SAMPLES];
        let out = &mut out[..channels * PULL_SAMPLES];
        all.pulling += counted(|| receive.pull(now + 10 * MS, out));
        all.pulling += counted(|| receive.pull(now + 20 * MS, out));
    }
    let report = receive.report();
    assert!(report.sources.iter().all(|source| source.concealed > 0 && source.recovered > 0), "{report:?}");
    assert_eq!(report.sources.iter().any(|source| source.respoken > 0), dred_ms > 0, "{report:?}");
    all
}
