//! The voice path without a network: SendChain, ReceiveChain and what they are made of.
//!
//! Pure: no clock, no socket, no thread. The caller says what time it is and owns the chain. Frames are float32, 48 kHz, within ±1; two channels
//! are interleaved.

mod clock;
mod concealment;
mod decoding;
mod delay;
mod depth;
mod encryption;
mod flight;
mod follow;
mod frame;
mod gain;
mod gate;
mod held;
mod jitter;
mod level;
mod limiter;
mod mix;
mod outages;
mod planes;
mod process;
mod rate;
mod receive;
mod reception;
mod report;
mod respeak;
mod send;
mod share;
mod silence;
mod stretch;
mod voice;

pub use encryption::{Encryption, EncryptionCounts};
pub use follow::{Change, Follower};
pub use frame::{PULL_SAMPLES, SAMPLE_RATE_HZ, SEND_SAMPLES, SILENCE_PAYLOAD};
pub use gain::{GAIN_RANGE_DB, Gain};
pub use gate::GateMode;
pub use jitter::{Incoming, JitterBuffer, Next, Pushed as Insertion};
pub use limiter::{CEILING, Limiter};
pub use planes::Planes;
pub use process::{
    Drift, EchoReference, MICROPHONE_GAIN_RANGE_DB, NoiseSuppression, ProcessReport, Processing, Processor, Samples,
};
pub use receive::{MAX_KEPT_SOURCES, MAX_SOURCES, Pushed, ReceiveChain, ReceiveConfig, Released};
pub use report::{LinkReport, QueueReport, ReceiveReport, Refusal, Refusals, SourceReport, link_report, ntp_of};
pub use send::{MediaError, SendChain, SendConfig};
pub use share::{SHARED_CHANNELS, SHARED_SAMPLES, Share};
pub use stretch::LONGEST_PERIOD;
