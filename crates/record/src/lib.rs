//! What a recording does with each packet and each sample: pure, without files, clocks or threads. Which files there
//! are, whose packets they hold and what is made of them is Python (`raccall.recorder`).

mod batch;
pub mod journal;
mod limiter;
mod loudness;
mod mix;
mod packet;
mod pcm;
mod sound;
mod timeline;

pub use batch::Batch;
pub use limiter::{CEILING, Limiter};
pub use loudness::LoudnessMeter;
pub use mix::{Voice, mix};
pub use packet::{Nanos, Received, SAMPLE_RATE_HZ};
pub use pcm::Sample;
pub use sound::{SoundCounts, SpeakerSound};
pub use timeline::{
    ClockEstimate, Counts, GRID_SAMPLES, LEAD_IN_SAMPLES, LOOK_AHEAD, MAX_SHIFTS, MAX_WAITING_PACKETS, Placed,
    PlacedBatch, Reason, Shift, Timeline,
};
