//! Where packets belong, whatever network and clocks do.

mod cases;
mod clicks;
mod simulated;
mod traces;
