//! How long sound should wait: the depth that would have cost least until now.
//!
//! For every depth from 0 to 500 ms in steps of 5 ms a *candidate* plays the same packets on paper, as the jitter buffer would with that
//! depth as its target: it stands still while nothing is there, plays late packets all the same, comes back to its depth as fast as
//! time-stretching allows, and takes lost packets from the one after them where that one carries them (LBRR, DRED) and is there in time. Each
//! pays for the delay it had and for the sound it had to make up: 1 % of that is worth `PRICE_MS` of delay where packets were lost, and
//! `LATE_PRICE_MS` where they were only late. What was paid fades within `MEMORY_S`. The cheapest one's depth is the target.
//!
//! So nothing has to be decided about quantiles, outliers, bursts or the look-ahead that LBRR needs: a stall of a second costs every depth
//! nearly the same and therefore moves nothing; a second packet of depth is chosen just when the losses it repairs are worth it.

/// Worth of 1 % of sound made up for lost packets, in ms of delay.
const PRICE_MS: f32 = 20.0;

/// The same for late ones. It is more because depth cures those, and each break that it leaves is followed by hurried speech, for the delay has
/// grown: on a bad Wi-Fi 3 % made up and 180 ms are better to listen to than 6 % and 120 ms.
const LATE_PRICE_MS: f32 = 28.0;

/// The same of 1 % of sound cut out or put in by time-stretching.
const STRETCH_PRICE_MS: f32 = 1.0;

/// The same of 1 % of lost sound that was left out rather than made up.
const LEFT_OUT_PRICE_MS: f32 = 20.0;

/// Made-up sound that joins what lies before and after a gap; see `jitter`.
pub const LEAST_BRIDGE_MS: f32 = 20.0;

/// How fast the floor rises, in ms per packet later than it; it falls by a ninth of that.
const FLOOR_STEP_MS: f32 = 2.0;

const STEP_MS: f32 = 5.0;
const CANDIDATES: usize = 101;

/// What was paid fades by 1/e in that time: the network of then is another one.
const MEMORY_S: f32 = 20.0;

/// How fast a candidate comes back to its depth: ms per ms, as time-stretching and pauses have given on speech.
const RETURN_RATE: f32 = 0.25;

/// A depth can fall behind the best one by that much and no more, in ms of delay × ms: else a bad minute would be remembered for minutes.
const MOST_BEHIND: f32 = 1.5e6;

/// Another depth has to have been cheaper by that many ms of delay to be chosen.
const CONSTANCY_MS: f32 = 0.5;

/// Before anything is known: as if this depth were right, for that many ms.
const FIRST_MS: f32 = 60.0;
const FIRST_WEIGHT_MS: f32 = 3000.0;

/// Of a longer gap all depths have missed the same.
const MOST_LOST: u64 = 50;

/// What a packet carries of those before it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carried {
    /// The one before, a second time (LBRR).
    pub copy: bool,
    /// So many, the one before included, as features to speak them again (DRED).
    pub told: u64,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Playout delay above the fastest packet now.
    delay_ms: f32,
    /// ms of delay × ms of sound, fading.
    cost: f32,
}

#[derive(Debug)]
pub struct Depths {
    candidates: [Candidate; CANDIDATES],
    lowest: usize,
    highest: usize,
    chosen: usize,
    /// Nine of ten packets can be played with this delay.
    floor_ms: f32,
    /// The time that the costs are of, fading like them.
    weight_ms: f32,
    newest: Option<u64>,
    /// Bit n: the packet n before the newest has not come, and none after it carries it.
    missing: u64,
}

impl Depths {
    /// Only depths within the limits are chosen; equal limits fix it.
    pub fn new((min_ms, max_ms): (f32, f32)) -> Self {
        let index = |ms: f32| ((ms / STEP_MS).ceil() as usize).min(CANDIDATES - 1);
        let (lowest, highest) = (index(min_ms), index(max_ms));
        let candidate = |i: usize| {
            let delay_ms = i as f32 * STEP_MS;
            Candidate { delay_ms, cost: (delay_ms - FIRST_MS).abs() * FIRST_WEIGHT_MS }
        };
        let chosen = index(FIRST_MS).clamp(lowest, highest);
        Self {
            candidates: std::array::from_fn(candidate),
            lowest,
            highest,
            chosen,
            floor_ms: FIRST_MS,
            weight_ms: FIRST_WEIGHT_MS,
            newest: None,
            missing: 0,
        }
    }

    /// In ms above the fastest packet.
    pub fn best_ms(&self) -> f32 {
        self.chosen as f32 * STEP_MS
    }

    /// What the delay may fall to where a gap is shortened: nine of ten packets are there by then.
    pub fn floor_ms(&self) -> f32 {
        self.floor_ms
    }

    /// Takes the packet `sequence`: how much later than the fastest it could be played, its length, what it carries of those before.
    pub fn observe(&mut self, sequence: u64, delay_ms: f32, length_ms: f32, carried: Carried) {
        match self.newest {
            Some(newest) if sequence <= newest => self.take_back(newest - sequence, delay_ms, length_ms),
            newest => {
                let lost = newest.map_or(0, |newest| sequence - newest - 1).min(MOST_LOST);
                self.missing = self.missing.checked_shl(lost as u32 + 1).unwrap_or(0);
                let copied = u64::from(carried.copy).min(lost);
                let told = carried.told.saturating_sub(copied).min(lost - copied);
                self.missing |= (1 << (lost + 1)) - (1 << (1 + copied + told));
                self.newest = Some(sequence);
                self.pay(delay_ms, length_ms, (lost - copied) as f32, copied as f32, told as f32);
            }
        }
        self.forgive();
        self.choose();
    }

    fn forgive(&mut self) {
        let least = self.candidates.iter().map(|candidate| candidate.cost).fold(f32::INFINITY, f32::min);
        for candidate in &mut self.candidates {
            candidate.cost = (candidate.cost - least).min(MOST_BEHIND);
        }
    }

    /// A packet was not lost, only overtaken: those deep enough have not made it up.
    fn take_back(&mut self, behind: u64, delay_ms: f32, length_ms: f32) {
        if behind < 64 && self.missing & 1 << behind != 0 {
            self.missing &= !(1 << behind);
            let had_it = self.candidates.iter_mut().filter(|candidate| candidate.delay_ms >= delay_ms);
            had_it.for_each(|candidate| candidate.cost -= 100.0 * PRICE_MS * length_ms);
        }
    }

    /// Before the packet lie lost ones: first those that have to be bridged, the last `told` of them can be spoken again; then what is `copied`.
    fn pay(&mut self, delay_ms: f32, length_ms: f32, bridge: f32, copied: f32, told: f32) {
        let fade = 1.0 - length_ms / (MEMORY_S * 1000.0);
        let step_ms = RETURN_RATE * length_ms;
        let lost_ms = (bridge + copied) * length_ms;
        let price_ms = if lost_ms > 0.0 { PRICE_MS } else { LATE_PRICE_MS };
        self.weight_ms = self.weight_ms * fade + length_ms;
        let (bridge_ms, untold_ms) = (bridge * length_ms, (bridge - told) * length_ms);
        for (i, candidate) in self.candidates.iter_mut().enumerate() {
            let depth_ms = i as f32 * STEP_MS;
            let before_ms = candidate.delay_ms;
            let waited_ms = (delay_ms + lost_ms - before_ms).max(0.0);
            let unspared_ms = (untold_ms + self.floor_ms - before_ms).max(LEAST_BRIDGE_MS).min(untold_ms);
            let made_up_ms = waited_ms.max(unspared_ms);
            let spoken_ms = (told * length_ms).min((bridge_ms - made_up_ms).max(0.0));
            candidate.delay_ms = before_ms + made_up_ms + spoken_ms - bridge_ms;
            candidate.cost *= fade;
            let left_out_ms = (bridge_ms - made_up_ms - spoken_ms).max(0.0);
            candidate.cost +=
                candidate.delay_ms * length_ms + 100.0 * (price_ms * made_up_ms + LEFT_OUT_PRICE_MS * left_out_ms);
            let change_ms = (depth_ms - candidate.delay_ms).clamp(-step_ms, step_ms);
            candidate.cost += 100.0 * STRETCH_PRICE_MS * change_ms.abs();
            candidate.delay_ms += change_ms;
        }
        let step_ms = if delay_ms > self.floor_ms { FLOOR_STEP_MS } else { -FLOOR_STEP_MS / 9.0 };
        self.floor_ms += step_ms.clamp(-(self.floor_ms - delay_ms).abs(), (self.floor_ms - delay_ms).abs());
    }

    /// The fastest packet is now one that took `ms` longer.
    pub fn rebase(&mut self, ms: f32) {
        self.candidates.iter_mut().for_each(|candidate| candidate.delay_ms = (candidate.delay_ms - ms).max(0.0));
    }

    fn choose(&mut self) {
        let cost = |i: usize| self.candidates[i].cost;
        let best = (self.lowest..=self.highest).min_by(|&one, &other| cost(one).total_cmp(&cost(other)));
        let worth = CONSTANCY_MS * self.weight_ms;
        if let Some(best) = best.filter(|&best| cost(best) < cost(self.chosen) - worth) {
            self.chosen = best;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COPY: Carried = Carried { copy: true, told: 0 };

    fn after(packets: u64, limits_ms: (f32, f32), network: impl Fn(u64) -> Option<f32>) -> Depths {
        let mut depths = Depths::new(limits_ms);
        for number in 0..packets {
            if let Some(delay_ms) = network(number) {
                depths.observe(number, delay_ms, 20.0, COPY);
            }
        }
        depths
    }

    #[test]
    fn a_steady_network_needs_the_least_depth_and_jitter_as_much_as_it_has() {
        assert_eq!(after(1000, (0.0, 500.0), |_| Some(9.0)).best_ms(), 10.0);
        let jittering = after(2000, (0.0, 500.0), |number| Some((number * 7919 % 60) as f32)).best_ms();
        assert!((50.0..=65.0).contains(&jittering), "{jittering}");
    }

    #[test]
    fn a_stall_of_a_second_now_and_then_is_not_learned() {
        let stalling = |number: u64| Some(if number % 1000 > 950 { 20.0 * (1000 - number % 1000) as f32 } else { 9.0 });
        assert!(after(10_000, (0.0, 500.0), stalling).best_ms() <= 20.0);
    }

    #[test]
    fn stalls_that_a_depth_cures_are_worth_it() {
        let stalling = |number: u64| Some(20.0 * 5u64.saturating_sub(number % 125) as f32);
        let target_ms = after(10_000, (0.0, 500.0), stalling).best_ms();
        assert!((90.0..=105.0).contains(&target_ms), "{target_ms}");
    }

    #[test]
    fn losses_are_worth_the_packet_that_repairs_them() {
        let lossy = after(3000, (0.0, 500.0), |number| (number % 10 != 5).then_some(9.0));
        assert!((30.0..=40.0).contains(&lossy.best_ms()), "{}", lossy.best_ms());
        let mut unrepaired = Depths::new((0.0, 500.0));
        (0..3000)
            .filter(|number| number % 10 != 5)
            .for_each(|number| unrepaired.observe(number, 9.0, 20.0, Carried::default()));
        assert!(unrepaired.best_ms() < lossy.best_ms(), "{}", unrepaired.best_ms());
    }

    #[test]
    fn redundancy_is_worth_the_packets_that_a_burst_takes() {
        let bursts = |number: &u64| number % 25 < 22;
        let target_ms = |carried| {
            let mut depths = Depths::new((0.0, 500.0));
            (0..3000).filter(bursts).for_each(|number| depths.observe(number, 9.0, 20.0, carried));
            depths.best_ms()
        };
        let (copy, told) = (target_ms(COPY), target_ms(Carried { copy: true, told: 5 }));
        assert!(copy <= 35.0 && (70.0..=80.0).contains(&told), "{copy} {told}");
    }

    #[test]
    fn the_limits_hold() {
        assert_eq!(after(1000, (80.0, 80.0), |_| Some(0.0)).best_ms(), 80.0);
        assert!(after(3000, (0.0, 100.0), |number| Some((number * 7919 % 400) as f32)).best_ms() <= 100.0);
    }

    #[test]
    fn a_network_that_gets_better_is_followed_within_seconds() {
        let rough_then_calm = |number: u64| Some(if number < 1000 { (number * 7919 % 100) as f32 } else { 9.0 });
        assert!(after(1000, (0.0, 500.0), rough_then_calm).best_ms() > 70.0);
        assert!(after(2000, (0.0, 500.0), rough_then_calm).best_ms() <= 15.0, "after 20 s");
    }
}
