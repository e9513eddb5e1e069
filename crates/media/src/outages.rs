//! When nothing comes although something should: is it held up, or lost?
//!
//! The packet that ends such an outage tells. If it is the one that was waited for, nothing was lost; if it is a later one, waiting was in vain.
//! The last ten or so outages tell what to expect of the next one.

/// What the newest outage counts.
const WEIGHT: f32 = 0.1;

/// From that share on that were only held up, waiting is worth it.
const LEAST_HELD_UP: f32 = 0.3;

#[derive(Debug)]
pub struct Outages {
    /// The share of outages in which nothing was lost, fading.
    held_up: f32,
}

impl Default for Outages {
    /// Before anything is known: whatever is overdue will come.
    fn default() -> Self {
        Self { held_up: 1.0 }
    }
}

impl Outages {
    /// An outage has ended; `nothing_lost`: by the packet that was waited for.
    pub fn end(&mut self, nothing_lost: bool) {
        self.held_up += (f32::from(nothing_lost) - self.held_up) * WEIGHT;
    }

    /// Whether what is overdue now may well come.
    pub fn are_delays(&self) -> bool {
        self.held_up >= LEAST_HELD_UP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dozen_losses_teach_that_nothing_comes_and_a_few_delays_that_it_does() {
        let mut outages = Outages::default();
        (0..11).for_each(|_| outages.end(false));
        assert!(outages.are_delays());
        outages.end(false);
        assert!(!outages.are_delays());
        (0..20).for_each(|number| outages.end(number % 2 == 0));
        assert!(outages.are_delays(), "every second one was only held up");
    }
}
