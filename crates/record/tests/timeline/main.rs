//! Where packets belong, whatever network and clocks do.

mod clicks;
mod simulated;
