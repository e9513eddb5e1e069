//! The functions a sound card's thread calls, in the shape of miniaudio's `ma_device_data_proc`.
//!
//! Each open device Sound has its own pair of functions, so a callback knows its Sound without reading the device
//! structure, whose layout changes between builds of miniaudio. A callback copies between the card and a ring: it
//! never waits, allocates or fails.
//!
//! A microphone has one channel. A loudspeaker has a function for one channel and one for two; what is to be played comes in pairs, and a
//! card with one channel gets their middle, as does the echo canceller.

use std::ffi::c_void;
use std::slice;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, TryLockError};

use rtrb::{Consumer, Producer};

use crate::clock::monotonic_now;
use crate::sound::{CAPTURE_FRAME, DeviceState, RING_SAMPLES};

/// `void (*)(ma_device*, void* output, const void* input, ma_uint32 frames)`. Buffers are float32, interleaved.
pub type DataCallback = extern "C" fn(*mut c_void, *mut c_void, *const c_void, u32);

/// Device Sounds that can be open in one process.
pub const SLOTS: usize = 16;

/// The card's ends of a device Sound's rings.
pub struct Callbacks {
    pub capture: Producer<f32>,
    /// Pairs of left and right.
    pub playback: Consumer<f32>,
    /// What the card was given, or the middle of it, for the echo canceller.
    pub sounding: Producer<f32>,
    pub state: Arc<DeviceState>,
}

struct CaptureEnd {
    ring: Producer<f32>,
    state: Arc<DeviceState>,
}

struct PlaybackEnd {
    ring: Consumer<f32>,
    sounding: Producer<f32>,
    state: Arc<DeviceState>,
}

// The locks only guard coming and going: a callback tries its lock, once, and plays silence when the Sound is just
// being closed.
static CAPTURE: [Mutex<Option<CaptureEnd>>; SLOTS] = [const { Mutex::new(None) }; SLOTS];
static PLAYBACK: [Mutex<Option<PlaybackEnd>>; SLOTS] = [const { Mutex::new(None) }; SLOTS];

macro_rules! functions_of_slots {
    ($function:ident: $($slot:literal)*) => { [$($function::<$slot> as DataCallback),*] };
}
const CAPTURE_FUNCTIONS: [DataCallback; SLOTS] = functions_of_slots!(capture: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
const MONO_PLAYBACK_FUNCTIONS: [DataCallback; SLOTS] =
    functions_of_slots!(mono_playback: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
const STEREO_PLAYBACK_FUNCTIONS: [DataCallback; SLOTS] =
    functions_of_slots!(stereo_playback: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// All `SLOTS` are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotsTaken;

impl std::fmt::Display for SlotsTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{SLOTS} sound devices are open in this program already; close one first")
    }
}

impl std::error::Error for SlotsTaken {}

/// The functions that a card may be opened with.
#[derive(Debug, Clone, Copy)]
pub struct DataCallbacks {
    pub capture: DataCallback,
    /// For a loudspeaker opened with one channel, or two.
    pub mono_playback: DataCallback,
    pub stereo_playback: DataCallback,
}

/// One set of functions in use; given back when dropped.
pub struct Slot(usize);

impl Slot {
    pub fn take(callbacks: Callbacks) -> Result<Self, SlotsTaken> {
        for slot in 0..SLOTS {
            let mut capture = CAPTURE[slot].lock().expect("never poisoned");
            if capture.is_none() {
                *capture = Some(CaptureEnd { ring: callbacks.capture, state: callbacks.state.clone() });
                *PLAYBACK[slot].lock().expect("never poisoned") = Some(PlaybackEnd {
                    ring: callbacks.playback,
                    sounding: callbacks.sounding,
                    state: callbacks.state,
                });
                return Ok(Self(slot));
            }
        }
        Err(SlotsTaken)
    }

    pub fn callbacks(&self) -> DataCallbacks {
        DataCallbacks {
            capture: CAPTURE_FUNCTIONS[self.0],
            mono_playback: MONO_PLAYBACK_FUNCTIONS[self.0],
            stereo_playback: STEREO_PLAYBACK_FUNCTIONS[self.0],
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Playback first: `take` looks at the capture side to see whether a slot is free.
        *PLAYBACK[self.0].lock().expect("never poisoned") = None;
        *CAPTURE[self.0].lock().expect("never poisoned") = None;
    }
}

fn with<T>(slot: &Mutex<Option<T>>, work: impl FnOnce(&mut T)) -> bool {
    match slot.try_lock() {
        Ok(mut end) => end.as_mut().map(work).is_some(),
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Poisoned(_)) => unreachable!("nothing panics while it holds this lock"),
    }
}

extern "C" fn capture<const SLOT: usize>(
    _device: *mut c_void,
    _output: *mut c_void,
    input: *const c_void,
    frames: u32,
) {
    if input.is_null() {
        return;
    }
    // SAFETY: miniaudio gives `frames` frames of the format the device was opened with: float32, one channel.
    let input = unsafe { slice::from_raw_parts(input.cast::<f32>(), frames as usize) };
    raccall_priority::real_time_in_callback();
    with(&CAPTURE[SLOT], |end| {
        end.state.capture_callbacks.fetch_add(1, Relaxed);
        end.state.capture_period.fetch_max(input.len(), Relaxed);
        end.state.captured.strike(input.len(), monotonic_now());
        let fits = end.ring.slots().min(input.len());
        end.ring.push_entire_slice(&input[..fits]).expect("as many as fit");
        if RING_SAMPLES - end.ring.slots() >= CAPTURE_FRAME {
            end.state.bell.ring();
        }
        if fits < input.len() {
            end.state.capture_overruns.fetch_add(1, Relaxed);
        }
    });
}

extern "C" fn mono_playback<const SLOT: usize>(
    _device: *mut c_void,
    output: *mut c_void,
    _input: *const c_void,
    frames: u32,
) {
    if !output.is_null() {
        // SAFETY: as above, for the output.
        playback(SLOT, unsafe { slice::from_raw_parts_mut(output.cast::<[f32; 1]>(), frames as usize) });
    }
}

extern "C" fn stereo_playback<const SLOT: usize>(
    _device: *mut c_void,
    output: *mut c_void,
    _input: *const c_void,
    frames: u32,
) {
    if !output.is_null() {
        // SAFETY: as above, with two channels.
        playback(SLOT, unsafe { slice::from_raw_parts_mut(output.cast::<[f32; 2]>(), frames as usize) });
    }
}

fn playback<const CHANNELS: usize>(slot: usize, output: &mut [[f32; CHANNELS]]) {
    raccall_priority::real_time_in_callback();
    let open = with(&PLAYBACK[slot], |end| {
        end.state.playback_callbacks.fetch_add(1, Relaxed);
        end.state.playback_channels.store(CHANNELS, Relaxed);
        let longest = end.state.playback_period.fetch_max(output.len(), Relaxed);
        let ready = (end.ring.slots() / 2).min(output.len());
        let (voices, missing) = output.split_at_mut(ready);
        let pairs = end.ring.read_chunk(2 * ready).expect("as many as are ready");
        let (first, second) = pairs.as_slices();
        let both = first.as_chunks().0.iter().chain(second.as_chunks().0);
        voices.iter_mut().zip(both).for_each(|(frame, &pair)| *frame = in_channels(pair));
        pairs.commit_all();
        missing.fill([0.0; CHANNELS]);
        // What does not fit is what nobody reads: no engine, or one that listens to no microphone.
        let kept = end.sounding.slots().min(output.len());
        let sounding = end.sounding.write_chunk_uninit(kept).expect("as many as fit");
        sounding.fill_from_iter(output.iter().map(|frame| frame.iter().sum::<f32>() / CHANNELS as f32));
        end.state.played.strike(output.len(), monotonic_now());
        end.state.bell.ring();
        // A card that asks for more than ever before could not be prepared for: how it starts, not a gap.
        if end.state.playing.load(Relaxed) && output.len() <= longest {
            end.state.least_left.fetch_min(end.ring.slots() / 2, Relaxed);
            end.state.playback_gaps.fetch_add(u64::from(ready < output.len()), Relaxed);
        }
    });
    if !open {
        output.fill([0.0; CHANNELS]);
    }
}

fn in_channels<const CHANNELS: usize>([left, right]: [f32; 2]) -> [f32; CHANNELS] {
    std::array::from_fn(|channel| match (CHANNELS, channel) {
        (1, _) => (left + right) / 2.0,
        (_, 0) => left,
        _ => right,
    })
}
