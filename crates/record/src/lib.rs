//! What a recording does with each packet and each sample: pure, without files, clocks or threads. Which files there
//! are, whose packets they hold and what is made of them is Python (`raccall.recorder`).

mod batch;
pub mod journal;
mod packet;

pub use batch::Batch;
pub use packet::{Nanos, Placed, Received};
