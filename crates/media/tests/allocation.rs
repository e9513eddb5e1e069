//! `pull` and, once warm, `SendChain::push` take no memory: an audio thread may call them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use raccall_e2ee::EpochKeys;
use raccall_media::{Encryption, PULL_SAMPLES, ReceiveChain, ReceiveConfig, SEND_SAMPLES, SendChain, SendConfig};
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
    let Taken { pulling, sending, .. } = taken(None);
    assert_eq!((pulling, sending), (0, 0));
}

#[test]
fn encrypting_and_decrypting_take_none_either() {
    let keys = |own| Arc::new(EpochKeys::new(1, own, (0..6).map(|user_id| (user_id, [user_id as u8; 16])).collect()));
    let encrypted = taken(Some(&keys));
    assert_eq!(encrypted, Taken { pulling: 0, sending: 0, receiving: taken(None).receiving });
}

#[derive(Debug, Default, PartialEq)]
struct Taken {
    pulling: usize,
    sending: usize,
    /// Once everybody was heard for a second; a jitter buffer takes memory for payloads longer than any before.
    receiving: usize,
}

fn taken(keys_of: Option<&dyn Fn(u64) -> Arc<EpochKeys>>) -> Taken {
    let key = [1; 32];
    let mode = Mode::Aes256GcmRtpSize;
    let mut senders: Vec<_> = (1..6)
        .map(|ssrc| {
            SendChain::new(SendConfig {
                ssrc,
                mode,
                key,
                bitrate_bps: 32_000,
                complexity: 0,
                expected_loss_pct: 20,
                lbrr: true,
                dtx: false,
                music: false,
                channels: 1,
                first_sequence: 0,
                first_timestamp: 0,
            })
            .unwrap()
        })
        .collect();
    let mut receive = ReceiveChain::new(ReceiveConfig {
        mode,
        key,
        deep_plc: true,
        min_target_ms: 20,
        max_target_ms: 200,
        source_timeout_ms: 10_000,
    });
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
        for (i, send) in senders.iter_mut().enumerate() {
            let mut datagram = None;
            let taken = counted(|| datagram = send.push(&loud, now));
            all.sending += if number > 0 { taken } else { 0 };
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
        let mut out = [0.0; PULL_SAMPLES];
        all.pulling += counted(|| receive.pull(now + 10 * MS, &mut out));
        all.pulling += counted(|| receive.pull(now + 20 * MS, &mut out));
    }
    let report = receive.report();
    assert!(report.sources.iter().all(|source| source.concealed > 0 && source.recovered > 0), "{report:?}");
    all
}
