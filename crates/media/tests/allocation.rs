//! `pull` and, once warm, `SendChain::push` take no memory: an audio thread may call them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use raccall_media::{PULL_SAMPLES, ReceiveChain, ReceiveConfig, SEND_SAMPLES, SendChain, SendConfig};
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
    let (mut pulling, mut sending) = (0, 0);
    for number in 0..500u64 {
        let now = number * 20 * MS;
        let frame: [f32; SEND_SAMPLES] = std::array::from_fn(|i| 0.5 * ((i as u64 + number * 960) as f32 * 0.02).sin());
        let loud = if number % 50 < 40 { frame } else { [0.0; SEND_SAMPLES] };
        for (i, send) in senders.iter_mut().enumerate() {
            let mut datagram = None;
            let taken = counted(|| datagram = send.push(&loud, now));
            sending += if number > 0 { taken } else { 0 };
            // Losses, jitter and pauses: every way through the jitter buffer.
            let lost = (number * 7 + i as u64 * 3) % 11 < 2;
            if let Some(datagram) = datagram.filter(|_| !lost) {
                receive.push(datagram, now + number % 7 * 5 * MS);
            }
        }
        let mut out = [0.0; PULL_SAMPLES];
        pulling += counted(|| receive.pull(now + 10 * MS, &mut out));
        pulling += counted(|| receive.pull(now + 20 * MS, &mut out));
    }
    let report = receive.report();
    assert!(report.sources.iter().all(|source| source.concealed > 0 && source.recovered > 0), "{report:?}");
    assert_eq!((pulling, sending), (0, 0));
}
